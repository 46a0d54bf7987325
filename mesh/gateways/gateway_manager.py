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

from gossamer.mesh.engine.events import Closed, Event, Hello, Opened, PeerError, PeerInfo, Pong
from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.gateways import actions as do
from gossamer.mesh.gateways.core import GatewayCore
from gossamer.mesh.gateways.hashes import short_hash
from gossamer.mesh.gateways.settings import settings_from
from gossamer.mesh.gateways.surroundings import GatewayEngine, GatewayIdentity, GatewayRow
from gossamer.mesh.options.options import GatewayOptions
from gossamer.mesh.peers.route_neighbours import Neighbour, RouteNeighbours
from gossamer.mesh.peers.route_settings import is_hash
from gossamer.mesh.peers.route_world import Dialer, DialOutcome, RouteLog, Scheduler, Timer
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
        self._dialer = dialer
        self._log = log
        self._neighbours = neighbours if neighbours is not None else RouteNeighbours()
        self._neighbours.on_change(self._neighbour_changed)
        self._neighbours.on_gateway_gossip(self._heard_from_neighbour)
        self._reachable_host = reachable_host or (lambda host: host)
        self._info = b""
        self._port = 0
        self._listener = 0
        self._dials: dict[int, Timer] = {}
        self._checks: dict[int, Timer] = {}
        self._reminders: dict[str, Timer] = {}  # of nodes that have joined, by server id
        self._waits: dict[int, Timer] = {}  # for the INFO of those that we dialled, by link
        self._applying = False

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
        )
        if is_hash(options.password):
            self._log.warning(
                "The gateway password is a bcrypt hash: clusters that we hear of by gossip cannot be dialled with it"
            )
        self._listener = self._engine.listen(
            descriptor, kind=LinkKind.GATEWAY, info=[self._info], auth_timeout_ns=options.auth_timeout_ns
        )
        self._core.start()
        self._apply()

    def stop_accepting(self) -> None:
        """Close the listener and give up every dial, so that nobody is dialled or let in while we leave."""
        if self._listener:
            self._engine.close_listener(self._listener)
            self._listener = 0
        self._core.stop_dialling()
        self._apply()
        for timer in [*self._waits.values(), *self._reminders.values()]:
            timer.cancel()
        self._waits.clear()
        self._reminders.clear()

    def stop(self) -> None:
        """Close all links. The ``Closed`` events may still be offered afterwards."""
        self.stop_accepting()
        self._core.stop()
        self._apply()
        for timer in [*self._dials.values(), *self._checks.values()]:
            timer.cancel()
        self._dials.clear()
        self._checks.clear()

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
        self._apply()

    def _remind(self, server_id: str) -> None:
        self._reminders.pop(server_id, None)
        self._core.remind_node(server_id)
        self._apply()

    def _heard_from_neighbour(self, neighbour: Neighbour, text: bytes) -> None:
        self._core.heard_from_node(text)
        self._apply()

    # --- events ---------------------------------------------------------------------------------------------------

    def on_event(self, event: Event) -> bool:
        """Take one event of the engine. False: it is not about a gateway."""
        match event:
            case Opened() if event.listener and event.listener == self._listener and event.kind == LinkKind.GATEWAY:
                self._core.opened(event.link, event.host, event.port, self._scheduler.now_ns())
            case Opened() | Hello() | PeerInfo() | PeerError() | Pong() | Closed() if not self._core.knows(event.link):
                return False
            case Hello():
                self._core.hello(event.link, event.connect, again=event.again)
            case PeerInfo():
                self._core.info(event.link, event.info, self._scheduler.now_ns())
            case PeerError():
                self._core.peer_error(event.link, event.text)
            case Pong():
                self._core.pong(event.link, event.rtt_ns)
            case Closed():
                for timers in (self._checks, self._waits):
                    timer = timers.pop(event.link, None)
                    if timer is not None:
                        timer.cancel()
                self._core.closed(event.link, event.reason, self._scheduler.now_ns())
            case Opened():
                return True  # of a link that we dialled: known since ``adopt``
            case _:
                return False
        self._apply()
        return True

    # --- what comes back from the loop ----------------------------------------------------------------------------

    def _dialled(self, attempt: int, outcome: DialOutcome) -> None:
        self._dials.pop(attempt, None)
        if outcome.descriptor < 0:
            self._core.dial_failed(attempt, outcome.error)
        else:
            link = self._engine.adopt(outcome.descriptor, kind=LinkKind.GATEWAY, host=outcome.host, port=outcome.port)
            patience_ns = self._options.ping_interval_ns * (self._options.ping_max + 1)
            self._waits[link] = self._scheduler.call_later(patience_ns, partial(self._overdue, link))
            self._core.dialled(attempt, link, outcome.host, outcome.port, self._scheduler.now_ns())
        self._apply()

    def _due(self, attempt: int) -> None:
        self._dials.pop(attempt, None)
        self._core.dial_due(attempt)
        self._apply()

    def _overdue(self, link: int) -> None:
        self._waits.pop(link, None)
        self._core.overdue(link)
        self._apply()

    def _checked(self, link: int, right: bool) -> None:
        self._checks.pop(link, None)
        self._core.password_checked(link, right)
        self._apply()

    def _is_ours(self, server_name: str) -> bool:
        return server_name == self._identity.server_name or any(
            server_name == each.server_name for each in self._neighbours
        )

    # --- carrying out ---------------------------------------------------------------------------------------------

    def _apply(self) -> None:
        """Carry out everything the core wants. A callback may ask for more meanwhile: that is appended."""
        if self._applying:
            return
        self._applying = True
        try:
            actions = self._core.actions
            while actions:
                self._carry_out(actions.popleft())
        finally:
            self._applying = False

    def _carry_out(self, action: do.Action) -> None:
        engine = self._engine
        match action:
            case do.Send():
                engine.send(action.link, action.data)
            case do.Resume():
                engine.resume(action.link)
            case do.Admit():
                engine.admit_route(action.link)
            case do.Join():
                engine.join_gateway(
                    action.link,
                    outbound=action.outbound,
                    name=action.name.encode(),
                    cluster_hash=short_hash(action.name),
                    headers=action.headers and self._identity.headers,
                    interest_only=action.interest_only,
                )
            case do.CloseLink():
                engine.close(action.link, reason=action.reason, error=action.error.encode())
            case do.StartDial():
                self._dials[action.attempt] = self._dialer.dial(
                    action.host, action.port, frozenset(), partial(self._dialled, action.attempt)
                )
            case do.WakeDial():
                self._dials[action.attempt] = self._scheduler.call_later(
                    action.delay_ns, partial(self._due, action.attempt)
                )
            case do.CancelDial():
                timer = self._dials.pop(action.attempt, None)
                if timer is not None:
                    timer.cancel()
            case do.CheckPassword():
                self._checks[action.link] = self._dialer.verify_password(
                    action.given, self._settings.password, partial(self._checked, action.link)
                )
            case do.Announce():
                if self._listener:
                    engine.set_info(self._listener, [action.line])
            case do.TellNodes():
                self._neighbours.send_all(action.line)
            case do.TellNode():
                self._neighbours.send(action.server_id, action.line)
            case do.Say():
                getattr(self._log, action.level)(action.text)
