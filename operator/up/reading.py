"""Topology files: found by name or path, read, and checked as a whole before anything is started."""

import difflib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec

from gossamer.operator.failure import ExitCode, Failure, usage
from gossamer.operator.up import topology
from gossamer.operator.up.checking import faults_of
from gossamer.operator.up.topology import Step, Topology

FILE_NAME = "topology.toml"

#: Beside ``operator/`` in a checkout, beside ``gossamer/operator/`` in an installation: the same place.
HOME = Path(__file__).resolve().parents[2] / "topologies"

_PLANS = (
    topology.NodePlan,
    topology.RemotePlan,
    topology.ClusterPlan,
    topology.LatencyPlan,
    topology.SubjectPlan,
    topology.UserPlan,
    topology.TenantPlan,
    topology.ServicePlan,
)
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
    faults = list(faults_of(found))
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
    if "matching regex" in message and re.search(r"subscribers|publishers|strangers|asker|responder|side", message):
        return "a seat is written tenant/user@node"
    if "matching regex" in message:
        return "a name is made of letters, digits, - and _"
    if "Invalid value" in message and ".step`" in message:
        return f"there are: {', '.join(str(step.__struct_config__.tag) for step in get_args(Step))}"
    if "required field" in message:
        return "add it: topologies/README.md describes the keys"
    return "see topologies/README.md"
