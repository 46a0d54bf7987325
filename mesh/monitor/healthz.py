"""/healthz: may this server be used? (spec system-and-monitoring section 13)"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from gossamer.mesh.monitor.parameters import boolean

if TYPE_CHECKING:
    from gossamer.mesh.node import Node


def healthz(node: "Node", query: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
    """HTTP status and document. JetStream is not there yet, so its checks end in ``ok``. Raises BadParameter."""
    in_detail = boolean(query, "details")
    for name in ("js-enabled", "js-enabled-only", "js-server-only", "js-meta-only"):
        boolean(query, name)
    account, stream, consumer = (query.get(name, "") for name in ("account", "stream", "consumer"))
    if stream and not account:
        return _bad(400, "BAD_REQUEST", '"account" must not be empty when checking stream health', in_detail)
    if consumer and not stream:
        return _bad(400, "BAD_REQUEST", '"stream" must not be empty when checking consumer health', in_detail)
    if not node.running or not (node.listener.is_open or node.lame_duck):
        return _bad(500, "CONNECTION", "failed to be ready for connections after 1ms: client", in_detail)
    return 200, {"status": "ok"}


def _bad(status: int, kind: str, text: str, in_detail: bool) -> tuple[int, dict[str, Any]]:
    if in_detail:
        return status, {"status": "error", "errors": [{"type": kind, "error": text}]}
    return status, {"status": "error", "error": text}
