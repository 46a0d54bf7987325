"""Queue groups that lose and regain members, and groups of services behind an import: checks that take a mesh."""

from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import nats
import pytest
from meshes import Mesh
from nats.aio.msg import Msg
from traffic import Crowd, Listener, all_hear, until, until_answered, work_is_taken


async def groups_fail_over(mesh: Mesh) -> None:
    """The members of one cluster or node leave: its work is taken elsewhere, each message once. They come back: it
    stays near again. In a mesh that is one cluster a node's members leave."""
    homes = mesh.pairing.homes
    alone = len(homes) == 1
    for leaving in mesh.nodes if alone else homes:
        gone = [leaving] if alone else [place.name for place in mesh.pairing.of_home(leaving)]
        async with Crowd(mesh) as crowd:
            clients = await crowd.everywhere()
            members = {
                name: await Listener().on(each, f"jobs.{crowd.token}", "workers") for name, each in clients.items()
            }
            publishers = {name: clients[name] for name in gone}
            await all_hear(crowd, clients)
            if not alone:
                assert await _who_takes(crowd, publishers, members) <= set(gone), f"members in {leaving}"
            for name in gone:
                await members[name].off(clients[name])
            await all_hear(crowd, clients, "gone")
            takers = await _who_takes(crowd, publishers, members)
            assert takers.isdisjoint(gone), f"{takers} without members in {leaving}"
            for name in gone:
                await members[name].on(clients[name], f"jobs.{crowd.token}", "workers")
            await all_hear(crowd, clients, "back")
            if not alone:
                assert await _who_takes(crowd, publishers, members) <= set(gone), f"members back in {leaving}"
            await all_hear(crowd, clients, "end")


async def _who_takes(crowd: Crowd, publishers: dict[str, nats.NATS], members: dict[str, Listener]) -> set[str]:
    """The members that took some work, of which each piece was taken once."""
    for each in members.values():
        each.got.clear()
    await work_is_taken(f"jobs.{crowd.token}", publishers, members, 30)
    return {name for name, each in members.items() if each.got}


async def imported_groups(mesh: Mesh) -> None:
    """Account B asks a service of A that has members on every node: each request is heard and answered once."""
    async with Crowd(mesh) as crowd:
        services, askers = await crowd.everywhere(), await crowd.everywhere("b")
        asked: Counter[bytes] = Counter()

        async def answer(message: Msg) -> None:
            asked[message.data] += 1
            await message.respond(b"answer to " + message.data)

        for client in services.values():
            await client.subscribe(f"svc.{crowd.token}", "group", cb=answer)
        await all_hear(crowd, services)
        for name, asker in askers.items():
            await until_answered(asker, f"do.{crowd.token}", name)
            asked.clear()
            for number in range(20):
                data = f"{name} {number}".encode()
                assert (await asker.request(f"do.{crowd.token}", data, timeout=5)).data == b"answer to " + data
            await until(lambda: len(asked) >= 20, lambda: asked)
        await all_hear(crowd, services, "end")
        assert set(asked.values()) == {1}


async def nobody_answers_imports(mesh: Mesh) -> None:
    """A request of B to a service of A that nobody has ends at once, before one came and after it has gone."""
    async with Crowd(mesh) as crowd:
        services, askers = await crowd.everywhere(), await crowd.everywhere("b")
        shared = {name: asker for name, asker in askers.items() if mesh.nodes[name].place.shares}
        for name, asker in shared.items():
            with pytest.raises(nats.errors.NoRespondersError):
                await asker.request(f"do.{crowd.token}{name}", b"", timeout=5)
        for name, client in services.items():
            gone = await client.subscribe(f"svc.{crowd.token}", cb=_answer)
            for other, asker in shared.items():
                await until_answered(asker, f"do.{crowd.token}", f"{other} asks {name}")
            await gone.unsubscribe()
            await all_hear(crowd, services, name)
            for asker in shared.values():
                with pytest.raises(nats.errors.NoRespondersError):
                    await asker.request(f"do.{crowd.token}", b"", timeout=5)


async def _answer(message: Msg) -> None:
    await message.respond(b"answer")


MEMBER_CHECKS: Sequence[Callable[[Mesh], Awaitable[None]]] = (
    groups_fail_over,
    imported_groups,
    nobody_answers_imports,
)
