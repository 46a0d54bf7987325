"""The ``leafnodes`` block and its remotes (spec configuration sections 6.3 and 6.4)."""

import re
from typing import Any
from urllib.parse import urlsplit

from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import Place, quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.rows.authorization import TIMEOUT
from gossamer.mesh.options.rows.cluster import COMPRESSION, is_url
from gossamer.mesh.options.rows.permissions import subject_list
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


def _authorization(processing: Processing, key: str, node: Node) -> dict[str, Any]:
    as_map(node)
    values = processing.block("leafnodes.authorization", node)
    users = values.get("users", ())
    if users and values.get("user"):
        processing.error(node, "can not have a single user/pass and a users array")
    elif users and values.get("nkey"):
        processing.error(node, "can not have a single nkey and a users array")
    seen = set()
    for user in users:
        if user in seen:
            processing.error(node, f"duplicate user {quoted(user)} detected in leafnode authorization")
        seen.add(user)
    return values


def _users(processing: Processing, key: str, node: Node) -> tuple[str, ...]:
    if not isinstance(node.value, list):
        raise Wrong(f"Expected users field to be an array, got {shown(node)}")
    found = []
    for each in node.value:
        if not isinstance(each.value, dict):
            processing.error(each, f"Expected user entry to be a map/struct, got {shown(each)}")
            continue
        name = processing.block("leafnodes.user", each).get("user")
        if name:
            found.append(name)
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


def _remotes(processing: Processing, key: str, node: Node) -> tuple[dict[str, Any], ...]:
    if not isinstance(node.value, list):
        raise Wrong(f"Expected remotes field to be an array, got {node.go_type}")
    found = []
    seen = set()
    for each in node.value:
        if not isinstance(each.value, dict):
            processing.error(each, f"Expected remote leafnode entry to be a map/struct, got {shown(each)}")
            continue
        values = processing.block("leafnodes.remotes", each)
        last = next(reversed(each.value.values())).place if each.value else each.place
        if values.get("credentials") and values.get("nkey"):
            processing.error(last, "Remote leafnode can not have both creds and nkey defined")
        identity = _identity(values)
        if "url" in values and identity in seen:
            processing.error(last, f"duplicate remote {identity}")
        seen.add(identity)
        found.append(values)
    return tuple(found)


def _identity(values: dict[str, Any]) -> str:
    """What makes two remotes the same, as it is printed."""
    urls = " ".join(quoted(_with_port(url)) for url in values.get("url", ()))
    text = f"urls=[{urls}], account={quoted(values.get('account', '$G'))}"
    if values.get("credentials"):
        text += f", credentials={quoted(values['credentials'])}"
    if values.get("nkey"):
        text += ', nkey="[REDACTED]"'
    return text


def _with_port(url: str) -> str:
    parts = urlsplit(url if "://" in url else f"nats://{url}")
    return url if parts.port is not None else f"{url}:7422"


def _urls(processing: Processing, key: str, node: Node) -> tuple[str, ...]:
    entries = [node] if isinstance(node.value, str) else node.value
    if not isinstance(entries, list):
        raise Wrong(f"Expected remote leafnode url to be an array or string, got {shown(node)}")
    found = []
    for each in entries:
        url = as_text(each)
        if not is_url(url):
            raise Wrong(f"error parsing leafnode url [{quoted(url)}]", node=each)
        found.append(url)
    return tuple(found)


def _seed(processing: Processing, key: str, node: Node) -> str:
    from gossamer.auth.keys import KeyKind, NkeyError, decode_seed

    text = as_text(node)
    try:
        kind, _ = decode_seed(text)
    except NkeyError:
        kind = None
    if kind is not KeyKind.USER:
        raise Wrong(f"Remote leafnode nkey is not a valid seed: {quoted(text)}")
    return text


def _migrate(processing: Processing, key: str, node: Node) -> Any:
    if isinstance(node.value, bool):
        return node.value
    if not isinstance(node.value, dict):
        raise Wrong(f"Expected boolean or map for {key.lower()}, got {node.go_type}")
    return processing.block("leafnodes.remotes.jetstream_cluster_migrate", node)


def _proxy(processing: Processing, key: str, node: Node) -> dict[str, Any]:
    as_map(node)
    values = processing.block("leafnodes.remotes.proxy", node)
    parts = urlsplit(values.get("url", ""))
    place: Node | Place = node
    if values.get("url") and parts.scheme not in ("http", "https"):
        processing.error(place, f"proxy URL scheme must be http or https, got: {parts.scheme}")
    elif values.get("url") and not parts.hostname:
        processing.error(place, "proxy URL must specify a host")
    if values.get("timeout", 0) < 0:
        processing.error(place, "proxy timeout must be >= 0")
    if bool(values.get("username")) != bool(values.get("password")):
        processing.error(place, "proxy username and password must both be specified or both be empty")
    return values


_ISOLATE = Row(
    keys=("isolate_leafnode_interest", "isolate"),
    type=BOOLEAN,
    default="false",
    doc="Do not tell leaf nodes of each other's interest.",
    since="2.12",
)
_DIAL_TIMEOUT = Row(
    keys=("dial_timeout",), type=DURATION, default="1s", doc="How long dialling may take.", since="2.14"
)

TOP = (
    Row(
        keys=("leafnodes", "leaf"),
        type=map_block("leafnodes", "Expected map to define a leafnode, got {type}"),
        doc="Leaf nodes: those that dial here, and the hubs dialled.",
        reload=Reload.PARTLY,
        name="LeafNode",
        waits_for=Feature.LEAFNODES,
        is_off=lambda value: False,
    ),
)

BLOCKS = (
    block(
        "leafnodes",
        "leafnodes",
        (
            Row(keys=("listen",), type=LISTEN, doc="Address for leaf nodes."),
            Row(keys=("port",), type=INTEGER, doc="Port for leaf nodes; -1 takes a free one."),
            Row(keys=("host", "net"), type=TEXT, default="0.0.0.0", doc="Address to listen on for leaf nodes."),
            Row(
                keys=("authorization",),
                type=Type("block leafnodes.authorization", _authorization),
                doc="Who may come in.",
            ),
            Row(keys=("tls",), type=TLS, doc="TLS for leaf nodes.", reload=Reload.PARTLY),
            Row(keys=("advertise", "leafnode_advertise"), type=TEXT, doc="Address told to leaf nodes."),
            Row(keys=("no_advertise",), type=BOOLEAN, default="false", doc="Do not tell leaf nodes of other nodes."),
            Row(
                keys=("min_version", "minimum_version"),
                type=Type("version", _min_version),
                doc="Oldest server let in, at least 2.8.0.",
            ),
            Row(keys=("compression",), type=COMPRESSION, default="s2_auto", doc="As for clusters.", reload=Reload.YES),
            Row(
                keys=("reconnect", "reconnect_delay", "reconnect_interval"),
                type=DURATION,
                default="1s",
                doc="Pause between attempts.",
            ),
            _DIAL_TIMEOUT,
            _ISOLATE,
            Row(keys=("write_deadline",), type=DURATION, doc="How long a write may take."),
            Row(keys=("write_timeout",), type=WRITE_TIMEOUT, default="retry", doc="What then happens."),
            Row(
                keys=("remotes",),
                type=Type("[block leafnodes.remotes]", _remotes),
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
    block(
        "leafnodes.remotes",
        "leafnodes.remotes[]",
        (
            Row(keys=("url", "urls"), type=Type("url or [url]", _urls), doc="The hub; the port defaults to 7422."),
            Row(keys=("account", "local"), type=TEXT, default="$G", doc="Local account."),
            Row(keys=("credentials", "creds"), type=TEXT, doc="Credentials file."),
            Row(keys=("nkey", "seed"), type=Type("nkey seed", _seed), doc="Seed of a user nkey.", since="2.11"),
            Row(keys=("tls",), type=TLS, doc="TLS towards the hub.", reload=Reload.YES),
            Row(keys=("hub",), type=BOOLEAN, default="false", doc="Be the hub of the two."),
            Row(keys=("deny_imports", "deny_import"), type=subject_list(queues=False), doc="Subjects not taken."),
            Row(keys=("deny_exports", "deny_export"), type=subject_list(queues=False), doc="Subjects not given."),
            Row(keys=("no_randomize", "dont_randomize"), type=BOOLEAN, default="false", doc="URLs in order."),
            Row(
                keys=("ws_compression", "ws_compress", "websocket_compress", "websocket_compression"),
                type=BOOLEAN,
                default="false",
                doc="Compress WebSocket frames.",
            ),
            Row(keys=("ws_no_masking", "websocket_no_masking"), type=BOOLEAN, default="false", doc="Do not mask them."),
            Row(
                keys=("jetstream_cluster_migrate", "js_cluster_migrate"),
                type=Type("boolean or map", _migrate),
                default="false",
                doc="Move stream leaders away when the hub is lost.",
            ),
            Row(keys=("compression",), type=COMPRESSION, default="s2_auto", doc="As for clusters.", reload=Reload.YES),
            Row(
                keys=("first_info_timeout",), type=DURATION, default="1s", doc="Wait for the first INFO.", since="2.11"
            ),
            _DIAL_TIMEOUT,
            _ISOLATE,
            Row(keys=("request_isolation",), type=BOOLEAN, default="false", doc="Ask for isolation.", since="2.12"),
            Row(keys=("disabled",), type=BOOLEAN, default="false", doc="Do not dial.", reload=Reload.YES, since="2.12"),
            Row(
                keys=("ignore_discovered_servers",),
                type=BOOLEAN,
                default="false",
                doc="Dial only the URLs given.",
                since="2.14",
            ),
            Row(keys=("proxy",), type=Type("block leafnodes.remotes.proxy", _proxy), doc="HTTP proxy.", since="2.14"),
        ),
    ),
    block(
        "leafnodes.remotes.jetstream_cluster_migrate",
        "leafnodes.remotes[].jetstream_cluster_migrate",
        (Row(keys=("leader_migrate_delay",), type=DURATION, doc="Wait before moving."),),
    ),
    block(
        "leafnodes.remotes.proxy",
        "leafnodes.remotes[].proxy",
        (
            Row(keys=("url",), type=TEXT, doc="The proxy."),
            Row(keys=("username",), type=TEXT, doc="Name for the proxy."),
            Row(keys=("password",), type=TEXT, doc="Password for the proxy."),
            Row(keys=("timeout",), type=DURATION, doc="How long it may take."),
        ),
    ),
)
