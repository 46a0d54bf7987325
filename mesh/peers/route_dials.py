"""Dialling: who is being dialled, and how long to wait before the next try (spec routes 13).

At most one dial is under way for a place and an account: the pool chain opens the rest once the first is up. Where
nats-server would knock ten times a second without end (a listener that accepts and drops, an account that the other
side does not pin), the pause grows to half a minute instead.
"""

from typing import Final

from msgspec import Struct

from gossamer.mesh.peers.backoff import REPORT_EVERY, growing_ns
from gossamer.mesh.peers.route_settings import RouteUrl
from gossamer.mesh.peers.route_world import MILLISECOND_NS, SECOND_NS
from gossamer.mesh.world import Randomness

#: Random part of every redial: two nodes that lost a duplicate race must not meet again (spec 10.1). Milliseconds. It
#: doubles with every race that is lost, so many times: across an ocean a tenth of a second cannot tell the two apart.
SPREAD_MS: Final = 100
SPREAD_DOUBLINGS_MAX: Final = 5
#: So many connections in a row may end unconfirmed before a dial counts as unwelcome: races need a few.
RACES_MAX: Final = 4
#: A remote that was there and cannot be reached any more is tried so often, which takes about a day. Nobody else would
#: bring the two together again: both may still be connected to everybody who could tell them of each other.
LOST_RETRIES_MAX: Final = 2880


class Dial(Struct, kw_only=True):
    """Somebody to be connected to. ``account`` empty: pooled. ``server_id`` is known for gossiped ones.

    ``place`` is what is dialled: the host and port of ``url``, or, for one more connection to a node that we know, the
    address of that very node, since the name in ``url`` may stand for many.
    """

    attempt: int
    url: RouteUrl
    place: tuple[str, int]
    account: str = ""
    explicit: bool = False
    gossip_mode: int = 0
    server_id: str = ""
    failures: int = 0  # connects in a row that did not succeed
    tries: int = 0  # connections in a row that ended unconfirmed
    lost: bool = False  # it is to replace a registered connection

    @property
    def key(self) -> tuple[str, int, str]:
        return *self.place, self.account


class Dials:
    """All dials under way, waiting for their time or for the network."""

    __slots__ = ("_by_attempt", "_by_key", "_last")

    def __init__(self) -> None:
        self._by_attempt: dict[int, Dial] = {}
        self._by_key: dict[tuple[str, int, str], Dial] = {}
        self._last = 0

    def add(
        self,
        url: RouteUrl,
        place: tuple[str, int],
        *,
        account: str = "",
        explicit: bool = False,
        gossip_mode: int = 0,
        server_id: str = "",
        tries: int = 0,
        lost: bool = False,
    ) -> Dial | None:
        """A new dial; None: there was one for the same place already, which now counts as explicit too if this is."""
        known = self._by_key.get((*place, account))
        if known is not None:
            if explicit and not known.explicit:
                known.explicit, known.url = True, url
            return None
        self._last += 1
        dial = Dial(
            attempt=self._last,
            url=url,
            place=place,
            account=account,
            explicit=explicit,
            gossip_mode=gossip_mode,
            server_id=server_id,
            tries=tries,
            lost=lost,
        )
        self._by_attempt[dial.attempt] = self._by_key[dial.key] = dial
        return dial

    def get(self, attempt: int) -> Dial | None:
        return self._by_attempt.get(attempt)

    def is_pending(self, place: tuple[str, int], account: str = "") -> bool:
        """Is that place being dialled, for that account?"""
        return (*place, account) in self._by_key

    def remove(self, attempt: int) -> Dial | None:
        dial = self._by_attempt.pop(attempt, None)
        if dial is not None:
            del self._by_key[dial.key]
        return dial

    def attempts(self) -> list[int]:
        return list(self._by_attempt)


def delay_after_failure_ns(dial: Dial, *, connect_retries: int, backoff: bool, remote_known: bool) -> int | None:
    """After a connect that failed (``dial.failures`` counts it already); None: give up.

    ``remote_known``: another connection to the same remote lives, so it will be there again.
    """
    if not dial.explicit and not remote_known and dial.failures > connect_retries:
        return growing_ns(dial.failures) if dial.lost and dial.failures <= LOST_RETRIES_MAX else None
    return growing_ns(dial.failures) if backoff else SECOND_NS


def delay_after_close_ns(*, explicit: bool, refused: bool, tries: int, randomness: Randomness) -> int:
    """After a connection that we have to replace. ``tries``: how many in a row ended unconfirmed. ``refused``: it was a
    dedicated one and the other side said no."""
    doublings = min(max(tries - 1, 0), SPREAD_DOUBLINGS_MAX)
    spread_ns = randomness.below(SPREAD_MS << doublings) * MILLISECOND_NS
    if refused:
        return growing_ns(tries) + spread_ns
    if explicit:
        return SECOND_NS + spread_ns
    if tries > RACES_MAX:
        return growing_ns(tries - RACES_MAX) + spread_ns
    return spread_ns


def is_reported(failures: int) -> bool:
    """Is this failure, the n-th in a row, worth a line in the log?"""
    return failures == 1 or failures % REPORT_EVERY == 0
