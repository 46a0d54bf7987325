"""A queue group shares work."""

import asyncio
import contextlib
from collections import Counter

from nats.aio.msg import Msg

from gossamer.operator.up.clients import StepFailed, awaited, collect, flushed
from gossamer.operator.up.steps.place import Place, Verified, check, listed, shares
from gossamer.operator.up.topology import QueueStep, tenant_of


async def queue(step: QueueStep, place: Place) -> Verified:
    """Number the messages, and see who got which: every number once, each member some."""
    counts = await share(
        place, step.user, step.subject, step.group, list(step.members), list(step.publishers), step.messages
    )
    text = (
        f"queue group {step.group!r} shared {step.messages} messages from {listed(step.publishers)}: "
        f"each came once ({shares(counts)})"
    )
    return Verified(text=text)


async def share(
    place: Place, user: str, subject: str, group: str, members: list[str], publishers: list[str], messages: int
) -> dict[str, int]:
    """Send ``messages`` to the group and return how many each member got. Raises StepFailed."""
    labels = [f"{node}/{spot + 1}" if members.count(node) > 1 else node for spot, node in enumerate(members)]
    got: Counter[int] = Counter()
    counts = dict.fromkeys(labels, 0)
    all_here = asyncio.Event()
    clients = []
    for label, node in zip(labels, members, strict=True):
        member = await place.clients.connect(user, node)

        async def take(message: Msg, label: str = label) -> None:
            counts[label] += 1
            got[int(message.data)] += 1
            if got.total() >= messages:
                all_here.set()

        await member.subscribe(subject, queue=group, cb=take)
        clients.append(member)
    # An ordinary listener beside the group tells when all have been sent around; it counts as nobody's share.
    witness = await place.clients.connect(user, publishers[0])
    everything = await witness.subscribe(subject)
    await flushed(witness, *clients)
    for publisher in dict.fromkeys(publishers):
        for node in {*members, publishers[0]} - {publisher}:
            await place.clients.crossing(tenant_of(user), node, publisher)
    senders = [await place.clients.connect(user, node) for node in publishers]
    for number in range(messages):
        await senders[number % len(senders)].publish(subject, str(number).encode())
    await flushed(*senders)
    await collect(everything, messages, f"an ordinary listener beside queue group {group!r}")
    with contextlib.suppress(StepFailed):  # what is missing is said below, with numbers
        await awaited(all_here, "all messages")
    # Whatever was sent twice is on its way still: what the guides send now comes after it.
    for publisher in dict.fromkeys(publishers):
        for node in dict.fromkeys(members):
            await place.clients.crossing(tenant_of(user), node, publisher)
    await flushed(*clients)
    missing = [number for number in range(messages) if got[number] == 0]
    twice = [number for number, count in got.items() if count > 1]
    check(
        not missing, f"queue group {group!r} missed {len(missing)} of {messages} messages, number {missing[:3]} first"
    )
    check(not twice, f"queue group {group!r} got {len(twice)} messages more than once, number {twice[:3]} first")
    idle = [label for label, count in counts.items() if count == 0]
    check(not idle, f"queue group {group!r}: {listed(idle)} got nothing ({shares(counts)})")
    await place.clients.close(witness, *clients, *senders)
    return counts
