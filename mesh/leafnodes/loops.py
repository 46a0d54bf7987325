"""Loops and who may not meet twice: the subjects that go round, and what -ERR says (spec leafnodes 11).

Each account has one ``$LDS.`` subject of its own, which every leaf link announces; whoever hears its own again closes
the link. The engine notices; what is done about it stands here.
"""

from typing import Final

from gossamer.mesh.accounts.account import Account
from gossamer.mesh.leafnodes.world import SECOND_NS, LeafEngine
from gossamer.mesh.world import Randomness

_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_LENGTH: Final = 22

LOOP_PENALTY_NS: Final = 30 * SECOND_NS
SAME_CLUSTER: Final = "remote leafnode has same cluster name"
MINIMUM_VERSION: Final = "connection rejected since minimum version required is"
DUPLICATE: Final = "Duplicate Remote LeafNode Connection"


def loop_text(account: str) -> str:
    """What the peer is told."""
    return f'Loop detected for leafnode account="{account}". Delaying attempt to reconnect for 30s'


def penalty_of(error: str, *, said: bool) -> int:
    """How much longer to wait after a link that ended with that -ERR. ``said``: by us; else we were told (spec 13)."""
    if "Loop detected" in error or SAME_CLUSTER in error:
        return LOOP_PENALTY_NS
    if MINIMUM_VERSION in error:
        return 5 * SECOND_NS
    if said and "Permissions Violation" in error:
        return LOOP_PENALTY_NS
    return 0


class LoopDetection:
    """Gives each account its subject when it has its first leaf link; it keeps it as long as the node runs."""

    __slots__ = ("_engine", "_randomness", "_subjects")

    def __init__(self, engine: LeafEngine, randomness: Randomness) -> None:
        self._engine = engine
        self._randomness = randomness
        self._subjects: dict[int, str] = {}

    def begin(self, account: Account) -> str:
        """The account's subject, which the engine announces from now on."""
        subject = self._subjects.get(account.number)
        if subject is None:
            subject = "$LDS." + "".join(_LETTERS[byte % 62] for byte in self._randomness.token(_LENGTH))
            self._subjects[account.number] = subject
            self._engine.subscribe_loop_detection(account.number, subject.encode())
        return subject
