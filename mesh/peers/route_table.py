"""Connections and remotes: which slot of which remote a connection fills, and when it is one too many.

A remote is another node, known while it has at least one registered connection. Its pooled connections stand in
``slots`` by index, its dedicated ones in ``dedicated`` by account. The number that the engine knows it by is free again
once it is gone.
"""

from enum import Enum, auto
from typing import Final

from gossamer.mesh.peers.route_protocol import RouteConnect, RouteInfo
from gossamer.mesh.peers.route_settings import RouteUrl
from gossamer.mesh.peers.route_world import RouteRow

#: No more connections to one remote than this, whatever it asks for.
POOL_MAX: Final = 256


class Stage(Enum):
    CONNECT = auto()  # accepted: its CONNECT is awaited
    INFO = auto()  # the peer's first INFO is awaited
    JOINED = auto()
    CLOSING = auto()


class Connection:
    """One route connection. ``account`` is set on a dedicated one. ``url`` is where a redial goes, None if nowhere."""

    __slots__ = (
        "account",
        "chained",
        "compression",
        "confirmed",
        "explicit",
        "gossip_mode",
        "greeted",
        "host",
        "index",
        "info",
        "level",
        "link",
        "lost",
        "no_redial",
        "peer_error",
        "pooled",
        "port",
        "remote",
        "retry",
        "rtt_ns",
        "said",
        "solicited",
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
        self.stage = Stage.CONNECT
        self.solicited = False
        self.explicit = False
        self.account = ""
        self.gossip_mode = 0
        self.url: RouteUrl | None = None
        self.greeted = True  # has our CONNECT been sent?
        self.said: RouteConnect | None = None
        self.info: RouteInfo | None = None
        self.remote: Remote | None = None
        self.index = -1
        self.pooled = True
        self.compression = ""  # what our side does, once that was chosen
        self.level = ""  # what it comes to now, if it compresses
        self.confirmed = False  # a PONG came: the other side has taken the connection too
        self.chained = False  # its first PONG opens the next connection of the pool
        self.retry = False
        self.no_redial = False
        self.peer_error = ""
        self.rtt_ns = 0
        self.lost = False  # was it dialled to replace a registered one?
        self.tries = 0  # earlier connections of the same dial that ended before they were confirmed

    @property
    def label(self) -> str:
        """For logs."""
        return f"{self.host}:{self.port} - rid:{self.link}"


class Remote:
    """Another node of the cluster."""

    __slots__ = ("client_urls", "dedicated", "info", "met", "node", "pool_size", "pooled", "server_id", "slots", "url")

    def __init__(self, info: RouteInfo, node: int, url: RouteUrl, own_pool_size: int) -> None:
        self.server_id = info.server_id
        self.info = info
        self.node = node
        self.url = url
        self.pooled = True
        self.pool_size = 1
        self.agree(info, own_pool_size)
        self.slots: dict[int, Connection] = {}
        self.dedicated: dict[str, Connection] = {}
        self.client_urls: tuple[str, ...] = ()
        self.met = False  # is it a neighbour already? So from its first pooled connection on

    def agree(self, info: RouteInfo, own_pool_size: int) -> None:
        """How many pooled connections there are to be; without a pool on either side one carries everything."""
        self.pooled = info.pooled and own_pool_size > 0
        self.pool_size = min(max(info.route_pool_size, own_pool_size), POOL_MAX) if self.pooled else 1

    def free_slot(self) -> int:
        """The lowest one; -1: none."""
        for index in range(self.pool_size):
            if index not in self.slots:
                return index
        return -1

    @property
    def connections(self) -> list[Connection]:
        return [*(self.slots[index] for index in sorted(self.slots)), *self.dedicated.values()]

    @property
    def first(self) -> Connection | None:
        """The pooled connection that things for the remote as a whole are sent on."""
        return self.slots[min(self.slots)] if self.slots else None

    @property
    def explicit(self) -> bool:
        """Is one of its connections a configured route?"""
        return any(connection.explicit for connection in self.connections)


class RouteTable:
    """All connections by link, all remotes by server id."""

    __slots__ = ("connections", "remotes")

    def __init__(self) -> None:
        self.connections: dict[int, Connection] = {}
        self.remotes: dict[str, Remote] = {}

    def remote_for(self, info: RouteInfo, url: RouteUrl, own_pool_size: int) -> Remote:
        """The remote that sent ``info``: a known one, or a new one that is not in the table before ``register``."""
        remote = self.remotes.get(info.server_id)
        if remote is not None:
            if not remote.slots:
                remote.agree(info, own_pool_size)  # either side may have been reconfigured meanwhile
            return remote
        taken = {each.node for each in self.remotes.values()}
        node = next(number for number in range(1, len(taken) + 2) if number not in taken)
        return Remote(info, node, url, own_pool_size)

    def is_being_met(self, url: RouteUrl, account: str) -> bool:
        """Is there a connection to that address, for that account, which we have dialled and not registered yet?"""
        return any(
            each.stage is Stage.INFO and each.url == url and each.account == account
            for each in self.connections.values()
        )

    def is_somebody_at(self, place: tuple[str, int]) -> bool:
        """Is a remote to be dialled there? It may be another one than before: nodes come back under new ids."""
        return any((remote.url.host, remote.url.port) == place for remote in self.remotes.values())

    def register(self, connection: Connection, remote: Remote, index: int) -> None:
        """Put the connection into its place, which must be free. ``index`` counts for pooled ones only."""
        self.remotes[remote.server_id] = remote
        if connection.account:
            assert connection.account not in remote.dedicated
            remote.dedicated[connection.account] = connection
        else:
            assert index not in remote.slots
            remote.slots[index] = connection
            connection.index = index
        connection.remote = remote
        connection.pooled = remote.pooled
        connection.stage = Stage.JOINED

    def remove(self, connection: Connection) -> Remote | None:
        """Forget a connection. Returns its remote if that was registered; it leaves the table with its last one."""
        self.connections.pop(connection.link, None)
        remote = connection.remote
        if remote is None:
            return None
        if connection.account:
            del remote.dedicated[connection.account]
        else:
            del remote.slots[connection.index]
        if not remote.slots and not remote.dedicated:
            del self.remotes[remote.server_id]
        return remote

    def client_urls(self) -> tuple[str, ...]:
        """Of all remotes, sorted, each once."""
        return tuple(sorted({url for remote in self.remotes.values() for url in remote.client_urls}))

    def rows(self) -> list[RouteRow]:
        """For monitoring, oldest first."""
        return [
            _row(connection)
            for connection in sorted(self.connections.values(), key=lambda each: each.link)
            if connection.stage is Stage.JOINED
        ]


def _row(connection: Connection) -> RouteRow:
    remote = connection.remote
    assert remote is not None
    return RouteRow(
        rid=connection.link,
        remote_id=remote.server_id,
        remote_name=remote.info.server_name,
        did_solicit=connection.solicited,
        is_configured=connection.explicit,
        ip=connection.host,
        port=connection.port,
        rtt_ns=connection.rtt_ns,
        start_ns=connection.start_ns,
        pool_index=connection.index,
        pooled=connection.pooled,
        account=connection.account,
        node=remote.node,
        compression=connection.level or connection.compression,
        imports=connection.info.imports if connection.info is not None else None,
        exports=connection.info.exports if connection.info is not None else None,
    )
