"""A hand-driven end of a gateway or route connection: lines and messages, exactly as they come.

Every wait has a deadline. PINGs of the server are answered as they are met, unless told otherwise; our own PING is a
barrier: what the server had written before its PONG has been read after it.
"""

import base64
import json
import socket
import time
from typing import Any, NamedTuple

from gossamer.mesh.testing.wire import WireError

TIMEOUT_S = 6.0


class Sent(NamedTuple):
    """A message on a server link. ``queues`` are the groups named in the line."""

    verb: str
    account: str
    subject: str
    reply: str
    queues: tuple[str, ...]
    headers: bytes
    payload: bytes


class Peer:
    """One end of a connection. ``late_s``: how long a PING waits for its answer, as if the other end were far away."""

    def __init__(self, connection: socket.socket, *, answers_pings: bool = True, late_s: float = 0.0) -> None:
        self.socket = connection
        self.answers_pings = answers_pings
        self.late_s = late_s
        self.joined: list[str | Sent] = []  # a route: what it was told up to the first barrier
        self._pending = b""
        self._ended = False
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, *lines: str | bytes) -> None:
        """Each with CR LF behind it."""
        self.socket.settimeout(TIMEOUT_S)
        self.socket.sendall(b"".join((each.encode() if isinstance(each, str) else each) + b"\r\n" for each in lines))

    def line(self, timeout_s: float = TIMEOUT_S) -> str:
        """The next line that is no PING."""
        deadline = time.monotonic() + timeout_s
        while True:
            found = self._until_end_of_line(deadline)
            if found != "PING" or not self.answers_pings:
                return found
            if self.late_s:
                time.sleep(self.late_s)  # the way there and back
            self.send("PONG")

    def info(self, timeout_s: float = TIMEOUT_S) -> dict[str, Any]:
        """The next line is INFO."""
        found = self.line(timeout_s)
        if not found.startswith("INFO "):
            raise WireError(f"expected INFO, got {found!r}")
        document: dict[str, Any] = json.loads(found[5:])
        return document

    def barrier(self) -> list[str | Sent]:
        """All lines and messages up to now."""
        self.send("PING")
        found: list[str | Sent] = []
        while (one := self.line()) != "PONG":
            found.append(self._message(one) if one.startswith(("RMSG ", "HMSG ")) else one)
        return found

    def messages(self, *, of: str = "") -> list[Sent]:
        """The messages up to now, ``of`` subjects that begin so."""
        return [each for each in self.barrier() if isinstance(each, Sent) and each.subject.startswith(of)]

    def next_message(self, timeout_s: float = TIMEOUT_S) -> Sent:
        """Wait for one; lines before it are passed over."""
        while not (one := self.line(timeout_s)).startswith(("RMSG ", "HMSG ")):
            pass
        return self._message(one)

    def wait_for(self, text: str, timeout_s: float = TIMEOUT_S) -> list[str]:
        """All lines up to and including the first one that contains ``text``."""
        deadline = time.monotonic() + timeout_s
        found: list[str] = []
        while not found or text not in found[-1]:
            found.append(self.line(deadline - time.monotonic()))
        return found

    def expect_end(self, timeout_s: float = TIMEOUT_S) -> list[str]:
        """The other end closes; returns the lines before that."""
        deadline = time.monotonic() + timeout_s
        while self._receive(deadline):
            pass
        if not self._ended:
            raise WireError(f"expected a close, the connection stayed open after {self._pending!r}")
        lines, self._pending = self._pending.decode().split("\r\n"), b""
        return [one for one in lines if one and one != "PING"]

    def expect_silence(self, seconds: float = 0.15) -> None:
        """Nothing comes for a moment, not even a close."""
        if self._receive(time.monotonic() + seconds) or self._ended:
            raise WireError(f"expected nothing, got {self._pending!r}, end: {self._ended}")

    def close(self) -> None:
        self.socket.close()

    # --- inside ---------------------------------------------------------------------------------------------------
    def _message(self, line: str) -> Sent:
        verb, *parts = line.split(" ")
        sizes = 2 if verb == "HMSG" else 1
        numbers, parts = [int(each) for each in parts[-sizes:]], parts[:-sizes]
        account, subject, *rest = parts
        reply, queues = "", ()
        if rest and rest[0] == "+":
            reply, queues = rest[1], tuple(rest[2:])
        elif rest and rest[0] == "|":
            queues = tuple(rest[1:])
        elif rest:
            reply = rest[0]
        body = self._exactly(numbers[-1] + 2)[:-2]
        size = numbers[0] if sizes == 2 else 0
        return Sent(verb, account, subject, reply, queues, body[:size], body[size:])

    def _exactly(self, size: int) -> bytes:
        deadline = time.monotonic() + TIMEOUT_S
        while len(self._pending) < size:
            if not self._receive(deadline):
                raise WireError(f"expected {size} bytes, got {self._pending!r}")
        found, self._pending = self._pending[:size], self._pending[size:]
        return found

    def _until_end_of_line(self, deadline: float) -> str:
        while b"\r\n" not in self._pending:
            if not self._receive(deadline):
                raise WireError(f"expected a line, got {self._pending!r}, end: {self._ended}")
        found, _, self._pending = self._pending.partition(b"\r\n")
        return found.decode()

    def _receive(self, deadline: float) -> bool:
        left = deadline - time.monotonic()
        if self._ended or left <= 0:
            return False
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(1 << 18)
        except TimeoutError:
            return False
        except ConnectionError:
            data = b""
        self._ended = not data
        self._pending += data
        return bool(data)


class Door:
    """A listening socket for the server to dial; ``accept`` waits for it."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.socket.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self._accepted: list[Peer] = []

    def accept(self, timeout_s: float = TIMEOUT_S, **how: Any) -> Peer:
        self.socket.settimeout(timeout_s)
        try:
            connection, _ = self.socket.accept()
        except TimeoutError:
            raise WireError(f"nobody came to port {self.port} within {timeout_s} s") from None
        peer = Peer(connection, **how)
        self._accepted.append(peer)
        return peer

    def expect_nobody(self, seconds: float = 0.3) -> None:
        self.socket.settimeout(seconds)
        try:
            connection, _ = self.socket.accept()
        except TimeoutError:
            return
        connection.close()
        raise WireError(f"somebody came to port {self.port}")

    def shut(self) -> None:
        """Nobody can come any more; who came stays."""
        self.socket.close()

    def close(self) -> None:
        self.socket.close()
        for each in self._accepted:
            each.close()


def line_of(verb: str, members: dict[str, Any]) -> str:
    return f"{verb} {json.dumps({key: value for key, value in members.items() if value is not None})}"


def info_line(gateway: str, address: str, /, **more: Any) -> str:
    """A gateway's INFO; members that are None are left out."""
    return line_of(
        "INFO",
        {
            "server_id": f"N{gateway}",
            "server_name": f"{gateway.lower()}-peer",
            "version": "2.15.1",
            "proto": 2,
            "go": "",
            "host": "127.0.0.1",
            "port": int(address.rpartition(":")[2]),
            "headers": True,
            "max_payload": 1048576,
            "gateway": gateway,
            "gateway_urls": [address],
            "gateway_url": address,
            "gateway_nrp": True,
            "gateway_iom": True,
        }
        | more,
    )


def connect_line(gateway: str, /, **more: Any) -> str:
    return line_of(
        "CONNECT",
        {"echo": False, "verbose": False, "pedantic": False, "tls_required": False, "headers": False,
         "name": f"N{gateway}", "cluster": "", "gateway": gateway} | more,
    )  # fmt: skip


def command_line(gateway: str, command: int, account: str | None) -> str:
    """gateway_cmd 2 (the list of plain interest begins) or 3 (it is complete)."""
    payload = base64.b64encode(account.encode()).decode() if account is not None else None
    return line_of(
        "INFO",
        {"server_id": "", "server_name": "", "version": "", "proto": 0, "go": "", "host": "", "port": 0,
         "headers": False, "max_payload": 0, "gateway": gateway, "gateway_cmd": command,
         "gateway_cmd_payload": payload},
    )  # fmt: skip
