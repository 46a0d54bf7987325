"""``gossamer key``: the keystore. How it keeps its secrets is in ``custody``."""

from pathlib import Path
from typing import Any

import click

from gossamer.auth.keys import KeyKind, KeyPair, public_kind
from gossamer.auth.xkeys import CurveKeyPair
from gossamer.operator.commands import custody, options
from gossamer.operator.commands.session import Session, migrating, reading, writing
from gossamer.operator.failure import Failure, usage
from gossamer.operator.output.document import Document, Facts, Table, cell
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants import keyfiles
from gossamer.operator.tenants.inventory import KeyUse, inventory

KINDS = {"operator": KeyKind.OPERATOR, "account": KeyKind.ACCOUNT, "user": KeyKind.USER, "curve": KeyKind.CURVE}


@click.group()
def key() -> None:
    """List, make and show keys; seal the keystore, unlock it for a while, take keys offline and bring them back."""


for _command in (custody.status, custody.move, custody.passphrase, custody.unlock, custody.lock, custody.take_offline):
    key.add_command(_command)
key.add_command(custody.export, "copy")
key.add_command(custody.import_key, "online")


_kind_options = options.together(
    click.option("-o", "--operators", is_flag=True, help="Keys of operators."),
    click.option("-a", "--accounts", is_flag=True, help="Keys of accounts."),
    click.option("-u", "--users", is_flag=True, help="Keys of users."),
    click.option("-x", "--curves", is_flag=True, help="Curve keys."),
)


@key.command("list")
@click.option("-A", "--all", "every", is_flag=True, help="Keys of all operators, and those that nothing refers to.")
@click.option("--not-referenced", is_flag=True, help="Only keys that no claim refers to.")
@click.option("-f", "--filter", "part", metavar="TEXT", default="", help="Only keys or names with this text in it.")
@click.option("-S", "--show-secrets", is_flag=True, help="Show the seeds.")
@_kind_options
@reading
def list_keys(
    session: Session, every: bool, not_referenced: bool, part: str, show_secrets: bool, **kinds: bool
) -> Document:
    """List keys: whose they are, and whether their seed is stored."""
    workspace = session.workspace
    uses = _chosen(workspace, every=every, not_referenced=not_referenced, part=part, **kinds)
    data: list[dict[str, Any]] = []
    rows: list[tuple[str, ...]] = []
    for use in uses:
        entry = _entry(use)
        signing = cell(use.signing) if use.signing else ""
        row: tuple[str, ...] = (_label(use), use.public, signing, use.role, cell(use.stored))
        if show_secrets:
            seed = workspace.keystore.seed(use.public)
            entry["seed"] = seed
            row = (*row, seed or "")
        data.append(entry)
        rows.append(row)
    columns = ("Entity", "Key", "Signing key", "Role", "Stored") + (("Seed",) if show_secrets else ())
    return Document(data=data, sections=[Table(title="Keys", columns=columns, rows=tuple(rows))])


@key.command()
@click.argument("kind", type=click.Choice(list(KINDS)))
@click.option("-S", "--store", "stored", is_flag=True, help="Put it into the keystore.")
@click.option("--show-secrets", is_flag=True, help="Show the seed.")
@writing
def generate(session: Session, kind: str, stored: bool, show_secrets: bool) -> Document:
    """Make a key. Without --store it must be shown, or nobody would have it."""
    if not stored and not show_secrets:
        raise Failure(
            "the new key would be lost",
            code="usage",
            hint="store it with --store, or have it printed with --show-secrets",
        )
    made: KeyPair | CurveKeyPair
    made = CurveKeyPair.generate() if KINDS[kind] is KeyKind.CURVE else KeyPair.generate(KINDS[kind])
    document = Document(data={"kind": kind, "key": made.public, "stored": stored})
    pairs = [("key", made.public)]
    if show_secrets:
        document.data["seed"] = made.seed
        pairs.append(("seed", made.seed))
    document.sections = [Facts(pairs=tuple(pairs))]
    if stored:
        session.workspace.keystore.put(made)
        document.done.append(f"stored {session.workspace.keystore.key_path(made.public)}")
    return document


@key.command()
@click.argument("public")
@click.option("-S", "--show-secrets", is_flag=True, help="Show the seed.")
@reading
def describe(session: Session, public: str, show_secrets: bool) -> Document:
    """Show what a public key is for."""
    workspace = session.workspace
    kind = public_kind(public)
    if kind is None:
        raise Failure(f"{public!r} is not a public key", code="bad-key", hint="gossamer key list shows the keys")
    uses = [use for use in inventory(workspace, workspace.store.operators()) if use.public == public]
    seed = workspace.keystore.seed(public)
    data: dict[str, Any] = {"key": public, "kind": kind.word, "stored": seed is not None}
    data["uses"] = [_entry(use) for use in uses]
    pairs = [("key", public), ("kind", kind.word), ("seed stored", cell(seed is not None))]
    pairs += [("used by", f"{use.kind} {_label(use)}{' as signing key' if use.signing else ''}") for use in uses]
    if show_secrets:
        data["seed"] = seed
        pairs.append(("seed", seed or ""))
    return Document(data=data, sections=[Facts(title="Key", pairs=tuple(pairs))])


@key.command("export")
@click.option("-d", "--dir", "folder", required=True, metavar="DIR", help="Where the files go.")
@click.option("-A", "--all", "every", is_flag=True, help="Keys of all operators, and those that nothing refers to.")
@click.option("--not-referenced", is_flag=True, help="Only keys that no claim refers to.")
@click.option("-f", "--filter", "part", metavar="TEXT", default="", help="Only keys or names with this text in it.")
@_kind_options
@click.option("--include-jwts", is_flag=True, help="The JWTs of their owners too.")
@click.option("-F", "--force", is_flag=True, help="Overwrite files.")
@click.option("-R", "--remove", is_flag=True, help="Remove them from the keystore once they are written.")
@writing
def export_command(
    session: Session,
    folder: str,
    every: bool,
    not_referenced: bool,
    part: str,
    include_jwts: bool,
    force: bool,
    remove: bool,
    **kinds: bool,
) -> Document:
    """Write seeds as plain files PUBLIC.nk, as nsc does. Name what is meant: --operators, --accounts, --users,
    --curves, --filter, --not-referenced or --all. (gossamer key copy writes a single one, sealed.)"""
    if not (every or not_referenced or part or any(kinds.values())):
        raise usage("it is not said which keys", "name them, or pass --all")
    workspace = session.workspace
    uses = _chosen(workspace, every=every, not_referenced=not_referenced, part=part, **kinds)
    tokens = sorted({pair for use in uses for pair in _tokens(workspace, use)}) if include_jwts else []
    publics = list(dict.fromkeys(use.public for use in uses))
    target = Path(folder).expanduser().absolute()
    outcome = keyfiles.export_keys(workspace, target, publics, force=force, remove=remove, tokens=tokens)
    written = [public for public in publics if workspace.changes.exists(target / f"{public}.nk")]
    return Document(data={"path": str(target), "keys": written}, done=outcome.done, warnings=outcome.warnings)


@key.command("import")
@click.option("-d", "--dir", "folder", required=True, metavar="DIR", help="Where the files PUBLIC.nk are.")
@click.option("-R", "--recurse", is_flag=True, help="Look below it too.")
@writing
def import_command(session: Session, folder: str, recurse: bool) -> Document:
    """Put seeds from plain files into the keystore."""
    outcome = keyfiles.import_keys(session.workspace, Path(folder).expanduser().absolute(), recurse=recurse)
    return Document(data={"changed": outcome.changed}, done=outcome.done, warnings=outcome.warnings)


@key.command()
@migrating
def migrate(session: Session) -> Document:
    """Bring a keystore of an old layout into the present one."""
    outcome = keyfiles.migrate_keys(session.workspace)
    return Document(data={"changed": outcome.changed}, done=outcome.done, warnings=outcome.warnings)


def _chosen(workspace: Workspace, *, every: bool, not_referenced: bool, part: str, **kinds: bool) -> list[KeyUse]:
    """The keys that the options mean; ``kinds``: operators, accounts, users, curves, none for all."""
    operators = workspace.store.operators() if every or not_referenced else [workspace.operator().claims.name]
    uses = inventory(workspace, operators, with_unused=every or not_referenced or kinds["curves"])
    if not_referenced:
        uses = [use for use in uses if not use.kind]
    wanted = {KINDS[name.removesuffix("s")] for name, said in kinds.items() if said}
    uses = [use for use in uses if not wanted or public_kind(use.public) in wanted]
    return [use for use in uses if part in use.public or part in use.name]


def _tokens(workspace: Workspace, use: KeyUse) -> list[tuple[str, str]]:
    """File name and JWT of the owner of a key."""
    store = workspace.store
    if use.kind == "operator":
        return [(f"{use.name}.jwt", store.operator(use.name).token)]
    if use.kind == "account":
        return [(f"{use.operator}_{use.name}.jwt", store.account(use.operator, use.name).token)]
    if use.kind == "user":
        return [(f"{use.operator}_{use.account}_{use.name}.jwt", store.user(use.operator, use.account, use.name).token)]
    return []


def _entry(use: KeyUse) -> dict[str, Any]:
    return {
        "kind": use.kind or None,
        "name": use.name or None,
        "operator": use.operator or None,
        "account": use.account or None,
        "key": use.public,
        "signing_key": use.signing,
        "role": use.role or None,
        "stored": use.stored,
    }


def _label(use: KeyUse) -> str:
    if not use.kind:
        return "(not referenced)"
    if use.kind == "user":
        return f"{use.account}/{use.name}"
    return use.name
