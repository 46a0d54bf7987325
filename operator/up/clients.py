"""The clients of a mesh: nats-py with credentials, and the two questions that a tour asks again and again.

Has interest crossed? Routes, gateways and leaf links carry an account's interest in the order in which it arose. So
when a subscription made *later* on one node is heard from another, all earlier ones of that account are known there
too. Every tenant has a guide (``topology.GUIDE``) for just that, and nothing needs to sleep and hope.
"""

import asyncio
import contextlib
import itertools
from collections.abc import Callable, Iterable
from typing import Any

import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from gossamer.auth.credentials import Credentials
from gossamer.operator.up.topology import GUIDE, seated, tenant_of

PATIENCE_S = 10.0
_PROBE_S = 0.02
_CONNECT_TIMEOUT_S = 5


class StepFailed(Exception):
    """A step of the tour did not hold; the text says what was seen instead."""


class Voices:
    """What a client was told outside of its subscriptions: errors, and where it has reconnected to."""

    def __init__(self) -> None:
        self.errors: asyncio.Queue[str] = asyncio.Queue()
        self.reconnected = asyncio.Event()

    async def on_error(self, error: Exception) -> None:
        """Called by nats-py."""
        self.errors.put_nowait(str(error))

    async def on_reconnected(self) -> None:
        """Called by nats-py."""
        self.reconnected.set()


class Clients:
    """Opens clients and closes them all at the end."""

    def __init__(self, credentials: Callable[[str], Credentials], url: Callable[[str], str]) -> None:
        self._credentials = credentials
        self._url = url
        self._open: list[Client] = []
        self._guides: dict[tuple[str, str], asyncio.Task[Client]] = {}
        self._numbers = itertools.count(1)

    async def connect(self, user: str, node: str, *, voices: Voices | None = None, reconnect: bool = False) -> Client:
        """A client of ``tenant/user`` on ``node``. It knows that node's URL only; others it must learn from the mesh.

        Raises StepFailed when it is not let in.
        """
        heard = voices or Voices()
        options: dict[str, Any] = self._credentials(user).client_options()
        try:
            client = await nats.connect(
                self._url(node),
                name=f"{user} on {node}",
                error_cb=heard.on_error,
                reconnected_cb=heard.on_reconnected,
                allow_reconnect=reconnect,
                max_reconnect_attempts=-1 if reconnect else 0,
                reconnect_time_wait=0.1,
                connect_timeout=_CONNECT_TIMEOUT_S,
                **options,
            )
        except (NatsError, OSError, TimeoutError) as error:
            raise StepFailed(f"{user} cannot connect to {node}: {error or type(error).__name__}") from None
        self._open.append(client)
        return client

    async def seat(self, seat: str, *, voices: Voices | None = None) -> Client:
        """A client of ``tenant/user@node``. Raises StepFailed when it is not let in."""
        return await self.connect(*seated(seat), voices=voices)

    async def seats_crossing(self, subscribers: Iterable[str], publishers: Iterable[str]) -> None:
        """Return when all that the subscribers' tenants have subscribed is known where the publishers are: of every
        seat in the one to every seat in the other, whose tenants are the same or joined by leaf links.

        Raises StepFailed."""
        ways = {
            (tenant_of(listener), seated(listener)[1], seated(speaker)[1], tenant_of(speaker))
            for listener in subscribers
            for speaker in publishers
        }
        async with asyncio.TaskGroup() as group:
            for way in sorted(ways):
                group.create_task(self.crossing(*way))

    async def crossing(self, tenant: str, subscriber: str, publisher: str, speaker: str = "") -> None:
        """Return when all that ``tenant`` has subscribed on one node until now is known on the other.

        ``speaker`` is the tenant there, if leaf links join it with another one. Callers flush their subscriptions
        first. Raises StepFailed.
        """
        listening = await self._guide(tenant, subscriber)
        speaking = await self._guide(speaker or tenant, publisher)
        subject = f"tour.crossing.{next(self._numbers)}"
        heard = asyncio.Event()

        async def arrived(_: Msg) -> None:
            heard.set()

        subscription = await listening.subscribe(subject, cb=arrived)
        await listening.flush(_CONNECT_TIMEOUT_S)
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not heard.is_set():
                    await speaking.publish(subject, b"")
                    await speaking.flush()
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(heard.wait(), _PROBE_S)
        except TimeoutError:
            # nats-py stops reading when what it waits for is cancelled: these two are of no more use.
            await self.dismiss_guides()
            raise StepFailed(
                f"interest of {tenant} on {subscriber} does not reach {publisher} within {PATIENCE_S:.0f} s"
            ) from None
        await subscription.unsubscribe()

    async def close(self, *clients: Client) -> None:
        """Close some of them."""
        for client in clients:
            if client in self._open:
                self._open.remove(client)
            await client.close()

    async def dismiss_guides(self) -> None:
        """Close the guides; the next crossing calls new ones."""
        guides = [task.result() for task in self._guides.values() if task.done() and not task.exception()]
        self._guides.clear()
        await self.close(*guides)

    async def close_all(self) -> None:
        """Close all of them."""
        for task in self._guides.values():
            task.cancel()
        await asyncio.gather(*self._guides.values(), return_exceptions=True)
        self._guides.clear()
        await self.close(*self._open)

    async def _guide(self, tenant: str, node: str) -> Client:
        """One for each tenant and node, whoever asks first."""
        task = self._guides.get((tenant, node))
        if task is None or (task.done() and (task.cancelled() or task.exception() or not task.result().is_connected)):
            task = asyncio.create_task(self.connect(f"{tenant}/{GUIDE}", node))
            self._guides[tenant, node] = task
        return await asyncio.shield(task)


async def collect(subscription: Subscription, count: int, what: str) -> list[Msg]:
    """The next ``count`` messages. Raises StepFailed with what came instead."""
    found: list[Msg] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            while len(found) < count:
                found.append(await subscription.next_msg(timeout=PATIENCE_S))
    except (TimeoutError, NatsError):
        raise StepFailed(f"{what}: {len(found)} of {count} messages came within {PATIENCE_S:.0f} s") from None
    return found


async def awaited(event: asyncio.Event, what: str) -> None:
    """Wait for an event. Raises StepFailed."""
    try:
        await asyncio.wait_for(event.wait(), PATIENCE_S)
    except TimeoutError:
        raise StepFailed(f"{what}: not within {PATIENCE_S:.0f} s") from None


async def flushed(*clients: Client) -> None:
    """Wait until their servers have taken all that they have sent. Raises StepFailed."""
    for client in clients:
        try:
            await client.flush(_CONNECT_TIMEOUT_S)
        except (NatsError, TimeoutError) as error:
            raise StepFailed(f"a client's server does not answer: {error or type(error).__name__}") from None
