"""What a command is about to change, as details of an audit entry; and where the log of an operator is."""

import base64
import getpass
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gossamer.auth.keys import is_public
from gossamer.operator.audit.log import AuditLog
from gossamer.operator.store.changes import ChangeSet

FOLDER = ".gossamer-audit"
OBJECTS_PER_ENTRY = 500

#: Who started a job, as the usual build systems say it.
_JOB_VARIABLES = ("GITHUB_ACTOR", "GITHUB_RUN_ID", "GITLAB_USER_LOGIN", "CI_JOB_ID", "BUILD_TAG", "BUILDKITE_BUILD_ID")
#: What changes with every signature and says nothing.
_NOISE = {"iat", "jti", "iss"}


def operator_log(stores: Path, operator: str) -> AuditLog:
    """The log of an operator, beside the operators: it outlives the operator's folder."""
    return AuditLog(stores / FOLDER / f"{operator}.jsonl")


def operators_with_logs(stores: Path) -> list[str]:
    """Names of the operators that have a log, sorted."""
    return sorted(path.stem for path in (stores / FOLDER).glob("*.jsonl"))


def this_actor(environment: Mapping[str, str]) -> dict[str, Any]:
    """The user of the system, and the job of a build system."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):
        user = ""
    return {"user": user} | {name: environment[name] for name in _JOB_VARIABLES if environment.get(name)}


def gather(changes: ChangeSet, stores: Path, keys: Path) -> dict[str, list[dict[str, Any]]]:
    """What ``changes`` is about to do, operator by operator. Call it before the commit. Raises Failure."""
    found: dict[str, list[dict[str, Any]]] = {}
    loose: list[dict[str, Any]] = []
    for action, path in changes.actions():
        for operator, entry in _entries(changes, action, path, stores, keys):
            (found.setdefault(operator, []) if operator else loose).append(entry)
    if len(found) == 1:
        next(iter(found.values())).extend(loose)
    return found


def record(
    gathered: dict[str, list[dict[str, Any]]], stores: Path, command: str, environment: Mapping[str, str], *, now: float
) -> None:
    """Write down what was gathered: after the commit, so that nothing is logged that did not happen. A crash between
    the two shows as a claim without an entry. Raises Failure."""
    actor = this_actor(environment)
    for operator, objects in gathered.items():
        log = operator_log(stores, operator)
        for start in range(0, len(objects), OBJECTS_PER_ENTRY):
            log.append(command, actor, {"objects": objects[start : start + OBJECTS_PER_ENTRY]}, now=now)


def payload(token: bytes | None) -> dict[str, Any]:
    """What a token says, not verified; empty for none and for what is no token."""
    try:
        body = (token or b"").split(b".")[1]
        found = json.loads(base64.urlsafe_b64decode(body + b"=" * (-len(body) % 4)))
    except (IndexError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def changed_fields(before: Any, after: Any, place: str = "") -> Iterator[str]:
    """Paths of the members that differ, as ``nats.limits.conn``."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in sorted({*before, *after}):
            if place or name not in _NOISE:
                yield from changed_fields(before.get(name), after.get(name), f"{place}.{name}" if place else name)
    elif before != after:
        yield place


def _entries(
    changes: ChangeSet, action: str, path: Path, stores: Path, keys: Path
) -> Iterator[tuple[str, dict[str, Any]]]:
    # Texts, not Paths: these may be hundreds of thousands.
    shown = str(path)
    place = shown.removeprefix(f"{stores}/")
    below_stores, below_keys = place != shown, shown.startswith(f"{keys}/")
    if shown.endswith(".jwt") and below_stores:
        before = payload(changes.read_committed(path)) if action != "create" else {}
        after = payload(changes.read(path)) if action != "remove" else {}
        yield place.partition("/")[0], _claim_entry(action, place, before, after)
    elif shown.endswith(".nk") and below_keys and is_public(path.stem):
        yield "", {"action": action, "kind": "key", "public": path.stem}
    elif action == "remove" and below_stores and path.is_dir():
        for below in sorted(path.rglob("*.jwt")):
            before = payload(ChangeSet().read(below))
            place = below.relative_to(stores).as_posix()
            yield place.partition("/")[0], _claim_entry(action, place, before, {})


def _claim_entry(action: str, place: str, before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    claim = after or before
    nats = claim.get("nats")
    entry: dict[str, Any] = {
        "action": action,
        "kind": nats.get("type") if isinstance(nats, dict) else None,
        "path": place,
        "name": claim.get("name"),
        "subject": claim.get("sub"),
        "issuer": claim.get("iss"),
    }
    if before:
        entry |= {"old_id": before.get("jti"), "old_issued_at": before.get("iat")}
    if after:
        entry |= {"id": after.get("jti"), "issued_at": after.get("iat"), "expires": after.get("exp")}
    if before and after:
        entry["changed"] = list(changed_fields(before, after))
    return entry
