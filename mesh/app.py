"""The server process: nats-server's command line, signals, files and exit codes around one node.

``main`` is what ``gossamer serve`` and ``python -m gossamer.mesh.app`` run (spec client-protocol section 26, spec
configuration section 9). Only this file knows of the process: it chooses the event loop, traps signals, writes the pid
and ports files. Exit codes: 0 for a clean end, 1 for everything that kept it from starting or broke it.
"""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Callable, Coroutine, Sequence
from importlib import import_module
from typing import Any, NoReturn

from gossamer.mesh.life.lame_duck import leave
from gossamer.mesh.life.logging_choice import make_log
from gossamer.mesh.life.reloading import NothingToReload, Reload, ReloadRefused
from gossamer.mesh.life.run_files import FileTrouble, PortsFile, write_pid_file
from gossamer.mesh.life.timer_probe import TimerProbe
from gossamer.mesh.logs.log import Log
from gossamer.mesh.node import Node
from gossamer.mesh.options.check import check, refusal, verdict, warning_text
from gossamer.mesh.options.flags import PROGRAM, FlagExit, Flags, parse_flags
from gossamer.mesh.options.loading import assess
from gossamer.mesh.options.options import Options
from gossamer.mesh.options.signal import RunningProcesses, send_signal
from gossamer.mesh.world import World, real_world
from gossamer.mesh.world.listening import PortTaken

#: Environment: a file that receives how punctual the loop's timers were (for benchmarks).
PROBE_VARIABLE = "GOSSAMER_TIMER_PROBE"
#: How log lines call the signals.
_SPOKEN = {
    signal.SIGINT: "interrupt",
    signal.SIGTERM: "terminated",
    signal.SIGHUP: "hangup",
    signal.SIGUSR1: "user defined signal 1",
    signal.SIGUSR2: "user defined signal 2",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a server until a signal ends it; ``arguments`` without the program's name. Returns the exit code where no
    server ran (help, check, refused configuration, failed start); one that ran ends the process itself."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    flags = parse_flags(given)
    if isinstance(flags, FlagExit):
        return _print(flags)
    if flags.signal is not None:
        return _print(send_signal(flags.signal, RunningProcesses()))
    loaded = assess(flags)
    if flags.check:
        return _print(verdict(loaded, flags.config))
    refused = refusal(loaded)
    if refused is not None:
        return _print(refused)
    sys.stderr.write(warning_text(loaded))
    world = real_world()
    try:
        log = make_log(loaded.options.logging, world, os.getpid())
    except FileTrouble as trouble:
        return _print(FlagExit(stderr=f"{PROGRAM}: {trouble}\n", code=1))
    for text in loaded.notices:
        log.warning(text)
    process = ServerProcess(loaded.options, world, log, flags)
    try:
        code = _run(process.live)
    finally:
        log.close()
    if process.ran:
        _end(code)
    return code


def check_main(arguments: Sequence[str] | None = None) -> int:
    """``gossamer check FILE...``: every fault at once, with places and suggestions. Returns the exit code: 0 for good
    files, 1 for faults or warnings, 2 for a wrong command line."""
    return _print(check(list(sys.argv[1:] if arguments is None else arguments)))


class ServerProcess:
    """One node and its process. ``live`` runs it from start to end."""

    def __init__(self, options: Options, world: World, log: Log, flags: Flags) -> None:
        self._world = world
        self._log = log
        self._node = Node(options, world, log=log)
        self._reload = Reload(self._node, flags)
        self._ports_file: PortsFile | None = None
        #: Whether clients may have seen this server.
        self.ran = False
        self._over: asyncio.Event
        self._leaving: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[object]] = set()

    async def live(self) -> int:
        """The exit code, once a signal (or the engine's death) has ended it."""
        loop = asyncio.get_running_loop()
        self._over = asyncio.Event()
        # What takes long happens before clients and routes can come: they would wait for it.
        if self._node.options.monitor.port:
            import_module("gossamer.mesh.monitor.site")  # and with it aiohttp
        gc.collect()
        gc.freeze()  # what is here now stays: the collector need not look at it again
        try:
            await self._node.start()
            if self._node.system is not None:
                self._node.system.orders.reloader = self.reload
            self._trap(loop)  # before anybody can learn our pid from a file
            self._write_files(self._node.options)
        except (PortTaken, FileTrouble, ValueError) as trouble:
            self._log.fatal(str(trouble))
            await self._node.stop()
            return 1
        self.ran = True
        probe = self._start_probe(loop)
        code = await self._until_over()
        if self._leaving is not None:
            self._leaving.cancel()
        await self._node.stop(ending=True)
        if probe is not None:
            probe.stop()
            probe.write(os.environ[PROBE_VARIABLE], self._world.disk)
        if self._ports_file is not None:
            self._ports_file.remove()
        return code

    async def _until_over(self) -> int:
        failure = self._node.failure
        assert failure is not None, "the node has started"
        over: asyncio.Future[Any] = asyncio.create_task(self._over.wait())
        await asyncio.wait([over, failure], return_when=asyncio.FIRST_COMPLETED)
        if failure.done():
            over.cancel()
            self._log.fatal(str(failure.exception()))
            return 1
        return 0

    # --- signals ------------------------------------------------------------------------------------------------
    def _trap(self, loop: asyncio.AbstractEventLoop) -> None:
        deeds: dict[signal.Signals, Callable[[], None]] = {
            signal.SIGINT: self._over.set,
            signal.SIGTERM: self._terminate,
            signal.SIGHUP: lambda: self._begin(self.reload()),
            signal.SIGUSR1: self._reopen,
            signal.SIGUSR2: self._leave,
        }
        for number, deed in deeds.items():
            loop.add_signal_handler(number, self._trapped, number, deed)

    def _trapped(self, number: signal.Signals, deed: Callable[[], None]) -> None:
        self._log.info(f'Trapped "{_SPOKEN[number]}" signal')
        deed()

    def _reopen(self) -> None:
        self._log.reopen()
        if self._node.options.logging.log_file:
            self._log.info("File log re-opened")

    def _terminate(self) -> None:
        """TERM does not hurry somebody who is leaving already; INT does."""
        if self._leaving is None:
            self._over.set()

    def _leave(self) -> None:
        if self._leaving is None:
            self._leaving = asyncio.create_task(self._lame_duck())

    async def _lame_duck(self) -> None:
        await leave(self._node)
        self._over.set()

    def _begin(self, work: Coroutine[Any, Any, object]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- reload ---------------------------------------------------------------------------------------------------
    async def reload(self) -> str:
        """Read the configuration again and follow it; whatever is wrong is logged and returned: nothing has changed."""
        before = self._node.options
        try:
            await self._reload.run()
            self._follow_files(before, self._node.options)
        except NothingToReload:
            text = "can only reload config when a file is provided using -c or --config"
        except (ReloadRefused, FileTrouble) as trouble:
            text = str(trouble)
        else:
            return ""
        self._log.error(f"Failed to reload server configuration: {text}")
        return text

    # --- files ----------------------------------------------------------------------------------------------------
    def _write_files(self, options: Options) -> None:
        if options.pid_file:
            write_pid_file(options.pid_file, os.getpid(), self._world.disk)
        if options.ports_file_dir:
            self._ports_file = PortsFile(options.ports_file_dir, os.getpid(), self._world.disk)
            self._ports_file.write(self._node)

    def _follow_files(self, before: Options, now: Options) -> None:
        if before.pid_file != now.pid_file and now.pid_file:
            write_pid_file(now.pid_file, os.getpid(), self._world.disk)
        if before.ports_file_dir != now.ports_file_dir:
            if self._ports_file is not None:
                self._ports_file.remove()
                self._ports_file = None
            if now.ports_file_dir:
                self._ports_file = PortsFile(now.ports_file_dir, os.getpid(), self._world.disk)
                self._ports_file.write(self._node)

    def _start_probe(self, loop: asyncio.AbstractEventLoop) -> TimerProbe | None:
        if not os.environ.get(PROBE_VARIABLE):
            return None
        probe = TimerProbe(loop, self._world.clock)
        probe.start()
        return probe


def _run(live: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """On uvloop where it is installed; plain asyncio is as good, only slower."""
    factory: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:
        pass
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(live())


def _end(code: int) -> NoReturn:
    """End the process now. Taking the interpreter apart lasts 10 to 30 ms, in which clients have long moved on while
    whoever waits for the process still believes it serves. Everything of ours is closed; nothing is left to do."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


def _print(result: FlagExit) -> int:
    sys.stderr.write(result.stderr)
    sys.stdout.write(result.stdout)
    return result.code


if __name__ == "__main__":
    sys.exit(main())
