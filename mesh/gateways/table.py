"""Other clusters and the connections to and from them.

A gateway is another cluster, known because it is configured, or because somebody told of it. It has at most one
outbound connection, and any number of inbound ones, which are counted only (spec gateways 1, 5).
"""

from collections.abc import Iterable
from enum import Enum, auto
from typing import Final

from gossamer.mesh.gateways.protocol import GatewayConnect, GatewayInfo
from gossamer.mesh.gateways.settings import GatewayUrl, RemoteSettings, learned_url
from gossamer.mesh.gateways.surroundings import GatewayRow

#: What others tell us has a bound: so many addresses of one cluster, so many clusters.
LEARNED_MAX: Final = 1024
IMPLICIT_MAX: Final = 1024


class Stage(Enum):
    CONNECT = auto()  # accepted: its CONNECT is awaited
    INFO = auto()  # the peer's first INFO is awaited
    JOINED = auto()
    CLOSING = auto()


class Connection:
    """One gateway connection. ``gateway`` is set on those that we dialled, ``name`` once its INFO is known."""

    __slots__ = (
        "confirmed",
        "gateway",
        "host",
        "info",
        "joined_ns",
        "link",
        "name",
        "port",
        "rtt_ns",
        "said",
        "stage",
        "start_ns",
        "tries",
        "url",
    )

    def __init__(self, link: int, host: str, port: int, start_ns: int) -> None:
        self.link = link
        self.host = host
        self.port = port
        self.start_ns = start_ns
        self.joined_ns = -1
        self.stage = Stage.CONNECT
        self.name = ""
        self.said: GatewayConnect | None = None
        self.info: GatewayInfo | None = None
        self.gateway: Gateway | None = None
        self.url: GatewayUrl | None = None
        self.confirmed = False  # a PONG came: the other side has taken the connection too
        self.tries = 0  # earlier connections of the same gateway that ended before they were confirmed
        self.rtt_ns = 0

    @property
    def outbound(self) -> bool:
        return self.gateway is not None

    @property
    def joined(self) -> bool:
        return self.stage is Stage.JOINED

    @property
    def label(self) -> str:
        """For logs."""
        return f"{self.host}:{self.port} - gid:{self.link}"


class Gateway:
    """Another cluster. ``attempt`` is that of the dial under way, 0: none; ``outbound`` the connection that we dialled,
    from the moment it is there until it has gone. There is never a dial beside a connection. ``given_up``: how often
    that has happened since it was last connected to."""

    __slots__ = ("attempt", "configured", "given_up", "implicit", "learned", "name", "outbound")

    def __init__(self, name: str, configured: Iterable[GatewayUrl] = (), *, implicit: bool) -> None:
        self.name = name
        self.implicit = implicit
        self.configured = {url.address: url for url in configured}
        self.learned: dict[str, GatewayUrl] = {}
        self.attempt = 0
        self.given_up = 0
        self.outbound: Connection | None = None

    @property
    def urls(self) -> list[GatewayUrl]:
        return [*self.configured.values(), *self.learned.values()]

    @property
    def addresses(self) -> list[str]:
        return [*self.configured, *self.learned]

    def add(self, addresses: Iterable[str]) -> None:
        """Gossip only adds (spec 6.4)."""
        for address in addresses:
            if len(self.learned) >= LEARNED_MAX:
                return
            url = learned_url(address)
            if url is not None and url.address not in self.configured:
                self.learned.setdefault(url.address, url)

    def replace(self, addresses: Iterable[str]) -> None:
        """What the gateway itself says replaces all that was learned before."""
        self.learned = {}
        self.add(addresses)


class GatewayTable:
    """All gateways by name, all connections by link."""

    __slots__ = ("connections", "gateways")

    def __init__(self, remotes: Iterable[RemoteSettings]) -> None:
        self.connections: dict[int, Connection] = {}
        self.gateways: dict[str, Gateway] = {}
        for remote in remotes:
            known = self.gateways.setdefault(remote.name, Gateway(remote.name, implicit=False))
            known.configured |= {url.address: url for url in remote.urls}

    @property
    def inbounds(self) -> list[Connection]:
        """The registered ones."""
        return [each for each in self.connections.values() if each.joined and not each.outbound]

    @property
    def outbounds(self) -> list[Connection]:
        """The registered ones."""
        return [each for each in self.connections.values() if each.joined and each.outbound]

    def has_inbound(self, name: str) -> bool:
        return any(each.name == name for each in self.inbounds)

    @property
    def is_full(self) -> bool:
        """May nobody be told of any more?"""
        return sum(1 for each in self.gateways.values() if each.implicit) >= IMPLICIT_MAX

    def rows(self) -> list[GatewayRow]:
        """For monitoring, oldest first."""
        joined = (each for each in self.connections.values() if each.joined)
        return [_row(each) for each in sorted(joined, key=lambda each: each.link)]


def _row(connection: Connection) -> GatewayRow:
    info, gateway = connection.info, connection.gateway
    assert info is not None
    return GatewayRow(
        link=connection.link,
        outbound=connection.outbound,
        gateway=connection.name,
        configured=gateway is not None and not gateway.implicit,
        remote_id=info.server_id,
        remote_name=info.server_name,
        ip=connection.host,
        port=connection.port,
        start_ns=connection.start_ns,
        rtt_ns=connection.rtt_ns,
    )
