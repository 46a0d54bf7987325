"""The ``websocket`` block (spec configuration section 6.5)."""

from typing import Any

from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.rows.authorization import TIMEOUT
from gossamer.mesh.options.rows.tls import TLS
from gossamer.mesh.options.table import Feature, Reload, Row, Type, Wrong, block
from gossamer.mesh.options.types import (
    BOOLEAN,
    DURATION,
    INTEGER,
    LISTEN,
    TEXT,
    as_text,
    map_block,
    plain_duration,
    texts,
)

_SECOND_NS = 1_000_000_000


def _headers(processing: Processing, key: str, node: Node) -> tuple[tuple[str, str], ...]:
    if not isinstance(node.value, dict):
        raise Wrong(f"error parsing headers: unsupported type {node.go_type}")
    found = []
    for name, child in node.value.items():
        if not isinstance(child.value, str):
            raise Wrong(f"error parsing header key {name}: unsupported type {child.go_type}", node=child)
        found.append((name, as_text(child)))
    return tuple(found)


def _handshake_timeout(processing: Processing, key: str, node: Node) -> Any:
    if type(node.value) is int:
        return node.value * _SECOND_NS
    if isinstance(node.value, str):
        return plain_duration(processing, key, node)
    raise Wrong(f"error parsing handshake timeout: unsupported type {node.go_type}")


TOP = (
    Row(
        keys=("websocket", "ws"),
        type=map_block("websocket", "Expected websocket to be a map, got {type}"),
        doc="Clients over WebSocket.",
        reload=Reload.PARTLY,
        name="Websocket",
        waits_for=Feature.WEBSOCKET,
        is_off=lambda value: False,
    ),
)

#: The narrower authorization of websocket and mqtt.
LISTENER_AUTHORIZATION = map_block("listener authorization")

BLOCKS = (
    block(
        "websocket",
        "websocket",
        (
            Row(keys=("listen",), type=LISTEN, doc="Address for WebSocket clients."),
            Row(keys=("port",), type=INTEGER, default="0 (off)", doc="Port for WebSocket clients."),
            Row(keys=("host", "net"), type=TEXT, default="0.0.0.0", doc="Address to listen on."),
            Row(keys=("advertise",), type=TEXT, doc="Address told to clients."),
            Row(keys=("tls",), type=TLS, doc="TLS; needed unless `no_tls`.", reload=Reload.PARTLY),
            Row(keys=("no_tls",), type=BOOLEAN, default="false", doc="Go without TLS."),
            Row(keys=("same_origin",), type=BOOLEAN, default="false", doc="Only pages of the same origin."),
            Row(
                keys=("allowed_origins", "allowed_origin", "allow_origins", "allow_origin", "origins", "origin"),
                type=texts("allowed origins"),
                default="any",
                doc="Only pages of these origins.",
            ),
            Row(keys=("compression", "compress"), type=BOOLEAN, default="false", doc="Compress frames."),
            Row(
                keys=("handshake_timeout",),
                type=Type("seconds or duration", _handshake_timeout),
                doc="Time for the upgrade.",
            ),
            Row(keys=("jwt_cookie",), type=TEXT, doc="Cookie with the user JWT."),
            Row(keys=("user_cookie",), type=TEXT, doc="Cookie with the user name.", since="2.11"),
            Row(keys=("pass_cookie",), type=TEXT, doc="Cookie with the password.", since="2.11"),
            Row(keys=("token_cookie",), type=TEXT, doc="Cookie with the token.", since="2.11"),
            Row(keys=("no_auth_user",), type=TEXT, doc="As at the top level, for WebSocket."),
            Row(keys=("authorization", "authentication"), type=LISTENER_AUTHORIZATION, doc="Instead of the clients'."),
            Row(keys=("headers",), type=Type("map of text", _headers), doc="Headers of the answer.", since="2.11"),
            Row(keys=("ping_interval",), type=DURATION, doc="Pause between PINGs.", since="2.14"),
        ),
    ),
    block(
        "listener authorization",
        "authorization of websocket and mqtt",
        (
            Row(keys=("user", "username"), type=TEXT, doc="The only user."),
            Row(keys=("password", "pass"), type=TEXT, doc="The only user's password."),
            Row(keys=("token",), type=TEXT, doc="The token."),
            Row(keys=("timeout",), type=TIMEOUT, default="2", unit="seconds", doc="Time to say who it is."),
        ),
    ),
)
