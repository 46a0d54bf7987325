"""nats-server processes for tests: free ports, its monitoring, its log."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

SERVER = Path(sys.executable).with_name("nats-server")


async def until(condition: Callable[[], bool], what: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait for it; fail with a description after so long."""
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not condition():
        assert loop.time() < end, what()
        await asyncio.sleep(0.01)


class RealServer:
    """One nats-server in a cluster, whose name is ``title``. ``routes``: ports on loopback that it dials, as ``user``
    (``name:password@``)."""

    def __init__(
        self,
        directory: Path,
        name: str,
        *,
        routes: tuple[int, ...] = (),
        cluster: str = "",
        more: str = "",
        user: str = "",
        title: str = "CL",
    ) -> None:
        self.name = name
        self._directory = directory / name
        self._routes = routes
        self._cluster = cluster
        self._more = more
        self._user = user
        self._title = f"name: {title}," if title else ""
        self._process: subprocess.Popen[bytes] | None = None
        self._ports: dict[str, list[str]] = {}
        self._port = {"nats": -1, "cluster": -1, "monitoring": -1}
        self._told = self._port  # what its file says, which a reload may not change

    async def start(self) -> "RealServer":
        """On free ports; after a kill on the same ones again."""
        self._directory.mkdir(exist_ok=True)
        self._told = dict(self._port)
        config = self._write()
        file = self._directory / f"nats-server_{self._spawn(config)}.ports"
        await until(file.exists, self.log)
        await until(lambda: bool(file.read_text().endswith("}")), self.log)
        self._ports = json.loads(file.read_text())
        for kind in self._port:
            self._port[kind] = int(self._ports[kind][0].rpartition(":")[2])
        return self

    async def reload(self, cluster: str) -> None:
        """With this in its cluster block."""
        assert self._process is not None
        self._cluster = cluster
        self._write()
        before = self.log().count("Reloaded server configuration")
        self.signal(signal.SIGHUP)
        await until(lambda: self.log().count("Reloaded server configuration") > before, self.log)

    def _write(self) -> Path:
        urls = ", ".join(f"nats-route://{self._user}127.0.0.1:{port}" for port in self._routes)
        config = self._directory / "node.conf"
        config.write_text(
            f"""
            server_name: {self.name}
            listen: "127.0.0.1:{self._told["nats"]}"
            http: "127.0.0.1:{self._told["monitoring"]}"
            ports_file_dir: "{self._directory}"
            {self._more}
            cluster {{ {self._title} listen: "127.0.0.1:{self._told["cluster"]}", routes: [{urls}] {self._cluster} }}
            """
        )
        return config

    def _spawn(self, config: Path) -> int:
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen([SERVER, "-c", str(config), "-DV"], stderr=log, stdout=log)
        return self._process.pid

    @property
    def client_url(self) -> str:
        return f"nats://127.0.0.1:{self._port['nats']}"

    @property
    def route_port(self) -> int:
        return self._port["cluster"]

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        for file in self._directory.glob("*.ports"):
            os.unlink(file)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self.kill()

    def log(self) -> str:
        return (self._directory / "log").read_text()

    def monitor(self, path: str) -> dict[str, object]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port['monitoring']}{path}", timeout=5) as answer:
            found: dict[str, object] = json.load(answer)
            return found

    def routes(self) -> list[dict[str, object]]:
        found = self.monitor("/routez")["routes"]
        assert isinstance(found, list)
        return found

    def routes_to(self, name: str) -> list[dict[str, object]]:
        return [row for row in self.routes() if row["remote_name"] == name]
