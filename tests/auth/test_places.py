"""Networks, hours and zones (spec auth sections 4.3 and 10.4)."""

from datetime import UTC, datetime, time, timedelta, timezone

import pytest

from gossamer.auth.claims import TimeRange
from gossamer.auth.places import host_in_networks, hours_end, parse_network, parse_time_of_day, zone_named


def test_networks():
    assert host_in_networks("10.1.2.3", ["192.0.2.0/24", "10.1.2.9/8"])
    assert not host_in_networks("11.1.2.3", ["10.0.0.0/8"])
    assert host_in_networks("2001:db8::5", ["2001:DB8::/32"])
    assert not host_in_networks("10.0.0.1", ["2001:db8::/32"])
    assert host_in_networks("::ffff:10.0.0.1", ["10.0.0.0/8"])
    assert host_in_networks("somewhere", ["10.0.0.0/8"]) is None
    assert host_in_networks("10.0.0.1", ["10.0.0.0/8", "bad"]) is None
    assert host_in_networks("10.0.0.1", []) is False


@pytest.mark.parametrize("text", ["", "10.0.0.1", "10.0.0.0/33", "/8", "10.0.0/8", "fe80::1%eth0/64", "10.0.0.0/٨"])
def test_bad_networks(text):
    assert parse_network(text) is None


def test_times_of_day():
    assert parse_time_of_day("23:59:59") == time(23, 59, 59)
    assert parse_time_of_day("8:00:00") == time(8)
    for text in ("", "24:00:00", "08:60:00", "08:00:60", "08:00", "08:00:00 ", "٠8:00:00", "-8:00:00"):
        assert parse_time_of_day(text) is None


def test_zones():
    assert zone_named("UTC") is UTC
    assert zone_named("Europe/Berlin") is not None
    for name in ("Mars/Base", "", "../etc/passwd", "/etc/passwd", "Europe", "x\0"):
        assert zone_named(name) is None


def at(hour, minute=0, zone=UTC):
    return datetime(2026, 5, 17, hour, minute, tzinfo=zone)


def hours(start, end):
    return TimeRange(start=f"{start:02}:00:00", end=f"{end:02}:00:00")


@pytest.mark.parametrize(
    ("ranges", "now", "end"),
    [
        ([hours(8, 18)], at(12), at(18)),
        ([hours(8, 18)], at(7, 59), None),
        ([hours(8, 18)], at(8), None),
        ([hours(8, 18)], at(18), None),
        ([hours(22, 6)], at(23), at(6) + timedelta(days=1)),
        ([hours(22, 6)], at(5), at(6)),
        ([hours(22, 6)], at(12), None),
        ([hours(8, 13), hours(9, 15), hours(10, 11)], at(12), at(15)),
        ([hours(8, 13), hours(11, 2)], at(12), at(2) + timedelta(days=1)),
        ([hours(9, 9)], at(9), None),
        ([], at(9), None),
        ([TimeRange(start="x", end="18:00:00")], at(12), None),
    ],
)
def test_hours(ranges, now, end):
    assert hours_end(ranges, now) == end


def test_hours_are_reckoned_in_the_zone_of_the_moment():
    zone = timezone(timedelta(hours=-4))
    assert hours_end([hours(8, 18)], at(9, zone=zone)) == at(18, zone=zone) == at(22)
