"""A server under test and its surroundings: clusters of one hand-driven node, a hand-driven route, clients."""

import itertools
import socket
from typing import Any, Self

from gateway_peer import Door, Peer, command_line, connect_line, info_line, line_of

from gossamer.mesh.gateways.hashes import short_hash
from gossamer.mesh.testing.plugin import Dial
from gossamer.mesh.testing.process import ServerProcess
from gossamer.mesh.testing.wire import WireClient

CONFIG = """
server_name: own1
accounts {
  "$SYS" { users: [{user: sys, password: sys}] }
  A { users: [{user: a, password: a}] }
  B { users: [{user: b, password: b}] }
  SVC { users: [{user: s, password: s}], exports: [{service: "svc.>"}] }
  APP { users: [{user: p, password: p}], imports: [{service: {account: SVC, subject: "svc.echo"}, to: "do.echo"}] }
}
cluster { name: OWN, listen: "127.0.0.1:-1" }
gateway { name: OWN, listen: "127.0.0.1:-1" }
"""
_names = itertools.count(1)


class Site:
    """``close`` ends what was opened, not the server."""

    def __init__(self, server: ServerProcess, dial: Dial) -> None:
        self.server = server
        self.gateway_port = int(server.monitor("/varz")["gateway"]["port"])
        self._dial = dial
        self._open: list[Peer | Door] = []

    @property
    def is_ours(self) -> bool:
        return self.server.kind == "gossamer"

    def close(self) -> None:
        for each in self._open:
            each.close()

    def knock(self, **how: Any) -> Peer:
        """A bare connection to the gateway port."""
        peer = Peer(socket.create_connection(("127.0.0.1", self.gateway_port), timeout=6), **how)
        self._open.append(peer)
        return peer

    def door(self) -> Door:
        made = Door()
        self._open.append(made)
        return made

    def meet(self, name: str = "", **how: Any) -> "Cluster":
        """Another cluster of one node, connected both ways."""
        return Cluster(self, name, **how).come()

    def route(self, *, gateway_url: str | None = None, name: str = "", pool_size: int = 0) -> Peer:
        """Another node of the own cluster, connected by one route. With a pool it is that of slot 0 only."""
        name = name or f"route{next(_names)}"
        peer = Peer(socket.create_connection(("127.0.0.1", self.server.cluster_port), timeout=6))
        self._open.append(peer)
        peer.info()
        peer.send(
            line_of("CONNECT", {"verbose": False, "pedantic": False, "headers": True, "name": f"N{name}",
                                "cluster": "OWN", "lnoc": True}),
            line_of("INFO", {"server_id": f"N{name}", "server_name": name, "version": "2.15.1", "proto": 2, "go": "",
                             "host": "127.0.0.1", "port": 1, "headers": True, "max_payload": 1048576, "cluster": "OWN",
                             "lnoc": True, "lnocu": True, "compression": "off", "route_pool_size": pool_size or None,
                             "gateway_url": gateway_url}),
        )  # fmt: skip
        peer.joined = peer.barrier()
        return peer

    def client(self, user: str = "a", **fields: Any) -> WireClient:
        """With headers, of account A unless another user is named."""
        client = self._dial(self.server)
        client.handshake(**({"headers": True, "user": user, "pass": user} | fields))
        return client

    def outbound(self, name: str) -> dict[str, Any] | None:
        """What /gatewayz says of the connection to that cluster."""
        found: dict[str, Any] | None = self.server.monitor("/gatewayz?accs=1")["outbound_gateways"].get(name)
        return found

    @property
    def server_hash(self) -> str:
        return short_hash(self.server.monitor("/varz")["server_id"]).decode()


def _of_command(number: int, lines: list[str]) -> int:
    return sum(f'"gateway_cmd":{number},' in each for each in lines)


class Cluster:
    """A cluster seen by the server. ``dialled`` is our connection to it, on which it tells of its interest; ``door`` is
    where it dials us, ``taken`` that connection, on which we tell of ours and get its messages."""

    dialled: Peer
    taken: Peer

    def __init__(self, site: Site, name: str = "", **how: Any) -> None:
        self.site = site
        self.name = name or f"C{next(_names)}"
        self.door = site.door()
        self.how = how  # members of our INFO
        self.told: list[str] = []

    def info(self, **more: Any) -> str:
        return info_line(self.name, self.door.address, **(self.how | more))

    def come(self) -> Self:
        """Dial the server, and be dialled. ``told`` is then all that it tells of its interest."""
        self.dial()
        self.taken = self.take()
        return self

    def dial(self) -> Peer:
        self.dialled = self.site.knock()
        self.dialled.info()
        self.dialled.send(connect_line(self.name), self.info())
        self.told = [str(each) for each in self.dialled.barrier()]
        while _of_command(2, self.told) != _of_command(3, self.told):
            self.told += [str(each) for each in self.dialled.barrier()]
        return self.dialled

    def take(self, timeout_s: float = 6.0, **how: Any) -> Peer:
        """Accept a connection of the server and go through the handshake."""
        peer = self.door.accept(timeout_s, **how)
        peer.send(self.info())
        assert peer.line().startswith("CONNECT ")
        peer.info()
        return peer

    def wants(self, account: str, *interest: str) -> None:
        """Tell of all plain interest in an account, interest-only."""
        self.taken.send(
            command_line(self.name, 2, account),
            *(f"RS+ {account} {subject}" for subject in interest),
            command_line(self.name, 3, account),
        )
        self.taken.barrier()

    def says(self, *lines: str) -> None:
        """On the connection that the server dialled, until it has read them."""
        self.taken.send(*lines)
        self.taken.barrier()

    def publish(self, account: str, subject: str, payload: bytes = b"x", *, reply: str = "", queues: str = "") -> None:
        """A message for the server's cluster."""
        middle = (
            f"+ {reply} {queues} " if reply and queues else f"| {queues} " if queues else f"{reply} " if reply else ""
        )
        self.dialled.send(f"RMSG {account} {subject} {middle}{len(payload)}".encode() + b"\r\n" + payload)

    def prefix(self) -> str:
        """Of replies that this cluster has mapped."""
        return f"_GR_.{short_hash(self.name).decode()}.{short_hash('N' + self.name).decode()}."
