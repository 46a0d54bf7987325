"""What a node was told, whole and decided: the value that the composition root builds a node from.

Made by ``gossamer.mesh.options.loading.load`` from flags and a file, or by hand in a test (``Options(port=-1)``). The
defaults of every available option are the defaults of these fields and stand nowhere else; the option table points at
fields by their path (``limits.max_payload``). Names are those of nats-server's configuration; times end in ``_ns``
(nanoseconds), sizes are bytes. Source of the figures: spec configuration sections 4 to 6.
"""

from msgspec import Struct, field

from gossamer.auth.permissions import Permissions
from gossamer.auth.settings import GLOBAL_ACCOUNT, AuthSettings, UserSettings

_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS
_KIB = 1024
_MIB = 1024 * _KIB

#: A port of -1 asks the system for a free one.
RANDOM_PORT = -1
#: Routes are pinged at least this often, whatever the client side does.
ROUTE_PING_INTERVAL_MAX_NS = 30 * _SECOND_NS
#: And so are gateways.
GATEWAY_PING_INTERVAL_MAX_NS = 15 * _SECOND_NS


class LimitOptions(Struct, frozen=True, kw_only=True):
    """Bounds on clients and their timers (spec configuration section 4.2)."""

    max_connections: int = 64 * _KIB  # below 1: every client is refused
    max_subscriptions: int = 0  # per connection; 0: unlimited
    max_sub_tokens: int = 0  # 0: unlimited
    max_control_line: int = 4 * _KIB
    max_payload: int = _MIB
    max_pending: int = 64 * _MIB
    max_closed_clients: int = 10_000
    write_deadline_ns: int = 10 * _SECOND_NS
    write_timeout: str = "close"  # or retry
    ping_interval_ns: int = 2 * _MINUTE_NS
    ping_max: int = 2
    no_fast_producer_stall: bool = False


class LameDuckOptions(Struct, frozen=True, kw_only=True):
    """How slowly a node leaves: clients are closed over ``duration_ns``, beginning after ``grace_period_ns``."""

    duration_ns: int = 2 * _MINUTE_NS
    grace_period_ns: int = 10 * _SECOND_NS


class MonitorOptions(Struct, frozen=True, kw_only=True):
    """The HTTP side. ``port`` 0: off, -1: random. An empty ``host`` is filled with the node's own when loaded."""

    host: str = ""
    port: int = 0
    base_path: str = "/"


class LoggingOptions(Struct, frozen=True, kw_only=True):
    """Where the log goes (first that is set of file, remote syslog, syslog; else standard error) and how much of it."""

    debug: bool = False
    trace: bool = False
    trace_verbose: bool = False  # the system account too; sets trace
    trace_headers: bool = False  # only the header part of a message; sets trace
    logtime: bool = True
    logtime_utc: bool = False
    log_file: str = ""
    log_size_limit: int = 0  # bytes; 0: never rotated
    log_max_num: int = 0  # files, the live one counted; 0: all are kept
    syslog: bool = False
    remote_syslog: str = ""
    max_traced_msg_len: int = 0  # 0: unlimited


class CompressionOptions(Struct, frozen=True, kw_only=True):
    """A configured compression: ``off``, ``accept``, ``s2_auto`` or a level; no thresholds: 10, 50 and 100 ms."""

    mode: str = "s2_auto"
    rtt_thresholds_ns: tuple[int, ...] = ()


class ClusterOptions(Struct, frozen=True, kw_only=True):
    """The route listener and whom to dial (spec configuration section 6.1). There is one only if it has a port.

    ``routes`` are URLs as written, credentials included. ``accounts`` have connections of their own.
    ``ping_interval_ns``, ``ping_max`` and ``write_deadline_ns`` are final after loading.
    """

    name: str = ""  # empty: the node makes one up
    host: str = "0.0.0.0"
    port: int = 0
    user: str = ""
    password: str = ""
    auth_timeout_ns: int = 2 * _SECOND_NS
    routes: tuple[str, ...] = ()
    advertise: str = ""
    no_advertise: bool = False
    connect_retries: int = 0
    connect_backoff: bool = False
    pool_size: int = 3  # negative: no pool
    accounts: tuple[str, ...] = ()
    permissions: Permissions = Permissions()  # publish: what is imported, subscribe: what is exported
    compression: CompressionOptions = CompressionOptions(mode="accept")
    ping_interval_ns: int = ROUTE_PING_INTERVAL_MAX_NS
    ping_max: int = 2
    write_deadline_ns: int = 10 * _SECOND_NS
    write_timeout: str = "retry"  # or close


class LeafRemoteOptions(Struct, frozen=True, kw_only=True):
    """A hub to dial (spec configuration section 6.4). ``urls`` as written, credentials included; ``credentials`` is the
    path of a file, ``nkey`` a seed; ``dial_timeout_ns`` 0: that of the block."""

    urls: tuple[str, ...] = ()
    account: str = GLOBAL_ACCOUNT
    credentials: str = ""
    nkey: str = ""
    hub: bool = False
    deny_imports: tuple[str, ...] = ()
    deny_exports: tuple[str, ...] = ()
    no_randomize: bool = False
    compression: CompressionOptions = CompressionOptions()
    first_info_timeout_ns: int = _SECOND_NS
    dial_timeout_ns: int = 0
    isolate_leafnode_interest: bool = False
    request_isolation: bool = False
    disabled: bool = False
    ignore_discovered_servers: bool = False

    @property
    def identity(self) -> tuple[object, ...]:
        """What makes two remotes the same one: a change of it is a removal and an addition."""
        return frozenset(self.urls), self.account, self.credentials, self.nkey

    @property
    def label(self) -> str:
        """For logs: without passwords and keys."""
        shown = ", ".join(url if "@" not in url else _without_user(url) for url in self.urls)
        return f'urls=[{shown}], account="{self.account}"'


class LeafNodeOptions(Struct, frozen=True, kw_only=True):
    """Leaf nodes: the listener, if there is a port, and the hubs to dial (spec configuration section 6.3).

    ``account`` empty: the global one. With ``user``, ``nkey`` or ``users`` those decide who comes in, else what decides
    about clients. ``ping_interval_ns``, ``ping_max`` and ``write_deadline_ns`` are final after loading."""

    host: str = "0.0.0.0"
    port: int = 0
    user: str = ""
    password: str = ""
    nkey: str = ""
    account: str = ""
    users: tuple[UserSettings, ...] = ()
    auth_timeout_ns: int = 2 * _SECOND_NS
    proxy_required: bool = False
    advertise: str = ""
    no_advertise: bool = False
    min_version: str = ""
    compression: CompressionOptions = CompressionOptions()
    reconnect_ns: int = _SECOND_NS
    dial_timeout_ns: int = _SECOND_NS
    isolate_leafnode_interest: bool = False
    ping_interval_ns: int = 2 * _MINUTE_NS
    ping_max: int = 2
    write_deadline_ns: int = 10 * _SECOND_NS
    write_timeout: str = "retry"  # or close
    remotes: tuple[LeafRemoteOptions, ...] = ()


class RemoteGatewayOptions(Struct, frozen=True, kw_only=True):
    """Another cluster, and some of its nodes: URLs as written, credentials included."""

    name: str
    urls: tuple[str, ...]


class GatewayOptions(Struct, frozen=True, kw_only=True):
    """The gateway listener and the other clusters (spec configuration section 6.2). There is one if it has a name or a
    port; it needs both. ``ping_interval_ns``, ``ping_max`` and ``write_deadline_ns`` are final after loading."""

    name: str = ""  # that of the cluster
    host: str = "0.0.0.0"
    port: int = 0
    user: str = ""
    password: str = ""
    auth_timeout_ns: int = 2 * _SECOND_NS
    advertise: str = ""
    connect_retries: int = 0  # rounds after the first, for clusters known by gossip
    connect_backoff: bool = False
    reject_unknown_cluster: bool = False
    gateways: tuple[RemoteGatewayOptions, ...] = ()
    ping_interval_ns: int = GATEWAY_PING_INTERVAL_MAX_NS
    ping_max: int = 2
    write_deadline_ns: int = 10 * _SECOND_NS
    write_timeout: str = "retry"  # or close


class Options(Struct, frozen=True, kw_only=True):
    """A node's whole configuration. ``config_file`` and ``config_digest`` are empty without a file."""

    host: str = "0.0.0.0"
    port: int = 4222
    server_name: str = ""  # empty: the server id
    client_advertise: str = ""
    no_header_support: bool = False
    server_tags: tuple[str, ...] = ()
    server_metadata: tuple[tuple[str, str], ...] = ()
    feature_flags: tuple[tuple[str, bool], ...] = ()
    pid_file: str = ""
    ports_file_dir: str = ""
    store_dir: str = ""
    connect_error_reports: int = 3600
    reconnect_error_reports: int = 1
    limits: LimitOptions = field(default_factory=LimitOptions)
    lame_duck: LameDuckOptions = field(default_factory=LameDuckOptions)
    monitor: MonitorOptions = field(default_factory=MonitorOptions)
    logging: LoggingOptions = field(default_factory=LoggingOptions)
    authorization: AuthSettings = field(default_factory=AuthSettings)
    cluster: ClusterOptions | None = None
    gateway: GatewayOptions | None = None
    leafnodes: LeafNodeOptions | None = None
    config_file: str = ""
    config_digest: str = ""  # sha256:<hex>


def _without_user(url: str) -> str:
    scheme, separator, rest = url.rpartition("://")
    return f"{scheme}{separator}[REDACTED]@{rest.rpartition('@')[2]}"
