"""The steps over several clusters, walked where what they promise is not so: each says what was seen instead.

One real server stands for the whole mesh where it can: a step that judges what clients hear needs no more to fail.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gossamer.operator.failure import Failure
from gossamer.operator.up import addresses, reading
from gossamer.operator.up.clients import Clients, StepFailed
from gossamer.operator.up.node_configuration import write_all
from gossamer.operator.up.node_process import program
from gossamer.operator.up.running_mesh import RunningMesh
from gossamer.operator.up.service import RunningService
from gossamer.operator.up.steps.events import Listener, events
from gossamer.operator.up.steps.island import island
from gossamer.operator.up.steps.nearest import all_by, answered_by, by_distance
from gossamer.operator.up.steps.place import Place
from gossamer.operator.up.steps.withdrawal import withdrawal
from gossamer.operator.up.topology import EventsStep, IslandStep, WithdrawalStep
from gossamer.operator.up.trust import Trust
from gossamer.operator.up.wiring import ports_needed, wire

SINGLE = """
description = "for tests"
operator = "test"
nodes = [{ name = "n1", kind = "nats-server" }]
tenants = [{ name = "shop", users = [{ name = "one" }, { name = "two" }] }]
services = [
    { name = "near", user = "shop/one", node = "n1", subject = "ask" },
    { name = "far", user = "shop/one", node = "n1", subject = "elsewhere" },
]
"""

#: A leaf, with somebody who carries messages past the relay: see below.
LEAF = """
description = "for tests"
operator = "test"
tenants = [{ name = "shop", users = [{ name = "one" }] }]
services = [{ name = "printer", user = "shop/one", node = "leaf", subject = "print" }]

[[clusters]]
name = "hub"
nodes = [{ name = "hub", kind = "nats-server" }]

[[clusters]]
name = "edge"
nodes = [{ name = "leaf", kind = "nats-server" }]
remotes = [{ hub = "hub", tenant = "shop", user = "shop/one" }]
"""


@contextlib.asynccontextmanager
async def a_place(folder: Path, text: str) -> AsyncIterator[Place]:
    try:
        program("nats-server")
    except Failure as failure:
        pytest.skip(failure.line())
    path = folder / "topology.toml"
    path.write_text(text)
    topology = reading.read(path)
    trust = Trust(topology, folder / "trust")
    trust.issue()
    places, ports = addresses.free(topology.node_names, ports_needed(topology))
    wiring = wire(topology, places, iter(ports))
    configurations = write_all(topology, places, wiring, trust, folder)
    async with RunningMesh(topology, places, configurations, wiring=wiring) as mesh:
        await mesh.start()
        await mesh.whole()
        clients = Clients(trust.credentials, lambda name: mesh.nodes[name].address.client_url)
        services = {plan.name: RunningService(plan) for plan in topology.services}
        try:
            for service in services.values():
                await service.start(clients)
            yield Place(mesh=mesh, trust=trust, clients=clients, services=services)
        finally:
            await clients.close_all()


def test_another_service_than_the_nearest_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gossamer.operator.up.steps.nearest.PATIENCE_S", 0.3)

    async def tell() -> None:
        async with a_place(tmp_path, SINGLE) as place:
            customer = await place.clients.seat("shop/two@n1")
            assert await answered_by(customer, "ask", "near", "two") < 0.3
            assert await all_by(customer, "ask", "near", 5, "two") > 0
            with pytest.raises(StepFailed, match="near #7 answered two on ask, though 'far' is nearer"):
                await all_by(customer, "ask", "far", 5, "two")
            with pytest.raises(StepFailed, match="expected an answer of 'far' on ask; in the end 'near' answered"):
                await answered_by(customer, "ask", "far", "two")
            with pytest.raises(StepFailed, match="expected an answer of 'far' on void; in the end 'nobody' answered"):
                await answered_by(customer, "void", "far", "two")

    asyncio.run(tell())


def test_the_nearest_is_that_of_the_own_cluster_then_the_next() -> None:
    topology = reading.read(reading.find("three-clouds"))

    def names(subject: str, seat: str) -> list[str]:
        return [plan.name for plan in by_distance(topology, subject, seat)]

    assert names("orders.place", "shop/customer@london-2") == ["orders-london", "orders-paris", "orders-rome"]
    assert names("orders.place", "shop/customer@rome-3") == ["orders-rome", "orders-paris", "orders-london"]
    assert names("orders.place", "till/cashier@corner-1") == ["orders-paris", "orders-london", "orders-rome"]
    assert names("stock.count", "shop/customer@london-1") == ["stock-paris", "stock-rome"]


class Event:
    """A message as a publisher of the step sends it."""

    def __init__(self, publisher: str, number: int) -> None:
        self.data = f"{publisher} {number}".encode()


@pytest.mark.parametrize(
    ("heard", "says"),
    [
        ([("a", 0), ("a", 1), ("a", 1)], "s heard 1 events of a more than once"),
        ([("a", 1), ("a", 0)], "s heard the events of a out of order"),
        ([("a", 0)], "s heard the events of a out of order"),
        ([("a", 0), ("a", 1), ("b", 0)], "s heard what .'b'. sent, which is not for it"),
    ],
)
def test_events_that_are_not_heard_just_once_are_told(heard: list[tuple[str, int]], says: str) -> None:
    listener = Listener("s", 2)
    for publisher, number in heard:
        asyncio.run(listener.take(Event(publisher, number)))  # type: ignore[arg-type]
    with pytest.raises(StepFailed, match=says):
        listener.verify(("a",), 2)


def test_events_that_do_not_come_or_stray_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = EventsStep(subject="news", publishers=("shop/one@n1",), subscribers=("shop/two@n1",), messages=20)
    straying = EventsStep(
        subject="news", publishers=("shop/one@n1",), subscribers=("shop/two@n1",), strangers=("shop/one@n1",)
    )

    async def tell() -> None:
        async with a_place(tmp_path, SINGLE) as place:
            assert "each event once and in order" in (await events(step, place)).text
            # A stranger of the same tenant hears them.
            with pytest.raises(StepFailed, match=r"shop/one@n1 heard what \['shop/one@n1'\] sent, which is not for it"):
                await events(straying, place)
            monkeypatch.setattr("gossamer.operator.up.clients.PATIENCE_S", 0.2)
            with pytest.raises(StepFailed, match="s heard 0 of 1 events"):
                await Listener("s", 1).completed()

    asyncio.run(tell())


def test_interest_that_is_not_withdrawn_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = WithdrawalStep(subject="status", responder="shop/one@n1", askers=("shop/two@n1",))

    async def tell() -> None:
        async with a_place(tmp_path, SINGLE) as place:
            assert "nobody is there" in (await withdrawal(step, place)).text
            monkeypatch.setattr("gossamer.operator.up.steps.withdrawal.PATIENCE_S", 0.3)
            # Somebody's interest in it remains, though nobody answers.
            lingering = await place.clients.connect("shop/two", "n1")
            await lingering.subscribe("status")
            await lingering.flush()
            with pytest.raises(StepFailed, match=r"not told within 0 s that nobody is there on status"):
                await withdrawal(step, place)

    asyncio.run(tell())


def test_an_island_that_is_none_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = IslandStep(
        cluster="edge",
        inside="shop/one@leaf",
        outside="shop/one@hub",
        subject="news",
        service="printer",
        messages=5,
    )

    async def tell() -> None:
        async with a_place(tmp_path, LEAF) as place:
            assert "was cut off" in (await island(step, place)).text
            # Somebody carries what is said inside to the outside, past the links that are cut.
            inside, outside = await place.clients.seat("shop/one@leaf"), await place.clients.seat("shop/one@hub")
            smuggled = await inside.subscribe("news")
            await inside.flush()

            async def carry() -> None:
                async for message in smuggled.messages:
                    if message.data.startswith(b"inside ") and place.mesh.relay.connections(wires[0]) == 0:
                        await outside.publish("news", message.data)

            wires = place.mesh.wiring.leaf_wires("edge")
            carrying = asyncio.create_task(carry())
            with pytest.raises(StepFailed, match="the outside heard "):
                await island(step, place)
            carrying.cancel()
            await asyncio.gather(carrying, return_exceptions=True)
            # Links that are not cut at all.
            place.mesh.relay.mend(wires)
            await place.mesh.whole()
            monkeypatch.setattr(place.mesh.relay, "cut", lambda names: None)
            monkeypatch.setattr("gossamer.operator.up.steps.island.PATIENCE_S", 0.2)
            with pytest.raises(StepFailed, match="edge still has leaf links after they were cut"):
                await island(step, place)

    asyncio.run(tell())


def test_a_mesh_that_is_not_whole_says_what_is_missing(tmp_path: Path) -> None:
    async def tell() -> None:
        async with a_place(tmp_path, LEAF) as place:
            assert await place.mesh.gaps() == []
            await place.mesh.nodes["hub"].kill()
            async with asyncio.timeout(10):
                while "leaf has 0 of 1 leaf links" not in await place.mesh.gaps():  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.02)
            await place.mesh.nodes["hub"].start()
            await place.mesh.whole()

    asyncio.run(tell())
