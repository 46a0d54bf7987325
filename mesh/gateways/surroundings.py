"""What the control plane of gateways needs of its surroundings, and the values that it exchanges with them.

``GatewayManager`` is handed one of each. Dialling, time and the log are those of routes (``peers/route_world.py``), and
so is the way to the other nodes of the cluster (``peers/route_neighbours.py``).
"""

from typing import Protocol

from msgspec import Struct

from gossamer.mesh.peers.route_world import LinkEngine


class GatewayIdentity(Struct, frozen=True, kw_only=True):
    """Who this node is, as it says in INFO and CONNECT (spec gateways 2.1)."""

    server_id: str
    server_name: str
    version: str
    max_payload: int = 1024 * 1024
    protocol: int = 2  # 3 would promise message tracing
    headers: bool = True


class GatewayRow(Struct, frozen=True, kw_only=True):
    """One registered connection, for monitoring (spec system-and-monitoring 12.3). The engine has the counters, by
    ``link``. ``start_ns`` is on the scheduler's clock; ``configured`` counts for outbound ones only."""

    link: int
    outbound: bool
    gateway: str
    configured: bool
    remote_id: str
    remote_name: str
    ip: str
    port: int
    start_ns: int
    rtt_ns: int


class GatewayEngine(LinkEngine, Protocol):
    """The part of ``gossamer.mesh.engine.core.Engine`` that gateways use; see ``core.pyi`` for what each call does."""

    def configure(
        self,
        *,
        gateway_ping_interval_ns: int | None = None,
        gateway_ping_max: int | None = None,
        gateway_write_deadline_ns: int | None = None,
        gateway_retry_writes: bool | None = None,
    ) -> None: ...
    def gateway_identity(self, *, name: bytes, cluster_hash: bytes, server_hash: bytes) -> None: ...
    def join_gateway(
        self,
        link: int,
        *,
        outbound: bool,
        name: bytes,
        cluster_hash: bytes,
        headers: bool = True,
        interest_only: bool = True,
    ) -> None: ...
