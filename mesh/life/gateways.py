"""Gateways in a node: the gateway manager, told of the node's identity, neighbours and options."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

from gossamer.mesh.engine.events import Closed, Hello, Opened, PeerError, PeerInfo, Pong
from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.gateways.gateway_manager import GatewayManager
from gossamer.mesh.gateways.surroundings import GatewayIdentity
from gossamer.mesh.life.surroundings import listening_descriptor
from gossamer.mesh.version import NATS_VERSION
from gossamer.mesh.world.interfaces import global_addresses, is_wildcard
from gossamer.mesh.world.listening import join_address

if TYPE_CHECKING:
    from gossamer.mesh.node import Node
    from gossamer.mesh.options.options import GatewayOptions, Options


def make_gateways(node: "Node") -> "Gateways | None":
    """None without a ``gateway`` block. Raises PortTaken, ValueError."""
    options = node.options.gateway
    return Gateways(node, options) if options is not None else None


class Gateways:
    """A ``LinkManager``. ``gateways`` is the part that knows the protocol."""

    kind = LinkKind.GATEWAY
    service = ""  # nats-server does not tell it in the ports file either

    def __init__(self, node: "Node", options: "GatewayOptions") -> None:
        self._node = node
        surroundings, world = node.surroundings, node.world
        self.gateways = GatewayManager(
            GatewayIdentity(
                server_id=node.identity.server_id,
                server_name=node.identity.server_name,
                version=NATS_VERSION,
                max_payload=node.options.limits.max_payload,
                headers=not node.options.no_header_support,
            ),
            options,
            node.link_engine,
            surroundings.scheduler(),
            surroundings.dialer(world.randomness),
            node.journal,
            randomness=world.randomness,
            neighbours=node.neighbours,
            reachable_host=self._reachable_host,
        )
        self.bound = surroundings.bind(options.host, options.port, what="gateway port", option="gateway port")
        self.gateways.prepare(self.bound.port)

    def _reachable_host(self, host: str) -> str:
        """One address of this machine for a host that means all of them (spec configuration 6.2)."""
        if not is_wildcard(host):
            return host
        found = global_addresses(self._node.world.disk)
        if not found:
            self._node.journal.error(f"No address of this machine can be told to other clusters instead of {host!r}")
        return found[0] if found else host or "0.0.0.0"

    @property
    def cluster_name(self) -> str:
        return self.gateways.name

    def greetings(self) -> Iterator[str]:
        yield f"Gateway name is {self.gateways.name}"
        yield f"Listening for gateways connections on {self.bound.address}"
        yield f'Address for gateway "{self.gateways.name}" is {join_address(*self.gateways.address)}'

    def start(self) -> None:
        self.gateways.start(descriptor=listening_descriptor(self.bound))

    def on_event(self, event: Opened | Hello | PeerInfo | PeerError | Pong | Closed) -> None:
        self.gateways.on_event(event)

    def check(self, options: "Options") -> None:
        """What can be changed of gateways was decided by the comparison of options: nothing."""

    def change(self, options: "Options", paths: Collection[str]) -> None:
        """Nothing of them changes."""

    def lame_duck(self) -> None:
        """There is no such notice between clusters (spec gateways 10)."""

    def stop_dialling(self) -> None:
        self.gateways.stop_accepting()

    def stop(self) -> None:
        self.gateways.stop()
