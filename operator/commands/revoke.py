"""``gossamer revoke``: void a user's credentials, see whom it cuts off, and tell the servers."""

from typing import Any

import click
from msgspec import structs

from gossamer.auth.claims import AccountClaims
from gossamer.operator.commands import options
from gossamer.operator.commands.moments import past_moment
from gossamer.operator.commands.place import account_place
from gossamer.operator.commands.push import push_accounts, push_document
from gossamer.operator.commands.reach import reach_of, reach_options
from gossamer.operator.commands.session import Session, now_seconds, writing
from gossamer.operator.mesh.answers import Connection
from gossamer.operator.mesh.reaching import Reach, on_mesh
from gossamer.operator.mesh.visitor import Errand
from gossamer.operator.output.document import Document, Table
from gossamer.operator.plan.effects import effects, struck
from gossamer.operator.tenants import revocations


@click.command()
@click.argument("whom", nargs=-1, required=True)
@options.account_option
@click.option("--at", default="0", metavar="TIME", help="Void what was issued until then; default: now.")
@click.option("--push", "push_wanted", is_flag=True, help="Give the account's claim to every server at once.")
@click.option("--live", is_flag=True, help="Name the connections that a push would cut (done with --push anyway).")
@reach_options
@writing
def revoke(
    session: Session,
    whom: tuple[str, ...],
    account_name: str,
    at: str,
    push_wanted: bool,
    live: bool,
    **given: Any,
) -> Document:
    """Revoke users: names, public keys, or * for everybody. With --push the servers close their connections now;
    with --dry-run nothing happens, and the connections that would be cut are named. -K names an operator key."""
    reach = reach_of(given)
    operator, account = account_place(session, account_name)
    workspace = session.workspace
    before = workspace.store.account(operator, account).claims
    outcome, entries = revocations.revoke(
        workspace, operator, account, whom, at=past_moment(at), now=now_seconds(), wish=session.signer
    )
    after = workspace.store.account(operator, account)
    affected = sorted({name for entry in entries for name in entry.users})
    document = Document(done=outcome.done, warnings=outcome.warnings)
    document.data = {
        "account": account,
        "key": before.subject,
        "changed": outcome.changed,
        "revocations": [structs.asdict(entry) for entry in entries],
        "affected": affected,
    }
    if push_wanted or live:
        add_impact(session, reach, before, after.claims, document)
    if push_wanted and not session.dry_run:
        # Servers are told only what is on disk for good.
        session.finish(document)
        pushed = push_document(push_accounts(session, reach, [after]))
        document.data["push"] = pushed.data
        document.done += pushed.done
        document.errors += pushed.errors
        document.exit_code = pushed.exit_code
    elif push_wanted:
        document.done.append(f"push {account!r}")
    elif affected:
        document.done.append(f"cut off when servers get the account's claim: {', '.join(affected)}")
    return document


def add_impact(session: Session, reach: Reach, before: AccountClaims, after: AccountClaims, document: Document) -> None:
    """Enter the live connections that the change would close, by name."""
    connections = live_connections(session, reach, before.subject)
    cut = [
        entry
        for effect in effects(before, after, name=before.name, now=now_seconds())
        for entry in struck(effect, connections)
    ]
    document.data["connections"] = [structs.asdict(entry) for entry in cut]
    rows = tuple((entry.user, entry.connection, entry.server) for entry in cut)
    title = "Connections that would be cut" if session.dry_run else "Connections that are cut by a push"
    document.sections = [
        *document.sections,
        Table(title=title, columns=("User", "Connection", "Server"), rows=rows, empty="none is up"),
    ]


def live_connections(session: Session, reach: Reach, account: str = "") -> list[Connection]:
    """Who is connected (to one account, by its public key), with the names that the store has for their keys."""
    workspace = session.workspace
    found = on_mesh(workspace, reach, [Errand.CONNECTIONS], lambda mesh: mesh.connections(account), now=now_seconds())
    operator = workspace.operator().claims.name
    names = {}
    for name in workspace.store.accounts(operator):
        if account and workspace.store.account(operator, name).claims.subject != account:
            continue
        for user in workspace.store.users(operator, name):
            names[workspace.store.user(operator, name, user).claims.subject] = user
    return [one if one.user_name else structs.replace(one, user_name=names.get(one.user, "")) for one in found]
