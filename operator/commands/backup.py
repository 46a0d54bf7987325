"""``gossamer backup``: one encrypted file with everything."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from gossamer.operator.backup import archive
from gossamer.operator.commands.session import Session, now_seconds, reading, writing
from gossamer.operator.custody.moving import PASSPHRASE_BYTES_MIN
from gossamer.operator.custody.sealing import (
    Envelope,
    SealingError,
    new_envelope,
    new_master,
    open_with_identity,
    open_with_passphrase,
)
from gossamer.operator.custody.unlocking import Unlocking
from gossamer.operator.failure import usage
from gossamer.operator.output.document import Document, Facts


@click.group()
def backup() -> None:
    """Make, check and restore encrypted backups of stores, keys and the log."""


def _secret_options(body: Any) -> Any:
    for option in (
        click.option("--backup-passphrase-env", metavar="NAME", default="", help="Variable with its passphrase."),
        click.option("--backup-passphrase-fd", type=int, default=-1, metavar="N", help="Descriptor to read it from."),
        click.option("--backup-passphrase-file", metavar="FILE", default="", help="File with its passphrase."),
    ):
        body = option(body)
    return body


@backup.command()
@click.option("-o", "--output-file", metavar="FILE", required=True, help="Where to write it.")
@click.option("--recipient", multiple=True, metavar="XKEY", help="Public X key that may open it.")
@_secret_options
@writing
def create(session: Session, output_file: str, recipient: tuple[str, ...], **given: Any) -> Document:
    """Write everything into one encrypted file: all operators, keys, credentials, the audit log and the context."""
    secret = _passphrase(session, given, asked="" if recipient else "Passphrase of the backup", confirm=True)
    if not secret and not recipient:
        raise usage("nothing would open the backup", "give --backup-passphrase-file, -fd or -env, or --recipient X...")
    if secret and len(secret) < PASSPHRASE_BYTES_MIN:
        raise usage(f"the passphrase is shorter than {PASSPHRASE_BYTES_MIN} bytes", "take a longer one")
    path = Path(output_file).expanduser().absolute()
    master = new_master()
    try:
        envelope = new_envelope(master, passphrase=secret, recipients=recipient)
    except SealingError as error:
        raise usage(str(error), "make one with: gossamer key generate curve") from None
    if session.dry_run:
        names = [name for name, _ in archive.contents(session.workspace)]
        return Document(data={"path": str(path), "files": names}, done=[f"write {len(names)} files to {path}"])
    manifest = archive.create(session.workspace, path, master, envelope, now=now_seconds())
    return _answer(manifest, path, f"wrote {len(manifest.files)} files to {path}")


@backup.command()
@click.argument("file")
@_secret_options
@reading
def verify(session: Session, file: str, **given: Any) -> Document:
    """Read a backup to its end, and compare every file with its manifest."""
    path = Path(file).expanduser().absolute()
    manifest = archive.verify(path, _unlock(session, given))
    return _answer(manifest, path, f"{path} is whole: {len(manifest.files)} files")


@backup.command()
@click.argument("file")
@click.option("--force", is_flag=True, help="Overwrite files that say something else.")
@_secret_options
@writing
def restore(session: Session, file: str, force: bool, **given: Any) -> Document:
    """Put everything back where it was, or with -H, --data-dir ... somewhere else."""
    path = Path(file).expanduser().absolute()
    unlock = _unlock(session, given)
    workspace = session.workspace
    if session.dry_run:
        manifest = archive.verify(path, unlock)
    else:
        manifest = archive.restore(workspace, path, unlock, force=force)
    document = _answer(manifest, path, f"restored {len(manifest.files)} files")
    root = workspace.reopened().context.text("store_root")
    if root and Path(root) != workspace.store.root:
        document.warn(
            "other-place", f"the context names the stores in {root}", hint=f"gossamer env -s {workspace.store.root}"
        )
    return document


def _answer(manifest: archive.Manifest, path: Path, line: str) -> Document:
    data = {
        "path": str(path),
        "created": manifest.created,
        "operators": list(manifest.operators),
        "files": msgspec.to_builtins(manifest.files),
    }
    pairs = (
        ("created", manifest.created),
        ("operators", ", ".join(manifest.operators)),
        ("files", str(len(manifest.files))),
        ("bytes", str(sum(file.size for file in manifest.files))),
    )
    return Document(data=data, sections=[Facts(title="Backup", pairs=pairs)], done=[line])


def _passphrase(session: Session, given: dict[str, Any], asked: str, confirm: bool) -> bytes:
    chosen = Unlocking(
        passphrase_fd=given.pop("backup_passphrase_fd"),
        passphrase_file=given.pop("backup_passphrase_file"),
        passphrase_variable=given.pop("backup_passphrase_env"),
        interactive=session.workspace.keystore.custodian.unlocking.interactive,
    )
    return chosen.flagged_passphrase(os.environ) or chosen.passphrase({}, asked=asked, confirm=confirm)


def _unlock(session: Session, given: dict[str, Any]) -> Callable[[Envelope], bytes]:
    identity = session.workspace.keystore.custodian.unlocking.identity(os.environ)
    secret = _passphrase(session, given, asked="" if identity else "Passphrase of the backup", confirm=False)
    if not secret and not identity:
        raise usage("what opens the backup?", "give --backup-passphrase-file, -fd or -env, or --identity-file")

    def unlock(envelope: Envelope) -> bytes:
        return open_with_identity(envelope, identity) if identity else open_with_passphrase(envelope, secret)

    return unlock
