"""``gossamer status``: the servers of the mesh at a glance."""

from typing import Any

import click

from gossamer.auth.claims import OperatorClaims
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.operator.commands.drift import desired_accounts
from gossamer.operator.commands.reach import reach_of, reach_options
from gossamer.operator.commands.session import Session, now_seconds, reading
from gossamer.operator.failure import ExitCode
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.drift import DriftReport, ServerState, find_drift
from gossamer.operator.mesh.reaching import on_mesh
from gossamer.operator.mesh.visitor import Errand
from gossamer.operator.output.document import Document, Table


@click.command()
@reach_options
@reading
def status(session: Session, **given: Any) -> Document:
    """The servers of the mesh: which operator each trusts, how many accounts it has and whether they are the store's.
    Exit code 3 when one of them differs (gossamer drift says how)."""
    reach = reach_of(given)
    desired = desired_accounts(session.workspace)
    operator = session.workspace.operator()
    now = now_seconds()

    async def question(mesh: Mesh) -> tuple[DriftReport, dict[str, tuple[str, ...]]]:
        return await find_drift(mesh, desired, now=now, incomplete=False), await mesh.operator_tokens()

    errands = (Errand.PULL, Errand.ACCOUNTS, Errand.OPERATORS)
    report, operators = on_mesh(session.workspace, reach, errands, question, now=now)
    servers = []
    rows = []
    behind = False
    for state in report.states:
        server = state.server
        differences = report.concerns(server)
        trusts = operator_state(operators.get(server.id), operator.token, operator.claims)
        behind = behind or trusts in {"older", "other"}
        servers.append(
            {
                "name": server.name,
                "id": server.id,
                "cluster": server.cluster,
                "version": server.version,
                "accounts": state.accounts,
                "looked_at": state.looked_at,
                "differences": differences,
                "operator": trusts,
            }
        )
        rows.append(
            (
                server.label,
                server.cluster,
                server.version,
                "" if state.accounts is None else str(state.accounts),
                _comparison(state, differences),
                trusts,
            )
        )
    columns = ("Server", "Cluster", "Version", "Accounts", "They are", "Operator")
    data = {"servers": servers, "accounts": len(desired.accounts), "unheard": report.unheard}
    document = Document(data=data, sections=[Table(title="Servers", columns=columns, rows=tuple(rows))])
    if report.unheard:
        document.warn("unheard-server", f"{report.unheard} more servers belong to the mesh and do not answer")
    if behind:
        document.warn(
            "operator-differs",
            "servers were started with another operator JWT than the store has",
            hint="restart them with: gossamer generate config",
        )
    if report.findings or behind:
        document.exit_code = int(ExitCode.DRIFT)
    return document


def _comparison(state: ServerState, differences: int) -> str:
    if differences:
        return f"{differences} differences"
    return "the store's" if state.looked_at != "loaded" else "only those it has loaded: it keeps no store"


def operator_state(tokens: tuple[str, ...] | None, token: str, claims: OperatorClaims) -> str:
    """Is the operator that a server was started with the store's: ``current``, ``older``, ``newer``, ``other`` or, when
    the server does not say, ``unknown``?"""
    if tokens is None:
        return "unknown"
    if token in tokens:
        return "current"
    for text in tokens:
        try:
            there = decode_as(OperatorClaims, text)
        except TokenError:
            continue
        if there.subject == claims.subject:
            return "older" if there.issued_at <= claims.issued_at else "newer"
    return "other"
