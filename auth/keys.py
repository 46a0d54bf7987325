"""NKeys: Ed25519 key pairs written as text whose first letter says what the key is for (spec auth section 1).

Text is unpadded base32 of prefix, payload and a CRC-16; a seed folds the kind of its public key into the prefix.
Stricter than the reference where that is safe: the prefix byte must be exact, a payload has exactly 32 bytes, and spare
bits at the end of the text must be zero, so that one key has one text.
"""

import base64
import binascii
import functools
import os
import re
from collections.abc import Callable
from enum import Enum

from nacl.exceptions import BadSignatureError
from nacl.signing import SigningKey, VerifyKey

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
RAW_KEY_BYTES = 32
SIGNATURE_BYTES = 64

PREFIX_SEED = 18 << 3
PREFIX_PRIVATE = 15 << 3

_NOT_BASE32 = re.compile(r"[^A-Z2-7]")
#: Python's own digits of base 32, so that it does the arithmetic.
_DIGITS = str.maketrans(ALPHABET, "0123456789abcdefghijklmnopqrstuv")


class NkeyError(ValueError):
    """A text is not the key it should be, or a key cannot do what was asked. Never shows the key."""


class KeyKind(Enum):
    """What a key is for; the value is the prefix byte of its public text."""

    OPERATOR = 14 << 3
    ACCOUNT = 0
    USER = 20 << 3
    SERVER = 13 << 3
    CLUSTER = 2 << 3
    CURVE = 23 << 3

    @property
    def letter(self) -> str:
        """The first letter of a public key of this kind."""
        return ALPHABET[self.value >> 3]

    @property
    def word(self) -> str:
        """``operator``, ``account`` ..., as errors and labels write it."""
        return self.name.lower()


_KIND_BY_PREFIX = {kind.value: kind for kind in KeyKind}


def crc16(data: bytes) -> int:
    """CRC-16/XMODEM: polynomial 0x1021, initial value 0, nothing reflected."""
    return binascii.crc_hqx(data, 0)


def encode_base32(data: bytes) -> str:
    """Unpadded RFC 4648 base32."""
    return base64.b32encode(data).rstrip(b"=").decode()


def _decode_base32(text: str) -> tuple[bytes, bool]:
    """The bytes, and whether this is their one proper text: no letter more than needed, spare bits zero."""
    bad = _NOT_BASE32.search(text)
    if bad:
        raise NkeyError(f"illegal base32 data at input byte {bad.start()}")
    number = int(text.translate(_DIGITS), 32) if text else 0
    length, spare = divmod(len(text) * 5, 8)
    return (number >> spare).to_bytes(length, "big"), spare < 5 and number & ((1 << spare) - 1) == 0


def _encode_checked(body: bytes) -> str:
    return encode_base32(body + crc16(body).to_bytes(2, "little"))


def _decode_checked(text: str, line_breaks: bool) -> bytes:
    """Everything before the CRC. ``line_breaks``: skip CR and LF, as the text came from a file."""
    if line_breaks:
        text = text.replace("\r", "").replace("\n", "")
    # Longer than any key there is: refuse before doing quadratic work on a hostile text.
    if len(text) > 256:
        raise NkeyError("nkeys: invalid encoded key")
    data, canonical = _decode_base32(text)
    if len(data) < 4:
        raise NkeyError("nkeys: invalid encoded key")
    if crc16(data[:-2]).to_bytes(2, "little") != data[-2:]:
        raise NkeyError("nkeys: invalid checksum")
    if not canonical:
        raise NkeyError("nkeys: invalid encoded key")
    return data[:-2]


def encode_public(kind: KeyKind, raw: bytes) -> str:
    """The text of a public key: 56 characters. Raises NkeyError unless ``raw`` has 32 bytes."""
    if len(raw) != RAW_KEY_BYTES:
        raise NkeyError("nkeys: invalid public key")
    return _encode_checked(bytes([kind.value]) + raw)


@functools.lru_cache(maxsize=4096)  # the same few keys come again with every connection; a failure is not kept
def decode_public(text: str, *, line_breaks: bool = False) -> tuple[KeyKind, bytes]:
    """Kind and 32 raw bytes of a public key. Raises NkeyError (``nkeys: invalid public key`` and others)."""
    data = _decode_checked(text, line_breaks)
    kind = _KIND_BY_PREFIX.get(data[0])
    if kind is None or len(data) != 1 + RAW_KEY_BYTES:
        raise NkeyError("nkeys: invalid public key")
    return kind, data[1:]


def encode_seed(kind: KeyKind, raw: bytes) -> str:
    """The text of a seed: 58 characters. Raises NkeyError unless ``raw`` has 32 bytes."""
    if len(raw) != RAW_KEY_BYTES:
        raise NkeyError("nkeys: invalid seed")
    return _encode_checked(bytes([PREFIX_SEED | kind.value >> 5, (kind.value & 0x1F) << 3]) + raw)


def decode_seed(text: str, *, line_breaks: bool = False) -> tuple[KeyKind, bytes]:
    """Kind and 32 raw bytes of a seed. Raises NkeyError (``nkeys: invalid seed`` and others)."""
    data = _decode_checked(text, line_breaks)
    if data[0] & 0xF8 != PREFIX_SEED or len(data) != 2 + RAW_KEY_BYTES or data[1] & 7:
        raise NkeyError("nkeys: invalid seed")
    kind = _KIND_BY_PREFIX.get((data[0] & 7) << 5 | data[1] >> 3)
    if kind is None:
        raise NkeyError("nkeys: invalid seed")
    return kind, data[2:]


def encode_private(raw: bytes) -> str:
    """The ``P`` form: an export format that nothing here reads. 64 bytes for Ed25519, 32 for a curve key."""
    return _encode_checked(bytes([PREFIX_PRIVATE]) + raw)


def public_kind(text: str) -> KeyKind | None:
    """What kind of public key is this? None: none at all."""
    try:
        return decode_public(text)[0]
    except NkeyError:
        return None


def is_public(text: str, *kinds: KeyKind) -> bool:
    """Is this a public key (of one of these kinds, if any are named)?"""
    kind = public_kind(text)
    return kind is not None and (not kinds or kind in kinds)


def verify(public: str, data: bytes, signature: bytes) -> bool:
    """Did the holder of ``public`` sign ``data``? False as well for a text that is no Ed25519 public key."""
    try:
        kind, raw = decode_public(public)
    except NkeyError:
        return False
    return kind is not KeyKind.CURVE and _verify_raw(raw, data, signature)


def _verify_raw(raw: bytes, data: bytes, signature: bytes) -> bool:
    if len(signature) != SIGNATURE_BYTES:
        return False
    try:
        VerifyKey(raw).verify(data, signature)
    except BadSignatureError:
        return False
    return True


class KeyPair:
    """An Ed25519 key: with its seed it signs, with the public half alone it verifies."""

    def __init__(
        self, kind: KeyKind, public: bytes, seed: bytes | None = None, signing: SigningKey | None = None
    ) -> None:
        """From raw bytes; see generate, from_seed and from_public for texts. ``signing``: made of the seed already."""
        if kind is KeyKind.CURVE:
            raise NkeyError("nkeys: curve key is not valid for sign/verify")
        self.kind = kind
        self._public = public
        self._text = ""
        self._seed = None if seed is None else bytearray(seed)
        self._signing: SigningKey | None = signing if seed is None or signing is not None else SigningKey(seed)

    @classmethod
    def generate(cls, kind: KeyKind, random: Callable[[int], bytes] = os.urandom) -> "KeyPair":
        """A new key. ``random(n)`` gives n random bytes."""
        return cls._of_raw_seed(kind, random(RAW_KEY_BYTES))

    @classmethod
    def from_seed(cls, seed: str, *, line_breaks: bool = False) -> "KeyPair":
        """Raises NkeyError. ``line_breaks``: the text was read from a file and may hold its line's end."""
        return cls._of_raw_seed(*decode_seed(seed, line_breaks=line_breaks))

    @classmethod
    def from_public(cls, public: str, *, line_breaks: bool = False) -> "KeyPair":
        """A key that verifies only. Raises NkeyError."""
        return cls(*decode_public(public, line_breaks=line_breaks))

    @classmethod
    def _of_raw_seed(cls, kind: KeyKind, raw: bytes) -> "KeyPair":
        if kind is KeyKind.CURVE:
            raise NkeyError("nkeys: curve key is not valid for sign/verify")
        signing = SigningKey(raw)
        return cls(kind, bytes(signing.verify_key), raw, signing)

    def __repr__(self) -> str:
        return f"<KeyPair {self.public}>"

    @property
    def public(self) -> str:
        """The text of the public key."""
        if not self._text:
            self._text = encode_public(self.kind, self._public)
        return self._text

    @property
    def can_sign(self) -> bool:
        """Does it hold a seed (that was not wiped)?"""
        return self._signing is not None

    @property
    def seed(self) -> str:
        """The text of the seed. Raises NkeyError when there is none."""
        return encode_seed(self.kind, self._raw_seed())

    @property
    def private(self) -> str:
        """The ``P`` export form. Raises NkeyError when there is no seed."""
        return encode_private(self._raw_seed() + self._public)

    def sign(self, data: bytes) -> bytes:
        """64 bytes. Raises NkeyError when there is no seed."""
        if self._signing is None:
            raise NkeyError("nkeys: no seed or private key available")
        return self._signing.sign(data).signature

    def verify(self, data: bytes, signature: bytes) -> bool:
        """Is this our signature over ``data``?"""
        return _verify_raw(self._public, data, signature)

    def wipe(self) -> None:
        """Forget the seed: overwritten where Python lets us, and not usable any more."""
        if self._seed is not None:
            self._seed[:] = bytes(len(self._seed))
        self._seed = None
        self._signing = None

    def _raw_seed(self) -> bytes:
        if self._seed is None:
            raise NkeyError("nkeys: no seed or private key available")
        return bytes(self._seed)
