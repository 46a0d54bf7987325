"""Meshes of both kinds of server, started from a pairing, seen as whole by what their monitoring says."""

import re
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from pairings import Pairing, Place

from gossamer.mesh.testing.process import GossamerProcess, NatsServerProcess, ServerError, ServerProcess

KINDS: dict[str, type[ServerProcess]] = {"O": GossamerProcess, "R": NatsServerProcess}
_LEAFS_LISTEN = re.compile(r"Listening for leafnode connections on \S*:(\d+)")
_EXPORTS = 'exports: [{service: "svc.*"}, {stream: "feed.>"}]'
_IMPORTS = (
    'imports: [{service: {account: A, subject: "svc.*"}, to: "do.*"}, '
    '{stream: {account: A, subject: "feed.>"}, prefix: "in"}]'
)


def until(condition: Callable[[], bool], what: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait for it; fail with a description after so long."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, what()
        time.sleep(0.03)


class Node:
    """One place, filled. A restart keeps all ports, so that everybody finds it again."""

    def __init__(self, place: Place, folder: Path) -> None:
        self.place = place
        self.folder = folder
        self.ports = {"cluster": -1, "gateway": -1, "leaf": -1}
        self.server: ServerProcess

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def home(self) -> str:
        return self.place.home

    def url(self, user: str) -> str:
        """For clients; everybody's password is the name."""
        return self.server.url.replace("//", f"//{user}:{user}@")


class Mesh:
    """``start`` and ``stop`` it. ``leaf_words``, by a node's name, go into its leaf node block and its remotes;
    leaf nodes come in as a user with ``permissions`` if there are any."""

    def __init__(
        self, folder: Path, pairing: Pairing, *, leaf_words: Mapping[str, str] | None = None, permissions: str = ""
    ) -> None:
        self.pairing = pairing
        self.nodes = {place.name: Node(place, folder / place.name) for place in pairing.places}
        self._leaf_words = leaf_words or {}
        self._permissions = permissions

    def start(self) -> None:
        for node in self.nodes.values():
            kind = KINDS[node.place.kind]
            if reason := kind.missing():
                raise ServerError(reason)
            node.server = kind(node.folder, config=self._config(node), monitor=True)
            node.server.start()
            self._note_ports(node)
        self.await_whole()

    def stop(self) -> None:
        for node in self.nodes.values():
            if hasattr(node, "server"):
                node.server.kill()

    def end(self, name: str, *, crash: bool) -> None:
        """A node goes, with or without taking leave."""
        server = self.nodes[name].server
        if crash:
            server.kill()
        else:
            server.stop()

    def back(self, name: str) -> None:
        """It comes back on the same ports."""
        node = self.nodes[name]
        node.server._config = self._config(node)
        node.server.restart()

    def await_whole(self) -> None:
        """Until everybody has all connections that it should have, and interest of other clusters is known."""
        until(lambda: not self.missing(), self.missing)

    def missing(self) -> str:
        """What is not there yet, for the first node that lacks something."""
        for node in self.nodes.values():
            for look in (self._routes_missing, self._gateways_missing, self._leafs_missing):
                if found := look(node):
                    return f"{self.pairing.name}: {node.name}: {found}"
        return ""

    def _note_ports(self, node: Node) -> None:
        if node.place.cluster:
            node.ports["cluster"] = node.server.cluster_port
        if node.place.gateways is not None:
            node.ports["gateway"] = int(node.server.monitor("/varz")["gateway"]["port"])
        if self._is_hub(node.place):
            node.server.wait_for_log(_LEAFS_LISTEN.pattern)
            node.ports["leaf"] = int(_LEAFS_LISTEN.findall(node.server.log)[-1])

    # --- configuration --------------------------------------------------------------------------------------------

    def _config(self, node: Node) -> str:
        place = node.place
        lines = [
            f"server_name: {place.name}",
            "accounts {",
            "  SYS { users: [{user: sys, password: sys}] }",
            f"  A {{ users: [{{user: a, password: a}}, {{user: p, password: p{self._permissions}}}]",
            f"       {_EXPORTS if place.shares else ''} }}",
            "  B { users: [{user: b, password: b}]",
            f"      {_IMPORTS if place.shares else ''} }}",
            "}",
            "system_account: SYS",
        ]
        if place.cluster:
            before = [each for each in self.nodes.values() if each.place.cluster == place.cluster and each is not node]
            urls = [f'"nats-route://127.0.0.1:{each.ports["cluster"]}"' for each in before if each.ports["cluster"] > 0]
            lines.append(
                f'cluster {{ name: {place.cluster}, listen: "127.0.0.1:{node.ports["cluster"]}", '
                f"routes: [{', '.join(urls)}] }}"
            )
        if place.gateways is not None:
            lines.append(
                f'gateway {{ name: {place.cluster}, listen: "127.0.0.1:{node.ports["gateway"]}", '
                f"gateways: [{', '.join(map(self._remote_cluster, place.gateways))}] }}"
            )
        if place.hubs or self._is_hub(place):
            lines.append('leafnodes { reconnect: "100ms"')
            lines.append(self._leaf_words.get(place.name, ""))
            if self._is_hub(place):
                lines.append(f'listen: "127.0.0.1:{node.ports["leaf"]}"')
            remotes = [self._remote(place, user, account) for user, account in self._links(place)]
            lines.append(f"remotes: [{', '.join(remotes)}] }}")
        return "\n".join(lines)

    def _links(self, place: Place) -> list[tuple[str, str]]:
        """User there and account here of the leaf links that it dials."""
        return [("p" if self._permissions else "a", "A"), ("b", "B")] if place.hubs else []

    def _remote(self, place: Place, user: str, account: str) -> str:
        urls = ", ".join(f'"nats-leaf://{user}:{user}@127.0.0.1:{self.nodes[hub].ports["leaf"]}"' for hub in place.hubs)
        more = "hub: true\n" if place.exchanged else ""
        return f"{{ urls: [{urls}]\n account: {account}\n {more} {self._leaf_words.get(place.name, '')} }}"

    def _remote_cluster(self, name: str) -> str:
        urls = ", ".join(
            f'"nats://127.0.0.1:{node.ports["gateway"]}"' for node in self.nodes.values() if node.place.cluster == name
        )
        return f"{{ name: {name}, urls: [{urls}] }}"

    def _is_hub(self, place: Place) -> bool:
        return any(place.name in each.hubs for each in self.pairing.places)

    # --- what is missing ------------------------------------------------------------------------------------------

    def _routes_missing(self, node: Node) -> str:
        """A pool of three and one for the system account, to each other node."""
        if not node.place.cluster:
            return ""
        seen = Counter(row["remote_name"] for row in node.server.monitor("/routez")["routes"])
        wanted = {each.name: 4 for each in self.nodes.values() if each.home == node.home and each is not node}
        return "" if seen == wanted else f"routes {seen}, not {wanted}"

    def _gateways_missing(self, node: Node) -> str:
        if node.place.gateways is None:
            return ""
        wanted = {each.home for each in self.nodes.values() if each.place.gateways is not None} - {node.home}
        shown = node.server.monitor("/gatewayz?accs=1")
        for name in wanted:
            outbound = shown["outbound_gateways"].get(name)
            modes = {each["name"]: each["interest_mode"] for each in (outbound or {}).get("accounts", ())}
            if any(modes.get(account) != "Interest-Only" for account in ("A", "B", "SYS")):
                return f"outbound to {name}: {modes}"
        reached = sum(
            len(each.server.monitor("/gatewayz")["inbound_gateways"].get(node.home, ()))
            for each in self.nodes.values()
            if each.place.gateways is not None and each.home != node.home
        )
        dialling = len(wanted) * len(self.pairing.of_home(node.home))
        return "" if reached == dialling else f"{reached} inbound connections, not {dialling}"

    def _leafs_missing(self, node: Node) -> str:
        here = {place.name for place in self.pairing.of_home(node.home)}
        below = [place for place in self.pairing.places if here & set(place.hubs)]
        if not below and not node.place.hubs:
            return ""
        rows = [row for name in here for row in self.nodes[name].server.monitor("/leafz")["leafs"]]
        dialled = sum(len(self._links(self.nodes[name].place)) for name in here)
        taken = sum(len(self._links(place)) for place in below)
        return "" if len(rows) == dialled + taken else f"{len(rows)} leaf links, not {dialled} + {taken}"
