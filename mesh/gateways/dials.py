"""Dialling other clusters: rounds over all addresses of one, pauses between them, giving up (spec gateways 5).

A round tries every address that is known when it begins, in random order, until a connection is made. Between two
rounds there is at least a second, whatever the reason; nats-server has none for a cluster that it heard of and that
dials in, and knocks there thousands of times a second. It also knocks ten times a second where connections are made
and lost before they are of use: here the pause grows to half a minute.

Where nats-server forgets a cluster that it heard of and cannot reach, we give it up too, but remember it, and try again
every two minutes for a day: after a partition nobody else may tell us of it any more.
"""

from collections import deque
from typing import Final

from msgspec import Struct

from gossamer.mesh.gateways import actions as do
from gossamer.mesh.gateways.settings import GatewaySettings, GatewayUrl
from gossamer.mesh.gateways.table import Gateway, GatewayTable
from gossamer.mesh.peers.backoff import REPORT_EVERY, growing_ns
from gossamer.mesh.peers.route_world import MILLISECOND_NS, SECOND_NS
from gossamer.mesh.world import Randomness

#: From the start to the first dial of a configured gateway: the own cluster should have formed by then.
START_DELAY_NS: Final = SECOND_NS
ROUND_PAUSE_NS: Final = SECOND_NS
#: A cluster that was given up is tried again after so long, so often.
REMINDER_NS: Final = 125 * SECOND_NS
REMINDERS_MAX: Final = 700
REMEMBERED_MAX: Final = 1024
#: Random part of every redial, in milliseconds.
SPREAD_MS: Final = 100
#: A connection that was registered so long counts as taken by the other side even if no PONG came.
ESTABLISHED_NS: Final = SECOND_NS


class Call(Struct, kw_only=True):
    """A gateway being dialled, or waiting for it. ``rounds`` in a row have failed; ``left`` is to come in this one."""

    attempt: int
    gateway: Gateway
    tries: int = 0  # connections in a row that ended unconfirmed
    rounds: int = 0
    left: list[GatewayUrl] = []
    url: GatewayUrl | None = None


class GatewayCalls:
    """Puts what it wants into ``actions``, which it shares with the core. At most one call for a gateway."""

    def __init__(
        self, settings: GatewaySettings, table: GatewayTable, actions: deque[do.Action], randomness: Randomness
    ) -> None:
        self._settings = settings
        self._table = table
        self._actions = actions
        self._randomness = randomness
        self._calls: dict[int, Call] = {}
        self._reminders: dict[int, Gateway] = {}  # by attempt: clusters that were given up
        self._last = 0
        self.stopped = False

    def begin(self, gateway: Gateway, *, delay_ns: int = 0, tries: int = 0) -> None:
        """Connect to the gateway, unless that is done or under way."""
        if self.stopped or gateway.attempt or gateway.outbound is not None:
            return
        self._last += 1
        self._calls[self._last] = Call(attempt=self._last, gateway=gateway, tries=tries)
        gateway.attempt = self._last
        if delay_ns:
            self._actions.append(do.WakeDial(self._last, delay_ns))
        else:
            self.due(self._last)

    def again(self, gateway: Gateway, *, established: bool, tries: int) -> None:
        """After a connection that ended. ``tries``: how many in a row were of no use, this one included."""
        delay_ns = self._randomness.below(SPREAD_MS) * MILLISECOND_NS
        if established:
            gateway.given_up = 0
        if not gateway.implicit:
            delay_ns += self._pause_ns(tries) if self._settings.connect_backoff else ROUND_PAUSE_NS
        elif not established:
            delay_ns += growing_ns(tries)
        self.begin(gateway, delay_ns=delay_ns, tries=tries)

    def due(self, attempt: int) -> None:
        """A new round."""
        given_up = self._reminders.pop(attempt, None)
        if given_up is not None:
            self._remind(given_up)
            return
        call = self._calls.get(attempt)
        if call is None:
            return
        call.left = _shuffled(call.gateway.urls, self._randomness)
        self._next(call, "there is no address")

    def failed(self, attempt: int, error: str) -> None:
        """That address cannot be connected to."""
        call = self._calls.get(attempt)
        if call is not None and call.url is not None:
            self._next(call, error)

    def take(self, attempt: int) -> Call | None:
        """The call has become a connection. None: it was given up meanwhile."""
        call = self._calls.pop(attempt, None)
        if call is not None:
            call.gateway.attempt = 0
        return call

    def stop(self) -> None:
        """Give up every call, now and from now on."""
        self.stopped = True
        for attempt in list(self._calls):
            self.take(attempt)
            self._actions.append(do.CancelDial(attempt))
        self._actions.extend(do.CancelDial(attempt) for attempt in self._reminders)
        self._reminders.clear()

    def _next(self, call: Call, error: str) -> None:
        """On to the next address, or to the end of the round."""
        if call.url is not None and (call.rounds == 0 or (call.rounds + 1) % REPORT_EVERY == 0):
            where = f"gateway {call.gateway.name!r} at {call.url.address} (attempt {call.rounds + 1})"
            self._actions.append(do.Say("error", f"Error trying to connect to {where}: {error}"))
        if call.left:
            call.url = call.left.pop()
            self._actions.append(do.StartDial(call.attempt, call.url.host, call.url.port))
            return
        call.url = None
        call.rounds += 1
        gateway = call.gateway
        over = gateway.implicit and call.rounds > self._settings.connect_retries
        if over and not self._table.has_inbound(gateway.name):
            self.take(call.attempt)
            self._table.gateways.pop(gateway.name, None)
            self._actions.append(do.Say("info", f"Gateway {gateway.name!r} cannot be reached and is given up"))
            self._remember(gateway)
        else:
            self._actions.append(do.WakeDial(call.attempt, self._pause_ns(call.rounds)))

    def _remember(self, gateway: Gateway) -> None:
        if any(each.name == gateway.name for each in self._reminders.values()):
            return
        gateway.given_up += 1
        if gateway.given_up <= REMINDERS_MAX and len(self._reminders) < REMEMBERED_MAX:
            self._last += 1
            self._reminders[self._last] = gateway
            self._actions.append(do.WakeDial(self._last, REMINDER_NS))

    def _remind(self, gateway: Gateway) -> None:
        """Try once more, unless somebody has told of it meanwhile."""
        if gateway.name not in self._table.gateways and not self._table.is_full:
            self._table.gateways[gateway.name] = gateway
            self.begin(gateway)

    def _pause_ns(self, count: int) -> int:
        return growing_ns(count) if self._settings.connect_backoff else ROUND_PAUSE_NS


def _shuffled(urls: list[GatewayUrl], randomness: Randomness) -> list[GatewayUrl]:
    left = list(urls)
    found = []
    while left:
        found.append(left.pop(randomness.below(len(left))))
    return found
