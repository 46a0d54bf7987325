"""The remotes of the ``leafnodes`` block: hubs to dial (spec configuration section 6.4)."""

import os
from typing import Any
from urllib.parse import urlsplit

from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import Place, quoted
from gossamer.mesh.options.options import CompressionOptions, LeafRemoteOptions
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.rows.cluster import is_url
from gossamer.mesh.options.rows.permissions import subject_list
from gossamer.mesh.options.rows.tls import TLS
from gossamer.mesh.options.table import Feature, Reload, Row, Type, Wrong, block
from gossamer.mesh.options.types import BOOLEAN, DURATION, TEXT, as_map, as_text, shown

#: Compression modes by every word for them; no word at all is the default.
_MODES = {
    "accept": "accept",
    **dict.fromkeys(("off", "disabled", "false"), "off"),
    **dict.fromkeys(("", "on", "enabled", "true", "auto", "s2_auto"), "s2_auto"),
    **{word: f"s2_{level}" for level in ("fast", "better", "best") for word in (level, f"s2_{level}")},
}


def _compression(processing: Processing, key: str, node: Node) -> CompressionOptions:
    """As for clusters, but that what only says "on" means ``s2_auto``."""
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


LEAF_COMPRESSION = Type("text, boolean or block compression", _compression)


def _remotes(processing: Processing, key: str, node: Node) -> tuple[LeafRemoteOptions, ...]:
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
        _refuse_websocket(processing, values.get("url", ()), each)
        found.append(LeafRemoteOptions(**{_FIELDS[name]: value for name, value in values.items() if name in _FIELDS}))
    return tuple(found)


def _refuse_websocket(processing: Processing, urls: tuple[str, ...], node: Node) -> None:
    over_websocket = [url.lower().startswith(("ws://", "wss://")) for url in urls]
    if not any(over_websocket):
        return
    place = next((child for key, child in node.value.items() if key.lower() in ("url", "urls")), node)
    if not all(over_websocket):
        listed = " ".join(quoted(url) for url in urls)
        text = f"remote leaf node configuration cannot have a mix of websocket and non-websocket urls: [{listed}]"
        processing.refusals.append((place.place, text))
    text = f'"ws" and "wss" as schemes are not available yet ({Feature.WEBSOCKET.value}); remove it to start'
    processing.error(place, text)


def _path(processing: Processing, key: str, node: Node) -> str:
    """A file, with ``~`` and variables of the environment in it replaced."""
    return os.path.expandvars(os.path.expanduser(as_text(node)))


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


LEAF_REMOTES = Type("[block leafnodes.remotes]", _remotes)


#: What a remote's values are called in ``LeafRemoteOptions``.
_FIELDS = {
    "url": "urls",
    "account": "account",
    "credentials": "credentials",
    "nkey": "nkey",
    "hub": "hub",
    "deny_imports": "deny_imports",
    "deny_exports": "deny_exports",
    "no_randomize": "no_randomize",
    "compression": "compression",
    "first_info_timeout": "first_info_timeout_ns",
    "dial_timeout": "dial_timeout_ns",
    "isolate_leafnode_interest": "isolate_leafnode_interest",
    "request_isolation": "request_isolation",
    "disabled": "disabled",
    "ignore_discovered_servers": "ignore_discovered_servers",
}

BLOCKS = (
    block(
        "leafnodes.remotes",
        "leafnodes.remotes[]",
        (
            Row(keys=("url", "urls"), type=Type("url or [url]", _urls), doc="The hub; the port defaults to 7422."),
            Row(keys=("account", "local"), type=TEXT, default="$G", doc="Local account."),
            Row(keys=("credentials", "creds"), type=Type("text", _path), doc="Credentials file."),
            Row(keys=("nkey", "seed"), type=Type("nkey seed", _seed), doc="Seed of a user nkey.", since="2.11"),
            Row(
                keys=("tls",),
                type=TLS,
                doc="TLS towards the hub.",
                reload=Reload.YES,
                waits_for=Feature.TLS,
                is_off=lambda value: False,
            ),
            Row(keys=("hub",), type=BOOLEAN, default="false", doc="Be the hub of the two."),
            Row(keys=("deny_imports", "deny_import"), type=subject_list(queues=False), doc="Subjects not taken."),
            Row(keys=("deny_exports", "deny_export"), type=subject_list(queues=False), doc="Subjects not given."),
            Row(keys=("no_randomize", "dont_randomize"), type=BOOLEAN, default="false", doc="URLs in order."),
            Row(
                keys=("ws_compression", "ws_compress", "websocket_compress", "websocket_compression"),
                type=BOOLEAN,
                default="false",
                doc="Compress WebSocket frames.",
                waits_for=Feature.WEBSOCKET,
            ),
            Row(
                keys=("ws_no_masking", "websocket_no_masking"),
                type=BOOLEAN,
                default="false",
                doc="Do not mask them.",
                waits_for=Feature.WEBSOCKET,
            ),
            Row(
                keys=("jetstream_cluster_migrate", "js_cluster_migrate"),
                type=Type("boolean or map", _migrate),
                default="false",
                doc="Move stream leaders away when the hub is lost.",
                waits_for=Feature.STREAMS,
            ),
            Row(
                keys=("compression",),
                type=LEAF_COMPRESSION,
                default="s2_auto",
                doc="As for the listener.",
                reload=Reload.YES,
            ),
            Row(
                keys=("first_info_timeout",), type=DURATION, default="1s", doc="Wait for the first INFO.", since="2.11"
            ),
            Row(
                keys=("dial_timeout",),
                type=DURATION,
                default="that of the block",
                doc="How long dialling may take.",
                since="2.14",
            ),
            Row(
                keys=("isolate_leafnode_interest", "isolate"),
                type=BOOLEAN,
                default="false",
                doc="Do not tell it of other leaf nodes' interest.",
                since="2.12",
            ),
            Row(keys=("request_isolation",), type=BOOLEAN, default="false", doc="Ask for isolation.", since="2.12"),
            Row(keys=("disabled",), type=BOOLEAN, default="false", doc="Do not dial.", reload=Reload.YES, since="2.12"),
            Row(
                keys=("ignore_discovered_servers",),
                type=BOOLEAN,
                default="false",
                doc="Dial only the URLs given.",
                since="2.14",
            ),
            Row(
                keys=("proxy",),
                type=Type("block leafnodes.remotes.proxy", _proxy),
                doc="HTTP proxy.",
                since="2.14",
                waits_for=Feature.WEBSOCKET,
            ),
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
