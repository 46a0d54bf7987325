"""What gateways and leaf nodes use routes for: to tell the other nodes of the cluster something, and to hear of them.

Every node has one (``node.neighbours``), with routes or without: without, there is simply nobody.

* Our own INFO on routes carries ``gateway_url`` and ``leafnode_urls`` (spec routes 3.2): ``announce`` sets them, before
  the links are started.
* ``for each in neighbours`` / ``find``: the other nodes, each once however many connections it has. What they said of
  themselves stands in ``Neighbour``. ``on_change`` callbacks are told when one comes (its first pooled connection is
  registered: then ``send`` to it works at once, and what is sent follows our INFO) and when one goes (its last
  connection is closed).
* INFO lines about gateways (``gateway`` set, ``gateway_cmd`` 1, ``server_id`` "GW" and the sender's id: gateways 6.1)
  come to ``on_gateway_gossip``; without a listener one line a node is logged, as nats-server does.
* ``send`` queues a line on one connection of one node, ``send_all`` on one of each.

Callbacks run on the control plane's thread, one at a time; they may call ``send``.
"""

from collections.abc import Callable, Iterator

from msgspec import Struct


class Neighbour(Struct, frozen=True, kw_only=True):
    """Another node of the cluster as its INFO described it. ``host`` is the address it came from."""

    server_id: str
    server_name: str
    host: str
    gateway_url: str = ""
    leafnode_urls: tuple[str, ...] = ()


#: The neighbour, and whether it has come (False: it has gone).
ChangeListener = Callable[[Neighbour, bool], None]
#: Who said it, and the INFO's JSON text.
GossipListener = Callable[[Neighbour, bytes], None]


def _nobody(server_id: str, line: bytes) -> None:
    """There are no routes."""


def _nothing() -> None:
    """There is no listener whose INFO would have to change."""


class RouteNeighbours:
    """See the top of the file. Methods whose names begin with ``route_`` are for the route manager alone."""

    __slots__ = (
        "_changed",
        "_gossip_heard",
        "_neighbours",
        "_refresh",
        "_send",
        "gateway_url",
        "leafnode_urls",
    )

    def __init__(self) -> None:
        self.gateway_url = ""
        self.leafnode_urls: tuple[str, ...] = ()
        self._neighbours: dict[str, Neighbour] = {}
        self._changed: list[ChangeListener] = []
        self._gossip_heard: GossipListener | None = None
        self._send: Callable[[str, bytes], None] = _nobody
        self._refresh: Callable[[], None] = _nothing

    # --- for gateways and leaf nodes --------------------------------------------------------------------------------
    def announce(self, *, gateway_url: str | None = None, leafnode_urls: tuple[str, ...] | None = None) -> None:
        """Say so in our INFO from now on (None: as it is). Links that are there are not told again."""
        if gateway_url is not None:
            self.gateway_url = gateway_url
        if leafnode_urls is not None:
            self.leafnode_urls = leafnode_urls
        self._refresh()

    def on_change(self, listener: ChangeListener) -> None:
        self._changed.append(listener)

    def on_gateway_gossip(self, listener: GossipListener) -> None:
        """There is one listener at most."""
        self._gossip_heard = listener

    def __iter__(self) -> Iterator[Neighbour]:
        return iter(list(self._neighbours.values()))

    def __len__(self) -> int:
        return len(self._neighbours)

    def find(self, server_id: str) -> Neighbour | None:
        return self._neighbours.get(server_id)

    def send(self, server_id: str, line: bytes) -> None:
        """Queue a whole line, CR LF included, on one connection of that node; nothing happens when it is gone."""
        if server_id in self._neighbours:
            self._send(server_id, line)

    def send_all(self, line: bytes) -> None:
        for server_id in list(self._neighbours):
            self._send(server_id, line)

    # --- for the route manager ---------------------------------------------------------------------------------------
    def route_attach(self, send: Callable[[str, bytes], None], refresh: Callable[[], None]) -> None:
        """``send(server_id, line)`` sends; ``refresh`` makes our INFO anew."""
        self._send, self._refresh = send, refresh

    def route_joined(self, neighbour: Neighbour) -> None:
        self._neighbours[neighbour.server_id] = neighbour
        for listener in self._changed:
            listener(neighbour, True)

    def route_left(self, server_id: str) -> None:
        neighbour = self._neighbours.pop(server_id, None)
        if neighbour is not None:
            for listener in self._changed:
                listener(neighbour, False)

    def route_gateway_gossip(self, server_id: str, text: bytes) -> bool:
        """False: nobody wants to hear it."""
        neighbour = self._neighbours.get(server_id)
        if self._gossip_heard is None:
            return False
        if neighbour is not None:
            self._gossip_heard(neighbour, text)
        return True
