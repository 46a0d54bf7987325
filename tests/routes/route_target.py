"""A server under test, of either kind, and hand-driven route peers at its door."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import nats
import pytest
from route_peer import connect, info
from route_real import RealServer, until

from gossamer.auth.permissions import Permissions
from gossamer.mesh.life.reloading import apply
from gossamer.mesh.monitor.routez import routez
from gossamer.mesh.options.options import ClusterOptions, Options
from gossamer.mesh.server import Server

both = pytest.mark.parametrize("kind", ["ours", "real"])
ours_only = pytest.mark.parametrize("kind", ["ours"])

SECOND_NS = 1_000_000_000


def _written_permissions(value: object) -> str:
    assert isinstance(value, Permissions)
    parts = []
    for name, lists in (("import", value.publish), ("export", value.subscribe)):
        if lists.allow or lists.deny:
            parts.append(f"{name} {{ allow: {json.dumps(lists.allow or [])}, deny: {json.dumps(lists.deny)} }}")
    return f"permissions {{ {', '.join(parts)} }}" if parts else "no_advertise: false"


class Target:
    """The server under test."""

    def __init__(
        self, kind: str, directory: Path, *, name: str = "S", dials: tuple[int, ...] = (), **cluster: object
    ) -> None:
        """``dials``: route ports on loopback."""
        self.kind = kind
        self._name = name
        self._dials = dials
        self._directory = directory
        self._cluster: dict[str, object] = {"pool_size": 1} | cluster
        self._ours: Server | None = None
        self._real: RealServer | None = None
        self.peers: list[WirePeer] = []
        self.clients: list[nats.NATS] = []

    async def __aenter__(self) -> "Target":
        if self.kind == "ours":
            routes = tuple(f"nats-route://127.0.0.1:{port}" for port in self._dials)
            cluster = ClusterOptions(name="CL", host="127.0.0.1", port=-1, routes=routes, **self._cluster)  # type: ignore[arg-type]
            options = Options(host="127.0.0.1", port=-1, server_name=self._name, cluster=cluster)
            self._ours = await Server(options).start()
        else:
            more = "".join(f", {line}" for line in self._written())
            self._real = await RealServer(self._directory, self._name, routes=self._dials, cluster=more).start()
        return self

    def _written(self) -> list[str]:
        """The cluster options as nats-server's configuration has them."""
        lines = [f"pool_size: {self._cluster['pool_size']}"]
        if "user" in self._cluster:
            timeout = int(str(self._cluster["auth_timeout_ns"])) / SECOND_NS
            lines.append(f"authorization {{ user: {self._cluster['user']}, password: {self._cluster['password']}, "
                         f"timeout: {timeout} }}")  # fmt: skip
        if "ping_interval_ns" in self._cluster:
            lines.append(f'ping_interval: "{int(str(self._cluster["ping_interval_ns"])) // 1_000_000}ms"')
        if "write_deadline_ns" in self._cluster:
            lines.append(f'write_deadline: "{int(str(self._cluster["write_deadline_ns"])) // 1_000_000}ms"')
        if "write_timeout" in self._cluster:
            lines.append(f"write_timeout: {self._cluster['write_timeout']}")
        if "accounts" in self._cluster:
            lines.append(f"accounts: {json.dumps(self._cluster['accounts'])}")
        if "permissions" in self._cluster:
            lines.append(_written_permissions(self._cluster["permissions"]))
        return lines

    async def reload(self, **cluster: object) -> None:
        """Other options of its cluster."""
        self._cluster |= cluster
        if self._real is not None:
            await self._real.reload("".join(f", {line}" for line in self._written()))
            return
        assert self._ours is not None
        now = self._ours.node.options
        changed = msgspec.structs.replace(now.cluster, **cluster)  # type: ignore[type-var]
        await apply(self._ours.node, msgspec.structs.replace(now, cluster=changed))

    def routez(self) -> dict[str, Any]:
        """What its monitoring says of routes."""
        if self._real is not None:
            return self._real.monitor("/routez")
        assert self._ours is not None
        found: dict[str, Any] = json.loads(msgspec.json.encode(routez(self._ours.node)))
        return found

    async def __aexit__(self, *_: object) -> None:
        for client in self.clients:
            await client.close()
        for peer in self.peers:
            await peer.leave()
        if self._ours is not None:
            await self._ours.stop()
        if self._real is not None:
            self._real.stop()

    async def stop(self) -> None:
        """In good order; ours only."""
        assert self._ours is not None
        await self._ours.stop()

    @property
    def route_port(self) -> int:
        if self._real is not None:
            return self._real.route_port
        assert self._ours is not None
        assert self._ours.node.cluster_socket is not None
        return self._ours.node.cluster_socket.port

    async def client(self) -> nats.NATS:
        url = self._real.client_url if self._real is not None else self._ours.url  # type: ignore[union-attr]
        client = await nats.connect(url, allow_reconnect=False)
        self.clients.append(client)
        return client

    async def visit(self, **how: bool) -> "WirePeer":
        peer = WirePeer(*await asyncio.open_connection("127.0.0.1", self.route_port, limit=1 << 22), **how)
        self.peers.append(peer)
        return peer

    async def join(self, name: str = "peer", **members: object) -> "WirePeer":
        peer = await self.visit()
        members = {"server_id": f"N{name.upper()}", "server_name": name, "route_pool_size": 1, "port": 1} | members
        peer.say(connect(name=f"N{name.upper()}"), info(**members))
        await peer.sync()
        return peer


class WirePeer:
    """Reads everything; answers PING by itself. ``lines`` are (control line, payload) without PING, PONG and interest
    in the system account."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, pongs: bool = True, listens: bool = True
    ) -> None:
        self.reader, self.writer = reader, writer
        self.lines: list[tuple[bytes, bytes]] = []
        self.pings = 0
        self.pongs = 0
        self.answers = pongs
        self.closed = False
        self._task = asyncio.create_task(self._read()) if listens else None

    async def _read(self) -> None:
        try:
            while True:
                line = (await self.reader.readuntil(b"\r\n"))[:-2]
                verb = line.split(b" ")[0]
                if verb == b"PING":
                    self.pings += 1
                    if self.answers:
                        self.say(b"PONG")
                elif verb == b"PONG":
                    self.pongs += 1
                elif verb in (b"RMSG", b"HMSG", b"LMSG"):
                    data = await self.reader.readexactly(int(line.rsplit(b" ", 1)[1]) + 2)
                    if b"$SYS" not in line:
                        self.lines.append((line, data[:-2]))
                elif b" $SYS" not in line:
                    self.lines.append((line, b""))
        except (asyncio.IncompleteReadError, OSError):
            self.closed = True

    def say(self, *lines: bytes) -> None:
        self.writer.write(b"".join(line + b"\r\n" for line in lines))

    async def sync(self) -> None:
        """Everything said so far has been handled, and every answer to it has come."""
        before = self.pongs
        self.say(b"PING")
        await until(lambda: self.pongs > before or self.closed, lambda: self.lines)

    def taken(self, *verbs: bytes) -> list[tuple[bytes, bytes]]:
        """What came since the last call, of these verbs."""
        found = [entry for entry in self.lines if not verbs or entry[0].split(b" ")[0] in verbs]
        self.lines = [entry for entry in self.lines if entry not in found]
        return found

    @property
    def interest(self) -> list[bytes]:
        return [line for line, _ in self.taken(b"RS+", b"RS-", b"LS+", b"LS-")]

    @property
    def messages(self) -> list[tuple[bytes, bytes]]:
        return self.taken(b"RMSG", b"HMSG", b"LMSG")

    @property
    def infos(self) -> list[dict[str, Any]]:
        return [json.loads(line[5:]) for line, _ in self.lines if line.startswith(b"INFO ")]

    @property
    def errors(self) -> list[bytes]:
        return [line for line, _ in self.lines if line.startswith(b"-ERR")]

    async def ended(self, seconds: float = 5.0) -> None:
        await until(lambda: self.closed, lambda: self.lines, seconds)

    async def leave(self) -> None:
        self.writer.close()
        if self._task is not None:
            await self._task
        try:
            await self.writer.wait_closed()
        except OSError:
            pass


def run(kind: str, directory: Path, scene: Callable[[Target], Awaitable[None]], **cluster: object) -> None:
    async def inner() -> None:
        async with Target(kind, directory, **cluster) as target:
            await scene(target)

    asyncio.run(inner())


async def settle(client: nats.NATS, peer: WirePeer) -> None:
    """What the client did has reached the peer: publishes and interest of one account share the connection."""
    await handled(client)
    await peer.sync()


async def handled(client: nats.NATS) -> None:
    """The server has handled all that the client said. Its PING overtakes what it has not written yet: hence twice."""
    await client.flush()
    await client.flush()


async def until_nobody_answers(client: nats.NATS, subject: str) -> None:
    for _ in range(200):
        try:
            await client.request(subject, b"", timeout=0.05)
        except nats.errors.NoRespondersError:
            return
        except nats.errors.TimeoutError:
            continue
    raise AssertionError(f"interest in {subject} is still there")
