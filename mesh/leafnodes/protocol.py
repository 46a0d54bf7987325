"""The leaf node protocol's JSON as values: INFO both ways, CONNECT both ways (spec leafnodes 3 and 4).

Nothing here keeps state. Unknown fields are ignored, nulls mean "not said".
"""

from typing import Any, Final

import msgspec
from msgspec import Struct

from gossamer.auth.permissions import Permissions, SubjectPermissions

#: What we understand; 3 would promise message tracing.
PROTOCOL: Final = 2

_encode = msgspec.json.Encoder().encode


class Direction(Struct, frozen=True, kw_only=True):
    """``import`` or ``export`` of INFO."""

    allow: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()

    def value(self) -> SubjectPermissions:
        """As everywhere else. An empty allow list restricts nothing, as nats-server reads it."""
        return SubjectPermissions(allow=self.allow or None, deny=self.deny)


class LeafInfo(Struct, frozen=True, kw_only=True):
    """An INFO of a peer. ``leafnode_urls`` None: it has no such field, so this is no port for leaf nodes."""

    server_id: str = ""
    server_name: str = ""
    version: str = ""
    proto: int = 0
    headers: bool = False
    max_payload: int = 0
    client_id: int = 0
    nonce: str = ""
    cluster: str = ""
    domain: str = ""
    compression: str = ""
    tls_required: bool = False
    info_on_connect: bool = False
    connect_info: bool = False
    remote_account: str = ""
    acc_is_sys: bool = False
    leafnode_urls: tuple[str, ...] | None = None
    imports: Direction | None = msgspec.field(default=None, name="import")
    exports: Direction | None = msgspec.field(default=None, name="export")

    @property
    def permissions(self) -> Permissions | None:
        """What the hub grants: what we may send it and take from it. None: it does not say."""
        if self.imports is None and self.exports is None:
            return None
        nothing = SubjectPermissions()
        return Permissions(
            publish=self.exports.value() if self.exports is not None else nothing,
            subscribe=self.imports.value() if self.imports is not None else nothing,
        )


class LeafConnect(Struct, frozen=True, kw_only=True):
    """The CONNECT of a leaf node; ``lang`` and ``gateway`` show peers of another kind."""

    version: str = ""
    server_id: str = ""
    name: str = ""
    cluster: str = ""
    headers: bool = False
    jetstream: bool = False
    domain: str = ""
    is_hub: bool = False
    deny_pub: tuple[str, ...] = ()
    isolate: bool = False
    compress_mode: str = ""
    remote_account: str = ""
    protocol: int = 0
    user: str = ""
    password: str = msgspec.field(default="", name="pass")
    auth_token: str = ""
    jwt: str = ""
    sig: str = ""
    nkey: str = ""
    proxy_sig: str = ""
    gateway: str = ""
    lang: str = ""


def decode_info(text: bytes) -> LeafInfo | None:
    """None: not an INFO at all."""
    members = _object(text)
    if members is None:
        return None
    try:
        return msgspec.convert(members, LeafInfo)
    except msgspec.ValidationError:
        return None


def decode_connect(text: bytes) -> LeafConnect | None:
    """None: malformed, the link is to be closed without a word."""
    members = _object(text)
    if members is None:
        return None
    try:
        return msgspec.convert(members, LeafConnect)
    except msgspec.ValidationError:
        return None


def _object(text: bytes) -> dict[str, object] | None:
    try:
        members = msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return {key: value for key, value in members.items() if value is not None}


def direction_member(value: SubjectPermissions) -> dict[str, list[str]] | None:
    """The form of ``import`` and ``export``; None: nothing is restricted, so the field is left out."""
    member: dict[str, list[str]] = {}
    if value.allow is not None:
        member["allow"] = list(value.allow)
    if value.deny:
        member["deny"] = list(value.deny)
    return member or None


_ALWAYS: Final = frozenset(
    {"server_id", "server_name", "version", "proto", "go", "host", "port", "headers", "max_payload", "leafnode_urls"}
)


def members_said(members: dict[str, Any]) -> dict[str, Any]:
    """Without what is empty, 0 or False, but for what INFO always has: a reader takes an INFO without
    ``leafnode_urls`` for that of another port."""
    return {key: value for key, value in members.items() if value or key in _ALWAYS}


def info_line(members: dict[str, Any]) -> bytes:
    """An INFO line, CR LF included; the blank before it is nats-server's."""
    return b"INFO " + _encode(members_said(members)) + b" \r\n"


#: What stands for the link's number and nonce in an INFO that is made once for all links.
_MARKS: Final = (("client_id", 7_000_000_000_000_000_001), ("nonce", "@nonce@"))


def info_template(members: dict[str, Any], link_id: int, nonce: int) -> list[bytes | int]:
    """The INFO of a listener in pieces: the placeholders of the engine stand where each link has its own."""
    line = info_line(members | dict(_MARKS))
    first, rest = line.split(str(_MARKS[0][1]).encode(), 1)
    second, third = rest.split(str(_MARKS[1][1]).encode(), 1)
    return [first, link_id, second, nonce, third]


def connect_line(members: dict[str, Any]) -> bytes:
    """The solicitor's CONNECT, CR LF included. What is empty is left out."""
    return b"CONNECT " + _encode({key: value for key, value in members.items() if value}) + b"\r\n"


def reply_info_line(client_id: int, compression: str) -> bytes:
    """What a solicitor answers to the first INFO before both sides switch to S2 (spec 2.2): only the mode is read."""
    members: dict[str, Any] = {"server_id": "", "server_name": "", "version": "", "proto": 0, "go": "", "host": ""}
    members |= {"port": 0, "headers": False, "max_payload": 0, "client_id": client_id, "compression": compression}
    return b"INFO " + _encode(members) + b" \r\n"


def version_at_least(version: str, wanted: str) -> bool:
    """As ``2.9.0`` or ``2.9.0-beta``; what cannot be read is older than everything."""
    return _numbers(version) >= _numbers(wanted.removeprefix("v"))


def _numbers(version: str) -> tuple[int, ...]:
    core = version.partition("-")[0].partition("+")[0]
    parts = core.split(".")
    if len(parts) != 3 or not all(part.isascii() and part.isdigit() for part in parts):
        return (-1,)
    return tuple(int(part) for part in parts)
