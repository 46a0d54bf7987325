"""When declared things end: dates, and times that count from the issue of a claim (``90d``)."""

from datetime import UTC, datetime

from gossamer.auth.claims import Claims
from gossamer.operator.commands.amounts import parse_duration, parse_moment
from gossamer.operator.failure import Failure
from gossamer.operator.plan.declaration import Term
from gossamer.operator.plan.faults import TableReader

#: A claim may carry a time of issue a little later than the one that its end was reckoned from.
_TOLERANCE_S = 60


def read_term(table: TableReader) -> Term:
    """``expires`` and ``rotate_before``."""
    text, rotate = table.text("expires"), table.text("rotate_before")
    if text:
        check_moment(table, "expires", text)
    seconds = 0
    if rotate:
        try:
            seconds = parse_duration(rotate) // 1_000_000_000
        except Failure as failure:
            table.fault("rotate_before", failure.message, failure.hint)
        if not text:
            table.fault("rotate_before", "means nothing without expires")
    return Term(text="" if text == "0" else text, rotate_before_s=seconds)


def check_moment(table: TableReader, name: str, text: str) -> int:
    """Unix seconds of a date; a fault and 0 if it is none."""
    try:
        return parse_moment(text, datetime.now(UTC))
    except Failure as failure:
        table.fault(name, failure.message, failure.hint)
        return 0


def end_of(term: Term, before: Claims | None, now: int) -> int:
    """When a claim shall end, in unix seconds; 0: never.

    A time from its issue stays what it was as long as the claim needs no renewal, so that an unchanged claim is never
    signed again.
    """
    if not term.text:
        return 0
    fresh = parse_moment(term.text, moment(now))
    if before is None or not before.expires:
        return fresh
    reckoned = parse_moment(term.text, moment(before.issued_at))
    if abs(reckoned - before.expires) > _TOLERANCE_S:
        return fresh
    due = term.rotate_before_s and before.expires - now <= term.rotate_before_s
    return fresh if due else before.expires


def moment(seconds: int) -> datetime:
    """Unix seconds as a date in UTC."""
    return datetime.fromtimestamp(seconds, UTC)
