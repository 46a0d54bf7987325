"""What this node says about itself on routes: its INFO and its CONNECT (spec routes 3.2, 3.3, 9.3)."""

from gossamer.mesh.peers.route_name import ClusterName
from gossamer.mesh.peers.route_neighbours import RouteNeighbours
from gossamer.mesh.peers.route_protocol import connect_line, info_line, subject_lists
from gossamer.mesh.peers.route_settings import RouteSettings, RouteUrl, join_address
from gossamer.mesh.peers.route_world import RouteIdentity


class RouteVoice:
    """``port`` is the listener's and ``client_urls`` are our own addresses for clients: known only once bound."""

    __slots__ = ("_identity", "_name", "_neighbours", "client_urls", "port", "settings")

    def __init__(
        self, identity: RouteIdentity, settings: RouteSettings, name: ClusterName, neighbours: RouteNeighbours
    ) -> None:
        """``neighbours`` holds what gateways and leaf nodes announce."""
        self._identity = identity
        self._neighbours = neighbours
        self.settings = settings
        self._name = name
        self.port = 0
        self.client_urls: tuple[str, ...] = ()

    def connect(self, url: RouteUrl) -> bytes:
        """The first line to somebody we dialled, with the credentials of ``url``."""
        name = self._name
        return connect_line(server_id=self._identity.server_id, cluster=name.text, dynamic=name.dynamic, url=url)

    def info(
        self,
        *,
        pool_index: int = 0,
        account: str = "",
        gossip_mode: int = 0,
        lame_duck: bool = False,
        compression: str = "",
    ) -> bytes:
        """Our INFO. Only a solicitor says an index or an account, and only when it registers. ``compression`` empty:
        the configured word."""
        identity, settings = self._identity, self.settings
        host, port, address = settings.host, self.port, ""
        if settings.advertise is not None:
            host, port = settings.advertise[0], settings.advertise[1] or port
            address = f"nats-route://{join_address(host, port)}/"
        return info_line(
            {
                "server_id": identity.server_id,
                "server_name": identity.server_name,
                "version": identity.version,
                "proto": identity.protocol,
                "go": "",
                "host": host,
                "port": port,
                "headers": True,
                "auth_required": settings.auth_required,
                "max_payload": identity.max_payload,
                "ip": address,
                "cluster": self._name.text,
                "cluster_dynamic": self._name.dynamic,
                "connect_urls": () if settings.no_advertise else self.client_urls,
                "ldm": lame_duck,
                "compression": compression or settings.compression,
                "lnoc": True,
                "lnocu": True,
                "route_pool_size": max(settings.pool_size, 0),
                "route_pool_idx": pool_index,
                "route_account": account,
                "gossip_mode": gossip_mode,
                "gateway_url": self._neighbours.gateway_url,
                "leafnode_urls": self._neighbours.leafnode_urls,
                "import": subject_lists(settings.permissions.publish),
                "export": subject_lists(settings.permissions.subscribe),
            }
        )
