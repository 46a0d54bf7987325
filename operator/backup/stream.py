"""An encrypted stream in pieces: XChaCha20-Poly1305 as libsodium's secretstream, so that pieces can be neither altered,
nor left out, nor put into another order, and a cut end is noticed.

A line of JSON comes first (the schema and the envelope with the ways to the key), then the stream's header, then each
piece with its length. The first piece is bound to that line.
"""

import struct
from collections.abc import Callable
from typing import BinaryIO

import msgspec
from msgspec import Struct
from nacl.bindings import (
    crypto_secretstream_xchacha20poly1305_ABYTES,
    crypto_secretstream_xchacha20poly1305_HEADERBYTES,
    crypto_secretstream_xchacha20poly1305_init_pull,
    crypto_secretstream_xchacha20poly1305_init_push,
    crypto_secretstream_xchacha20poly1305_pull,
    crypto_secretstream_xchacha20poly1305_push,
    crypto_secretstream_xchacha20poly1305_state,
    crypto_secretstream_xchacha20poly1305_TAG_FINAL,
    crypto_secretstream_xchacha20poly1305_TAG_MESSAGE,
)

from gossamer.operator.custody.sealing import Envelope, SealingError

SCHEMA = "gossamer/backup/v1"
PIECE_BYTES = 256 * 1024
HEADER_LINE_BYTES_MAX = 1024 * 1024
_LENGTH = struct.Struct("!I")
_DAMAGED = "it is damaged, cut off or altered"


class Header(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The first line."""

    envelope: Envelope
    schema: str = SCHEMA


class SealedWriter:
    """Write bytes; they go out sealed. ``close`` writes the end: without it the file cannot be read."""

    def __init__(self, file: BinaryIO, master: bytes, envelope: Envelope) -> None:
        self._file = file
        self._state = crypto_secretstream_xchacha20poly1305_state()
        line = msgspec.json.encode(Header(envelope=envelope)) + b"\n"
        file.write(line)
        file.write(crypto_secretstream_xchacha20poly1305_init_push(self._state, master))
        self._bound: bytes | None = line
        self._waiting = bytearray()

    def write(self, data: bytes) -> int:
        """Take bytes; whole pieces go out."""
        self._waiting += data
        while len(self._waiting) > PIECE_BYTES:
            self._push(bytes(self._waiting[:PIECE_BYTES]), crypto_secretstream_xchacha20poly1305_TAG_MESSAGE)
            del self._waiting[:PIECE_BYTES]
        return len(data)

    def close(self) -> None:
        """Write what is left, and the end."""
        self._push(bytes(self._waiting), crypto_secretstream_xchacha20poly1305_TAG_FINAL)
        self._waiting.clear()

    def _push(self, piece: bytes, tag: int) -> None:
        sealed = crypto_secretstream_xchacha20poly1305_push(self._state, piece, self._bound, tag)
        self._bound = None
        self._file.write(_LENGTH.pack(len(sealed)) + sealed)


class SealedReader:
    """Read what SealedWriter wrote. ``unlock`` gives the master key for an envelope. Raises SealingError."""

    def __init__(self, file: BinaryIO, unlock: Callable[[Envelope], bytes]) -> None:
        self._file = file
        line = file.readline(HEADER_LINE_BYTES_MAX)
        try:
            header = msgspec.json.decode(line, type=Header)
        except msgspec.DecodeError:
            raise SealingError("it is no backup") from None
        if header.schema != SCHEMA:
            raise SealingError(f"it is no {SCHEMA}")
        master = unlock(header.envelope)
        self._state = crypto_secretstream_xchacha20poly1305_state()
        start = self._exactly(crypto_secretstream_xchacha20poly1305_HEADERBYTES)
        crypto_secretstream_xchacha20poly1305_init_pull(self._state, start, master)
        self._bound: bytes | None = line
        self._held = bytearray()
        self._ended = False

    def read(self, count: int) -> bytes:
        """``count`` bytes, fewer at the end only. Raises SealingError for a damaged stream."""
        while len(self._held) < count and not self._ended:
            self._pull()
        found = bytes(self._held[:count])
        del self._held[:count]
        return found

    def drain(self) -> None:
        """Read to the end: only then is it known that the stream is whole. Raises SealingError."""
        while not self._ended:
            self._held.clear()
            self._pull()
        if self._file.read(1):
            raise SealingError(_DAMAGED)

    def _pull(self) -> None:
        (length,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        if not crypto_secretstream_xchacha20poly1305_ABYTES <= length <= PIECE_BYTES + 1024:
            raise SealingError(_DAMAGED)
        try:
            piece, tag = crypto_secretstream_xchacha20poly1305_pull(self._state, self._exactly(length), self._bound)
        except Exception:  # libsodium's wrapper has several errors for one thing
            raise SealingError(_DAMAGED) from None
        self._bound = None
        self._held += piece
        self._ended = tag == crypto_secretstream_xchacha20poly1305_TAG_FINAL

    def _exactly(self, count: int) -> bytes:
        found = self._file.read(count)
        if len(found) != count:
            raise SealingError(_DAMAGED)
        return found
