"""``gossamer rotate``: keys replaced while the mesh runs."""

from collections.abc import Sequence
from typing import Any

import click
from msgspec import structs

from gossamer.operator.commands import options
from gossamer.operator.commands.place import account_place
from gossamer.operator.commands.reach import reach_of, reach_options, span_s
from gossamer.operator.commands.session import Session, now_seconds, writing
from gossamer.operator.failure import ExitCode
from gossamer.operator.mesh.rotation import account_key, operator_key, user_key
from gossamer.operator.mesh.rotation.journal import ACCOUNT_KEY, OPERATOR_KEY, USER, Journal, read_journal
from gossamer.operator.mesh.rotation.stage import Progress, Stage, Step, run_steps
from gossamer.operator.output.document import Document, Remark, Table

_HELP_EXIT = """Every step is written down: the command may be interrupted and run again. Exit code 2: steps remain, and
the answer says what they wait for."""

_rotation_options = options.together(
    click.option("--to-step", type=int, default=0, metavar="N", help="Stop when step N is done."),
    click.option("--wait", default="0", metavar="DURATION", help="How long to wait for servers and clients."),
    click.option("--force", is_flag=True, help="Do not wait for anybody."),
    reach_options,
)
_overlap_option = click.option(
    "--overlap",
    default="",
    metavar="DURATION",
    help="Old credentials count at most so long; default: until nobody is connected with them.",
)


@click.group()
def rotate() -> None:
    """Replace keys while the mesh runs, in steps that never lock anybody out."""


@rotate.command("operator-key", epilog=_HELP_EXIT)
@click.argument("old", required=False, default="")
@_rotation_options
@writing
def rotate_operator_key(session: Session, old: str, **given: Any) -> Document:
    """Replace a signing key of the operator: the new one is trusted everywhere and all accounts are signed by it before
    the old one (OLD; default: the only one) goes. -K names the file with the operator's identity seed."""
    stage = _stage(session, given)
    journal = read_journal(session.workspace, stage.operator, OPERATOR_KEY, stage.operator)
    return _run(session, stage, journal or operator_key.begin(stage, old), operator_key.steps(stage), given)


@rotate.command("account-key", epilog=_HELP_EXIT)
@click.argument("old", required=False, default="")
@options.account_option
@_overlap_option
@_rotation_options
@writing
def rotate_account_key(session: Session, old: str, account_name: str, **given: Any) -> Document:
    """Replace a signing key of an account (OLD: a key or a role; default: the only one): users and activations are
    issued anew under the new key before the old one goes. -K names an operator key."""
    stage = _stage(session, given)
    _, account = account_place(session, account_name)
    journal = read_journal(session.workspace, stage.operator, ACCOUNT_KEY, account)
    return _run(session, stage, journal or account_key.begin(stage, account, old), account_key.steps(stage), given)


@rotate.command("user", epilog=_HELP_EXIT)
@click.argument("name")
@options.account_option
@_overlap_option
@_rotation_options
@writing
def rotate_user(session: Session, name: str, account_name: str, **given: Any) -> Document:
    """Give a user a new key and new credentials; the old ones are revoked when nobody uses them any more. -K names an
    operator key."""
    stage = _stage(session, given)
    _, account = account_place(session, account_name)
    journal = read_journal(session.workspace, stage.operator, USER, f"{account}/{name}")
    return _run(session, stage, journal or user_key.begin(stage, account, name), user_key.steps(stage), given)


def _stage(session: Session, given: dict[str, Any]) -> Stage:
    overlap = str(given.pop("overlap", ""))
    return Stage(
        workspace=session.workspace,
        operator=session.workspace.operator().claims.name,
        reach=reach_of(given),
        commit=lambda: session.finish(Document()),
        clock=now_seconds,
        wish=session.signer,
        wait_s=span_s(str(given.pop("wait"))),
        overlap_s=span_s(overlap) if overlap else None,
        force=bool(given.pop("force")),
    )


def _run(session: Session, stage: Stage, journal: Journal, steps: Sequence[Step], given: dict[str, Any]) -> Document:
    if session.dry_run:
        progress = Progress(journal=journal, steps=tuple(step.text for step in steps))
    else:
        progress = run_steps(stage, journal, steps, int(given["to_step"]))
    return _document(progress, stage, dry_run=session.dry_run)


def _document(progress: Progress, stage: Stage, *, dry_run: bool) -> Document:
    journal = progress.journal
    rows = []
    for number, text in enumerate(progress.steps, 1):
        state = "done" if number <= journal.step else "waits" if progress.waiting and number == journal.step + 1 else ""
        rows.append((str(number), text, state))
    data = {**structs.asdict(journal), "steps": list(progress.steps), "finished": progress.finished}
    data["waiting"] = progress.waiting or None
    document = Document(
        data=data,
        sections=[Table(title=f"Rotation of {journal.old}", columns=("Step", "What then holds", ""), rows=tuple(rows))],
        done=stage.outcome.done,
        warnings=stage.outcome.warnings,
    )
    if dry_run:
        document.done += [text for number, text in enumerate(progress.steps, 1) if number > journal.step]
    if progress.waiting:
        remark = Remark(code="waiting", message=f"it waits: {progress.waiting}", hint=progress.hint)
        document.errors.append(remark)
        document.exit_code = int(ExitCode.PLAN_HAS_CHANGES)
    return document
