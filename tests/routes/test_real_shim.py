"""Is a node whose engine is the line shim a full member of a cluster of nats-servers? Real sockets, real dialer."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import bcrypt
import nats
from route_fabric import Log
from route_real import RealServer, until
from route_shim import LineEngine, Link

from gossamer.mesh.options.options import ClusterOptions
from gossamer.mesh.peers.route_dialer import LoopDialer, LoopScheduler
from gossamer.mesh.peers.route_manager import RouteManager
from gossamer.mesh.peers.route_world import RouteIdentity
from gossamer.mesh.world import SystemRandomness


class SocketWire(asyncio.Protocol):
    """A wire over a connected socket of the loop."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.owner: LineEngine | None = None
        self.link: Link | None = None
        self._waiting: list[bytes] = []
        self._over = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.writelines(self._waiting)
        if self._over:
            transport.close()

    def data_received(self, data: bytes) -> None:
        assert self.owner is not None
        assert self.link is not None
        if self.link.state != "closed":
            self.owner.feed(self.link, data)

    def connection_lost(self, error: Exception | None) -> None:
        if self.owner is not None and self.link is not None:
            self.owner.ended(self.link)

    def write(self, data: bytes) -> None:
        if self.transport is None:
            self._waiting.append(data)
        else:
            self.transport.write(data)

    def finish(self) -> None:
        self._over = True
        if self.transport is not None:
            self.transport.close()


class ShimNode:
    """``RouteManager`` as the composition root wires it, on the shim."""

    def __init__(self, name: str, *routes: int, login: str = "", **options: object) -> None:
        self.name = name
        self.loop = asyncio.get_running_loop()
        self.log = Log()
        self.urls: tuple[str, ...] = ()
        self.engine = LineEngine(self._wire_for, self._wake)
        self._wires: list[SocketWire] = []
        self._tasks: list[asyncio.Task[object]] = []
        self._options = ClusterOptions(
            name="CL",
            host="127.0.0.1",
            port=-1,
            routes=tuple(f"nats-route://{login}127.0.0.1:{port}" for port in routes),
            **options,  # type: ignore[arg-type]
        )
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]

    async def start(self, server_id: str = "") -> "ShimNode":
        identity = RouteIdentity(
            server_id=server_id or f"N{self.name.upper():A<55}", server_name=self.name, version="2.15.1"
        )
        randomness = SystemRandomness()
        self.manager = RouteManager(
            identity,
            self._options,
            self.engine,
            LoopScheduler(self.loop),
            LoopDialer(self.loop, randomness),
            self._urls_changed,
            self.log,
            randomness=randomness,
        )
        self.engine.account(b"$SYS", dedicated_route=self.manager.pins_system_account)
        self._server = await self.loop.create_server(self._accept, sock=self._socket)
        self.manager.start(descriptor=self._socket.fileno(), port=self.port, client_urls=("192.0.2.7:4222",))
        return self

    async def stop(self) -> None:
        self._server.close()
        self.manager.stop()
        await asyncio.gather(*self._tasks)
        for wire in self._wires:
            wire.finish()
        await asyncio.sleep(0)

    def _accept(self) -> SocketWire:
        wire = SocketWire()
        self._wires.append(wire)
        made = wire.connection_made

        def begin(transport: asyncio.BaseTransport) -> None:
            made(transport)
            host, port = transport.get_extra_info("peername")[:2]
            wire.owner, wire.link = self.engine, self.engine.attach(wire, next(iter(self.engine.listeners)), host, port)

        wire.connection_made = begin  # type: ignore[method-assign]
        return wire

    def _wire_for(self, descriptor: int) -> SocketWire:
        wire = SocketWire()
        self._wires.append(wire)
        made = wire.connection_made

        def begin(transport: asyncio.BaseTransport) -> None:
            wire.owner = self.engine
            wire.link = next(each for each in [*self.engine.links.values(), *self.engine.gone] if each.wire is wire)
            made(transport)

        wire.connection_made = begin  # type: ignore[method-assign]
        connected = socket.socket(fileno=descriptor)
        self._tasks.append(self.loop.create_task(self.loop.create_connection(lambda: wire, sock=connected)))
        return wire

    def _wake(self) -> None:
        self.loop.call_soon(self._turn)

    def _turn(self) -> None:
        for event in self.engine.drain():
            self.manager.on_event(event)

    def _urls_changed(self, urls: tuple[str, ...]) -> None:
        self.urls = urls

    def places(self, name: str) -> list[tuple[int, str]]:
        return sorted((row.pool_index, row.account) for row in self.manager.routez() if row.remote_name == name)


WHOLE = [(-1, "$SYS"), (0, ""), (1, ""), (2, "")]


class Stage:
    """What a test starts; all of it ends with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.reals: list[RealServer] = []
        self.nodes: list[ShimNode] = []
        self.clients: list[nats.NATS] = []

    async def real(self, name: str, *routes: int, **more: str) -> RealServer:
        server = RealServer(self.directory, name, routes=routes, **more)
        self.reals.append(server)
        return await server.start()

    async def ours(self, name: str, *routes: int, login: str = "", **options: object) -> ShimNode:
        node = ShimNode(name, *routes, login=login, **options)
        self.nodes.append(node)
        return await node.start()

    async def client(self, server: RealServer) -> nats.NATS:
        client = await nats.connect(server.client_url, allow_reconnect=False)
        self.clients.append(client)
        return client

    async def clear(self) -> None:
        for client in self.clients:
            await client.close()
        for node in self.nodes:
            await node.stop()
        for server in self.reals:
            server.stop()

    def report(self) -> str:
        lines = [f"{node.name}: {node.manager.routez()}\n{node.log.lines}" for node in self.nodes]
        return "\n".join(lines + [server.log()[-4000:] for server in self.reals])


def on_stage(directory: Path, play: Callable[[Stage], Awaitable[None]]) -> None:
    async def run() -> None:
        stage = Stage(directory)
        try:
            await play(stage)
        finally:
            await stage.clear()

    asyncio.run(run())


async def exchange(stage: Stage, node: ShimNode, server: RealServer) -> None:
    """Messages both ways between our node and a client of the real one."""
    client = await stage.client(server)
    inbox = await client.subscribe(f"to.{server.name}")
    await client.flush()
    await until(lambda: bool(node.engine.knows_interest("$G", f"to.{server.name}")), stage.report)
    assert node.engine.publish("$G", f"to.{server.name}", b"from us") == 1
    assert (await inbox.next_msg(5)).data == b"from us"
    subject = f"to.{node.name}.{server.name}"
    node.engine.subscribe("$G", subject)

    def arrived() -> bool:
        return ("$G", subject, b"from them") in node.engine.messages

    for _ in range(100):  # interest travels by itself: ask until it is there
        await client.publish(subject, b"from them")
        await client.flush()
        try:
            await until(arrived, stage.report, 0.05)
            return
        except AssertionError:
            continue
    raise AssertionError(stage.report())


def test_we_dial_a_real_server(tmp_path: Path) -> None:
    async def play(stage: Stage) -> None:
        real = await stage.real("real")
        node = await stage.ours("ours", real.route_port)
        await until(lambda: node.places("real") == WHOLE, stage.report)
        await until(lambda: len(real.routes_to("ours")) == 4, stage.report)
        rows = real.routes_to("ours")
        assert {row.get("account", "") for row in rows} == {"", "$SYS"}
        assert all(row["compression"] == "off" for row in rows)
        assert not any(row["did_solicit"] for row in rows)
        assert real.monitor("/varz")["remotes"] == 1
        assert node.urls == (real.client_url.removeprefix("nats://"),)
        client = await stage.client(real)
        await until(lambda: "192.0.2.7:4222" in str(client._server_info["connect_urls"]), stage.report)
        await exchange(stage, node, real)
        # nothing comes and goes: the connections are the same after more than a round of retries
        before = {row["rid"] for row in rows}
        await asyncio.sleep(2.2)
        assert {row["rid"] for row in real.routes_to("ours")} == before
        assert "[ERR]" not in real.log()
        assert not [text for level, text in node.log.lines if level == "error"]

    on_stage(tmp_path, play)


def test_real_servers_find_each_other_through_us(tmp_path: Path) -> None:
    async def play(stage: Stage) -> None:
        node = await stage.ours("ours")
        one = await stage.real("one", node.port)
        two = await stage.real("two", node.port)
        await until(lambda: node.places("one") == node.places("two") == WHOLE, stage.report)
        await until(lambda: len(one.routes_to("two")) == len(two.routes_to("one")) == 4, stage.report)
        await exchange(stage, node, one)
        await exchange(stage, node, two)
        one.kill()
        await until(lambda: node.places("one") == [], stage.report)
        await one.start()
        await until(lambda: node.places("one") == WHOLE, stage.report)
        await until(lambda: len(one.routes_to("two")) == 4, stage.report)
        await exchange(stage, node, one)

    on_stage(tmp_path, play)


def test_two_of_ours_and_a_real_one_by_gossip(tmp_path: Path) -> None:
    async def play(stage: Stage) -> None:
        real = await stage.real("real")
        first = await stage.ours("first", real.route_port)
        second = await stage.ours("second", first.port)
        await until(lambda: first.places("real") == second.places("real") == WHOLE, stage.report)
        await until(lambda: first.places("second") == second.places("first") == WHOLE, stage.report)
        assert len(real.routes_to("first")) == len(real.routes_to("second")) == 4
        await exchange(stage, second, real)

    on_stage(tmp_path, play)


def test_mutual_configuration(tmp_path: Path) -> None:
    async def play(stage: Stage) -> None:
        node = ShimNode("ours")
        stage.nodes.append(node)
        real = await stage.real("real", node.port)
        node._options = ClusterOptions(
            name="CL", host="127.0.0.1", port=-1, routes=(f"nats-route://127.0.0.1:{real.route_port}",)
        )
        await node.start()

        def settled() -> bool:
            return node.places("real") == WHOLE and len(real.routes_to("ours")) == 4

        await until(settled, stage.report, 15.0)
        await asyncio.sleep(1.5)
        await until(settled, stage.report, 15.0)
        await exchange(stage, node, real)

    on_stage(tmp_path, play)


def test_without_a_pool_on_either_side(tmp_path: Path) -> None:
    async def play(stage: Stage) -> None:
        real = await stage.real("real", cluster=", pool_size: -1")
        node = await stage.ours("ours", real.route_port)
        await until(lambda: node.places("real") == [(0, "")], stage.report)
        await exchange(stage, node, real)
        pooled = await stage.real("pooled")
        single = await stage.ours("single", pooled.route_port, pool_size=-1)
        await until(lambda: single.places("pooled") == [(0, "")], stage.report)
        await exchange(stage, single, pooled)
        assert len(pooled.routes_to("single")) == 1

    on_stage(tmp_path, play)


def test_pools_of_different_size(tmp_path: Path) -> None:
    async def play(stage: Stage) -> None:
        real = await stage.real("real", cluster=", pool_size: 5")
        node = await stage.ours("ours", real.route_port, pool_size=2)
        await until(lambda: len(node.places("real")) == 6, stage.report)
        await exchange(stage, node, real)

    on_stage(tmp_path, play)


def test_credentials(tmp_path: Path) -> None:
    async def play(stage: Stage) -> None:
        auth = ', authorization { user: "u", password: "p", timeout: 3 }'
        real = await stage.real("real", cluster=auth)
        node = await stage.ours("ours", real.route_port, login="u:p@", user="u", password="p")
        await until(lambda: node.places("real") == WHOLE, stage.report)
        # one of us two dials the other because of gossip, with its own cluster credentials
        other = await stage.real("other", real.route_port, cluster=auth, user="u:p@")
        await until(lambda: node.places("other") == WHOLE, stage.report)
        # bcrypt on our side, and a real server that dials us
        hashed = bcrypt.hashpw(b"p", bcrypt.gensalt(4)).decode()
        guarded = await stage.ours("guarded", user="u", password=hashed)
        await stage.real("visitor", guarded.port, user="u:p@")
        await until(lambda: guarded.places("visitor") == WHOLE, stage.report)
        await exchange(stage, node, other)
        assert b"-ERR 'Authorization Violation'" in await refused(node)
        assert b"-ERR 'Authorization Violation'" in await refused(guarded)

    on_stage(tmp_path, play)


async def refused(node: ShimNode) -> bytes:
    """Connect to the node's route port without credentials."""
    reader, writer = await asyncio.open_connection("127.0.0.1", node.port)
    writer.write(b'CONNECT {"cluster":"CL","name":"NX"}\r\n')
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer
