"""A full mesh of server processes, of one kind or mixed, found whole by what clients see.

The first node is the seed; the others have one route to it and find each other by gossip (spec: routes).
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from gossamer.mesh.testing.process import ServerError, ServerProcess
from gossamer.mesh.testing.wire import WireClient


class ClusterProcesses:
    """Nodes ``n1``, ``n2``... in one cluster. ``config`` goes into every node's configuration, ``cluster_config``
    into every cluster block, ``node_configs`` (by position) into that node's configuration."""

    def __init__(
        self,
        folder: Path,
        kinds: Sequence[type[ServerProcess]],
        *,
        name: str = "mesh",
        host: str = "127.0.0.1",
        config: str = "",
        cluster_config: str = "",
        node_configs: Sequence[str] = (),
        monitor: bool = False,
        advertised: bool = True,
    ) -> None:
        self.folder = folder
        self.name = name
        self.host = host
        self.nodes: list[ServerProcess] = []
        self._kinds = list(kinds)
        self._config = config
        self._cluster_config = cluster_config
        self._node_configs = list(node_configs)
        self._monitor = monitor
        self._advertised = advertised

    def start(self) -> Self:
        """Start all nodes and wait until the mesh is whole. Raises ServerError.

        Without ``advertised`` (clients are told no URLs) nothing is awaited: use ``wait_for_interest``.
        """
        for kind in self._kinds[:1]:
            self.add(kind)
        for kind in self._kinds[1:]:  # side by side: they all know the first one's port
            self._next(kind).launch()
        for node in self.nodes[1:]:
            node.await_ready()
        if self._advertised:
            self.wait_until_whole()
        return self

    def add(self, kind: type[ServerProcess]) -> ServerProcess:
        """Start one more node that knows the first one; it is not awaited that others see it."""
        return self._next(kind).start()

    def wait_until_whole(self, *, timeout_s: float = 20.0) -> None:
        """Until every node tells its clients the URLs of all running nodes."""
        wanted = {node.url.removeprefix("nats://") for node in self.nodes if node.running}
        if len(wanted) < 2:
            return
        deadline = time.monotonic() + timeout_s
        for node in self.nodes:
            while node.running and not wanted <= (seen := client_urls(node)):
                if time.monotonic() > deadline:
                    raise ServerError(f"{node.folder.name} knows {sorted(seen)} of {sorted(wanted)}\n{node.log}")
                time.sleep(0.02)

    def stop(self) -> None:
        """Stop all nodes that still run."""
        for node in reversed(self.nodes):
            if node.running:
                node.stop()

    def _next(self, kind: type[ServerProcess]) -> ServerProcess:
        position = len(self.nodes)
        routes = f"routes: [nats://127.0.0.1:{self.nodes[0].cluster_port}]" if self.nodes else ""
        own = self._node_configs[position] if position < len(self._node_configs) else ""
        text = (
            f"server_name: n{position + 1}\n{self._config}\n{own}\n"
            f"cluster {{\n name: {self.name}\n listen: 127.0.0.1:-1\n {routes}\n {self._cluster_config}\n}}\n"
        )
        folder = self.folder / f"n{position + 1}"
        node = kind(folder, config=text, host=self.host, monitor=self._monitor)
        self.nodes.append(node)
        return node


def client_urls(node: ServerProcess) -> set[str]:
    """The ``connect_urls`` that a node gives to a new client."""
    with WireClient(node.address) as client:
        return set(client.read_info().get("connect_urls", []))


def wait_for_interest(publisher: WireClient, subject: str, *, timeout_s: float = 10.0) -> None:
    """Until a request on ``subject`` finds a subscriber, anywhere in the mesh. The subscribers receive empty messages.

    ``publisher`` must have connected with headers and no_responders, and must have no sid ``probe``.
    """
    publisher.subscribe("_PROBE.*", "probe")
    deadline = time.monotonic() + timeout_s
    while True:
        publisher.publish(subject, reply="_PROBE.1")
        if not any(
            message.sid == b"probe" and b"503" in message.headers for message in publisher.read_messages_until_pong()
        ):
            break
        if time.monotonic() > deadline:
            raise ServerError(f"nobody is interested in {subject!r} after {timeout_s} s")
        time.sleep(0.01)
    publisher.send(b"UNSUB probe\r\n")
    publisher.ping()
