"""The route protocol's JSON as values: INFO both ways, CONNECT both ways.

Source: spec routes 3.2 to 3.4, 4.1, 7. Nothing here keeps state. Unknown fields are ignored on the way in, but survive
in ``RouteInfo.members``, so that a gossiped INFO still says what its sender said.
"""

from typing import Final

import msgspec
from msgspec import Struct

from gossamer.auth.permissions import SubjectPermissions
from gossamer.mesh.peers.link_json import convert_members, decode_members, decode_struct
from gossamer.mesh.peers.route_settings import RouteUrl, join_address, parse_url

_FNV_OFFSET: Final = 0x811C9DC5
_FNV_PRIME: Final = 0x01000193

_encode = msgspec.json.Encoder().encode


class SubjectLists(Struct, frozen=True, omit_defaults=True):
    """One direction of a cluster's permissions, as INFO says it (spec routes 15)."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


def subject_lists(value: SubjectPermissions) -> SubjectLists | None:
    """None: nothing is restricted, and INFO does not speak of it."""
    return SubjectLists(value.allow or (), value.deny) if value.allow or value.deny else None


class RouteInfo(Struct, frozen=True, kw_only=True):
    """An INFO of a peer. ``members`` is the whole JSON object as it came."""

    server_id: str = ""
    server_name: str = ""
    host: str = ""
    port: int = 0
    ip: str = ""
    headers: bool = False
    auth_required: bool = False
    cluster: str = ""
    cluster_dynamic: bool = False
    connect_urls: tuple[str, ...] = ()
    compression: str = ""
    lnoc: bool = False
    lnocu: bool = False
    ln: bool = False
    route_pool_size: int = 0
    route_pool_idx: int = 0
    route_account: str = ""
    route_acc_add_reqid: str = ""
    gossip_mode: int = 0
    gateway: str = ""
    gateway_url: str = ""
    leafnode_urls: tuple[str, ...] = ()
    ldm: bool = False
    imports: SubjectLists | None = msgspec.field(default=None, name="import")
    exports: SubjectLists | None = msgspec.field(default=None, name="export")
    members: dict[str, object] = {}

    @property
    def pooled(self) -> bool:
        """May the sender have more than one connection to us?"""
        return self.route_pool_size > 0

    def dial_url(self, source_host: str) -> RouteUrl:
        """Where the sender is dialled: its ``ip``, else the address it came from with its ``port`` (spec 9.3).
        Raises ValueError for an ``ip`` that cannot be read."""
        if self.ip:
            url = parse_url(self.ip)
            return RouteUrl(url.host, url.port)
        return RouteUrl(source_host, self.port)


class RouteConnect(Struct, frozen=True, kw_only=True):
    """The options of a peer's CONNECT that routes look at."""

    name: str = ""
    user: str = ""
    password: str = msgspec.field(default="", name="pass")
    cluster: str = ""
    cluster_dynamic: bool = False
    lang: str = ""
    gateway: str = ""


def decode_info(text: bytes) -> RouteInfo | None:
    """None: not an INFO at all."""
    members = decode_members(text)
    return convert_members({**members, "members": members}, RouteInfo) if members is not None else None


def decode_connect(text: bytes) -> RouteConnect | None:
    """None: malformed, the link is to be closed without a word."""
    return decode_struct(text, RouteConnect)


def info_line(members: dict[str, object]) -> bytes:
    """An INFO line, CR LF included. Members that are empty, 0 or False are left out, as their readers expect, except
    those that INFO always has (spec 3.2)."""
    kept = {key: value for key, value in members.items() if value or key in _ALWAYS}
    return b"INFO " + _encode(kept) + b"\r\n"


_ALWAYS: Final = frozenset(
    {"server_id", "server_name", "version", "proto", "go", "host", "port", "headers", "max_payload"}
)


def gossip_line(info: RouteInfo, *, url: RouteUrl, cluster: str, account: str, mode: int) -> bytes:
    """The initial INFO of one remote, for another one: with where to dial it, without what was meant for us alone
    (spec 9.1). ``cluster`` is our present name, which may have changed since."""
    members = dict(info.members)
    for key in ("nonce", "route_pool_idx", "route_account", "gossip_mode", "cluster_dynamic"):
        members.pop(key, None)
    members["ip"] = f"nats-route://{join_address(url.host, url.port)}/"
    members["cluster"] = cluster
    members["route_account"] = account
    members["gossip_mode"] = mode
    return info_line(members)


def account_move_answer(info: RouteInfo) -> bytes:
    """The echo that a reloading peer waits for (spec 16): its INFO without the account."""
    members = dict(info.members)
    members.pop("route_account", None)
    return b"INFO " + _encode(members) + b"\r\n"


def connect_line(*, server_id: str, cluster: str, dynamic: bool, url: RouteUrl) -> bytes:
    """The solicitor's CONNECT, CR LF included (spec 3.3): ``name`` is the server id, and there is no ``lang``."""
    members: dict[str, object] = {
        "echo": True,
        "verbose": False,
        "pedantic": False,
        "tls_required": False,
        "headers": True,
        "name": server_id,
        "cluster": cluster,
    }
    if url.user:
        members["user"] = url.user
        members["pass"] = url.password
    if dynamic:
        members["cluster_dynamic"] = True
    members["lnoc"] = True
    return b"CONNECT " + _encode(members) + b"\r\n"


def pool_index(account: str, pool_size: int) -> int:
    """Which connection of the pool carries the account: FNV-1a over its name (spec 4.1)."""
    if pool_size <= 1:
        return 0
    digest = _FNV_OFFSET
    for byte in account.encode():
        digest = ((digest ^ byte) * _FNV_PRIME) & 0xFFFFFFFF
    return digest % pool_size
