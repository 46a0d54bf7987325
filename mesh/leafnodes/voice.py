"""What this node says of itself on leaf links: its INFO in each role and at each station (spec leafnodes 3 and 4)."""

from typing import Any

from gossamer.auth.permissions import Permissions
from gossamer.mesh.leafnodes import protocol
from gossamer.mesh.leafnodes.settings import LeafSettings
from gossamer.mesh.leafnodes.world import LeafIdentity
from gossamer.mesh.peers.compression import negotiates
from gossamer.mesh.world.listening import join_address


class LeafVoice:
    """``host`` and ``port`` are those of the listener, known once it is bound; ``other_urls`` are the leaf node
    listeners of the other servers of our cluster, which come and go; ``max_payload`` follows the configuration."""

    __slots__ = ("_identity", "host", "max_payload", "other_urls", "port", "settings")

    def __init__(self, identity: LeafIdentity, settings: LeafSettings, max_payload: int) -> None:
        self._identity = identity
        self.settings = settings
        self.host = settings.options.host
        self.port = 0
        self.max_payload = max_payload
        self.other_urls: tuple[str, ...] = ()

    @property
    def cluster(self) -> str:
        """Our name as the other side has to know it, so that interest does not come back: with hubs to dial a node
        without a cluster goes by its own name."""
        return self._identity.cluster() or (self._identity.server_name if self.settings.remotes else "")

    @property
    def own_url(self) -> str:
        """``host:port`` of our listener as others reach it."""
        return join_address(*self._place)

    @property
    def _place(self) -> tuple[str, int]:
        advertise = self.settings.advertise
        if advertise is None:
            return self.host, self.port
        return advertise[0], advertise[1] or self.port

    @property
    def urls(self) -> tuple[str, ...]:
        """All listeners of our cluster, ours first."""
        return tuple(dict.fromkeys((self.own_url, *self.other_urls)))

    def template(self, link_id: int, nonce: int) -> list[bytes | int]:
        """The first INFO of every accepted link, in pieces with placeholders."""
        return protocol.info_template(self._first(self._compression), link_id, nonce)

    def repeated(self, link: int, nonce: bytes, compression: str) -> bytes:
        """The first INFO again, once both directions are S2."""
        return protocol.info_line(
            self._first(compression) | {"client_id": link, "nonce": nonce.decode("ascii", "replace")}
        )

    def confirmation(self, link: int, account: str, granted: Permissions | None) -> bytes:
        """The answer to CONNECT."""
        members = self._members() | {
            "client_id": link,
            "connect_info": True,
            "remote_account": account,
            "acc_is_sys": bool(account) and account == self._identity.system_account,
        }
        if granted is not None:
            members["import"] = protocol.direction_member(granted.subscribe)
            members["export"] = protocol.direction_member(granted.publish)
        return protocol.info_line(members)

    def later(self) -> bytes:
        """For all links, when the addresses have changed."""
        return protocol.info_line(self._members())

    def connect(
        self,
        *,
        login: dict[str, object],
        is_hub: bool,
        headers: bool,
        deny_pub: tuple[str, ...],
        isolate: bool,
        compression: str,
        account: str,
    ) -> bytes:
        """CONNECT to a hub. ``login``: who we are there."""
        members: dict[str, Any] = {
            "version": self._identity.version,
            **login,
            "server_id": self._identity.server_id,
            "name": self._identity.server_name,
            "is_hub": is_hub,
            "cluster": self.cluster,
            "headers": headers and self._identity.headers,
            "deny_pub": list(deny_pub),
            "isolate": isolate,
            "compress_mode": compression,
            "remote_account": account,
            "protocol": protocol.PROTOCOL,
        }
        return protocol.connect_line(members)

    @property
    def _compression(self) -> str:
        mode = self.settings.options.compression.mode
        return mode if negotiates(mode) else "off"

    def _first(self, compression: str) -> dict[str, Any]:
        return self._members() | {"compression": compression}

    def _members(self) -> dict[str, Any]:
        host, port = self._place
        return {
            "server_id": self._identity.server_id,
            "server_name": self._identity.server_name,
            "version": self._identity.version,
            "proto": protocol.PROTOCOL,
            "go": "",
            "host": host,
            "port": port,
            "headers": self._identity.headers,
            "auth_required": True,
            "max_payload": self.max_payload,
            "ip": join_address(host, port),
            "cluster": self.cluster,
            "info_on_connect": True,
            "leafnode_urls": self.urls,
        }
