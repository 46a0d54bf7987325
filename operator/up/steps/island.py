"""The edge is cut off and lives on by itself; then it rejoins."""

import asyncio
import time

from nats.aio.client import Client
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from gossamer.operator.up.clients import PATIENCE_S, StepFailed, collect, flushed
from gossamer.operator.up.steps.place import Place, Verified, check
from gossamer.operator.up.steps.request import ask
from gossamer.operator.up.topology import IslandStep

_POLL_S = 0.03


async def island(step: IslandStep, place: Place) -> Verified:
    """Messages inside and across, before the cut, while it lasts and after it."""
    service = place.services[step.service].plan
    inside, outside = await place.clients.seat(step.inside), await place.clients.seat(step.outside)
    within, without = await inside.subscribe(step.subject), await outside.subscribe(step.subject)
    await flushed(inside, outside)
    await _joined(step, place)
    await _exchange(step, "before the cut", inside, outside, within, without)
    await ask(inside, step.service, service.subject, "are you there?")

    wires = place.mesh.wiring.leaf_wires(step.cluster)
    place.mesh.relay.cut(wires)
    await _until_apart(step, place)
    await _unheard(outside, f"{step.subject}.probe", step.outside)
    for number in range(step.messages):
        await inside.publish(step.subject, f"inside {number}".encode())
        await outside.publish(step.subject, f"outside {number}".encode())
        await ask(inside, step.service, service.subject, f"question {number} of the island")
    await flushed(inside, outside)
    for subscription, side in ((within, "inside"), (without, "outside")):
        await _only(subscription, side, step.messages)

    begin = time.monotonic()
    place.mesh.relay.mend(wires)
    await place.mesh.whole()
    await _joined(step, place)
    rejoined_s = time.monotonic() - begin
    await _exchange(step, "rejoined", inside, outside, within, without)
    await place.clients.close(inside, outside)
    text = (
        f"{step.cluster} was cut off: inside, {step.messages} requests to {step.service!r} were answered and "
        f"{step.messages} messages heard, none passed to or from {step.outside}; it rejoined within {rejoined_s:.1f} s "
        "and messages pass both ways, each once"
    )
    return Verified(text=text)


async def _joined(step: IslandStep, place: Place) -> None:
    await place.clients.seats_crossing([step.inside], [step.outside])
    await place.clients.seats_crossing([step.outside], [step.inside])


async def _until_apart(step: IslandStep, place: Place) -> None:
    """Both ends of a cut line see it at once, but each on its own. Raises StepFailed."""
    names = [plan.name for plan in place.mesh.topology.cluster_named(step.cluster).nodes]
    try:
        async with asyncio.timeout(PATIENCE_S):
            for name in names:
                while await place.mesh.nodes[name].hubs():  # noqa: ASYNC110 - another process: only asking tells
                    await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise StepFailed(f"{step.cluster} still has leaf links after they were cut") from None


async def _unheard(client: Client, subject: str, who: str) -> None:
    """Nobody outside answers for the island. Raises StepFailed."""
    try:
        reply = await client.request(subject, b"anybody?", timeout=PATIENCE_S)
    except NoRespondersError:
        return
    except (NatsError, TimeoutError) as error:
        raise StepFailed(f"{who} asked on {subject} and was not told that nobody is there: {error!r}") from None
    raise StepFailed(f"{who} asked on {subject} and was answered {reply.data!r}")


async def _only(subscription: Subscription, side: str, count: int) -> None:
    """It hears what its own side has sent, all of it and nothing else. Raises StepFailed."""
    came = await collect(subscription, count, f"messages on the {side} while cut off")
    words = [message.data.decode() for message in came]
    check(words == [f"{side} {number}" for number in range(count)], f"the {side} heard {words[:3]} while cut off")
    check(subscription.pending_msgs == 0, f"the {side} heard more than was sent there while cut off")


async def _exchange(
    step: IslandStep, when: str, inside: Client, outside: Client, within: Subscription, without: Subscription
) -> None:
    """One message from each side, heard once on both. Raises StepFailed."""
    for speaker, side in ((inside, "inside"), (outside, "outside")):
        await speaker.publish(step.subject, f"{side}, {when}".encode())
        await flushed(speaker)
        for subscription, where in ((within, step.inside), (without, step.outside)):
            (message,) = await collect(subscription, 1, f"{where}, {when}")
            check(message.data.decode() == f"{side}, {when}", f"{where} heard {message.data!r} {when}")
