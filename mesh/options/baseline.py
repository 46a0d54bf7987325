"""From a draft, path by path, to ``Options``: defaults and dependent values filled in (spec configuration 1, 4)."""

import posixpath
from typing import Any

import msgspec

from gossamer.auth.settings import AuthSettings
from gossamer.mesh.options.options import (
    GATEWAY_PING_INTERVAL_MAX_NS,
    ROUTE_PING_INTERVAL_MAX_NS,
    ClusterOptions,
    GatewayOptions,
    LameDuckOptions,
    LeafNodeOptions,
    LimitOptions,
    LoggingOptions,
    MonitorOptions,
    Options,
)

#: The Structs that ``Options`` is made of, by the first part of a path.
GROUPS: dict[str, type[msgspec.Struct]] = {
    "limits": LimitOptions,
    "lame_duck": LameDuckOptions,
    "monitor": MonitorOptions,
    "logging": LoggingOptions,
    "authorization": AuthSettings,
    "cluster": ClusterOptions,
    "gateway": GatewayOptions,
    "leafnodes": LeafNodeOptions,
}
# Zero stands for the default in these, and so does what is below it where that makes no sense.
_ZERO_IS_DEFAULT = (
    "port",
    "host",
    "connect_error_reports",
    "reconnect_error_reports",
    "limits.max_closed_clients",
    "limits.ping_max",
    "cluster.ping_max",
    "cluster.host",
    "cluster.pool_size",
    "cluster.auth_timeout_ns",
    "gateway.host",
    "gateway.auth_timeout_ns",
    "leafnodes.host",
    "leafnodes.auth_timeout_ns",
)
_BELOW_ONE_IS_DEFAULT = (
    "limits.max_control_line",
    "limits.max_pending",
    "limits.write_deadline_ns",
    "limits.ping_interval_ns",
    "cluster.ping_interval_ns",
    "cluster.write_deadline_ns",
    "gateway.write_deadline_ns",
    "leafnodes.reconnect_ns",
    "leafnodes.dial_timeout_ns",
    "leafnodes.write_deadline_ns",
)
_UNLIMITED_PAYLOAD = 2**31 - 1


def build(draft: dict[str, Any]) -> Options:
    """The options of a draft, whose keys are paths such as ``limits.max_payload``."""
    values = {path: value for path, value in draft.items() if not _is_default(path, value)}
    groups: dict[str, dict[str, Any]] = {name: {} for name in GROUPS}
    top: dict[str, Any] = {}
    for path, value in values.items():
        group, _, name = path.rpartition(".")
        (groups[group] if group else top)[name] = value
    limits = _limits(groups["limits"])
    logging = LoggingOptions(**groups["logging"])
    traced = logging.trace or logging.trace_verbose or logging.trace_headers
    host = top.get("host", Options().host)
    return Options(
        **top,
        limits=limits,
        lame_duck=LameDuckOptions(**groups["lame_duck"]),
        monitor=_monitor(groups["monitor"], host),
        logging=msgspec.structs.replace(logging, trace=traced),
        authorization=AuthSettings(**groups["authorization"]),
        cluster=_cluster(groups["cluster"], groups["gateway"].get("name", ""), limits),
        gateway=_gateway(groups["gateway"], limits),
        leafnodes=_leafnodes(groups["leafnodes"], limits),
    )


def _is_default(path: str, value: Any) -> bool:
    if path in _ZERO_IS_DEFAULT:
        return value in (0, "")
    return path in _BELOW_ONE_IS_DEFAULT and value < 1


def _limits(values: dict[str, Any]) -> LimitOptions:
    payload = values.pop("max_payload", 0)
    if payload < 0:
        payload = _UNLIMITED_PAYLOAD
    if payload:
        values["max_payload"] = payload
    return LimitOptions(**values)


def _monitor(values: dict[str, Any], host: str) -> MonitorOptions:
    values["host"] = values.get("host") or host
    if "base_path" in values:
        values["base_path"] = posixpath.normpath("/" + values["base_path"].lstrip("/"))
    return MonitorOptions(**values)


def _cluster(values: dict[str, Any], gateway: str, limits: LimitOptions) -> ClusterOptions | None:
    """None without a port, whatever else was said: that is how nats-server reads it. A gateway's name is the cluster's
    too."""
    if not values.get("port"):
        return None
    values["name"] = values.get("name") or gateway
    values.setdefault("ping_interval_ns", min(limits.ping_interval_ns, ROUTE_PING_INTERVAL_MAX_NS))
    values.setdefault("ping_max", limits.ping_max)
    values.setdefault("write_deadline_ns", limits.write_deadline_ns)
    if values.get("write_timeout") == "default":
        values["write_timeout"] = "retry"
    return ClusterOptions(**values)


def _gateway(values: dict[str, Any], limits: LimitOptions) -> GatewayOptions | None:
    """None with neither a name nor a port; with one of them the other is missed by the check."""
    if not values.get("name") and not values.get("port"):
        return None
    values.setdefault("write_deadline_ns", limits.write_deadline_ns)
    ping_interval_ns = min(limits.ping_interval_ns, GATEWAY_PING_INTERVAL_MAX_NS)
    return GatewayOptions(**values, ping_interval_ns=ping_interval_ns, ping_max=limits.ping_max)


def _leafnodes(values: dict[str, Any], limits: LimitOptions) -> LeafNodeOptions | None:
    """None with neither a port nor somebody to dial."""
    if not values.get("port") and not values.get("remotes"):
        return None
    values.setdefault("write_deadline_ns", limits.write_deadline_ns)
    return LeafNodeOptions(**values, ping_interval_ns=limits.ping_interval_ns, ping_max=limits.ping_max)
