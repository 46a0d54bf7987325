"""What this node says about itself and its cluster on gateways (spec gateways 2.1, 2.2, 6.1)."""

from collections import Counter

from gossamer.mesh.gateways.protocol import connect_line, info_line
from gossamer.mesh.gateways.settings import GatewaySettings, GatewayUrl
from gossamer.mesh.gateways.surroundings import GatewayIdentity
from gossamer.mesh.world.listening import join_address


class GatewayVoice:
    """``listen_at`` tells where we are; ``add`` and ``remove`` keep the addresses of the cluster's other nodes, which
    may be the same for several."""

    __slots__ = ("_address", "_identity", "_others", "_settings")

    def __init__(self, identity: GatewayIdentity, settings: GatewaySettings) -> None:
        self._identity = identity
        self._settings = settings
        self._address = (settings.host, 0)
        self._others: Counter[str] = Counter()

    def listen_at(self, host: str, port: int) -> None:
        """The address that others can dial, unless another one is advertised."""
        advertise = self._settings.advertise
        self._address = (host, port) if advertise is None else (advertise[0], advertise[1] or port)

    @property
    def address(self) -> tuple[str, int]:
        """What we say others should dial."""
        return self._address

    @property
    def url(self) -> str:
        return join_address(*self._address)

    @property
    def urls(self) -> list[str]:
        """Ours and those of the other nodes."""
        own = self.url
        return [own, *sorted(url for url in self._others if url != own)]

    def add(self, url: str) -> bool:
        """One more node of the cluster. True: it is a new address."""
        self._others[url] += 1
        return self._others[url] == 1 and url != self.url

    def remove(self, url: str) -> bool:
        """A node has gone. True: its address with it."""
        self._others[url] -= 1
        if self._others[url] > 0:
            return False
        del self._others[url]
        return url != self.url

    def info(self) -> bytes:
        host, port = self._address
        return info_line(
            self._identity,
            gateway=self._settings.name,
            host=host,
            port=port,
            url=self.url,
            urls=self.urls,
            auth_required=self._settings.auth_required,
        )

    def connect(self, url: GatewayUrl) -> bytes:
        settings = self._settings
        return connect_line(
            self._identity, gateway=settings.name, url=url, user=settings.user, password=settings.password
        )
