"""The gateways of a node: the core's decisions, carried out on the engine and the loop.

How to wire it in (the composition root does this once):

    gateways = GatewayManager(
        identity,                 # GatewayIdentity: server id, name, version
        options.gateway,          # gossamer.mesh.options.options.GatewayOptions
        engine,                   # gossamer.mesh.engine.core.Engine (only the part named in GatewayEngine)
        scheduler, dialer,        # as routes have them
        log,
        randomness=world.randomness,
        neighbours=node.neighbours,   # the other nodes of the cluster; left out: there are none
        reachable_host=...,       # optional: an address of this machine for a host that means all of them
    )
    gateways.prepare(port)                     # before routes start: they say our address in their INFO
    gateways.start(descriptor=...)             # of a bound, listening socket; dialling begins a second later

Every event of the engine may be offered to ``on_event``; it answers whether the event was one of a gateway.

Leaving: ``stop_accepting()`` closes the listener and ends all dialling, ``stop()`` closes the links. Others hear
nothing of it before that.
"""

from collections.abc import Callable
from functools import partial
from typing import Final

from gossamer.mesh.engine.events import Event
from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.gateways import actions as do
from gossamer.mesh.gateways.core import GatewayCore
from gossamer.mesh.gateways.hashes import short_hash
from gossamer.mesh.gateways.settings import settings_from
from gossamer.mesh.gateways.surroundings import GatewayEngine, GatewayIdentity, GatewayRow
from gossamer.mesh.options.options import GatewayOptions
from gossamer.mesh.peers.link_driver import LinkDriver
from gossamer.mesh.peers.route_neighbours import Neighbour, RouteNeighbours
from gossamer.mesh.peers.route_settings import is_hash
from gossamer.mesh.peers.route_world import Dialer, RouteLog, Scheduler, Timer
from gossamer.mesh.world import Randomness

#: Routes of a node that has just joined are settled by then.
REMINDER_DELAY_NS: Final = 2_000_000_000


class GatewayManager:
    """See the top of the file. Raises ValueError for a gateway URL or advertised address that cannot be read."""

    def __init__(
        self,
        identity: GatewayIdentity,
        options: GatewayOptions,
        engine: GatewayEngine,
        scheduler: Scheduler,
        dialer: Dialer,
        log: RouteLog,
        *,
        randomness: Randomness,
        neighbours: RouteNeighbours | None = None,
        reachable_host: Callable[[str], str] | None = None,
    ) -> None:
        self._identity = identity
        self._options = options
        self._settings = settings_from(options)
        self._core = GatewayCore(identity, self._settings, randomness, self._is_ours)
        self._engine = engine
        self._scheduler = scheduler
        self._log = log
        self._neighbours = neighbours if neighbours is not None else RouteNeighbours()
        self._neighbours.on_change(self._neighbour_changed)
        self._neighbours.on_gateway_gossip(self._heard_from_neighbour)
        self._reachable_host = reachable_host or (lambda host: host)
        self._info = b""
        self._port = 0
        self._reminders: dict[str, Timer] = {}  # of nodes that have joined, by server id
        self._driver = LinkDriver(
            self._core,
            LinkKind.GATEWAY,
            engine,
            scheduler,
            dialer,
            log,
            {
                do.Join: self._join,
                do.TellNodes: lambda action: self._neighbours.send_all(action.line),
                do.TellNode: lambda action: self._neighbours.send(action.server_id, action.line),
            },
        )
        self._driver.patience_ns = options.ping_interval_ns * (options.ping_max + 1)

    # --- what the node does with it -------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """That of this cluster."""
        return self._settings.name

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that others are told to dial."""
        return self._core.address

    @property
    def port(self) -> int:
        """That of the listener."""
        return self._port

    def prepare(self, port: int) -> None:
        """The listener's real port is known. From here on routes say our address, and the engine knows who we are: both
        before any link joins."""
        self._port = port
        self._info = self._core.prepare(self._reachable_host(self._settings.host), port)
        self._neighbours.announce(gateway_url=self._core.url)
        self._engine.gateway_identity(
            name=self.name.encode(),
            cluster_hash=short_hash(self.name),
            server_hash=short_hash(self._identity.server_id),
        )

    def start(self, *, descriptor: int | None) -> None:
        """Listen on the bound socket (None: memory links only), and dial the configured gateways a second later."""
        options = self._options
        self._engine.configure(
            gateway_ping_interval_ns=options.ping_interval_ns,
            gateway_ping_max=options.ping_max,
            gateway_write_deadline_ns=options.write_deadline_ns,
            gateway_retry_writes=options.write_timeout != "close",
        )
        if is_hash(options.password):
            self._log.warning(
                "The gateway password is a bcrypt hash: clusters that we hear of by gossip cannot be dialled with it"
            )
        self._driver.listen(descriptor, [self._info], auth_timeout_ns=options.auth_timeout_ns)
        self._core.start()
        self._driver.apply()

    def stop_accepting(self) -> None:
        """Close the listener and give up every dial, so that nobody is dialled or let in while we leave."""
        self._driver.stop_accepting()
        for timer in self._reminders.values():
            timer.cancel()
        self._reminders.clear()

    def stop(self) -> None:
        """Close all links. The ``Closed`` events may still be offered afterwards."""
        self.stop_accepting()
        self._driver.stop()

    def rows(self) -> list[GatewayRow]:
        """One per registered connection, oldest first."""
        return self._core.rows()

    def addresses(self) -> dict[str, list[str]]:
        """Where the nodes of each configured cluster are, by its name, as far as known."""
        return self._core.addresses()

    # --- what routes tell -----------------------------------------------------------------------------------------

    def _neighbour_changed(self, neighbour: Neighbour, here: bool) -> None:
        if here:
            self._core.node_joined(neighbour.server_id, neighbour.gateway_url)
        else:
            self._core.node_left(neighbour.server_id)
        reminder = self._reminders.pop(neighbour.server_id, None)
        if reminder is not None:
            reminder.cancel()
        if here:
            self._reminders[neighbour.server_id] = self._scheduler.call_later(
                REMINDER_DELAY_NS, partial(self._remind, neighbour.server_id)
            )
        self._driver.apply()

    def _remind(self, server_id: str) -> None:
        self._reminders.pop(server_id, None)
        self._core.remind_node(server_id)
        self._driver.apply()

    def _heard_from_neighbour(self, neighbour: Neighbour, text: bytes) -> None:
        self._core.heard_from_node(text)
        self._driver.apply()

    # --- events ---------------------------------------------------------------------------------------------------

    def on_event(self, event: Event) -> bool:
        """Take one event of the engine. False: it is not about a gateway."""
        return self._driver.on_event(event)

    def _is_ours(self, server_name: str) -> bool:
        return server_name == self._identity.server_name or any(
            server_name == each.server_name for each in self._neighbours
        )

    # --- what only gateways want done -------------------------------------------------------------------------------

    def _join(self, action: do.Join) -> None:
        self._engine.join_gateway(
            action.link,
            outbound=action.outbound,
            name=action.name.encode(),
            cluster_hash=short_hash(action.name),
            headers=action.headers and self._identity.headers,
            interest_only=action.interest_only,
        )
