"""INFO to clients: the first one as a template for the engine, later ones per client.

Fields, order and when each is left out: spec client-protocol section 4.1. The engine fills in the link's id, address
and nonce, so a new connection costs Python nothing until it says CONNECT. The node makes a new ``Greeting`` whenever
something in it changes, and programs it into the listener.
"""

import sys

import msgspec
from msgspec import Struct

from gossamer.mesh.version import NATS_VERSION

#: ``proto`` to clients (spec client-protocol section 3).
PROTOCOL = 1
#: JetStream API level that goes with ``NATS_VERSION``; part of INFO even where JetStream is off (section 4.1).
API_LEVEL = 5
#: Clients want the field, whatever it says.
TOOLCHAIN = "python{}.{}.{}".format(*sys.version_info[:3])

_encode = msgspec.json.Encoder().encode


class Placeholders(Struct, frozen=True):
    """The engine's numbers for what differs from link to link."""

    link_id: int
    peer_host: int
    nonce: int


class Greeting(Struct, frozen=True, kw_only=True):
    """What INFO says. ``connect_urls`` empty: the field is left out."""

    server_id: str
    server_name: str
    host: str
    port: int
    headers: bool
    auth_required: bool
    max_payload: int
    nonces: bool  # does every link get one?
    cluster: str = ""
    connect_urls: tuple[str, ...] = ()
    xkey: str = ""

    def template(self, places: Placeholders) -> list[bytes | int]:
        """The first INFO as the engine takes it."""
        pieces: list[bytes | int] = [
            b"INFO " + self._head(self.max_payload) + b',"client_id":',
            places.link_id,
            b',"client_ip":"',
            places.peer_host,
            b'"',
        ]
        tail = _members(self._tail()) + b"} \r\n"
        if self.nonces:
            pieces += [b',"nonce":"', places.nonce, b'"' + tail]
        else:
            pieces[-1] = b'"' + tail
        return pieces

    def frame(
        self, *, max_payload: int, lame_duck: bool = False, account: str = "", system: bool = False
    ) -> tuple[bytes, bytes]:
        """The text before and after the client's id and address in a later INFO; ``account`` makes it the
        ``connect_info`` one."""
        tail = self._tail(lame_duck=lame_duck, account=account, system=system)
        return b"INFO " + self._head(max_payload) + b',"client_id":', b'"' + _members(tail) + b"} \r\n"

    def _head(self, max_payload: int) -> bytes:
        fields: dict[str, object] = {
            "server_id": self.server_id,
            "server_name": self.server_name,
            "version": NATS_VERSION,
            "proto": PROTOCOL,
            "go": TOOLCHAIN,
            "host": self.host,
            "port": self.port,
            "headers": self.headers,
        }
        if self.auth_required:
            fields["auth_required"] = True
        fields["max_payload"] = max_payload
        return _encode(fields)[:-1]

    def _tail(self, *, lame_duck: bool = False, account: str = "", system: bool = False) -> dict[str, object]:
        fields: dict[str, object] = {}
        if self.cluster:
            fields["cluster"] = self.cluster
        if self.connect_urls:
            fields["connect_urls"] = self.connect_urls
        if lame_duck:
            fields["ldm"] = True
        if account:
            fields["connect_info"] = True
            fields["remote_account"] = account
            if system:
                fields["acc_is_sys"] = True
        fields["api_lvl"] = API_LEVEL
        if self.xkey:
            fields["xkey"] = self.xkey
        return fields


def _members(fields: dict[str, object]) -> bytes:
    """The members of an object, each behind a comma."""
    return b"," + _encode(fields)[1:-1] if fields else b""


def fill(frame: tuple[bytes, bytes], link: int, host: str) -> bytes:
    """A later INFO for one client, ready to send."""
    head, tail = frame
    return b'%b%d,"client_ip":"%b%b' % (head, link, host.encode(), tail)
