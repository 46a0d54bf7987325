"""The ``gateway`` block (spec configuration section 6.2)."""

from typing import Any

from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.options import RemoteGatewayOptions
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


def _authorization(processing: Processing, key: str, node: Node) -> tuple[Any, ...]:
    values = _SINGLE.convert(processing, key, node)
    return values.get("user"), values.get("password"), values.get("timeout")


_SINGLE = single_user("Gateway", "peer authorization")


def _remotes(processing: Processing, key: str, node: Node) -> tuple[RemoteGatewayOptions, ...]:
    if not isinstance(node.value, list):
        raise Wrong(f"Expected gateways field to be an array, got {node.go_type}", bare=True)
    found = []
    for each in node.value:
        if not isinstance(each.value, dict):
            processing.error(each, f"Expected gateway entry to be a map/struct, got {each.go_type}")
            continue
        values = processing.block("gateway.gateways", each)
        urls = values.get("urls", ())
        if "url" in values:
            urls = (*urls, values["url"])
        found.append(RemoteGatewayOptions(name=values.get("name", ""), urls=tuple(dict.fromkeys(urls))))
    return tuple(found)


TOP = (
    Row(
        keys=("gateway",),
        type=map_block("gateway", "Expected gateway to be a map, got {type}"),
        doc="Links to other clusters.",
        reload=Reload.NO,
        name="Gateway",
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
                fields=("gateway.name",),
                doc="Name of this cluster; equal to the cluster's if both are given.",
                name="Gateway",
            ),
            Row(
                keys=("listen",),
                type=LISTEN,
                fields=("gateway.host", "gateway.port"),
                doc="Address for gateways.",
                name="Gateway",
            ),
            Row(keys=("port",), type=INTEGER, fields=("gateway.port",), doc="Port for gateways; -1 takes a free one."),
            Row(
                keys=("host", "net"),
                type=TEXT,
                fields=("gateway.host",),
                doc="Address to listen on for gateways.",
                name="Gateway",
            ),
            Row(
                keys=("authorization",),
                type=Type("block peer authorization", _authorization),
                fields=("gateway.user", "gateway.password", "gateway.auth_timeout_ns"),
                default="none",
                doc="What gateways must say to come in.",
                name="Gateway",
            ),
            Row(
                keys=("tls",),
                type=TLS,
                doc="TLS for gateways.",
                reload=Reload.PARTLY,
                waits_for=Feature.TLS,
                is_off=lambda value: False,
            ),
            Row(
                keys=("advertise",),
                type=TEXT,
                fields=("gateway.advertise",),
                doc="Address told to others instead of the listener's.",
                name="Gateway",
            ),
            Row(
                keys=("connect_retries",),
                type=INTEGER,
                fields=("gateway.connect_retries",),
                doc="Attempts for gateways known by gossip.",
                name="Gateway",
            ),
            Row(
                keys=("connect_backoff",),
                type=BOOLEAN,
                fields=("gateway.connect_backoff",),
                doc="Dial less and less often.",
                name="Gateway",
                since="2.12",
            ),
            Row(
                keys=("reject_unknown_cluster", "reject_unknown"),
                type=BOOLEAN,
                fields=("gateway.reject_unknown_cluster",),
                doc="Only configured clusters may connect.",
                name="Gateway",
            ),
            Row(
                keys=("gateways",),
                type=Type("[block gateway.gateways]", _remotes),
                fields=("gateway.gateways",),
                doc="The other clusters.",
                name="Gateway",
            ),
            Row(
                keys=("write_deadline",),
                type=DURATION,
                fields=("gateway.write_deadline_ns",),
                doc="How long a write may take.",
                name="Gateway",
                since="2.14",
            ),
            Row(
                keys=("write_timeout",),
                type=WRITE_TIMEOUT,
                fields=("gateway.write_timeout",),
                doc="What then happens.",
                name="Gateway",
                since="2.14",
            ),
        ),
    ),
    block(
        "gateway.gateways",
        "gateway.gateways[]",
        (
            Row(keys=("name",), type=TEXT, doc="Name of the cluster."),
            Row(keys=("url",), type=url_type("gateway"), doc="One of its nodes."),
            Row(keys=("urls",), type=Type("[url]", _urls), doc="Several of its nodes."),
            Row(
                keys=("tls",),
                type=TLS,
                doc="TLS towards it.",
                waits_for=Feature.TLS,
                is_off=lambda value: False,
            ),
        ),
    ),
)
