"""The ``accounts`` block (spec configuration section 5.4)."""

from typing import Any

from gossamer.auth.settings import GLOBAL_ACCOUNT, AccountLimits, AccountSettings, UserSettings
from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.rows import mappings, sharing
from gossamer.mesh.options.rows.permissions import PERMISSIONS
from gossamer.mesh.options.rows.users import take_names, user_entries
from gossamer.mesh.options.table import Feature, Reload, Row, Type, Wrong, block
from gossamer.mesh.options.types import BOOLEAN, INTEGER, as_integer, as_text, map_block, shown


def _accounts(processing: Processing, key: str, node: Node) -> tuple[AccountSettings, ...]:
    if isinstance(node.value, list):
        return _listed(processing, node)
    if not isinstance(node.value, dict):
        text = f"Expected accounts to be a map or an array, got {node.go_type}"  # nats-server ignores it silently
        raise Wrong(text)
    found = []
    shared: dict[str, sharing.Shared] = {}
    for name, child in node.value.items():
        if not isinstance(child.value, dict):
            processing.error(child, "Expected map entries for accounts")
            continue
        if name == GLOBAL_ACCOUNT:
            processing.error(child, f"{quoted(name)} is a Reserved Account")
            continue
        account = _account(processing, name, child, shared)
        found.append(account)
    if not processing.broken:
        sharing.link(processing, node, found, shared)
    return tuple(found)


def _listed(processing: Processing, node: Node) -> tuple[AccountSettings, ...]:
    found: dict[str, AccountSettings] = {}
    for each in node.value:
        name = as_text(each)
        if name == GLOBAL_ACCOUNT:
            processing.error(each, f"{quoted(name)} is a Reserved Account")
        elif name in found:
            processing.error(each, f"Duplicate Account Entry: {name}")
        else:
            found[name] = AccountSettings(name=name, place=str(each.place))
    return tuple(found.values())


def _account(processing: Processing, name: str, node: Node, shared: dict[str, sharing.Shared]) -> AccountSettings:
    processing.accounts.append(name)
    values = processing.block("account", node)
    processing.accounts.pop()
    shared[name] = sharing.take(processing, name)
    limits: dict[str, int] = values.get("limits", {})
    return AccountSettings(
        name=name,
        nkey=values.get("nkey", ""),
        default_permissions=values.get("default_permissions"),
        limits=AccountLimits(
            max_connections=limits.get("max_connections", -1),
            max_subscriptions=limits.get("max_subscriptions", -1),
            max_payload=limits.get("max_payload", -1),
            max_leafnodes=limits.get("max_leafnodes", -1),
        ),
        exports=shared[name].exports,
        imports=shared[name].imports,
        mappings=values.get("mappings", ()),
        place=str(node.place),
    )


def _users(processing: Processing, key: str, node: Node) -> tuple[UserSettings, ...]:
    users = user_entries(processing, node, account=processing.accounts[-1], bare=True)
    if users:
        if processing.draft.get("authorization.user"):
            processing.error(node, "Can not have a single user/pass and accounts")
        if processing.draft.get("authorization.token"):
            processing.error(node, "Can not have a token and accounts")
    take_names(processing, users, node)
    processing.account_users.extend(users)
    return users


def _account_key(processing: Processing, key: str, node: Node) -> str:
    from gossamer.auth.keys import KeyKind, is_public

    text = node.value
    if not isinstance(text, str) or not is_public(text, KeyKind.ACCOUNT):
        raise Wrong(f"Not a valid public nkey for an account: {quoted(shown(node))}")
    return text


def _streams(processing: Processing, key: str, node: Node) -> Any:
    value = node.value
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        if value.lower() in ("enabled", "enable", "true"):
            return True
        if value.lower() in ("disabled", "disable", "false"):
            return False
        raise Wrong(f"Expected 'enabled' or 'disabled' for string value, got '{value}'", bare=True)
    if not isinstance(value, dict):
        raise Wrong(f"Expected map, bool or string to define JetStream, got {node.go_type}", bare=True)
    return processing.block("account.jetstream", node) or True


def _account_size(processing: Processing, key: str, node: Node) -> int:
    if type(node.value) is not int:
        text = f"Expected a parseable size for {quoted(key.lower())}, got {shown(node)}"
        raise Wrong(text, suggestion="write the size without quotes, e.g. 1GB")
    return as_integer(node)


def _traffic(processing: Processing, key: str, node: Node) -> str:
    if node.value not in ("system", "owner"):
        text = f"Expected 'system' or 'owner' string value for {quoted(key.lower())}, got {shown(node)}"
        raise Wrong(text)
    return as_text(node)


ACCOUNT_SIZE = Type("size", _account_size)

TOP = (
    Row(
        keys=("accounts",),
        type=Type("[text] or map of block account", _accounts),
        fields=("authorization.accounts",),
        doc="Accounts: subjects of one are not heard in another.",
        reload=Reload.YES,
    ),
    Row(
        keys=("mappings", "maps"),
        type=mappings.MAPPINGS,
        fields=("authorization.mappings",),
        doc="Subject mappings of the global account.",
        reload=Reload.YES,
    ),
)

BLOCKS = (
    block(
        "account",
        "accounts.NAME",
        (
            Row(keys=("users",), type=Type("[block user]", _users), doc="Users of the account."),
            Row(keys=("nkey",), type=Type("nkey", _account_key), doc="Public nkey of the account."),
            Row(
                keys=("default_permissions",),
                type=PERMISSIONS,
                doc="For users of the account without permissions of their own.",
            ),
            Row(
                keys=("limits",),
                type=map_block("account.limits", "Expected account limits to be a map/struct, got {value}"),
                doc="Bounds on the account.",
            ),
            Row(
                keys=("jetstream",),
                type=Type("boolean, text or block account.jetstream", _streams),
                default="false",
                doc="May the account have streams?",
                waits_for=Feature.STREAMS,
            ),
            Row(keys=("exports",), type=sharing.EXPORTS, doc="What others may import."),
            Row(keys=("imports",), type=sharing.IMPORTS, doc="What is taken from others."),
            Row(keys=("mappings", "maps"), type=mappings.MAPPINGS, doc="Subject mappings of the account."),
            Row(
                keys=("msg_trace", "trace_dest"),
                type=mappings.MESSAGE_TRACE,
                doc="Where traces that clients ask for by `traceparent` go.",
                since="2.11",
                waits_for=Feature.TRACING,
            ),
        ),
    ),
    block(
        "account.limits",
        "accounts.NAME.limits",
        (
            Row(keys=("max_connections", "max_conn"), type=INTEGER, default="-1", doc="Connections; -1 is unlimited."),
            Row(keys=("max_subscriptions", "max_subs"), type=INTEGER, default="-1", doc="Subscriptions."),
            Row(keys=("max_payload", "max_pay"), type=INTEGER, default="-1", unit="bytes", doc="Length of a message."),
            Row(
                keys=("max_leafnodes", "max_leafs"),
                type=INTEGER,
                default="-1",
                doc="Leaf nodes.",
            ),
        ),
        unknown="Unknown field {key} parsing account limits",
    ),
    block(
        "account.jetstream",
        "accounts.NAME.jetstream",
        (
            Row(
                keys=("max_memory", "max_mem", "mem", "memory"),
                type=ACCOUNT_SIZE,
                default="-1",
                doc="Bytes in memory; -1 is unlimited.",
            ),
            Row(
                keys=("max_store", "max_file", "max_disk", "store", "disk"),
                type=ACCOUNT_SIZE,
                default="-1",
                doc="Bytes on disk.",
            ),
            Row(keys=("max_streams", "streams"), type=ACCOUNT_SIZE, default="-1", doc="Streams."),
            Row(keys=("max_consumers", "consumers"), type=ACCOUNT_SIZE, default="-1", doc="Consumers of a stream."),
            Row(
                keys=("max_bytes_required", "max_stream_bytes", "max_bytes"),
                type=BOOLEAN,
                default="false",
                doc="Streams must name their max_bytes.",
            ),
            Row(
                keys=("mem_max_stream_bytes", "memory_max_stream_bytes"),
                type=ACCOUNT_SIZE,
                default="-1",
                doc="Bytes of one stream in memory.",
            ),
            Row(
                keys=("disk_max_stream_bytes", "store_max_stream_bytes"),
                type=ACCOUNT_SIZE,
                default="-1",
                doc="Bytes of one stream on disk.",
            ),
            Row(keys=("max_ack_pending",), type=ACCOUNT_SIZE, default="-1", doc="Messages waiting for an answer."),
            Row(
                keys=("cluster_traffic",),
                type=Type("system | owner", _traffic),
                default="system",
                doc="Account whose connections replication uses.",
                since="2.11",
            ),
        ),
    ),
    *sharing.BLOCKS,
    *mappings.BLOCKS,
)
