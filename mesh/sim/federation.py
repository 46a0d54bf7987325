"""Scenarios over several clusters: gateways between them, leaf nodes behind them, everything broken by seed.

Sizes and shapes come from the mesh's chance, as in ``scenarios``. Clusters are some tens of milliseconds apart.
"""

from collections.abc import Sequence

from msgspec import structs

from gossamer.mesh.sim.crowd import Crowd
from gossamer.mesh.sim.faults import Chaos
from gossamer.mesh.sim.mesh import Mesh
from gossamer.mesh.sim.release import NEWEST, V2_10, V2_11
from gossamer.mesh.sim.scenarios import COMPRESSIONS, at_last, scenario
from gossamer.mesh.sim.shapes import cluster, supercluster, with_compression, with_hub, with_leafs
from gossamer.mesh.sim.topology import LeafPlan, Topology

_MILLISECOND_NS = 1_000_000
#: A cluster that was given up is tried again after two minutes.
_SETTLE_S = 200.0


def _some_supercluster(mesh: Mesh, *, high: int = 4) -> Topology:
    """Two clusters and up; now and then, as large as 6 x 5."""
    chance = mesh.chance.fork("topology")
    if chance.happens(0.03):
        sizes = [chance.between(3, 5) for _ in range(chance.between(4, 6))]
    else:
        sizes = [chance.between(1, 3) for _ in range(chance.between(2, high))]
    return supercluster(
        sizes,
        shape=chance.choose(["full", "full", "star", "chain", "ring"]),
        inner=chance.choose(["star", "full"]),
        pool_size=chance.choose([1, 3, 3]),
        known=chance.choose([1, 2, 5]),
    )


def _some_leafs(mesh: Mesh, topology: Topology) -> Topology:
    """Leaf nodes of every sort behind that topology's nodes."""
    chance = mesh.chance.fork("leafs")
    topology = with_hub(topology)
    clusters = sorted({place.cluster for place in topology.places})

    def hubs() -> tuple[str, ...]:
        """One node, or all, of one of the clusters."""
        name = chance.choose(clusters)
        names = [place.name for place in topology.places if place.cluster == name]
        return tuple(names) if chance.happens(0.6) else (chance.choose(names),)

    def plans() -> list[LeafPlan]:
        """One account, or both; to the account of the same name, or crossed."""
        to = hubs()
        crossed = chance.happens(0.2)
        found = [LeafPlan(to=to, account="A", hub_account="B" if crossed else "A")]
        if chance.happens(0.4):
            found.append(LeafPlan(to=to, account="B", hub_account="A" if crossed else "B"))
        return found

    for number in range(chance.between(1, 3)):
        topology = with_leafs(
            topology,
            chance.between(1, 2),
            [structs.replace(plan, deny_exports=("t.3",)) if chance.happens(0.2) else plan for plan in plans()],
            prefix=f"edge{number}-",
            hub=chance.happens(0.5),
        )
    if chance.happens(0.5):
        topology = with_leafs(topology, chance.between(2, 3), plans(), prefix="branch", cluster_name="branch")
    middles = [place.name for place in topology.places if place.hub and place.remotes]
    if middles and chance.happens(0.7):
        to = (chance.choose(middles),)
        topology = with_leafs(topology, 1, [LeafPlan(to=to)], prefix="far")
    return topology


def set_distances(mesh: Mesh, topology: Topology) -> None:
    """Nodes of one cluster are near each other, all others farther apart, and not equally far both ways."""
    chance = mesh.chance.fork("distances")
    between: dict[tuple[str, str], int] = {}
    for one in topology.places:
        for other in topology.places:
            areas = (one.cluster or one.name, other.cluster or other.name)
            if areas[0] == areas[1]:
                continue
            latency_ns = between.setdefault(areas, chance.choose([2, 10, 40, 80]) * _MILLISECOND_NS)
            mesh.network.shape(one.host, other.host, latency_ns=latency_ns)


async def _running(mesh: Mesh, topology: Topology, *, at: Sequence[str] = ()) -> Crowd:
    mesh.build(topology)
    set_distances(mesh, topology)
    await mesh.start(within_s=mesh.chance.choose([0.0, 0.01, 2.0]))
    names = list(at) or _some(mesh, list(mesh.members), 12)
    crowd = Crowd(mesh, at=names)
    mesh.figures["settle_s"] = await mesh.settle(_SETTLE_S)
    crowd.begin(pause_s=0.05)
    await mesh.sleep(1)
    return crowd


def _some(mesh: Mesh, names: list[str], limit: int) -> list[str]:
    return names if len(names) <= limit else mesh.chance.fork("some").sample(names, limit)


async def _restart(mesh: Mesh, names: Sequence[str]) -> None:
    """These members go, each in some way, and come back."""
    chance = mesh.chance
    for name in names:
        member = mesh.members[name]
        way = chance.choose(["stop", "leave", "crash", "dark"])
        mesh.note(f"{name}: {way}")
        if way == "stop":
            await member.stop()
        elif way == "leave":
            await member.leave()
        else:
            member.crash(dark=way == "dark")
    await mesh.sleep(chance.choose([0.0, 0.5, 5.0]))
    for name in names:
        await mesh.members[name].start(with_disk=chance.happens(0.5))


@scenario
async def clusters_gather(mesh: Mesh) -> None:
    """Clusters that know each other as a chain, a star or not at all but through others become a full mesh."""
    crowd = await _running(mesh, _some_supercluster(mesh))
    await mesh.sleep(3)
    await at_last(mesh, crowd, _SETTLE_S)


@scenario
async def clusters_restart(mesh: Mesh) -> None:
    """One node after the other, or whole clusters at once, go and come back."""
    topology = _some_supercluster(mesh)
    crowd = await _running(mesh, topology)
    chance = mesh.chance
    if chance.happens(0.5):
        groups = [[name] for name in chance.sample(topology.names, min(5, len(topology.names)))]
    else:
        clusters = sorted({place.cluster for place in topology.places})
        groups = [
            [place.name for place in topology.places if place.cluster == name]
            for name in chance.sample(clusters, min(2, len(clusters) - 1))
        ]
    for group in groups:
        await _restart(mesh, group)
        if chance.happens(0.5):
            await mesh.settle(_SETTLE_S)
            await mesh.sleep(1)
    await at_last(mesh, crowd, _SETTLE_S)


@scenario
async def clusters_part(mesh: Mesh) -> None:
    """Some clusters are cut off from the others, both ways or one; within each everything goes on."""
    topology = _some_supercluster(mesh)
    crowd = await _running(mesh, topology)
    chance = mesh.chance
    clusters = sorted({place.cluster for place in topology.places})
    away = set(chance.sample(clusters, chance.between(1, len(clusters) - 1)))
    ones = [place.host for place in topology.places if place.cluster in away]
    others = [place.host for place in topology.places if place.cluster not in away]
    way = chance.choose(["both", "both", "out", "in"])
    mesh.note(f"{sorted(away)} cut off: {way}")
    for one in ones:
        for other in others:
            if way != "in":
                mesh.network.block(one, other)
            if way != "out":
                mesh.network.block(other, one)
    await mesh.sleep(chance.choose([0.5, 5.0, 30.0]))
    await at_last(mesh, crowd, _SETTLE_S)


@scenario
async def clusters_chaos(mesh: Mesh) -> None:
    """Any fault at any time to some nodes of a supercluster; between the others everything must arrive."""
    topology = _some_supercluster(mesh)
    crowd = await _running(mesh, topology)
    await _chaos(mesh, mesh.chance.sample(topology.names, mesh.chance.between(1, max(1, len(topology.names) // 2))))
    await at_last(mesh, crowd, 240.0)


@scenario
async def workers_move(mesh: Mesh) -> None:
    """A queue group whose members come and go in several clusters: each message once, near while there is a member."""
    topology = _some_supercluster(mesh, high=3)
    mesh.build(topology)
    set_distances(mesh, topology)
    await mesh.start(within_s=0.5)
    chance = mesh.chance.fork("workers")
    speakers = [mesh.client("A", name) for name in _some(mesh, topology.names, 5)]
    await mesh.settle(_SETTLE_S)
    workers = []
    for _ in range(chance.between(4, 10)):
        worker = mesh.client("A", chance.choose(topology.names))
        await worker.ready()
        workers.append((worker, worker.subscribe("job.*", "crew")))
        if len(workers) > 1 and chance.happens(0.4):
            worker, wish = workers.pop(chance.below(len(workers)))
            worker.unsubscribe(wish)
        for _ in range(chance.between(0, 20)):
            chance.choose(speakers).publish(f"job.{chance.below(3)}")
            await mesh.sleep(0.005)
        await mesh.settle(_SETTLE_S)
        for _ in range(10):
            for speaker in speakers:
                speaker.publish(f"job.{chance.below(3)}")
            await mesh.sleep(0.01)
        await mesh.sleep(2.1)


@scenario
async def edges_gather(mesh: Mesh) -> None:
    """A hub cluster with leaf nodes, a leaf cluster and leafs of leafs, started in any order."""
    topology = _some_leafs(mesh, cluster(mesh.chance.fork("hub").between(1, 3)))
    crowd = await _running(mesh, topology)
    await mesh.sleep(2)
    await at_last(mesh, crowd, _SETTLE_S)


@scenario
async def edges_compressed(mesh: Mesh) -> None:
    """Hubs and leaf nodes that compress as they are told, each in another way, and restart."""
    topology = _some_leafs(mesh, cluster(mesh.chance.fork("hub").between(1, 3)))
    topology = with_compression(topology, COMPRESSIONS, mesh.chance.fork("compression").choose)
    crowd = await _running(mesh, topology)
    for name in mesh.chance.sample(topology.names, min(3, len(topology.names))):
        await _restart(mesh, [name])
        await mesh.sleep(mesh.chance.choose([0.0, 3.0]))
    await at_last(mesh, crowd, _SETTLE_S)


@scenario
async def edges_restart(mesh: Mesh) -> None:
    """Hubs and leaf nodes go and come back; the edge works on by itself meanwhile."""
    topology = _some_leafs(mesh, cluster(mesh.chance.fork("hub").between(1, 3)))
    crowd = await _running(mesh, topology)
    for name in mesh.chance.sample(topology.names, min(4, len(topology.names))):
        await _restart(mesh, [name])
        await mesh.sleep(mesh.chance.choose([0.0, 3.0]))
        if mesh.chance.happens(0.4):
            await mesh.settle(_SETTLE_S)
            await mesh.sleep(1)
    await at_last(mesh, crowd, _SETTLE_S)


@scenario
async def edges_part(mesh: Mesh) -> None:
    """Edges are cut off from their hubs for a while, both ways or one, and come back."""
    topology = _some_leafs(mesh, cluster(mesh.chance.fork("hub").between(1, 3)))
    crowd = await _running(mesh, topology)
    chance = mesh.chance
    edges = [place.host for place in topology.places if place.remotes]
    for _ in range(chance.between(1, 3)):
        edge = chance.choose(edges)
        way = chance.choose(["both", "both", "out", "in"])
        mesh.note(f"{edge} cut off: {way}")
        for host in mesh.hosts(topology.names):
            if host != edge and way != "in":
                mesh.network.block(edge, host)
            if host != edge and way != "out":
                mesh.network.block(host, edge)
        await mesh.sleep(chance.choose([0.5, 5.0, 30.0]))
        if chance.happens(0.5):
            mesh.heal()
            await mesh.sleep(chance.uniform(0, 3))
    await at_last(mesh, crowd, _SETTLE_S)


@scenario
async def many_edges(mesh: Mesh) -> None:
    """A hub with many leaf nodes (in one run of ten with hundreds), a node of which dies."""
    chance = mesh.chance
    count = chance.choose([10, 20, 20, 30, 30, 40, 40, 60, 60, 200])
    hub = with_hub(cluster(chance.between(2, 3)))
    names = tuple(hub.names)
    topology = with_leafs(hub, count, [LeafPlan(to=names)])
    crowd = await _running(mesh, topology, at=[*names, *chance.sample(topology.names[len(names) :], 8)])
    await _restart(mesh, [chance.choose(names)])
    await at_last(mesh, crowd, _SETTLE_S)


@scenario
async def federation_chaos(mesh: Mesh) -> None:
    """A supercluster with edges behind it, leaf clusters and leafs of leafs; any fault to some of the nodes."""
    topology = _some_leafs(mesh, _some_supercluster(mesh, high=3))
    crowd = await _running(mesh, topology)
    await _chaos(mesh, mesh.chance.sample(topology.names, mesh.chance.between(1, len(topology.names) // 2)))
    await at_last(mesh, crowd, 240.0)


@scenario
async def federation_upgrade(mesh: Mesh) -> None:
    """A supercluster with edges in which older releases are replaced, node by node."""
    chance = mesh.chance.fork("upgrade")
    topology = _some_leafs(mesh, _some_supercluster(mesh, high=3))
    topology = topology.with_places(
        *(structs.replace(place, release=chance.choose([V2_10, V2_11, NEWEST])) for place in topology.places)
    )
    crowd = await _running(mesh, topology)
    for name in chance.sample(topology.names, min(6, len(topology.names))):
        member = mesh.members[name]
        member.install(NEWEST)
        mesh.note(f"{name} becomes newest")
        await (member.leave() if chance.happens(0.5) else member.stop())
        await mesh.sleep(chance.uniform(0, 2))
        await member.start()
        if chance.happens(0.4):
            await mesh.settle(_SETTLE_S)
            await mesh.sleep(1)
    await at_last(mesh, crowd, _SETTLE_S)


async def _chaos(mesh: Mesh, victims: Sequence[str]) -> None:
    faults = Chaos(mesh, victims, connected=True)
    chance = mesh.chance
    for _ in range(chance.between(5, 20)):
        await faults.strike()
        await mesh.sleep(chance.choose([0.0, 0.02, 0.5, 2.0, 8.0]))
