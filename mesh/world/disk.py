"""Files. Every call blocks: keep large ones off the event loop."""

import os
from pathlib import Path
from typing import Protocol


class AppendFile(Protocol):
    """A file that only grows."""

    def append(self, data: bytes) -> None:
        """Write at the end. Raises OSError."""
        ...

    def size(self) -> int:
        """Bytes in the file now."""
        ...

    def close(self) -> None: ...


class Disk(Protocol):
    """The calls raise OSError as the system's do (FileNotFoundError, PermissionError...)."""

    def read(self, path: str) -> bytes: ...

    def write(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        """Replace the whole content; the file is created with that mode."""
        ...

    def open_append(self, path: str, *, mode: int = 0o640) -> AppendFile:
        """Open at its end, created if needed."""
        ...

    def remove(self, path: str) -> None: ...

    def rename(self, old: str, new: str) -> None: ...

    def names(self, directory: str) -> list[str]:
        """The entries of a directory, sorted."""
        ...

    def make_directory(self, path: str) -> None:
        """With its parents; one that is there stays."""
        ...


class SystemAppendFile:
    """A descriptor opened for appending: each ``append`` is one write, so lines of several writers do not mix."""

    __slots__ = ("_descriptor",)

    def __init__(self, path: str, mode: int) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, mode)

    def append(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def size(self) -> int:
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


class SystemDisk:
    """The machine's file system."""

    __slots__ = ()

    def read(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def write(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)

    def open_append(self, path: str, *, mode: int = 0o640) -> AppendFile:
        return SystemAppendFile(path, mode)

    def remove(self, path: str) -> None:
        os.remove(path)

    def rename(self, old: str, new: str) -> None:
        os.rename(old, new)

    def names(self, directory: str) -> list[str]:
        return sorted(os.listdir(directory))

    def make_directory(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)
