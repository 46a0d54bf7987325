"""The addresses of this machine that others can reach: a node bound to every interface announces each of them."""

import fcntl
import ipaddress
import socket
import struct

from gossamer.mesh.world.disk import Disk

_SIOCGIFADDR = 0x8915
_INET6_TABLE = "/proc/net/if_inet6"


def is_wildcard(host: str) -> bool:
    """Does the host mean all interfaces?"""
    return host in ("", "0.0.0.0", "::")


def global_addresses(disk: Disk) -> list[str]:
    """Unicast addresses that are neither loopback nor link-local, IPv4 first (Linux)."""
    found = _ipv4() + _ipv6(disk)
    return [text for text in found if _is_global_unicast(text)]


def _is_global_unicast(text: str) -> bool:
    address = ipaddress.ip_address(text)
    return not (address.is_loopback or address.is_link_local or address.is_multicast or address.is_unspecified)


def _ipv4() -> list[str]:
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            request = struct.pack("256s", name.encode()[:15])
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
            except OSError:
                continue  # an interface without an IPv4 address
            found.append(socket.inet_ntoa(answer[20:24]))
    return found


def _ipv6(disk: Disk) -> list[str]:
    try:
        lines = disk.read(_INET6_TABLE).decode().splitlines()
    except OSError:
        return []
    return [socket.inet_ntop(socket.AF_INET6, bytes.fromhex(line.split()[0])) for line in lines if line]
