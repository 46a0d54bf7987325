"""Users in a file: the entries of every ``users`` array (spec configuration section 5.2)."""

from typing import Any

from gossamer.auth.settings import GLOBAL_ACCOUNT, UserSettings
from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import Place, quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.rows.permissions import PERMISSIONS
from gossamer.mesh.options.table import Row, Type, Wrong, block
from gossamer.mesh.options.types import BOOLEAN, TEXT, as_text, shown

CONNECTION_TYPES = ("STANDARD", "WEBSOCKET", "LEAFNODE", "LEAFNODE_WS", "MQTT", "MQTT_WS", "IN_PROCESS")


def user_entries(
    processing: Processing, node: Node, *, account: str = GLOBAL_ACCOUNT, bare: bool = False
) -> tuple[UserSettings, ...]:
    """The users of an array. Broken entries are reported and left out. Raises Wrong for anything but an array
    (``bare``: without a position)."""
    if not isinstance(node.value, list):
        raise Wrong(f"Expected users field to be an array, got {shown(node)}", bare=bare)
    found = []
    for each in node.value:
        if not isinstance(each.value, dict):
            processing.error(each, f"Expected user entry to be a map/struct, got {shown(each)}")
            continue
        user = _user(processing, each, account)
        if user is not None:
            found.append(user)
    return tuple(found)


def take_names(processing: Processing, users: tuple[UserSettings, ...], node: Node) -> None:
    """Names and nkeys are unique over the whole file; the second one is reported at ``node``."""
    for user in users:
        kind, name = ("nkey", user.nkey) if user.nkey else ("user", user.name)
        known = processing.names.get(name)
        if known is not None:
            suggestion = f"the other one is in {known.place}"
            processing.error(node, f"Duplicate {kind} {quoted(name)} detected", suggestion=suggestion)
        processing.names.setdefault(name, node)


def _user(processing: Processing, node: Node, account: str) -> UserSettings | None:
    before = len(processing.faults)
    values = processing.block("user", node)
    last = _last_place(node)
    nkey, name, password = values.get("nkey", ""), values.get("user", ""), values.get("password", "")
    wrong_type = any(
        key.lower() in ("user", "username", "nkey") and not isinstance(child.value, str)
        for key, child in node.value.items()
    )
    if nkey and (name or password):
        processing.error(last, "Nkey users do not take usernames or passwords")
        return None
    if not nkey and not name:
        if not wrong_type and not any("nkey" in fault.text for fault in processing.faults[before:]):
            processing.error(last, "User entry requires a user", suggestion="give it a user or an nkey")
        return None
    return UserSettings(
        name=name,
        password=password,
        nkey=nkey,
        account=account,
        permissions=values.get("permissions"),
        connection_types=values.get("allowed_connection_types", ()),
        proxy_required=values.get("proxy_required", False),
        place=str(node.place),
    )


def _last_place(node: Node) -> Place:
    """Where nats-server says that something about the whole entry is wrong: its last key."""
    places = [child.place for child in node.value.values()]
    return places[-1] if places else node.place


def _user_key(processing: Processing, key: str, node: Node) -> str:
    from gossamer.auth.keys import KeyKind, is_public

    text = as_text(node)
    if not is_public(text, KeyKind.USER):
        raise Wrong("Not a valid public nkey for a user", suggestion="a user's public nkey begins with U")
    return text


def _connection_types(processing: Processing, key: str, node: Node) -> tuple[str, ...]:
    what = "error parsing allowed connection types"
    value: Any = node.value
    if isinstance(value, str):
        given = [as_text(node)]
    elif isinstance(value, list):
        given = []
        for each in value:
            if not isinstance(each.value, str):
                raise Wrong(f"{what}: unsupported type in array {each.go_type}", node=each)
            given.append(as_text(each))
    else:
        raise Wrong(f"{what}: unsupported type {node.go_type}")
    upper = tuple(dict.fromkeys(word.upper() for word in given))
    unknown = [word for word in upper if word not in CONNECTION_TYPES]
    if unknown:
        listed = " ".join(quoted(word) for word in unknown)
        suggestion = f"known are {', '.join(CONNECTION_TYPES)}"
        raise Wrong(f"invalid connection types [{listed}]", suggestion=suggestion)
    return upper


BLOCKS = (
    block(
        "user",
        "users[]",
        (
            Row(keys=("user", "username"), type=TEXT, doc="Name; needed unless there is an nkey."),
            Row(
                keys=("password", "pass"),
                type=TEXT,
                doc="Password or bcrypt hash. Quote hashes that begin $2b$ or $2y$.",
            ),
            Row(keys=("nkey",), type=Type("nkey", _user_key), doc="Public nkey of a user without a password."),
            Row(
                keys=("permissions", "permission", "authorization"),
                type=PERMISSIONS,
                doc="What the user may do; replaces the default permissions.",
            ),
            Row(
                keys=("allowed_connection_types", "connection_types", "clients"),
                type=Type("text or [text]", _connection_types),
                default="all",
                doc="STANDARD, WEBSOCKET, LEAFNODE, LEAFNODE_WS, MQTT, MQTT_WS, IN_PROCESS.",
            ),
            Row(
                keys=("proxy_required",),
                type=BOOLEAN,
                default="false",
                doc="Only through a trusted proxy.",
                since="2.12",
            ),
        ),
    ),
)
