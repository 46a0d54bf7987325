"""``gossamer callout serve``: answers servers that ask who may come in.

Several of them share the work as a queue group; one that ends first answers what it has been asked. Every decision is a
line in the log, never with a secret.
"""

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import nats
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from gossamer.auth.callout.question import SUBJECT, XKEY_HEADER
from gossamer.auth.exchange import Exchange, Granted, RequestError, Rules
from gossamer.operator.callout.driving import examine
from gossamer.operator.callout.fetching import Fetcher
from gossamer.operator.failure import Failure

QUEUE = "gossamer-callout"
#: Requests in work at a time; more wait in the client's queue.
CONCURRENT_MAX = 1000
_HEALTH_S = 60.0
_CONNECT_S = 5
#: To begin at all; later it goes on trying for ever.
_START_S = 15.0


class Connection(Struct, frozen=True, kw_only=True):
    """Where and as whom the service connects. ``credentials``: a file, empty: the URLs say who it is."""

    urls: tuple[str, ...]
    credentials: str = ""
    nkey_seed: str = ""
    queue: str = QUEUE


def log_line(text: str) -> None:
    """To standard error, with the time of day (UTC)."""
    print(f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {text}", file=sys.stderr, flush=True)


class ExchangeService:
    """One connection. ``counts`` says how many were granted, denied, and no requests at all."""

    def __init__(self, exchange: Exchange, fetcher: Fetcher, *, log: Callable[[str], None] = log_line) -> None:
        """``fetcher`` must be open while the service runs."""
        self.counts: Counter[str] = Counter()
        self._exchange = exchange
        self._fetcher = fetcher
        self._log = log
        self._client: Client | None = None
        self._subscription: Subscription | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._places = asyncio.Semaphore(CONCURRENT_MAX)

    async def start(self, connection: Connection) -> None:
        """Connect and answer from now on. Raises Failure if no server takes us."""
        options: dict[str, Any] = {}
        if connection.credentials:
            options["user_credentials"] = connection.credentials
        if connection.nkey_seed:
            options["nkeys_seed"] = connection.nkey_seed
        try:
            connecting = nats.connect(
                list(connection.urls),
                name="gossamer callout serve",
                connect_timeout=_CONNECT_S,
                allow_reconnect=True,
                max_reconnect_attempts=-1,
                error_cb=self._on_error,
                disconnected_cb=self._on_disconnected,
                reconnected_cb=self._on_reconnected,
                **options,
            )
            self._client = await asyncio.wait_for(connecting, _START_S)
        except (OSError, nats.errors.Error, ValueError, TimeoutError) as error:
            text = f"cannot connect to {', '.join(connection.urls)}: {error}"
            hint = "the service must be one of the callout's auth_users"
            raise Failure(text, code="unreachable", hint=hint) from None
        self._subscription = await self._client.subscribe(SUBJECT, queue=connection.queue, cb=self._on_request)
        await self._client.flush()
        server = self._client.connected_url
        self._log(f"answering {SUBJECT} of {server.netloc.rpartition('@')[2] if server else '?'} as {connection.queue}")

    def follow(self, exchange: Exchange) -> None:
        """Answer by other rules from now on; requests in work end by the old ones."""
        self._exchange = exchange
        self._log(f"[INF] following {len(exchange.rules.rules)} rules of {len(exchange.rules.issuers)} issuers")

    async def stop(self) -> None:
        """Take no more requests, answer those that are here, and leave."""
        if self._client is None:
            return
        client, self._client = self._client, None
        if self._subscription is not None:
            await self._subscription.drain()  # type: ignore[no-untyped-call]
        if self._running:
            await asyncio.wait(list(self._running))
        await client.flush()
        await client.close()
        self._log(f"ended: {self.health}")

    @property
    def health(self) -> str:
        """One line."""
        counts = self.counts
        connected = "connected" if self._client is not None and self._client.is_connected else "not connected"
        return (
            f"{connected}, {counts['granted']} granted, {counts['denied']} denied, {counts['broken']} no requests, "
            f"{len(self._running)} in work"
        )

    # --- requests -------------------------------------------------------------------------------------------------
    async def _on_request(self, message: Msg) -> None:
        await self._places.acquire()
        task = asyncio.create_task(self._answer(message))
        self._running.add(task)
        task.add_done_callback(self._answered)

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._places.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            self.counts["broken"] += 1
            self._log(f"[ERR] a request could not be answered: {error!r}")

    async def _answer(self, message: Msg) -> None:
        exchange, xkey = self._exchange, (message.headers or {}).get(XKEY_HEADER, "")
        try:
            request = exchange.opened(message.data, xkey, time.time())
        except RequestError as error:
            self.counts["broken"] += 1
            self._log(f"[WRN] {error}")
            return
        outcome = await examine(exchange, exchange.token_of(request), self._fetcher)
        who = f"client {request.client.host} cid:{request.client.id} of server {request.server.name}"
        now = time.time()
        if isinstance(outcome, Granted):
            self.counts["granted"] += 1
            what = f"{outcome.user} in {outcome.target.name} by {outcome.rule!r} for {outcome.expires - now:.0f} s"
            self._log(f"[INF] granted: {what}; {who}")
        else:
            self.counts["denied"] += 1
            self._log(f"[WRN] denied: {outcome.cause}: {outcome.text}; {who}")
        await message.respond(exchange.answer(request, outcome, xkey, now))

    # --- the connection -------------------------------------------------------------------------------------------
    async def _on_error(self, error: Exception) -> None:
        self._log(f"[WRN] {error!r}")

    async def _on_disconnected(self) -> None:
        if self._client is not None:
            self._log("[WRN] the connection is lost: nobody is answered until it is back")

    async def _on_reconnected(self) -> None:
        self._log("[INF] the connection is back")


async def serve(read: Callable[[], Rules], connection: Connection, *, authorities: str = "") -> None:
    """Run until INT or TERM; HUP reads the rules again, which stay as they were if they cannot be used. ``read`` gives
    the rules. Raises Failure if it cannot begin, and what ``read`` raises."""
    end = asyncio.Event()
    loop = asyncio.get_running_loop()
    exchange = Exchange(read())
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, end.set)
    async with Fetcher(authorities=authorities) as fetcher:
        service = ExchangeService(exchange, fetcher)

        def reread() -> None:
            try:
                service.follow(Exchange(read()))
            except Failure as failure:
                log_line(f"[ERR] the rules stay as they were: {failure.line()}")

        loop.add_signal_handler(signal.SIGHUP, reread)
        await service.start(connection)
        try:
            while not end.is_set():
                try:
                    await asyncio.wait_for(end.wait(), _HEALTH_S)
                except TimeoutError:
                    log_line(f"[INF] health: {service.health}")
        finally:
            await service.stop()
