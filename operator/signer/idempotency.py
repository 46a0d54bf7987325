"""A request that is sent again with the same key gets the same answer, and is not signed twice.

The answers of one client are kept in memory, bounded and for a day. A restart forgets them: a repetition after that is
signed again, which costs an entry in the log and nothing else.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from gossamer.operator.signer.messages import Message
from gossamer.operator.signer.refusal import Grounds, Refused

KEPT_S = 24 * 3600
KEPT_MAX = 10_000
KEY_CHARACTERS_MAX = 200


class Answers:
    """The answers that were given under a key."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._held: OrderedDict[tuple[str, str], tuple[bytes, float, Message]] = OrderedDict()

    def find(self, client: str, key: str, request: Message) -> Message | None:
        """The answer to the same request; None if there is none. Raises Refused when the key was another request's."""
        if not key:
            return None
        if len(key) > KEY_CHARACTERS_MAX:
            raise Refused(Grounds.INVALID, "the idempotency key is too long")
        held = self._held.get((client, key))
        if held is None or held[1] <= self._clock():
            return None
        if held[0] != _digest(request):
            raise Refused(Grounds.CONFLICT, "the idempotency key was used for another request")
        return held[2]

    def keep(self, client: str, key: str, request: Message, answer: Message) -> None:
        """Remember an answer."""
        if key:
            self._held[client, key] = (_digest(request), self._clock() + KEPT_S, answer)
            while len(self._held) > KEPT_MAX:
                self._held.popitem(last=False)


def _digest(request: Message) -> bytes:
    return hashlib.sha256(type(request).__name__.encode() + msgspec.json.encode(request)).digest()
