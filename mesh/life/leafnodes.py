"""Leaf nodes in a node: ``LeafNodes``, told of the node's identity, accounts, cluster and options."""

import asyncio
from collections.abc import Callable, Collection, Iterator
from functools import partial
from typing import TYPE_CHECKING

from gossamer.auth.settings import GLOBAL_ACCOUNT
from gossamer.mesh.engine.events import Closed, Hello, Opened, PeerError, PeerInfo, Pong
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.leafnodes.leafs import LeafNodes
from gossamer.mesh.leafnodes.settings import LeafSettings, settings_from
from gossamer.mesh.leafnodes.world import SECOND_NS, LeafIdentity
from gossamer.mesh.life.surroundings import listening_descriptor
from gossamer.mesh.options.options import LeafNodeOptions
from gossamer.mesh.peers.engine_time import EngineTime
from gossamer.mesh.version import NATS_VERSION
from gossamer.mesh.world.interfaces import global_addresses, is_wildcard
from gossamer.mesh.world.listening import BoundSocket

if TYPE_CHECKING:
    from gossamer.auth.decisions import Admission
    from gossamer.auth.resolver import KnownAccount
    from gossamer.mesh.accounts.account import Account
    from gossamer.mesh.node import Node
    from gossamer.mesh.options.options import Options
    from gossamer.mesh.peers.route_neighbours import Neighbour
    from gossamer.mesh.peers.route_world import Dialer


def make_leafnodes(node: "Node") -> "LeafLinks | None":
    """None without a ``leafnodes`` block. Raises PortTaken, ValueError."""
    options = node.options.leafnodes
    return LeafLinks(node, options) if options is not None else None


def settings_of(options: "Options") -> LeafSettings:
    """Raises ValueError for what cannot be followed."""
    leafnodes = options.leafnodes if options.leafnodes is not None else LeafNodeOptions()
    return settings_from(leafnodes, options.authorization.trusted_proxies)


class LeafLinks:
    """A ``LinkManager``. ``leafs`` is the part that knows the protocol."""

    kind = LinkKind.LEAF
    service = ""  # nats-server does not tell it in the ports file either
    cluster_name = ""

    def __init__(self, node: "Node", options: LeafNodeOptions) -> None:
        self._node = node
        self._dialers: dict[int, Dialer] = {}
        world, surroundings = node.world, node.surroundings
        self.leafs = LeafNodes(
            LeafIdentity(
                server_id=node.identity.server_id,
                server_name=node.identity.server_name,
                version=NATS_VERSION,
                cluster=lambda: node.cluster_name,
                system_account=node.judge.system_account,
                headers=not node.options.no_header_support,
            ),
            settings_of(node.options),
            node.link_engine,
            surroundings.scheduler(),
            self._dialer,
            accounts=lambda: node.accounts,
            clients=lambda: node.clients,
            judge=lambda: node.judge,
            find_account=self._find_account,
            engine_time=EngineTime(node.engine, world.clock),
            max_payload=node.options.limits.max_payload,
            in_company=node.options.cluster is not None or node.options.gateway is not None,
            clock=world.clock,
            randomness=world.randomness,
            disk=world.disk,
            log=node.journal,
        )
        self._renamed_from = ""
        self.bound: BoundSocket | None = None
        if options.port:
            self.bound = surroundings.bind(options.host, options.port, what="leafnode port", option="leafnodes port")

    # --- LinkManager --------------------------------------------------------------------------------------------------
    def greetings(self) -> Iterator[str]:
        """See LinkManager."""
        if self.bound is not None:
            yield f"Listening for leafnode connections on {self.bound.address}"

    def start(self) -> None:
        """See LinkManager."""
        self._renamed_from = self._node.cluster_name
        descriptor = listening_descriptor(self.bound) if self.bound is not None else None
        port = self.bound.port if self.bound is not None else 0
        self.leafs.start(
            descriptor=descriptor,
            host=self._told_host(),
            port=port,
            listens=self.bound is not None,
            placeholders=self._node.welcome.places,
        )
        neighbours = self._node.neighbours
        if self.bound is not None and not self.leafs.settings.options.no_advertise:
            neighbours.announce(leafnode_urls=(self.leafs.voice.own_url,))
        neighbours.on_change(self._neighbours_changed)
        if self._node.system is not None:  # begun by a reload: the events did not find us when they began
            self._node.system.leaf_events.start()

    def on_event(self, event: Opened | Hello | PeerInfo | PeerError | Pong | Closed) -> None:
        """See LinkManager."""
        self.leafs.on_event(event)

    def check(self, options: "Options") -> None:
        """See LinkManager."""
        settings_of(options)

    def change(self, options: "Options", paths: Collection[str]) -> None:
        """See LinkManager."""
        self.leafs.change(settings_of(options), options.limits.max_payload)
        self._follow_name()

    def lame_duck(self) -> None:
        """Leaf nodes are told nothing: their links end with the node (spec leafnodes 13)."""

    def stop_dialling(self) -> None:
        """See LinkManager."""
        self.leafs.stop_dialling()

    def stop(self) -> None:
        """See LinkManager."""
        self.leafs.stop()

    # --- accounts that change -----------------------------------------------------------------------------------------
    def follow_account(
        self, account: "Account", before: "KnownAccount | None", now: "KnownAccount | None", place: str
    ) -> None:
        """The JWT of an account has come, changed or gone: everybody who is in it is held against it."""
        from gossamer.auth.staying import Departure, deleted, staying

        at = self._node.world.clock.wall_ns() / SECOND_NS
        for leaf in self.leafs.table.of_account(account):
            outcome: Admission | Departure | None = None
            if now is None:
                outcome = deleted(account.name, place)
            elif before is not None and leaf.admission is not None and not leaf.own_authorization:
                outcome = staying(leaf.admission, before.claims, now.claims, at, place=place)
            if isinstance(outcome, Departure):
                self._node.journal.warning(f"{leaf.label} - {outcome.reason}")
                self.leafs.close(leaf, CloseReason[outcome.close_reason], outcome.error)
            elif outcome is not None:
                self.leafs.rebind(leaf, outcome)
        self.leafs.limits_changed(account)

    # --- what it takes from the node ----------------------------------------------------------------------------------
    def _told_host(self) -> str:
        """Where others reach a listener: on all interfaces, the first address that is not this machine's own affair."""
        host = self.leafs.settings.options.host
        if not is_wildcard(host):
            return host
        return next(iter(global_addresses(self._node.world.disk)), "127.0.0.1")

    def _dialer(self, timeout_ns: int) -> "Dialer":
        """One for each time that a dial may take."""
        from gossamer.mesh.peers.route_dialer import LoopDialer

        made = self._dialers.get(timeout_ns)
        if made is None:
            randomness = self._node.world.randomness
            made = self._node.surroundings.dialer(randomness)
            if isinstance(made, LoopDialer):  # in a simulation the network has times of its own
                loop = asyncio.get_running_loop()
                made = LoopDialer(loop, randomness, timeout_seconds=timeout_ns / SECOND_NS)
            self._dialers[timeout_ns] = made
        return made

    def _neighbours_changed(self, neighbour: "Neighbour", came: bool) -> None:
        urls = sorted({url for each in self._node.neighbours for url in each.leafnode_urls})
        self._follow_name()
        self.leafs.set_other_urls(tuple(urls))

    def _follow_name(self) -> None:
        """A cluster's name may have been made up, and given way to another one."""
        name = self._node.cluster_name
        if name != self._renamed_from:
            self._renamed_from = name
            self.leafs.renamed()

    # --- accounts -----------------------------------------------------------------------------------------------------
    def _find_account(self, name: str, done: "Callable[[Account | None], None]") -> None:
        """A local account by its name; in operator mode by its key, fetched if need be."""
        node = self._node
        if node.resolving is None:
            done(node.accounts.find(name or GLOBAL_ACCOUNT))
            return
        from gossamer.auth.resolver import AccountPending, ResolverError

        try:
            done(self._known_account(name))
        except AccountPending as pending:
            task = node.resolving.live.fetch(pending.key)
            task.add_done_callback(partial(self._fetched, name, done))
        except ResolverError as error:
            node.journal.error(f"Account {name} of a leaf node: {error}")
            done(None)

    def _fetched(self, name: str, done: "Callable[[Account | None], None]", task: "asyncio.Future[object]") -> None:
        from gossamer.auth.resolver import AccountPending, ResolverError

        if task.cancelled():
            return
        try:
            found = self._known_account(name)
        except (AccountPending, ResolverError):
            found = None
        done(found)

    def _known_account(self, name: str) -> "Account | None":
        """Raises AccountPending, ResolverError."""
        from gossamer.auth.staying import limits_of

        node = self._node
        assert node.resolving is not None, "accounts are known by JWT"
        system = node.accounts.system
        if system is not None and name == system.name:
            return system
        known = node.resolving.live.known(name)
        if known is None or known.blocked or known.claims.issuer not in node.resolving.live.trust.keys:
            return None
        if 0 < known.claims.expires * SECOND_NS < node.world.clock.wall_ns():
            return None
        return node.accounts.bring(name, limits=limits_of(known.claims), label=known.claims.name)
