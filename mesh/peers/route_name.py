"""The cluster's name, configured or generated, and which of two gives way (spec routes 8)."""

import string
from enum import Enum, auto
from typing import Final

from gossamer.mesh.world import Randomness

GENERATED_LENGTH: Final = 22
_LETTERS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase


class Verdict(Enum):
    """What the other's name means for us."""

    SAME = auto()
    ADOPT = auto()  # we take theirs
    YIELDS = auto()  # they will take ours, when they hear it
    CONFLICT = auto()


class ClusterName:
    """``dynamic``: generated, so it gives way to a configured one and to a greater generated one."""

    __slots__ = ("dynamic", "text")

    def __init__(self, configured: str, randomness: Randomness) -> None:
        self.dynamic = not configured
        self.text = configured or "".join(_LETTERS[randomness.below(len(_LETTERS))] for _ in range(GENERATED_LENGTH))

    def judge(self, theirs: str, *, theirs_dynamic: bool) -> Verdict:
        if theirs == self.text:
            return Verdict.SAME
        if self.dynamic and theirs and (not theirs_dynamic or theirs.encode() > self.text.encode()):
            return Verdict.ADOPT
        return Verdict.YIELDS if theirs and theirs_dynamic else Verdict.CONFLICT

    def adopt(self, theirs: str, *, dynamic: bool) -> None:
        """A name taken from a peer that had it configured counts as configured here too, so that it wins everywhere."""
        self.text = theirs
        self.dynamic = dynamic
