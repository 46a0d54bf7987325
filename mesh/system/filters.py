"""Which servers a request is meant for (spec system-and-monitoring section 5)."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gossamer.mesh.node import Node


def matches_filter(node: "Node", body: dict[str, Any]) -> bool:
    """Is this node among those asked? One that is not stays silent."""
    exact = bool(body.get("exact_match"))
    own = {"server_name": node.name, "cluster": node.cluster_name, "host": node.options.host}
    for name, value in own.items():
        wanted = body.get(name)
        if wanted and (wanted != value if exact else str(wanted) not in value):
            return False
    if body.get("domain"):
        return False  # there is no JetStream, so no domain
    tags = body.get("tags") or []
    held = set(node.options.server_tags)
    return isinstance(tags, list) and all(str(tag).lower() in held for tag in tags)
