"""A log file: appended to, reopened on demand, rotated by size (spec configuration section 4.3).

A full file is renamed to ``<file>.YYYY.MM.DD.hh.mm.ss.nnnnnnnnn``; of these, with ``keep`` given, only so many stay
that the live file and they are ``keep`` together.
"""

import os
import time

from gossamer.mesh.world import AppendFile, Clock, Disk


class LogFile:
    """A destination for a ``Log``. Raises OSError when the file cannot be opened; later troubles cost only lines."""

    __slots__ = ("_clock", "_disk", "_file", "_keep", "_limit_bytes", "_path", "_size_bytes", "lost_lines")

    def __init__(self, disk: Disk, clock: Clock, path: str, *, limit_bytes: int = 0, keep: int = 0) -> None:
        self._disk = disk
        self._clock = clock
        self._path = path
        self._limit_bytes = limit_bytes
        self._keep = keep
        self._file: AppendFile | None = disk.open_append(path)
        self._size_bytes = self._file.size()
        self.lost_lines = 0

    def write(self, line: bytes) -> None:
        try:
            if self._limit_bytes and self._size_bytes and self._size_bytes + len(line) > self._limit_bytes:
                self._rotate()
            if self._file is None:
                self._open()
            if self._file is not None:
                self._file.append(line)
                self._size_bytes += len(line)
        except OSError:
            self.lost_lines += 1

    def reopen(self) -> None:
        self.close()
        try:
            self._open()
        except OSError:
            self.lost_lines += 1

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> None:
        self._file = self._disk.open_append(self._path)
        self._size_bytes = self._file.size()

    def _rotate(self) -> None:
        self.close()
        second, rest_ns = divmod(self._clock.wall_ns(), 1_000_000_000)
        moment = time.strftime("%Y.%m.%d.%H.%M.%S", time.localtime(second))
        self._disk.rename(self._path, f"{self._path}.{moment}.{rest_ns:09d}")
        self._open()
        if self._keep > 0:
            self._prune()

    def _prune(self) -> None:
        directory, name = os.path.split(self._path)
        old = [entry for entry in self._disk.names(directory or ".") if _is_rotated(entry, name)]
        for entry in old[: max(0, len(old) - (self._keep - 1))]:
            self._disk.remove(os.path.join(directory, entry))


def _is_rotated(entry: str, name: str) -> bool:
    """Is ``entry`` a rotated file of the log called ``name``? Its ending is seven groups of digits."""
    if not entry.startswith(name + "."):
        return False
    parts = entry[len(name) + 1 :].split(".")
    return len(parts) == 7 and all(part.isdigit() for part in parts)
