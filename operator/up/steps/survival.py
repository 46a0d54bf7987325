"""Every node is killed once, while two clients on other nodes talk to each other: they lose nothing."""

import asyncio

from nats.aio.client import Client
from nats.aio.msg import Msg

from gossamer.operator.up.clients import StepFailed, awaited, flushed
from gossamer.operator.up.steps.place import Place, Verified, check
from gossamer.operator.up.topology import SurvivalStep, tenant_of

_BURST = 20  # messages between two looks at the server, so that the stream lasts through the kill


class Stream:
    """Numbered messages from one node to another, and what arrives of them."""

    def __init__(self, subject: str, publisher: str, subscriber: str, messages: int) -> None:
        self.subject = subject
        self.publisher = publisher
        self.subscriber = subscriber
        self.came: list[int] = []
        self.half_sent = asyncio.Event()
        self.kill_done = asyncio.Event()
        self._messages = messages
        self._all_came = asyncio.Event()

    async def take(self, message: Msg) -> None:
        """The subscriber's callback."""
        self.came.append(int(message.data))
        if len(self.came) >= self._messages:
            self._all_came.set()

    async def send(self, speaker: Client) -> None:
        """Send half, say so, go on sending; the last quarter goes out once the kill is over."""
        for number in range(self._messages):
            if number == self._messages // 2:
                self.half_sent.set()
            if number == 3 * self._messages // 4:
                await self.kill_done.wait()
            await speaker.publish(self.subject, str(number).encode())
            if number % _BURST == 0:
                await flushed(speaker)
        await flushed(speaker)

    async def completed(self, killed: str) -> None:
        """Wait for as many as were sent. Raises StepFailed with what is missing."""
        try:
            await awaited(self._all_came, "")
        except StepFailed:
            missing = sorted(set(range(self._messages)) - set(self.came))
            raise StepFailed(
                f"{len(missing)} of {self._messages} messages {self._way(killed)} were lost, number {missing[:3]} first"
            ) from None

    def verify(self, killed: str) -> None:
        """Every number came, once, in order. Raises StepFailed."""
        whole = self.came == list(range(self._messages))
        check(whole, f"messages {self._way(killed)} came twice or out of order")

    def _way(self, killed: str) -> str:
        return f"from {self.publisher} to {self.subscriber} while {killed} was killed"


async def survival(step: SurvivalStep, place: Place) -> Verified:
    """Kill each node in turn; the first two others carry the streams, one each way."""
    notes = []
    for name, node in place.mesh.nodes.items():
        first, second, *_ = place.mesh.others(name)
        await _one_death(step, place, name, first, second)
        await node.start()
        await place.mesh.whole()
        notes.append(
            f"{name} ({node.kind}) killed: {step.messages} messages from {first} to {second} and as many back, "
            "none lost, all in order; it came back and the mesh is whole"
        )
    text = f"each of {len(place.mesh.nodes)} nodes was killed, and no message between clients on the others was lost"
    return Verified(text=text, notes=tuple(notes))


async def _one_death(step: SurvivalStep, place: Place, victim: str, first: str, second: str) -> None:
    clients, tenant = place.clients, tenant_of(step.user)
    streams = [Stream(f"{step.subject}.{a}.{b}", a, b, step.messages) for a, b in ((first, second), (second, first))]
    opened = []
    speakers = []
    for stream in streams:
        listener = await clients.connect(step.user, stream.subscriber)
        await listener.subscribe(stream.subject, cb=stream.take)
        await flushed(listener)
        await clients.crossing(tenant, stream.subscriber, stream.publisher)
        speakers.append(await clients.connect(step.user, stream.publisher))
        opened += [listener, speakers[-1]]
    async with asyncio.TaskGroup() as group:
        sending = [group.create_task(stream.send(speaker)) for stream, speaker in zip(streams, speakers, strict=True)]
        for stream in streams:
            await stream.half_sent.wait()
        await place.mesh.nodes[victim].kill()
        check(not any(task.done() for task in sending), f"the streams had ended before {victim} was killed")
        for stream in streams:
            stream.kill_done.set()
    for stream in streams:
        await stream.completed(victim)
        # Whatever comes twice comes before what the guide sends now.
        await clients.crossing(tenant, stream.subscriber, stream.publisher)
    await flushed(*opened)
    for stream in streams:
        stream.verify(victim)
    await clients.close(*opened)
