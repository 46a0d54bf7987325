"""Scenarios of accounts: what they share, over gateways and leaf links; many at once, some on routes of their own.

At the edges' places accounts import nothing, so that everything shared crosses a leaf link first or last.
"""

import json
from collections.abc import Sequence
from typing import Final

from gossamer.mesh.sim.client import Client
from gossamer.mesh.sim.crowd import Crowd
from gossamer.mesh.sim.faults import Chaos
from gossamer.mesh.sim.federation import set_distances
from gossamer.mesh.sim.mesh import Broken, Mesh
from gossamer.mesh.sim.oracle import Crossing
from gossamer.mesh.sim.scenarios import COMPRESSIONS, at_last, scenario
from gossamer.mesh.sim.shapes import cluster, supercluster, with_compression, with_hub, with_leafs, with_pinned
from gossamer.mesh.sim.topology import PLAIN, TIMED_SHARING, LeafPlan, Topology

#: What ``SHARING`` and ``TIMED_SHARING`` let cross.
CROSSINGS: Final = (Crossing("A", "ev.", "B", "in.ev."), Crossing("B", "ask.", "A", "svc."))
_SETTLE_S: Final = 200.0


class _Market:
    """Exporters of account A, importers of B, strangers of C, and who hears how long answers took."""

    def __init__(self, mesh: Mesh, exporters: Sequence[str], importers: Sequence[str], others: Sequence[str]) -> None:
        """The names of the places where there is one of each."""
        self._mesh = mesh
        self._chance = mesh.chance.fork("market")
        self.records: list[bytes] = []
        self.exporters = [mesh.client("A", name) for name in exporters]
        self.importers = [mesh.client("B", name) for name in importers]
        for client in self.exporters:
            client.subscribe("svc.*", "servers", answers=True)
        self.exporters[0].subscribe("lat.svc", records=self.records)
        for client in self.importers:
            client.subscribe(self._chance.choose(["in.ev.>", "in.ev.1", "in.ev.*", "in.>"]))
            client.subscribe("in.ev.*", "workers")
            client.subscribe(f"{client.inbox}.>")
        for name in others:
            mesh.client("C", name).subscribe(">")

    async def talk(self, rounds: int = 15) -> int:
        """Everybody asks and tells; returns how many requests there were."""
        asked = 0
        for _ in range(rounds):
            for client in self.exporters:
                client.publish(f"ev.{self._chance.below(3)}")
            for client in self.importers:
                asked += client.request(f"ask.{self._chance.below(3)}") is not None
            await self._mesh.sleep(0.02)
        return asked

    async def settled_talk(self) -> None:
        """In a mesh that is whole: one record of latency for each request, beside what the ledger demands."""
        await self._mesh.settle(_SETTLE_S)
        await self._mesh.sleep(3)
        self.records.clear()
        asked = await self.talk()
        await self._mesh.sleep(3)
        told = [json.loads(record) for record in self.records]
        if len({each["id"] for each in told}) != asked or len(told) != asked:
            raise Broken(self._mesh.report(f"{asked} requests were asked, {len(told)} records tell of them"))
        if not all(each["status"] == 200 and each["total"] > 0 for each in told):
            raise Broken(self._mesh.report(f"a record is not of an answer: {told}"))


def _sharing_hub(mesh: Mesh) -> Topology:
    """A cluster, or some joined by gateways, whose accounts share."""
    chance = mesh.chance.fork("hub")
    if chance.happens(0.4):
        return cluster(chance.between(1, 3), accounts=TIMED_SHARING)
    return supercluster([chance.between(1, 2) for _ in range(chance.between(2, 3))], accounts=TIMED_SHARING)


@scenario
async def shared_by_edges(mesh: Mesh) -> None:
    """Services and streams imported in one cluster, used and offered in others and behind leaf links, some of which
    are compressed; nodes and edges go and come back."""
    hub = _sharing_hub(mesh)
    chance = mesh.chance.fork("edges")
    names = hub.names
    topology = with_hub(hub)
    for account, prefix in (("A", "seller"), ("B", "buyer"), ("C", "other")):
        plan = LeafPlan(to=(chance.choose(names),), account=account, hub_account=account)
        topology = with_leafs(topology, chance.between(1, 2), [plan], prefix=prefix, accounts=PLAIN)
    topology = with_compression(topology, COMPRESSIONS if chance.happens(0.5) else ["off"], chance.choose)
    mesh.build(topology, crossings=CROSSINGS)
    set_distances(mesh, topology)
    await mesh.start(within_s=chance.choose([0.0, 2.0]))
    edges = {
        prefix: [name for name in topology.names if name.startswith(prefix)] for prefix in ("seller", "buyer", "other")
    }
    market = _Market(
        mesh,
        [chance.choose(names), *edges["seller"][: chance.between(0, 2)]],
        [chance.choose(names), *edges["buyer"]],
        [chance.choose(names), *edges["other"]],
    )
    await market.settled_talk()
    for _ in range(chance.between(1, 3)):
        member = chance.choose(mesh.living)
        mesh.note(f"{member.name} goes")
        member.crash(dark=chance.happens(0.3))
        await market.talk()
        await mesh.sleep(chance.choose([0.0, 3.0]))
        await member.start()
        await market.talk()
    await market.settled_talk()


@scenario
async def many_accounts(mesh: Mesh) -> None:
    """Eight tenants at once over a pool of routes, two of them on routes of their own; any fault, and all heals."""
    chance = mesh.chance.fork("accounts")
    names = [f"T{number}" for number in range(1, 9)]
    lines = "\n".join(f"  {name}: {{ users: [ {{ user: {name.lower()}, password: p }} ] }}" for name in names)
    accounts = f"accounts {{\n{lines}\n}}\n"
    if chance.happens(0.5):
        topology = cluster(chance.between(3, 5), accounts=accounts, pool_size=chance.choose([1, 3, 5]))
    else:
        topology = supercluster([chance.between(1, 3) for _ in range(2)], accounts=accounts)
    if chance.happens(0.7):
        topology = with_pinned(topology, *chance.sample(names, 2))
    topology = with_compression(topology, COMPRESSIONS if chance.happens(0.3) else ["off"], chance.choose)
    mesh.build(topology)
    await mesh.start(within_s=chance.choose([0.0, 1.0]))
    crowd = Crowd(mesh, accounts=names, at=chance.sample(topology.names, min(3, len(topology.names))))
    await mesh.settle(_SETTLE_S)
    crowd.begin()
    faults = Chaos(mesh, chance.sample(topology.names, max(1, len(topology.names) - 2)), connected=True)
    for _ in range(chance.between(3, 10)):
        await faults.strike()
        await mesh.sleep(chance.choose([0.02, 0.5, 2.0]))
    await at_last(mesh, crowd, 240.0)


@scenario
async def clients_of_edges(mesh: Mesh) -> None:
    """A queue group with members at the hubs and behind leaf links, who come and go: each message once, and near."""
    chance = mesh.chance.fork("edges")
    hub = supercluster([chance.between(1, 2), chance.between(1, 2)]) if chance.happens(0.5) else cluster(2)
    topology = with_hub(hub)
    for number in range(chance.between(1, 3)):
        to = (chance.choose(hub.names),)
        topology = with_leafs(topology, 1, [LeafPlan(to=to)], prefix=f"edge{number}-", hub=number == 0)
    if chance.happens(0.5):
        topology = with_leafs(topology, 1, [LeafPlan(to=("edge0-1",))], prefix="far")
    mesh.build(topology)
    set_distances(mesh, topology)
    await mesh.start(within_s=0.5)
    speakers = [mesh.client("A", name) for name in topology.names]
    await mesh.settle(_SETTLE_S)
    workers: list[Client] = []
    for _ in range(chance.between(4, 8)):
        worker = mesh.client("A", chance.choose(topology.names))
        await worker.ready()
        wish = worker.subscribe("job.*", "crew", answers=True)
        worker.subscribe(f"{worker.inbox}.>")
        if workers and chance.happens(0.3):
            worker.unsubscribe(wish)
        else:
            workers.append(worker)
        for _ in range(chance.between(0, 10)):
            chance.choose(speakers).publish(f"job.{chance.below(3)}")
            await mesh.sleep(0.005)
        await mesh.settle(_SETTLE_S)
        for _ in range(16):
            for speaker in speakers:
                speaker.publish(f"job.{chance.below(3)}")
            chance.choose(workers).request(f"job.{chance.below(3)}")
            await mesh.sleep(0.01)
        await mesh.sleep(2.1)
