"""The log itself: JSON lines, each with the hash of the one before.

``hash`` is the SHA-256 of the line without it, and the line holds ``previous``: an altered line breaks its own hash, a
removed or inserted one the next line's ``previous`` and number. The end is anchored by a second file with the number
and hash of the last line, so that lines removed from the end are missed too. Whoever can write both files can still
write a new history: keep the head elsewhere (``gossamer audit log --head``) and compare it (``--expect-head``).
"""

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct, field

from gossamer.auth.keys import NkeyError, decode_seed
from gossamer.operator.failure import from_os_error
from gossamer.operator.store.changes import FILE_MODE, REMEDY_WRITE, make_folder

BEGINNING = "0" * 64
LINE_BYTES_MAX = 64 * 1024 * 1024
_SEED = re.compile(r"S[OAUNCX][A-Z2-7]{56}")
_TOKEN = re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


class Entry(Struct, frozen=True, kw_only=True):
    """One line. ``time`` is RFC 3339, UTC; ``details`` whatever belongs to the action, never a secret."""

    number: int
    time: str
    actor: dict[str, Any]
    action: str
    details: dict[str, Any] = field(default_factory=dict)
    previous: str = BEGINNING
    hash: str = ""

    def computed_hash(self) -> str:
        """SHA-256 of everything but the hash."""
        return hashlib.sha256(
            msgspec.json.encode(msgspec.structs.replace(self, hash=""), order="deterministic")
        ).hexdigest()


class Head(Struct, frozen=True, kw_only=True):
    """Number and hash of the last line."""

    number: int = 0
    hash: str = BEGINNING


class Fault(Struct, frozen=True, kw_only=True):
    """Something wrong with the log. ``line`` counts from 1; 0 is the log as a whole."""

    line: int
    message: str


class AuditLog:
    """One log. Several processes may append to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head_path = path.with_suffix(".head")

    def append(self, action: str, actor: dict[str, Any], details: dict[str, Any], *, now: float) -> Entry:
        """Write a line to the disk. ``now`` in unix seconds. Raises Failure."""
        make_folder(self.path.parent)
        try:
            with open(self.path, "ab+", opener=_private) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                head = self._continued(file.fileno())
                entry = Entry(
                    number=head.number + 1,
                    time=datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    actor=without_secrets(actor),
                    action=action,
                    details=without_secrets(details),
                    previous=head.hash,
                )
                entry = msgspec.structs.replace(entry, hash=entry.computed_hash())
                file.write(msgspec.json.encode(entry, order="deterministic") + b"\n")
                file.flush()
                os.fsync(file.fileno())
                self._write_head(Head(number=entry.number, hash=entry.hash))
        except OSError as error:
            raise from_os_error(error, "write", self.path, REMEDY_WRITE) from None
        return entry

    def entries(self) -> Iterator[Entry]:
        """All lines that can be read. Raises Failure when the file cannot."""
        for _, entry in self._lines():
            if entry is not None:
                yield entry

    def head(self) -> Head:
        """Where the log ends, by its second file; the beginning when there is none."""
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return msgspec.json.decode(self.head_path.read_bytes(), type=Head)
        return Head()

    def verify(self) -> list[Fault]:
        """Everything that is wrong; empty for a whole log, or none at all. Raises Failure when it cannot be read."""
        faults: list[Fault] = []
        last = before = Head()
        place = 0
        for place, entry in self._lines():
            if entry is None:
                faults.append(Fault(line=place, message="it is not a line of this log"))
                continue
            if entry.hash != entry.computed_hash():
                faults.append(Fault(line=place, message="it was altered: its hash does not fit"))
            if entry.number != last.number + 1:
                faults.append(
                    Fault(line=place, message=f"lines are missing before it: number {entry.number} after {last.number}")
                )
            elif entry.previous != last.hash:
                faults.append(Fault(line=place, message="it does not follow the line before: one of them was altered"))
            before, last = last, Head(number=entry.number, hash=entry.hash)
        head = self.head()
        # A crash between the line and the head leaves the head one behind: no fault.
        if head not in (last, before):
            faults.append(
                Fault(line=0, message=f"it ends at number {last.number}, but number {head.number} was the last written")
            )
        return faults

    def _continued(self, descriptor: int) -> Head:
        """What the next line follows: the last line, but never less than was once written, so that a gap stays one."""
        size = os.fstat(descriptor).st_size
        tail, start = b"", size
        while start > 0 and tail.count(b"\n") < 2:
            step = min(64 * 1024, start)
            start -= step
            tail = os.pread(descriptor, step, start) + tail
        entry = _entry(tail.splitlines()[-1]) if tail else None
        if tail and not tail.endswith(b"\n"):
            os.write(descriptor, b"\n")  # a crash in the middle of a line: the rest stays visible as a fault
        last = Head() if entry is None else Head(number=entry.number, hash=entry.hash)
        head = self.head()
        return head if head.number > last.number else last

    def _lines(self) -> Iterator[tuple[int, Entry | None]]:
        try:
            with self.path.open("rb") as file:
                place = 0
                while line := file.readline(LINE_BYTES_MAX):
                    place += 1
                    yield place, _entry(line)
        except FileNotFoundError:
            return
        except OSError as error:
            raise from_os_error(error, "read", self.path, "check its owner and mode") from None

    def _write_head(self, head: Head) -> None:
        temporary = self.head_path.with_suffix(".head.tmp")
        with open(temporary, "wb", opener=_private) as file:
            file.write(msgspec.json.encode(head) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.head_path)


def without_secrets(value: Any) -> Any:
    """The same without anything that is a seed or a token: those never belong into a log, whoever put them there."""
    # Neither has a letter that JSON writes in another way. So what has none as a whole has none in its parts, which
    # spares us a look at each of them.
    text = msgspec.json.encode(value).decode()
    return _cleaned(value) if _SEED.search(text) or _TOKEN.search(text) else value


def _cleaned(value: Any) -> Any:
    if isinstance(value, str):
        return _TOKEN.sub("(token)", _SEED.sub(_hidden, value))
    if isinstance(value, dict):
        return {_cleaned(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_cleaned(item) for item in value]
    return value


def _hidden(found: re.Match[str]) -> str:
    try:
        decode_seed(found[0])
    except NkeyError:
        return found[0]
    return "(seed)"


def _entry(line: bytes) -> Entry | None:
    try:
        return msgspec.json.decode(line, type=Entry)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_CLOEXEC, FILE_MODE)
