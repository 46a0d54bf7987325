"""Account JWTs in a directory, one file ``<account key>.jwt`` each (spec auth section 22.1).

A start reads nothing but the names. What is in the files is found out bit by bit by ``survey``: their hashes, for
comparing stores with other nodes, and when they expire. Whoever asks for an account reads its file, and only that.

Files are replaced as a whole. The digest of the store is the XOR of the SHA-256 of all texts, kept as they change.
"""

import contextlib
import errno
import hashlib
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from gossamer.auth.jwt import TokenError, decode_chunk
from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.resolver import ResolverError
from gossamer.mesh.world import Clock, Disk

SUFFIX = ".jwt"
DELETED = ".deleted"
_TEMPORARY = ".new"
_SECOND_NS = 1_000_000_000
_NOTHING = bytes(32)
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)


class StoreFull(ResolverError):
    """No further account can be kept."""

    def __init__(self) -> None:
        super().__init__("jwt store is full")


class _Times(Struct):
    """The members of a claim that are about time."""

    exp: int = 0
    iat: int = 0


class _Entry(Struct):
    """``digest`` is empty until the file has been read; times are unix seconds, ``expires`` 0: never."""

    digest: bytes = b""
    expires: int = 0
    issued_at: int = 0
    used_ns: int = 0


class DirectoryStore:
    """``limit`` 0: as many as there are. ``evicts``: beyond the limit the one that was not used for longest goes, else
    the store is full. ``ttl_ns``: how long a file stays after its last use, instead of until its JWT expires."""

    def __init__(
        self, disk: Disk, clock: Clock, directory: str, *, limit: int = 0, evicts: bool = False, ttl_ns: int = 0
    ) -> None:
        """Makes the directory if need be. Raises ResolverError."""
        self.directory = directory
        self.limit = limit
        self._disk = disk
        self._clock = clock
        self._evicts = evicts
        self.ttl_ns = ttl_ns
        self._entries: dict[str, _Entry] = {}  # least recently used first
        self._unread: dict[str, None] = {}
        self._digest = 0
        try:
            disk.make_directory(directory)
        except OSError as error:
            remedy = "make it a directory that this user may write"
            raise ResolverError(f"resolver directory {directory}: {error.strerror}; {remedy}") from None
        self.scan()

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def keys(self) -> list[str]:
        """All accounts, sorted."""
        return sorted(self._entries)

    def place(self, key: str) -> str:
        """The file of an account."""
        return f"{self.directory}/{key}{SUFFIX}"

    # --- one account --------------------------------------------------------------------------------------------
    def read(self, key: str) -> str | None:
        """The JWT; None: there is none. Raises ResolverError for a file that cannot be read."""
        text = self._text(key)
        if text is None:
            if key in self._entries:
                self._forget(key)
            return None
        entry = self._entries.pop(key, None) or _Entry()
        self._entries[key] = entry
        entry.used_ns = self._clock.monotonic_ns()
        self._note(key, entry, text)
        return text

    def rank(self, key: str) -> tuple[int, bytes] | None:
        """How new the JWT is, as ``gossamer.auth.resolver.rank_of``; None: there is none, or it is damaged."""
        try:
            if self.read(key) is None:
                return None
        except ResolverError:
            return None
        entry = self._entries[key]
        return entry.issued_at, entry.digest

    def write_newer(self, key: str, text: str, rank: tuple[int, bytes]) -> bool:
        """Keep this JWT of that rank unless there is one as new (section 26.2). Raises StoreFull, ResolverError."""
        present = self.rank(key)
        if present is not None and present >= rank:
            return False
        self.write(key, text)
        return True

    def write(self, key: str, text: str) -> None:
        """Keep this JWT, whatever was there. Raises StoreFull, ResolverError."""
        if not is_public(key, KeyKind.ACCOUNT):
            raise ResolverError(f'"{key}" is not a public account key')
        if key not in self._entries and 0 < self.limit <= len(self._entries):
            if not self._evicts:
                raise StoreFull
            self.remove(next(iter(self._entries)), keep=False)
        path = self.place(key)
        try:
            self._disk.write(path + _TEMPORARY, text.encode())
            self._disk.rename(path + _TEMPORARY, path)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._disk.remove(path + _TEMPORARY)  # on a full disk its room is needed
            remedy = "make room on its disk" if error.errno in _NO_ROOM else "make the directory writable"
            raise ResolverError(f"cannot write account file {path}: {error.strerror}; {remedy}") from None
        entry = self._entries.pop(key, None) or _Entry()
        self._entries[key] = entry
        entry.used_ns = self._clock.monotonic_ns()
        self._note(key, entry, text)

    def remove(self, key: str, *, keep: bool) -> bool:
        """Take an account out; ``keep``: its file stays under another name. False: there was none. Raises
        ResolverError."""
        if key not in self._entries:
            return False
        path = self.place(key)
        try:
            if keep:
                self._disk.rename(path, path + DELETED)
            else:
                self._disk.remove(path)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ResolverError(
                f"cannot remove account file {path}: {error.strerror}; make the directory writable"
            ) from None
        self._forget(key)
        return True

    # --- all of them --------------------------------------------------------------------------------------------
    def scan(self) -> list[str]:
        """Look at the directory again: which accounts are gone. All files have to be surveyed anew. Raises
        ResolverError."""
        try:
            names = self._disk.names(self.directory)
        except OSError as error:
            raise ResolverError(f"resolver directory {self.directory}: {error.strerror}; make it readable") from None
        found = {name.removesuffix(SUFFIX) for name in names if name.endswith(SUFFIX)}
        gone = [key for key in self._entries if key not in found]
        for key in gone:
            self._forget(key)
        now_ns = self._clock.monotonic_ns()
        for key in sorted(found):
            if key not in self._entries and is_public(key, KeyKind.ACCOUNT):
                self._entries[key] = _Entry(used_ns=now_ns)
        self._unread = dict.fromkeys(self._entries)
        return gone

    @property
    def surveyed(self) -> bool:
        """Is it known what is in the files?"""
        return not self._unread

    def survey(self, count: int) -> bool:
        """Read up to ``count`` of the files not read yet; have all been read now? Damaged ones are passed over."""
        for _ in range(min(count, len(self._unread))):
            key, _nothing = self._unread.popitem()
            entry = self._entries[key]
            try:
                text = self._text(key)
            except ResolverError:
                continue
            if text is None:
                self._forget(key)
            else:
                self._note(key, entry, text)
        return self.surveyed

    @property
    def digest(self) -> bytes:
        """32 bytes; of all files once everything is surveyed."""
        return self._digest.to_bytes(32, "big")

    def pairs(self) -> Iterator[tuple[str, str]]:
        """Every account and its JWT, those that cannot be read left out; the store may change meanwhile."""
        for key in self.keys():
            try:
                text = self._text(key)
            except ResolverError:
                continue
            if text is not None:
                yield key, text

    def unexpired(self, now_s: float) -> list[str]:
        """The accounts whose JWT, as far as known, has not expired; sorted."""
        return sorted(key for key, entry in self._entries.items() if not 0 < entry.expires <= now_s)

    def expire(self, now_s: float) -> list[str]:
        """Remove the files that are too old; ``now_s``: unix seconds. Returns the accounts."""
        if self.ttl_ns:
            oldest_ns = self._clock.monotonic_ns() - self.ttl_ns
            old = [key for key, entry in self._entries.items() if entry.used_ns <= oldest_ns]
        else:
            old = [key for key, entry in self._entries.items() if 0 < entry.expires <= now_s]
        gone = []
        for key in old:
            try:
                self.remove(key, keep=False)
            except ResolverError:
                continue
            gone.append(key)
        return gone

    # --- inside -------------------------------------------------------------------------------------------------
    def _text(self, key: str) -> str | None:
        if not is_public(key, KeyKind.ACCOUNT):
            return None
        path = self.place(key)
        try:
            return self._disk.read(path).decode("ascii").strip() or None
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "not a JWT"
            text = f"account file {path}: {why}; make it readable, or push the account again"
            raise ResolverError(text, damaged=isinstance(error, UnicodeDecodeError)) from None

    def _note(self, key: str, entry: _Entry, text: str) -> None:
        self._unread.pop(key, None)
        digest = hashlib.sha256(text.encode()).digest()
        if digest == entry.digest:
            return
        self._digest ^= int.from_bytes(entry.digest or _NOTHING, "big") ^ int.from_bytes(digest, "big")
        entry.digest = digest
        times = _times(text)
        entry.expires, entry.issued_at = times.exp, times.iat

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key)
        self._unread.pop(key, None)
        self._digest ^= int.from_bytes(entry.digest or _NOTHING, "big")


def _times(text: str) -> _Times:
    """When a JWT was issued and when it expires, without believing it; zeros for what is none."""
    chunks = text.split(".")
    if len(chunks) != 3:
        return _Times()
    try:
        return msgspec.json.decode(decode_chunk(chunks[1]), type=_Times)
    except (TokenError, msgspec.MsgspecError, UnicodeDecodeError):
        return _Times()
