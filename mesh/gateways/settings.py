"""The ``gateway`` block as gateways use it: URLs taken apart (spec configuration 6.2)."""

from typing import Final
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from gossamer.mesh.options.options import GatewayOptions
from gossamer.mesh.world.listening import join_address, split_address

#: Where a gateway URL without a port leads.
DEFAULT_PORT: Final = 7222


class GatewayUrl(Struct, frozen=True):
    """Where to dial, and as whom: the parts of ``nats://user:password@host:port``."""

    host: str
    port: int
    user: str = ""
    password: str = ""

    @property
    def address(self) -> str:
        """``host:port``, by which URLs are told apart (spec gateways 6.4)."""
        return join_address(self.host, self.port)


class RemoteSettings(Struct, frozen=True):
    """A configured gateway: another cluster and some of its nodes."""

    name: str
    urls: tuple[GatewayUrl, ...]


class GatewaySettings(Struct, frozen=True, kw_only=True):
    """``advertise``: host and port that others dial instead of the listener's (port 0: the listener's). The own name
    among ``remotes`` is left out."""

    name: str
    host: str
    remotes: tuple[RemoteSettings, ...]
    user: str
    password: str
    auth_timeout_ns: int
    advertise: tuple[str, int] | None
    connect_retries: int
    connect_backoff: bool
    reject_unknown: bool

    @property
    def auth_required(self) -> bool:
        return bool(self.user)


def settings_from(options: GatewayOptions) -> GatewaySettings:
    """Raises ValueError for a URL or advertised address that cannot be read."""
    return GatewaySettings(
        name=options.name,
        host=options.host,
        remotes=tuple(
            RemoteSettings(remote.name, tuple(parse_url(text) for text in remote.urls))
            for remote in options.gateways
            if remote.name != options.name
        ),
        user=options.user,
        password=options.password,
        auth_timeout_ns=options.auth_timeout_ns,
        advertise=split_address(options.advertise, 0) if options.advertise else None,
        connect_retries=options.connect_retries,
        connect_backoff=options.connect_backoff,
        reject_unknown=options.reject_unknown_cluster,
    )


def parse_url(text: str) -> GatewayUrl:
    """Read ``nats://[user:password@]host[:port]`` (any scheme, or none). Raises ValueError."""
    parts = urlsplit(text if "://" in text else f"nats://{text}")
    if not parts.hostname:
        raise ValueError(f"no host in gateway url {text!r}")
    port = parts.port  # raises ValueError itself when it is none
    return GatewayUrl(
        host=parts.hostname,
        port=DEFAULT_PORT if port is None else port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def learned_url(address: str) -> GatewayUrl | None:
    """One that a remote told us: ``host:port`` and nothing else. None: it cannot be dialled."""
    try:
        parts = urlsplit(f"nats://{address}")
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    if not host or not port or parts.username is not None or parts.path or parts.query or parts.fragment:
        return None
    return GatewayUrl(host, port)
