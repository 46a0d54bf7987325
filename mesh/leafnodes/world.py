"""What the control plane of leaf nodes needs of its surroundings, and the values that it exchanges with them.

Times are nanoseconds, texts ``str``, host names and IPv6 addresses unbracketed. Scheduler and dialer are those of
routes (``peers/route_world.py``).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from gossamer.mesh.engine.events import Closed
    from gossamer.mesh.leafnodes.table import Leaf

SECOND_NS = 1_000_000_000
MILLISECOND_NS = 1_000_000


class LeafIdentity(Struct, frozen=True, kw_only=True):
    """Who this node is, as it says in INFO and CONNECT. ``cluster``: its name at this moment; a node that belongs to
    none goes by its server name towards hubs, and says nothing where nobody is dialled (spec 3)."""

    server_id: str
    server_name: str
    version: str
    cluster: Callable[[], str]
    system_account: str = "$SYS"
    headers: bool = True


class LeafRow(Struct, frozen=True, kw_only=True):
    """One registered link, for monitoring (spec system-and-monitoring 12.4). The engine has the counters, by ``id``."""

    id: int
    name: str
    spoke: bool
    isolated: bool
    account: str
    ip: str
    port: int
    rtt_ns: int
    start_ns: int  # time of day
    compression: str
    solicited: bool
    cluster: str = ""
    user: str = ""
    proxy: str = ""


class LeafLog(Protocol):
    """``gossamer.mesh.logs.log.Log`` is one."""

    def debug(self, text: str) -> None: ...
    def info(self, text: str) -> None: ...
    def warning(self, text: str) -> None: ...
    def error(self, text: str) -> None: ...


class LeafWatcher(Protocol):
    """Told on the control plane's thread, in order; must be quick and never raise."""

    def joined(self, leaf: "Leaf") -> None:
        """It is bound to its account."""

    def gone(self, leaf: "Leaf", event: "Closed") -> None:
        """The link ended; the record still says what it was. It may never have joined."""


class LeafEngine(Protocol):
    """The part of ``gossamer.mesh.engine.core.Engine`` that leaf nodes use; ``core.pyi`` says what each call does."""

    def configure(
        self,
        *,
        leaf_ping_interval_ns: int | None = None,
        leaf_ping_max: int | None = None,
        leaf_write_deadline_ns: int | None = None,
        leaf_retry_writes: bool | None = None,
    ) -> None: ...
    def listen(
        self,
        descriptor: int | None,
        *,
        kind: int,
        info: Sequence[bytes | int],
        auth_timeout_ns: int = 0,
        info_first: bool = False,
    ) -> int: ...
    def set_info(self, listener: int, info: Sequence[bytes | int]) -> None: ...
    def close_listener(self, listener: int) -> None: ...
    def adopt(
        self, descriptor: int, *, kind: int, listener: int = 0, greeting: bytes = b"", host: str = "", port: int = 0
    ) -> int: ...
    def send(self, link: int, data: bytes) -> None: ...
    def close(self, link: int, *, reason: int, error: bytes = b"", flush: bool = True) -> None: ...
    def expire(self, link: int, *, at_ns: int, reason: int, error: bytes) -> None: ...
    def resume(self, link: int) -> None: ...
    def compress(self, link: int, level: int, *, both: bool = True) -> None: ...
    def join_leaf(
        self,
        link: int,
        *,
        account: int,
        spoke: bool,
        cluster: bytes,
        headers: bool = True,
        permissions: int = 0,
        isolated: bool = False,
        remote_account: bytes = b"",
        max_payload: int = -1,
        max_subscriptions: int = -1,
    ) -> None: ...
    def subscribe_loop_detection(self, account: int, subject: bytes) -> int: ...
    def change(
        self, link: int, *, permissions: int, max_payload: int | None = None, max_subscriptions: int | None = None
    ) -> None: ...
