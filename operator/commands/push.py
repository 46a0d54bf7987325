"""``gossamer push``: account JWTs from the store to every server of the mesh."""

from typing import Any

import click

from gossamer.auth.claims import AccountClaims
from gossamer.operator.commands.prune import add_pruning
from gossamer.operator.commands.reach import progress_bar, reach_of, reach_options
from gossamer.operator.commands.session import Session, now_seconds, writing
from gossamer.operator.failure import ExitCode
from gossamer.operator.mesh.account_server import AccountServer
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.managed import exchange_account
from gossamer.operator.mesh.pushing import Delivery, PushReport
from gossamer.operator.mesh.reaching import Reach, is_account_server, mesh_urls, on_mesh
from gossamer.operator.mesh.selection import refuse_faulty, selected_accounts
from gossamer.operator.mesh.visitor import Errand
from gossamer.operator.output.document import Document, Remark, Table
from gossamer.operator.store.stored import Stored

_ROWS_MAX = 50
_WAIT_ALL_S = 60.0


@click.command()
@click.option("-a", "--account", "names", multiple=True, metavar="NAME", help="Account; default: the context's.")
@click.option("-A", "--all", "every", is_flag=True, help="All accounts of the operator.")
@click.option("-F", "--force", is_flag=True, help="Push what servers could not use, too.")
@click.option("-P", "--prune", is_flag=True, help="Then remove the accounts from the servers that the store has not.")
@click.option("--wait-all", is_flag=True, help="Wait up to a minute for servers that the mesh has but that are silent.")
@reach_options
@writing
def push(
    session: Session, names: tuple[str, ...], every: bool, force: bool, prune: bool, wait_all: bool, **given: Any
) -> Document:
    """Give account JWTs to every server, and say which server has taken which. -K names the key of the system account
    that signs the temporary user. Exit code 6 when a server of the mesh did not take all of them."""
    reach = reach_of(given, session.signer)
    operator = session.workspace.operator().claims
    accounts = selected_accounts(session.workspace, names, every=every)
    managed = session.workspace.store.is_managed(operator.name)
    if not force and not managed:
        refuse_faulty(operator, accounts, now_seconds())
    urls = mesh_urls(operator, reach.urls)
    if is_account_server(urls) or managed:
        return push_by_http(session, urls[0], accounts, reach.timeout_s)
    if session.dry_run:
        document = Document(data={"accounts": [stored.claims.name for stored in accounts], "urls": list(urls)})
        document.done += [f"push {stored.claims.name!r} to {', '.join(urls)}" for stored in accounts]
    else:
        document = push_document(push_accounts(session, reach, accounts, wait_all=wait_all))
    if prune:
        add_pruning(session, reach, document)
    return document


def push_accounts(
    session: Session, reach: Reach, accounts: list[Stored[AccountClaims]], *, wait_all: bool = False
) -> PushReport:
    """Push with a bar for whoever looks."""

    async def question(mesh: Mesh) -> PushReport:
        if wait_all:
            await mesh.await_all(_WAIT_ALL_S)
        return await mesh.push((stored.token for stored in accounts), progress=progress)

    with progress_bar("Pushing accounts", len(accounts)) as progress:
        return on_mesh(session.workspace, reach, [Errand.PUSH], question, now=now_seconds())


def push_document(report: PushReport) -> Document:
    """The answer: servers, accounts with what is wrong (all of them, if they are few), exit code."""
    accepted = {delivery.account for delivery in report.accepted()}
    shown = [
        delivery
        for delivery in report.deliveries
        if len(report.deliveries) <= _ROWS_MAX or delivery.account not in accepted
    ]
    labels = {server.id: server.label for server in report.servers}
    silent = {server.id for server in report.silent()}
    servers = [
        {
            "name": server.name,
            "id": server.id,
            "cluster": server.cluster,
            "accepted": sum(delivery.takes(server.id) for delivery in report.deliveries),
            "refused": sum(1 for _, ruling in report.refusals() if ruling.server.id == server.id),
            "answered": server.id not in silent,
        }
        for server in report.servers
    ]
    data = {
        "complete": report.complete,
        "servers": servers,
        "unheard": report.unheard,
        "accounts": [_account_data(delivery, labels) for delivery in report.deliveries],
        "duration_s": round(report.duration_s, 3),
    }
    rows = tuple(
        (delivery.name or "?", labels[server], _ruling_text(delivery, server))
        for delivery in shown
        for server in labels
    )
    table = Table(title="Accounts", columns=("Account", "Server", "Answer"), rows=rows[: 20 * _ROWS_MAX], empty="")
    document = Document(data=data, sections=[table] if rows else [])
    _judge(report, document, len(accepted))
    return document


def _account_data(delivery: Delivery, labels: dict[str, str]) -> dict[str, Any]:
    return {
        "name": delivery.name,
        "key": delivery.account,
        "servers": {label: _ruling_text(delivery, server) for server, label in labels.items()},
    }


def _ruling_text(delivery: Delivery, server: str) -> str:
    ruling = delivery.rulings.get(server)
    if ruling is None:
        return "no answer"
    return ruling.message if ruling.accepted else f"refused: {ruling.message}"


def _judge(report: PushReport, document: Document, accepted: int) -> None:
    count = len(report.deliveries)
    if report.no_resolver:
        document.errors.append(
            Remark(
                code="no-resolver",
                message="no server of this mesh takes account JWTs",
                hint="give them a resolver: gossamer generate config --nats-resolver",
            )
        )
        document.exit_code = int(ExitCode.FAILURE)
        return
    if report.complete:
        many = "" if len(report.servers) == 1 else "s"
        document.done.append(
            f"pushed {count} account{'' if count == 1 else 's'} to {len(report.servers)} server{many}"
            f" in {report.duration_s:.1f} s"
        )
        return
    for server in report.silent():
        left = sum(server.id not in delivery.rulings for delivery in report.deliveries)
        document.errors.append(
            Remark(
                code="silent-server",
                message=f"server {server.label} did not answer for {left} of {count} accounts",
                hint="push again when it is back; does it have a resolver that stores accounts?",
                path=server.label,
            )
        )
    if report.unheard:
        document.errors.append(
            Remark(
                code="unheard-server",
                message=f"{report.unheard} more servers belong to the mesh and do not answer",
                hint="push again when they are back (--wait-all waits for them)",
            )
        )
    for delivery, ruling in report.refusals()[:_ROWS_MAX]:
        document.errors.append(
            Remark(
                code="refused",
                message=f"server {ruling.server.label} refused {delivery.name or 'an account'}: {ruling.message}",
                path=delivery.name,
            )
        )
    taken = any(ruling.accepted for delivery in report.deliveries for ruling in delivery.rulings.values())
    document.exit_code = int(ExitCode.PARTIAL_PUSH if taken or not report.refusals() else ExitCode.FAILURE)
    document.done.append(f"{accepted} of {count} accounts are on every server")


def push_by_http(session: Session, url: str, accounts: list[Stored[AccountClaims]], timeout_s: float) -> Document:
    """To an account server; in a store whose operator key somebody else holds, what comes back signed is stored."""
    workspace = session.workspace
    operator = workspace.operator().claims
    if workspace.store.is_managed(operator.name):
        return _exchange_all(session, url, accounts, timeout_s)
    document = Document(data={"server": url, "accounts": []})
    if session.dry_run:
        document.done += [f"push {stored.claims.name!r} to {url}" for stored in accounts]
        return document
    server = AccountServer(url, timeout_s=timeout_s)
    with progress_bar("Pushing accounts", len(accounts)) as progress:
        replies = server.push_all([(stored.claims.subject, stored.token) for stored in accounts], progress)
    for stored, reply in zip(accounts, replies, strict=True):
        name = stored.claims.name
        document.data["accounts"].append({"name": name, "key": stored.claims.subject, "status": reply.status})
        if reply.stored:
            document.done.append(f"pushed {name!r} to {url}")
        elif reply.pending:
            document.warn("pending", f"{url} has taken {name!r} (status {reply.status}): it waits for approval", name)
        else:
            text = f"{url} refused {name!r} with status {reply.status}: {reply.text[:200]}"
            document.errors.append(Remark(code="refused", message=text, path=name))
    if document.errors:
        partial = len(document.errors) < len(accounts)
        document.exit_code = int(ExitCode.PARTIAL_PUSH if partial else ExitCode.FAILURE)
    return document


def _exchange_all(session: Session, url: str, accounts: list[Stored[AccountClaims]], timeout_s: float) -> Document:
    document = Document(data={"server": url, "accounts": []})
    for stored in accounts:
        name = stored.claims.name
        if session.dry_run:
            document.done.append(f"exchange {name!r} with {url}")
            continue
        outcome = exchange_account(session.workspace, stored, url, timeout_s=timeout_s)
        document.done += outcome.done
        document.warnings += outcome.warnings
        document.data["accounts"].append({"name": name, "key": stored.claims.subject, "stored": outcome.changed})
    return document
