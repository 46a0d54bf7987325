"""``gossamer pull``: account JWTs from the mesh into the store."""

from typing import Any

import click

from gossamer.operator.commands.reach import reach_of, reach_options
from gossamer.operator.commands.session import Session, now_seconds, writing
from gossamer.operator.failure import ExitCode
from gossamer.operator.mesh.account_server import AccountServer
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.pulling import newest_accounts, take_accounts
from gossamer.operator.mesh.reaching import Reach, is_account_server, mesh_urls, on_mesh
from gossamer.operator.mesh.selection import selected_accounts
from gossamer.operator.mesh.visitor import Errand
from gossamer.operator.output.document import Document


@click.command()
@click.option("-a", "--account", "names", multiple=True, metavar="NAME", help="Account; default: the context's.")
@click.option("-A", "--all", "every", is_flag=True, help="All accounts of the mesh, also unknown ones.")
@click.option("-F", "--overwrite-newer", is_flag=True, help="Take what the mesh has even if the store's is newer.")
@reach_options
@writing
def pull(session: Session, names: tuple[str, ...], every: bool, overwrite_newer: bool, **given: Any) -> Document:
    """Take account JWTs that are newer on the mesh into the store. What the store has newer stays (exit code 1); what
    no key of the operator has signed is never taken."""
    reach = reach_of(given, session.signer)
    tokens = _fetch(session, reach, names, every=every)
    taking = take_accounts(session.workspace, tokens, overwrite_newer=overwrite_newer)
    document = Document(data={"accounts": taking.entries}, done=taking.done, errors=taking.errors)
    if taking.errors:
        document.exit_code = int(ExitCode.FAILURE)
    elif not taking.changed:
        document.done.append("the store has all of it already")
    return document


def _fetch(session: Session, reach: Reach, names: tuple[str, ...], *, every: bool) -> dict[str, str]:
    """Tokens by account."""
    workspace = session.workspace
    operator = workspace.operator().claims
    urls = mesh_urls(operator, reach.urls)
    wanted = [stored.claims.subject for stored in selected_accounts(workspace, names, every=every)]
    if is_account_server(urls):
        server = AccountServer(urls[0], timeout_s=reach.timeout_s)
        replies = {key: server.pull(key) for key in wanted}
        return {key: reply.text.strip() if reply.stored else "" for key, reply in replies.items()}

    async def question(mesh: Mesh) -> dict[str, str]:
        return await newest_accounts(mesh, None if every else wanted)

    return on_mesh(workspace, reach, [Errand.PULL], question, now=now_seconds())
