"""The ``cluster`` block (spec configuration section 6.1)."""

from typing import Any
from urllib.parse import urlsplit

from gossamer.auth.permissions import Permissions
from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.options import ROUTE_PING_INTERVAL_MAX_NS, CompressionOptions
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.rows.authorization import single_user
from gossamer.mesh.options.rows.permissions import PERMISSIONS
from gossamer.mesh.options.rows.tls import TLS
from gossamer.mesh.options.table import Feature, Reload, Row, Type, Wrong, block
from gossamer.mesh.options.types import (
    BOOLEAN,
    DURATION,
    INTEGER,
    LISTEN,
    TEXT,
    WRITE_TIMEOUT,
    as_array,
    as_text,
    map_block,
    name,
    texts,
)
from gossamer.mesh.options.units import parse_duration

#: Compression modes by every word for them; no word at all is the default.
_MODES = {
    **dict.fromkeys(("", "accept"), "accept"),
    **dict.fromkeys(("off", "disabled", "false"), "off"),
    **dict.fromkeys(("on", "enabled", "true", "fast", "s2_fast"), "s2_fast"),
    **{word: f"s2_{level}" for level in ("auto", "better", "best") for word in (level, f"s2_{level}")},
}


def is_url(text: str) -> bool:
    """Can it be dialled: is there a port, if any, that is a number?"""
    if text.startswith(":") or any(character < " " for character in text):
        return False
    try:
        parts = urlsplit(text if "://" in text else f"nats://{text}")
        return parts.port is None or parts.port >= 0
    except ValueError:
        return False


def _routes(processing: Processing, key: str, node: Node) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for each in as_array(node):
        url = as_text(each)
        if not is_url(url):
            processing.error(each, f"error parsing route url [{quoted(url)}]", suggestion="nats://user:pass@host:port")
        elif url in found:
            processing.warn_of_use(each, url, "Duplicate route entry detected")
        else:
            found[url] = None
    return tuple(found)


def _authorization(processing: Processing, key: str, node: Node) -> tuple[Any, ...]:
    values = _SINGLE.convert(processing, key, node)
    if "permissions" in values:
        text = 'setting "permissions" within cluster authorization block is deprecated'
        processing.warn_of_use(node, key.lower(), text)
        _check_permissions(processing, values["permissions"], node)
    elsewhere = "cluster.permissions" in processing.draft  # what the cluster block itself says counts
    told = None if elsewhere else values.get("permissions")
    return values.get("user"), values.get("password"), values.get("timeout"), told


_SINGLE = single_user("Cluster", "peer authorization")


def _permissions(processing: Processing, key: str, node: Node) -> Permissions:
    value: Permissions = PERMISSIONS.convert(processing, key, node)
    _check_permissions(processing, value, node)
    return value


def _check_permissions(processing: Processing, value: Permissions, node: Node) -> None:
    """What users may have and routes may not (spec routes 15)."""
    if value.responses is not None:
        processing.error(node, "Cluster permissions do not support dynamic responses")
    for kind, subjects in (("allow", value.subscribe.allow or ()), ("deny", value.subscribe.deny)):
        for subject in subjects:
            if " " in subject:
                processing.error(node, f"cluster export {kind}: subject {quoted(subject)} is not a valid subject")


def compression(processing: Processing, key: str, node: Node) -> CompressionOptions:
    """What only says "on" means ``s2_fast``. Unknown modes are refused at start, not by the check."""
    value, thresholds = node.value, ()
    if isinstance(value, bool):
        mode = "on" if value else "off"
    elif isinstance(value, dict):
        values = processing.block("compression", node)
        mode, thresholds = values.get("mode", ""), values.get("rtt_thresholds", ())
    elif isinstance(value, str):
        mode = as_text(node)
    else:
        raise Wrong(f"field {quoted(key.lower())} should be a boolean or a structure, got {node.go_type}")
    found = _MODES.get(mode.lower())
    if found is None:
        processing.refusals.append((node.place, f"unsupported compression mode {quoted(mode)}"))
        found = "off"
    return CompressionOptions(mode=found, rtt_thresholds_ns=thresholds)


def _thresholds(processing: Processing, key: str, node: Node) -> tuple[int, ...]:
    found = []
    for each in as_array(node):
        try:
            found.append(parse_duration(as_text(each)))
        except ValueError as error:
            raise Wrong(str(error), node=each if each.place == node.place else node) from None
    return tuple(found)


COMPRESSION = Type("text, boolean or block compression", compression)


def _ping_interval(processing: Processing, key: str, node: Node) -> int:
    value: int = DURATION.convert(processing, key, node)
    if value > ROUTE_PING_INTERVAL_MAX_NS:
        processing.warn(node, "Cluster 'ping_interval' will reset to 30s which is the max for routes")
    return min(value, ROUTE_PING_INTERVAL_MAX_NS)


TOP = (
    Row(
        keys=("cluster",),
        type=map_block("cluster", "Expected map to define cluster, got {type}"),
        doc="The mesh this node is part of. Without a port there is none.",
        reload=Reload.PARTLY,
    ),
)

BLOCKS = (
    block(
        "cluster",
        "cluster",
        (
            Row(
                keys=("name",),
                type=name("cluster name cannot contain spaces"),
                fields=("cluster.name",),
                default="made up",
                doc="Name of the cluster, the same on all its nodes.",
                reload=Reload.YES,
                flags=("cluster_name",),
            ),
            Row(
                keys=("listen",),
                type=LISTEN,
                fields=("cluster.host", "cluster.port"),
                doc="Address for routes.",
                name="cluster port",
            ),
            Row(
                keys=("port",),
                type=INTEGER,
                fields=("cluster.port",),
                doc="Port for routes; -1 takes a free one.",
                name="cluster port",
            ),
            Row(
                keys=("host", "net"),
                type=TEXT,
                fields=("cluster.host",),
                doc="Address to listen on for routes.",
                name="cluster host",
            ),
            Row(
                keys=("authorization",),
                type=Type("block peer authorization", _authorization),
                fields=("cluster.user", "cluster.password", "cluster.auth_timeout_ns", "cluster.permissions"),
                default="none",
                doc="What routes must say to come in.",
                reload=Reload.YES,
            ),
            Row(
                keys=("permissions",),
                type=Type("permissions", _permissions),
                fields=("cluster.permissions",),
                default="none",
                doc="Interest that crosses routes: ours that may be imported, theirs that may be exported.",
                reload=Reload.YES,
            ),
            Row(
                keys=("routes",),
                type=Type("[url]", _routes),
                fields=("cluster.routes",),
                doc="Nodes to dial; the others are found by gossip.",
                reload=Reload.YES,
                flags=("routes",),
            ),
            Row(
                keys=("tls",),
                type=TLS,
                doc="TLS for routes.",
                reload=Reload.PARTLY,
                waits_for=Feature.TLS,
                is_off=lambda value: False,
            ),
            Row(
                keys=("cluster_advertise", "advertise"),
                type=TEXT,
                fields=("cluster.advertise",),
                doc="Address told to other nodes instead of the listener's.",
                reload=Reload.YES,
                flags=("cluster_advertise",),
            ),
            Row(
                keys=("no_advertise",),
                type=BOOLEAN,
                fields=("cluster.no_advertise",),
                doc="Do not tell clients of the other nodes.",
                reload=Reload.YES,
                flags=("no_advertise",),
            ),
            Row(
                keys=("connect_retries",),
                type=INTEGER,
                fields=("cluster.connect_retries",),
                doc="Attempts to dial a node known by gossip before giving up.",
                reload=Reload.YES,
                flags=("connect_retries",),
            ),
            Row(
                keys=("connect_backoff",),
                type=BOOLEAN,
                fields=("cluster.connect_backoff",),
                doc="Dial less and less often, from 1 s to 30 s.",
                reload=Reload.YES,
                since="2.12",
            ),
            Row(
                keys=("pool_size",),
                type=INTEGER,
                fields=("cluster.pool_size",),
                doc="Connections to each node; -1 is a single one without pooling.",
                reload=Reload.YES,
            ),
            Row(
                keys=("accounts",),
                type=texts("accounts"),
                fields=("cluster.accounts",),
                default="none",
                doc="Accounts with a connection of their own.",
                reload=Reload.YES,
            ),
            Row(
                keys=("compression",),
                type=COMPRESSION,
                fields=("cluster.compression",),
                default="accept",
                doc="`accept`: if the other side wants it; `s2_auto`: harder the longer the way.",
                reload=Reload.YES,
            ),
            Row(
                keys=("ping_interval",),
                type=Type("duration", _ping_interval),
                fields=("cluster.ping_interval_ns",),
                doc="Pause between PINGs on a route, at most 30 s.",
                reload=Reload.YES,
                since="2.11",
            ),
            Row(
                keys=("ping_max",),
                type=INTEGER,
                fields=("cluster.ping_max",),
                default="that of clients",
                doc="Unanswered PINGs after which a route is stale.",
                reload=Reload.YES,
            ),
            Row(
                keys=("write_deadline",),
                type=DURATION,
                fields=("cluster.write_deadline_ns",),
                default="that of clients",
                doc="How long a write to a route may take.",
                reload=Reload.YES,
            ),
            Row(
                keys=("write_timeout",),
                type=WRITE_TIMEOUT,
                fields=("cluster.write_timeout",),
                doc="What happens to a route that missed it.",
                reload=Reload.YES,
                since="2.14",
            ),
        ),
    ),
    block(
        "compression",
        "compression",
        (
            Row(keys=("mode",), type=TEXT, doc="off, accept, s2_auto, s2_fast, s2_better, s2_best."),
            Row(
                keys=("rtt_thresholds", "thresholds", "rtts", "rtt"),
                type=Type("[duration string]", _thresholds),
                default="10ms, 50ms, 100ms",
                doc="Round-trip times from which s2_auto compresses harder.",
            ),
        ),
    ),
)
