"""Moving a keystore from one form to another, and changing who may unlock it.

Nothing is destroyed before the new form has been read back: every file is opened again from the bytes about to be
written, by a vault that was unlocked anew from the envelope, and must give the same key. A sealed keystore keeps its
master key when only the way to unlock it changes, so that a crash never leaves a file that nothing opens.
"""

from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from gossamer.operator.custody.custodian import Backend, Custodian, CustodyFile
from gossamer.operator.custody.ring import put_ring_master, ring_master
from gossamer.operator.custody.sealing import (
    Envelope,
    LocalVault,
    SealingError,
    Vault,
    is_sealed,
    new_envelope,
    new_master,
    open_with_passphrase,
)
from gossamer.operator.failure import Failure, usage
from gossamer.operator.store.keystore import CREDENTIALS_FOLDER, credentials_label, public_of_seed
from gossamer.operator.store.workspace import Workspace

PASSPHRASE_BYTES_MIN = 8


class Move(Struct, frozen=True, kw_only=True):
    """What a move did. ``left_ring``: the envelope whose entry in the system's keyring is of no use any more."""

    keys: int
    credentials: int
    before: Backend
    after: Backend
    left_ring: str = ""


def move(
    workspace: Workspace, target: Backend, *, passphrase: bytes = b"", recipients: tuple[str, ...] = (), dry: bool
) -> Move:
    """Put the keystore into another form, in the workspace's change set. ``passphrase`` and ``recipients`` open the
    new form. ``dry``: leave the system's keyring alone. Raises Failure, with nothing changed."""
    custodian = workspace.keystore.custodian
    old = custodian.described()
    before = Backend.FILE if old is None else old.backend
    new, vault = _new_form(custodian, old, target, passphrase, recipients, dry=dry)
    contents = list(_contents(workspace))
    # First the description of the form that opens both kinds of file; when everything is plain again it goes last.
    if new is not None:
        custodian.describe(new, vault)
    keys = 0
    for path, label, content in contents:
        wrapped = content if vault is None else vault.seal(label, content)
        _check(path, label, content, wrapped, vault)
        keys += path.suffix == ".nk"
        if is_sealed(workspace.changes.read(path) or b"") and new is not None and old is not None:
            continue  # the same master key: sealed as it should be
        workspace.changes.write(path, wrapped)
    if new is None:
        custodian.describe(None, None)
    return Move(
        keys=keys,
        credentials=len(contents) - keys,
        before=before,
        after=target,
        left_ring=old.envelope.id if old and before is Backend.KEYRING and target is not Backend.KEYRING else "",
    )


def _new_form(
    custodian: Custodian,
    old: CustodyFile | None,
    target: Backend,
    passphrase: bytes,
    recipients: tuple[str, ...],
    *,
    dry: bool,
) -> tuple[CustodyFile | None, Vault | None]:
    if target is Backend.FILE:
        if old is None:
            raise Failure("the keystore is plain already", code="nothing-to-do")
        return None, None
    master = new_master() if old is None else custodian.master()
    if target is Backend.ENCRYPTED:
        # The id belongs to the master key: running agents and the keyring know it by that.
        envelope = _envelope(master, passphrase, recipients, "" if old is None else old.envelope.id)
    else:
        envelope = new_envelope(master) if old is None else Envelope(id=old.envelope.id)
        if not dry:
            put_ring_master(envelope.id, master)
            master = ring_master(envelope.id)
    if passphrase and target is Backend.ENCRYPTED:
        master = open_with_passphrase(envelope, passphrase)
    return CustodyFile(backend=target, envelope=envelope), LocalVault(master)


def _envelope(master: bytes, passphrase: bytes, recipients: tuple[str, ...], identity: str) -> Envelope:
    if not passphrase and not recipients:
        raise usage(
            "nothing would open the sealed keystore",
            "give a passphrase (--new-passphrase-file, --new-passphrase-fd, --new-passphrase-env) or --recipient X...",
        )
    if passphrase and len(passphrase) < PASSPHRASE_BYTES_MIN:
        raise usage(f"the passphrase is shorter than {PASSPHRASE_BYTES_MIN} bytes", "take a longer one")
    try:
        return new_envelope(master, passphrase=passphrase, recipients=recipients, identity=identity)
    except SealingError as error:
        raise usage(str(error), "make one with: gossamer key generate curve") from None


def _contents(workspace: Workspace) -> Iterator[tuple[Path, str, bytes]]:
    """Path, label and opened content of everything secret in the keystore."""
    keystore, changes = workspace.keystore, workspace.changes
    for public in keystore.publics():
        path = keystore.key_path(public)
        seed = keystore.stored_seed(public)
        if seed is not None:
            yield path, public, seed.encode()
    top = keystore.root / CREDENTIALS_FOLDER
    for operator in changes.children(top):
        for account in changes.children(top / operator):
            for name in changes.children(top / operator / account):
                path = top / operator / account / name
                content = changes.read(path)
                if content is not None and name.endswith(".creds"):
                    label = credentials_label(operator, account, name.removesuffix(".creds"))
                    yield path, label, keystore.custodian.unwrap(label, content, path)


def _check(path: Path, label: str, content: bytes, wrapped: bytes, vault: Vault | None) -> None:
    """Raises Failure unless ``wrapped`` gives ``content`` back, and the seed in it is that of its file."""
    read_back = wrapped if vault is None else vault.open(label, wrapped)
    same_key = path.suffix != ".nk" or public_of_seed(read_back.decode("ascii", "replace")) == path.stem
    if read_back != content or not same_key:
        raise Failure(
            f"{path} could not be read back in its new form: nothing was changed", code="verification", path=str(path)
        )
