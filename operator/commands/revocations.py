"""``gossamer revocation``: whose credentials are void."""

from typing import Any

import click

from gossamer.auth.claims.account import EVERYBODY
from gossamer.operator.commands import options
from gossamer.operator.commands.amounts import show_moment
from gossamer.operator.commands.moments import past_moment
from gossamer.operator.commands.place import account_answer, account_place
from gossamer.operator.commands.session import Session, now_seconds, reading, writing
from gossamer.operator.output.document import Document, Table, cell
from gossamer.operator.tenants import revocations
from gossamer.operator.tenants.revocations import Revocation


@click.group()
def revocation() -> None:
    """Void credentials of users: by name, by key, or all of them."""


@revocation.command()
@click.argument("whom", nargs=-1, required=True)
@options.account_option
@click.option(
    "--at", default="0", metavar="TIME", help="Void what was issued until then: a date, seconds; default: now."
)
@writing
def create(session: Session, whom: tuple[str, ...], account_name: str, at: str) -> Document:
    """Revoke users: names, public keys, or * for everybody. What is issued later is valid. -K names an operator key."""
    operator, account = account_place(session, account_name)
    outcome, entries = revocations.revoke(
        session.workspace, operator, account, whom, at=past_moment(at), now=now_seconds(), wish=session.signer
    )
    document = account_answer(session, operator, account, outcome, revocations=[_entry(entry) for entry in entries])
    affected = sorted({name for entry in entries for name in entry.users})
    document.data["affected"] = affected
    if affected:
        document.done.append(f"cut off when servers get the account's claim: {', '.join(affected)}")
    return document


revocation.add_command(create, "add")


@revocation.command()
@click.argument("whom", nargs=-1, required=True)
@options.account_option
@writing
def delete(session: Session, whom: tuple[str, ...], account_name: str) -> Document:
    """Remove revocations: names, public keys, or *."""
    operator, account = account_place(session, account_name)
    outcome = revocations.unrevoke(session.workspace, operator, account, whom, now=now_seconds(), wish=session.signer)
    return account_answer(session, operator, account, outcome)


@revocation.command("list")
@options.account_option
@reading
def list_revocations(session: Session, account_name: str) -> Document:
    """List revocations, and the users of the store that they keep out."""
    workspace = session.workspace
    claims = workspace.account(account_name).claims
    entries = revocations.revocations(workspace, workspace.operator().claims.name, claims)
    rows = tuple((entry.key, entry.name, show_moment(entry.moment), cell(entry.users)) for entry in entries)
    table = Table(
        title=f"Revocations of {claims.name}", columns=("Key", "Name", "Issued until", "Keeps out"), rows=rows
    )
    return Document(data=[_entry(entry) for entry in entries], sections=[table])


@revocation.command()
@options.account_option
@writing
def compact(session: Session, account_name: str) -> Document:
    """Drop the entries that the revocation of everybody covers."""
    operator, account = account_place(session, account_name)
    outcome = revocations.compact(session.workspace, operator, account, now=now_seconds(), wish=session.signer)
    return account_answer(session, operator, account, outcome)


def _entry(entry: Revocation) -> dict[str, Any]:
    return {
        "key": entry.key,
        "everybody": entry.key == EVERYBODY,
        "name": entry.name or None,
        "until": entry.moment,
        "users": list(entry.users),
    }
