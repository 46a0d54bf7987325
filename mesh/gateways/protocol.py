"""The gateway protocol's JSON as values and lines: INFO both ways, CONNECT both ways, gossip (spec gateways 2, 6).

Nothing here keeps state. INFO with gateway_cmd 2 and 3 is the engine's affair and not written here.
"""

from collections.abc import Iterable
from typing import Final

import msgspec
from msgspec import Struct

from gossamer.mesh.gateways.settings import GatewayUrl
from gossamer.mesh.gateways.surroundings import GatewayIdentity
from gossamer.mesh.peers.link_json import decode_struct

#: ``gateway_cmd`` of an INFO about another gateway.
GOSSIP: Final = 1
#: ``server_id`` of gossip on routes begins with this, lest an old node takes it for a route's.
GOSSIP_PREFIX: Final = "GW"

_encode = msgspec.json.Encoder().encode


class GatewayInfo(Struct, frozen=True, kw_only=True):
    """What gateways look at in an INFO, of a gateway connection or, as gossip, of a route."""

    server_id: str = ""
    server_name: str = ""
    headers: bool = False
    gateway: str = ""
    gateway_urls: tuple[str, ...] = ()
    gateway_iom: bool = False
    gateway_cmd: int = 0


class GatewayConnect(Struct, frozen=True, kw_only=True):
    """What gateways look at in a CONNECT."""

    user: str = ""
    password: str = msgspec.field(default="", name="pass")
    gateway: str = ""


def decode_info(text: bytes) -> GatewayInfo | None:
    """None: not an INFO at all."""
    return decode_struct(text, GatewayInfo)


def decode_connect(text: bytes) -> GatewayConnect | None:
    """None: malformed, the link is to be closed without a word."""
    return decode_struct(text, GatewayConnect)


def info_line(
    identity: GatewayIdentity, *, gateway: str, host: str, port: int, url: str, urls: Iterable[str], auth_required: bool
) -> bytes:
    """Our INFO on gateway connections, CR LF included. ``gateway_iom``: every account is switched to interest-only."""
    members: dict[str, object] = {
        "server_id": identity.server_id,
        "server_name": identity.server_name,
        "version": identity.version,
        "proto": identity.protocol,
        "go": "",
        "host": host,
        "port": port,
        "headers": identity.headers,
    }
    if auth_required:
        members["auth_required"] = True
    members |= {
        "max_payload": identity.max_payload,
        "gateway": gateway,
        "gateway_urls": list(urls),
        "gateway_url": url,
        "gateway_nrp": True,
        "gateway_iom": True,
    }
    return b"INFO " + _encode(members) + b"\r\n"


def connect_line(identity: GatewayIdentity, *, gateway: str, url: GatewayUrl, user: str, password: str) -> bytes:
    """The solicitor's CONNECT: credentials of the URL, else our own (``user``, ``password``)."""
    members: dict[str, object] = {
        "echo": False,
        "verbose": False,
        "pedantic": False,
        "tls_required": False,
        "headers": False,
        "name": identity.server_id,
        "cluster": "",
        "gateway": gateway,
    }
    user, password = (url.user, url.password) if url.user else (user, password)
    if user:
        members |= {"user": user, "pass": password}
    return b"CONNECT " + _encode(members) + b"\r\n"


def gossip_line(*, server_id: str, server_name: str, gateway: str, urls: Iterable[str]) -> bytes:
    """About another cluster. On a route ``server_id`` has the prefix, on a gateway connection not."""
    members: dict[str, object] = {
        "server_id": server_id,
        "server_name": server_name,
        "version": "",
        "proto": 0,
        "go": "",
        "host": "",
        "port": 0,
        "headers": False,
        "max_payload": 0,
        "gateway": gateway,
        "gateway_urls": list(urls),
        "gateway_cmd": GOSSIP,
    }
    return b"INFO " + _encode(members) + b"\r\n"
