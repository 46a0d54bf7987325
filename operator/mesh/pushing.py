"""Account JWTs given to all servers at once, with a window of requests under way, every answer booked.

Each account is one request that every server answers. What some server has not answered in time is sent again, up to
three times: a JWT that is there already costs the servers nothing.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence

from msgspec import Struct, field
from nats.aio.msg import Msg

from gossamer.auth.claims import AccountClaims
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.operator.mesh.answers import BadAnswer, Ruling, Server, read_ruling
from gossamer.operator.mesh.wire import Wire, is_no_responders

SUBJECT = "$SYS.REQ.CLAIMS.UPDATE"
WINDOW = 512
ATTEMPTS = 3


class Delivery(Struct, kw_only=True):
    """One account on its way: ``rulings`` by server id."""

    account: str
    name: str
    token: str
    rulings: dict[str, Ruling] = field(default_factory=dict)

    def takes(self, server: str) -> bool:
        """Has this server taken it?"""
        ruling = self.rulings.get(server)
        return ruling is not None and ruling.accepted

    def refused(self) -> list[Ruling]:
        """Servers that answered with an error."""
        return [ruling for ruling in self.rulings.values() if not ruling.accepted]


class PushReport(Struct, kw_only=True):
    """What became of a push. ``unheard`` counts servers of the mesh that do not even answer a PING."""

    servers: tuple[Server, ...]
    unheard: int
    deliveries: list[Delivery]
    duration_s: float = 0.0
    no_resolver: bool = False  # no server takes account JWTs at all

    def silent(self) -> list[Server]:
        """Known servers that left at least one account unanswered."""
        return [
            server for server in self.servers if any(server.id not in delivery.rulings for delivery in self.deliveries)
        ]

    def refusals(self) -> list[tuple[Delivery, Ruling]]:
        """Every account that a server refused."""
        return [(delivery, ruling) for delivery in self.deliveries for ruling in delivery.refused()]

    def accepted(self) -> list[Delivery]:
        """The accounts that every known server has taken."""
        wanted = {server.id for server in self.servers}
        return [
            delivery
            for delivery in self.deliveries
            if wanted <= delivery.rulings.keys() and not delivery.refused() and not self.unheard
        ]

    @property
    def complete(self) -> bool:
        """Has every server of the mesh taken every account?"""
        return len(self.accepted()) == len(self.deliveries) and not self.unheard


async def push_tokens(
    wire: Wire,
    tokens: Iterable[str],
    servers: Sequence[Server],
    unheard: int,
    *,
    timeout_s: float,
    progress: Callable[[int, int], None] | None = None,
) -> PushReport:
    """Push; ``timeout_s`` is the longest silence before what is open is sent again, and in the end given up.

    Raises Failure when the connection breaks.
    """
    started = time.monotonic()
    deliveries = [_delivery(token) for token in tokens]
    report = PushReport(servers=tuple(servers), unheard=unheard, deliveries=deliveries)
    wanted = {server.id for server in servers}
    todo = list(range(len(deliveries)))
    for _ in range(ATTEMPTS):
        if not todo or report.no_resolver:
            break
        await _round(wire, report, todo, wanted, timeout_s / ATTEMPTS, progress)
        todo = [number for number in todo if not wanted <= deliveries[number].rulings.keys()]
    report.duration_s = time.monotonic() - started
    return report


async def _round(
    wire: Wire,
    report: PushReport,
    todo: Sequence[int],
    wanted: set[str],
    silence_s: float,
    progress: Callable[[int, int], None] | None,
) -> None:
    """Send the accounts of ``todo`` and book answers until all are there, or none has come for ``silence_s``."""
    deliveries = report.deliveries
    awaited = set(wanted)
    under_way: set[int] = set()
    unsent = list(reversed(todo))
    async with wire.inbox() as (reply, queue):
        while unsent or under_way:
            while unsent and len(under_way) < WINDOW:
                number = unsent.pop()
                under_way.add(number)
                await wire.publish(SUBJECT, deliveries[number].token.encode(), f"{reply}.{number}")
            try:
                message = await asyncio.wait_for(queue.get(), silence_s)
            except TimeoutError:
                wire.check()
                # Whoever left these open is not waited for any longer in this round: the others go on at full speed.
                awaited -= {server for server in awaited if any(_lacks(deliveries[n], server) for n in under_way)}
                under_way.clear()
                if not awaited:
                    return
                continue
            if message is None:
                wire.check()
                continue
            if is_no_responders(message):
                report.no_resolver = True
                return
            number = _book(message, report)
            if number in under_way and awaited <= deliveries[number].rulings.keys():
                under_way.discard(number)
                if progress is not None:
                    progress(len(deliveries) - len(unsent) - len(under_way), len(deliveries))


def _lacks(delivery: Delivery, server: str) -> bool:
    return server not in delivery.rulings


def _book(message: Msg, report: PushReport) -> int:
    """Enter one answer. Returns the number of its account; -1 if it belongs to none."""
    with contextlib.suppress(BadAnswer, ValueError, IndexError):
        number = int(message.subject.rpartition(".")[2])
        ruling = read_ruling(message.data)
        report.deliveries[number].rulings[ruling.server.id] = ruling
        return number
    return -1


def _delivery(token: str) -> Delivery:
    try:
        claims = decode_as(AccountClaims, token)
    except TokenError:
        # Not ours to judge here: the servers say what is wrong with it.
        return Delivery(account="", name="", token=token)
    return Delivery(account=claims.subject, name=claims.name, token=token)
