"""Version 1 claims brought into the present form (spec auth section 6). They are read, never written."""

from typing import Any

_LISTED = {
    "operator": ("signing_keys", "account_server_url", "operator_service_urls", "system_account"),
    "account": ("imports", "exports", "limits", "signing_keys", "revocations"),
    "user": (
        "pub",
        "sub",
        "resp",
        "src",
        "times",
        "times_location",
        "subs",
        "data",
        "payload",
        "bearer_token",
        "allowed_connection_types",
    ),
    "activation": ("subject",),
}
_ACCOUNT_LIMITS = ("subs", "data", "payload", "imports", "exports", "wildcards", "conn", "leaf")


def migrated(raw: dict[str, Any], kind: str) -> dict[str, Any]:
    """The payload of a version 1 token (``type`` and ``tags`` at top level) as one of version 2 would say it, with
    ``nats.version`` 1. A ``kind`` without a present form comes back as it is."""
    old = raw.get("nats")
    if kind not in _LISTED or not isinstance(old, dict):
        return raw
    nats = {name: old[name] for name in _LISTED[kind] if name in old}
    if kind == "user":
        nats = {"subs": -1, "data": -1, "payload": -1, **nats}
    elif kind == "account" and isinstance(nats.get("limits"), dict):
        nats["limits"] = {name: nats["limits"][name] for name in _ACCOUNT_LIMITS if name in nats["limits"]}
    elif kind == "activation" and "type" in old:
        nats["kind"] = old["type"]
    if kind in ("user", "activation") and "issuer_account" in raw:
        nats["issuer_account"] = raw["issuer_account"]
    if "tags" in raw:
        nats["tags"] = raw["tags"]
    nats["type"] = kind
    nats["version"] = 1
    rest = {name: value for name, value in raw.items() if name not in ("type", "tags", "issuer_account", "nats")}
    return {**rest, "nats": nats}
