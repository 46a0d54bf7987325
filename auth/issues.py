"""What is wrong with a claim, one finding at a time, and how bad it is (spec auth section 5)."""

import json
from enum import Enum

from msgspec import Struct


class Level(Enum):
    """How bad a finding is."""

    BLOCKING = "blocking"  # nobody may use the claim
    TIME = "time"  # not valid now: blocks where the caller looks at the time
    WARNING = "warning"  # never blocks


class Issue(Struct, frozen=True):
    """One finding. The descriptions are those of the reference."""

    description: str
    level: Level = Level.BLOCKING


class Findings:
    """Collects issues, each once, in order."""

    def __init__(self) -> None:
        """Nothing found yet."""
        self._found: dict[Issue, None] = {}

    def block(self, description: str) -> None:
        """Add a blocking issue."""
        self._found[Issue(description)] = None

    def time(self, description: str) -> None:
        """Add a time issue."""
        self._found[Issue(description, Level.TIME)] = None

    def warn(self, description: str) -> None:
        """Add a warning."""
        self._found[Issue(description, Level.WARNING)] = None

    def all(self) -> list[Issue]:
        """Everything found."""
        return list(self._found)


def quoted(text: str) -> str:
    """A text as issues show it."""
    return json.dumps(text, ensure_ascii=False)
