"""One connection to one server, on which questions are asked that any number of servers may answer."""

import asyncio
import contextlib
import os
import secrets
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from gossamer.operator.failure import Failure
from gossamer.operator.mesh.visitor import Visitor

CONNECT_TIMEOUT_S = 5.0
#: Answers that may wait in this process: those of a pack of a hundred thousand accounts.
_WAITING_MESSAGES_MAX = 1024 * 1024
_WAITING_BYTES_MAX = 1024 * 1024 * 1024

#: Questions under way at a time.
_WINDOW = 256

CA_VARIABLE, CERTIFICATE_VARIABLE, KEY_VARIABLE = "NATS_CA", "NATS_CERT", "NATS_KEY"


class NoResponders(Exception):
    """No server has anybody who would answer that subject."""


class Wire:
    """A client connection. Use as ``async with``; ``collect`` asks."""

    def __init__(self, prefix: str, url: str) -> None:
        self.url = url
        #: Subjects that were asked, in order: what it has cost.
        self.asked: list[str] = []
        self._client = Client()
        self._prefix = prefix
        self._number = 0
        self._waiting: dict[str, asyncio.Queue[Msg | None]] = {}
        self._refusals: list[str] = []

    @classmethod
    async def connect(
        cls, urls: Sequence[str], visitor: Visitor, *, timeout_s: float = CONNECT_TIMEOUT_S, purpose: str = "gossamer"
    ) -> Self:
        """To the first of ``urls`` that lets the visitor in. Raises Failure."""
        options: dict[str, Any] = visitor.credentials.client_options()
        context = tls_context(os.environ)
        if context is not None:
            options["tls"] = context
        failures: list[Failure] = []
        for url in urls:
            # Several connections of one visitor hear what is sent to its inboxes: each has a branch of its own.
            wire = cls(f"{visitor.inbox_prefix}.{secrets.token_hex(4)}", url)
            try:
                await wire._client.connect(
                    url,
                    name=purpose,
                    error_cb=wire._heard_error,
                    disconnected_cb=wire._heard_end,
                    allow_reconnect=False,
                    max_reconnect_attempts=1,
                    reconnect_time_wait=0,
                    connect_timeout=max(1, round(timeout_s)),
                    inbox_prefix=visitor.inbox_prefix.encode(),
                    **options,
                )
            except (NatsError, OSError, TimeoutError, ValueError) as error:
                await wire.close()  # the client leaves its socket open when it is refused
                failures.append(_unreachable(url, error, wire._refusals))
                continue
            await wire._client.subscribe(
                f"{wire._prefix}.>",
                cb=wire._heard,
                pending_msgs_limit=_WAITING_MESSAGES_MAX,
                pending_bytes_limit=_WAITING_BYTES_MAX,
            )
            return wire
        raise next((failure for failure in failures if failure.code == "refused"), failures[-1])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End the connection."""
        with contextlib.suppress(NatsError, OSError):
            await self._client.close()

    @contextlib.asynccontextmanager
    async def inbox(self) -> AsyncIterator[tuple[str, "asyncio.Queue[Msg | None]"]]:
        """A subject to have answers sent to (and below it: one more token), and where they arrive.

        None among them: something is wrong with the connection, ``check`` says what.
        """
        self._number += 1
        name = str(self._number)
        queue: asyncio.Queue[Msg | None] = asyncio.Queue()
        self._waiting[name] = queue
        try:
            yield f"{self._prefix}.{name}", queue
        finally:
            del self._waiting[name]

    async def publish(self, subject: str, payload: bytes, reply: str) -> None:
        """Send a request. Raises Failure when the connection is gone."""
        self.asked.append(subject)
        try:
            await self._client.publish(subject, payload, reply=reply)
        except NatsError as error:
            raise self.broken(error) from None

    async def collect(
        self,
        subject: str,
        payload: bytes = b"",
        *,
        timeout_s: float,
        silence_s: Callable[[], float] | None = None,
    ) -> AsyncIterator[Msg]:
        """Answers as they come, until ``timeout_s`` have passed, or ``silence_s()`` without one; the caller may stop
        earlier. Raises NoResponders, or Failure when the connection breaks."""
        deadline = time.monotonic() + timeout_s
        async with self.inbox() as (reply, queue):
            await self.publish(subject, payload, reply)
            while (left := deadline - time.monotonic()) > 0:
                try:
                    wait = left if silence_s is None else min(left, silence_s())
                    message = await asyncio.wait_for(queue.get(), wait)
                except TimeoutError:
                    self.check()
                    return
                if message is None:
                    self.check()
                    continue
                if is_no_responders(message):
                    raise NoResponders(subject)
                yield message

    def check(self) -> None:
        """Raises Failure if the connection has ended, or the server refused what was asked."""
        refused = next((text for text in self._refusals if "permissions violation" in text.lower()), "")
        if refused:
            raise Failure(
                f"{self.url} refuses: {refused}",
                code="not-permitted",
                hint="name credentials of a user of the system account that may do this, with --system-user",
            )
        if not self._client.is_connected:
            raise self.broken(None)

    def broken(self, error: Exception | None) -> Failure:
        """The connection is gone."""
        why = "; ".join(dict.fromkeys(self._refusals)) or (str(error) if error else "") or "connection closed"
        return Failure(f"lost the connection to {self.url}: {why}", code="disconnected", hint="run the command again")

    async def _heard_error(self, error: Exception) -> None:
        self._refusals.append(str(error) or type(error).__name__)
        self._wake()

    async def _heard_end(self) -> None:
        self._wake()

    def _wake(self) -> None:
        for queue in self._waiting.values():
            queue.put_nowait(None)

    async def _heard(self, message: Msg) -> None:
        name = message.subject[len(self._prefix) + 1 :].partition(".")[0]
        queue = self._waiting.get(name)
        if queue is not None:  # else: an answer that came too late
            queue.put_nowait(message)


async def ask_each(
    wire: Wire,
    subjects: Sequence[str],
    *,
    answers: int,
    silence_s: float,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[Msg]]:
    """Ask many questions, some hundred at a time; up to ``answers`` answers to each, in the order of ``subjects``.

    Where fewer come, ``silence_s`` is waited once: from then on as many are expected as came at most before. None at
    all where nobody listens. Raises Failure when the connection breaks.
    """
    found: list[list[Msg]] = [[] for _ in subjects]
    under_way: set[int] = set()
    unsent = list(reversed(range(len(subjects))))
    wanted = answers
    async with wire.inbox() as (reply, queue):
        while unsent or under_way:
            while unsent and len(under_way) < _WINDOW:
                number = unsent.pop()
                under_way.add(number)
                await wire.publish(subjects[number], b"", f"{reply}.{number}")
            try:
                message = await asyncio.wait_for(queue.get(), silence_s)
            except TimeoutError:
                wire.check()
                wanted = max(1, *(len(entry) for entry in found))
                under_way.clear()
                continue
            if message is None:
                wire.check()
                continue
            number = int(message.subject.rpartition(".")[2])
            if is_no_responders(message):
                under_way.discard(number)
                continue
            found[number].append(message)
            if len(found[number]) >= wanted:
                under_way.discard(number)
                if progress is not None:
                    progress(len(subjects) - len(unsent) - len(under_way), len(subjects))
    return found


def is_no_responders(message: Msg) -> bool:
    """Is it the server's word that nobody listens?"""
    return not message.data and bool(message.headers) and (message.headers or {}).get("Status") == "503"


def tls_context(environment: Mapping[str, str]) -> ssl.SSLContext | None:
    """From ``NATS_CA``, ``NATS_CERT`` and ``NATS_KEY``; None when none is set. Raises Failure."""
    authority = environment.get(CA_VARIABLE)
    certificate, key = environment.get(CERTIFICATE_VARIABLE), environment.get(KEY_VARIABLE)
    if not (authority or certificate):
        return None
    try:
        context = ssl.create_default_context(cafile=authority)
        if certificate:
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise Failure(
            f"cannot load the certificates: {error}",
            code="bad-certificate",
            hint=f"check {CA_VARIABLE}, {CERTIFICATE_VARIABLE} and {KEY_VARIABLE}",
        ) from None
    return context


def _unreachable(url: str, error: Exception, refusals: Sequence[str]) -> Failure:
    said = "; ".join(dict.fromkeys(text for text in refusals if text))
    text = said or str(error) or type(error).__name__
    lowered = text.lower()
    if "authorization" in lowered or "authentication" in lowered:
        hint = "is it a mesh of this operator? its configuration comes from: gossamer generate config"
        return Failure(f"{url} does not let us in: {text}", code="refused", hint=hint)
    hint = "start the mesh, or name it with --url"
    return Failure(f"cannot reach {url}: {text}", code="unreachable", hint=hint)
