"""One connection as a stored user, for one small task (spec operator-cli section 4.6, tool)."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from gossamer.auth.credentials import Credentials
from gossamer.operator.failure import Failure
from gossamer.operator.mesh.wire import CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE, tls_context

Result = TypeVar("Result")


class Target(Struct, frozen=True, kw_only=True):
    """Where to connect, as whom, and how long anything may take. The certificates are paths."""

    servers: tuple[str, ...]
    credentials: Credentials
    timeout_s: float
    authority: str = ""
    certificate: str = ""
    key: str = ""
    tls_first: bool = False


class Received(Struct, frozen=True, kw_only=True):
    """A message."""

    subject: str
    reply: str
    text: str
    bytes: int


def run(task: Coroutine[Any, Any, Result], target: Target) -> Result:
    """Do it. Raises Failure when it takes too long, or the server does not let us."""
    try:
        return asyncio.run(task)
    except NoRespondersError:
        raise Failure("nobody answers on that subject", code="no-responders") from None
    except TimeoutError:
        raise Failure(
            f"nothing came within {target.timeout_s:g} s", code="timeout", hint="wait longer with --timeout"
        ) from None
    except (NatsError, OSError, ValueError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise Failure(
            f"{', '.join(target.servers)}: {text}", code="refused", hint="gossamer explain says what the user may do"
        ) from None


async def publish(target: Target, subject: str, message: bytes) -> None:
    """Publish one message, and make sure that the server took it."""
    async with connected(target) as (client, refusals):
        await client.publish(subject, message)
        await _settled(client, refusals, target)


async def subscribe(target: Target, subject: str, queue: str, count: int) -> list[Received]:
    """The next ``count`` messages; those that came when the time is over. Raises TimeoutError when there was none."""
    received: list[Received] = []
    async with connected(target) as (client, refusals):
        subscription = await client.subscribe(subject, queue=queue)
        await _settled(client, refusals, target)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(target.timeout_s):
                while len(received) < count:
                    received.append(_received(await refusals.unless(subscription.next_msg(timeout=None))))
    if not received:
        raise TimeoutError
    return received


async def ask(target: Target, subject: str, message: bytes) -> Received:
    """One request, one answer."""
    async with connected(target) as (client, refusals):
        return _received(await refusals.unless(client.request(subject, message, timeout=target.timeout_s)))


async def answer(target: Target, subject: str, queue: str, message: bytes, count: int) -> list[Received]:
    """Answer ``count`` requests, each with ``message`` or what it brought; returns them."""
    answered: list[Received] = []
    async with connected(target) as (client, refusals), asyncio.timeout(target.timeout_s):
        subscription = await client.subscribe(subject, queue=queue)
        await _settled(client, refusals, target)
        while len(answered) < count:
            request = await refusals.unless(subscription.next_msg(timeout=None))
            if request.reply:
                await client.publish(request.reply, message or request.data)
                answered.append(_received(request))
        await _settled(client, refusals, target)
    return answered


async def round_trips(target: Target, count: int) -> tuple[str, list[float]]:
    """The server's address, and the seconds of ``count`` pings."""
    times = []
    async with connected(target) as (client, _):
        for _ in range(count):
            begin = time.monotonic()
            await client.flush(timeout=max(1, round(target.timeout_s)))
            times.append(time.monotonic() - begin)
        url = client.connected_url
        return ("" if url is None else url.netloc), times


class Refusals:
    """What the server refused on a connection so far."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._heard = asyncio.Event()

    async def hear(self, error: Exception) -> None:
        """The client's word that something is wrong."""
        self.texts.append(str(error))
        self._heard.set()

    def check(self) -> None:
        """Raises Failure when something was refused."""
        if self.texts:
            raise Failure(
                f"the server refused: {'; '.join(dict.fromkeys(self.texts))}",
                code="refused",
                hint="gossamer explain says which rule does that",
            )

    async def unless(self, wanted: Coroutine[Any, Any, Result]) -> Result:
        """What is waited for; raises Failure as soon as the server refuses something, as then it may never come."""
        task, refused = asyncio.ensure_future(wanted), asyncio.ensure_future(self._heard.wait())
        try:
            await asyncio.wait({task, refused}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                self.check()
            return await task
        finally:
            for pending in (task, refused):
                pending.cancel()
            await asyncio.gather(task, refused, return_exceptions=True)


async def _settled(client: Client, refusals: Refusals, target: Target) -> None:
    """Wait until the server has seen all that was sent, and what it said about it has been heard."""
    seconds = max(1, round(target.timeout_s))
    # The client tells of an error in a task of its own: after a second round trip that has had its turn.
    await client.flush(timeout=seconds)
    await client.flush(timeout=seconds)
    refusals.check()


@contextlib.asynccontextmanager
async def connected(target: Target) -> AsyncIterator[tuple[Client, Refusals]]:
    """A connection, and what the server refused on it so far."""
    refusals = Refusals()
    environment = {
        name: value or os.environ.get(name, "")
        for name, value in (
            (CA_VARIABLE, target.authority),
            (CERTIFICATE_VARIABLE, target.certificate),
            (KEY_VARIABLE, target.key),
        )
    }
    options: dict[str, Any] = target.credentials.client_options()
    context = tls_context({name: value for name, value in environment.items() if value})
    if context is not None:
        options["tls"] = context
    client = Client()
    try:
        await client.connect(
            list(target.servers),
            name="gossamer tool",
            error_cb=refusals.hear,
            allow_reconnect=False,
            max_reconnect_attempts=1,
            reconnect_time_wait=0,
            connect_timeout=max(1, round(target.timeout_s)),
            tls_handshake_first=target.tls_first,
            **options,
        )
    except (NatsError, OSError, ValueError) as error:
        await _close(client)
        said = "; ".join(dict.fromkeys(text for text in refusals.texts if text)) or str(error) or type(error).__name__
        raise Failure(
            f"cannot connect to {', '.join(target.servers)}: {' '.join(said.split())}",
            code="unreachable",
            hint="check --nats, and the user with: gossamer user describe",
        ) from None
    try:
        yield client, refusals
    finally:
        await _close(client)


async def _close(client: Client) -> None:
    with contextlib.suppress(NatsError, OSError):
        await client.close()
    # nats-py leaves the socket open when it was refused.
    transport = client._transport
    if transport is not None:
        transport.close()  # type: ignore[no-untyped-call]
        with contextlib.suppress(NatsError, OSError):
            await transport.wait_closed()  # type: ignore[no-untyped-call]


def _received(message: Msg) -> Received:
    return Received(
        subject=message.subject,
        reply=message.reply or "",
        text=message.data.decode("utf-8", "replace"),
        bytes=len(message.data),
    )
