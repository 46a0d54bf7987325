"""Each fault does to a running mesh what its name says: without it, the same test would see something else."""

from collections.abc import Awaitable, Callable
from pathlib import PurePosixPath

import pytest
from msgspec import structs

from gossamer.mesh.sim.checks import missing_routes
from gossamer.mesh.sim.client import Client
from gossamer.mesh.sim.mesh import Mesh
from gossamer.mesh.sim.release import NEWEST, V2_8, V2_10, V2_11, Filter, Release
from gossamer.mesh.sim.run import run
from gossamer.mesh.sim.shapes import cluster
from gossamer.mesh.sim.topology import Topology

Test = Callable[[Mesh, Client, Client], Awaitable[None]]


def play(test: Test, topology: Topology | None = None) -> None:
    """The test with a settled mesh of two nodes (or another one), a client at ``n1`` and one at ``n2``."""

    async def scenario(mesh: Mesh) -> None:
        mesh.build(topology or cluster(2))
        await mesh.start()
        one, other = mesh.client("A", "n1"), mesh.client("A", "n2")
        for client in (one, other):
            client.subscribe(f"to.{client.name}")
        await mesh.settle()
        await test(mesh, one, other)
        mesh.heal()

    assert run("fault", scenario, 1).failure == ""


async def flight_s(mesh: Mesh, sender: Client, receiver: Client, *, size: int = 0, limit_s: float = 10.0) -> float:
    """How long a message takes; the limit, if it has not come by then."""
    ear = next(ear for ear in mesh.ledger.ears if ear.client is receiver and ear.ended_ns < 0)
    publication = sender.publish(f"to.{receiver.name}", size=size)
    assert publication is not None
    begun_s = mesh.loop.time()
    while publication.number not in ear.numbers and mesh.loop.time() - begun_s < limit_s:
        await mesh.sleep(0.001)
    return mesh.loop.time() - begun_s


def test_bandwidth() -> None:
    async def test(mesh: Mesh, one: Client, other: Client) -> None:
        assert await flight_s(mesh, one, other, size=50_000) < 0.1
        mesh.network.disturb(*mesh.hosts(["n1", "n2"]))
        mesh.network.shape(*mesh.hosts(["n1", "n2"]), bytes_per_s=50_000)
        assert await flight_s(mesh, one, other, size=50_000) == pytest.approx(1.0, abs=0.1)
        assert await flight_s(mesh, other, one, size=50_000) < 0.1

    play(test)


def test_latency_one_way() -> None:
    async def test(mesh: Mesh, one: Client, other: Client) -> None:
        mesh.network.shape(*mesh.hosts(["n1", "n2"]), latency_ns=300_000_000)
        assert 0.3 < await flight_s(mesh, one, other) < 0.4
        assert await flight_s(mesh, other, one) < 0.1

    play(test)


def test_one_way_partition() -> None:
    async def test(mesh: Mesh, one: Client, other: Client) -> None:
        mesh.network.block(*mesh.hosts(["n1", "n2"]))
        assert await flight_s(mesh, one, other, limit_s=3) >= 3
        assert await flight_s(mesh, other, one) < 0.1
        mesh.heal()
        assert await flight_s(mesh, one, other) < 1

    play(test)


def test_half_open() -> None:
    """The node that was told has dropped the route; the other one finds out only because nothing answers its PING."""

    async def test(mesh: Mesh, one: Client, other: Client) -> None:
        n1, n2 = mesh.members["n1"], mesh.members["n2"]
        mesh.network.disturb(n1.host, n2.host)
        mesh.network.block(n1.host, n2.host)
        mesh.network.block(n2.host, n1.host)
        for end in mesh.connections("n1", "n2"):
            mesh.network.halve(end)
        await mesh.sleep(1)
        assert n1.node is not None
        assert n2.node is not None
        assert n1.node.routes is not None
        assert n2.node.routes is not None
        assert (len(n1.node.routes.routez()), len(n2.node.routes.routez())) == (0, 4)
        await mesh.sleep(25)
        assert len(n2.node.routes.routez()) == 0
        mesh.heal()
        await mesh.settle()

    play(test)


def test_slow_peer() -> None:
    async def test(mesh: Mesh, one: Client, other: Client) -> None:
        mesh.members["n2"].sleep()
        assert await flight_s(mesh, one, other, limit_s=5) >= 5
        mesh.members["n2"].wake()
        assert await flight_s(mesh, one, other) < 0.1

    play(test)


@pytest.mark.parametrize("with_disk", [True, False])
def test_disk_of_a_crashed_node(with_disk: bool) -> None:
    async def test(mesh: Mesh, one: Client, other: Client) -> None:
        member = mesh.members["n2"]
        assert member.node is not None
        member.node.world.disk.make_directory("kept")
        member.node.world.disk.write("kept/file", b"x")
        member.crash()
        await member.start(with_disk=with_disk)
        names = [str(PurePosixPath(name)) for name in member.disk.files]
        assert ("kept/file" in names) is with_disk
        assert member.node.world.disk is member.disk
        await mesh.settle()

    play(test)


def test_clock_skew() -> None:
    """A fast crystal makes a node's timers come early, a skewed clock dates its log wrongly."""
    topology = cluster(2)
    n1, n2 = topology.places
    n2 = structs.replace(n2, skew_ns=86_400_000_000_000, drift_ppm=500_000)

    async def test(mesh: Mesh, one: Client, other: Client) -> None:
        started = {who: text for _, who, text in mesh.journal if "Starting nats-server" in text}
        assert (started["n1"][:10], started["n2"][:10]) == ("2026/01/01", "2026/01/02")
        pings = {"n1": 0, "n2": 0}
        names = {member.host: name for name, member in mesh.members.items()}
        original = mesh.network.passed

        def passed(end: object, data: bytes, last: bool) -> None:
            host = getattr(end, "host", "")
            if host in names and getattr(getattr(end, "peer", None), "host", "") in names:
                pings[names[host]] += data.count(b"PING\r\n")
            original(end, data, last)  # type: ignore[arg-type]

        mesh.network.passed = passed  # type: ignore[method-assign]
        await mesh.sleep(60)
        assert pings["n2"] / pings["n1"] == pytest.approx(1.5, abs=0.1)

    play(test, topology.with_places(n1, n2))


@pytest.mark.parametrize(
    ("release", "routes"), [(NEWEST, 4), (V2_11, 4), (V2_10, 4), (V2_8, 1)], ids=lambda value: str(value)[:0]
)
def test_an_older_release_is_met_as_one(release: Release, routes: int) -> None:
    topology = cluster(2)
    n1, n2 = topology.places

    async def test(mesh: Mesh, one: Client, other: Client) -> None:
        n1 = mesh.members["n1"].node
        assert n1 is not None
        assert n1.routes is not None
        assert len(n1.routes.routez()) == routes
        mesh.members["n2"].install(NEWEST)
        await mesh.members["n2"].stop()
        await mesh.members["n2"].start()
        await mesh.settle()
        assert len(n1.routes.routez()) == 4
        assert missing_routes(mesh.living) == []

    play(test, topology.with_places(n1, structs.replace(n2, release=release)))


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_what_an_older_release_does_not_know(size: int) -> None:
    """Only INFO and CONNECT are changed, however the bytes are cut; a payload that looks like an INFO is not."""
    payload = b'x\r\nINFO {"lnoc":true}\r\n'
    message = b"RMSG $G a %d\r\n%s\r\n" % (len(payload), payload)
    given = [b'INFO {"server_id":"A","lnoc":true,"route_pool_size":3}\r\n', b"RS+ $G a\r\n", message]
    wanted = [b'INFO {"server_id":"A"}\r\n', b"RS+ $G a\r\n", message]
    found: list[tuple[bytes, bool]] = []
    filtering = Filter(V2_8.unsaid, lambda data, last: found.append((data, last)))
    stream = b"".join(given) + b'CONNECT {"lnoc":true,"name":"A"}\r\nPI'
    for at in range(0, len(stream), size):
        filtering.take(stream[at : at + size], at + size >= len(stream))
    assert b"".join(data for data, _ in found) == b"".join(wanted) + b'CONNECT {"name":"A"}\r\nPI'
    assert [last for _, last in found][-1] is True
