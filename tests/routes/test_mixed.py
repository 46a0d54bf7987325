"""Clusters of our servers and nats-servers together: whole both ways, and nothing lost or doubled on the way."""

import asyncio
import itertools
import json
import signal
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg
from route_real import RealServer, until

from gossamer.mesh.life.lame_duck import leave
from gossamer.mesh.options.options import ClusterOptions, Options
from gossamer.mesh.server import Server

WHOLE = Counter({"": 3, "$SYS": 1})


class Ours:
    """One of our servers, in this process; after a stop it can come back on the same ports."""

    def __init__(
        self, name: str, routes: tuple[int, ...], login: str = "", title: str = "CL", **cluster: object
    ) -> None:
        self.name = name
        self._cluster = {"name": title, "host": "127.0.0.1", "port": -1} | cluster
        self._routes = tuple(f"nats-route://{login}127.0.0.1:{port}" for port in routes)
        self._port = -1
        self.server: Server | None = None

    def dial(self, ports: tuple[int, ...]) -> None:
        self._routes = tuple(f"nats-route://127.0.0.1:{port}" for port in ports)

    async def start(self) -> "Ours":
        cluster = ClusterOptions(**self._cluster, routes=self._routes)  # type: ignore[arg-type]
        options = Options(
            host="127.0.0.1",
            port=self._port,
            server_name=self.name,
            cluster=cluster,
        )
        self.server = await Server(options).start()
        self._port = self.server.port
        self._cluster["port"] = self.route_port
        return self

    @property
    def client_url(self) -> str:
        assert self.server is not None
        return self.server.url

    @property
    def route_port(self) -> int:
        assert self.server is not None
        assert self.server.node.cluster_socket is not None
        return self.server.node.cluster_socket.port

    async def end(self) -> None:
        assert self.server is not None
        await self.server.stop()

    def seen(self) -> dict[str, Counter[str]]:
        """By remote: connections per account."""
        assert self.server is not None
        assert self.server.node.routes is not None
        found: dict[str, Counter[str]] = {}
        for row in self.server.node.routes.routez():
            found.setdefault(row.remote_name, Counter())[row.account] += 1
        return found

    def report(self) -> object:
        return self.seen()


class Theirs(RealServer):
    """A nats-server."""

    def dial(self, ports: tuple[int, ...]) -> None:
        self._routes = ports

    async def end(self) -> None:
        self.kill()

    def seen(self) -> dict[str, Counter[str]]:
        found: dict[str, Counter[str]] = {}
        for row in self.routes():
            found.setdefault(str(row["remote_name"]), Counter())[str(row.get("account", ""))] += 1
        return found

    def report(self) -> object:
        return self.log()[-3000:]


Member = Ours | Theirs


class Mesh:
    """Members by name; all of them end with the test."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.members: dict[str, Member] = {}
        self.living: set[str] = set()
        self.clients: list[nats.NATS] = []

    async def add(self, name: str, *seeds: str, login: str = "", **cluster: object) -> Member:
        """A name that begins with "real" is a nats-server. ``login``: ``user:password@`` for its route URLs."""
        ports = tuple(self.members[seed].route_port for seed in seeds)
        title = str(cluster.pop("title", "CL"))
        member: Member
        if name.startswith("real"):
            more = "".join(f", {key}: {value}" for key, value in cluster.items())
            member = Theirs(self.directory, name, routes=ports, cluster=more, user=login, title=title)
        else:
            member = Ours(name, ports, login, title, **cluster)
        self.members[name] = member
        await member.start()
        self.living.add(name)
        return member

    async def end(self, name: str) -> None:
        self.living.discard(name)
        await self.members[name].end()

    async def back(self, name: str, *seeds: str) -> None:
        """On its old ports; ``seeds`` replace its routes."""
        if seeds:
            self.members[name].dial(tuple(self.members[seed].route_port for seed in seeds))
        await self.members[name].start()
        self.living.add(name)

    def is_whole(self) -> bool:
        for name in self.living:
            others = self.living - {name}
            if self.members[name].seen() != dict.fromkeys(others, WHOLE):
                return False
        return True

    async def whole(self) -> None:
        await until(self.is_whole, lambda: "\n".join(f"{n}: {m.report()}" for n, m in self.members.items()), 20.0)

    async def client(self, name: str) -> nats.NATS:
        client = await nats.connect(self.members[name].client_url, allow_reconnect=False, max_reconnect_attempts=0)
        self.clients.append(client)
        return client

    async def clear(self) -> None:
        for client in self.clients:
            with suppress(Exception):
                await client.close()
        for name in list(self.living):
            await self.end(name)
        for member in self.members.values():
            if isinstance(member, Theirs):
                member.stop()


SHAPES = {
    "two of ours, a real seed": [("real1",), ("ours1", "real1"), ("ours2", "real1")],
    "two of ours, our seed": [("ours1",), ("ours2", "ours1"), ("real1", "ours1")],
    "one of ours, a real seed": [("real1",), ("real2", "real1"), ("ours1", "real1")],
    "one of ours, our seed": [("ours1",), ("real1", "ours1"), ("real2", "ours1")],
    "three of ours": [("ours1",), ("ours2", "ours1"), ("ours3", "ours1")],
    "a chain": [("real1",), ("ours1", "real1"), ("real2", "ours1")],
}


some_shapes = pytest.mark.parametrize(
    "shape", [SHAPES[name] for name in ("two of ours, a real seed", "one of ours, our seed", "a chain")]
)
every_shape = pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)


def play(directory: Path, shape: list[tuple[str, ...]], scene: Callable[[Mesh], Awaitable[None]]) -> None:
    async def run() -> None:
        mesh = Mesh(directory)
        try:
            for name, *seeds in shape:
                await mesh.add(name, *seeds)
            await mesh.whole()
            await scene(mesh)
        finally:
            await mesh.clear()

    asyncio.run(run())


async def heard(subscriber: nats.NATS, publishers: list[nats.NATS], probe: str) -> None:
    """Wait until interest of the subscriber has reached every publisher's server: one probe of each has come back."""
    inbox = await subscriber.subscribe(probe)
    await subscriber.flush()
    waiting = {str(number) for number in range(len(publishers))}

    async def listen() -> None:
        while waiting:
            waiting.discard((await inbox.next_msg(20)).data.decode())

    listening = asyncio.create_task(listen())
    while not listening.done():
        for number in waiting.copy():
            await publishers[int(number)].publish(probe, number.encode())
        await asyncio.wait([listening], timeout=0.02)
    await listening
    await inbox.unsubscribe()


async def all_hear(clients: dict[str, nats.NATS]) -> None:
    """Everything subscribed before is known everywhere: interest of one connection travels in order."""
    for name, client in clients.items():
        await heard(client, [other for each, other in clients.items() if each != name], f"probe.{name}")


async def clients_of(mesh: Mesh) -> dict[str, nats.NATS]:
    return {name: await mesh.client(name) for name in sorted(mesh.living)}


@every_shape
def test_messages_headers_and_requests(tmp_path: Path, shape: list[tuple[str, ...]]) -> None:
    async def scene(mesh: Mesh) -> None:
        clients = await clients_of(mesh)
        got: dict[str, list[tuple[str, dict[str, str] | None]]] = {name: [] for name in clients}

        def keep(name: str) -> Callable[[Msg], Awaitable[None]]:
            async def kept(message: Msg) -> None:
                got[name].append((message.data.decode(), message.headers))

            return kept

        async def serve(message: Msg) -> None:
            await message.respond(b"re:" + message.data)

        for name, client in clients.items():
            await client.subscribe("news.>", cb=keep(name))
            await client.subscribe(f"service.{name}", cb=serve)
        await all_hear(clients)
        for name, client in clients.items():
            await client.publish(f"news.{name}", f"plain {name}".encode())
            await client.publish(f"news.{name}", f"headed {name}".encode(), headers={"From": name, "X": "a b"})
            await client.flush()
        expected = sorted(
            itertools.chain.from_iterable(
                [(f"plain {name}", None), (f"headed {name}", {"From": name, "X": "a b"})] for name in clients
            ),
            key=str,
        )
        await until(lambda: all(len(each) >= len(expected) for each in got.values()), lambda: got)
        assert {name: sorted(each, key=str) for name, each in got.items()} == dict.fromkeys(clients, expected)
        for asker, server in itertools.permutations(clients, 2):
            answer = await clients[asker].request(f"service.{server}", b"x" * 70_000, timeout=5)
            assert answer.data == b"re:" + b"x" * 70_000
        with pytest.raises(nats.errors.NoRespondersError):
            await next(iter(clients.values())).request("service.nobody", b"", timeout=5)

    play(tmp_path, shape, scene)


@every_shape
def test_queue_groups_over_all_nodes(tmp_path: Path, shape: list[tuple[str, ...]]) -> None:
    async def scene(mesh: Mesh) -> None:
        clients = await clients_of(mesh)
        # three members on the first node, one on each other: the weights travel
        counts: Counter[str] = Counter()
        seen: Counter[bytes] = Counter()

        def work(name: str) -> Callable[[Msg], Awaitable[None]]:
            async def worked(message: Msg) -> None:
                counts[name] += 1
                seen[message.data] += 1

            return worked

        first, *others = clients
        for name, members in [(first, 3), *((name, 1) for name in others)]:
            for _ in range(members):
                await clients[name].subscribe("jobs", queue="workers", cb=work(name))
        await all_hear(clients)
        each = 400
        for name, client in clients.items():
            for number in range(each):
                await client.publish("jobs", f"{name} {number}".encode())
            await client.flush()
        total = each * len(clients)
        await until(lambda: sum(counts.values()) >= total, lambda: counts)
        assert len(seen) == total
        assert set(seen.values()) == {1}
        # 3 of 5 members: 0.6 of 1200 messages, with six standard deviations to spare
        assert 0.5 < counts[first] / total < 0.7, counts
        assert all(0.12 < counts[name] / total < 0.28 for name in others), counts

    play(tmp_path, shape, scene)


@some_shapes
@pytest.mark.parametrize("victim", ["first", "last"])
def test_a_node_goes_and_comes_back(tmp_path: Path, shape: list[tuple[str, ...]], victim: str) -> None:
    async def scene(mesh: Mesh) -> None:
        lost = shape[0 if victim == "first" else -1][0]
        one, other = (name for name, *_ in shape if name != lost)
        publisher, subscriber = await mesh.client(one), await mesh.client(other)
        got: list[int] = []

        async def keep(message: Msg) -> None:
            got.append(int(message.data))

        await subscriber.subscribe("steady", cb=keep)
        await heard(subscriber, [publisher], "probe")
        sent = 0

        async def stream(seconds: float) -> None:
            nonlocal sent
            loop = asyncio.get_running_loop()
            end = loop.time() + seconds
            while loop.time() < end:
                await publisher.publish("steady", str(sent).encode())
                sent += 1
                await asyncio.sleep(0.002)

        streaming = asyncio.create_task(stream(0.4))
        await mesh.end(lost)
        await streaming
        await until(lambda: not any(lost in mesh.members[name].seen() for name in mesh.living), lambda: mesh.living)
        streaming = asyncio.create_task(stream(1.2))
        await mesh.back(lost)
        await mesh.whole()
        await streaming
        await publisher.flush()
        await until(lambda: len(got) >= sent, lambda: (len(got), sent))
        assert got == list(range(sent))
        clients = {one: publisher, other: subscriber, lost: await mesh.client(lost)}
        await all_hear(clients)

    play(tmp_path, shape, scene)


def test_interest_ends_with_the_last_subscriber(tmp_path: Path) -> None:
    async def scene(mesh: Mesh) -> None:
        ours, real = await mesh.client("ours1"), await mesh.client("real1")
        for here, there in ((ours, real), (real, ours)):
            one = await here.subscribe("gone")
            two = await here.subscribe("gone")
            await heard(here, [there], "probe")
            await one.unsubscribe()
            await two.unsubscribe()
            await heard(here, [there], "probe.again")
            with pytest.raises(nats.errors.NoRespondersError):
                await there.request("gone", b"", timeout=5)

    play(tmp_path, SHAPES["two of ours, a real seed"], scene)


def test_pools_of_other_sizes(tmp_path: Path) -> None:
    async def run() -> None:
        mesh = Mesh(tmp_path)
        try:
            await mesh.add("real1", pool_size=5)
            await mesh.add("ours1", "real1", pool_size=2)
            await mesh.add("ours2", "real1", pool_size=-1)
            expected = {
                "real1": {"ours1": Counter({"": 5, "$SYS": 1}), "ours2": Counter({"": 1})},
                "ours1": {"real1": Counter({"": 5, "$SYS": 1}), "ours2": Counter({"": 1})},
                "ours2": {"real1": Counter({"": 1}), "ours1": Counter({"": 1})},
            }

            def settled() -> bool:
                return {name: member.seen() for name, member in mesh.members.items()} == expected

            await until(settled, lambda: {name: member.seen() for name, member in mesh.members.items()})
            await all_hear(await clients_of(mesh))
        finally:
            await mesh.clear()

    asyncio.run(run())


def test_clients_learn_of_all_nodes(tmp_path: Path) -> None:
    async def scene(mesh: Mesh) -> None:
        addresses = {member.client_url.removeprefix("nats://") for member in mesh.members.values()}
        for name in mesh.members:
            client = await mesh.client(name)
            own = mesh.members[name].client_url.removeprefix("nats://")
            await until(
                lambda client=client, own=own: set(client._server_info["connect_urls"]) | {own} == addresses,  # type: ignore[misc]
                lambda client=client: client._server_info,  # type: ignore[misc]
            )

    play(tmp_path, SHAPES["two of ours, our seed"], scene)


class Told:
    """A client that only keeps what INFO last said of other servers."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.urls: set[str] = set()
        self._writer = writer
        self._task = asyncio.create_task(self._read(reader))
        writer.write(b'CONNECT {"protocol":1,"verbose":false}\r\nPING\r\n')

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            if line.startswith(b"INFO "):
                self.urls = set(json.loads(line[5:]).get("connect_urls", ()))
            elif line.startswith(b"PING"):
                self._writer.write(b"PONG\r\n")

    async def close(self) -> None:
        self._task.cancel()
        self._writer.close()
        with suppress(OSError):
            await self._writer.wait_closed()


def test_lame_ducks_of_both_kinds(tmp_path: Path) -> None:
    """The others send their clients elsewhere; the routes stay until the end."""

    async def scene(mesh: Mesh) -> None:
        async with AsyncExitStack() as stack:
            address = {name: member.client_url.removeprefix("nats://") for name, member in mesh.members.items()}
            clients: dict[str, Told] = {}
            for name, where in address.items():
                host, _, port = where.partition(":")
                clients[name] = Told(*await asyncio.open_connection(host, int(port)))
                stack.push_async_callback(clients[name].close)

            async def knows(name: str, *others: str) -> None:
                wanted = {address[each] for each in others}
                await until(lambda: clients[name].urls - {address[name]} == wanted, lambda: clients[name].urls)

            await knows("ours1", "ours2", "real1")
            await knows("real1", "ours1", "ours2")
            ours, real = mesh.members["ours2"], mesh.members["real1"]
            assert isinstance(ours, Ours)
            assert isinstance(real, Theirs)
            assert ours.server is not None
            leaving = asyncio.create_task(leave(ours.server.node))
            stack.callback(leaving.cancel)
            await knows("ours1", "real1")
            await knows("real1", "ours1")
            real.signal(signal.SIGUSR2)
            await knows("ours1")
            assert mesh.is_whole()

    play(tmp_path, SHAPES["two of ours, our seed"], scene)


def test_quiet_when_whole(tmp_path: Path) -> None:
    """Nobody is dialled, refused or closed once everybody has met."""

    async def scene(mesh: Mesh) -> None:
        real = mesh.members["real1"]
        assert isinstance(real, Theirs)
        before = {str(row["rid"]) for row in real.routes()}
        await asyncio.sleep(2.5)  # longer than any retry
        assert {str(row["rid"]) for row in real.routes()} == before
        assert mesh.is_whole()
        assert "[ERR]" not in real.log()
        assert all(row["compression"] == "off" for row in real.routes())
        assert real.monitor("/varz")["remotes"] == 2

    play(tmp_path, SHAPES["two of ours, a real seed"], scene)


def test_credentials_and_passwords(tmp_path: Path) -> None:
    """Everybody has the same cluster user; who is dialled by gossip is dialled with it."""

    async def run() -> None:
        mesh = Mesh(tmp_path)
        guard = "{user: u, password: p}"
        try:
            await mesh.add("real1", authorization=guard)
            await mesh.add("ours1", "real1", login="u:p@", user="u", password="p")
            await mesh.add("ours2", "ours1", login="u:p@", user="u", password="p")
            await mesh.add("real2", "ours2", login="u:p@", authorization=guard)
            await mesh.whole()
            await all_hear(await clients_of(mesh))
            stranger = await mesh.add("ours3", "ours1", login="u:wrong@", user="u", password="p")
            await asyncio.sleep(1.5)
            assert stranger.seen() == {}
        finally:
            await mesh.clear()

    asyncio.run(run())


@pytest.mark.parametrize(
    "names",
    [("", "CL", ""), ("CL", "", ""), ("", "", "CL"), ("", "", "")],
    ids=["second has a name", "first has a name", "last has a name", "all generated"],
)
def test_generated_cluster_names(tmp_path: Path, names: tuple[str, str, str]) -> None:
    async def run() -> None:
        mesh = Mesh(tmp_path)
        try:
            await mesh.add("real1", title=names[0])
            await mesh.add("ours1", "real1", title=names[1])
            await mesh.add("real2", "ours1", title=names[2])
            await mesh.whole()
            titles = {str(member.monitor("/varz")["cluster"]["name"]) for member in mesh.members.values()  # type: ignore[index]
                      if isinstance(member, Theirs)}  # fmt: skip
            ours = mesh.members["ours1"]
            assert isinstance(ours, Ours)
            assert ours.server is not None
            assert titles == {ours.server.node.cluster_name}
            if "CL" in names:
                assert titles == {"CL"}
            await all_hear(await clients_of(mesh))
        finally:
            await mesh.clear()

    asyncio.run(run())


def test_everybody_dials_everybody(tmp_path: Path) -> None:
    async def scene(mesh: Mesh) -> None:
        names = sorted(mesh.members)
        for name in names:  # one after the other is configured with both others
            await mesh.end(name)
            await until(lambda: not any(name in mesh.members[each].seen() for each in mesh.living), lambda: name)  # noqa: B023
            await mesh.back(name, *(other for other in names if other != name))
            await mesh.whole()
        clients = await clients_of(mesh)
        await all_hear(clients)
        before = {name: mesh.members[name].seen() for name in names}
        await asyncio.sleep(1.5)  # a round of retries
        assert {name: mesh.members[name].seen() for name in names} == before
        await all_hear(clients)

    play(tmp_path, SHAPES["two of ours, a real seed"], scene)
