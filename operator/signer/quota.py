"""How often a client may come: so many times within any minute, for each of its rules."""

from collections import deque
from collections.abc import Callable

from gossamer.operator.signer.policy import Client, Rule
from gossamer.operator.signer.refusal import Grounds, Refused

WINDOW_S = 60.0
#: For whatever no rule is about: listing, looking at requests, refusals.
CALLS_PER_MINUTE = 600


class Quota:
    """Counts the calls of the last minute. Bounded by the policy: one queue per client and rule."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._calls: dict[tuple[str, int], deque[float]] = {}

    def call(self, client: Client) -> None:
        """Count a call of any kind. Raises Refused when there were too many."""
        self._count((client.name, -1), CALLS_PER_MINUTE)

    def use(self, client: Client, rule: Rule) -> None:
        """Count a signature under a rule. Raises Refused when there were too many."""
        self._count((client.name, client.rules.index(rule)), rule.per_minute)

    def _count(self, key: tuple[str, int], most: int) -> None:
        now = self._clock()
        calls = self._calls.setdefault(key, deque())
        while calls and calls[0] <= now - WINDOW_S:
            calls.popleft()
        if len(calls) >= most:
            wait = calls[0] + WINDOW_S - now
            raise Refused(Grounds.QUOTA, f"more than {most} in a minute: come back in {wait:.0f} s")
        calls.append(now)
