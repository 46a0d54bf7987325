"""The ``leafnodes`` block but for its remotes (spec configuration section 6.3)."""

import re
from typing import Any

from gossamer.auth.settings import GLOBAL_ACCOUNT, UserSettings
from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.rows.authorization import TIMEOUT
from gossamer.mesh.options.rows.leaf_remotes import LEAF_COMPRESSION, LEAF_REMOTES
from gossamer.mesh.options.rows.tls import TLS
from gossamer.mesh.options.table import Feature, Reload, Row, Type, Wrong, block
from gossamer.mesh.options.types import (
    BOOLEAN,
    DURATION,
    INTEGER,
    LISTEN,
    TEXT,
    WRITE_TIMEOUT,
    as_map,
    as_text,
    map_block,
    shown,
)

_SEMVER = re.compile(r"v?([0-9]+)\.([0-9]+)\.([0-9]+)(?:[-+].*)?")
#: Parts of the ``authorization`` block and where they go.
_PARTS = ("user", "password", "nkey", "account", "users", "timeout", "proxy_required")


def _authorization(processing: Processing, key: str, node: Node) -> tuple[Any, ...]:
    as_map(node)
    values = processing.block("leafnodes.authorization", node)
    users = values.get("users", ())
    if users and values.get("user"):
        processing.error(node, "can not have a single user/pass and a users array")
    elif users and values.get("nkey"):
        processing.error(node, "can not have a single nkey and a users array")
    seen = set()
    for user in users:
        if user.name in seen:
            processing.error(node, f"duplicate user {quoted(user.name)} detected in leafnode authorization")
        seen.add(user.name)
    return tuple(values.get(part) for part in _PARTS)


def _users(processing: Processing, key: str, node: Node) -> tuple[UserSettings, ...]:
    if not isinstance(node.value, list):
        raise Wrong(f"Expected users field to be an array, got {shown(node)}")
    found = []
    for each in node.value:
        if not isinstance(each.value, dict):
            processing.error(each, f"Expected user entry to be a map/struct, got {shown(each)}")
            continue
        values = processing.block("leafnodes.user", each)
        if values.get("user"):
            found.append(
                UserSettings(
                    name=values["user"],
                    password=values.get("password", ""),
                    account=values.get("account") or GLOBAL_ACCOUNT,
                    proxy_required=values.get("proxy_required", False),
                    place=str(each.place),
                )
            )
    return tuple(found)


def _user_key(processing: Processing, key: str, node: Node) -> str:
    from gossamer.auth.keys import KeyKind, is_public

    text = as_text(node)
    if not is_public(text, KeyKind.USER):
        raise Wrong("Not a valid public nkey for a user")
    return text


def _min_version(processing: Processing, key: str, node: Node) -> str:
    text = as_text(node)
    found = _SEMVER.fullmatch(text)
    if found is None:
        raise Wrong("invalid leafnode's minimum version: invalid semver")
    if tuple(map(int, found.groups())) < (2, 8, 0):
        raise Wrong("the minimum version should be at least 2.8.0")
    return text


TOP = (
    Row(
        keys=("leafnodes", "leaf"),
        type=map_block("leafnodes", "Expected map to define a leafnode, got {type}"),
        doc="Leaf nodes: those that dial here, and the hubs dialled.",
        reload=Reload.PARTLY,
    ),
)

BLOCKS = (
    block(
        "leafnodes",
        "leafnodes",
        (
            Row(
                keys=("listen",),
                type=LISTEN,
                fields=("leafnodes.host", "leafnodes.port"),
                name="LeafNode",
                doc="Address for leaf nodes.",
            ),
            Row(
                keys=("port",),
                type=INTEGER,
                fields=("leafnodes.port",),
                name="LeafNode",
                doc="Port for leaf nodes; -1 takes a free one.",
            ),
            Row(
                keys=("host", "net"),
                type=TEXT,
                fields=("leafnodes.host",),
                name="LeafNode",
                doc="Address to listen on for leaf nodes.",
            ),
            Row(
                keys=("authorization",),
                type=Type("block leafnodes.authorization", _authorization),
                fields=(
                    "leafnodes.user",
                    "leafnodes.password",
                    "leafnodes.nkey",
                    "leafnodes.account",
                    "leafnodes.users",
                    "leafnodes.auth_timeout_ns",
                    "leafnodes.proxy_required",
                ),
                name="LeafNode",
                default="as clients",
                doc="Who may come in.",
            ),
            Row(
                keys=("tls",),
                type=TLS,
                doc="TLS for leaf nodes.",
                reload=Reload.PARTLY,
                waits_for=Feature.TLS,
                is_off=lambda value: False,
            ),
            Row(
                keys=("advertise", "leafnode_advertise"),
                type=TEXT,
                fields=("leafnodes.advertise",),
                name="LeafNode",
                doc="Address told to leaf nodes.",
            ),
            Row(
                keys=("no_advertise",),
                type=BOOLEAN,
                fields=("leafnodes.no_advertise",),
                name="LeafNode",
                doc="Do not tell leaf nodes of other nodes.",
            ),
            Row(
                keys=("min_version", "minimum_version"),
                type=Type("version", _min_version),
                fields=("leafnodes.min_version",),
                name="LeafNode",
                default="none",
                doc="Oldest server let in, at least 2.8.0.",
            ),
            Row(
                keys=("compression",),
                type=LEAF_COMPRESSION,
                fields=("leafnodes.compression",),
                name="LeafNode",
                default="s2_auto",
                doc="off, accept, s2_auto, s2_fast, s2_better or s2_best.",
                reload=Reload.YES,
            ),
            Row(
                keys=("reconnect", "reconnect_delay", "reconnect_interval"),
                type=DURATION,
                fields=("leafnodes.reconnect_ns",),
                name="LeafNode",
                doc="Pause between attempts.",
            ),
            Row(
                keys=("dial_timeout",),
                type=DURATION,
                fields=("leafnodes.dial_timeout_ns",),
                name="LeafNode",
                doc="How long dialling may take.",
                since="2.14",
            ),
            Row(
                keys=("isolate_leafnode_interest", "isolate"),
                type=BOOLEAN,
                fields=("leafnodes.isolate_leafnode_interest",),
                name="LeafNode",
                doc="Do not tell leaf nodes of each other's interest.",
                since="2.12",
            ),
            Row(
                keys=("write_deadline",),
                type=DURATION,
                fields=("leafnodes.write_deadline_ns",),
                name="LeafNode",
                default="that of clients",
                doc="How long a write may take.",
            ),
            Row(
                keys=("write_timeout",),
                type=WRITE_TIMEOUT,
                fields=("leafnodes.write_timeout",),
                name="LeafNode",
                doc="What then happens.",
            ),
            Row(
                keys=("remotes",),
                type=LEAF_REMOTES,
                fields=("leafnodes.remotes",),
                name="LeafNode",
                default="none",
                doc="Hubs to dial.",
                reload=Reload.YES,
            ),
        ),
    ),
    block(
        "leafnodes.authorization",
        "leafnodes.authorization",
        (
            Row(keys=("user", "username"), type=TEXT, doc="The only user."),
            Row(keys=("password", "pass"), type=TEXT, doc="The only user's password."),
            Row(keys=("nkey",), type=Type("nkey", _user_key), doc="The only nkey."),
            Row(keys=("account",), type=TEXT, default="$G", doc="Account the leaf node is bound to."),
            Row(keys=("timeout",), type=TIMEOUT, default="2", unit="seconds", doc="Time to say who it is."),
            Row(keys=("proxy_required",), type=BOOLEAN, default="false", doc="Only through a proxy.", since="2.12"),
            Row(keys=("users",), type=Type("[block leafnodes.user]", _users), doc="Several users."),
        ),
    ),
    block(
        "leafnodes.user",
        "leafnodes.authorization.users[]",
        (
            Row(keys=("user", "username"), type=TEXT, doc="Name."),
            Row(keys=("password", "pass"), type=TEXT, doc="Password."),
            Row(keys=("account",), type=TEXT, default="$G", doc="Account the leaf node is bound to."),
            Row(keys=("proxy_required",), type=BOOLEAN, default="false", doc="Only through a proxy.", since="2.12"),
        ),
    ),
)
