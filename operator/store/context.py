"""Which operator and account a command means: flags, working folder, ``nsc.json``, the only one there is
(spec operator-cli section 2.4).

Only ``gossamer env`` and the creation of a first operator or account change the file: nothing switches in silence.
"""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct

from gossamer.operator.failure import Failure
from gossamer.operator.store.changes import ChangeSet
from gossamer.operator.store.places import Places

OPERATOR_MARK = ".nsc"


class Choice(Struct, frozen=True, kw_only=True):
    """A name and where it came from: ``flag``, ``folder``, ``context``, ``only`` or ``none`` (then name is empty)."""

    name: str = ""
    source: str = "none"


class WorkingFolder(Struct, frozen=True, kw_only=True):
    """What the working folder says: the stores folder it is in or above, and the operator and account it is below."""

    stores: Path | None = None
    operator: str = ""
    account: str = ""


class ContextFile:
    """``nsc.json``. Members that are not ours are kept."""

    def __init__(self, places: Places, environment: Mapping[str, str], changes: ChangeSet) -> None:
        self._path = places.context_file
        self._changes = changes
        # Spec: with NSC_CWD_ONLY set the file is neither read nor written.
        self.ignored = bool(environment.get("NSC_CWD_ONLY"))

    def load(self) -> dict[str, Any]:
        """The members; empty without a file. Raises Failure when the file is broken."""
        if self.ignored:
            return {}
        content = self._changes.read(self._path)
        if content is None:
            return {}
        try:
            members = json.loads(content)
            if not isinstance(members, dict):
                raise ValueError("not an object")
        except ValueError as error:
            raise Failure(
                f"{self._path} is broken: {error}",
                code="broken-file",
                hint="remove it and set the context again with: gossamer env --operator NAME",
                path=str(self._path),
            ) from None
        return members

    def text(self, member: str) -> str:
        """A string member; empty when it is absent or something else."""
        value = self.load().get(member, "")
        return value if isinstance(value, str) else ""

    def update(self, **members: str) -> bool:
        """Set members; returns whether the file changes. Does nothing when the file is ignored."""
        if self.ignored:
            return False
        loaded = self.load()
        if all(loaded.get(name, "") == value for name, value in members.items()):
            return False
        if not loaded:
            # The two members keep nsc from taking the file for one of an old version.
            loaded = {"store_root": "", "operator": "", "account": "", "github_updates": "nats-io/nsc"}
            loaded["last_update"] = int(time.time())
        loaded.update(members)
        self._changes.write(self._path, json.dumps(loaded, separators=(",", ":"), ensure_ascii=False).encode())
        return True


def mark_is_operator(content: bytes | None) -> bool:
    """Does the content of a ``.nsc`` file mark an operator's folder?"""
    try:
        members = json.loads(content or b"")
    except ValueError:
        return False
    return isinstance(members, dict) and members.get("kind") == "operator"


def read_working_folder(folder: Path, changes: ChangeSet) -> WorkingFolder:
    """Is ``folder`` inside an operator's folder, below one of its accounts, or directly above operators?"""
    for operator in (folder, *folder.parents):
        if mark_is_operator(changes.read(operator / OPERATOR_MARK)):
            below = folder.relative_to(operator).parts
            account = below[1] if len(below) > 1 and below[0] == "accounts" else ""
            return WorkingFolder(stores=operator.parent, operator=operator.name, account=account)
    if any(mark_is_operator(changes.read(folder / name / OPERATOR_MARK)) for name in _subfolders(folder)):
        return WorkingFolder(stores=folder)
    return WorkingFolder()


def choose(flag: str, folder: str, context: str, present: list[str]) -> Choice:
    """The first that says something, in the order of section 2.4. A name in the context file that is gone is skipped;
    one that a flag gives is returned even if it does not exist, so that the command can say so."""
    if flag:
        return Choice(name=flag, source="flag")
    if folder:
        return Choice(name=folder, source="folder")
    if context in present:
        return Choice(name=context, source="context")
    if len(present) == 1:
        return Choice(name=present[0], source="only")
    return Choice()


def _subfolders(folder: Path) -> list[str]:
    try:
        return [entry.name for entry in folder.iterdir() if entry.is_dir()]
    except OSError:
        return []
