"""A client that is nothing but a socket: what is sent and what is expected are bytes, exactly.

Every wait has a deadline; what arrived instead is in the error. There is no reading in the background, so a client that
does not read is a slow consumer, just as a test may want.
"""

import contextlib
import json
import re
import socket
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self


class WireError(AssertionError):
    """The server sent something else, nothing at all, or did not close."""


class Received(NamedTuple):
    """A delivered message. ``headers`` is the block as sent, empty for MSG; ``reply`` is None when absent."""

    subject: bytes
    sid: bytes
    reply: bytes | None
    headers: bytes
    payload: bytes


class WireClient:
    """A raw connection to a server's client port.

    ``timeout_s`` bounds each waiting call. ``receive_buffer_bytes`` shrinks the kernel's buffer, for slow consumers.
    The server's own PING comes at its own time: with ``answers_pings`` it is answered and passed over when it stands
    in place of the next thing expected, unless a PING was expected.
    """

    def __init__(
        self,
        address: tuple[str, int],
        *,
        timeout_s: float = 5.0,
        receive_buffer_bytes: int | None = None,
        answers_pings: bool = True,
    ) -> None:
        self.timeout_s = timeout_s
        self.answers_pings = answers_pings
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        try:
            if receive_buffer_bytes is not None:
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            self.socket.settimeout(timeout_s)
            self.socket.connect(address)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            self.socket.close()
            raise
        self._pending = bytearray()
        self._ended = False

    # --- sending ------------------------------------------------------------------------------------------------
    def send(self, data: bytes) -> None:
        """Send all of it, in one write where the kernel takes it."""
        self.socket.settimeout(self.timeout_s)
        self.socket.sendall(data)

    def send_bytewise(self, data: bytes, *, step: int = 1) -> None:
        """Send in writes of ``step`` bytes, each a segment of its own as far as the kernel allows."""
        for start in range(0, len(data), step):
            self.send(data[start : start + step])

    def connect(self, options: Mapping[str, Any] | None = None, /, **fields: Any) -> None:
        """Send CONNECT: not verbose, not pedantic, else as the fields say. Nothing is awaited."""
        chosen = {"verbose": False, "pedantic": False, **(options or {}), **fields}
        self.send(b"CONNECT " + json.dumps(chosen, separators=(",", ":")).encode() + b"\r\n")

    def handshake(self, options: Mapping[str, Any] | None = None, /, **fields: Any) -> dict[str, Any]:
        """Read INFO, CONNECT, PING, PONG. Returns the last INFO: the second one if ``protocol`` is 1."""
        info = self.read_info()
        self.connect(options, **fields)
        self.ping()
        return self.read_info() if fields.get("protocol") == 1 else info

    def subscribe(self, subject: str, sid: int | str, queue: str = "") -> None:
        """Send SUB."""
        self.send(f"SUB {subject} {queue + ' ' if queue else ''}{sid}\r\n".encode())

    def publish(self, subject: str, payload: bytes = b"", *, reply: str = "", headers: bytes = b"") -> None:
        """Send PUB, or HPUB when there is a header block."""
        middle = f"{reply} " if reply else ""
        if headers:
            line = f"HPUB {subject} {middle}{len(headers)} {len(headers) + len(payload)}\r\n"
        else:
            line = f"PUB {subject} {middle}{len(payload)}\r\n"
        self.send(line.encode() + headers + payload + b"\r\n")

    # --- receiving ----------------------------------------------------------------------------------------------
    def expect(self, *data: bytes) -> None:
        """The next bytes are exactly these. Fails at the first byte that differs, without waiting for more."""
        wanted = b"".join(data)
        deadline = time.monotonic() + self.timeout_s
        while True:
            seen = min(len(self._pending), len(wanted))
            if self._pending[:seen] != wanted[:seen]:
                if self._answered_ping():
                    continue
                self._gather_rest()
                raise WireError(f"\nexpected {shortened(wanted)}\ngot      {shortened(self._pending)}")
            if seen == len(wanted):
                del self._pending[:seen]
                return
            if not self._receive(deadline):
                got = f"{shortened(self._pending)} and then {self._end()}"
                raise WireError(f"\nexpected {shortened(wanted)}\ngot      {got}")

    def expect_line(self, wanted: bytes | None = None) -> bytes:
        """The next line, CR LF not included; equal to ``wanted`` if given."""
        while (line := self.read_until(b"\r\n")[:-2]) == b"PING" and wanted != b"PING" and self.answers_pings:
            self.send(b"PONG\r\n")
        if wanted is not None and line != wanted:
            raise WireError(f"\nexpected line {wanted!r}\ngot           {line!r}")
        return line

    def expect_match(self, pattern: bytes) -> re.Match[bytes]:
        """The next line matches the whole regular expression; returns the match."""
        line = self.expect_line()
        found = re.fullmatch(pattern, line, re.DOTALL)
        if found is None:
            raise WireError(f"\nexpected line like {pattern!r}\ngot                {line!r}")
        return found

    def expect_close(self, *, timeout_s: float | None = None) -> None:
        """The server closes, and sends nothing before that. A reset counts as a close."""
        deadline = time.monotonic() + (self.timeout_s if timeout_s is None else timeout_s)
        while self._receive(deadline):
            pass
        while self._answered_ping():
            pass
        if self._pending:
            raise WireError(f"\nexpected a close\ngot      {shortened(self._pending)}")
        if not self._ended:
            raise WireError("expected a close, the connection stayed open")

    def expect_error(self, text: str) -> None:
        """The next line is -ERR with this text."""
        self.expect(b"-ERR '" + text.encode() + b"'\r\n")

    def read_info(self) -> dict[str, Any]:
        """The next line is INFO: its JSON object. The space before CR LF is required (spec: client-protocol 1)."""
        line = self.expect_match(rb"INFO (\{.*\}) ")
        info: dict[str, Any] = json.loads(line.group(1))
        return info

    def read_message(self) -> Received:
        """The next thing is MSG or HMSG; returns it."""
        line = self.expect_line()
        parts = line.split(b" ")
        try:
            if parts[0] == b"MSG" and len(parts) in (4, 5):
                header_size, size = 0, int(parts[-1])
                names = parts[1:-1]
            elif parts[0] == b"HMSG" and len(parts) in (5, 6):
                header_size, size = int(parts[-2]), int(parts[-1])
                names = parts[1:-2]
            else:
                raise ValueError
        except ValueError:
            raise WireError(f"expected MSG or HMSG, got {line!r}") from None
        body = self.read_exactly(size + 2)
        if body[-2:] != b"\r\n":
            raise WireError(f"message does not end in CR LF: {body!r}")
        reply = names[2] if len(names) == 3 else None
        return Received(names[0], names[1], reply, body[:header_size], body[header_size:size])

    def read_messages_until_pong(self) -> list[Received]:
        """Send PING and return all messages that come before its PONG."""
        self.send(b"PING\r\n")
        messages = []
        while self._peek(4) != b"PONG":
            if not self._answered_ping():
                messages.append(self.read_message())
        self.expect(b"PONG\r\n")
        return messages

    def read_until_pong(self) -> bytes:
        """Send PING and return all bytes that come before its PONG (a payload must not contain PING or PONG lines)."""
        self.send(b"PING\r\n")
        data = self.read_until(b"PONG\r\n")[:-6]
        if self.answers_pings and b"PING\r\n" in data:
            self.send(b"PONG\r\n")
            data = data.replace(b"PING\r\n", b"")
        return data

    def read_exactly(self, size: int) -> bytes:
        """The next ``size`` bytes."""
        deadline = time.monotonic() + self.timeout_s
        while len(self._pending) < size:
            if not self._receive(deadline):
                raise WireError(f"expected {size} bytes, got {len(self._pending)} and then {self._end()}")
        data = bytes(self._pending[:size])
        del self._pending[:size]
        return data

    def read_to_end(self) -> bytes:
        """All bytes until the server closes."""
        deadline = time.monotonic() + self.timeout_s
        while self._receive(deadline):
            pass
        if not self._ended:
            raise WireError(f"expected a close after {bytes(self._pending[-200:])!r}, the connection stayed open")
        data = bytes(self._pending)
        self._pending.clear()
        return data

    def ping(self) -> None:
        """A barrier: PING, and PONG is the very next thing. So nothing else had been on its way."""
        self.send(b"PING\r\n")
        self.expect(b"PONG\r\n")

    # --- end ----------------------------------------------------------------------------------------------------
    def finish_sending(self) -> None:
        """Half-close: the server reads the end of the stream."""
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Close with a TCP reset instead of an orderly end."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        self.socket.close()

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- inside -------------------------------------------------------------------------------------------------
    def _receive(self, deadline: float) -> bool:
        """Take what has come, waiting until the deadline. False: the end of the stream, or time is up."""
        if self._ended:
            return False
        left = deadline - time.monotonic()
        if left <= 0:
            return False
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(262_144)
        except TimeoutError:
            return False
        except ConnectionError:
            data = b""
        self._ended = not data
        self._pending += data
        return bool(data)

    def _answered_ping(self) -> bool:
        """A PING at the front is taken away and answered."""
        if not self.answers_pings or not self._pending.startswith(b"PING\r\n"):
            return False
        del self._pending[:6]
        with contextlib.suppress(OSError):  # it may have closed since
            self.send(b"PONG\r\n")
        return True

    def _gather_rest(self) -> None:
        """For the error text: what else comes within a moment."""
        deadline = time.monotonic() + 0.1
        while self._receive(deadline):
            pass

    def read_until(self, mark: bytes) -> bytes:
        """All bytes up to and including the first ``mark``."""
        deadline = time.monotonic() + self.timeout_s
        searched = 0
        while True:
            found = self._pending.find(mark, searched)
            if found >= 0:
                data = bytes(self._pending[: found + len(mark)])
                del self._pending[: found + len(mark)]
                return data
            searched = max(0, len(self._pending) - len(mark) + 1)
            if not self._receive(deadline):
                tail = bytes(self._pending[-400:])
                raise WireError(f"expected {mark!r}, got {tail!r} and then {self._end()}")

    def _peek(self, size: int) -> bytes:
        """The next bytes, left where they are."""
        deadline = time.monotonic() + self.timeout_s
        while len(self._pending) < size:
            if not self._receive(deadline):
                raise WireError(f"expected {size} bytes, got {shortened(self._pending)} and then {self._end()}")
        return bytes(self._pending[:size])

    def _end(self) -> str:
        return "the connection was closed" if self._ended else f"nothing for {self.timeout_s} s"


def shortened(data: bytes | bytearray) -> str:
    """The bytes as a literal, the middle of a long one left out."""
    if len(data) <= 2000:
        return repr(bytes(data))
    return f"{bytes(data[:1000])!r} ... {len(data) - 1500} bytes ... {bytes(data[-500:])!r}"


def receive_all(clients: Sequence[WireClient]) -> list[list[Received]]:
    """For each client, everything delivered up to now (a PING barrier each)."""
    return [client.read_messages_until_pong() for client in clients]
