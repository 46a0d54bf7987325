"""What the cluster's control plane needs of its surroundings, and the values that it exchanges with them.

``RouteManager`` (route_manager.py) is handed one of each; the real ones for asyncio stand in ``route_dialer.py``, the
deterministic ones in ``tests/routes``. Times are nanoseconds, texts ``str``, host names and IPv6 addresses unbracketed.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from gossamer.mesh.peers.compiled import PermissionEngine
from gossamer.mesh.peers.route_protocol import SubjectLists

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000


class RouteIdentity(Struct, frozen=True, kw_only=True):
    """Who this node is, as it says in INFO and CONNECT (spec routes 3.2).

    ``system_account`` is the account pinned to a connection of its own, as nats-server does by default; empty: none.
    """

    server_id: str
    server_name: str
    version: str
    max_payload: int = 1024 * 1024
    protocol: int = 2  # 3 would promise message tracing
    system_account: str = "$SYS"


class RouteRow(Struct, frozen=True, kw_only=True):
    """One registered connection, for monitoring (spec system-and-monitoring 12.2). The engine has the
    counters, by ``rid``.

    ``pool_index`` is -1 on a dedicated connection, whose ``account`` is set. ``start_ns`` is on the scheduler's clock.
    """

    rid: int  # the engine's link id
    remote_id: str
    remote_name: str
    did_solicit: bool
    is_configured: bool
    ip: str
    port: int
    rtt_ns: int
    start_ns: int
    pool_index: int
    pooled: bool
    account: str
    node: int
    compression: str
    imports: SubjectLists | None = None  # of the remote: what interest it tells
    exports: SubjectLists | None = None  # and what it keeps


class DialOutcome(Struct, frozen=True):
    """``descriptor`` of a connected socket (now the receiver's), with the address it went to; or -1 and why not."""

    descriptor: int
    host: str
    port: int
    error: str = ""


class RouteLog(Protocol):
    """``gossamer.mesh.logs.log.Log`` is one."""

    def debug(self, text: str) -> None: ...
    def info(self, text: str) -> None: ...
    def warning(self, text: str) -> None: ...
    def error(self, text: str) -> None: ...


class Timer(Protocol):
    def cancel(self) -> None: ...


class Scheduler(Protocol):
    def now_ns(self) -> int:
        """Time of a monotonic clock."""
        ...

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> Timer: ...


class Dialer(Protocol):
    """Sockets and slow work, which leave the loop. ``done`` is called on the loop, never from inside the call itself,
    and not at all once the returned handle was cancelled."""

    def dial(
        self, host: str, port: int, excluded: frozenset[tuple[str, int]], done: Callable[[DialOutcome], None]
    ) -> Timer:
        """Resolve, pick one address at random that is not ``excluded``, connect within a second."""
        ...

    def verify_password(self, given: str, expected: str, done: Callable[[bool], None]) -> Timer:
        """``expected`` may be a bcrypt hash."""
        ...


class LinkEngine(Protocol):
    """The part of ``gossamer.mesh.engine.core.Engine`` that all links between servers use; see ``core.pyi`` for what
    each call does."""

    def listen(
        self, descriptor: int | None, *, kind: int, info: Sequence[bytes | int], auth_timeout_ns: int = 0
    ) -> int: ...
    def set_info(self, listener: int, info: Sequence[bytes | int]) -> None: ...
    def close_listener(self, listener: int) -> None: ...
    def adopt(
        self, descriptor: int, *, kind: int, listener: int = 0, greeting: bytes = b"", host: str = "", port: int = 0
    ) -> int: ...
    def send(self, link: int, data: bytes) -> None: ...
    def close(self, link: int, *, reason: int, error: bytes = b"", flush: bool = True) -> None: ...
    def resume(self, link: int) -> None: ...
    def admit_route(self, link: int) -> None: ...


class RouteEngine(LinkEngine, PermissionEngine, Protocol):
    """The part of ``gossamer.mesh.engine.core.Engine`` that routes use; see ``core.pyi`` for what each call does."""

    def configure(
        self,
        *,
        route_pool_size: int | None = None,
        route_ping_interval_ns: int | None = None,
        route_ping_max: int | None = None,
        route_write_deadline_ns: int | None = None,
        route_retry_writes: bool | None = None,
    ) -> None: ...
    def ping(self, link: int) -> None: ...
    def compress(self, link: int, level: int, *, both: bool = True) -> None: ...
    def join_route(
        self,
        link: int,
        *,
        node: int,
        headers: bool,
        leaf_origin: bool = False,
        leaf_origin_unsubscribe: bool = False,
        pool_index: int = 0,
        pooled: bool = True,
        account: int = 0,
        leaf_origin_always: bool = False,
        server_hash: bytes = b"",
        permissions: int = 0,
    ) -> None: ...
    def account(self, name: bytes, *, dedicated_route: bool = False) -> int: ...
