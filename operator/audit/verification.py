"""Is the log whole, and does every claim in the store stand in it?"""

from pathlib import Path

from gossamer.operator.audit.log import Fault
from gossamer.operator.audit.record import operator_log, payload
from gossamer.operator.store.changes import ChangeSet


def verify_operator(stores: Path, operator: str, *, expected_head: str = "") -> tuple[list[Fault], list[str]]:
    """Faults of the log, and the files of claims (below ``stores``) whose present version no entry names.

    ``expected_head``: a hash that was noted elsewhere; a fault unless some line has it. Raises Failure.
    """
    log = operator_log(stores, operator)
    faults = log.verify()
    known: set[object] = set()
    hashes = set()
    for entry in log.entries():
        hashes.add(entry.hash)
        known.update(item.get("id") for item in entry.details.get("objects", ()) if isinstance(item, dict))
    if expected_head and expected_head not in hashes:
        faults.append(Fault(line=0, message=f"no line has the hash {expected_head}: the log was replaced"))
    unknown = [
        path.relative_to(stores).as_posix()
        for path in sorted((stores / operator).rglob("*.jwt"))
        if payload(ChangeSet().read(path)).get("jti") not in known
    ]
    return faults, unknown
