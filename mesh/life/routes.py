"""Routes in a node: the route manager, told of the node's identity, addresses and options."""

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING

import msgspec

from gossamer.mesh.engine.events import Closed, Hello, Opened, PeerError, PeerInfo, Pong
from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.life.surroundings import listening_descriptor
from gossamer.mesh.version import NATS_VERSION

if TYPE_CHECKING:
    from gossamer.mesh.node import Node
    from gossamer.mesh.options.options import ClusterOptions, Options


def make_routes(node: "Node") -> "Routes | None":
    """None without a ``cluster`` block. Raises PortTaken, ValueError."""
    cluster = cluster_of(node.options)
    return Routes(node, cluster) if cluster is not None else None


def cluster_of(options: "Options") -> "ClusterOptions | None":
    """With the gateway's name if it has none of its own: read from a file it has, made by a program it may not (spec
    gateways 3). Raises ValueError for two names."""
    cluster, gateway = options.cluster, options.gateway
    if cluster is None or gateway is None or cluster.name == gateway.name:
        return cluster
    if cluster.name:
        raise ValueError("cluster name conflicts between cluster and gateway definitions")
    return msgspec.structs.replace(cluster, name=gateway.name)


class Routes:
    """A ``LinkManager``. ``manager`` is the part that knows the protocol."""

    kind = LinkKind.ROUTE
    service = "cluster"

    def __init__(self, node: "Node", cluster: "ClusterOptions") -> None:
        from gossamer.mesh.peers.route_manager import RouteManager
        from gossamer.mesh.peers.route_world import RouteIdentity

        self._node = node
        surroundings, world = node.surroundings, node.world
        self.manager = RouteManager(
            RouteIdentity(
                server_id=node.identity.server_id,
                server_name=node.identity.server_name,
                version=NATS_VERSION,
                max_payload=node.options.limits.max_payload,
                system_account=node.judge.system_account,
            ),
            cluster,
            node.link_engine,
            surroundings.scheduler(),
            surroundings.dialer(world.randomness),
            node.set_cluster_urls,
            node.journal,
            randomness=world.randomness,
            on_cluster_name_changed=node.cluster_renamed,
            account_exists=lambda name: node.accounts.find(name) is not None,
            neighbours=node.neighbours,
        )
        self.bound = surroundings.bind(cluster.host, cluster.port, what="cluster port", option="cluster port")

    @property
    def cluster_name(self) -> str:
        return self.manager.cluster_name

    def greetings(self) -> Iterator[str]:
        yield f"Listening for route connections on {self.bound.address}"

    def start(self) -> None:
        cluster = self._node.options.cluster
        urls = () if cluster is None or cluster.no_advertise else self._node.own_urls()
        self.manager.start(descriptor=listening_descriptor(self.bound), port=self.bound.port, client_urls=urls)

    def on_event(self, event: Opened | Hello | PeerInfo | PeerError | Pong | Closed) -> None:
        self.manager.on_event(event)

    def check(self, options: "Options") -> None:
        cluster = cluster_of(options)
        if cluster is not None:
            self.manager.check(cluster)

    def change(self, options: "Options", paths: Collection[str]) -> None:
        cluster = cluster_of(options)
        if cluster is None:
            return
        if any(path.startswith("cluster.") for path in paths):
            self.manager.reload(cluster)
            self._node.accounts.pin(self.manager.pinned)
        if not cluster.no_advertise:
            self.manager.set_client_urls(self._node.own_urls())

    def lame_duck(self) -> None:
        self.manager.lame_duck()

    def stop_dialling(self) -> None:
        self.manager.stop_accepting()

    def stop(self) -> None:
        self.manager.stop()
