"""The simulator must notice what it is there to notice: each invariant is violated on purpose here."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from gossamer.mesh.sim.client import Client
from gossamer.mesh.sim.ledger import Ear
from gossamer.mesh.sim.mesh import Mesh
from gossamer.mesh.sim.run import run
from gossamer.mesh.sim.shapes import cluster
from gossamer.mesh.sim.wire import End

Test = Callable[[Mesh, Client, Client], Awaitable[None]]


def judged(test: Test) -> str:
    """What is said about a mesh of two nodes, a publisher at one, subscribers at the other, after that test."""

    async def scenario(mesh: Mesh) -> None:
        mesh.build(cluster(2))
        await mesh.start()
        speaker, listener = mesh.client("A", "n1"), mesh.client("A", "n2")
        listener.subscribe("t.>")
        await mesh.settle()
        await test(mesh, speaker, listener)

    return run("judged", scenario, 1).failure


def ear_of(mesh: Mesh, client: Client) -> Ear:
    return next(ear for ear in mesh.ledger.ears if ear.client is client)


async def nothing(mesh: Mesh, speaker: Client, listener: Client) -> None:
    for _ in range(20):
        speaker.publish("t.1")
    await mesh.sleep(1)
    assert len(ear_of(mesh, listener).numbers) == 20


async def lost(mesh: Mesh, speaker: Client, listener: Client) -> None:
    for end in mesh.connections("n1", "n2"):
        end.send = lambda data: None  # type: ignore[method-assign]
    speaker.publish("t.1")


async def doubled(mesh: Mesh, speaker: Client, listener: Client) -> None:
    def twice(end: End) -> Callable[[bytes], None]:
        original = end.send

        def send(data: bytes) -> None:
            original(data)
            original(data)

        return send

    for end in mesh.connections("n1", "n2"):
        end.send = twice(end)  # type: ignore[method-assign]
    speaker.publish("t.1")
    await mesh.sleep(0.1)


async def disordered(mesh: Mesh, speaker: Client, listener: Client) -> None:
    first, second = (mesh.ledger.publish(speaker, "t.1") for _ in range(2))
    ear = ear_of(mesh, listener)
    mesh.ledger.deliver(ear, "t.1", second.number)
    mesh.ledger.deliver(ear, "t.1", first.number)


async def foreign(mesh: Mesh, speaker: Client, listener: Client) -> None:
    stranger = mesh.client("B", "n1")
    await stranger.ready()
    mesh.ledger.deliver(ear_of(mesh, listener), "t.1", mesh.ledger.publish(stranger, "t.1").number)


async def unheard_of(mesh: Mesh, speaker: Client, listener: Client) -> None:
    mesh.ledger.deliver(ear_of(mesh, listener), "t.1", 77)


async def group_twice(mesh: Mesh, speaker: Client, listener: Client) -> None:
    other = mesh.client("A", "n1")
    await other.ready()
    ears = [mesh.ledger.listen(client, "t.*", "q", 9) for client in (listener, other)]
    number = mesh.ledger.publish(speaker, "t.1").number
    for ear in ears:
        mesh.ledger.deliver(ear, "t.1", number)


async def group_not_at_all(mesh: Mesh, speaker: Client, listener: Client) -> None:
    mesh.ledger.listen(listener, "t.1", "q", 9)  # nobody tells the node of it
    await mesh.settle()
    speaker.publish("t.1")


async def closed(mesh: Mesh, speaker: Client, listener: Client) -> None:
    await mesh.sleep(5)
    await mesh.settle()
    node = mesh.members["n1"].node
    assert node is not None
    assert node.routes is not None
    node.engine.close(node.routes.routez()[0].rid, reason=1)
    await mesh.sleep(0.1)


async def not_whole(mesh: Mesh, speaker: Client, listener: Client) -> None:
    mesh.members["n2"].crash()
    await mesh.members["n2"].start()
    mesh.part(["n1"], ["n2"])
    await mesh.settle(20)


async def interest_unforgotten(mesh: Mesh, speaker: Client, listener: Client) -> None:
    wish = listener.subscribe("more")
    await mesh.settle()
    for end in mesh.connections("n2", "n1"):
        end.send = lambda data: None  # type: ignore[method-assign]
    listener.unsubscribe(wish)
    await mesh.settle(3)


async def round_and_round(mesh: Mesh, speaker: Client, listener: Client) -> None:
    """Two nodes that give each other a message for ever, and nobody to hear it."""
    ends = mesh.connections("n1", "n2")

    def send() -> None:
        for end in ends:
            end.send(b"RMSG A nobody 1\r\n1\r\n")
        mesh.loop.call_later(0.1, send)

    send()


async def interest_unknown(mesh: Mesh, speaker: Client, listener: Client) -> None:
    for end in mesh.connections("n2", "n1"):
        end.send = lambda data: None  # type: ignore[method-assign]
    listener.subscribe("more")
    await mesh.settle(3)


async def mistake(mesh: Mesh, speaker: Client, listener: Client) -> None:
    asyncio.get_running_loop().call_soon(lambda: [][0])
    await mesh.sleep(0.1)


@pytest.mark.parametrize(
    ("test", "text"),
    [
        (lost, "never heard message 1"),
        (doubled, "message 1 (c1 on t.1 at"),
        (disordered, ") after message 2 ("),
        (foreign, "not meant for it"),
        (unheard_of, "which nobody published"),
        (group_twice, "of its group had heard before"),
        (group_not_at_all, "nobody of the queue group ('A', 't.1', 'q') heard message 1"),
        (closed, "for no reason"),
        (not_whole, "n1 has [] to n2"),
        (interest_unknown, "n1 lacks 1 of n2's interest"),
        (interest_unforgotten, "n1 still has 1 of n2's interest"),
        (round_and_round, "b'RMSG A nobody 1' still goes from 10.0.0.2 to 10.0.0.3"),
        (mistake, "IndexError"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_it_is_noticed(test: Test, text: str) -> None:
    assert text in judged(test)


def test_nothing_is_said_of_a_mesh_that_works() -> None:
    assert judged(nothing) == ""
