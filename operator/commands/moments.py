"""Moments of revocations: ``--at``."""

from gossamer.operator.commands.amounts import moment_now, parse_moment
from gossamer.operator.failure import usage


def past_moment(text: str) -> int:
    """Unix seconds of ``--at``: seconds since 1970, RFC 3339, a date, or ``-2h`` from now; 0: now.

    Raises Failure (usage) for anything else, or a moment to come: nothing that will be issued can be void already.
    """
    now = moment_now()
    seconds = int(text) if text.strip().isdecimal() and len(text) < 15 else parse_moment(text, now)
    if seconds < 0:
        raise usage(f"{text!r} is not a moment", "write a date, seconds since 1970, or -2h")
    if seconds > now.timestamp() + 1:
        raise usage(f"{text!r} lies in the future", "what is issued until now can be revoked")
    return seconds
