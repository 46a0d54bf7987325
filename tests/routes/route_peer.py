"""A hand-driven peer of one node in memory, and captured connections to play to it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from route_fabric import Cluster, End, Net

VECTORS = Path(__file__).parent / "vectors"
_LINE = re.compile(r"^(C\d+) (\S+)>(\S+) ([\d.]+) (.*)$")


class Peer(End):
    """One end of a connection, moved by a test. ``lines`` is what came, without CR LF; ``closed``: the node closed."""

    def __init__(self, net: Net) -> None:
        super().__init__(net)
        self.data = b""
        self.closed = False

    def arrive(self, data: bytes | None) -> None:
        if data is None:
            self.closed = True
        else:
            self.data += data

    @property
    def lines(self) -> list[bytes]:
        assert not self.data or self.data.endswith(b"\r\n")
        return self.data.split(b"\r\n")[:-1]

    @property
    def infos(self) -> list[dict[str, object]]:
        return [json.loads(line[5:]) for line in self.lines if line.startswith(b"INFO ")]

    @property
    def errors(self) -> list[bytes]:
        return [line for line in self.lines if line.startswith(b"-ERR")]

    def say(self, *lines: bytes) -> None:
        for line in lines:
            self.write(line if line.endswith(b"\n") else line + b"\r\n")


@dataclass
class Door:
    """Somebody to dial: hands out a ``Peer`` per connection."""

    net: Net
    host: str
    alive: bool = True
    peers: list[Peer] = field(default_factory=list)
    greeting: bytes = b""

    def accept(self, end: End, host: str) -> None:
        peer = Peer(self.net)
        # The connection was made between two plain ends: step into the place of the far one.
        assert end.peer is not None
        peer.peer, end.peer.peer = end.peer, peer
        self.peers.append(peer)
        if self.greeting:
            peer.say(self.greeting)


def door(cluster: Cluster, name: str, greeting: bytes = b"") -> Door:
    made = Door(cluster.net, cluster.host(name), greeting=greeting)
    cluster.net.ports[(made.host, 6222)] = made  # type: ignore[assignment]
    return made


def visit(cluster: Cluster, node: str, host: str = "10.0.0.99") -> Peer:
    """Connect to a node."""
    peer, theirs = Peer(cluster.net), End(cluster.net)
    peer.peer, theirs.peer = theirs, peer
    cluster.nodes[node].accept(theirs, host)
    return peer


def connect(**members: object) -> bytes:
    known: dict[str, object] = {"verbose": False, "headers": True, "name": "NPEER", "cluster": "CL", "lnoc": True}
    return (
        b"CONNECT " + json.dumps({key: value for key, value in (known | members).items() if value is not None}).encode()
    )


def info(**members: object) -> bytes:
    known: dict[str, object] = {
        "server_id": "NPEER", "server_name": "peer", "version": "0.0.1", "proto": 1, "go": "", "host": "10.0.0.99",
        "port": 6222, "headers": True, "max_payload": 1048576, "cluster": "CL", "lnoc": True, "lnocu": True,
        "compression": "off", "route_pool_size": 3,
    }  # fmt: skip
    return b"INFO " + json.dumps({key: value for key, value in (known | members).items() if value is not None}).encode()


@dataclass(frozen=True)
class Step:
    connection: str
    sender: str
    receiver: str
    data: bytes


def capture(name: str) -> Iterator[Step]:
    for text in (VECTORS / name).read_text().splitlines():
        found = _LINE.match(text)
        if found:
            data = found[5].encode().decode("unicode_escape").encode("latin-1")
            yield Step(found[1], found[2], found[3], data)


def closed_by(name: str, who: str) -> set[str]:
    """The connections of a capture that this side closed."""
    found = re.findall(rf"^@ (C\d+) [\d.]+ closed by={who}$", (VECTORS / name).read_text(), re.MULTILINE)
    return set(found)
