"""``gossamer prune``: accounts that the store does not have, removed from the servers."""

from typing import Any

import click

from gossamer.operator.commands.amounts import parse_duration
from gossamer.operator.commands.reach import reach_of, reach_options
from gossamer.operator.commands.session import Session, now_seconds, writing
from gossamer.operator.failure import ExitCode, Failure, usage
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.reaching import Reach, on_mesh
from gossamer.operator.mesh.removal import Removal, extra_accounts, remove_accounts
from gossamer.operator.mesh.visitor import Errand
from gossamer.operator.output.document import Document, Remark, Table

_ERRANDS = (Errand.DELETE, Errand.PULL, Errand.PUSH)


@click.command()
@click.option("-a", "--account", "keys", multiple=True, metavar="KEY", help="Only this account: its key, or its name.")
@click.option("--grace", metavar="DURATION", default="0", help="First shut them, and remove them only so much later.")
@click.option("-F", "--force", is_flag=True, help="Remove accounts that are in the store as well (with -a).")
@reach_options
@writing
def prune(session: Session, keys: tuple[str, ...], grace: str, force: bool, **given: Any) -> Document:
    """Remove accounts from all servers: those that the store does not have, or the ones that -a names. The system
    account stays. -K names the operator key that signs the order."""
    reach = reach_of(given)
    document = Document(data={})
    wanted = tuple(_account_key(session, key, force=force) for key in keys)
    add_pruning(session, reach, document, wanted=wanted, grace_s=_grace(grace))
    return document


def add_pruning(
    session: Session, reach: Reach, document: Document, *, wanted: tuple[str, ...] = (), grace_s: float = 0.0
) -> None:
    """Prune, and enter the outcome into ``document`` (its data is an object)."""
    workspace = session.workspace

    async def question(mesh: Mesh) -> Removal:
        found = await extra_accounts(mesh, workspace)
        keys = [key for key in found if key in wanted] if wanted else list(found)
        return await remove_accounts(
            mesh,
            workspace,
            {key: found[key] for key in keys} if not wanted else {key: found.get(key, "") for key in wanted},
            now=now_seconds(),
            grace_s=grace_s,
            wish=session.signer if not reach.signer else "",
            dry_run=session.dry_run,
        )

    removal = on_mesh(workspace, reach, _ERRANDS, question, now=now_seconds())
    _enter(removal, document, dry_run=session.dry_run)


def _enter(removal: Removal, document: Document, *, dry_run: bool) -> None:
    document.data["pruned"] = [{"key": key, "name": name} for key, name in removal.accounts.items()]
    document.data["shut"] = [] if removal.shut is None else [delivery.account for delivery in removal.shut.deliveries]
    document.data["rulings"] = [
        {"server": ruling.server.label, "code": ruling.code, "message": ruling.message} for ruling in removal.rulings
    ]
    rows = tuple((name, key) for key, name in removal.accounts.items())
    if rows:
        title = "To be removed from the servers" if dry_run else "Removed from the servers"
        document.sections = [*document.sections, Table(title=title, columns=("Name", "Key"), rows=rows)]
    if not removal.accounts:
        document.done.append("nothing to prune")
        return
    if dry_run:
        document.done.append(f"remove {len(removal.accounts)} accounts from {len(removal.servers)} servers")
        return
    for ruling in removal.rulings:
        if ruling.accepted:
            document.done.append(f"server {ruling.server.label}: {ruling.message}")
        else:
            hint = "set allow_delete: true in its resolver" if "must be enabled" in ruling.message else ""
            text = f"server {ruling.server.label} refused: {ruling.message}"
            document.errors.append(Remark(code="refused", message=text, hint=hint, path=ruling.server.label))
    for server in removal.silent():
        text = f"server {server.label} did not answer"
        document.errors.append(Remark(code="silent-server", message=text, hint="prune again when it is back"))
    if removal.unheard:
        text = f"{removal.unheard} more servers belong to the mesh and do not answer"
        document.errors.append(Remark(code="unheard-server", message=text, hint="prune again when they are back"))
    if document.errors:
        done = any(ruling.accepted for ruling in removal.rulings)
        document.exit_code = int(ExitCode.PARTIAL_PUSH if done or not removal.rulings else ExitCode.FAILURE)


def _account_key(session: Session, text: str, *, force: bool) -> str:
    workspace = session.workspace
    operator = workspace.operator().claims
    stored = workspace.store.account_by_key(operator.name, text) if len(text) == 56 else None
    if stored is None and len(text) != 56:
        stored = workspace.store.account(operator.name, text)
    key = text if stored is None else stored.claims.subject
    if key == operator.system_account:
        raise Failure(f"{text!r} is the system account: servers do not run without it", code="system-account")
    if stored is not None and not force:
        raise Failure(
            f"account {stored.claims.name!r} is in the store",
            code="in-store",
            hint="delete it there first (gossamer account delete), or pass --force",
        )
    return key


def _grace(text: str) -> float:
    span = parse_duration(text) / 1e9 if text != "0" else 0.0
    if not 0 <= span <= 3600:
        raise usage(f"{text!r} is too long to wait for", "at most an hour")
    return span
