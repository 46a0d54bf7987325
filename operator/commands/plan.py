"""``gossamer plan`` and ``gossamer spec``: how the store differs from a tenants file, and the file of a store."""

from pathlib import Path
from typing import Any

import click
from msgspec import structs

from gossamer.auth.claims import AccountClaims
from gossamer.operator.commands.amounts import show_moment
from gossamer.operator.commands.reach import reach_of, reach_options
from gossamer.operator.commands.session import Session, now_seconds, reading
from gossamer.operator.failure import ExitCode, from_os_error
from gossamer.operator.output.document import Document, Remark, Section, Table, Text
from gossamer.operator.plan.difference import FieldChange, show_value
from gossamer.operator.plan.exporting import export_spec
from gossamer.operator.plan.journal import overlay
from gossamer.operator.plan.ledger import Ledgers
from gossamer.operator.plan.live import LiveView, look
from gossamer.operator.plan.planning import Planner, Work
from gossamer.operator.plan.reading import read_file
from gossamer.operator.plan.summary import Plan, input_hashes, save, summarized

_ROWS_MAX = 400

file_option = click.option(
    "-f", "--file", "file", metavar="FILE", default="tenants.toml", show_default=True, help="The tenants file."
)
force_option = click.option("--force", is_flag=True, help="Remove accounts at once, without the grace period.")


@click.command()
@file_option
@force_option
@click.option("--live", is_flag=True, help="Compare with every server too, and name the connections it would cut.")
@click.option("--out", metavar="FILE", default="", help="Save the plan, for: gossamer apply --plan FILE.")
@reach_options
@reading
def plan(session: Session, file: str, force: bool, live: bool, out: str, **given: Any) -> Document:
    """What apply would change. Exit code 0: nothing, 2: something, 1 or 5: it cannot be said."""
    now = now_seconds()
    declaration, content = read_declared(file)
    workspace = session.workspace
    operator = declaration.operator.name
    interrupted = overlay(workspace.changes, Ledgers(workspace, operator).folder)
    planner = Planner(workspace, declaration, now=now, force=force)
    work = planner.work()
    made = summarized(planner, work)
    view = look(workspace, reach_of(given), made, wanted_on_servers(work), now=now) if live else None
    document = plan_document(made, view)
    if interrupted:
        document.warn("interrupted", "an apply was interrupted: what it had begun counts as done", hint="run: apply")
    if out:
        inputs = input_hashes(workspace, operator, content)
        if view is not None:
            inputs["servers"] = view.state
        _write(Path(out), save(_with_inputs(made, inputs, force)))
        document.done.append(f"saved the plan as {out}")
    return document


@click.command()
@reading
def spec(session: Session) -> Document:
    """The tenants file of the store: a plan of it is empty."""
    text = export_spec(session.workspace, session.workspace.operator().claims.name)
    return Document(data={"toml": text}, sections=[Text(content=text)])


def read_declared(file: str) -> Any:
    """The declaration of a file and the file's bytes. Raises InvalidFile with all faults."""
    return read_file(Path(file).expanduser())


def wanted_on_servers(work: Work) -> dict[str, AccountClaims]:
    """What every account shall say once all is done, by key."""
    wanted = {entry.after.subject: entry.after for entry in work.accounts}
    for removal in work.removals:
        if removal.phase != 2:
            wanted[removal.after.subject] = removal.after
    return wanted


def plan_document(plan: Plan, view: LiveView | None) -> Document:
    """A plan as an answer; exit code 2 when there is something to do."""
    sections: list[Section] = [_changes_table(plan)]
    if plan.waiting:
        waiting = tuple((one.account, show_moment(one.due)) for one in plan.waiting)
        sections.append(Table(title="Shut accounts, removed after", columns=("Account", "From"), rows=waiting))
    effects = [effect for change in plan.changes for effect in change.effects]
    if effects:
        rows = tuple((one.account, "cuts" if one.cuts else "", one.text) for one in effects[:_ROWS_MAX])
        sections.append(Table(title="What it does to connections", columns=("Account", "", "Effect"), rows=rows))
    data: dict[str, Any] = {"plan": plan, "live": view}
    warnings = list(plan.warnings)
    if view is not None:
        sections += _live_sections(view)
        if view.unheard or view.unseen:
            silent = ", ".join(view.unseen) or f"{view.unheard} of the mesh"
            warnings.append(Remark(code="unseen-servers", message=f"servers that do not tell what they have: {silent}"))
    changed = not plan.is_empty or (view is not None and bool(view.differences))
    return Document(
        data=data,
        sections=sections,
        warnings=warnings,
        exit_code=int(ExitCode.PLAN_HAS_CHANGES) if changed else 0,
    )


def _changes_table(plan: Plan) -> Table:
    rows: list[tuple[str, str, str]] = []
    for change in plan.changes:
        rows.append((change.action, change.line().partition(" ")[2], ""))
        rows.extend(("", "", _field(field)) for field in change.fields if change.action != "create")
    shown: list[tuple[str, ...]] = list(rows[:_ROWS_MAX])
    if len(rows) > len(shown):
        shown.append(("", f"... and {len(rows) - len(shown)} lines more: --json has all", ""))
    return Table(
        title=f"Plan for operator {plan.operator}",
        columns=("Action", "What", "Field: old -> new"),
        rows=tuple(shown),
        empty="nothing to do",
    )


def _field(field: FieldChange) -> str:
    return f"{field.path}: {show_value(field.path, field.old)} -> {show_value(field.path, field.new)}"


def _live_sections(view: LiveView) -> list[Section]:
    differences = tuple(
        (one.server, one.account or one.key, one.kind, ", ".join(field.path for field in one.fields))
        for one in view.differences[:_ROWS_MAX]
    )
    cut = tuple((one.connection, one.why) for one in view.struck[:_ROWS_MAX])
    return [
        Table(
            title="Servers that do not have it yet",
            columns=("Server", "Account", "How", "Fields"),
            rows=differences,
            empty="none",
        ),
        Table(title="Live connections that would be cut", columns=("Connection", "Why"), rows=cut, empty="none"),
    ]


def _with_inputs(plan: Plan, inputs: dict[str, str], force: bool) -> Plan:
    return structs.replace(plan, inputs=inputs, force=force)


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise from_os_error(error, "write", path, "name another file with --out") from None
