"""How the keystore keeps its secrets (spec operator-cli section 10.6): commands of ``gossamer key``.

``gossamer keys`` is the older name of the same commands. Its ``export`` and ``import`` are ``copy`` and ``online`` of
``key``, whose own ``export`` and ``import`` are nsc's.
"""

import os
from pathlib import Path
from typing import Any

import click

from gossamer.auth.keys import is_public
from gossamer.operator.commands.amounts import parse_duration
from gossamer.operator.commands.session import Session, reading, writing
from gossamer.operator.custody import moving, offline
from gossamer.operator.custody.agent import start_agent
from gossamer.operator.custody.custodian import Backend
from gossamer.operator.custody.ring import forget_ring_master
from gossamer.operator.custody.unlocking import Unlocking
from gossamer.operator.failure import Failure, usage
from gossamer.operator.output.document import Document, Facts, cell
from gossamer.operator.store.changes import ChangeSet
from gossamer.operator.store.workspace import Workspace

LIFE_MAX_S = 24 * 3600


@click.group(hidden=True)
def keys() -> None:
    """Another name for commands of gossamer key: export is key copy, import is key online."""


def _new_secret_options(body: Any) -> Any:
    for option in (
        click.option("--recipient", multiple=True, metavar="XKEY", help="Public X key that may open it as well."),
        click.option("--new-passphrase-env", metavar="NAME", default="", help="Variable with the new passphrase."),
        click.option("--new-passphrase-fd", type=int, default=-1, metavar="N", help="Descriptor to read it from."),
        click.option("--new-passphrase-file", metavar="FILE", default="", help="File with the new passphrase."),
    ):
        body = option(body)
    return body


def _new_passphrase(session: Session, given: dict[str, Any], asked: str = "") -> bytes:
    custodian = session.workspace.keystore.custodian
    chosen = Unlocking(
        passphrase_fd=given.pop("new_passphrase_fd"),
        passphrase_file=given.pop("new_passphrase_file"),
        passphrase_variable=given.pop("new_passphrase_env"),
        interactive=custodian.unlocking.interactive,
    )
    if asked:
        return chosen.flagged_passphrase(os.environ) or chosen.passphrase({}, asked=asked, confirm=True)
    return chosen.flagged_passphrase(os.environ)


@keys.command()
@reading
def status(session: Session) -> Document:
    """Show how the keystore keeps its secrets, and whether it is unlocked."""
    keystore = session.workspace.keystore
    described, agent = keystore.custodian.described(), keystore.custodian.agent()
    remaining = 0.0 if agent is None else agent.remaining_s()
    publics = list(keystore.publics())
    away = [public for public in publics if keystore.is_offline(public)]
    data = {
        "keystore": str(keystore.root),
        "backend": keystore.custodian.backend.value,
        "passphrase": described is not None and described.envelope.passphrase is not None,
        "recipients": [] if described is None else [slot.public for slot in described.envelope.recipients],
        "unlocked_for_s": round(remaining),
        "keys": len(publics),
        "offline": away,
    }
    return Document(data=data, sections=[Facts(pairs=tuple((name, cell(value)) for name, value in data.items()))])


@keys.command()
@click.option("--to", "target", type=click.Choice([backend.value for backend in Backend]), required=True)
@_new_secret_options
@writing
def move(session: Session, target: str, recipient: tuple[str, ...], **given: Any) -> Document:
    """Put all keys and credentials into another form: plain files (file), sealed (encrypted), or sealed under a key in
    the system's keyring (keyring). The old form goes only after the new one was read back."""
    workspace = session.workspace
    custodian = workspace.keystore.custodian
    backend = Backend(target)
    passphrase = b""
    if backend is Backend.ENCRYPTED:
        passphrase = _new_passphrase(session, given)
        if not passphrase and custodian.described() is None:
            # Nothing is sealed yet: the passphrase flags can only mean the new one.
            asked = "" if recipient else "New passphrase"
            passphrase = custodian.unlocking.passphrase(os.environ, asked=asked, confirm=True)
        elif not passphrase and not recipient and custodian.unlocking.interactive:
            passphrase = Unlocking(interactive=True).passphrase({}, asked="New passphrase", confirm=True)
    elif recipient:
        raise usage("recipients belong to --to encrypted", "leave --recipient out")
    done = moving.move(workspace, backend, passphrase=passphrase, recipients=recipient, dry=session.dry_run)
    if done.left_ring and not session.dry_run:
        # Only when everything is on the disk in its new form.
        workspace.changes.commit()
        forget_ring_master(done.left_ring)
    data = {"before": done.before.value, "after": done.after.value, "keys": done.keys, "credentials": done.credentials}
    document = Document(data=data)
    document.done.append(f"moved {done.keys} keys and {done.credentials} credentials to: {done.after}")
    if done.before is Backend.FILE:
        document.warn(
            "plain-before",
            "the plain files were replaced, but disks and backups may keep their old content",
            hint="rotate keys that others may have read",
        )
    return document


@keys.command()
@_new_secret_options
@writing
def passphrase(session: Session, recipient: tuple[str, ...], **given: Any) -> Document:
    """Change the passphrase of a sealed keystore. The recipients stay unless others are named."""
    custodian = session.workspace.keystore.custodian
    described = custodian.described()
    if described is None or described.backend is not Backend.ENCRYPTED:
        raise Failure("the keystore has no passphrase", code="not-sealed", hint="give it one: gossamer key move")
    chosen = _new_passphrase(session, given, asked="New passphrase")
    if not chosen:
        raise usage("there is no new passphrase", "name it with --new-passphrase-file, -fd or -env")
    recipients = recipient or tuple(slot.public for slot in described.envelope.recipients)
    moving.move(session.workspace, Backend.ENCRYPTED, passphrase=chosen, recipients=recipients, dry=session.dry_run)
    return Document(data={"changed": True}, done=["changed the passphrase"])


@keys.command()
@click.option("--for", "life", metavar="DURATION", default="15m", help="How long: 30s, 15m, 8h.", show_default=True)
@reading
def unlock(session: Session, life: str) -> Document:
    """Start an agent that keeps the keystore unlocked for a while."""
    custodian = session.workspace.keystore.custodian
    described = custodian.described()
    if described is None:
        raise Failure("the keystore is not sealed", code="not-sealed", hint="nothing needs unlocking")
    life_s = parse_duration(life) / 1e9
    if not 0 < life_s <= LIFE_MAX_S:
        raise usage(f"{life!r} is no time to stay unlocked", "write 30s to 24h")
    master = custodian.master()
    agent = custodian.agent()
    assert agent is not None
    agent.lock()
    start_agent(agent.path, described.envelope.id, master, life_s)
    return Document(data={"unlocked_for_s": round(life_s)}, done=[f"unlocked for {life}"])


@keys.command()
@reading
def lock(session: Session) -> Document:
    """End the agent."""
    agent = session.workspace.keystore.custodian.agent()
    was = agent is not None and agent.lock()
    return Document(data={"was_unlocked": was}, done=["locked"] if was else ["it was locked already"])


@keys.command()
@click.argument("who")
@click.option("-o", "--output-file", metavar="FILE", required=True, help="Where to write the key.")
@click.option("--plain", is_flag=True, help="Write the bare seed; without it a passphrase or recipient is needed.")
@click.option("--remove", is_flag=True, help="Keep the public key only: the same as key offline.")
@_new_secret_options
@writing
def export(
    session: Session, who: str, output_file: str, plain: bool, remove: bool, recipient: tuple[str, ...], **given: Any
) -> Document:
    """Copy a key (public key, or the name of an operator) into a file, sealed or plain."""
    return _export(session, who, output_file, plain, remove, recipient, given)


@keys.command("offline")
@click.argument("who")
@click.option("-o", "--output-file", metavar="FILE", required=True, help="Where to write the key.")
@click.option("--plain", is_flag=True, help="Write the bare seed; without it a passphrase or recipient is needed.")
@_new_secret_options
@writing
def take_offline(
    session: Session, who: str, output_file: str, plain: bool, recipient: tuple[str, ...], **given: Any
) -> Document:
    """Take a key out of the keystore, for instance an operator's identity key onto a stick. What it signs from then on
    is signed where it is: see gossamer signer request."""
    return _export(session, who, output_file, plain, True, recipient, given)


@keys.command("import")
@click.argument("file")
@click.option("--key-passphrase-env", metavar="NAME", default="", help="Variable with the passphrase of the file.")
@click.option("--key-passphrase-fd", type=int, default=-1, metavar="N", help="Descriptor to read it from.")
@click.option("--key-passphrase-file", metavar="FILE", default="", help="File that holds it.")
@writing
def import_key(session: Session, file: str, **given: Any) -> Document:
    """Bring a key back that copy or offline wrote, or a plain seed."""
    content = ChangeSet().read(Path(file).expanduser())
    if content is None:
        raise Failure(f"there is no file {file}", code="not-found", hint="name another one")
    chosen = Unlocking(
        passphrase_fd=given["key_passphrase_fd"],
        passphrase_file=given["key_passphrase_file"],
        passphrase_variable=given["key_passphrase_env"],
        interactive=session.workspace.keystore.custodian.unlocking.interactive,
    )
    identity = session.workspace.keystore.custodian.unlocking.identity(os.environ)
    secret = chosen.flagged_passphrase(os.environ)
    if not secret and not identity and content.lstrip().startswith(b"{"):
        secret = chosen.passphrase({}, asked="Passphrase of the file")
    pair = offline.pair_of(offline.imported(content, passphrase=secret, identity=identity))
    session.workspace.keystore.put(pair)
    return Document(data={"key": pair.public}, done=[f"stored {pair.public}"])


def _export(
    session: Session,
    who: str,
    output_file: str,
    plain: bool,
    remove: bool,
    recipients: tuple[str, ...],
    given: dict[str, Any],
) -> Document:
    keystore = session.workspace.keystore
    public = _public(session.workspace, who)
    seed = keystore.stored_seed(public)
    if seed is None:
        where = "is offline already" if keystore.is_offline(public) else "is not in the keystore"
        raise Failure(f"the seed of {public} {where}", code="no-seed")
    secret = _new_passphrase(session, given, asked="" if plain or recipients else "Passphrase of the file")
    if plain == bool(secret or recipients):
        raise usage(
            "say how the file is to be kept",
            "give --new-passphrase-file (or -fd, -env) or --recipient, or else --plain",
        )
    path = Path(output_file).expanduser().absolute()
    content = offline.exported(seed, passphrase=secret, recipients=recipients)
    document = Document(data={"key": public, "path": str(path), "removed": remove, "sealed": not plain})
    if not session.dry_run:
        offline.write_export(path, content)
        # A recipient's key is not here: then only what the passphrase opens can be tried.
        if plain or secret:
            opened = offline.imported(content, passphrase=secret)
            if opened != seed:
                raise Failure(f"{path} does not give the key back: it stays", code="verification", path=str(path))
    document.done.append(f"wrote {public} to {path}")
    if remove:
        keystore.put_public(public)
        document.done.append(f"the keystore keeps the public key of {public} only")
        if not plain and not secret:
            document.warn("not-tried", "whether the recipient can open the file was not tried", path=str(path))
    return document


def _public(workspace: Workspace, who: str) -> str:
    return who if is_public(who) else workspace.store.operator(who).claims.subject
