"""A change set carried out as a whole, even if the machine dies in the middle.

First everything that will be written goes into one file, the journal, and to the disk; then the files are put in place;
then the journal is removed. Whoever finds a journal carries it out again from its beginning: putting a file in place
twice is the same as once. So there is one moment at which all of it counts, and one wait for the disk instead of one
for each of thousands of files.

Journals hold seeds, as the keystore would have them: they are as private as the keystore, and gone as soon as possible.
"""

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import msgspec
from msgspec import Struct

from gossamer.operator.failure import Failure, from_os_error
from gossamer.operator.store.changes import FILE_MODE, REMEDY_WRITE, ChangeSet, make_folder, remove_tree, sync

PREFIX = "journal-"
_FILES_SYNCED_ALONE_MAX = 16


class Journal(Struct, frozen=True, array_like=True):
    """What is to be written, in order, and what is to be removed."""

    writes: tuple[tuple[str, bytes], ...]
    removes: tuple[str, ...]
    folders: tuple[str, ...]


def commit(changes: ChangeSet, folder: Path) -> None:
    """Carry out all of ``changes``, with a journal in ``folder``. The change set is used up. Raises Failure."""
    journal = journal_of(changes)
    if not (journal.writes or journal.removes or journal.folders):
        return
    make_folder(folder)
    path = folder / f"{PREFIX}{secrets.token_hex(6)}"
    point("before the journal")
    _write_synced(path, msgspec.msgpack.encode(journal))
    point("journal written")
    carry_out(journal)
    _remove(path)


def resume(folder: Path) -> int:
    """Carry out the journals that an interrupted command left. Returns how many. Raises Failure."""
    found = 0
    for path in journals(folder):
        carry_out(read(path))
        _remove(path)
        found += 1
    for leftover in _unfinished(folder):
        with contextlib.suppress(OSError):
            leftover.unlink()
    return found


def overlay(changes: ChangeSet, folder: Path) -> int:
    """Put what journals hold into a change set, for those who only read: they see what will be. Returns how many."""
    found = 0
    for path in journals(folder):
        journal = read(path)
        for target, content in journal.writes:
            changes.write(Path(target), content)
        for target in journal.removes:
            changes.remove(Path(target))
        for target in journal.folders:
            changes.remove_folder(Path(target))
        found += 1
    return found


def journals(folder: Path) -> list[Path]:
    """Journals that wait to be carried out."""
    return sorted(path for path in folder.glob(f"{PREFIX}*") if not path.name.endswith(".tmp"))


def read(path: Path) -> Journal:
    """A journal. Raises Failure when it is broken, which it cannot be by an interruption: it is renamed when whole."""
    try:
        return msgspec.msgpack.decode(path.read_bytes(), type=Journal)
    except (OSError, msgspec.MsgspecError) as error:
        raise Failure(
            f"the journal {path} cannot be read: {error}",
            code="broken-journal",
            hint="restore the store from a backup, or move that file away and look at: gossamer plan",
            path=str(path),
        ) from None


def journal_of(changes: ChangeSet) -> Journal:
    """What a change set is about to do."""
    writes: list[tuple[str, bytes]] = []
    removes: list[str] = []
    folders: list[str] = []
    for verb, path in changes.actions():
        content = changes.read(path) if verb != "remove" else None
        if content is not None:
            writes.append((str(path), content))
        elif path.is_dir():
            folders.append(str(path))
        else:
            removes.append(str(path))
    return Journal(tuple(writes), tuple(removes), tuple(folders))


def carry_out(journal: Journal) -> None:
    """Put everything in place, and wait for the disk once. Raises Failure."""
    made: set[str] = set()
    # Folders first: what was removed as a whole may be made anew by the writes.
    for name in journal.folders:
        remove_tree(Path(name))
    # Texts, not Paths: these may be hundreds of thousands.
    for name, content in journal.writes:
        parent, _, last = name.rpartition("/")
        if parent not in made:
            make_folder(Path(parent))
            made.add(parent)
        _put(parent, last, content)
        point("file written")
    for name in journal.removes:
        try:
            Path(name).unlink(missing_ok=True)
        except OSError as error:
            raise from_os_error(error, "remove", name, REMEDY_WRITE) from None
        point("file removed")
    _settle(journal, made)
    point("before the journal goes")


def point(name: str) -> None:
    """A place where a machine may die. Tests put something here that lets it; it does nothing otherwise."""


def _settle(journal: Journal, folders: set[str]) -> None:
    if len(journal.writes) > _FILES_SYNCED_ALONE_MAX:
        os.sync()  # far quicker than to wait for each of them
        return
    for name, _ in journal.writes:
        sync(Path(name))
    for folder in folders:
        sync(Path(folder))


def _put(folder: str, name: str, content: bytes) -> None:
    # Always the same name: what an interruption leaves of it is written over.
    path, temporary = f"{folder}/{name}", f"{folder}/.{name}.tmp"
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
        try:
            if os.write(descriptor, content) != len(content):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(descriptor)
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise from_os_error(error, "write", path, REMEDY_WRITE) from None


def _write_synced(path: Path, content: bytes) -> None:
    temporary = path.with_name(path.name + ".tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise from_os_error(error, "write", path, REMEDY_WRITE) from None
    sync(path.parent)


def _remove(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    sync(path.parent)


def _unfinished(folder: Path) -> Iterator[Path]:
    yield from folder.glob(f"{PREFIX}*.tmp")
