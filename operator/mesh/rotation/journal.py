"""How far a rotation has come: a small file beside the operator's claim, without secrets, written with each step."""

from pathlib import Path

import msgspec
from msgspec import Struct

from gossamer.operator.failure import Failure
from gossamer.operator.store.workspace import Workspace

OPERATOR_KEY, ACCOUNT_KEY, USER = "operator-key", "account-key", "user"


class Journal(Struct, kw_only=True):
    """``step`` is the last one that is done. ``old`` and ``new`` are public keys. ``reached`` is when that step was
    done, in unix seconds."""

    kind: str
    name: str
    old: str
    new: str = ""
    step: int = 0
    started: int = 0
    reached: int = 0


def journal_path(workspace: Workspace, operator: str, kind: str, name: str) -> Path:
    """One rotation of a kind and an object at a time. ``name`` has been checked as a claim's name, part by part."""
    safe = name.replace("%", "%25").replace("/", "%2F")
    return workspace.store.operator_folder(operator) / f".rotation-{kind}-{safe}.json"


def read_journal(workspace: Workspace, operator: str, kind: str, name: str) -> Journal | None:
    """The rotation under way; None if there is none. Raises Failure when its file is broken."""
    path = journal_path(workspace, operator, kind, name)
    content = workspace.changes.read(path)
    if content is None:
        return None
    try:
        return msgspec.json.decode(content, type=Journal)
    except msgspec.DecodeError as error:
        raise Failure(
            f"{path} is broken: {error}",
            code="broken-file",
            hint="remove it to begin the rotation anew",
            path=str(path),
        ) from None


def write_journal(workspace: Workspace, operator: str, journal: Journal) -> None:
    """Put it into the pending changes: it becomes durable with what the step has changed."""
    path = journal_path(workspace, operator, journal.kind, journal.name)
    workspace.changes.write(path, msgspec.json.encode(journal))


def remove_journal(workspace: Workspace, operator: str, journal: Journal) -> None:
    """The rotation is over."""
    workspace.changes.remove(journal_path(workspace, operator, journal.kind, journal.name))
