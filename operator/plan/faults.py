"""Reading a table with all its faults: every value of the wrong form, every unknown key, none of them alone.

A ``TableReader`` hands out the values of one TOML table by name and remembers which names were asked for; what is left
at the end is unknown, and gets the nearest known name as a suggestion.
"""

import difflib
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from msgspec import Struct

from gossamer.auth.keys import KeyKind, is_public
from gossamer.operator.commands.amounts import parse_duration, parse_size
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.plan.lines import Path

Value = TypeVar("Value")

_SHOWN_MAX = 20


class Fault(Struct, frozen=True, kw_only=True):
    """One thing wrong with a file. ``line`` 0: not known."""

    message: str
    where: str
    hint: str = ""
    line: int = 0


class Faults:
    """All that is wrong with one file."""

    def __init__(self) -> None:
        self.found: list[tuple[Path, str, str]] = []

    def add(self, path: Path, message: str, hint: str = "") -> None:
        """Note a fault of the value at ``path``."""
        self.found.append((path, message, hint))


class InvalidFile(Failure):
    """A tenants file with faults; ``faults`` has them all."""

    def __init__(self, file: str, faults: list[Fault]) -> None:
        first = f"{file}: " + "; ".join(_line(fault) for fault in faults[:_SHOWN_MAX])
        more = len(faults) - _SHOWN_MAX
        super().__init__(
            first if more <= 0 else f"{first}; and {more} more",
            code="invalid-file",
            path=file,
            exit_code=ExitCode.INVALID,
        )
        self.faults = faults


def _line(fault: Fault) -> str:
    place = f"line {fault.line}: " if fault.line else ""
    hint = f" ({fault.hint})" if fault.hint else ""
    return f"{place}{fault.where}: {fault.message}{hint}"


def dotted(path: Path) -> str:
    """A path as people write it: ``accounts.TEAM.exports[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def nearest(name: str, known: list[str]) -> str:
    """A suggestion for a name that is not known."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"known are: {', '.join(known[:12])}{', ...' if len(known) > 12 else ''}" if known else ""


class TableReader:
    """One table. Values that are absent or wrong come back as the default; wrong ones are faults."""

    def __init__(self, table: Any, path: Path, faults: Faults) -> None:
        if not isinstance(table, dict):
            faults.add(path, f"must be a table, not {_kind(table)}")
            table = {}
        self.table: dict[str, Any] = table
        self.path = path
        self.faults = faults
        self._asked: list[str] = []

    def __contains__(self, name: str) -> bool:
        return name in self.table

    def raw(self, name: str) -> Any:
        """The value as it is; None when absent."""
        self._asked.append(name)
        return self.table.get(name)

    def fault(self, name: str, message: str, hint: str = "") -> None:
        """Note a fault of one value."""
        self.faults.add((*self.path, name), message, hint)

    def text(self, name: str, default: str = "") -> str:
        """A text."""
        return self._typed(name, str, "a text", default)

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        return self._typed(name, bool, "true or false", default)

    def number(self, name: str, default: int = 0) -> int:
        """A whole number."""
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int) or abs(value) >= 2**63:
            self.fault(name, f"must be a whole number, not {_kind(value)}")
            return default
        return value

    def size(self, name: str, default: int) -> int:
        """A number or a text like ``1MiB``; ``unlimited`` and -1 are the same."""
        value = self.raw(name)
        if value is None:
            return default
        if isinstance(value, str):
            return -1 if value == "unlimited" else self._parsed(name, value, parse_size, default)
        if isinstance(value, bool) or not isinstance(value, int) or not -1 <= value < 2**63:
            self.fault(name, "must be a size", "write 1024, '1MiB', or -1 for unlimited")
            return default
        return value

    def duration_ns(self, name: str, default: int = 0) -> int:
        """A text like ``2m`` or ``1h30m``, in nanoseconds."""
        text = self.text(name)
        return self._parsed(name, text, parse_duration, default) if text else default

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of texts; one text alone is a list of one."""
        value = self.raw(name)
        if value is None:
            return ()
        if isinstance(value, str):
            return (value,)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            self.fault(name, "must be a list of texts")
            return ()
        return tuple(value)

    def key(self, name: str, kind: KeyKind) -> str:
        """A public key of one kind; empty when absent."""
        text = self.text(name)
        if text and not is_public(text, kind):
            self.fault(name, f"{text!r} is no public {kind.word} key", f"it begins with {kind.letter}")
            return ""
        return text

    def reader(self, name: str) -> "TableReader":
        """The table below a name; an empty one when absent."""
        value = self.raw(name)
        return TableReader({} if value is None else value, (*self.path, name), self.faults)

    def readers(self, name: str) -> Iterator["TableReader"]:
        """The tables of a list."""
        value = self.raw(name)
        if value is None:
            return
        if not isinstance(value, list):
            self.fault(name, f"must be a list of tables, not {_kind(value)}")
            return
        for position, item in enumerate(value):
            yield TableReader(item, (*self.path, name, position), self.faults)

    def named(self, name: str) -> Iterator[tuple[str, "TableReader"]]:
        """The tables below the keys of a table."""
        outer = self.reader(name)
        for key, value in outer.table.items():
            yield key, TableReader(value, (*outer.path, key), self.faults)

    def done(self) -> None:
        """Every name that nobody asked for is a fault."""
        for name in self.table:
            if name not in self._asked:
                self.fault(name, "unknown key", nearest(name, self._asked))

    def _typed(self, name: str, kind: type[Value], what: str, default: Value) -> Value:
        value = self.raw(name)
        if value is None:
            return default
        if not isinstance(value, kind):
            self.fault(name, f"must be {what}, not {_kind(value)}")
            return default
        return value

    def _parsed(self, name: str, text: str, parse: Callable[[str], int], default: int) -> int:
        try:
            return parse(text)
        except Failure as failure:
            self.fault(name, failure.message, failure.hint)
            return default


def _kind(value: Any) -> str:
    kinds = {
        str: "a text",
        bool: "true or false",
        int: "a number",
        float: "a fraction",
        list: "a list",
        dict: "a table",
    }
    return kinds.get(type(value), "a date" if hasattr(value, "isoformat") else type(value).__name__)
