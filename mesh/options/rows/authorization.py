"""The ``authorization`` block and its narrower forms for clusters and gateways (spec configuration section 5.2)."""

from collections.abc import Callable
from typing import Any

from gossamer.auth.settings import GLOBAL_ACCOUNT, CalloutSettings, UserSettings
from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.rows import permissions, users
from gossamer.mesh.options.rows.permissions import PERMISSIONS
from gossamer.mesh.options.rows.users import take_names, user_entries
from gossamer.mesh.options.table import Reload, Row, Type, Wrong, block
from gossamer.mesh.options.types import ARRAY_OF_TEXT, BOOLEAN, TEXT, as_map, as_text, seconds, shown

_HIGH_TIMEOUT_S = 60
_SECOND_NS = 1_000_000_000
_SECONDS = seconds("error parsing authorization config, 'timeout'")


def _timeout(processing: Processing, key: str, node: Node) -> int:
    value: int = _SECONDS.convert(processing, key, node)
    if value > _HIGH_TIMEOUT_S * _SECOND_NS:
        processing.warn_of_use(
            node,
            key.lower(),
            f"timeout of {shown(node)} ({value / _SECOND_NS:f} seconds) is high, consider keeping it under 60 seconds. "
            "possibly caused by unquoted duration; use '1m' instead of 1m, for example",
        )
    return value


TIMEOUT = Type("seconds", _timeout)


def _authorization(processing: Processing, key: str, node: Node) -> dict[str, Any]:
    as_map(node)
    values = processing.block("authorization", node)
    found: tuple[UserSettings, ...] | None = values.get("users")
    if values.get("user") and "token" in values and values["token"]:
        processing.error(node, "Cannot have a user/pass and token")
    if found or processing.account_users:
        if values.get("user"):
            processing.error(node, "Can not have a single user/pass and a users array")
        if values.get("token"):
            processing.error(node, "Can not have a token and a users array")
    if found:
        take_names(processing, found, node)
    return values


def _users(processing: Processing, key: str, node: Node) -> tuple[UserSettings, ...]:
    return user_entries(processing, node)


def _callout(processing: Processing, key: str, node: Node) -> CalloutSettings:
    if not isinstance(node.value, dict):
        raise Wrong(f"Expected authorization callout to be a map/struct, got {shown(node)}")
    values = processing.block("auth_callout", node)
    last = next(reversed(node.value.values())).place if node.value else node.place
    given = {name.lower() for name in node.value}
    if "issuer" not in given:
        processing.error(last, "Authorization callouts require an issuer to be specified")
    if "issuer" in values and not values.get("auth_users"):
        processing.error(last, "Authorization callouts require authorized users to be specified")
    return CalloutSettings(
        issuer=values.get("issuer", ""),
        auth_users=tuple(values.get("auth_users", ())),
        account=values.get("account") or GLOBAL_ACCOUNT,
        xkey=values.get("xkey", ""),
        allowed_accounts=tuple(values.get("allowed_accounts", ())),
    )


def _callout_key(kind: str, what: str) -> Callable[[Processing, str, Node], str]:
    def convert(processing: Processing, key: str, node: Node) -> str:
        from gossamer.auth.keys import KeyKind, is_public

        text = as_text(node)
        if not is_public(text, KeyKind[kind]):
            raise Wrong(f"Expected callout {what}, got {quoted(text)}")
        return text

    return convert


def single_user(where: str, block_name: str) -> Type:
    """The form for links between servers: one user and a timeout."""

    def convert(processing: Processing, key: str, node: Node) -> dict[str, Any]:
        as_map(node)
        values = processing.block(block_name, node)
        for refused, text in (
            ("users", "does not allow multiple users"),
            ("token", "does not support tokens"),
            ("auth_callout", "does not support callouts"),
        ):
            if refused in values:
                processing.error(node, f"{where} authorization {text}")
        return values

    return Type(f"block {block_name}", convert)


_USER = Row(
    keys=("user", "username"),
    type=TEXT,
    fields=("authorization.user",),
    doc="The only user.",
    reload=Reload.YES,
    flags=("user",),
)
_PASSWORD = Row(
    keys=("password", "pass"),
    type=TEXT,
    fields=("authorization.password",),
    doc="The only user's password, or its bcrypt hash.",
    reload=Reload.YES,
    flags=("pass",),
)
_PEER_ROWS = (
    Row(keys=("user", "username"), type=TEXT, doc="User that peers must give."),
    Row(keys=("password", "pass"), type=TEXT, doc="Password that peers must give."),
    Row(keys=("timeout",), type=TIMEOUT, default="2", unit="seconds", doc="Time a peer has to say who it is."),
    Row(keys=("users",), type=Type("refused", lambda processing, key, node: True), doc="Not allowed here."),
    Row(keys=("token",), type=TEXT, doc="Not allowed here."),
    Row(keys=("auth_callout", "auth_hook"), type=Type("block auth_callout", _callout), doc="Not allowed here."),
    Row(
        keys=("permissions", "default_permissions", "default_permission"),
        type=PERMISSIONS,
        doc="Deprecated here: write `permissions` into the block around.",
    ),
)

TOP = (
    Row(
        keys=("authorization",),
        type=Type("block authorization", _authorization),
        doc="Who may come in, without accounts of their own.",
        reload=Reload.PARTLY,
    ),
)

BLOCKS = (
    block(
        "authorization",
        "authorization",
        (
            _USER,
            _PASSWORD,
            Row(
                keys=("token",),
                type=TEXT,
                fields=("authorization.token",),
                doc="A secret that clients give instead of a name.",
                reload=Reload.YES,
                flags=("auth",),
            ),
            Row(
                keys=("timeout",),
                type=TIMEOUT,
                fields=("authorization.timeout_ns",),
                default="2, or one more than that of TLS",
                unit="seconds",
                doc="Time a client has to say who it is.",
                reload=Reload.YES,
            ),
            Row(
                keys=("users",),
                type=Type("[block user]", _users),
                fields=("authorization.users",),
                doc="Users of the global account.",
                reload=Reload.YES,
            ),
            Row(
                keys=("default_permissions", "default_permission", "permissions"),
                type=PERMISSIONS,
                fields=("authorization.default_permissions",),
                doc="For users without permissions of their own.",
                reload=Reload.YES,
            ),
            Row(
                keys=("auth_callout", "auth_hook"),
                type=Type("block auth_callout", _callout),
                doc="Ask a service who may come in.",
                fields=("authorization.callout",),
                name="AuthCallout",
            ),
            Row(
                keys=("lenient_callout",),
                type=BOOLEAN,
                fields=("authorization.lenient_callout",),
                doc="Take answers of a callout service as nats-server does: networks, connection types and limits of "
                "the users it grants are not looked at, nor is the signature of a sealed answer. Not in nats-server.",
                reload=Reload.YES,
            ),
            Row(
                keys=("literal_wildcards",),
                type=BOOLEAN,
                fields=("authorization.literal_wildcards",),
                doc="Allow lists take the wildcards of a subscription for literal tokens, as nats-server does: "
                "`a.*` lets `a.>` in, which then hears `a.b.c`. For users of JWTs too. Not in nats-server.",
                reload=Reload.YES,
            ),
            Row(
                keys=("proxy_required",),
                type=BOOLEAN,
                fields=("authorization.proxy_required",),
                doc="Only through a trusted proxy.",
                name="ProxyRequired",
                since="2.12",
            ),
        ),
    ),
    block("peer authorization", "authorization of cluster and gateway", _PEER_ROWS),
    block(
        "auth_callout",
        "authorization.auth_callout",
        (
            Row(
                keys=("issuer",),
                type=Type("nkey", _callout_key("ACCOUNT", "user to be a valid public account nkey")),
                doc="Account key that signs the service's answers.",
            ),
            Row(keys=("auth_users", "users"), type=ARRAY_OF_TEXT, doc="Users that bypass the callout."),
            Row(keys=("account", "acc"), type=TEXT, default="$G", doc="Account of the service."),
            Row(
                keys=("xkey", "key"),
                type=Type("nkey", _callout_key("CURVE", "xkey to be a valid public xkey")),
                doc="Curve key to encrypt requests for.",
            ),
            Row(
                keys=("allowed_accounts",),
                type=ARRAY_OF_TEXT,
                default="all",
                doc="Where users may be put.",
                since="2.11",
            ),
        ),
        unknown="Unknown field {key} parsing authorization callout",
    ),
    *permissions.BLOCKS,
    *users.BLOCKS,
)
