"""Times and durations as tools expect them (spec system-and-monitoring section 1)."""

import pytest

from gossamer.mesh.monitor.formats import duration, seconds, timestamp, uptime
from gossamer.mesh.monitor.parameters import BadParameter, boolean, integer, unsigned, with_detail

_S = 1_000_000_000


@pytest.mark.parametrize(
    ("value_ns", "expected"),
    [
        (0, "0s"),
        (1, "1ns"),
        (999, "999ns"),
        (355_000, "355µs"),
        (1_500, "1.5µs"),
        (1_020_397, "1.020397ms"),
        (_S, "1s"),
        (1_500_000_000, "1.5s"),
        (62_500_000_000, "1m2.5s"),
        (3600 * _S, "1h0m0s"),
        (-355_000, "-355µs"),
    ],
)
def test_durations(value_ns: int, expected: str) -> None:
    assert duration(value_ns) == expected


@pytest.mark.parametrize(
    ("value_s", "expected"),
    [(0, "0s"), (5, "5s"), (120, "2m0s"), (3605, "1h0m5s"), (90_000, "1d1h0m0s"), (366 * 86400, "1y1d0h0m0s")],
)
def test_uptimes(value_s: int, expected: str) -> None:
    assert uptime(value_s * _S) == expected


def test_timestamps() -> None:
    assert timestamp(0) == "0001-01-01T00:00:00Z"
    assert timestamp(1_700_000_000 * _S) == "2023-11-14T22:13:20Z"
    assert timestamp(1_700_000_000 * _S + 533_758_400) == "2023-11-14T22:13:20.5337584Z"


def test_seconds_are_whole_where_they_can_be() -> None:
    assert seconds(2 * _S) == 2
    assert isinstance(seconds(2 * _S), int)
    assert seconds(2_500_000_000) == 2.5


def test_parameters() -> None:
    assert boolean({"a": "TRUE"}, "a")
    assert not boolean({"a": ""}, "a")
    assert not boolean({}, "a")
    assert integer({"a": "-3"}, "a") == -3
    assert unsigned({"a": "3"}, "a") == 3
    assert with_detail({"subs": "detail"}, "subs") == (True, True)
    assert with_detail({"subs": "1"}, "subs") == (True, False)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (
            lambda: integer({"limit": "abc"}, "limit"),
            "Error decoding int for 'limit': strconv.Atoi: parsing \"abc\": invalid syntax",
        ),
        (
            lambda: boolean({"auth": "maybe"}, "auth"),
            "Error decoding boolean for 'auth': strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
        (
            lambda: unsigned({"cid": "-1"}, "cid"),
            "Error decoding uint64 for 'cid': strconv.ParseUint: parsing \"-1\": invalid syntax",
        ),
        (
            lambda: integer({"limit": "9" * 30}, "limit"),
            f"Error decoding int for 'limit': strconv.Atoi: parsing \"{'9' * 30}\": value out of range",
        ),
    ],
)
def test_bad_parameters(call: object, text: str) -> None:
    assert callable(call)
    with pytest.raises(BadParameter) as caught:
        call()
    assert str(caught.value) == text
