"""Who looks after the links to other servers: one manager for routes, one for gateways, one for leaf nodes.

A manager is plugged in here; ``Node`` knows of none of them in particular. To add one:

1. Write a class that fits ``LinkManager`` (a part that knows ``Node`` may stand between it and a core that does not,
   as ``life/routes.py`` does). Its constructor opens its port with ``node.surroundings.bind`` and keeps the result as
   ``bound``; ``start`` hands it on to the engine (``listening_descriptor``). It takes the engine from
   ``node.link_engine``, time from ``node.surroundings.scheduler()``, sockets from
   ``node.surroundings.dialer(randomness)``: so it runs in the simulator as well.
2. Write a maker beside it, ``make_...(node) -> LinkManager | None``: None when the options do not ask for such links.
   It may raise PortTaken, or ValueError for a setting that cannot be used: then the node does not start.
3. Name the maker in ``_makers`` below, with its import inside the function: who does not use it does not load it.
   Makers run in that order, after ``node.identity``, ``node.judge`` and ``node.engine`` are there and before
   ``node.accounts``, ``node.clients`` and ``node.welcome``, which a manager therefore uses from ``start`` on only.

Then the events of every link of its kind come to ``on_event``: first ``Opened`` (accepted by its listener, or adopted
by it), at the end ``Closed``, in between ``Hello``, ``PeerInfo``, ``PeerError`` and ``Pong``. What it has to tell the
other nodes of its cluster, and hear from them, goes through ``node.neighbours`` (peers/route_neighbours.py), which is
there with and without routes.

The order of a node's life: makers; ``start`` of each (routes first) before clients are let in; ``check``, then
``change`` at a reload; ``lame_duck``; ``stop_dialling`` of each before clients are closed; ``stop`` of each after that.
"""

import os
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Protocol

from gossamer.mesh.engine.events import Closed, Event, Hello, Opened, PeerError, PeerInfo, Pong
from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.world.listening import BoundSocket

if TYPE_CHECKING:
    from collections.abc import Callable

    from gossamer.mesh.node import Node
    from gossamer.mesh.options.options import Options

#: How log lines call a link, before its number.
LABELS = {LinkKind.CLIENT: "cid", LinkKind.ROUTE: "rid", LinkKind.GATEWAY: "gid", LinkKind.LEAF: "lid"}


class LinkManager(Protocol):
    """Of all links of one kind. Called on the control plane's thread."""

    @property
    def kind(self) -> LinkKind: ...

    @property
    def bound(self) -> BoundSocket | None:
        """Its listening port; None: it only dials."""
        ...

    @property
    def service(self) -> str:
        """What its port is called in the ports file, as nats-server does: ``cluster``, ``leafnodes``; empty: it is not
        told there."""
        ...

    @property
    def cluster_name(self) -> str:
        """Of this node, as far as these links tell; empty: they do not."""
        ...

    def greetings(self) -> Iterator[str]:
        """Log lines for the start: where it listens."""
        ...

    def start(self) -> None:
        """Hand the port to the engine and begin to dial."""
        ...

    def on_event(self, event: "Opened | Hello | PeerInfo | PeerError | Pong | Closed") -> None:
        """Of a link of its kind. ``Closed`` is the last one."""
        ...

    def check(self, options: "Options") -> None:
        """Raises ValueError for options that it could not follow. Changes nothing."""
        ...

    def change(self, options: "Options", paths: Collection[str]) -> None:
        """Follow other options, which ``check`` has let pass; ``paths`` (``cluster.routes``) are those that differ. The
        node's addresses for clients may have changed too."""
        ...

    def lame_duck(self) -> None:
        """The node is about to leave: clients are asked to go elsewhere."""
        ...

    def stop_dialling(self) -> None:
        """Close the listener, dial nobody, cancel all timers. Harmless a second time. Links stay."""
        ...

    def stop(self) -> None:
        """Close the links. ``stop_dialling`` came before; events may still come."""
        ...


class LinkManagers:
    """All of a node, in the order in which they were added; which one has a link."""

    __slots__ = ("_managers", "_node", "_owners")

    def __init__(self) -> None:
        self._node: Node | None = None
        self._managers: dict[int, LinkManager] = {}  # by kind
        self._owners: dict[int, LinkManager] = {}  # by link

    def make(self, node: "Node") -> None:
        """Add those that the node's options ask for. Raises PortTaken, ValueError."""
        self._node = node
        for maker in _makers():
            manager = maker(node)
            if manager is not None:
                self.add(manager)

    def add(self, manager: LinkManager) -> None:
        """Raises ValueError when its kind has a manager already."""
        if manager.kind in self._managers:
            raise ValueError(f"{manager.kind.name} has a manager already")
        self._managers[manager.kind] = manager

    def __iter__(self) -> Iterator[LinkManager]:
        return iter(self._managers.values())

    def of(self, kind: LinkKind) -> LinkManager | None:
        return self._managers.get(kind)

    @property
    def cluster_name(self) -> str:
        """The first one that is not empty."""
        return next((each.cluster_name for each in self if each.cluster_name), "")

    def kind_of(self, link: int) -> LinkKind | None:
        """Of a link to another server that is there."""
        owner = self._owners.get(link)
        return owner.kind if owner is not None else None

    def on_event(self, event: Event) -> LinkKind | None:
        """Give one event to whom it concerns. Returns the kind of the link; None: it is no link to another server."""
        if isinstance(event, Opened):
            owner = self._managers.get(event.kind)
            if owner is not None:
                self._owners[event.link] = owner
        elif isinstance(event, Hello | PeerInfo | PeerError | Pong | Closed):
            owner = self._owners.get(event.link)
        else:
            return None
        if owner is None:
            return None
        if isinstance(event, Closed):
            del self._owners[event.link]
        owner.on_event(event)
        return owner.kind

    # --- the node's life ------------------------------------------------------------------------------------------
    def start(self) -> None:
        for each in self:
            each.start()

    def check(self, options: "Options") -> None:
        """Raises ValueError if one of them could not follow."""
        for each in self:
            each.check(options)
        if self._begins_to_dial(options):
            from gossamer.mesh.life.leafnodes import settings_of

            settings_of(options)

    def change(self, options: "Options", paths: Collection[str]) -> None:
        """The node's own options are these already."""
        for each in self:
            each.change(options, paths)
        if self._begins_to_dial(options) and self._node is not None:
            leafnodes = _make_leafnodes(self._node)
            if leafnodes is not None:
                self.add(leafnodes)
                leafnodes.start()

    def _begins_to_dial(self, options: "Options") -> bool:
        """Is this the first configuration with a ``leafnodes`` block? It has remotes alone: a listener is refused when
        options are compared, as everything of clusters and gateways is."""
        return options.leafnodes is not None and LinkKind.LEAF not in self._managers

    def lame_duck(self) -> None:
        for each in self:
            each.lame_duck()

    def stop_dialling(self) -> None:
        for each in self:
            each.stop_dialling()

    def stop(self) -> None:
        for each in self:
            each.stop()

    def abandon(self) -> None:
        """The node does not come to ``start``: close the ports."""
        for each in self:
            if each.bound is not None and each.bound.descriptor >= 0:
                os.close(each.bound.descriptor)
        self._managers.clear()


def _makers() -> "tuple[Callable[[Node], LinkManager | None], ...]":
    from gossamer.mesh.life.routes import make_routes

    return (make_routes, _make_gateways, _make_leafnodes)


def _make_gateways(node: "Node") -> LinkManager | None:
    if node.options.gateway is None:
        return None
    from gossamer.mesh.life.gateways import make_gateways

    return make_gateways(node)


def _make_leafnodes(node: "Node") -> LinkManager | None:
    if node.options.leafnodes is None:
        return None
    from gossamer.mesh.life.leafnodes import make_leafnodes

    return make_leafnodes(node)
