"""The cluster side of a node: the route core's decisions, carried out on the engine and the loop.

How to wire it in (the composition root does this once):

    routes = RouteManager(
        identity,                 # RouteIdentity: server id, name, version, system account
        options.cluster,          # gossamer.mesh.options.options.ClusterOptions
        engine,                   # gossamer.mesh.engine.core.Engine (only the part named in RouteEngine)
        LoopScheduler(loop),      # route_dialer.py
        LoopDialer(loop, randomness),
        on_client_urls_changed,   # called with all *other* nodes' client addresses, sorted: tuple[str, ...]
        log,
        randomness=world.randomness,
        on_cluster_name_changed=...,    # optional: a generated name gave way to another one
        account_exists=...,             # optional: only for the exact text of a refusal
        neighbours=...,                 # optional: RouteNeighbours, what gateways and leaf nodes use routes for
    )
    routes.start(descriptor=..., port=..., client_urls=("10.0.0.1:4222",))   # a bound, listening socket

Every event of the engine may be offered to ``on_event``; it answers whether the event was one of a route.
Before ``start`` the system account should exist as
``engine.account(b"$SYS", dedicated_route=routes.pins_system_account)``.

Leaving (spec routes 10.3, checklist 56): ``lame_duck()`` tells the others to take our client addresses back;
``stop_accepting()`` closes the listener and ends all dialling; then the node publishes its SHUTDOWN event; ``stop()``
closes the links (and does the former if it was not done).

Surroundings (RouteEngine, Scheduler, Dialer, RouteLog) and values (RouteIdentity, RouteRow): ``route_world.py``.
"""

from collections.abc import Callable, Collection, Sequence

from gossamer.mesh.engine.events import Event
from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.gateways.hashes import short_hash
from gossamer.mesh.options.options import ClusterOptions
from gossamer.mesh.peers import route_actions as do
from gossamer.mesh.peers.compiled import compile_permissions
from gossamer.mesh.peers.link_driver import LinkDriver
from gossamer.mesh.peers.route_core import RouteCore
from gossamer.mesh.peers.route_neighbours import RouteNeighbours
from gossamer.mesh.peers.route_settings import is_hash, settings_from
from gossamer.mesh.peers.route_world import (
    Dialer,
    RouteEngine,
    RouteIdentity,
    RouteLog,
    RouteRow,
    Scheduler,
)
from gossamer.mesh.world import Randomness


class RouteManager:
    """See the top of the file. Raises ValueError for a route URL or advertised address that cannot be read."""

    def __init__(
        self,
        identity: RouteIdentity,
        cluster_options: ClusterOptions,
        engine: RouteEngine,
        scheduler: Scheduler,
        dialer: Dialer,
        on_client_urls_changed: Callable[[tuple[str, ...]], None],
        log: RouteLog,
        *,
        randomness: Randomness,
        on_cluster_name_changed: Callable[[str], None] | None = None,
        account_exists: Callable[[str], bool] | None = None,
        neighbours: RouteNeighbours | None = None,
    ) -> None:
        self._options = cluster_options
        self._settings = settings_from(cluster_options)
        self._system_account = identity.system_account
        self._neighbours = neighbours if neighbours is not None else RouteNeighbours()
        self._core = RouteCore(
            identity, self._settings, randomness, account_exists or (lambda name: False), self._neighbours
        )
        self._engine = engine
        self._on_cluster_name_changed = on_cluster_name_changed
        self._log = log
        self._permissions = 0  # of the cluster, as the engine numbers them
        self._driver = LinkDriver(
            self._core,
            LinkKind.ROUTE,
            engine,
            scheduler,
            dialer,
            log,
            {
                do.Join: self._join,
                do.Ping: lambda action: engine.ping(action.link),
                do.Compress: lambda action: engine.compress(action.link, action.level, both=action.both),
                do.ShareClientUrls: lambda action: on_client_urls_changed(action.urls),
                do.TakeClusterName: self._take_cluster_name,
                do.Meet: lambda action: self._neighbours.route_joined(action.neighbour),
                do.Lose: lambda action: self._neighbours.route_left(action.server_id),
                do.HearOfGateway: self._hear_of_gateway,
            },
        )
        self._neighbours.route_attach(self._tell_neighbour, self._announce)

    # --- what the node does with it -------------------------------------------------------------------------------

    @property
    def cluster_name(self) -> str:
        return self._core.cluster_name

    @property
    def pins_system_account(self) -> bool:
        """Does the system account travel on a connection of its own?"""
        return self._system_account in self._core.pinned

    @property
    def pinned(self) -> frozenset[str]:
        """Accounts that travel on connections of their own."""
        return self._core.pinned

    @property
    def remotes(self) -> int:
        """Other nodes with at least one registered connection."""
        return self._core.remotes

    @property
    def client_urls(self) -> tuple[str, ...]:
        """Where clients reach the other nodes."""
        return self._core.client_urls

    def start(self, *, descriptor: int | None, port: int, client_urls: Sequence[str] = ()) -> None:
        """Listen on the bound socket (None: memory links only), whose real port is ``port``, and dial the configured
        routes. ``client_urls`` are this node's own ``host:port`` for clients."""
        options = self._options
        self._configure_engine()
        self._permissions = compile_permissions(self._engine, self._settings.permissions)
        if is_hash(options.password):
            self._log.warning(
                "The cluster password is a bcrypt hash: nodes that we hear of by gossip cannot be dialled with it"
            )
        info = self._core.prepare(port, tuple(client_urls))
        timeout_ns = options.auth_timeout_ns if self._settings.auth_required else 0
        self._driver.listen(descriptor, [info], auth_timeout_ns=timeout_ns)
        self._core.start()
        self._driver.apply()

    @staticmethod
    def check(cluster_options: ClusterOptions) -> None:
        """Raises ValueError for a route or address that cannot be read."""
        settings_from(cluster_options)

    def reload(self, cluster_options: ClusterOptions) -> None:
        """Take over a changed ``cluster`` block; host and port stay as they are, and so does whether an authorization
        timeout runs. Raises ValueError, changing nothing, for a route or address that cannot be read."""
        settings = settings_from(cluster_options)
        before = self._permissions
        if settings.permissions != self._settings.permissions:
            self._permissions = compile_permissions(self._engine, settings.permissions)
        self._options, self._settings = cluster_options, settings
        self._configure_engine()
        self._core.change(settings)
        self._driver.apply()
        if before != self._permissions and before:
            self._engine.remove_permissions(before)

    def _configure_engine(self) -> None:
        options = self._options
        self._engine.configure(
            route_pool_size=self._settings.pool_size,
            route_ping_interval_ns=options.ping_interval_ns,
            route_ping_max=options.ping_max,
            route_write_deadline_ns=options.write_deadline_ns,
            route_retry_writes=options.write_timeout != "close",
        )
        self._driver.patience_ns = options.ping_interval_ns * (options.ping_max + 1)

    def set_client_urls(self, client_urls: Sequence[str]) -> None:
        """This node's own addresses for clients have changed: new links say so."""
        self._core.set_client_urls(tuple(client_urls))
        self._driver.apply()

    def has_routes_to(self, server_id: str, names: Collection[str]) -> None:
        """The heartbeat of another node says that it has routes to the servers of these names."""
        self._core.has_routes_to(server_id, names)
        self._driver.apply()

    def lame_duck(self) -> None:
        """Ask every other node to send our clients elsewhere. Links stay up until ``stop``."""
        self._core.lame_duck()
        self._driver.apply()

    def stop_accepting(self) -> None:
        """Close the listener and give up every dial, so that nobody is dialled or let in while we leave."""
        self._driver.stop_accepting()

    def stop(self) -> None:
        """Close all links. The ``Closed`` events may still be offered afterwards."""
        self._driver.stop()

    def routez(self) -> list[RouteRow]:
        """One row per registered connection, oldest first."""
        return self._core.rows()

    def on_event(self, event: Event) -> bool:
        """Take one event of the engine. False: it is not about a route."""
        return self._driver.on_event(event)

    # --- what gateways and leaf nodes want said ---------------------------------------------------------------------

    def _tell_neighbour(self, server_id: str, line: bytes) -> None:
        self._core.send(server_id, line)
        self._driver.apply()

    def _announce(self) -> None:
        self._core.announce()
        self._driver.apply()

    # --- what only routes want done ---------------------------------------------------------------------------------

    def _take_cluster_name(self, action: do.TakeClusterName) -> None:
        if self._on_cluster_name_changed is not None:
            self._on_cluster_name_changed(action.name)

    def _hear_of_gateway(self, action: do.HearOfGateway) -> None:
        if not self._neighbours.route_gateway_gossip(action.server_id, action.text):
            self._log.error(f"{action.label} - told of gateways, but we have none configured")

    def _join(self, action: do.Join) -> None:
        account = self._engine.account(action.account.encode(), dedicated_route=True) if action.account else 0
        self._engine.join_route(
            action.link,
            node=action.node,
            headers=action.headers,
            leaf_origin=action.leaf_origin,
            leaf_origin_unsubscribe=action.leaf_origin_unsubscribe,
            leaf_origin_always=action.leaf_origin_always,
            pool_index=action.pool_index,
            pooled=action.pooled,
            account=account,
            server_hash=short_hash(action.server_id),
            permissions=self._permissions,
        )
