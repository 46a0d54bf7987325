"""A set of file changes that happens as a whole, or not at all.

A command reads through the set (so it sees what it has already decided to write), and commits at its end: every new
content goes to a temporary file beside its target and to the disk first, only then are the files renamed into place,
in the order they were put. A failure before the first rename leaves everything as it was. Keys are put before the
claims that name them, so a machine that dies between two renames leaves at worst a key too many, never a claim whose
key is lost.

A dry run is a set that is never committed.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

from gossamer.operator.failure import Failure, from_os_error

FILE_MODE = 0o600
FOLDER_MODE = 0o700
FILE_SIZE_MAX = 16 * 1024 * 1024  # a claim is at most 1 MiB; anything this large is not ours

REMEDY_READ = "check the owner and the mode of that file, or name another place with --data-dir or --keystore-dir"
REMEDY_WRITE = "check the owner and the mode of that folder, or name another place with -H, --data-dir, --keystore-dir"


class ChangeSet:
    """Pending writes and removals. Not for use from several threads."""

    def __init__(self) -> None:
        self._pending: dict[Path, bytes | None] = {}
        self._made: set[Path] = set()  # of these, what was not there when it was put: the disk is asked once
        self._removed_folders: list[Path] = []

    def __bool__(self) -> bool:
        return bool(self._pending) or bool(self._removed_folders)

    def read(self, path: Path) -> bytes | None:
        """The content as it will be after the commit; None if there is no such file. Raises Failure if unreadable."""
        if path in self._pending:
            return self._pending[path]
        if self._removed_folders and any(folder in path.parents for folder in self._removed_folders):
            return None
        try:
            with open(path, "rb") as file:
                content = file.read(FILE_SIZE_MAX + 1)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise from_os_error(error, "read", path, REMEDY_READ) from None
        if len(content) > FILE_SIZE_MAX:
            raise Failure(f"{path} is too large to be a part of a store", code="broken-file", hint="move it away")
        return content

    def read_committed(self, path: Path) -> bytes | None:
        """The content as it is on disk now, whatever is pending."""
        return None if path in self._made else ChangeSet().read(path)

    def exists(self, path: Path) -> bool:
        """Will there be a file after the commit?"""
        if path in self._pending:
            return self._pending[path] is not None
        if any(folder in path.parents for folder in self._removed_folders):
            return False
        try:
            return path.is_file()
        except OSError as error:
            raise from_os_error(error, "read", path, REMEDY_READ) from None

    def children(self, folder: Path) -> list[str]:
        """Sorted names directly below ``folder`` as they will be after the commit; [] if there is no such folder."""
        names: set[str] = set()
        if folder not in self._removed_folders and not any(gone in folder.parents for gone in self._removed_folders):
            try:
                names.update(entry.name for entry in os.scandir(folder))
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError as error:
                raise from_os_error(error, "list", folder, REMEDY_READ) from None
            names.difference_update(gone.name for gone in self._removed_folders if gone.parent == folder)
            names.difference_update(
                path.name for path, content in self._pending.items() if content is None and path.parent == folder
            )
        depth = len(folder.parts)
        for path, content in self._pending.items():
            if content is not None and folder in path.parents:
                names.add(path.parts[depth])
        return sorted(names)

    def write(self, path: Path, content: bytes) -> None:
        """Put a file. Writing what is there already changes nothing."""
        if path in self._pending:
            # Written again: it goes to the end, behind the keys that the new content may name.
            del self._pending[path]
            self._pending[path] = content
        else:
            self.replace(path, content, before=self.read(path))

    def replace(self, path: Path, content: bytes, *, before: bytes | None) -> None:
        """The same for whoever has just read ``before`` there."""
        if path in self._pending:
            self.write(path, content)
        elif before != content:
            self._pending[path] = content
            if before is None and not self._removed_folders:
                self._made.add(path)

    def remove(self, path: Path) -> None:
        """Remove a file, if it is there."""
        self._pending.pop(path, None)
        self._made.discard(path)
        if path.is_file():
            self._pending[path] = None

    def remove_folder(self, folder: Path) -> None:
        """Remove a folder with all that is below it."""
        for path in [path for path in self._pending if folder in path.parents]:
            del self._pending[path]
            self._made.discard(path)
        if folder.is_dir():
            self._removed_folders.append(folder)

    def actions(self) -> list[tuple[str, Path]]:
        """What the commit will do: pairs of ``create``, ``replace`` or ``remove`` and the path."""
        found: list[tuple[str, Path]] = []
        for path, content in self._pending.items():
            if content is None:
                found.append(("remove", path))
            else:
                found.append(("create" if path in self._made or not path.is_file() else "replace", path))
        found.extend(("remove", folder) for folder in self._removed_folders)
        return found

    def commit(self) -> None:
        """Do it all. Raises Failure with nothing renamed when the disk refuses one of the new files."""
        staged: list[tuple[Path, Path]] = []
        try:
            for path, content in self._pending.items():
                if content is not None:
                    staged.append((_stage(path, content), path))
        except BaseException:
            for temporary, _ in staged:
                with contextlib.suppress(OSError):
                    temporary.unlink()
            raise
        for place, (temporary, path) in enumerate(staged):
            try:
                temporary.replace(path)
            except OSError as error:
                # What is renamed stays; the others may hold seeds, and nobody would look for them.
                for leftover, _ in staged[place:]:
                    with contextlib.suppress(OSError):
                        leftover.unlink()
                raise from_os_error(error, "replace", path, REMEDY_WRITE) from None
        for path, content in self._pending.items():
            if content is None:
                try:
                    path.unlink(missing_ok=True)
                except OSError as error:
                    raise from_os_error(error, "remove", path, REMEDY_WRITE) from None
        for folder in self._removed_folders:
            remove_tree(folder)
        for parent in sorted({path.parent for path in self._pending}):
            sync(parent)
        self._pending.clear()
        self._made.clear()
        self._removed_folders.clear()


def existing_file(text: str) -> Path | None:
    """The path of a file that a person named; None if there is none, or the text cannot be a path."""
    try:
        path = Path(text).expanduser()
        return path if path.is_file() else None
    except (OSError, ValueError, RuntimeError):
        return None


def make_folder(folder: Path) -> None:
    """Make a folder and its parents, 0700 each. Raises Failure."""
    missing = list(_missing_folders(folder))
    for path in reversed(missing):
        try:
            path.mkdir(mode=FOLDER_MODE, exist_ok=True)
        except OSError as error:
            raise from_os_error(error, "make the folder", path, REMEDY_WRITE) from None


def _missing_folders(folder: Path) -> Iterator[Path]:
    while not folder.is_dir() and folder != folder.parent:
        yield folder
        folder = folder.parent


def _stage(path: Path, content: bytes) -> Path:
    make_folder(path.parent)
    temporary = path.parent / f".{secrets.token_hex(8)}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise from_os_error(error, "write", path, REMEDY_WRITE) from None
    return temporary


def remove_tree(folder: Path) -> None:
    """Remove a folder, which may be gone already, with all that is below it; links are not followed. Raises Failure."""
    if not folder.is_dir():
        return
    try:
        for entry in sorted(folder.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                remove_tree(entry)
            else:
                entry.unlink()
        folder.rmdir()
    except OSError as error:
        raise from_os_error(error, "remove", folder, REMEDY_WRITE) from None


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk: a rename is only durable once its folder is."""
    # File systems that cannot do this for folders say so, and that is no fault.
    with contextlib.suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
