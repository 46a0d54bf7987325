"""Who the node is, and odds and ends (spec configuration section 4.4)."""

from typing import Any

from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.table import Feature, Reload, Row, Type, Wrong, block
from gossamer.mesh.options.types import (
    ARRAY_OF_TEXT,
    BOOLEAN,
    TEXT,
    as_boolean,
    as_text,
    map_of_texts,
    seconds,
    texts,
)

#: The feature flags of nats-server 2.15.1 and what they are unless set. All of them are about streams.
STREAM_FLAGS = {
    "js_ack_fc_v2": False,
    "js_api_reply_v2": False,
    "js_raft_delete_range": True,
    "js_snapshot_sources": False,
}
_OCSP_MODES = ("auto", "always", "must", "never")


def _tags(processing: Processing, key: str, node: Node) -> tuple[str, ...]:
    found = texts("tags").convert(processing, key, node)
    return tuple(dict.fromkeys(tag.strip().lower() for tag in found))


def _feature_flags(processing: Processing, key: str, node: Node) -> tuple[tuple[str, bool], ...]:
    if not isinstance(node.value, dict):
        raise Wrong(f"error parsing feature flags: unsupported type {node.go_type}")
    found = []
    for name, child in node.value.items():
        if not isinstance(child.value, bool):
            text = f"error parsing feature flag {quoted(name)}: expected bool, got {child.go_type}"
            processing.error(child, text)
            continue
        value = as_boolean(child)
        if name in STREAM_FLAGS and value != STREAM_FLAGS[name]:
            text = f'"{name}" is not available yet ({Feature.STREAMS.value}); remove it to start'
            processing.error(child, text)
            continue
        found.append((name, value))
    return tuple(found)


def _system_account(processing: Processing, key: str, node: Node) -> str:
    if not isinstance(node.value, str):
        raise Wrong("system account name must be a string")
    return as_text(node)


def _store_dir(processing: Processing, key: str, node: Node) -> str:
    if processing.stream_store is not None or "store_dir" in processing.draft:
        raise Wrong("Duplicate 'store_dir' configuration")
    return as_text(node)


def _ocsp(processing: Processing, key: str, node: Node) -> Any:
    if isinstance(node.value, bool):
        return node.value
    if not isinstance(node.value, dict):
        raise Wrong(f"error parsing ocsp config: unsupported type {node.go_type}")
    mode = "auto"
    for name, child in node.value.items():
        if name == "mode":
            mode = as_text(child)
            if mode not in _OCSP_MODES:
                raise Wrong("error parsing ocsp config: unsupported ocsp mode string", node=child)
        elif name == "url":
            as_text(child)
        elif name == "urls":
            ARRAY_OF_TEXT.convert(processing, name, child)
        else:
            suggestion = f'write "{name.lower()}"' if name.lower() in ("mode", "url", "urls") else ""
            raise Wrong("error parsing ocsp config: unsupported field string", node=child, suggestion=suggestion)
    return mode != "never"


def _ocsp_cache(processing: Processing, key: str, node: Node) -> Any:
    if isinstance(node.value, bool):
        return node.value
    if not isinstance(node.value, dict):
        raise Wrong(f"error parsing tags: unsupported type {node.go_type}")
    return processing.block("ocsp_cache", node) or True


def _cache_type(processing: Processing, key: str, node: Node) -> str:
    value = as_text(node)
    if value.lower() not in ("local", "none"):
        raise Wrong(f"error parsing OCSP peer cache config, unknown type [{value}]")
    return value.lower()


TOP = (
    Row(
        keys=("server_tags",),
        type=Type("text or [text]", _tags),
        fields=("server_tags",),
        doc="Labels of the node; lower-cased.",
        reload=Reload.YES,
        name="Tags",
    ),
    Row(
        keys=("server_metadata",),
        type=map_of_texts("error parsing metadata: unsupported type {type}"),
        fields=("server_metadata",),
        doc="Facts about the node, shown by monitoring.",
        reload=Reload.YES,
        since="2.12",
    ),
    Row(
        keys=("feature_flags",),
        type=Type("map of boolean", _feature_flags),
        fields=("feature_flags",),
        doc="Switches for features in transition; those nobody knows are only logged.",
        name="FeatureFlags",
        since="2.14",
    ),
    Row(
        keys=("system_account", "system"),
        type=Type("text", _system_account),
        fields=("authorization.system_account",),
        default="$SYS",
        doc="Account of the mesh's own events and requests.",
        name="SystemAccount",
    ),
    Row(
        keys=("no_system_account", "no_system", "no_sys_acc"),
        type=BOOLEAN,
        fields=("authorization.no_system_account",),
        doc="Run without a system account.",
        name="NoSystemAccount",
    ),
    Row(
        keys=("no_auth_user",),
        type=TEXT,
        fields=("authorization.no_auth_user",),
        doc="User (or nkey) that clients without credentials are taken for.",
        name="NoAuthUser",
        reload=Reload.PARTLY,
    ),
    Row(
        keys=("default_sentinel",),
        type=TEXT,
        fields=("authorization.default_sentinel",),
        doc="User JWT that clients without one are taken to bring; operator mode only.",
        reload=Reload.YES,
        since="2.12",
    ),
    Row(
        keys=("default_js_domain",),
        type=map_of_texts("error default_js_domain config: unsupported type {type}"),
        doc="Stream domain of an account.",
        name="JsAccDefaultDomain",
        waits_for=Feature.STREAMS,
    ),
    Row(
        keys=("store_dir", "storedir"),
        type=Type("text", _store_dir),
        fields=("store_dir",),
        doc="Directory for what the node keeps.",
        reload=Reload.PARTLY,
        flags=("sd", "store_dir"),
    ),
    Row(
        keys=("ocsp",),
        type=Type("boolean or {mode, url, urls}", _ocsp),
        default="false",
        doc="Staple OCSP answers: `mode` auto, always, must or never; `url` or `urls` of responders.",
        reload=Reload.YES,
        waits_for=Feature.OCSP,
    ),
    Row(
        keys=("ocsp_cache",),
        type=Type("boolean or block ocsp_cache", _ocsp_cache),
        default="false",
        doc="Remember OCSP answers about peers.",
        reload=Reload.YES,
        waits_for=Feature.OCSP,
    ),
)

BLOCKS = (
    block(
        "ocsp_cache",
        "ocsp_cache",
        (
            Row(keys=("type",), type=Type("local | none", _cache_type), default="local", doc="Where it is kept."),
            Row(keys=("local_store",), type=TEXT, default="_rc_", doc="Directory of a local cache."),
            Row(keys=("preserve_revoked",), type=BOOLEAN, default="false", doc="Keep revoked answers for good."),
            Row(
                keys=("save_interval",),
                type=seconds("error parsing tls peer config, conversion error:"),
                default="300",
                unit="seconds",
                doc="Pause between writes to disk, at least 1 s.",
            ),
        ),
        unknown="error parsing OCSP peer cache config, unknown field [{key}]",
    ),
)
