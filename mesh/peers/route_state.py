"""What the rooms of the route core share: who we are, whom we know, what is to be done.

``RouteCore`` (life, what happens to connections) and ``RouteMeeting`` (from the first byte to the place in the table)
work on one ``RouteState``. ``actions`` is what they want done.
"""

from collections import deque
from collections.abc import Callable

from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.peers import route_actions as do
from gossamer.mesh.peers.route_calls import RouteCalls
from gossamer.mesh.peers.route_gossip import RouteGossip
from gossamer.mesh.peers.route_name import ClusterName
from gossamer.mesh.peers.route_neighbours import RouteNeighbours
from gossamer.mesh.peers.route_protocol import RouteInfo
from gossamer.mesh.peers.route_settings import RouteSettings
from gossamer.mesh.peers.route_table import Connection, Remote, RouteTable, Stage
from gossamer.mesh.peers.route_voice import RouteVoice
from gossamer.mesh.peers.route_world import RouteIdentity
from gossamer.mesh.world import Randomness


class RouteState:
    """``account_exists`` only chooses between two texts of a refusal."""

    def __init__(
        self,
        identity: RouteIdentity,
        settings: RouteSettings,
        randomness: Randomness,
        account_exists: Callable[[str], bool],
        neighbours: RouteNeighbours,
    ) -> None:
        self.actions: deque[do.Action] = deque()
        self.identity = identity
        self.settings = settings
        self.randomness = randomness
        self.account_exists = account_exists
        self.name = ClusterName(settings.name, randomness)
        self.voice = RouteVoice(identity, settings, self.name, neighbours)
        self.table = RouteTable()
        self.calls = RouteCalls(settings, self.actions)
        self.gossip = RouteGossip(self.table, self.calls, self.name, self.actions)
        self.shared_urls: tuple[str, ...] = ()
        #: Where a host name of ours led to ourselves: not to be tried again.
        self.own_addresses: frozenset[tuple[str, int]] = frozenset()
        #: Accounts with a connection of their own: those configured and, as nats-server does it, the system account.
        self.pinned = self._pinned()

    def follow(self, settings: RouteSettings) -> None:
        """The configuration has changed."""
        self.settings = self.voice.settings = self.calls.settings = settings
        self.pinned = self._pinned()

    def adopt(self, name: str, *, dynamic: bool, keep: Connection) -> None:
        """Take the other's cluster name: everybody else has to come back under it (spec 8.2)."""
        self.say("info", f"Cluster name changed to {name!r}")
        self.name.adopt(name, dynamic=dynamic)
        self.actions.append(do.Announce(self.voice.info()))
        self.actions.append(do.TakeClusterName(name))
        for other in list(self.table.connections.values()):
            if other.remote is not None and other.remote is not keep.remote:
                self.close(other, CloseReason.CLUSTER_NAME_CONFLICT)

    def close(self, connection: Connection, reason: CloseReason, error: str = "") -> None:
        """The place of a registered connection stays taken until the engine reports it closed."""
        if connection.stage is Stage.CLOSING:
            return
        connection.stage = Stage.CLOSING
        self.actions.append(do.CloseLink(connection.link, reason, error))

    def join(self, connection: Connection, remote: Remote, info: RouteInfo) -> None:
        """Interest and messages flow from here on; once more where what may cross has changed (spec routes 15)."""
        self.actions.append(
            do.Join(
                link=connection.link,
                node=remote.node,
                headers=info.headers,
                leaf_origin=info.lnoc or info.ln,
                leaf_origin_unsubscribe=info.lnocu or info.ln,
                leaf_origin_always=info.ln,
                pool_index=max(connection.index, 0),
                pooled=connection.pooled,
                account=connection.account,
                server_id=remote.server_id,
            )
        )

    def share_client_urls(self) -> None:
        """Tell the node where clients reach the others, if that has changed."""
        urls = self.table.client_urls()
        if urls != self.shared_urls:
            self.shared_urls = urls
            self.actions.append(do.ShareClientUrls(urls))

    def say(self, level: str, text: str) -> None:
        self.actions.append(do.Say(level, text))

    def _pinned(self) -> frozenset[str]:
        if not self.settings.pooled:
            return frozenset()
        return frozenset(name for name in (self.identity.system_account, *self.settings.accounts) if name)
