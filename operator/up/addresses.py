"""Where each node of a mesh is reached: free ports of this machine, ports from a base on, or a container's name."""

import random
import socket
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from gossamer.operator.failure import Failure

HOST = "127.0.0.1"
#: The ports that NATS servers use by habit: for clients, for routes, for monitoring.
CLIENT_PORT, CLUSTER_PORT, MONITOR_PORT = 4222, 6222, 8222
_ATTEMPTS = 500
_PORT_MIN = 10_000


class Address(Struct, frozen=True, kw_only=True):
    """One node's addresses: ``listen`` is what it binds, ``host`` what others call it."""

    host: str = HOST
    listen: str = HOST
    client_port: int = CLIENT_PORT
    cluster_port: int = CLUSTER_PORT
    monitor_port: int = MONITOR_PORT

    @property
    def client_url(self) -> str:
        """For clients, without credentials."""
        return f"nats://{self.host}:{self.client_port}"

    @property
    def monitor_url(self) -> str:
        """Of the monitoring pages."""
        return f"http://{self.host}:{self.monitor_port}"


def free(names: Sequence[str]) -> dict[str, Address]:
    """Ports that nobody listens on now, below those the system gives to outgoing connections: a node that was killed
    finds its own free again. Raises Failure when there are none."""
    ports = iter(_free_ports(3 * len(names)))
    return {
        name: Address(client_port=next(ports), cluster_port=next(ports), monitor_port=next(ports)) for name in names
    }


def fixed(names: Sequence[str], base: int) -> dict[str, Address]:
    """Client ports ``base``, ``base + 1`` and so on, cluster ports from ``base + 2000``, monitoring from
    ``base + 4000``. Raises Failure if one of them is taken."""
    found = {
        name: Address(client_port=base + place, cluster_port=base + 2000 + place, monitor_port=base + 4000 + place)
        for place, name in enumerate(names)
    }
    for name, address in found.items():
        for port in (address.client_port, address.cluster_port, address.monitor_port):
            if not is_free(port):
                raise Failure(
                    f"port {port}, meant for node {name}, is taken",
                    code="port-taken",
                    hint="end what listens there, choose another --base-port, or leave it out for free ports",
                )
    return found


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
