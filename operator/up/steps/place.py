"""What every step of a tour works with."""

from msgspec import Struct

from gossamer.operator.up.clients import Clients, StepFailed
from gossamer.operator.up.running_mesh import RunningMesh
from gossamer.operator.up.service import RunningService
from gossamer.operator.up.trust import Trust


class Place(Struct, frozen=True, kw_only=True):
    """The mesh, its trust chain, its services by name, and a way to open clients."""

    mesh: RunningMesh
    trust: Trust
    clients: Clients
    services: dict[str, RunningService]


class Verified(Struct, frozen=True, kw_only=True):
    """What a step has seen to be so; ``notes`` are further lines, such as the words of another command."""

    text: str
    notes: tuple[str, ...] = ()


def check(holds: bool, otherwise: str) -> None:
    """Raises StepFailed with ``otherwise`` unless it holds."""
    if not holds:
        raise StepFailed(otherwise)


def listed(names: list[str] | tuple[str, ...]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return " and ".join(part for part in (", ".join(names[:-1]), names[-1]) if part) if names else "nobody"


def shares(counts: dict[str, int]) -> str:
    """``n1 90, n2 110``."""
    return ", ".join(f"{name} {count}" for name, count in counts.items())
