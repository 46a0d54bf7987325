"""Two tenants use the same subject and never hear each other."""

from nats.aio.client import Client
from nats.aio.msg import Msg

from gossamer.operator.up.clients import collect, flushed
from gossamer.operator.up.steps.place import Place, Verified, check
from gossamer.operator.up.topology import IsolationStep, tenant_of


async def isolation(step: IsolationStep, place: Place) -> Verified:
    """Both listen on every node that knows both, both speak there; each hears its own messages, all of them, and no
    other."""
    sides = (step.user, step.stranger)
    nodes = place.mesh.topology.homes(*(tenant_of(user) for user in sides))
    listening: dict[tuple[str, str], Client] = {}
    heard: dict[tuple[str, str], list[str]] = {(user, node): [] for user in sides for node in nodes}
    ends = {}
    for user, node in heard:
        client = listening[user, node] = await place.clients.connect(user, node)

        async def take(message: Msg, key: tuple[str, str] = (user, node)) -> None:
            heard[key].append(message.data.decode())

        await client.subscribe(step.subject, cb=take)
        ends[user, node] = await client.subscribe(f"{step.subject}.end")
    await flushed(*listening.values())
    await _crossed(place, sides, nodes)
    # The user speaks first and the stranger after it: what strays has every chance to arrive before the end.
    for user in sides:
        for node in nodes:
            speaker = await place.clients.connect(user, node)
            await speaker.publish(step.subject, f"{user} on {node}".encode())
            await speaker.publish(f"{step.subject}.end", b"end")
            await flushed(speaker)
            await place.clients.close(speaker)
    for (user, node), subscription in ends.items():
        await collect(subscription, len(nodes), f"{user} on {node}, its own tenant's messages")
    # What strays may take another way than what does not: the guides of both tenants go all ways behind it.
    await _crossed(place, sides, nodes)
    await flushed(*listening.values())
    for (user, node), words in heard.items():
        own = sorted(f"{user} on {place_of}" for place_of in nodes)
        strays = [word for word in words if not word.startswith(f"{user} ")]
        check(not strays, f"{user} on {node} heard what is not its tenant's: {strays[:3]}")
        check(sorted(words) == own, f"{user} on {node} heard {sorted(words)} of its own tenant, expected {own}")
    await place.clients.close(*listening.values())
    text = (
        f"{step.stranger} on {len(nodes)} nodes heard nothing of {step.user} on {step.subject}, nor the reverse; "
        f"each heard all {len(nodes)} messages of its own tenant everywhere"
    )
    return Verified(text=text)


async def _crossed(place: Place, users: tuple[str, str], nodes: tuple[str, ...]) -> None:
    for user in users:
        seats = [f"{user}@{node}" for node in nodes]
        await place.clients.seats_crossing(seats, seats)
