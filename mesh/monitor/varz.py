"""/varz: the server as a whole (spec system-and-monitoring section 12.1)."""

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.monitor.formats import seconds, timestamp, uptime
from gossamer.mesh.monitor.gatewayz import gateways
from gossamer.mesh.monitor.leafz import leaf_nodes
from gossamer.mesh.monitor.process import cores, resident_bytes
from gossamer.mesh.peers.greeting import PROTOCOL, TOOLCHAIN
from gossamer.mesh.version import NATS_VERSION
from gossamer.mesh.world.listening import join_address

if TYPE_CHECKING:
    from gossamer.mesh.node import Node
    from gossamer.mesh.options.options import ClusterOptions

_KINDS = {"clients": LinkKind.CLIENT, "routes": LinkKind.ROUTE, "gateways": LinkKind.GATEWAY, "leafs": LinkKind.LEAF}


def varz(node: "Node", requests: dict[str, int]) -> dict[str, Any]:
    """The document. ``requests``: how often each endpoint was asked."""
    document = _settings(node)
    document |= _blocks(node)
    document |= _state(node)
    document["http_req_stats"] = requests
    document |= _ending(node)
    return document


def _settings(node: "Node") -> dict[str, Any]:
    options, limits, greeting = node.options, node.options.limits, node.welcome.greeting
    fields: dict[str, Any] = {
        "server_id": node.identity.server_id,
        "server_name": node.identity.server_name,
        "version": NATS_VERSION,
        "proto": PROTOCOL,
        "go": TOOLCHAIN,
        "host": options.host,
        "port": node.listener.port,
    }
    if node.judge.announced:
        fields["auth_required"] = True
    if greeting.connect_urls:
        fields["connect_urls"] = list(greeting.connect_urls)
    fields["max_connections"] = limits.max_connections
    if limits.max_subscriptions:
        fields["max_subscriptions"] = limits.max_subscriptions
    return fields | {
        "ping_interval": limits.ping_interval_ns,
        "ping_max": limits.ping_max,
        "http_host": options.monitor.host or options.host,
        "http_port": node.monitor.port if node.monitor is not None else 0,
        "http_base_path": "" if options.monitor.base_path == "/" else options.monitor.base_path,
        "https_port": 0,
        "auth_timeout": seconds(options.authorization.timeout_ns or 2_000_000_000),
        "max_control_line": limits.max_control_line,
        "max_payload": limits.max_payload,
        "max_pending": limits.max_pending,
    }


def _blocks(node: "Node") -> dict[str, Any]:
    cluster = node.options.cluster
    return {
        "cluster": _cluster(node, cluster) if cluster is not None else _cluster_of_gateways(node),
        "gateway": _gateway(node),
        "leaf": _leaf(node),
        "mqtt": {},
        "websocket": {},
        "jetstream": {},
        "tls_timeout": 2,
        "write_deadline": node.options.limits.write_deadline_ns,
    }


def _cluster(node: "Node", options: "ClusterOptions") -> dict[str, Any]:
    port = node.cluster_socket.port if node.cluster_socket is not None else options.port
    fields: dict[str, Any] = {
        "name": node.cluster_name,
        "addr": options.host,
        "cluster_port": port,
        "auth_timeout": seconds(options.auth_timeout_ns),
    }
    urls = [urlsplit(route) for route in options.routes]
    if urls:
        fields["urls"] = [join_address(url.hostname or "", url.port or 6222) for url in urls]
    fields["tls_timeout"] = 2
    if options.pool_size > 0:
        fields["pool_size"] = options.pool_size
    return fields


def _cluster_of_gateways(node: "Node") -> dict[str, Any]:
    """Its name alone: there are no routes."""
    return {"name": node.cluster_name} if node.options.gateway is not None else {}


def _gateway(node: "Node") -> dict[str, Any]:
    known, options = gateways(node), node.options.gateway
    if known is None or options is None:
        return {}
    fields: dict[str, Any] = {
        "name": known.name,
        "host": options.host,
        "port": known.port,
        "auth_timeout": seconds(options.auth_timeout_ns),
        "tls_timeout": 2,
    }
    if options.advertise:
        fields["advertise"] = options.advertise
    if options.connect_retries:
        fields["connect_retries"] = options.connect_retries
    found = [
        {"name": name, "tls_timeout": 2, "urls": addresses} for name, addresses in sorted(known.addresses().items())
    ]
    if found:
        fields["gateways"] = found
    if options.reject_unknown_cluster:
        fields["reject_unknown"] = True
    return fields


def _leaf(node: "Node") -> dict[str, Any]:
    leafs, options = leaf_nodes(node), node.options.leafnodes
    if leafs is None or options is None:
        return {}
    fields: dict[str, Any] = {}
    if options.port:
        fields = {"host": options.host, "port": leafs.voice.port, "auth_timeout": seconds(options.auth_timeout_ns)}
        fields["tls_timeout"] = 2
    remotes = []
    for remote in options.remotes:
        entry: dict[str, Any] = {"local_account": remote.account, "tls_timeout": 2}
        urls = [urlsplit(url if "://" in url else f"nats-leaf://{url}") for url in remote.urls]
        entry["urls"] = [join_address(url.hostname or "", url.port or 7422) for url in urls]
        if remote.deny_imports or remote.deny_exports:
            lists = {"imports": remote.deny_imports, "exports": remote.deny_exports}
            entry["deny"] = {name: list(value) for name, value in lists.items() if value}
        remotes.append(entry)
    if remotes:
        fields["remotes"] = remotes
    return fields


def _state(node: "Node") -> dict[str, Any]:
    clock = node.world.clock
    now_ns = clock.wall_ns()
    totals = node.engine.totals()
    per_account = node.engine.accounts()
    rows = node.routes.routez() if node.routes is not None else []
    return {
        "start": timestamp(node.started_ns),
        "now": timestamp(now_ns),
        "uptime": uptime(now_ns - node.started_ns),
        "mem": resident_bytes(node.world.disk),
        "cores": cores(),
        "gomaxprocs": cores(),
        "cpu": node.processor.percent(clock.monotonic_ns()),
        "connections": len(node.clients),
        "total_connections": node.clients.total,
        "routes": len(rows),
        "remotes": node.routes.remotes if node.routes is not None else 0,
        "leafnodes": len(leafs.table) if (leafs := leaf_nodes(node)) is not None else 0,
        "in_msgs": totals.in_messages,
        "out_msgs": totals.out_messages,
        "in_bytes": totals.in_bytes,
        "out_bytes": totals.out_bytes,
        "in_client_msgs": sum(entry.in_messages for entry in per_account),
        "in_client_bytes": sum(entry.in_bytes for entry in per_account),
        "out_client_msgs": sum(entry.out_messages for entry in per_account),
        "out_client_bytes": sum(entry.out_bytes for entry in per_account),
        "slow_consumers": sum(totals.slow_consumers),
        "stale_connections": sum(node.stale.values()),
        "stalled_clients": totals.stalled_clients,
        "subscriptions": totals.subscriptions,
    }


def _ending(node: "Node") -> dict[str, Any]:
    options = node.options
    slow = node.engine.totals().slow_consumers
    fields: dict[str, Any] = {
        "config_load_time": timestamp(node.config_loaded_ns),
        "config_digest": options.config_digest,
    }
    if options.server_tags:
        fields["tags"] = list(options.server_tags)
    if options.server_metadata:
        fields["metadata"] = dict(options.server_metadata)
    if options.feature_flags:
        fields["feature_flags"] = dict(options.feature_flags)
    if options.authorization.operators:
        fields["trusted_operators_jwt"] = list(options.authorization.operators)
    if node.accounts.system is not None:
        fields["system_account"] = node.accounts.system.name
    return fields | {
        "slow_consumer_stats": {name: slow[kind] for name, kind in _KINDS.items()},
        "stale_connection_stats": {name: node.stale.get(kind, 0) for name, kind in _KINDS.items()},
        "disk_io_wait_stats": {"waiters": 0, "waits": 0, "wait_time": 0, "max_wait_time": 0},
    }
