"""Meshes as data: which nodes there are, how they are linked, and what each is configured with.

Every node has its own configuration text, the same for both kinds of server. What a topology does not say is
left to the servers' defaults.
"""

from dataclasses import dataclass

from servers import free_port


@dataclass(frozen=True)
class Place:
    """One node: a member of ``cluster`` (joined by gateways to the other clusters), or a leaf node of node ``hub``."""

    cluster: str = ""
    hub: int | None = None


@dataclass(frozen=True)
class Topology:
    """Nodes in the order they are started.

    ``publish_at`` and ``subscribe_at``: where the clients of a flood connect. ``compression``: of routes and leaf
    links, empty for the default. ``relayed``: the last node, and no other, dials, and it dials node 0 through a relay.
    """

    places: tuple[Place, ...]
    publish_at: int = 0
    subscribe_at: int = -1
    compression: str = ""
    relayed: bool = False

    def lay_out(self, relay_port: int | None = None) -> tuple[list[str], int]:
        """Choose ports: a configuration text for each node, and the port of node 0 that a relay leads to (or 0)."""
        ports = [_Ports() for _ in self.places]
        texts = [self._configuration(number, ports, relay_port) for number in range(len(self.places))]
        return texts, self._port_dialled(ports) if self.relayed else 0

    def _port_dialled(self, ports: "list[_Ports]") -> int:
        first, last = self.places[0], self.places[-1]
        if last.hub is not None:
            return ports[0].leaf
        return ports[0].cluster if last.cluster == first.cluster else ports[0].gateway

    def _configuration(self, number: int, ports: "list[_Ports]", relay_port: int | None) -> str:
        if len(self.places) == 1:
            return ""
        place = self.places[number]
        lines = [f"server_name: n{number}"]
        if any(each.hub is not None for each in self.places) and len({each.cluster for each in self.places}) > 2:
            # nats-server demands one that was named, where a hub has gateways.
            lines += ["accounts { SYS {} }", "system_account: SYS"]
        if place.cluster:
            lines += self._routes(number, ports, relay_port)
            lines += self._gateway(number, ports, relay_port)
        lines += self._leafnodes(number, ports, relay_port)
        return "\n".join(lines) + "\n"

    def _dials(self, number: int) -> bool:
        return not self.relayed or number == len(self.places) - 1

    def _compressed(self) -> str:
        return f"compression: {self.compression}, " if self.compression else ""

    def _routes(self, number: int, ports: "list[_Ports]", relay_port: int | None) -> list[str]:
        name = self.places[number].cluster
        members = [other for other, place in enumerate(self.places) if place.cluster == name]
        if len(members) == 1:
            return []
        others = [relay_port or ports[other].cluster for other in members if other != number and self._dials(number)]
        urls = ", ".join(f'"nats://127.0.0.1:{port}"' for port in others)
        listen = f'listen: "127.0.0.1:{ports[number].cluster}"'
        return [f"cluster {{ name: {name}, {listen}, {self._compressed()}routes: [{urls}] }}"]

    def _gateway(self, number: int, ports: "list[_Ports]", relay_port: int | None) -> list[str]:
        name = self.places[number].cluster
        members: dict[str, list[int]] = {}
        for other, place in enumerate(self.places):
            if place.cluster:
                members.setdefault(place.cluster, []).append(other)
        if len(members) == 1:
            return []
        # Each dials the node of its own rank, so that both kinds of server take the same paths.
        rank = members[name].index(number)
        remotes = [
            f'{{ name: {cluster}, url: "nats://127.0.0.1:{relay_port or ports[nodes[rank % len(nodes)]].gateway}" }}'
            for cluster, nodes in members.items()
            if cluster != name and self._dials(number)
        ]
        listen = f'listen: "127.0.0.1:{ports[number].gateway}"'
        return [f"gateway {{ name: {name}, {listen}, gateways: [{', '.join(remotes)}] }}"]

    def _leafnodes(self, number: int, ports: "list[_Ports]", relay_port: int | None) -> list[str]:
        hub = self.places[number].hub
        if hub is not None:
            url = f'url: "nats-leaf://127.0.0.1:{relay_port or ports[hub].leaf}"'
            return [f"leafnodes {{ remotes: [ {{ {self._compressed()}{url} }} ] }}"]
        if any(place.hub == number for place in self.places):
            return [f'leafnodes {{ {self._compressed()}listen: "127.0.0.1:{ports[number].leaf}" }}']
        return []


class _Ports:
    def __init__(self) -> None:
        self.cluster, self.gateway, self.leaf = free_port(), free_port(), free_port()


SINGLE = Topology((Place(),))
CLUSTER = Topology((Place("bench"), Place("bench")))
