"""A disk in memory: survives a crash of its node, unless it is lost too."""

import errno
import os


class SimulatedDisk:
    """A ``gossamer.mesh.world.Disk``. Directories are there once something is in them or they were made."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self._directories: set[str] = set()

    def read(self, path: str) -> bytes:
        try:
            return self.files[path]
        except KeyError:
            raise _missing(path) from None

    def write(self, path: str, data: bytes, *, mode: int = 0o644) -> None:
        self.files[path] = bytes(data)

    def open_append(self, path: str, *, mode: int = 0o640) -> "_AppendFile":
        self.files.setdefault(path, b"")
        return _AppendFile(self, path)

    def remove(self, path: str) -> None:
        if self.files.pop(path, None) is None:
            raise _missing(path)

    def rename(self, old: str, new: str) -> None:
        self.files[new] = self.read(old)
        if old != new:
            del self.files[old]

    def names(self, directory: str) -> list[str]:
        prefix = directory.rstrip("/") + "/"
        found = {
            path[len(prefix) :].split("/")[0] for path in [*self.files, *self._directories] if path.startswith(prefix)
        }
        if not found and directory.rstrip("/") not in self._directories:
            raise _missing(directory)
        return sorted(found)

    def make_directory(self, path: str) -> None:
        self._directories.add(path.rstrip("/"))


class _AppendFile:
    def __init__(self, disk: SimulatedDisk, path: str) -> None:
        self._disk = disk
        self._path = path

    def append(self, data: bytes) -> None:
        self._disk.files[self._path] = self._disk.files.get(self._path, b"") + data

    def size(self) -> int:
        return len(self._disk.files.get(self._path, b""))

    def close(self) -> None:
        pass


def _missing(path: str) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
