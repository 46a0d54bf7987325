"""Scenarios as large as the promise: clusters of up to 50 nodes, superclusters of 3 x 3 to 6 x 5."""

from gossamer.mesh.sim.crowd import Crowd
from gossamer.mesh.sim.faults import Chaos
from gossamer.mesh.sim.federation import set_distances
from gossamer.mesh.sim.mesh import Mesh
from gossamer.mesh.sim.scenarios import at_last, scenario
from gossamer.mesh.sim.shapes import cluster, supercluster
from gossamer.mesh.sim.topology import Topology

_SETTLE_S = 200.0
#: So many places have clients.
_SPOKEN_AT = 8


async def _running(mesh: Mesh, topology: Topology) -> Crowd:
    mesh.build(topology)
    set_distances(mesh, topology)
    await mesh.start(within_s=mesh.chance.choose([0.0, 2.0]))
    names = mesh.chance.sample(topology.names, min(_SPOKEN_AT, len(topology.names)))
    crowd = Crowd(mesh, at=names)
    mesh.figures["settle_s"] = await mesh.settle(_SETTLE_S)
    crowd.begin(pause_s=0.1)
    await mesh.sleep(1)
    return crowd


async def _hurt(mesh: Mesh, topology: Topology) -> None:
    """Restarts one after the other, a partition, or any fault."""
    chance = mesh.chance
    what = chance.choose(["restart", "part", "chaos"])
    mesh.note(what)
    if what == "restart":
        for name in chance.sample(topology.names, 3):
            member = mesh.members[name]
            await (member.stop() if chance.happens(0.5) else member.leave())
            await mesh.sleep(chance.uniform(0, 1))
            await member.start(with_disk=chance.happens(0.5))
    elif what == "part":
        names = chance.sample(topology.names, len(topology.names))
        at = chance.between(1, len(names) - 1)
        mesh.part(names[:at], names[at:])
        await mesh.sleep(chance.choose([2.0, 20.0]))
    else:
        faults = Chaos(mesh, chance.sample(topology.names, 5), connected=True)
        for _ in range(6):
            await faults.strike()
            await mesh.sleep(chance.choose([0.0, 0.5, 3.0]))


@scenario
async def large_cluster(mesh: Mesh) -> None:
    """13 to 50 nodes in one cluster."""
    chance = mesh.chance.fork("size")
    topology = cluster(chance.choose([13, 13, 16, 16, 20, 20, 25, 25, 32, 50]), shape=chance.choose(["star", "ring"]))
    crowd = await _running(mesh, topology)
    await _hurt(mesh, topology)
    await at_last(mesh, crowd, _SETTLE_S)


@scenario
async def large_supercluster(mesh: Mesh) -> None:
    """3 x 3 to 6 x 5, joined by gateways."""
    chance = mesh.chance.fork("size")
    count, size = chance.choose([(3, 3), (3, 3), (3, 4), (3, 5), (4, 3), (4, 4), (5, 3), (6, 3), (5, 5), (6, 5)])
    topology = supercluster([size] * count, shape=chance.choose(["full", "star", "ring"]))
    crowd = await _running(mesh, topology)
    await _hurt(mesh, topology)
    await at_last(mesh, crowd, _SETTLE_S)
