"""Sealing: one random master key per keystore or archive, and slots that each hold that master key for one way in.

A slot is a passphrase (argon2id) or a recipient (an ``X`` key, through an anonymous box). Changing the passphrase
rewrites a slot and no file. What the master key seals is bound to a label, so that sealed files cannot change places.
"""

import base64
import binascii
import os
from collections.abc import Iterable
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta, Struct
from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox
from nacl.pwhash import argon2id
from nacl.secret import Aead

from gossamer.auth.keys import KeyKind, NkeyError, decode_public, decode_seed

MASTER_BYTES = 32
MARK = b"gossamer-sealed-v1 "

#: Memory-hard, about a tenth of a second: three passes over 64 MiB (RFC 9106, second recommendation).
PASSES = 3
MEMORY_BYTES = 64 * 1024 * 1024


class SealingError(ValueError):
    """Something cannot be opened: another passphrase, another key, or altered. Never shows a secret."""


class PassphraseSlot(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The master key under a passphrase. ``wrapped`` and ``salt`` are base64. The cost has a bound: it comes from a
    file that somebody may have altered."""

    salt: str
    wrapped: str
    passes: Annotated[int, Meta(ge=1, le=32)] = PASSES
    memory_bytes: Annotated[int, Meta(ge=8192, le=2**31)] = MEMORY_BYTES


class RecipientSlot(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The master key for the holder of an ``X`` key."""

    public: str
    wrapped: str


class Envelope(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All ways to one master key. ``id`` is random and names the master key."""

    id: str
    passphrase: PassphraseSlot | None = None
    recipients: tuple[RecipientSlot, ...] = ()


class Vault(Protocol):
    """Seals and opens under a master key that it may hold elsewhere."""

    def seal(self, label: str, content: bytes) -> bytes:
        """The sealed form: one line of ASCII that begins with ``MARK``."""

    def open(self, label: str, sealed: bytes) -> bytes:
        """What was sealed under this label. Raises SealingError."""


class LocalVault:
    """A vault with the master key in this process."""

    def __init__(self, master: bytes) -> None:
        self._box = Aead(master)

    def seal(self, label: str, content: bytes) -> bytes:
        """See ``Vault``."""
        return MARK + base64.b64encode(bytes(self._box.encrypt(content, aad=label.encode())))

    def open(self, label: str, sealed: bytes) -> bytes:
        """See ``Vault``."""
        try:
            return self._box.decrypt(base64.b64decode(sealed.removeprefix(MARK).strip(), validate=True), label.encode())
        except (CryptoError, binascii.Error, ValueError):
            raise SealingError("it was sealed under another key, or has been altered") from None


def is_sealed(content: bytes) -> bool:
    """Is this the sealed form?"""
    return content.startswith(MARK)


def new_master() -> bytes:
    """32 random bytes."""
    return os.urandom(MASTER_BYTES)


def new_envelope(
    master: bytes, *, passphrase: bytes = b"", recipients: Iterable[str] = (), identity: str = ""
) -> Envelope:
    """An envelope with a slot for the passphrase (if not empty) and each recipient. Raises SealingError for a
    recipient that is no ``X`` key. ``identity``: the id of a master key that has one already."""
    identity = identity or os.urandom(16).hex()
    return Envelope(
        id=identity,
        passphrase=_passphrase_slot(master, identity, passphrase) if passphrase else None,
        recipients=tuple(_recipient_slot(master, public) for public in recipients),
    )


def open_with_passphrase(envelope: Envelope, passphrase: bytes) -> bytes:
    """The master key. Raises SealingError for a wrong passphrase, or when no passphrase opens this envelope."""
    slot = envelope.passphrase
    if slot is None:
        raise SealingError("no passphrase opens it, only the key of a recipient")
    try:
        salt, wrapped = base64.b64decode(slot.salt, validate=True), base64.b64decode(slot.wrapped, validate=True)
        key = argon2id.kdf(MASTER_BYTES, passphrase, salt, opslimit=slot.passes, memlimit=slot.memory_bytes)
        return Aead(key).decrypt(wrapped, envelope.id.encode())
    except (CryptoError, binascii.Error, ValueError):
        raise SealingError("the passphrase is wrong") from None


def open_with_identity(envelope: Envelope, seed: str) -> bytes:
    """The master key, by the seed of a recipient. Raises SealingError."""
    try:
        kind, raw = decode_seed(seed)
    except NkeyError:
        kind, raw = KeyKind.USER, b""
    if kind is not KeyKind.CURVE:
        raise SealingError("the identity is not the seed of an X key")
    box = SealedBox(PrivateKey(raw))
    for slot in envelope.recipients:
        try:
            return box.decrypt(base64.b64decode(slot.wrapped, validate=True))
        except (CryptoError, binascii.Error, ValueError):
            continue
    raise SealingError("it was not sealed for this identity")


def read_envelope(text: bytes) -> Envelope:
    """An envelope from JSON. Raises SealingError."""
    try:
        return msgspec.json.decode(text, type=Envelope)
    except msgspec.DecodeError as error:
        raise SealingError(f"its header is broken: {error}") from None


def _passphrase_slot(master: bytes, identity: str, passphrase: bytes) -> PassphraseSlot:
    salt = os.urandom(argon2id.SALTBYTES)
    key = argon2id.kdf(MASTER_BYTES, passphrase, salt, opslimit=PASSES, memlimit=MEMORY_BYTES)
    return PassphraseSlot(
        salt=base64.b64encode(salt).decode(),
        wrapped=base64.b64encode(bytes(Aead(key).encrypt(master, aad=identity.encode()))).decode(),
        passes=PASSES,
        memory_bytes=MEMORY_BYTES,
    )


def _recipient_slot(master: bytes, public: str) -> RecipientSlot:
    try:
        kind, raw = decode_public(public)
    except NkeyError:
        kind, raw = KeyKind.USER, b""
    if kind is not KeyKind.CURVE:
        raise SealingError(f"{public!r} is not the public half of an X key")
    return RecipientSlot(public=public, wrapped=base64.b64encode(SealedBox(PublicKey(raw)).encrypt(master)).decode())
