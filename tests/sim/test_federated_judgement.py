"""As in ``test_judgement``, with gateways and a leaf node: each invariant is violated on purpose."""

from collections.abc import Awaitable, Callable

import pytest

from gossamer.mesh.sim.client import Client
from gossamer.mesh.sim.mesh import Mesh
from gossamer.mesh.sim.run import run
from gossamer.mesh.sim.shapes import supercluster, with_hub, with_leafs
from gossamer.mesh.sim.topology import LeafPlan

Test = Callable[[Mesh, dict[str, Client]], Awaitable[None]]
NAMES = ("c1-1", "c2-1", "edge1")


def judged(test: Test) -> str:
    """What is said about two clusters of one node and a leaf node below the first, with a client of A at each."""

    async def scenario(mesh: Mesh) -> None:
        plan = LeafPlan(to=("c1-1",), deny_exports=("secret",))
        mesh.build(with_leafs(with_hub(supercluster([1, 1]), "c1-1"), 1, [plan], prefix="edge"))
        await mesh.start()
        clients = {name: mesh.client("A", name) for name in NAMES}
        for client in clients.values():
            client.subscribe("t.>")
            client.subscribe("secret")
        await mesh.settle()
        await test(mesh, clients)

    return run("judged", scenario, 1).failure


def swallow(mesh: Mesh, one: str, other: str) -> None:
    for end in mesh.connections(one, other):
        end.send = lambda data: None  # type: ignore[method-assign]


async def nothing(mesh: Mesh, clients: dict[str, Client]) -> None:
    for client in clients.values():
        client.publish("t.1")
        client.publish("secret")
    await mesh.sleep(1)
    heard = {
        name: sum(len(ear.numbers) for ear in mesh.ledger.ears if ear.client is client)
        for name, client in clients.items()
    }
    assert heard == {"c1-1": 5, "c2-1": 5, "edge1": 6}  # what edge1 says in secret stays there


async def lost_at_a_gateway(mesh: Mesh, clients: dict[str, Client]) -> None:
    swallow(mesh, "c1-1", "c2-1")
    clients["c1-1"].publish("t.1")


async def lost_at_a_leaf(mesh: Mesh, clients: dict[str, Client]) -> None:
    swallow(mesh, "c1-1", "edge1")
    clients["c2-1"].publish("t.1")


async def far_though_near(mesh: Mesh, clients: dict[str, Client]) -> None:
    ears = {name: mesh.ledger.listen(client, "t.*", "q", 9) for name, client in clients.items()}
    mesh.ledger.settled_ns = mesh.loop.now_ns
    number = mesh.ledger.publish(clients["c1-1"], "t.1").number
    mesh.ledger.deliver(ears["c2-1"], "t.1", number)


async def group_twice(mesh: Mesh, clients: dict[str, Client]) -> None:
    ears = [mesh.ledger.listen(clients[name], "t.*", "q", 9) for name in ("c2-1", "edge1")]
    number = mesh.ledger.publish(clients["c1-1"], "t.1").number
    for ear in ears:
        mesh.ledger.deliver(ear, "t.1", number)


async def what_is_denied(mesh: Mesh, clients: dict[str, Client]) -> None:
    ear = next(ear for ear in mesh.ledger.ears if ear.at == "c1-1" and ear.subject == "secret")
    mesh.ledger.deliver(ear, "secret", mesh.ledger.publish(clients["edge1"], "secret").number)


async def no_gateway(mesh: Mesh, clients: dict[str, Client]) -> None:
    mesh.members["c2-1"].crash()
    mesh.part(["c1-1"], ["c2-1"])
    await mesh.members["c2-1"].start()
    await mesh.settle(20)


async def no_leaf(mesh: Mesh, clients: dict[str, Client]) -> None:
    mesh.members["edge1"].crash()
    mesh.part(["c1-1"], ["edge1"])
    await mesh.members["edge1"].start()
    await mesh.settle(20)


def unheard(one: str, other: str) -> Test:
    """What a client at one wants, the other is not told."""

    async def test(mesh: Mesh, clients: dict[str, Client]) -> None:
        swallow(mesh, one, other)
        clients[one].subscribe("more")
        await mesh.settle(3)

    return test


def unforgotten(one: str, other: str) -> Test:
    """What a client at one wants no more, the other is not told."""

    async def test(mesh: Mesh, clients: dict[str, Client]) -> None:
        wish = clients[one].subscribe("more")
        await mesh.settle()
        swallow(mesh, one, other)
        clients[one].unsubscribe(wish)
        await mesh.settle(3)

    return test


@pytest.mark.parametrize(
    ("test", "text"),
    [
        (lost_at_a_gateway, "never heard message 1"),
        (lost_at_a_leaf, "never heard message 1"),
        (far_though_near, "is near"),
        (group_twice, "of its group had heard before"),
        (what_is_denied, "not meant for it"),
        (no_gateway, "c1-1 has 0 outbound gateways to c2"),
        (no_leaf, "edge1 has leaf connections {}, not {'c1': 1}"),
        (unheard("c2-1", "c1-1"), "c1-1 lacks 1 of what A wants beyond c2-1: (b'more', b'')"),
        (unheard("edge1", "c1-1"), "c1-1 lacks 1 of what A wants beyond edge1: (b'more', b'')"),
        (unheard("c1-1", "edge1"), "edge1 lacks 1 of what A wants beyond c1-1: (b'more', b'')"),
        (unforgotten("c2-1", "c1-1"), "c1-1 still has 1 that A wants beyond c2-1: (b'more', b'')"),
        (unforgotten("edge1", "c1-1"), "c1-1 still has 1 that A wants beyond edge1: (b'more', b'')"),
        (unforgotten("c1-1", "edge1"), "edge1 still has 1 that A wants beyond c1-1: (b'more', b'')"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_is_noticed(test: Test, text: str) -> None:
    assert text in judged(test)


def test_nothing_is_said_of_a_federation_that_works() -> None:
    assert judged(nothing) == ""
