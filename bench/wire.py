"""A client in plain Python for cases that measure interest rather than traffic: a socket and lines."""

import socket

from trust import connect_line

HANDSHAKE_S = 20.0


class Client:
    """One connection, greeted; a context manager. Raises ConnectionError and TimeoutError."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=HANDSHAKE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._rest = b""
        self.send(connect_line())
        self.settle()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, what: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(what)

    def settle(self) -> list[tuple[bytes, int, bytes]]:
        """Wait for the answer to a PING; return the messages that came before it."""
        self.send(b"PING\r\n")
        found: list[tuple[bytes, int, bytes]] = []
        while True:
            messages, answered = self._take()
            found += messages
            if answered:
                return found
            self._receive()

    def messages(self) -> list[tuple[bytes, int, bytes]]:
        """Read once, and return what is complete: subject, subscription, payload."""
        self._receive()
        return self._take()[0]

    def _receive(self) -> None:
        got = self.socket.recv(1 << 18)
        if not got:
            raise ConnectionError(f"the server closed the connection after {self._rest[-200:]!r}")
        self._rest += got

    def _take(self) -> tuple[list[tuple[bytes, int, bytes]], bool]:
        found = []
        answered = False
        at, rest = 0, self._rest
        while (end := rest.find(b"\r\n", at)) >= 0:
            line = rest[at:end]
            if line.startswith(b"MSG "):
                _, subject, number, size = line.split(b" ")
                after = end + 2 + int(size) + 2
                if len(rest) < after:
                    break
                if rest[after - 2 : after] != b"\r\n":
                    raise ConnectionError(f"a message without its end: {rest[at:after]!r}")
                found.append((subject, int(number), rest[end + 2 : after - 2]))
                at = after
                continue
            if line == b"PING":
                self.send(b"PONG\r\n")
            elif line == b"PONG":
                answered = True
            elif not line.startswith(b"INFO "):
                raise ConnectionError(f"unexpected: {line[:200]!r}")
            at = end + 2
        self._rest = rest[at:]
        return found, answered
