"""``gossamer audit``: what was done to a store, and whether the log of it is whole."""

import click
import msgspec

from gossamer.operator.audit.record import operator_log
from gossamer.operator.audit.verification import verify_operator
from gossamer.operator.commands.session import Session, reading
from gossamer.operator.failure import ExitCode
from gossamer.operator.output.document import Document, Facts, Table


@click.group()
def audit() -> None:
    """Show the log of what was done to a store, and check that nobody altered it."""


@audit.command()
@click.option(
    "-n", "--last", "count", type=click.IntRange(min=1), default=50, show_default=True, help="How many lines."
)
@click.option("--all", "every", is_flag=True, help="All of them.")
@click.option("--subject", metavar="KEY", default="", help="Only lines about this public key or name.")
@click.option("--head", is_flag=True, help="Only number and hash of the last line, to be kept elsewhere.")
@reading
def log(session: Session, count: int, every: bool, subject: str, head: bool) -> Document:
    """Show what was done, the latest last."""
    operator = session.workspace.operator_choice().name or session.workspace.operator().claims.name
    found = operator_log(session.workspace.store.root, operator)
    if head:
        end = found.head()
        pairs = (("number", str(end.number)), ("hash", end.hash))
        return Document(data=msgspec.to_builtins(end), sections=[Facts(pairs=pairs)])
    entries = [
        entry for entry in found.entries() if not subject or subject in msgspec.json.encode(entry.details).decode()
    ]
    entries = entries if every else entries[-count:]
    rows = tuple(
        (
            str(entry.number),
            entry.time,
            str(entry.actor.get("client") or entry.actor.get("user") or ""),
            entry.action,
            _about(entry.details),
        )
        for entry in entries
    )
    table = Table(title=f"Log of {operator}", columns=("Number", "Time", "Who", "What", "About"), rows=rows)
    return Document(data=msgspec.to_builtins(entries), sections=[table])


@audit.command()
@click.option(
    "--expect-head", metavar="HASH", default="", help="A hash of 'audit log --head' that some line must have."
)
@reading
def verify(session: Session, expect_head: str) -> Document:
    """Check the chain of the log, and that every claim in the store has its line. Exit code 5 if not."""
    operator = session.workspace.operator_choice().name or session.workspace.operator().claims.name
    stores = session.workspace.store.root
    faults, unknown = verify_operator(stores, operator, expected_head=expect_head)
    number = operator_log(stores, operator).head().number
    document = Document(data={"lines": number, "faults": msgspec.to_builtins(faults), "unknown": unknown})
    rows = tuple(("log", str(fault.line or ""), fault.message) for fault in faults)
    rows += tuple(("store", "", f"{path}: no line names this version") for path in unknown)
    document.sections = [Table(title="Findings", columns=("Where", "Line", "What"), rows=rows, empty="none")]
    if faults:
        document.exit_code = int(ExitCode.INVALID)
    elif unknown:
        # Another tool may have written them, or they are older than the log: worth a look, no proof of anything.
        document.warn("unlogged", f"{len(unknown)} claims were not written by this tool, or before there was a log")
    if not faults:
        document.done.append(f"the chain of {number} lines is whole")
    return document


def _about(details: dict[str, object]) -> str:
    objects = details.get("objects")
    if not isinstance(objects, list):
        return str(details.get("reason") or "")
    names = [
        f"{item.get('action')} {item.get('kind')} {item.get('name') or item.get('public')}" for item in objects[:4]
    ]
    return ", ".join(names) + (f" and {len(objects) - 4} more" if len(objects) > 4 else "")
