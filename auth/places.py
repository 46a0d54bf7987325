"""From where and when a user may come: networks, hours of the day, time zones (spec auth sections 4.3 and 10.4)."""

import ipaddress
import re
from collections.abc import Iterable
from datetime import UTC, datetime, time, timedelta, tzinfo
from zoneinfo import ZoneInfo

from gossamer.auth.claims.grant import TimeRange

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_TIME = re.compile(r"(\d{1,2}):(\d{2}):(\d{2})\Z", re.ASCII)
_NETWORK = re.compile(r"[0-9a-fA-F.:]+/\d{1,3}\Z", re.ASCII)


def parse_network(text: str) -> Network | None:
    """A network in CIDR form, host bits ignored. None: it is none."""
    if not _NETWORK.match(text):
        return None
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def host_in_networks(host: str, networks: Iterable[str]) -> bool | None:
    """Is the address in one of the networks? None: the host is no address or a network is malformed."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    inside = False
    for text in networks:
        network = parse_network(text)
        if network is None:
            return None
        # A different IP version is simply not inside.
        inside = inside or address in network or (mapped is not None and mapped in network)
    return inside


def parse_time_of_day(text: str) -> time | None:
    """``HH:MM:SS``. None: it is none."""
    found = _TIME.match(text)
    if found is None:
        return None
    hour, minute, second = (int(part) for part in found.groups())
    if hour > 23 or minute > 59 or second > 59:
        return None
    return time(hour, minute, second)


def zone_named(name: str) -> tzinfo | None:
    """An IANA time zone. None: there is none of that name."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ValueError, OSError, LookupError):
        return None


def hours_end(ranges: Iterable[TimeRange], now: datetime) -> datetime | None:
    """The end of the range that holds ``now`` (a time with its zone), the latest if several do. None: none holds.

    A range whose start lies after its end spans midnight. The ends themselves are outside.
    """
    latest: datetime | None = None
    for hours in ranges:
        start, end = parse_time_of_day(hours.start), parse_time_of_day(hours.end)
        if start is None or end is None:
            continue
        first, last = (datetime.combine(now.date(), part, now.tzinfo) for part in (start, end))
        if first > last:
            if now < last:
                first -= timedelta(days=1)
            else:
                last += timedelta(days=1)
        if first < now < last and (latest is None or last > latest):
            latest = last
    return latest
