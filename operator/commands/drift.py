"""``gossamer drift``: what the servers have, against the store."""

import time
from typing import Any

import click

from gossamer.operator.commands.reach import reach_of, reach_options, seconds
from gossamer.operator.commands.session import Session, now_seconds, reading
from gossamer.operator.failure import ExitCode
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.differences import FieldDifference
from gossamer.operator.mesh.drift import Desired, DriftReport, Finding, find_drift
from gossamer.operator.mesh.reaching import Reach, on_mesh
from gossamer.operator.mesh.visitor import Errand
from gossamer.operator.output.document import Document, Remark, Table
from gossamer.operator.output.render import show
from gossamer.operator.store.workspace import Workspace

_ERRANDS = (Errand.PULL, Errand.ACCOUNTS)
_FIELDS_SHOWN = 4


@click.command()
@click.option("--watch", metavar="SECONDS", default="", help="Look again so often, until interrupted.")
@click.option("--rounds", type=int, default=0, help="With --watch: stop after so many looks.")
@click.option("--thorough", is_flag=True, help="Look at every account even if the servers' hashes are the store's.")
@click.option("--skip-imports", is_flag=True, help="Do not ask what servers make of accounts that import.")
@reach_options
@reading
def drift(session: Session, watch: str, rounds: int, thorough: bool, skip_imports: bool, **given: Any) -> Document:
    """Compare the accounts on every server with the store, by content. Exit code 3 when something differs."""
    reach = reach_of(given)
    pause_s = seconds(watch, 0.0)
    look = 0
    while True:
        look += 1
        report = drift_report(session.workspace, reach, incomplete=not skip_imports, thorough=thorough)
        document = drift_document(report)
        if not pause_s or look == rounds:
            return document
        show(document, "drift", session.form)
        time.sleep(pause_s)


def desired_accounts(workspace: Workspace) -> Desired:
    """All accounts of the store, as what the servers should have."""
    operator = workspace.operator().claims
    stored = [workspace.store.account(operator.name, name) for name in workspace.store.accounts(operator.name)]
    return Desired(operator=operator, accounts={entry.claims.subject: entry for entry in stored})


def drift_report(workspace: Workspace, reach: Reach, *, incomplete: bool = True, thorough: bool = False) -> DriftReport:
    """Connect and compare. Raises Failure."""
    desired = desired_accounts(workspace)
    now = now_seconds()

    async def question(mesh: Mesh) -> DriftReport:
        return await find_drift(mesh, desired, now=now, incomplete=incomplete, thorough=thorough)

    return on_mesh(workspace, reach, _ERRANDS, question, now=now)


def drift_document(report: DriftReport) -> Document:
    """The answer: findings, servers, exit code 3 if there are any findings."""
    rows = tuple(
        (finding.place, finding.kind, finding.name or finding.account, _text(finding)) for finding in report.findings
    )
    data = {
        "drift": bool(report.findings),
        "servers": [
            {
                "name": state.server.name,
                "id": state.server.id,
                "cluster": state.server.cluster,
                "looked_at": state.looked_at,
                "accounts": state.accounts,
                "findings": report.concerns(state.server),
            }
            for state in report.states
        ],
        "findings": report.findings,
        "unheard": report.unheard,
    }
    table = Table(title="Drift", columns=("Server", "Kind", "Account", "What"), rows=rows, empty="none")
    document = Document(data=data, sections=[table])
    for state in report.states:
        if state.looked_at == "loaded":
            text = (
                f"server {state.server.label} keeps no store: only {state.accounts} loaded accounts could be compared"
            )
            document.warn("no-store", text)
    count = len(report.states)
    if report.findings:
        document.exit_code = int(ExitCode.DRIFT)
        document.errors.append(
            Remark(
                code="drift",
                message=f"{len(report.findings)} differences between the store and {count} servers",
                hint="bring them together with gossamer push -A, pull -A or prune",
            )
        )
    else:
        document.done.append(f"{count} servers have what the store has")
    return document


def _text(finding: Finding) -> str:
    parts = [_field_text(entry) for entry in finding.fields[:_FIELDS_SHOWN]]
    if len(finding.fields) > _FIELDS_SHOWN:
        parts.append(f"and {len(finding.fields) - _FIELDS_SHOWN} more")
    return "; ".join(part for part in (finding.message, *parts) if part)


def _field_text(entry: FieldDifference) -> str:
    return f"{entry.path}: {_short(entry.store)} in the store, {_short(entry.server)} there"


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
