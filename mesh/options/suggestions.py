"""What the author of a file probably meant: the nearest key, the unit, the missing quotes."""

import re
from collections.abc import Iterable

from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.table import Row

_SIZE_WITH_B = re.compile(r"([0-9]+)b", re.IGNORECASE)
_DAYS = re.compile(r"([0-9]+)d")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off"})


def distance(one: str, other: str) -> int:
    """The number of letters to insert, remove, replace or swap with their neighbour."""
    before: list[int] = []
    last = list(range(len(other) + 1))
    for i, left in enumerate(one, start=1):
        row = [i]
        for j, right in enumerate(other, start=1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (left != right))
            if i > 1 and j > 1 and left == other[j - 2] and one[i - 2] == right:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]


def nearest(key: str, known: Iterable[str]) -> str:
    """``did you mean "x"?`` for a key within a third of its length, or nothing."""
    lowered = key.lower()[:64]
    close = sorted((distance(lowered, each), each) for each in known if abs(len(each) - len(lowered)) <= 3)
    if close and close[0][0] <= max(1, min(3, len(lowered) // 3)):
        return f'did you mean "{close[0][1]}"?'
    plain = lowered.replace("-", "_")
    if plain in known:
        return f'did you mean "{plain}"?'
    return ""


def duration_for(number: int) -> str:
    """What somebody who wrote a number for a duration may have meant."""
    if number and number % 1_000_000 == 0:
        return f'put it in quotes, "{number // 1_000_000}m": an unquoted 1m is one million, not a minute'
    return f'write "{number}s"'


def otherwise(row: Row, node: Node) -> str:
    """How a value of the wrong type may be put right."""
    value = node.value
    if row.type.name == "boolean" and isinstance(value, str) and value.lower() in _WORDS:
        return f"write {value.lower()} without quotes"
    if row.type.name in ("size", "integer") and isinstance(value, str):
        if _SIZE_WITH_B.fullmatch(value):
            return f"write {value[:-1]}: a number without a unit is bytes"
        if value.lstrip("-").isdigit() or (row.type.name == "size" and value[:1].isdigit()):
            return f"write {value} without quotes; 1k is 1000, 1kb is 1024"
    if row.type.name in ("duration", "duration string", "seconds"):
        if isinstance(value, str) and _DAYS.fullmatch(value):
            return f"there is no unit for days: write {int(value[:-1]) * 24}h"
        if isinstance(value, str) and value.isdigit():
            return f'write "{value}s"'
        if isinstance(value, int) and not isinstance(value, bool):
            return duration_for(value)
        return 'a duration is written like "10s", "2m30s" or "250ms"'
    if row.type.name.startswith("text") and isinstance(value, int | float) and not isinstance(value, bool):
        return "put the value in quotes"
    return ""
