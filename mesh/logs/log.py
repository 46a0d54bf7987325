"""The log: levels, the line format, where the lines go.

One ``Log`` belongs to one node; there is no global state, so two nodes in one process never mix their lines. A line is
``[pid] 2026/11/23 14:01:55.518771 [INF] text`` (spec client-protocol section 26.2).
"""

import sys
import time
from typing import Protocol

from gossamer.mesh.world import Clock


class Destination(Protocol):
    """Takes finished lines, line feed included. Must not raise: a full disk may not stop the messages."""

    def write(self, line: bytes) -> None: ...

    def reopen(self) -> None:
        """After somebody moved the file away (signal USR1)."""
        ...

    def close(self) -> None: ...


class StandardError:
    """Lines on stderr, whatever it is at the moment of writing."""

    __slots__ = ()

    def write(self, line: bytes) -> None:
        try:
            sys.stderr.write(line.decode("utf-8", "replace"))
            sys.stderr.flush()
        except (OSError, ValueError):
            pass  # stderr is gone or closed: nobody is left to be told

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        pass


class Silence:
    """No lines: the default of a node that a Python program embeds."""

    __slots__ = ()

    def write(self, line: bytes) -> None:
        pass

    def reopen(self) -> None:
        pass

    def close(self) -> None:
        pass


class Log:
    """``debug`` and ``trace`` are dropped unless switched on; ask ``debugging``/``tracing`` before costly texts."""

    __slots__ = ("_clock", "_destination", "_label", "_stamp", "_stamp_second", "debugging", "stamps", "tracing", "utc")

    def __init__(
        self,
        clock: Clock,
        destination: Destination,
        *,
        pid: int = 0,
        debugging: bool = False,
        tracing: bool = False,
        stamps: bool = True,
        utc: bool = False,
    ) -> None:
        self._clock = clock
        self._destination = destination
        self._label = f"[{pid}] " if pid else ""
        self._stamp = ""
        self._stamp_second = -1
        self.debugging = debugging
        self.tracing = tracing
        self.stamps = stamps
        self.utc = utc

    def info(self, text: str) -> None:
        self._line("INF", text)

    def warning(self, text: str) -> None:
        self._line("WRN", text)

    def error(self, text: str) -> None:
        self._line("ERR", text)

    def fatal(self, text: str) -> None:
        """Only says it; ending the process is the caller's business."""
        self._line("FTL", text)

    def debug(self, text: str) -> None:
        if self.debugging:
            self._line("DBG", text)

    def trace(self, text: str) -> None:
        if self.tracing:
            self._line("TRC", text)

    def redirect(self, destination: Destination) -> None:
        """Send all further lines there; the old destination is closed."""
        if destination is not self._destination:
            self._destination.close()
            self._destination = destination

    def configure(self, *, debugging: bool, tracing: bool, stamps: bool, utc: bool) -> None:
        """Take over the reloadable switches."""
        self.debugging = debugging
        self.tracing = tracing
        self.stamps = stamps
        self.utc = utc
        self._stamp_second = -1

    def reopen(self) -> None:
        self._destination.reopen()

    def close(self) -> None:
        self._destination.close()

    def _line(self, level: str, text: str) -> None:
        # One event is one line, whatever a peer put into its name.
        if not text.isprintable():
            text = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in text)
        stamp = self._time() if self.stamps else ""
        self._destination.write(f"{self._label}{stamp}[{level}] {text}\n".encode("utf-8", "replace"))

    def _time(self) -> str:
        second, rest_ns = divmod(self._clock.wall_ns(), 1_000_000_000)
        if second != self._stamp_second:  # the calendar is computed once a second
            moment = time.gmtime(second) if self.utc else time.localtime(second)
            self._stamp = time.strftime("%Y/%m/%d %H:%M:%S", moment)
            self._stamp_second = second
        return f"{self._stamp}.{rest_ns // 1000:06d} "
