"""A node: the composition root of one server inside a process.

``Node(options, world)`` only holds values; ``start`` makes the parts and connects them, ``stop`` takes them down in the
reverse order. Two ways of driving the engine: in its own thread on real sockets (a server), or by hand with ``step``
(``stepped``: memory links only, for tests and simulation).

What decides what: listeners and identity in ``life/``, clients in ``peers/``, accounts in ``accounts/``, links to other
servers by the managers of ``life/link_managers.py``; this file only says who is told what.
"""

import asyncio
import os
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING

from gossamer.mesh.accounts.registry import Accounts
from gossamer.mesh.engine import events
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.life.callout import make_desk
from gossamer.mesh.life.client_listener import ClientListener
from gossamer.mesh.life.engine_thread import EngineThread
from gossamer.mesh.life.identity import Identity, make_identity
from gossamer.mesh.life.link_managers import LABELS, LinkManagers
from gossamer.mesh.life.pump import Handler, Pump
from gossamer.mesh.life.routes import Routes
from gossamer.mesh.life.surroundings import SteppedSurroundings, Surroundings
from gossamer.mesh.logs.log import Log, Silence
from gossamer.mesh.logs.redaction import redact_line
from gossamer.mesh.monitor.process import ProcessorShare
from gossamer.mesh.options.options import Options
from gossamer.mesh.peers.clients import Clients
from gossamer.mesh.peers.engine_time import EngineTime
from gossamer.mesh.peers.greeting import Greeting, Placeholders
from gossamer.mesh.peers.judge import Judge
from gossamer.mesh.peers.route_neighbours import RouteNeighbours
from gossamer.mesh.peers.welcome import Welcome
from gossamer.mesh.system.service import SystemService
from gossamer.mesh.version import NATS_VERSION, VERSION
from gossamer.mesh.world import World, real_world
from gossamer.mesh.world.client_urls import own_client_urls
from gossamer.mesh.world.listening import BoundSocket, bind, join_address, split_address

if TYPE_CHECKING:
    from gossamer.mesh.accounts.sharing import Sharing
    from gossamer.mesh.engine.core import Engine
    from gossamer.mesh.monitor.site import MonitorSite
    from gossamer.mesh.peers.route_manager import RouteManager
    from gossamer.mesh.resolvers.resolving import Resolving

MessageHandler = Callable[[events.Message], None]
#: Takes bytes for a client without a socket, and whether these are the last.
Receiver = Callable[[bytes, bool], None]


class Node:
    """Public: ``start``, ``stop``, ``step``, ``subscribe``, ``publish`` and the parts as attributes, once started."""

    engine: "Engine"
    link_engine: "Engine"  # the same, as managers of server links use it
    identity: Identity
    accounts: Accounts
    judge: Judge
    welcome: Welcome
    clients: Clients
    listener: ClientListener
    pump: Pump
    processor: ProcessorShare

    def __init__(
        self,
        options: Options,
        world: World | None = None,
        *,
        log: Log | None = None,
        engine: "Engine | None" = None,
        stepped: bool = False,
        surroundings: Surroundings | None = None,
    ) -> None:
        """``engine``: another one than the compiled (tests). Nothing is opened before ``start``."""
        self.options = options
        self.world = world or real_world()
        self.journal = log or Log(self.world.clock, Silence())
        self.surroundings = surroundings or (SteppedSurroundings() if stepped else Surroundings())
        self.links = LinkManagers()  # to other servers
        self.neighbours = RouteNeighbours()
        self.monitor: MonitorSite | None = None
        self.system: SystemService | None = None
        self.resolving: Resolving | None = None  # operator mode only
        self.sharing: Sharing | None = None
        self.started_ns = 0  # time of day
        self.config_loaded_ns = 0
        self.running = False
        self.lame_duck = False
        self.stale: Counter[int] = Counter()  # stale connections by link kind
        self.failure: asyncio.Future[None] | None = None
        self._given_engine = engine
        self._stepped = stepped
        self._thread: EngineThread | None = None
        self._subscribers: dict[int, MessageHandler] = {}
        self._receivers: dict[int, Receiver] = {}
        self._foreign_urls: tuple[str, ...] = ()
        self._urls_known = False

    # --- life ---------------------------------------------------------------------------------------------------
    async def start(self) -> None:
        """Open the ports and begin to serve. Raises PortTaken, ValueError (a setting that cannot be used)."""
        options = self.options
        self.failure = asyncio.get_running_loop().create_future()
        client_socket = None if self._stepped else bind(options.host, options.port)
        try:
            await self._make_resolving()
            self._make_parts(client_socket)
        except BaseException:
            if client_socket is not None:
                os.close(client_socket.descriptor)
            self.links.abandon()
            if self.resolving is not None:
                await self.resolving.stop()
            raise
        self._serve(client_socket)
        try:
            if options.monitor.port:
                from gossamer.mesh.monitor.site import MonitorSite

                self.monitor = MonitorSite(self)
                await self.monitor.start()
        except BaseException:
            await self.stop()
            raise
        self.journal.info("Server is ready")

    async def stop(self, *, ending: bool = False) -> None:
        """Close everything: listeners first, then the links, then the engine. Harmless when it is not running.

        ``ending``: the process ends right after this. Then the clients' sockets and the memory are left to the system,
        so that clients and whoever waits for the process learn of the end in the same moment."""
        if not self.running:
            return
        self.running = False
        self.journal.info("Initiating Shutdown...")
        self.listener.close()
        self.links.stop_dialling()
        if self.system is not None:
            self.system.stop()
        if self.resolving is not None:
            await self.resolving.stop()
        if self.sharing is not None:
            self.sharing.stop()
        if not ending:
            for client in self.clients:
                self.engine.close(client.link, reason=CloseReason.SERVER_SHUTDOWN)
        self.links.stop()
        if self.monitor is not None:
            await self.monitor.stop()
        self.pump.stop()
        if self._thread is not None:
            self._thread.stop()
        self.pump.finish()
        self.judge.stop()
        if self.judge.desk is not None:
            self.judge.desk.stop()
        if not ending:
            self.engine.destroy()
        self.journal.info("Server Exiting..")

    def step(self, now_ns: int) -> int:
        """One tick of a ``stepped`` node at that time: the engine, then its events. Returns as ``Engine.step``."""
        due_ns = self.engine.step(now_ns)
        self.pump.finish()
        return due_ns

    # --- messages of the node's own -----------------------------------------------------------------------------
    def subscribe(self, account: int, subject: bytes, handler: MessageHandler, queue: bytes = b"") -> int:
        """Have ``handler`` called for each message; the number is for ``unsubscribe``."""
        number = self.engine.subscribe(account, subject, queue)
        self._subscribers[number] = handler
        return number

    def unsubscribe(self, number: int) -> None:
        if self._subscribers.pop(number, None) is not None:
            self.engine.unsubscribe(number)

    # --- clients without a socket -------------------------------------------------------------------------------
    def open(self, receive: Receiver, host: str = "memory") -> int:
        """A client link in memory: ``receive`` gets what it is sent, ``feed`` is what it sends. Returns its id."""
        link = self.engine.open(kind=LinkKind.CLIENT, listener=self.listener.number, host=host)
        self._receivers[link] = receive
        return link

    def feed(self, link: int, data: bytes, *, end: bool = False) -> None:
        """Bytes from such a client; ``end``: it hung up."""
        self.engine.feed(link, data, end=end)

    # --- addresses ----------------------------------------------------------------------------------------------
    @property
    def host(self) -> str:
        """What INFO says."""
        return self.welcome.greeting.host

    @property
    def port(self) -> int:
        """The real client port."""
        return self.listener.port

    @property
    def name(self) -> str:
        return self.identity.server_name

    @property
    def cluster_name(self) -> str:
        return self.links.cluster_name

    @property
    def routes(self) -> "RouteManager | None":
        links = self.links.of(LinkKind.ROUTE)
        return links.manager if isinstance(links, Routes) else None

    @property
    def cluster_socket(self) -> BoundSocket | None:
        """Where routes come in."""
        links = self.links.of(LinkKind.ROUTE)
        return links.bound if links is not None else None

    def own_urls(self) -> tuple[str, ...]:
        """``host:port`` under which clients reach this node."""
        options = self.options
        if options.client_advertise:
            return (join_address(*split_address(options.client_advertise, self.listener.port)),)
        return own_client_urls(options.host, self.listener.port, self.world.disk)

    def set_cluster_urls(self, urls: tuple[str, ...]) -> None:
        """Where clients reach the other nodes, whenever that changed: new links and connected clients are told."""
        if urls == self._foreign_urls and (self._urls_known or not urls):
            return
        self._foreign_urls, self._urls_known = urls, True
        if self.lame_duck:
            return
        self._tell_urls()

    def announce_lame_duck(self) -> None:
        """Tell every client that can hear it where else to go (spec client-protocol section 19)."""
        own = self.own_urls()
        self.welcome.change(connect_urls=tuple(url for url in self._foreign_urls if url not in own))
        self.clients.announce(lame_duck=True)

    def _tell_urls(self) -> None:
        if not self._urls_known:
            return
        own = self.own_urls()
        urls = own + tuple(url for url in self._foreign_urls if url not in own)
        if self.welcome.change(connect_urls=urls):
            self.listener.refresh()
            self.clients.announce()

    def cluster_renamed(self, name: str) -> None:
        """A name made up has given way to another one."""
        if self.welcome.change(cluster=name):
            self.listener.refresh()
        if self.sharing is not None:
            self.sharing.cluster_renamed(name)

    # --- making the parts ---------------------------------------------------------------------------------------
    def _make_parts(self, client_socket: BoundSocket | None) -> None:
        options, world = self.options, self.world
        self.identity = make_identity(options.server_name, world.randomness)
        self.judge = Judge(options.authorization, world.clock, self.resolving.live if self.resolving else None)
        self.started_ns = self.config_loaded_ns = world.clock.wall_ns()
        self.processor = self.surroundings.processor(world.clock.monotonic_ns())
        if self._given_engine is not None:
            self.engine = self._given_engine
            places = Placeholders(0, 1, 2)
        else:
            from gossamer.mesh.engine import core  # not needed with another engine

            self.engine = core.Engine(seed=world.randomness.engine_seed())
            places = Placeholders(core.LINK_ID, core.PEER_HOST, core.NONCE)
        self.configure_engine(options)
        self.link_engine = self.surroundings.link_engine(self.engine)
        self.links.make(self)
        pinned = self.routes.pinned if self.routes is not None else ()
        self.accounts = Accounts(self.engine, options.authorization, system=self.judge.system_account, pinned=pinned)
        port = client_socket.port if client_socket is not None else max(0, options.port)
        host, told_port = options.host, port
        if options.client_advertise:
            host, told_port = split_address(options.client_advertise, port)
        greeting = Greeting(
            server_id=self.identity.server_id,
            server_name=self.identity.server_name,
            host=host,
            port=told_port,
            headers=not options.no_header_support,
            auth_required=self.judge.announced,
            max_payload=options.limits.max_payload,
            nonces=self.judge.wants_nonce,
            cluster=self.cluster_name,
            xkey=self.identity.xkey,
        )
        self.welcome = Welcome(greeting, places)
        self.clients = Clients(
            self.engine,
            accounts=self.accounts,
            judge=self.judge,
            welcome=self.welcome,
            limits=options.limits,
            engine_time=EngineTime(self.engine, world.clock),
            clock=world.clock,
            log=self.journal,
            headers=not options.no_header_support,
        )
        self.judge.desk = make_desk(self)
        self.listener = ClientListener(self.engine, self.welcome, self.judge, port)
        self.pump = Pump(self.engine, world.clock, self._handlers(), self._failed)

    async def _make_resolving(self) -> None:
        """Operator mode: where accounts come from. Raises ValueError for a resolver that cannot work."""
        settings = self.options.authorization
        if not settings.operator_mode or settings.resolver is None:
            return
        from gossamer.auth.resolver import ResolverError
        from gossamer.mesh.life.account_changes import AccountChanges
        from gossamer.mesh.resolvers.resolving import Resolving

        try:
            self.resolving = Resolving(settings, self.world, self.journal)
            await self.resolving.start()
        except ResolverError as error:
            if self.resolving is not None:
                await self.resolving.stop()
            raise ValueError(str(error)) from error
        self.resolving.live.changed = AccountChanges(self)

    def configure_engine(self, options: Options) -> None:
        """Program all limits, at the start and after a reload."""
        limits = options.limits
        if options.authorization.literal_wildcards:
            self.journal.warning('literal_wildcards: an allow list with "a.*" lets subscriptions to "a.>" in')
        self.engine.configure(
            max_connections=limits.max_connections,
            max_control_line=limits.max_control_line,
            max_payload=limits.max_payload,
            max_pending=limits.max_pending,
            max_subscriptions=limits.max_subscriptions,
            max_subscription_tokens=limits.max_sub_tokens,
            write_deadline_ns=limits.write_deadline_ns,
            retry_writes=limits.write_timeout == "retry",
            ping_interval_ns=limits.ping_interval_ns,
            ping_max=limits.ping_max,
            fast_producer_stall=not limits.no_fast_producer_stall,
            placeholder_accounts=options.authorization.resolver is not None,
            trace=self.journal.tracing,
            literal_wildcards=options.authorization.literal_wildcards,
        )

    def _serve(self, client_socket: BoundSocket | None) -> None:
        """From here on the world sees us."""
        loop = asyncio.get_running_loop()
        self.running = True
        if not self._stepped:
            self._thread = EngineThread(self.engine, lambda error: _tell(loop, self._engine_ended, error))
            self.pump.start(loop)
        self.links.start()
        self._start_system()
        self._start_sharing()
        self.listener.open(client_socket.descriptor if client_socket is not None else None)
        if self._thread is not None:
            self._thread.start()
        self._say_hello(client_socket)

    def _start_system(self) -> None:
        if self.accounts.system is None:
            return
        self.system = SystemService(self)
        self.system.start()
        if self.resolving is not None:
            self.resolving.serve(self, self.system.server_info)

    def _start_sharing(self) -> None:
        settings = self.options.authorization
        if self.resolving is None and not settings.mappings and not settings.accounts:
            return
        from gossamer.mesh.life import sharing

        if self.resolving is not None:
            sharing.begin(self)
        sharing.follow(self, settings)

    def _say_hello(self, client_socket: BoundSocket | None) -> None:
        self.journal.info("Starting nats-server")
        self.journal.info(f"  Version:  {NATS_VERSION} (Gossamer {VERSION})")
        self.journal.info(f"  Name:     {self.identity.server_name}")
        if self.cluster_name:
            self.journal.info(f"  Cluster:  {self.cluster_name}")
        self.journal.info(f"  ID:       {self.identity.server_id}")
        if self.options.config_file:
            self.journal.info(f"Using configuration file: {self.options.config_file} ({self.options.config_digest})")
        if client_socket is not None:
            self.journal.info(f"Listening for client connections on {client_socket.address}")
        for each in self.links:
            for line in each.greetings():
                self.journal.info(line)

    # --- events -------------------------------------------------------------------------------------------------
    def _handlers(self) -> dict[type, Handler]:
        return {
            events.Opened: self._opened,
            events.Hello: self._hello,
            events.Closed: self._closed,
            events.Denied: self.clients.denied,
            events.Message: self._message,
            events.Output: self._output,
            events.Trace: self._trace,
            events.PeerInfo: self.links.on_event,
            events.PeerError: self._peer_error,
            events.Pong: self.links.on_event,
            events.AccountSeen: self._account_seen,
        }

    def _opened(self, event: events.Opened) -> None:
        if event.kind == LinkKind.CLIENT:
            self.clients.opened(event)
        else:
            self.links.on_event(event)

    def _hello(self, event: events.Hello) -> None:
        if self.clients.find(event.link) is not None:
            self.clients.hello(event)
        else:
            self.links.on_event(event)

    def _closed(self, event: events.Closed) -> None:
        kind: LinkKind | None = LinkKind.CLIENT
        if self.clients.find(event.link) is not None:
            self.clients.ended(event)
        else:
            kind = self.links.on_event(event)
            if kind is LinkKind.ROUTE and self.system is not None:
                self.system.route_ended()
        if kind is not None and event.reason == CloseReason.STALE_CONNECTION:
            self.stale[kind] += 1

    def _peer_error(self, event: events.PeerError) -> None:
        client = self.clients.find(event.link)
        if client is None:
            self.links.on_event(event)
        else:
            self.journal.error(f"{client.label} - Client Error {event.text.decode('utf-8', 'replace')}")

    def _message(self, event: events.Message) -> None:
        handler = self._subscribers.get(event.subscription)
        if handler is not None:
            handler(event)

    def _output(self, event: events.Output) -> None:
        receive = self._receivers.get(event.link)
        if receive is not None:
            receive(event.data, event.end)
            if event.end:
                del self._receivers[event.link]

    def _trace(self, event: events.Trace) -> None:
        client = self.clients.find(event.link)
        label = client.label if client is not None else self._label(event.link)
        arrow = "->>" if event.outbound else "<<-"
        self.journal.trace(f"{label} - {arrow} [{redact_line(event.line)}]")

    def _account_seen(self, event: events.AccountSeen) -> None:
        kept = "kept for its first user" if event.kept else "ignored"
        name = event.name.decode("utf-8", "replace")
        self.journal.debug(f"{self._label(event.link)} - Interest for unknown account {name}: {kept}")

    def _label(self, link: int) -> str:
        """Of a link to another server, for log lines."""
        return f"{LABELS[self.links.kind_of(link) or LinkKind.ROUTE]}:{link}"

    def _failed(self, error: Exception) -> None:
        """A handler raised: a bug of ours. The event is lost, the node goes on."""
        import traceback

        where = traceback.extract_tb(error.__traceback__)[-1]
        self.journal.error(
            f"Internal error: {error!r} in {where.name} ({os.path.basename(where.filename)}:{where.lineno})"
        )

    def _engine_ended(self, error: BaseException | None) -> None:
        if self.running and self.failure is not None and not self.failure.done():
            self.failure.set_exception(RuntimeError(f"the engine stopped: {error!r}"))


def _tell(
    loop: asyncio.AbstractEventLoop, callback: Callable[[BaseException | None], None], error: BaseException | None
) -> None:
    """Into the loop from the engine's thread; the loop may be gone."""
    try:
        loop.call_soon_threadsafe(callback, error)
    except RuntimeError:
        pass
