"""Topology files: found by name or path, read, and checked as a whole before anything is started."""

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import get_args

import msgspec

from gossamer.auth.subjects import has_wildcards, is_valid
from gossamer.operator.failure import ExitCode, Failure, usage
from gossamer.operator.up import topology
from gossamer.operator.up.topology import (
    GUIDE,
    DeniedStep,
    FailoverStep,
    IsolationStep,
    MembershipStep,
    QueueStep,
    RequestStep,
    Step,
    Topology,
)

FILE_NAME = "topology.toml"

#: Beside ``operator/`` in a checkout, beside ``gossamer/operator/`` in an installation: the same place.
HOME = Path(__file__).resolve().parents[2] / "topologies"

_PLANS = (topology.NodePlan, topology.SubjectPlan, topology.UserPlan, topology.TenantPlan, topology.ServicePlan)
_KEYS = sorted({field for plan in (Topology, *_PLANS, *get_args(Step)) for field in plan.__struct_fields__} | {"step"})
_PLACED = re.compile(r"^(?P<what>.*?)(?: - at `\$\.?(?P<key>.*)`)?$", re.DOTALL)


def names(home: Path = HOME) -> list[str]:
    """The topologies that come with Gossamer."""
    return sorted(path.parent.name for path in home.glob(f"*/{FILE_NAME}"))


def find(name: str, home: Path = HOME) -> Path:
    """The file behind a name, or a path to a file or its folder. Raises Failure (usage) if there is none."""
    given = Path(name).expanduser()
    if given.is_file():
        return given
    candidates = [home / name / FILE_NAME] if "/" not in name and name not in {"", ".", ".."} else [given / FILE_NAME]
    for path in candidates:
        if path.is_file():
            return path
    known = ", ".join(names(home)) or f"none in {home}"
    raise usage(f"there is no topology {name!r}", f"there are: {known}; or give the path of a {FILE_NAME}")


def read(path: Path) -> Topology:
    """Read and check a file. Raises Failure: the file, the key, what is wrong and what to do."""
    try:
        found = msgspec.toml.decode(path.read_bytes(), type=Topology)
    except OSError as error:
        raise _failure(path, [f"cannot be read: {error.strerror or error}"], "check the path and its rights") from None
    except msgspec.ValidationError as error:
        raise _failure(path, [_placed(str(error))], _remedy(str(error))) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _failure(path, [f"is not TOML: {error}"], "mend the line named") from None
    faults = list(_faults(found))
    if faults:
        raise _failure(path, faults, "names must match those declared in the file, and be declared once")
    return found


def _failure(path: Path, faults: Sequence[str], hint: str) -> Failure:
    text = "; ".join(faults)
    return Failure(f"{path}: {text}", code="broken-topology", hint=hint, path=str(path), exit_code=ExitCode.INVALID)


def _placed(message: str) -> str:
    match = _PLACED.match(message)
    assert match is not None, "the pattern takes everything"
    what, key = match["what"], match["key"] or ""
    what = what[:1].lower() + what[1:]
    return f"{key}: {what}" if key else what


def _remedy(message: str) -> str:
    unknown = re.search(r"unknown field `([^`]*)`", message)
    if unknown is not None:
        close = difflib.get_close_matches(unknown[1], _KEYS, 1)
        return f"do you mean {close[0]!r}?" if close else "remove it: topologies/README.md lists the keys"
    if "matching regex" in message:
        return "a name is made of letters, digits, - and _"
    if "Invalid value" in message and ".step`" in message:
        return f"there are: {', '.join(str(step.__struct_config__.tag) for step in get_args(Step))}"
    if "required field" in message:
        return "add it: topologies/README.md describes the keys"
    return "see topologies/README.md"


# --- what the types cannot say --------------------------------------------------------------------------------------


def _faults(found: Topology) -> Iterator[str]:
    nodes = found.node_names
    yield from _twice("nodes", nodes)
    yield from _twice("tenants", [tenant.name for tenant in found.tenants])
    yield from _twice("services", [service.name for service in found.services])
    if len(nodes) > 1 and not found.cluster:
        yield "cluster: missing, and there is more than one node"
    for position, node in enumerate(found.nodes):
        for route in node.routes:
            yield from _known(f"nodes[{position}].routes", "node", route, nodes)
            if route == node.name:
                yield f"nodes[{position}].routes: {route!r} is the node itself"
    yield from _unreachable(found)
    yield from _user_faults(found)
    users = [f"{tenant.name}/{user.name}" for tenant in found.tenants for user in tenant.users]
    for position, service in enumerate(found.services):
        key = f"services[{position}]"
        yield from _known(f"{key}.user", "user", service.user, users)
        yield from _known(f"{key}.node", "node", service.node, nodes)
        if not is_valid(service.subject):
            yield f"{key}.subject: {service.subject!r} is not a subject"
    services = [service.name for service in found.services]
    for position, step in enumerate(found.tour):
        yield from _step_faults(f"tour[{position}]", step, nodes, users, services)


def _user_faults(found: Topology) -> Iterator[str]:
    for position, tenant in enumerate(found.tenants):
        key = f"tenants[{position}]"
        if tenant.name == "SYS":
            yield f"{key}.name: 'SYS' is the system account"
        yield from _twice(f"{key}.users", [user.name for user in tenant.users])
        for place, user in enumerate(tenant.users):
            if user.name == GUIDE:
                yield f"{key}.users[{place}].name: {GUIDE!r} is made for every tenant by itself"
            for side, plan in (("publish", user.publish), ("subscribe", user.subscribe)):
                for subject in (*plan.allow, *plan.deny):
                    if not is_valid(subject.partition(" ")[0]):
                        yield f"{key}.users[{place}].{side}: {subject!r} is not a subject"


def _step_faults(
    key: str, step: Step, nodes: Sequence[str], users: Sequence[str], services: Sequence[str]
) -> Iterator[str]:
    yield from _known(f"{key}.user", "user", step.user, users)
    if isinstance(step, DeniedStep):
        yield from _known(f"{key}.witness", "user", step.witness, users)
    if isinstance(step, IsolationStep):
        yield from _known(f"{key}.stranger", "user", step.stranger, users)
        if topology.tenant_of(step.user) == topology.tenant_of(step.stranger):
            yield f"{key}.stranger: {step.stranger!r} is of the same tenant as {step.user!r}"
    for field in ("node", "publisher", "subscriber"):
        if hasattr(step, field):
            yield from _known(f"{key}.{field}", "node", getattr(step, field), nodes)
    if isinstance(step, QueueStep):
        for name in (*step.members, *step.publishers):
            yield from _known(f"{key}.members", "node", name, nodes)
        if not step.members or not step.publishers:
            yield f"{key}: a queue group needs members and publishers"
    if isinstance(step, RequestStep) or (isinstance(step, FailoverStep) and step.service):
        yield from _known(f"{key}.service", "service", step.service, services)
    if isinstance(step, FailoverStep | MembershipStep | IsolationStep) and len(nodes) < 2:
        yield f"{key}: needs two nodes or more"
    if isinstance(step, topology.SurvivalStep) and len(nodes) < 3:
        yield f"{key}: needs three nodes or more"
    if not isinstance(step, RequestStep):
        wild = has_wildcards(step.subject)
        if not is_valid(step.subject) or (wild and not (isinstance(step, DeniedStep) and step.action == "sub")):
            yield f"{key}.subject: {step.subject!r} is not a subject that a message can be sent to"


def _unreachable(found: Topology) -> Iterator[str]:
    """Nodes that no chain of routes joins with the first one could never find it."""
    reached = {found.nodes[0].name}
    growing = True
    while growing:
        growing = False
        for node in found.nodes:
            touches = node.name in reached or any(route in reached for route in node.routes)
            fresh = {node.name, *node.routes} - reached if touches else set()
            if fresh:
                reached |= fresh
                growing = True
    for position, node in enumerate(found.nodes):
        if node.name not in reached:
            yield f"nodes[{position}].routes: no route joins {node.name!r} with {found.nodes[0].name!r}"


def _twice(key: str, given: Sequence[str]) -> Iterator[str]:
    for name in sorted({name for name in given if given.count(name) > 1}):
        yield f"{key}: {name!r} is declared twice"


def _known(key: str, what: str, name: str, known: Sequence[str]) -> Iterator[str]:
    if name not in known:
        yield f"{key}: there is no {what} {name!r} (there are: {', '.join(known) or 'none'})"
