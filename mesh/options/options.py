"""What a node was told, whole and decided: the value that the composition root builds a node from.

Made by ``gossamer.mesh.options.loading.load`` from flags and a file, or by hand in a test (``Options(port=-1)``). The
defaults of every available option are the defaults of these fields and stand nowhere else; the option table points at
fields by their path (``limits.max_payload``). Names are those of nats-server's configuration; times end in ``_ns``
(nanoseconds), sizes are bytes. Source of the figures: spec configuration sections 4 to 6.
"""

from msgspec import Struct, field

from gossamer.auth.settings import AuthSettings

_SECOND_NS = 1_000_000_000
_MINUTE_NS = 60 * _SECOND_NS
_KIB = 1024
_MIB = 1024 * _KIB

#: A port of -1 asks the system for a free one.
RANDOM_PORT = -1
#: Routes are pinged at least this often, whatever the client side does.
ROUTE_PING_INTERVAL_MAX_NS = 30 * _SECOND_NS


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


class ClusterOptions(Struct, frozen=True, kw_only=True):
    """The route listener and whom to dial (spec configuration section 6.1). There is one only if it has a port.

    ``routes`` are URLs as written, credentials included. ``compression`` is ``accept`` or ``off``: routes are not
    compressed by either yet. ``ping_interval_ns``, ``ping_max`` and ``write_deadline_ns`` are final after loading.
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
    compression: str = "accept"
    ping_interval_ns: int = ROUTE_PING_INTERVAL_MAX_NS
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
    config_file: str = ""
    config_digest: str = ""  # sha256:<hex>
