"""Durations in Go's form and the sizes of the jetstream block (spec configuration sections 2.3, 2.4)."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.mesh.options.units import format_duration, parse_duration, parse_store_size

SECOND = 1_000_000_000


@pytest.mark.parametrize(
    ("text", "duration_ns"),
    [
        ("10s", 10 * SECOND),
        ("2h45m", 165 * 60 * SECOND),
        ("1.5h", 5400 * SECOND),
        ("100ms", SECOND // 10),
        ("3us", 3000),
        ("3µs", 3000),
        ("3μs", 3000),
        ("-5s", -5 * SECOND),
        ("+5s", 5 * SECOND),
        ("0", 0),
        ("-0", 0),
        (".5s", SECOND // 2),
        ("5.s", 5 * SECOND),
        ("1m0.5s", 60 * SECOND + SECOND // 2),
    ],
)
def test_durations(text, duration_ns):
    assert parse_duration(text) == duration_ns


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("90", 'time: missing unit in duration "90"'),
        ("5d", 'time: unknown unit "d" in duration "5d"'),
        ("", 'time: invalid duration ""'),
        ("x", 'time: invalid duration "x"'),
        (".s", 'time: invalid duration ".s"'),
        ("-", 'time: invalid duration "-"'),
        ("9999999999h", 'time: invalid duration "9999999999h"'),
    ],
)
def test_faults(text, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1500, "1.5µs"),
        (2_000_000, "2ms"),
        (SECOND, "1s"),
        (29_900_000_000, "29.9s"),
        (120 * SECOND, "2m0s"),
        (7200 * SECOND, "2h0m0s"),
        (-5 * SECOND, "-5s"),
    ],
)
def test_formats(duration_ns, text):
    assert format_duration(duration_ns) == text


@given(st.integers(min_value=-(2**63) + 1, max_value=2**63 - 1))
def test_what_is_formatted_is_parsed_again(duration_ns):
    assert parse_duration(format_duration(duration_ns)) == duration_ns


@pytest.mark.parametrize(("text", "size"), [("10G", 10 * 2**30), ("1K", 1024), ("5", 5), ("", 0), ("2T", 2**41)])
def test_store_sizes(text, size):
    assert parse_store_size(text) == size


@pytest.mark.parametrize("text", ["10GB", "10g", "1.5G", "G", "x"])
def test_store_sizes_refused(text):
    with pytest.raises(ValueError, match=r"strconv\.ParseInt"):
        parse_store_size(text)
