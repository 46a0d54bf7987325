"""Where each node of a mesh is reached: free ports of this machine, ports from a base on, or a container's name."""

import random
import socket
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from gossamer.operator.failure import Failure

HOST = "127.0.0.1"
#: The ports that NATS servers use by habit: for clients, for routes, for monitoring, for gateways, for leaf nodes.
CLIENT_PORT, CLUSTER_PORT, MONITOR_PORT, GATEWAY_PORT, LEAF_PORT = 4222, 6222, 8222, 7222, 7422
#: The first port of the relay, in its container.
RELAY_PORT = 9000
_ATTEMPTS = 500
_PORT_MIN = 10_000


class Address(Struct, frozen=True, kw_only=True):
    """One node's addresses: ``listen`` is what it binds, ``host`` what others call it."""

    host: str = HOST
    listen: str = HOST
    client_port: int = CLIENT_PORT
    cluster_port: int = CLUSTER_PORT
    monitor_port: int = MONITOR_PORT
    gateway_port: int = GATEWAY_PORT
    leaf_port: int = LEAF_PORT

    @property
    def client_url(self) -> str:
        """For clients, without credentials."""
        return f"nats://{self.host}:{self.client_port}"

    @property
    def monitor_url(self) -> str:
        """Of the monitoring pages."""
        return f"http://{self.host}:{self.monitor_port}"


def free(names: Sequence[str], relayed: int = 0) -> tuple[dict[str, Address], list[int]]:
    """Addresses of the nodes, and ``relayed`` ports of the relay: ports that nobody listens on now, below those the
    system gives to outgoing connections: a node that was killed finds its own free again.

    Raises Failure when there are none."""
    ports = _free_ports(5 * len(names) + relayed)
    one = iter(ports[relayed:])
    found = {
        name: Address(
            client_port=next(one),
            cluster_port=next(one),
            monitor_port=next(one),
            gateway_port=next(one),
            leaf_port=next(one),
        )
        for name in names
    }
    return found, ports[:relayed]


def fixed(names: Sequence[str], base: int, relayed: int = 0) -> tuple[dict[str, Address], list[int]]:
    """The same with client ports ``base``, ``base + 1`` and so on, gateway ports from ``base + 1000``, cluster ports
    from ``base + 2000``, ports for leaf nodes from ``base + 3000``, monitoring from ``base + 4000`` and the relay's
    from ``base + 5000``. Raises Failure if one of them is taken."""
    found = {
        name: Address(
            client_port=base + place,
            gateway_port=base + 1000 + place,
            cluster_port=base + 2000 + place,
            leaf_port=base + 3000 + place,
            monitor_port=base + 4000 + place,
        )
        for place, name in enumerate(names)
    }
    relay = [base + 5000 + place for place in range(relayed)]
    wanted = [
        (port, f"node {name}")
        for name, at in found.items()
        for port in (at.client_port, at.gateway_port, at.cluster_port, at.leaf_port, at.monitor_port)
    ]
    for port, whose in (*wanted, *((port, "the relay") for port in relay)):
        if not is_free(port):
            raise Failure(
                f"port {port}, meant for {whose}, is taken",
                code="port-taken",
                hint="end what listens there, choose another --base-port, or leave it out for free ports",
            )
    return found, relay


def containers(names: Sequence[str]) -> dict[str, Address]:
    """Every node in a container of its own, called by its name."""
    return {name: Address(host=name, listen="0.0.0.0") for name in names}


def is_free(port: int) -> bool:
    """Could a server listen on this port now?"""
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_ports(count: int) -> list[int]:
    low = _first_outgoing_port()
    found: set[int] = set()
    for _ in range(_ATTEMPTS):
        if len(found) == count:
            return sorted(found)
        port = random.randrange(_PORT_MIN, low)
        if port not in found and is_free(port):
            found.add(port)
    raise Failure(f"no {count} free ports between {_PORT_MIN} and {low}", code="port-taken", hint="pass --base-port")


def _first_outgoing_port() -> int:
    try:
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        first = 32_768
    # A system that gives nearly all ports to outgoing connections leaves no choice.
    return first if first > _PORT_MIN + 1000 else 60_000
