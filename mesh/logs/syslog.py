"""Lines to a syslog, on this machine or another (spec configuration section 4.3: ``syslog``, ``remote_syslog``)."""

import socket
from urllib.parse import urlsplit

#: Facility daemon; the severity is added.
_FACILITY = 3 << 3
_SEVERITIES = {b"[FTL]": 2, b"[ERR]": 3, b"[WRN]": 4, b"[INF]": 5, b"[DBG]": 7, b"[TRC]": 7}
_LOCAL = "/dev/log"
_PORT = 514


class Syslog:
    """Datagrams (or a TCP stream, for ``tcp://host:port``). Raises OSError when it cannot connect, ValueError for an
    address that cannot be read. Lines that cannot be sent are lost."""

    __slots__ = ("_address", "_socket", "_stream")

    def __init__(self, address: str = "") -> None:
        """``address`` empty: this machine's."""
        self._address = address
        self._stream = False
        self._socket = self._connect()

    def write(self, line: bytes) -> None:
        severity = next((value for mark, value in _SEVERITIES.items() if mark in line[:64]), 6)
        message = b"<%d>nats-server: %b" % (_FACILITY | severity, line if self._stream else line.rstrip(b"\n"))
        try:
            self._socket.send(message)
        except OSError:
            pass  # nobody to tell

    def reopen(self) -> None:
        try:
            fresh = self._connect()
        except (OSError, ValueError):
            return
        self._socket.close()
        self._socket = fresh

    def close(self) -> None:
        self._socket.close()

    def _connect(self) -> socket.socket:
        if not self._address:
            made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            return _connected(made, _LOCAL)
        parts = urlsplit(self._address if "://" in self._address else f"udp://{self._address}")
        if parts.scheme not in ("udp", "tcp") or not parts.hostname:
            raise ValueError(f"{self._address} is neither udp://host:port nor tcp://host:port")
        self._stream = parts.scheme == "tcp"
        kind = socket.SOCK_STREAM if self._stream else socket.SOCK_DGRAM
        family, _, _, _, address = socket.getaddrinfo(parts.hostname, parts.port or _PORT, type=kind)[0]
        return _connected(socket.socket(family, kind), address)


def _connected(made: socket.socket, address: object) -> socket.socket:
    made.settimeout(1.0)
    try:
        made.connect(address)  # type: ignore[arg-type]
    except BaseException:
        made.close()
        raise
    made.setblocking(False)
    return made
