"""The ``gateway`` block (spec configuration section 6.2)."""

from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.rows.authorization import single_user
from gossamer.mesh.options.rows.cluster import is_url
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
)


def url_type(what: str) -> Type:
    """One URL."""

    def convert(processing: Processing, key: str, node: Node) -> str:
        return _url(what, node)

    return Type("url", convert)


def _urls(processing: Processing, key: str, node: Node) -> tuple[str, ...]:
    return tuple(_url("gateway", each) for each in as_array(node))


def _url(what: str, node: Node) -> str:
    url = as_text(node)
    if not is_url(url):
        raise Wrong(f"error parsing {what} url [{quoted(url)}]", node=node)
    return url


def _remotes(processing: Processing, key: str, node: Node) -> tuple[object, ...]:
    if not isinstance(node.value, list):
        raise Wrong(f"Expected gateways field to be an array, got {node.go_type}", bare=True)
    found = []
    for each in node.value:
        if not isinstance(each.value, dict):
            processing.error(each, f"Expected gateway entry to be a map/struct, got {each.go_type}")
            continue
        found.append(processing.block("gateway.gateways", each))
    return tuple(found)


TOP = (
    Row(
        keys=("gateway",),
        type=map_block("gateway", "Expected gateway to be a map, got {type}"),
        doc="Links to other clusters.",
        reload=Reload.NO,
        name="Gateway",
        waits_for=Feature.GATEWAYS,
        is_off=lambda value: False,
    ),
)

BLOCKS = (
    block(
        "gateway",
        "gateway",
        (
            Row(
                keys=("name",),
                type=name("gateway name cannot contain spaces"),
                doc="Name of this cluster; equal to the cluster's if both are given.",
            ),
            Row(keys=("listen",), type=LISTEN, doc="Address for gateways."),
            Row(keys=("port",), type=INTEGER, doc="Port for gateways; -1 takes a free one."),
            Row(keys=("host", "net"), type=TEXT, default="0.0.0.0", doc="Address to listen on for gateways."),
            Row(
                keys=("authorization",),
                type=single_user("Gateway", "peer authorization"),
                default="none",
                doc="What gateways must say to come in.",
            ),
            Row(keys=("tls",), type=TLS, doc="TLS for gateways.", reload=Reload.PARTLY),
            Row(keys=("advertise",), type=TEXT, doc="Address told to others instead of the listener's."),
            Row(keys=("connect_retries",), type=INTEGER, default="0", doc="Attempts for gateways known by gossip."),
            Row(
                keys=("connect_backoff",), type=BOOLEAN, default="false", doc="Dial less and less often.", since="2.12"
            ),
            Row(
                keys=("reject_unknown_cluster", "reject_unknown"),
                type=BOOLEAN,
                default="false",
                doc="Only configured clusters may connect.",
            ),
            Row(keys=("gateways",), type=Type("[block gateway.gateways]", _remotes), doc="The other clusters."),
            Row(keys=("write_deadline",), type=DURATION, doc="How long a write may take.", since="2.14"),
            Row(keys=("write_timeout",), type=WRITE_TIMEOUT, default="retry", doc="What then happens.", since="2.14"),
        ),
    ),
    block(
        "gateway.gateways",
        "gateway.gateways[]",
        (
            Row(keys=("name",), type=TEXT, doc="Name of the cluster."),
            Row(keys=("url",), type=url_type("gateway"), doc="One of its nodes."),
            Row(keys=("urls",), type=Type("[url]", _urls), doc="Several of its nodes."),
            Row(keys=("tls",), type=TLS, doc="TLS towards it."),
        ),
    ),
)
