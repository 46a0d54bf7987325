"""Sizes, dates and durations (spec operator-cli section 3, checklist 13)."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.operator.commands.amounts import parse_duration, parse_moment, parse_size, show_moment, split_list
from gossamer.operator.failure import ExitCode, Failure

NOW = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1024", 1024),
        ("1k", 1000),
        ("1M", 10**6),
        ("1G", 10**9),
        ("1T", 10**12),
        ("1kib", 1024),
        ("1MiB", 2**20),
        ("1GiB", 2**30),
        ("2TiB", 2**41),
        ("-1", -1),
        ("0", 0),
    ],
)
def test_sizes(text: str, value: int) -> None:
    assert parse_size(text) == value


@pytest.mark.parametrize("text", ["", "x", "1.5M", "1Q", "-2", "1 000", "9" * 30, "k"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(Failure) as caught:
        parse_size(text)
    assert caught.value.exit_code is ExitCode.USAGE
    assert caught.value.hint


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2030-02-03", datetime(2030, 2, 3, tzinfo=UTC)),
        ("2030-02-03 04:05:06 UTC", datetime(2030, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("2030-02-03T04:05:06Z", datetime(2030, 2, 3, 4, 5, 6, tzinfo=UTC)),
        ("5m", datetime(2026, 1, 31, 12, 5, tzinfo=UTC)),
        ("-2h", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("3d", datetime(2026, 2, 3, 12, tzinfo=UTC)),
        ("1w", datetime(2026, 2, 7, 12, tzinfo=UTC)),
        ("2M", datetime(2026, 3, 31, 12, tzinfo=UTC)),
        ("1M", datetime(2026, 3, 3, 12, tzinfo=UTC)),  # there is no 31 February: three days into March
        ("-1M", datetime(2025, 12, 31, 12, tzinfo=UTC)),
        ("1y", datetime(2027, 1, 31, 12, tzinfo=UTC)),
    ],
)
def test_dates(text: str, moment: datetime) -> None:
    assert parse_moment(text, NOW) == int(moment.timestamp())


def test_zero_is_no_date() -> None:
    assert parse_moment("0", NOW) == 0
    assert show_moment(0) == ""


@pytest.mark.parametrize("text", ["", "1.5d", "5", "soon", "2030-13-01", "2030-02-03T04:05:06", "9999999999y", "1q"])
def test_what_is_no_date(text: str) -> None:
    with pytest.raises(Failure):
        parse_moment(text, NOW)


@pytest.mark.parametrize(
    ("text", "value"),
    [("0", 0), ("2m", 120 * 10**9), ("1h30m", 5400 * 10**9), ("250ms", 250 * 10**6), ("1.5s", 15 * 10**8)],
)
def test_durations(text: str, value: int) -> None:
    assert parse_duration(text) == value


@pytest.mark.parametrize("text", ["", "5", "5x", "m", "-5s", "1h x"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(Failure):
        parse_duration(text)


def test_lists() -> None:
    assert split_list(("a,b", " c ", ",")) == ["a", "b", "c"]


@given(st.text(max_size=30))
def test_any_text_is_an_amount_or_a_failure(text: str) -> None:
    for parse in (parse_size, parse_duration, lambda given: parse_moment(given, NOW)):
        with contextlib.suppress(Failure):
            assert isinstance(parse(text), int)
