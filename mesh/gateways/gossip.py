"""Who is told of which cluster, and what to do when told (spec gateways 6)."""

from collections import deque
from collections.abc import Iterable

from gossamer.mesh.gateways import actions as do
from gossamer.mesh.gateways.dials import GatewayCalls
from gossamer.mesh.gateways.protocol import GOSSIP_PREFIX, GatewayInfo, gossip_line
from gossamer.mesh.gateways.settings import GatewaySettings
from gossamer.mesh.gateways.surroundings import GatewayIdentity
from gossamer.mesh.gateways.table import Connection, Gateway, GatewayTable


class GatewayGossip:
    """Works on the core's table, calls and actions."""

    def __init__(
        self,
        identity: GatewayIdentity,
        settings: GatewaySettings,
        table: GatewayTable,
        calls: GatewayCalls,
        actions: deque[do.Action],
    ) -> None:
        self._identity = identity
        self._settings = settings
        self._table = table
        self._calls = calls
        self._actions = actions

    def tell_cluster(self, info: GatewayInfo) -> None:
        """A cluster that we have an outbound to has said where its nodes are: ours should have one too."""
        if info.gateway_urls:
            self._actions.append(do.TellNodes(self._for_nodes(info.gateway, info.gateway_urls)))

    def tell_node(self, server_id: str) -> None:
        """A node has joined our cluster: it hears of every cluster that we have an outbound to."""
        for outbound in self._table.outbounds:
            gateway = outbound.gateway
            assert gateway is not None
            self._actions.append(do.TellNode(server_id, self._for_nodes(gateway.name, gateway.addresses)))

    def tell_inbound(self, inbound: Connection) -> None:
        """A node of another cluster hears of every third one that we know: so all clusters find each other."""
        for gateway in self._table.gateways.values():
            self._introduce(gateway, inbound)

    def tell_inbounds(self, gateway: Gateway) -> None:
        """A cluster has become known, or known better: those who came in before are told as well. Without that, two
        clusters that come to a third one in the same moment would never hear of each other."""
        for inbound in self._table.inbounds:
            self._introduce(gateway, inbound)

    def _introduce(self, gateway: Gateway, inbound: Connection) -> None:
        if gateway.name != inbound.name and gateway.addresses:
            line = gossip_line(
                server_id=self._identity.server_id, server_name="", gateway=gateway.name, urls=gateway.addresses
            )
            self._actions.append(do.Send(inbound.link, line))

    def heard_of(self, info: GatewayInfo, *, trusted: bool) -> None:
        """Somebody has told of a cluster: more addresses of one that we know, or one to be dialled at once.
        ``trusted``: by a node of our own cluster; else unknown ones may have to be ignored."""
        name = info.gateway
        if not name or name == self._settings.name:
            return
        known = self._table.gateways.get(name)
        if known is not None:
            before = len(known.addresses)
            known.add(info.gateway_urls)
            if len(known.addresses) > before:
                self.tell_inbounds(known)
            return
        if (self._settings.reject_unknown and not trusted) or self._calls.stopped:
            return
        if self._table.is_full:
            self._actions.append(do.Say("warning", f"Gateway {name!r} is ignored: there are too many already"))
            return
        gateway = Gateway(name, implicit=True)
        gateway.add(info.gateway_urls)
        if gateway.urls:
            self._table.gateways[name] = gateway
            self._calls.begin(gateway)
            self.tell_inbounds(gateway)

    def _for_nodes(self, gateway: str, urls: Iterable[str]) -> bytes:
        return gossip_line(
            server_id=GOSSIP_PREFIX + self._identity.server_id,
            server_name=self._identity.server_name,
            gateway=gateway,
            urls=urls,
        )
