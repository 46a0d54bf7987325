"""How times and durations look in monitoring documents (spec system-and-monitoring section 1)."""

import functools
import time

_SECOND_NS = 1_000_000_000
ZERO_TIME = "0001-01-01T00:00:00Z"


def timestamp(wall_ns: int) -> str:
    """RFC 3339 in UTC with up to nine digits, trailing zeros dropped; 0 is the zero time."""
    if wall_ns <= 0:
        return ZERO_TIME
    second, rest_ns = divmod(wall_ns, _SECOND_NS)
    text = _second_text(second)
    return f"{text}.{rest_ns:09d}".rstrip("0") + "Z" if rest_ns else text + "Z"


@functools.lru_cache(maxsize=64)
def _second_text(second: int) -> str:
    """Events come in thousands within the same second."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


def duration(value_ns: int) -> str:
    """Go's way: ``355µs``, ``1.020397ms``, ``1m2.5s``, ``0s``."""
    if value_ns < 0:
        return "-" + duration(-value_ns)
    if value_ns == 0:
        return "0s"
    for limit, unit in ((1_000, "ns"), (1_000_000, "µs"), (_SECOND_NS, "ms")):
        if value_ns < limit:
            return _decimal(value_ns, limit // 1_000) + unit
    minutes, rest_ns = divmod(value_ns, 60 * _SECOND_NS)
    hours, minutes = divmod(minutes, 60)
    text = _decimal(rest_ns, _SECOND_NS) + "s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text


def uptime(value_ns: int) -> str:
    """``1y2d3h4m5s``, leading units dropped."""
    seconds = max(0, value_ns) // _SECOND_NS
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    years, days = divmod(days, 365)
    parts = [(years, "y"), (days, "d"), (hours, "h"), (minutes, "m")]
    while parts and not parts[0][0]:
        del parts[0]
    return "".join(f"{count}{unit}" for count, unit in parts) + f"{seconds}s"


def seconds(value_ns: int) -> float | int:
    """Nanoseconds as a JSON number of seconds, whole ones without fraction."""
    whole, rest_ns = divmod(value_ns, _SECOND_NS)
    return value_ns / _SECOND_NS if rest_ns else whole


def _decimal(value: int, unit: int) -> str:
    whole, rest = divmod(value, unit)
    if not rest:
        return str(whole)
    return f"{whole}.{rest:0{len(str(unit)) - 1}d}".rstrip("0")
