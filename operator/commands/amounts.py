"""Sizes, dates and durations as the command line writes them (spec operator-cli section 3)."""

import re
from datetime import UTC, datetime

from gossamer.operator.failure import Failure, usage

_SIZE_UNITS = {
    "": 1,
    "b": 1,
    "k": 10**3,
    "kb": 10**3,
    "m": 10**6,
    "mb": 10**6,
    "g": 10**9,
    "gb": 10**9,
    "t": 10**12,
    "tb": 10**12,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
    "tib": 2**40,
}
_SIZE = re.compile(r"(-?\d+)\s*([A-Za-z]*)")
_RELATIVE = re.compile(r"([+-]?\d+)([mhdwMy])")
_SECONDS = {"m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400}
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h|d)")
_DURATION_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60 * 1_000_000_000,
    "h": 3600 * 1_000_000_000,
    "d": 86_400 * 1_000_000_000,
}
NUMBER_MAX = 2**63 - 1


def parse_size(text: str) -> int:
    """Bytes, or a plain number. ``1k``, ``1M``, ``1G``, ``1T`` are decimal, ``KiB`` ... binary, -1 unlimited.

    Raises Failure (usage) for anything else.
    """
    match = _SIZE.fullmatch(text.strip())
    unit = match[2].lower() if match else None
    if match is None or unit not in _SIZE_UNITS:
        raise usage(f"{text!r} is not a size", "write 1024, 1k, 1M, 1G, 1KiB, 1MiB, 1GiB, or -1 for unlimited")
    value = int(match[1]) * _SIZE_UNITS[unit]
    if value < 0:
        if value != -1:
            raise usage(f"{text!r} is not a size", "only -1 (unlimited) may be negative")
        return -1
    if value > NUMBER_MAX:
        raise usage(f"{text!r} is too large", "write -1 for unlimited")
    return value


def parse_moment(text: str, now: datetime) -> int:
    """Unix seconds of a date for ``--expiry`` and ``--start``; 0 for "none".

    ``yyyy-mm-dd``, ``yyyy-mm-dd HH:MM:SS UTC``, RFC 3339, or a whole number with m, h, d, w, M (months) or y from
    ``now`` (which has a zone; negative numbers lie in the past). Raises Failure (usage).
    """
    text = text.strip()
    if text == "0":
        return 0
    relative = _RELATIVE.fullmatch(text)
    try:
        if relative:
            amount, unit = int(relative[1]), relative[2]
            if unit in _SECONDS:
                return int(now.timestamp()) + amount * _SECONDS[unit]
            return int(_add_months(now, amount * (12 if unit == "y" else 1)).timestamp())
        return int(_absolute(text).timestamp())
    except (ValueError, OverflowError):
        raise usage(
            f"{text!r} is not a date",
            "write 0 (none), yyyy-mm-dd, 'yyyy-mm-dd HH:MM:SS UTC', or a whole number with m, h, d, w, M or y",
        ) from None


def parse_duration(text: str) -> int:
    """Nanoseconds of ``90s``, ``1h30m``, ``250ms``; 0 for ``0``. Raises Failure (usage)."""
    text = text.strip()
    parts = list(_DURATION_PART.finditer(text))
    if text == "0":
        return 0
    if not parts or "".join(part[0] for part in parts) != text:
        raise usage(f"{text!r} is not a duration", "write numbers with units: 500ms, 30s, 2m, 1h30m")
    return sum(round(float(part[1]) * _DURATION_NS[part[2]]) for part in parts)


def show_moment(seconds: int | None) -> str:
    """A date people can read, always UTC; empty for none."""
    if not seconds:
        return ""
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return str(seconds)


def show_limit(value: int) -> str:
    """A limit people can read."""
    return "unlimited" if value == -1 else str(value)


def split_list(values: tuple[str, ...]) -> list[str]:
    """Comma-separated values and repeated flags are the same; empty ones are dropped."""
    return [part.strip() for value in values for part in value.split(",") if part.strip()]


def _add_months(start: datetime, months: int) -> datetime:
    # A day that the target month does not have runs over into the next one: 31 January + 1M is in March.
    index = start.year * 12 + start.month - 1 + months
    first = start.replace(year=index // 12, month=index % 12 + 1, day=1)
    return datetime.fromtimestamp(first.timestamp() + (start.day - 1) * 86_400, UTC)


def _absolute(text: str) -> datetime:
    for pattern in ("%Y-%m-%d", "%Y-%m-%d %H:%M:%S UTC"):
        try:
            return datetime.strptime(text, pattern).replace(tzinfo=UTC)
        except ValueError:
            continue
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(text)
    return moment


def moment_now() -> datetime:
    """Now, in UTC."""
    return datetime.now(UTC)


def checked_tag(tag: str) -> str:
    """A tag as claims hold it: trimmed and lower case (spec auth section 3.4). Raises Failure when empty."""
    tag = tag.strip().lower()
    if not tag:
        raise Failure("a tag is empty", code="bad-tag")
    return tag
