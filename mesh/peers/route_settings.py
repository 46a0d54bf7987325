"""The ``cluster`` block as routes use it: URLs taken apart, defaults filled in (spec configuration 6.1)."""

import ipaddress
from typing import Final
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from gossamer.auth.permissions import Permissions
from gossamer.mesh.options.options import ClusterOptions

#: Where a route URL without a port leads.
DEFAULT_PORT: Final = 6222


class RouteUrl(Struct, frozen=True):
    """Where to dial, and as whom: the parts of ``nats-route://user:password@host:port``."""

    host: str
    port: int
    user: str = ""
    password: str = ""

    def __str__(self) -> str:
        """Without credentials, for logs."""
        return f"nats-route://{join_address(self.host, self.port)}"


class RouteSettings(Struct, frozen=True, kw_only=True):
    """``pool_size`` below 1: no pool and no dedicated connection. ``advertise``: host and port that others dial
    instead of the listener's (port 0: the listener's). ``accounts`` have a connection of their own. ``permissions`` are
    about interest: publish is what may be imported, subscribe what may be exported (spec routes 15). ``compression`` is
    a word of ``gossamer.mesh.peers.compression``."""

    name: str
    host: str
    routes: tuple[RouteUrl, ...]
    user: str
    password: str
    auth_timeout_ns: int
    advertise: tuple[str, int] | None
    no_advertise: bool
    connect_retries: int
    connect_backoff: bool
    pool_size: int
    accounts: tuple[str, ...] = ()
    permissions: Permissions = Permissions()
    compression: str = "accept"
    rtt_thresholds_ns: tuple[int, ...] = ()

    @property
    def pooled(self) -> bool:
        """May this node have more than one connection to a remote?"""
        return self.pool_size > 0

    @property
    def auth_required(self) -> bool:
        return bool(self.user)


def settings_from(options: ClusterOptions) -> RouteSettings:
    """Raises ValueError for a route or advertised address that cannot be read. ``pool_size`` 0 means the default."""
    advertise = None
    if options.advertise:
        advertise = split_address(options.advertise, default_port=0)
    return RouteSettings(
        name=options.name,
        host=options.host,
        routes=tuple(parse_url(text) for text in options.routes),
        user=options.user,
        password=options.password,
        auth_timeout_ns=options.auth_timeout_ns,
        advertise=advertise,
        no_advertise=options.no_advertise,
        connect_retries=options.connect_retries,
        connect_backoff=options.connect_backoff,
        pool_size=options.pool_size or ClusterOptions().pool_size,
        accounts=options.accounts,
        permissions=options.permissions,
        compression=options.compression.mode,
        rtt_thresholds_ns=options.compression.rtt_thresholds_ns,
    )


def parse_url(text: str) -> RouteUrl:
    """Read ``nats-route://[user:password@]host[:port]`` (any scheme, or none). Raises ValueError."""
    parts = urlsplit(text if "://" in text else f"nats-route://{text}")
    if not parts.hostname:
        raise ValueError(f"no host in route {text!r}")
    port = parts.port  # raises ValueError itself when it is none
    return RouteUrl(
        host=parts.hostname,
        port=DEFAULT_PORT if port is None else port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
    )


def is_hash(password: str) -> bool:
    """A bcrypt hash, not the password itself?"""
    return password.startswith(("$2a$", "$2b$", "$2x$", "$2y$"))


def is_literal(host: str) -> bool:
    """An IP address, not a name?"""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def join_address(host: str, port: int) -> str:
    """``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(address: str, *, default_port: int) -> tuple[str, int]:
    """``host``, ``host:port`` or ``[v6]:port`` into parts. Raises ValueError."""
    parts = urlsplit(f"//{address}")
    if not parts.hostname:
        raise ValueError(f"no host in {address!r}")
    return parts.hostname, default_port if parts.port is None else parts.port
