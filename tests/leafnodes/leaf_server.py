"""Our server inside the test's process: all that ``GossamerProcess`` is to a test, without half a second of start.

The nodes of a test run live on one event loop, in a thread of its own; each has its data plane in another. What only a
process has (signals, exit codes, the ports file) is tested with processes, in ``tests/node`` and ``test_process.py``.
"""

import asyncio
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from gossamer.mesh.life.reloading import Reload, ReloadRefused
from gossamer.mesh.life.run_files import ports
from gossamer.mesh.logs.log import Log
from gossamer.mesh.node import Node
from gossamer.mesh.options.check import refusal, warning_text
from gossamer.mesh.options.flags import Flags, parse_flags
from gossamer.mesh.options.loading import assess
from gossamer.mesh.testing.process import GossamerProcess, NatsServerProcess, ServerError, ServerProcess
from gossamer.mesh.world import real_world
from gossamer.mesh.world.listening import PortTaken

Result = TypeVar("Result")


def new_loop() -> asyncio.AbstractEventLoop:
    """As the process chooses it."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


class LoopThread:
    """An event loop in a thread, started when it is needed, ended with ``close``."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def run(self, work: Coroutine[Any, Any, Result], timeout_s: float = 20.0) -> Result:
        """From any other thread: its result, or what it raises."""
        if self._loop is None:
            self._loop = new_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="nodes", daemon=True)
            self._thread.start()
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout_s)

    def close(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None


LOOP = LoopThread()


class LogText:
    """Where the lines of one server go, through all its restarts."""

    def __init__(self) -> None:
        self._lines: list[bytes] = []

    @property
    def text(self) -> str:
        return b"".join(self._lines).decode()

    def write(self, line: bytes) -> None:
        self._lines.append(line)

    def reopen(self) -> None:
        """Nothing to open."""

    def close(self) -> None:
        """Nothing to close."""


class GossamerInside(GossamerProcess):
    """See the top of the file. ``kill`` is a stop like any other: the sockets close, nobody is asked to leave."""

    def __init__(self, folder: Path, **arguments: Any) -> None:
        super().__init__(folder, **arguments)
        self._text = LogText()
        self._node: Node | None = None
        self._reload: Reload | None = None

    # --- life ---------------------------------------------------------------------------------------------------
    def launch(self) -> None:
        if self.running:
            raise ServerError("already running")
        given = ["-a", self.host, "-p", str(self._port), *(["-m", "-1"] if self._monitor else [])]
        if self._config:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.config_path.write_text(self._config)
            given += ["-c", str(self.config_path)]
        flags = parse_flags([*given, *self._arguments])
        if not isinstance(flags, Flags):
            raise ServerError(flags.stderr)
        loaded = assess(flags)
        refused = refusal(loaded)
        if refused is not None:
            self._text.write(refused.stderr.encode())
            raise ServerError(f"ended with exit code {refused.code}\n{self._log_end()}")
        self._text.write(warning_text(loaded).encode())
        options, world = loaded.options, real_world()
        log = Log(world.clock, self._text, debugging=options.logging.debug, tracing=options.logging.trace)
        self._node = Node(options, world, log=log)
        self._reload = Reload(self._node, flags)
        try:
            LOOP.run(self._node.start())
        except (PortTaken, ValueError) as trouble:
            log.fatal(str(trouble))
            self.stop()
            raise ServerError(f"ended with exit code 1\n{self._log_end()}") from trouble

    def await_ready(self) -> Self:
        assert self._node is not None
        self.ports = ports(self._node)
        return self

    def stop(self, *, timeout_s: float = 10.0) -> int:
        node, self._node = self._node, None
        if node is not None:
            LOOP.run(node.stop(), timeout_s)
        return 0

    def kill(self) -> None:
        self.stop()

    def reload(self, config: str | None = None, *, timeout_s: float = 10.0) -> None:
        if config is not None:
            self.config_path.write_text(config)
        assert self._reload is not None
        try:
            LOOP.run(self._reload.run(), timeout_s)
        except ReloadRefused as refused:
            raise ServerError(f"Failed to reload server configuration: {refused}") from refused

    # --- what can be seen ---------------------------------------------------------------------------------------
    @property
    def running(self) -> bool:
        return self._node is not None and self._node.running

    @property
    def log(self) -> str:
        return self._text.text

    def inside(self, look: Callable[[Node], Result]) -> Result:
        """What ``look`` finds in the node, on the node's own thread."""
        node = self._node
        assert node is not None

        async def call() -> Result:
            return look(node)

        return LOOP.run(call())


#: What the tests of this folder start, by the names of the plug-in.
KINDS: dict[str, type[ServerProcess]] = {"gossamer": GossamerInside, "nats-server": NatsServerProcess}
