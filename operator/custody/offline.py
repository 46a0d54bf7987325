"""Keys that leave the keystore for another place, a root key above all, and come back for an hour.

An exported key is a plain ``.nk`` file, or one JSON document in which the seed is sealed under a passphrase or for a
recipient. It is written, flushed, read back and compared before the keystore forgets the seed; what stays is the public
key, which is how the keystore knows that the key is offline.
"""

import os
from pathlib import Path

import msgspec
from msgspec import Struct

from gossamer.auth.keys import KeyKind, KeyPair, decode_seed
from gossamer.auth.xkeys import CurveKeyPair
from gossamer.operator.custody.sealing import (
    Envelope,
    LocalVault,
    SealingError,
    new_envelope,
    new_master,
    open_with_identity,
    open_with_passphrase,
)
from gossamer.operator.failure import Failure, from_os_error, usage
from gossamer.operator.store.changes import FILE_MODE, ChangeSet, make_folder
from gossamer.operator.store.keystore import public_of_seed

SCHEMA = "gossamer/sealed-key/v1"


class SealedKey(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An exported key that is sealed."""

    public: str
    envelope: Envelope
    content: str
    schema: str = SCHEMA


def exported(seed: str, *, passphrase: bytes = b"", recipients: tuple[str, ...] = ()) -> bytes:
    """The content of an export file: sealed if there is something to seal under, else the plain seed."""
    if not passphrase and not recipients:
        return seed.encode()
    master = new_master()
    try:
        envelope = new_envelope(master, passphrase=passphrase, recipients=recipients)
    except SealingError as error:
        raise usage(str(error), "make one with: gossamer key generate curve") from None
    public = public_of_seed(seed)
    sealed = SealedKey(
        public=public, envelope=envelope, content=LocalVault(master).seal(public, seed.encode()).decode()
    )
    return msgspec.json.format(msgspec.json.encode(sealed), indent=2) + b"\n"


def imported(content: bytes, *, passphrase: bytes = b"", identity: str = "") -> str:
    """The seed in an export file, sealed or plain. Raises Failure."""
    text = content.decode("ascii", "replace").strip()
    if public_of_seed(text):
        return text
    try:
        held = msgspec.json.decode(content, type=SealedKey)
    except msgspec.DecodeError:
        raise Failure("the file holds no key", code="bad-key", hint="give a file that keys export wrote") from None
    try:
        if identity:
            master = open_with_identity(held.envelope, identity)
        elif passphrase:
            master = open_with_passphrase(held.envelope, passphrase)
        else:
            raise Failure(
                f"the file of {held.public} is sealed",
                code="locked-key",
                hint="name its passphrase with --key-passphrase-file, or the recipient with --identity-file",
            )
        seed = LocalVault(master).open(held.public, held.content.encode()).decode("ascii", "replace")
    except SealingError as error:
        raise Failure(f"the file of {held.public} cannot be opened: {error}", code="wrong-secret") from None
    if public_of_seed(seed) != held.public:
        raise Failure(f"the file does not hold the seed of {held.public}", code="wrong-seed")
    return seed


def write_export(path: Path, content: bytes) -> None:
    """Write an export file (0600), to the disk, and read it back. Raises Failure; never overwrites."""
    make_folder(path.parent)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, FILE_MODE)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        raise Failure(f"{path} exists", code="exists", hint="name another file", path=str(path)) from None
    except OSError as error:
        raise from_os_error(error, "write", path, "name another file with -o") from None
    if ChangeSet().read(path) != content:
        raise Failure(f"{path} does not hold what was written to it", code="verification", path=str(path))


def pair_of(seed: str) -> KeyPair | CurveKeyPair:
    """The key pair of a seed of any kind."""
    return CurveKeyPair.from_seed(seed) if decode_seed(seed)[0] is KeyKind.CURVE else KeyPair.from_seed(seed)
