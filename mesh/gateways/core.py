"""The control plane of gateways without sockets: events in, actions out (spec gateways 2 to 6).

Messages flow only from the node that dialled, interest only to it; so two clusters have separate connections for the
two directions, and nothing here ever treats one as the other:

    outbound (dialled):  INFO judged -> CONNECT and INFO sent, registered -> own cluster told of the remote's addresses
    inbound (accepted):  CONNECT judged -> INFO judged -> registered: interest; dialled back; told of other clusters

A cluster that is known has either a dial under way (waiting for its time or for the network) or an outbound
connection, never both; so there can never be two outbound connections to one.

Time is not kept here: the caller passes it in where it is remembered, and wakes each dial after the delay asked for.
``actions`` is to be emptied, in order, after every call.
"""

from collections import deque
from collections.abc import Callable

from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.gateways import actions as do
from gossamer.mesh.gateways import protocol, refusal
from gossamer.mesh.gateways.dials import ESTABLISHED_NS, START_DELAY_NS, GatewayCalls
from gossamer.mesh.gateways.gossip import GatewayGossip
from gossamer.mesh.gateways.protocol import GatewayInfo
from gossamer.mesh.gateways.settings import GatewaySettings
from gossamer.mesh.gateways.surroundings import GatewayIdentity, GatewayRow
from gossamer.mesh.gateways.table import Connection, Gateway, GatewayTable, Stage
from gossamer.mesh.gateways.voice import GatewayVoice
from gossamer.mesh.world import Randomness


class GatewayCore:
    """``is_ours``: does a node of our own cluster, this one included, have that server name?"""

    def __init__(
        self,
        identity: GatewayIdentity,
        settings: GatewaySettings,
        randomness: Randomness,
        is_ours: Callable[[str], bool],
    ) -> None:
        self.actions: deque[do.Action] = deque()
        self._settings = settings
        self._is_ours = is_ours
        self._table = GatewayTable(settings.remotes)
        self._voice = GatewayVoice(identity, settings)
        self._calls = GatewayCalls(settings, self._table, self.actions, randomness)
        self._gossip = GatewayGossip(identity, settings, self._table, self._calls, self.actions)
        self._nodes: dict[str, str] = {}  # the gateway URL of each other node of the cluster, by server id

    # --- state, read ----------------------------------------------------------------------------------------------

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that INFO says."""
        return self._voice.address

    @property
    def url(self) -> str:
        """The same, as other nodes of the cluster should hear it."""
        return self._voice.url

    @property
    def own_addresses(self) -> frozenset[tuple[str, int]]:
        """Not to be dialled: nothing is known to lead to ourselves."""
        return frozenset()

    def knows(self, link: int) -> bool:
        return link in self._table.connections

    def rows(self) -> list[GatewayRow]:
        return self._table.rows()

    def addresses(self) -> dict[str, list[str]]:
        """Where the nodes of each configured cluster are."""
        return {name: each.addresses for name, each in self._table.gateways.items() if not each.implicit}

    # --- life -----------------------------------------------------------------------------------------------------

    def prepare(self, host: str, port: int) -> bytes:
        """The listener's address, as far as others can dial it. Returns the listener's INFO line."""
        self._voice.listen_at(host, port)
        return self._voice.info()

    def start(self) -> None:
        """Dial the configured gateways, but give the own cluster a second to form."""
        for gateway in list(self._table.gateways.values()):
            self._calls.begin(gateway, delay_ns=START_DELAY_NS)

    def stop_dialling(self) -> None:
        """From now on nobody is dialled or let in."""
        self._calls.stop()

    def stop(self) -> None:
        for connection in list(self._table.connections.values()):
            self._close(connection, CloseReason.SERVER_SHUTDOWN)

    # --- the own cluster ------------------------------------------------------------------------------------------

    def node_joined(self, server_id: str, url: str) -> None:
        """The first route to another node of our cluster. ``url`` is its gateway address; empty: it has none."""
        self.node_left(server_id)
        if url:
            self._nodes[server_id] = url
            if self._voice.add(url):
                self._tell_inbounds()
        self._gossip.tell_node(server_id)

    def remind_node(self, server_id: str) -> None:
        """Say again what a node that joined was told: the route that carried it may have lost a race and gone."""
        if server_id in self._nodes:
            self._gossip.tell_node(server_id)

    def node_left(self, server_id: str) -> None:
        """The last route to it is gone."""
        url = self._nodes.pop(server_id, "")
        if url and self._voice.remove(url):
            self._tell_inbounds()

    def heard_from_node(self, text: bytes) -> None:
        """An INFO about a gateway came by a route."""
        info = protocol.decode_info(text)
        if info is None or info.gateway_cmd != protocol.GOSSIP:
            self._say("error", "An INFO about gateways that came by a route cannot be understood")
        else:
            self._gossip.heard_of(info, trusted=True)

    def _tell_inbounds(self) -> None:
        """The addresses of our cluster are others now. Who is on the way in has seen the old ones as well."""
        line = self._voice.info()
        self.actions.append(do.Announce(line))
        for each in self._table.connections.values():
            if not each.outbound and each.stage is not Stage.CLOSING:
                self.actions.append(do.Send(each.link, line))

    # --- dialling -------------------------------------------------------------------------------------------------

    def greeting(self, attempt: int) -> bytes:
        """Nothing is said before the other side's INFO (spec 2)."""
        return b""

    def dialled(self, attempt: int, link: int, host: str, port: int, now_ns: int) -> None:
        """Connected; the engine has the link, and its INFO is awaited."""
        call = self._calls.take(attempt)
        if call is None:
            self.actions.append(do.CloseLink(link, CloseReason.SERVER_SHUTDOWN))
            return
        connection = Connection(link, host, port, now_ns)
        connection.stage = Stage.INFO
        connection.gateway = call.gateway
        connection.name = call.gateway.name
        connection.url = call.url
        connection.tries = call.tries
        call.gateway.outbound = connection
        self._table.connections[link] = connection

    def overdue(self, link: int) -> None:
        """Whoever we dialled should have said INFO long ago. Nothing is sent to it before, so nothing else would tell
        that it has gone."""
        connection = self._table.connections.get(link)
        if connection is not None and connection.outbound and connection.stage is Stage.INFO:
            self._say("error", f"{connection.label} - No INFO came from gateway {connection.name!r}")
            self._close(connection, CloseReason.STALE_CONNECTION)

    def dial_failed(self, attempt: int, error: str) -> None:
        self._calls.failed(attempt, error)

    def dial_due(self, attempt: int) -> None:
        """The delay of a ``WakeDial`` is over."""
        self._calls.due(attempt)

    # --- accepted connections: CONNECT ----------------------------------------------------------------------------

    def opened(self, link: int, host: str, port: int, now_ns: int) -> None:
        """Accepted by our listener, which has sent INFO."""
        connection = Connection(link, host, port, now_ns)
        self._table.connections[link] = connection
        if self._calls.stopped:
            self._close(connection, CloseReason.SERVER_SHUTDOWN)

    def hello(self, link: int, connect: bytes | None, *, again: bool) -> None:
        """CONNECT, or None when the peer began with something else."""
        connection = self._table.connections[link]
        if connection.stage is Stage.CLOSING:
            return
        if again or connection.stage is not Stage.CONNECT:
            self.actions.append(do.Resume(link))
            return
        if connect is None:
            self._close(connection, CloseReason.AUTHENTICATION_VIOLATION, refusal.UNAUTHORIZED)
            return
        said = connection.said = protocol.decode_connect(connect)
        if said is None:
            self._close(connection, CloseReason.PARSE_ERROR)
        elif not self._settings.auth_required:
            self._judge_connect(connection)
        elif said.user != self._settings.user:
            self._close(connection, CloseReason.AUTHENTICATION_VIOLATION, refusal.UNAUTHORIZED)
        else:
            self.actions.append(do.CheckPassword(link, said.password, self._settings.password))

    def password_checked(self, link: int, right: bool) -> None:
        connection = self._table.connections.get(link)
        if connection is None or connection.stage is not Stage.CONNECT:
            return
        if right:
            self._judge_connect(connection)
        else:
            self._close(connection, CloseReason.AUTHENTICATION_VIOLATION, refusal.UNAUTHORIZED)

    def _judge_connect(self, connection: Connection) -> None:
        said = connection.said
        assert said is not None
        if not said.gateway:
            self._close(connection, CloseReason.WRONG_PORT, refusal.WRONG_PORT)
        elif self._settings.reject_unknown and said.gateway not in self._table.gateways:
            self._say("error", f"{connection.label} - Rejecting connection from gateway {said.gateway!r}")
            self._close(connection, CloseReason.WRONG_GATEWAY, refusal.unknown_gateway(self._settings.name))
        else:
            connection.stage = Stage.INFO
            self.actions.append(do.Admit(connection.link))

    # --- INFO -----------------------------------------------------------------------------------------------------

    def info(self, link: int, text: bytes, now_ns: int) -> None:
        """An INFO; the link is parked until something is decided."""
        connection = self._table.connections[link]
        if connection.stage is Stage.CLOSING:
            return
        if connection.joined and not connection.outbound:
            self.actions.append(do.Resume(link))  # an inbound has nothing more to say
            return
        info = protocol.decode_info(text)
        if info is None:
            self._close(connection, CloseReason.PARSE_ERROR)
        elif connection.gateway is None:
            self._inbound_info(connection, info, now_ns)
        elif self._is_from(info, connection, connection.gateway):
            self._outbound_info(connection, connection.gateway, info, now_ns)

    def _is_from(self, info: GatewayInfo, connection: Connection, gateway: Gateway) -> bool:
        """Is it about the cluster that we meant to dial? What is not is dealt with here (spec 2.3, 3)."""
        if not info.gateway:
            self._refuse(connection, CloseReason.WRONG_PORT, refusal.not_a_gateway(gateway.name))
        elif info.gateway != gateway.name and connection.joined and info.gateway_cmd == protocol.GOSSIP:
            self._gossip.heard_of(info, trusted=False)
            self.actions.append(do.Resume(connection.link))
        elif info.gateway != gateway.name:
            text = refusal.wrong_name(self._settings.name, gateway.name, info.gateway)
            self._refuse(connection, CloseReason.WRONG_GATEWAY, text)
        else:
            return not self._is_namesake(connection, info)
        return False

    def _outbound_info(self, connection: Connection, gateway: Gateway, info: GatewayInfo, now_ns: int) -> None:
        if info.gateway_urls:
            known = set(gateway.addresses)
            gateway.replace(info.gateway_urls)
            if not known.issuperset(gateway.addresses):
                self._gossip.tell_inbounds(gateway)
        if connection.joined:
            self.actions.append(do.Resume(connection.link))
            if info.gateway_cmd:
                self._say("warning", f"{connection.label} - Unknown gateway command {info.gateway_cmd}")
                return
        else:
            assert connection.url is not None
            lines = self._voice.connect(connection.url) + self._voice.info()
            self.actions.append(do.Send(connection.link, lines))
            self._register(connection, info, now_ns)
        self._gossip.tell_cluster(info)

    def _inbound_info(self, connection: Connection, info: GatewayInfo, now_ns: int) -> None:
        assert connection.said is not None
        if self._is_namesake(connection, info):
            return
        connection.name = info.gateway or connection.said.gateway
        self._register(connection, info, now_ns)
        self._gossip.heard_of(info, trusted=False)
        self._gossip.tell_inbound(connection)

    def _is_namesake(self, connection: Connection, info: GatewayInfo) -> bool:
        """Server names are unique: a node of another cluster may not have that of one of ours."""
        if not info.server_name or not self._is_ours(info.server_name):
            return False
        self._say("error", f"{connection.label} - Remote server has a duplicate name: {info.server_name!r}")
        self._close(connection, CloseReason.DUPLICATE_SERVER_NAME)
        return True

    def _register(self, connection: Connection, info: GatewayInfo, now_ns: int) -> None:
        connection.info = info
        connection.stage = Stage.JOINED
        connection.joined_ns = now_ns
        self.actions.append(
            do.Join(
                link=connection.link,
                outbound=connection.outbound,
                name=connection.name,
                headers=info.headers,
                interest_only=info.gateway_iom,
            )
        )
        if connection.outbound:
            text = f"Outbound gateway connection to {connection.name!r} ({info.server_name}) registered"
        else:
            text = f"Inbound gateway connection from {connection.name!r} ({info.server_name}) registered"
        self._say("info", f"{connection.label} - {text}")

    # --- the rest of a connection's life ----------------------------------------------------------------------------

    def pong(self, link: int, rtt_ns: int) -> None:
        connection = self._table.connections[link]
        connection.rtt_ns = rtt_ns or connection.rtt_ns
        connection.confirmed = True

    def peer_error(self, link: int, text: bytes) -> None:
        """The peer said -ERR; the engine closes the link."""
        connection = self._table.connections[link]
        self._say("error", f"{connection.label} - Gateway error: {text.decode('utf-8', 'replace')}")

    def closed(self, link: int, reason: int, now_ns: int) -> None:
        """The link is gone, whoever closed it. A cluster that we had an outbound to is dialled again."""
        connection = self._table.connections.pop(link)
        gateway = connection.gateway
        direction = "Inbound" if gateway is None else "Outbound"
        self._say("info", f"{connection.label} - {direction} gateway connection closed: {_reason_text(reason)}")
        if gateway is None:
            return
        gateway.outbound = None
        lived_ns = now_ns - connection.joined_ns if connection.joined_ns >= 0 else -1
        established = connection.confirmed or lived_ns >= ESTABLISHED_NS
        self._calls.again(gateway, established=established, tries=0 if established else connection.tries + 1)

    def _refuse(self, connection: Connection, reason: CloseReason, text: str) -> None:
        self._say("error", f"{connection.label} - {text}")
        self._close(connection, reason, text)

    def _close(self, connection: Connection, reason: CloseReason, error: str = "") -> None:
        """A gateway keeps its outbound until the engine reports it closed."""
        if connection.stage is not Stage.CLOSING:
            connection.stage = Stage.CLOSING
            self.actions.append(do.CloseLink(connection.link, reason, error))

    def _say(self, level: str, text: str) -> None:
        self.actions.append(do.Say(level, text))


def _reason_text(reason: int) -> str:
    try:
        return CloseReason(reason).text
    except ValueError:
        return f"reason {reason}"
