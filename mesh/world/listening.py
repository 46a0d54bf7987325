"""Bound sockets. Python binds, so that a busy port is one clear line before anything else runs; the engine accepts."""

import socket

from msgspec import Struct

#: Waiting connections; the kernel cuts it to its own bound (net.core.somaxconn).
BACKLOG = 4096


class PortTaken(Exception):
    """A port cannot be listened on. The text is one line for the operator."""


class BoundSocket(Struct, frozen=True):
    """A listening socket; whoever takes ``descriptor`` closes it."""

    descriptor: int
    host: str
    port: int

    @property
    def address(self) -> str:
        """``host:port``, IPv6 in brackets."""
        return join_address(self.host, self.port)


def join_address(host: str, port: int) -> str:
    """``host:port`` as URLs and messages show it."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(address: str, default_port: int) -> tuple[str, int]:
    """Undo ``join_address``; the port may be missing. Raises ValueError for a port that is none."""
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        return host, int(rest[1:]) if rest.startswith(":") else default_port
    host, colon, port = address.rpartition(":")
    if not colon or ":" in host:
        return address, default_port
    return host, int(port)


def bind(host: str, port: int, *, what: str = "port", option: str = "port") -> BoundSocket:
    """Listen on ``host:port`` (negative port: a free one). ``what`` and ``option`` are for the text of ``PortTaken``.

    Raises PortTaken, for a port in use, one that needs more rights, or a host that is not ours.
    """
    asked = max(0, port)
    shown = join_address(host, port)
    try:
        family, address = _resolve(host, asked)
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    except OSError as error:
        raise PortTaken(f'Error listening on {what}: {shown}, "{_reason(error)}"; correct the host') from error
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind(address)
        made.listen(BACKLOG)
    except OSError as error:
        made.close()
        raise PortTaken(f'Error listening on {what}: {shown}, "{_reason(error)}"; {_remedy(error, option)}') from error
    bound = made.getsockname()[1]
    return BoundSocket(made.detach(), host, bound)


def _resolve(host: str, port: int) -> tuple[int, tuple[str, int]]:
    if host in ("", "0.0.0.0") and socket.has_dualstack_ipv6():
        return socket.AF_INET6, ("::", port)  # any address of either family, as nats-server listens
    if host in ("", "0.0.0.0") and socket.has_dualstack_ipv6():
        return socket.AF_INET6, ("::", port)  # any address of either family, as nats-server listens
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    found.sort(key=lambda entry: entry[0] != socket.AF_INET)  # a name that has both means IPv4 first
    family, _, _, _, address = found[0]
    return family, (str(address[0]), int(address[1]))


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _remedy(error: OSError, option: str) -> str:
    import errno

    if error.errno == errno.EADDRINUSE:
        return f"stop the process that holds it, or choose another {option} (-1 picks a free one)"
    if error.errno == errno.EACCES:
        return f"ports below 1024 need more rights: choose a higher {option}"
    if error.errno == errno.EADDRNOTAVAIL:
        return "the host is no address of this machine: correct it, or use 0.0.0.0"
    return f"choose another {option}"
