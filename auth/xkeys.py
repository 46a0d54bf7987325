"""XKeys: X25519 key pairs that seal a message for one receiver (spec auth section 2).

A sealed message is ``xkv1``, a nonce of 24 bytes and a NaCl box; the receiver must know the sender's public key.
"""

import os
from collections.abc import Callable

from nacl.exceptions import CryptoError
from nacl.public import Box, PrivateKey, PublicKey

from gossamer.auth.keys import (
    RAW_KEY_BYTES,
    KeyKind,
    NkeyError,
    decode_public,
    decode_seed,
    encode_private,
    encode_public,
    encode_seed,
)

VERSION_TAG = b"xkv1"
NONCE_BYTES = 24
_HEAD_BYTES = len(VERSION_TAG) + NONCE_BYTES


def _curve_public(text: str, role: str) -> PublicKey:
    try:
        kind, raw = decode_public(text)
    except NkeyError:
        kind, raw = None, b""
    if kind is not KeyKind.CURVE:
        raise NkeyError(f"nkeys: not a valid {role} public curve key")
    return PublicKey(raw)


class CurveKeyPair:
    """An ``X`` key. The raw seed is the private scalar itself."""

    def __init__(self, seed: bytes) -> None:
        """From the 32 raw bytes; see generate and from_seed."""
        self._private: PrivateKey | None = PrivateKey(seed)
        self._public = bytes(self._private.public_key)

    @classmethod
    def generate(cls, random: Callable[[int], bytes] = os.urandom) -> "CurveKeyPair":
        """A new key. ``random(n)`` gives n random bytes."""
        return cls(random(RAW_KEY_BYTES))

    @classmethod
    def from_seed(cls, seed: str, *, line_breaks: bool = False) -> "CurveKeyPair":
        """Raises NkeyError, also for the seed of another kind of key."""
        kind, raw = decode_seed(seed, line_breaks=line_breaks)
        if kind is not KeyKind.CURVE:
            raise NkeyError("nkeys: only curve key can seal/open")
        return cls(raw)

    def __repr__(self) -> str:
        return f"<CurveKeyPair {self.public}>"

    @property
    def public(self) -> str:
        """The text of the public key."""
        return encode_public(KeyKind.CURVE, self._public)

    @property
    def seed(self) -> str:
        """The text of the seed. Raises NkeyError after wipe."""
        return encode_seed(KeyKind.CURVE, bytes(self._key()))

    @property
    def private(self) -> str:
        """The ``P`` export form. Raises NkeyError after wipe."""
        return encode_private(bytes(self._key()))

    def seal(self, message: bytes, recipient: str, *, nonce: bytes | None = None) -> bytes:
        """Encrypt for the holder of ``recipient``. ``nonce``: 24 bytes, never used twice; random when not given."""
        box = Box(self._key(), _curve_public(recipient, "recipient"))
        nonce = os.urandom(NONCE_BYTES) if nonce is None else nonce
        return VERSION_TAG + nonce + box.encrypt(message, nonce).ciphertext

    def open(self, sealed: bytes, sender: str) -> bytes:
        """Decrypt what the holder of ``sender`` sealed for us. Raises NkeyError."""
        if len(sealed) <= _HEAD_BYTES:
            raise NkeyError("nkeys: encrypted input is not valid")
        if sealed[: len(VERSION_TAG)] != VERSION_TAG:
            raise NkeyError("nkeys: encrypted input wrong version")
        box = Box(self._key(), _curve_public(sender, "sender"))
        try:
            return box.decrypt(sealed[_HEAD_BYTES:], sealed[len(VERSION_TAG) : _HEAD_BYTES])
        except CryptoError:
            raise NkeyError("nkeys: could not decrypt input") from None

    def wipe(self) -> None:
        """Forget the private key."""
        self._private = None

    def _key(self) -> PrivateKey:
        if self._private is None:
            raise NkeyError("nkeys: no seed or private key available")
        return self._private
