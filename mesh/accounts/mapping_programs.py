"""A mapping as the engine takes it: which targets count on this node, and the programs of their subjects
(spec auth section 21)."""

from typing import TYPE_CHECKING

from gossamer.auth.sharing.values import Mapping, Target
from gossamer.auth.transforms import parse

if TYPE_CHECKING:
    from gossamer.mesh.engine.core import Destination


def destinations(mapping: Mapping, cluster_name: str) -> "tuple[Destination, ...]":
    """Of a node in that cluster (empty: none). Raises TransformError.

    Targets of the node's own cluster replace the general ones. What the weights leave over keeps its subject; it is
    dropped if the source itself is among the targets."""
    targets = _targets(mapping, cluster_name)
    found: list[Destination] = [(target.weight, parse(mapping.source, target.subject).program()) for target in targets]
    rest = 100 - sum(target.weight for target in targets)
    if rest > 0 and any(target.subject == mapping.source for target in targets):
        found.append((rest, ()))
    return tuple(found)


def _targets(mapping: Mapping, cluster_name: str) -> list[Target]:
    own = [target for target in mapping.targets if target.cluster and target.cluster == cluster_name]
    return own or [target for target in mapping.targets if not target.cluster]
