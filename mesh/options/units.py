"""Durations and sizes as nats-server writes them: Go's form (spec configuration sections 2.3 and 2.4)."""

import re

from gossamer.mesh.options.language.faults import quoted

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5
    "μs": 1_000,  # U+03BC
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3600 * 1_000_000_000,
}
_PART = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)")
_LIMIT_NS = 2**63
_SECOND_NS = 1_000_000_000
_SIZE = re.compile(r"([+-]?[0-9]+)([KMGT]?)")
_POWERS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def parse_duration(text: str) -> int:
    """Nanoseconds of ``2m30s``, ``1.5h``, ``-100ms`` and the like. Raises ValueError with Go's text."""
    rest = text.removeprefix("-") if text.startswith("-") else text.removeprefix("+")
    if rest == "0":
        return 0
    total = 0
    if not rest:
        raise ValueError(f"time: invalid duration {quoted(text)}")
    while rest:
        found = _PART.match(rest)
        assert found is not None
        whole, fraction, unit = found.groups()
        if not whole and not fraction:
            raise ValueError(f"time: invalid duration {quoted(text)}")
        if not unit:
            if rest[found.end() :]:  # a second point
                raise ValueError(f"time: missing unit in duration {quoted(text)}")
            raise ValueError(f"time: missing unit in duration {quoted(text)}")
        if unit not in _UNITS_NS:
            raise ValueError(f"time: unknown unit {quoted(unit)} in duration {quoted(text)}")
        if len(whole) > 19:
            raise ValueError(f"time: invalid duration {quoted(text)}")
        unit_ns = _UNITS_NS[unit]
        total += int(whole or "0") * unit_ns
        if fraction:
            fraction = fraction[:18]
            total += int(fraction) * unit_ns // 10 ** len(fraction)
        if total >= _LIMIT_NS:
            raise ValueError(f"time: invalid duration {quoted(text)}")
        rest = rest[found.end() :]
    return -total if text.startswith("-") else total


def format_duration(duration_ns: int) -> str:
    """Go's shortest form: ``1m30s``, ``250ms``, ``2h0m0s``."""
    if duration_ns == 0:
        return "0s"
    sign = "-" if duration_ns < 0 else ""
    size = abs(duration_ns)
    if size < _SECOND_NS:
        for unit, unit_ns in (("ms", 1_000_000), ("µs", 1_000), ("ns", 1)):
            if size >= unit_ns:
                return f"{sign}{_decimal(size, unit_ns)}{unit}"
    minutes, rest = divmod(size, _UNITS_NS["m"])
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(rest, _SECOND_NS)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    if hours:
        text = f"{hours}h{text}"
    return sign + text


def parse_store_size(text: str) -> int:
    """Bytes of a quoted size in the ``jetstream`` block: ``10G`` is 10 * 2**30. Raises ValueError with Go's text."""
    if not text:
        return 0
    found = _SIZE.fullmatch(text)
    if found is None:
        digits = text[:-1] if text[-1] in _POWERS or text[-1].isalpha() else text
        raise ValueError(f"strconv.ParseInt: parsing {quoted(digits)}: invalid syntax")
    return int(found[1]) * _POWERS[found[2]]


def _decimal(value: int, unit: int) -> str:
    whole, fraction = divmod(value, unit)
    digits = str(fraction).rjust(len(str(unit)) - 1, "0").rstrip("0") if unit > 1 else ""
    return f"{whole}.{digits}" if digits else str(whole)
