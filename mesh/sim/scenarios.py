"""Scenarios by name: each builds a mesh, hurts it, heals it, and says when it must be whole.

What must hold for every message is the ledger's, at all times and at the end. Sizes, shapes and moments come from the
mesh's chance, so that every seed is another mesh.
"""

from typing import Final

from msgspec import structs

from gossamer.mesh.sim.crowd import Crowd
from gossamer.mesh.sim.faults import Chaos
from gossamer.mesh.sim.mesh import Mesh
from gossamer.mesh.sim.oracle import Crossing
from gossamer.mesh.sim.release import NEWEST, OLDER
from gossamer.mesh.sim.run import Scenario
from gossamer.mesh.sim.shapes import cluster, with_compression
from gossamer.mesh.sim.topology import SHARING, Topology

SCENARIOS: Final[dict[str, Scenario]] = {}
_DAY_NS: Final = 86_400 * 1_000_000_000
#: What routes and leaf nodes may be told.
COMPRESSIONS: Final = ("off", "accept", "s2_fast", "s2_better", "s2_best", "s2_auto")
_SHAPES: Final = ("star", "chain", "ring", "full")


def scenario(function: Scenario) -> Scenario:
    """Register it under its own name."""
    SCENARIOS[function.__name__] = function
    return function


def _some_cluster(mesh: Mesh, low: int, high: int, **fields: str) -> Topology:
    chance = mesh.chance.fork("topology")
    return cluster(
        chance.between(low, high), shape=chance.choose(_SHAPES), pool_size=chance.choose([-1, 1, 3, 3, 3, 5]), **fields
    )


async def _running(mesh: Mesh, low: int, high: int) -> Crowd:
    """A cluster of some size that has settled, with a crowd that talks."""
    mesh.build(_some_cluster(mesh, low, high))
    await mesh.start(within_s=mesh.chance.choose([0.0, 0.01, 2.0]))
    crowd = Crowd(mesh)
    mesh.figures["settle_s"] = await mesh.settle()
    crowd.begin()
    return crowd


async def at_last(mesh: Mesh, crowd: Crowd, seconds: float = 90.0) -> None:
    """No more faults: it must become whole, and then everything must arrive."""
    mesh.heal()
    for member in mesh.members.values():
        if not member.alive:
            await member.start()
    mesh.figures["heal_s"] = await mesh.settle(seconds)
    await crowd.stop()
    await crowd.probe()


@scenario
async def gathering(mesh: Mesh) -> None:
    """Nodes that start in any order, over any configured shape, find each other."""
    crowd = await _running(mesh, 3, 12)
    await mesh.sleep(3)
    await at_last(mesh, crowd)


@scenario
async def rolling_restart(mesh: Mesh) -> None:
    """One node after the other goes and comes back: in good order, as a lame duck, or killed."""
    crowd = await _running(mesh, 3, 7)
    chance = mesh.chance
    for member in list(mesh.members.values()):
        await mesh.sleep(chance.uniform(0.1, 1))
        way = chance.choose(["stop", "leave", "crash", "dark"])
        mesh.note(f"{member.name}: {way}")
        if way == "stop":
            await member.stop()
        elif way == "leave":
            await member.leave()
        else:
            member.crash(dark=way == "dark")
        await mesh.sleep(chance.uniform(0, 2))
        await member.start(with_disk=chance.happens(0.5))
        if chance.happens(0.5):
            await mesh.settle()
    await at_last(mesh, crowd)


@scenario
async def partition(mesh: Mesh) -> None:
    """The cluster falls apart into two groups, each of which must be whole in itself, and comes together again."""
    crowd = await _running(mesh, 4, 8)
    chance = mesh.chance
    names = chance.sample(list(mesh.members), len(mesh.members))
    at = chance.between(1, len(names) - 1)
    mesh.part(names[:at], names[at:])
    await mesh.sleep(chance.choose([0.5, 5.0, 30.0, 60.0]))
    await at_last(mesh, crowd)


@scenario
async def one_way(mesh: Mesh) -> None:
    """Some directions between nodes are blocked, the opposite ones are not."""
    crowd = await _running(mesh, 3, 6)
    chance = mesh.chance
    hosts = mesh.hosts(list(mesh.members))
    for _ in range(chance.between(1, 4)):
        one, other = chance.sample(hosts, 2)
        mesh.note(f"blocked: {one} to {other}")
        mesh.network.block(one, other)
        await mesh.sleep(chance.uniform(0, 3))
    await mesh.sleep(chance.choose([1.0, 10.0, 40.0]))
    await at_last(mesh, crowd)


@scenario
async def broken_connections(mesh: Mesh) -> None:
    """Single connections of the pools are cut or become half-open; nodes do not go."""
    crowd = await _running(mesh, 3, 6)
    chance = mesh.chance
    for _ in range(chance.between(3, 12)):
        one, other = chance.sample(list(mesh.members), 2)
        ends = mesh.connections(one, other)
        if ends:
            end = chance.choose(ends)
            half = chance.happens(0.5)
            mesh.note(f"connection {end.number} of {one} and {other} {'half-open' if half else 'cut'}")
            (mesh.network.halve if half else mesh.network.cut)(end)
        await mesh.sleep(chance.choose([0.0, 0.01, 0.3, 3.0]))
    await at_last(mesh, crowd)


@scenario
async def slow_peer(mesh: Mesh) -> None:
    """A node on a thin line, and one that sleeps: the others must not suffer."""
    crowd = await _running(mesh, 4, 6)
    chance = mesh.chance
    slow, sleeper, *others = chance.sample(list(mesh.members), len(mesh.members))
    for other in [sleeper, *others]:
        source, target = mesh.hosts([other, slow])
        mesh.network.disturb(source, target)
        mesh.network.shape(source, target, bytes_per_s=chance.choose([2_000, 20_000, 200_000]))
    for _ in range(2):
        mesh.note(f"{sleeper} sleeps")
        mesh.members[sleeper].sleep()
        await mesh.sleep(chance.choose([0.5, 3.0, 25.0]))
        mesh.members[sleeper].wake()
        mesh.note(f"{sleeper} wakes")
        await mesh.sleep(chance.uniform(0, 5))
    await at_last(mesh, crowd)


@scenario
async def lame_duck(mesh: Mesh) -> None:
    """A node sends its clients elsewhere; they must be served by the others without delay."""
    crowd = await _running(mesh, 3, 5)
    member = mesh.chance.choose(mesh.living)
    await member.leave()
    await mesh.settle()
    await mesh.sleep(1)
    await at_last(mesh, crowd)


@scenario
async def wrong_clocks(mesh: Mesh) -> None:
    """The nodes' times of day are up to a day apart and their crystals are off, while one after the other restarts."""
    chance = mesh.chance.fork("clocks")
    topology = _some_cluster(mesh, 3, 6)
    places = [
        structs.replace(
            place, skew_ns=chance.between(-_DAY_NS, _DAY_NS), drift_ppm=chance.choose([-5000, -100, 0, 100, 5000])
        )
        for place in topology.places
    ]
    mesh.build(structs.replace(topology, places=tuple(places)))
    await mesh.start(within_s=1.0)
    crowd = Crowd(mesh)
    await mesh.settle()
    crowd.begin()
    for member in list(mesh.members.values()):
        await mesh.sleep(chance.uniform(0, 15))
        member.crash()
        await mesh.sleep(chance.uniform(0, 2))
        await member.start()
    await mesh.sleep(20)
    await at_last(mesh, crowd)


@scenario
async def rolling_upgrade(mesh: Mesh) -> None:
    """A cluster of older releases that is brought to the newest one, node by node; half of the time it is given up
    in the middle, and the nodes go back."""
    chance = mesh.chance.fork("upgrade")
    topology = _some_cluster(mesh, 3, 6)
    old = chance.choose(OLDER)
    mesh.build(
        topology.with_places(
            *(structs.replace(place, release=chance.choose([old, old, NEWEST])) for place in topology.places)
        )
    )
    await mesh.start(within_s=1.0)
    crowd = Crowd(mesh)
    mesh.figures["settle_s"] = await mesh.settle()
    crowd.begin()
    members = list(mesh.members.values())
    path = [(member, NEWEST) for member in members]
    if chance.happens(0.5):
        del path[chance.between(1, len(path)) :]
        path += [(member, old) for member, _ in reversed(path)]
    for member, release in path:
        mesh.note(f"{member.name} becomes {release.name}")
        member.install(release)
        await (member.leave() if chance.happens(0.5) else member.stop())
        await mesh.sleep(chance.uniform(0, 2))
        await member.start()
        if chance.happens(0.5):
            await mesh.settle()
    await at_last(mesh, crowd)


@scenario
async def compressed(mesh: Mesh) -> None:
    """Nodes that compress as they are told, each in another way; connections break, nodes restart."""
    chance = mesh.chance.fork("compression")
    mesh.build(with_compression(_some_cluster(mesh, 3, 5), COMPRESSIONS, chance.choose))
    await mesh.start(within_s=chance.choose([0.0, 2.0]))
    crowd = Crowd(mesh)
    mesh.figures["settle_s"] = await mesh.settle()
    crowd.begin(pause_s=0.02)
    for _ in range(chance.between(2, 5)):
        one, other = chance.sample(list(mesh.members), 2)
        for end in mesh.connections(one, other):
            if chance.happens(0.5):
                (mesh.network.halve if chance.happens(0.5) else mesh.network.cut)(end)
        await mesh.sleep(chance.uniform(0, 2))
        if chance.happens(0.5):
            member = mesh.members[one]
            member.crash()
            await member.start()
        await mesh.sleep(chance.uniform(0, 2))
    await at_last(mesh, crowd)


@scenario
async def far_apart(mesh: Mesh) -> None:
    """Nodes at distances of their own, farther one way than the other and some on thin lines: nothing else is wrong."""
    chance = mesh.chance.fork("distance")
    mesh.build(_some_cluster(mesh, 3, 7))
    hosts = mesh.hosts(list(mesh.members))
    for one in hosts:
        for other in hosts:
            if one != other:
                latency_ns = chance.choose([100_000, 2_000_000, 40_000_000, 150_000_000])
                mesh.network.shape(one, other, latency_ns=latency_ns, bytes_per_s=chance.choose([0, 0, 2_000_000]))
    await mesh.start(within_s=chance.choose([0.0, 3.0]))
    crowd = Crowd(mesh)
    mesh.figures["settle_s"] = await mesh.settle()
    crowd.begin(pause_s=0.02)
    await mesh.sleep(5)
    member = chance.choose(mesh.living)
    member.crash()
    await mesh.sleep(chance.uniform(0, 5))
    await member.start()
    await mesh.settle()
    await mesh.sleep(5)
    await crowd.stop()
    await mesh.settle()
    await crowd.probe()


@scenario
async def chaos(mesh: Mesh) -> None:
    """Any fault at any time to some of the nodes, while others are left alone and must not notice."""
    crowd = await _running(mesh, 4, 9)
    chance = mesh.chance
    victims = chance.sample(list(mesh.members), chance.between(1, len(mesh.members) - 2))
    faults = Chaos(mesh, victims)
    for _ in range(chance.between(5, 25)):
        await faults.strike()
        await mesh.sleep(chance.choose([0.0, 0.02, 0.5, 2.0, 8.0]))
    await at_last(mesh, crowd, 150.0)


@scenario
async def sharing(mesh: Mesh) -> None:
    """Services and streams imported across nodes, through restarts: each request answered once, each event once."""
    crossings = [Crossing("A", "ev.", "B", "in.ev."), Crossing("B", "ask.", "A", "svc.")]
    mesh.build(_some_cluster(mesh, 2, 5, accounts=SHARING), crossings=crossings)
    await mesh.start(within_s=0.5)
    chance = mesh.chance.fork("sharing")
    names = list(mesh.members)
    exporters = [mesh.client("A", chance.choose(names)) for _ in range(chance.between(1, 3))]
    importers = [mesh.client("B", chance.choose(names)) for _ in range(chance.between(1, 4))]
    strangers = [mesh.client("C", chance.choose(names)) for _ in range(2)]
    for client in exporters:
        client.subscribe("svc.*", "servers", answers=True)
    for client in importers:
        client.subscribe(chance.choose(["in.ev.>", "in.ev.1", "in.ev.*", "in.>"]))
        client.subscribe("in.ev.*", "workers")
        client.subscribe(f"{client.inbox}.>")
    for client in strangers:
        client.subscribe(">")

    async def talk() -> None:
        for _ in range(30):
            for client in exporters:
                client.publish(f"ev.{chance.below(3)}")
            for client in importers:
                client.request(f"ask.{chance.below(3)}")
            await mesh.sleep(0.02)

    await mesh.settle()
    await talk()
    for _ in range(chance.between(0, 3)):
        member = chance.choose(mesh.living)
        member.crash(dark=chance.happens(0.3))
        await talk()
        await member.start()
        await talk()
        await mesh.settle()
        await talk()
    await mesh.settle()
    await talk()
