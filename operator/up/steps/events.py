"""A tenant's events are heard everywhere, each of them once."""

import asyncio

from nats.aio.client import Client
from nats.aio.msg import Msg

from gossamer.operator.up.clients import StepFailed, awaited, flushed
from gossamer.operator.up.steps.place import Place, Verified, check
from gossamer.operator.up.topology import EventsStep

_BURST = 50  # events between two looks at the server


class Listener:
    """What one seat has heard: the numbers from each publisher, in the order of their arrival."""

    def __init__(self, seat: str, expected: int) -> None:
        self.seat = seat
        self.heard: dict[str, list[int]] = {}
        self.all_here = asyncio.Event()
        self._expected = expected
        self._count = 0

    async def take(self, message: Msg) -> None:
        """The callback of its subscription."""
        publisher, _, number = message.data.decode().partition(" ")
        self.heard.setdefault(publisher, []).append(int(number))
        self._count += 1
        if self._count >= self._expected:
            self.all_here.set()

    async def completed(self) -> None:
        """Wait for as many as were sent. Raises StepFailed."""
        try:
            await awaited(self.all_here, "")
        except StepFailed:
            raise StepFailed(f"{self.seat} heard {self._count} of {self._expected} events") from None

    def verify(self, publishers: tuple[str, ...], messages: int) -> None:
        """Each event once, those of one publisher in order. Raises StepFailed."""
        for publisher in publishers:
            numbers = self.heard.get(publisher, [])
            twice = len(numbers) - len(set(numbers))
            check(not twice, f"{self.seat} heard {twice} events of {publisher} more than once")
            check(numbers == list(range(messages)), f"{self.seat} heard the events of {publisher} out of order")
        strays = sorted(set(self.heard) - set(publishers))
        check(not strays, f"{self.seat} heard what {strays} sent, which is not for it")


async def events(step: EventsStep, place: Place) -> Verified:
    """All publishers speak at once; everybody listens."""
    expected = len(step.publishers) * step.messages
    listeners = [Listener(seat, expected) for seat in step.subscribers]
    strangers = [Listener(seat, 1) for seat in step.strangers]
    opened = []
    for listener in (*listeners, *strangers):
        client = await place.clients.seat(listener.seat)
        await client.subscribe(step.subject, cb=listener.take)
        opened.append(client)
    await flushed(*opened)
    await place.clients.seats_crossing(step.subscribers, step.publishers)
    await place.clients.seats_crossing(step.strangers, step.strangers)
    speakers = {seat: await place.clients.seat(seat) for seat in step.publishers}
    async with asyncio.TaskGroup() as group:
        for seat, speaker in speakers.items():
            group.create_task(_speak(speaker, seat, step))
    for listener in listeners:
        await listener.completed()
    # Whatever comes twice, or astray, comes before what the guides send now.
    await place.clients.seats_crossing(step.subscribers, step.publishers)
    await place.clients.seats_crossing(step.strangers, step.strangers)
    await flushed(*opened)
    for listener in listeners:
        listener.verify(step.publishers, step.messages)
    for listener in strangers:
        listener.verify((), 0)
    await place.clients.close(*opened, *speakers.values())
    text = (
        f"{step.messages} events from each of {len(step.publishers)} publishers were heard by {len(listeners)} "
        "subscribers in {clusters}, each event once and in order"
    )
    clusters = dict.fromkeys(place.mesh.topology.cluster_of(seat.partition("@")[2]).name for seat in step.subscribers)
    if strangers:
        text += f"; {len(strangers)} strangers on the same subject heard nothing"
    return Verified(text=text.format(clusters=", ".join(clusters)))


async def _speak(speaker: Client, seat: str, step: EventsStep) -> None:
    for number in range(step.messages):
        await speaker.publish(step.subject, f"{seat} {number}".encode())
        if number % _BURST == 0:
            await flushed(speaker)
    await flushed(speaker)
