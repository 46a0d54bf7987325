"""Peers of leaf nodes that are nothing but a socket: a leaf that dials a hub, and a hub that is dialled."""

import json
import re
import socket
import time
from typing import Any, NamedTuple

from gossamer.mesh.engine import s2
from gossamer.mesh.testing.wire import WireClient, WireError

NONCE = "abcdefghijklmno"
#: Interest that every server announces by itself: what users of the account may ask it.
OWN = re.compile(r"\$(SYS|LDS|JS)\..*|_GR_\.>|\$GR\..*")


_LISTENING = re.compile(r"Listening for leafnode connections on \S*:(\d+)")


class LeafMessage(NamedTuple):
    """An LMSG or HMSG."""

    subject: str
    reply: str
    queues: tuple[str, ...]
    headers: bytes
    payload: bytes


def leaf_address(server: Any) -> tuple[str, int]:
    """Of a running server's leaf node port; its log tells, also after a restart."""
    server.wait_for_log(_LISTENING.pattern)
    return server.host, int(_LISTENING.findall(server.log)[-1])


def leaf_url(server: Any, user: str = "") -> str:
    host, port = leaf_address(server)
    return f"nats-leaf://{user}{host}:{port}"


class LeafWire(WireClient):
    """What both roles share. After ``begin_s2`` both directions are compressed streams; ``level``: 1 plain to 4."""

    _reader: s2.Reader | None = None
    _level = 1

    def begin_s2(self, level: int = 1) -> None:
        self._reader, self._level = s2.Reader(), level
        rest = bytes(self._pending)
        self._pending.clear()
        self._pending += self._reader.feed(rest)

    def send(self, data: bytes) -> None:
        super().send(data if self._reader is None else s2.pack(data, self._level))

    def send_raw(self, data: bytes) -> None:
        super().send(data)

    def _receive(self, deadline: float) -> bool:
        if self._reader is None:
            return super()._receive(deadline)
        before, self._pending = self._pending, bytearray()
        found = super()._receive(deadline)
        data, self._pending = bytes(self._pending), before
        self._pending += self._reader.feed(data)
        return found

    def read_leaf_info(self) -> dict[str, Any]:
        """The next line is INFO."""
        line = self.expect_match(rb"INFO (\{.*\}) ?")
        info: dict[str, Any] = json.loads(line.group(1))
        return info

    def lines_until_pong(self) -> list[str]:
        """All lines that come before the answer to our PING; no payload may be among them."""
        return self.read_until_pong().decode().splitlines()

    def interest(self) -> dict[str, int]:
        """What is announced up to now: weights by key, 1 for plain ones; what the server needs itself is left out."""
        return {key: weight for key, weight in told(self.lines_until_pong()).items() if not OWN.fullmatch(key)}

    def wait_for_interest(self, *keys: str, absent: bool = False) -> None:
        """Until these are announced (or withdrawn: ``absent``)."""
        verb = b"LS- " if absent else b"LS+ "
        wanted = {verb + key.encode() for key in keys}
        deadline = time.monotonic() + self.timeout_s
        while wanted:
            assert time.monotonic() < deadline, wanted
            wanted.discard(self.expect_line())

    def read_leaf_message(self) -> LeafMessage:
        """The next LMSG or HMSG; interest before it is passed over."""
        while (line := self.expect_line().decode()).startswith(("LS+", "LS-")):
            pass
        verb, *parts = line.split(" ")
        if verb not in ("LMSG", "HMSG"):
            raise WireError(f"expected LMSG or HMSG, got {line!r}")
        header_size = int(parts[-2]) if verb == "HMSG" else 0
        size = int(parts[-1])
        names = parts[: -2 if verb == "HMSG" else -1]
        subject, rest = names[0], names[1:]
        reply = ""
        if len(rest) == 1:
            reply, rest = rest[0], []
        elif rest and rest[0] == "+":
            reply, rest = rest[1], rest[2:]
        elif rest:
            assert rest[0] == "|", line
            rest = rest[1:]
        body = self.read_exactly(size + 2)
        assert body.endswith(b"\r\n"), line
        return LeafMessage(subject, reply, tuple(rest), body[:header_size], body[header_size:size])

    def lmsg(self, subject: str, payload: bytes = b"", *, reply: str = "", queues: tuple[str, ...] = ()) -> None:
        """Send one."""
        middle = f"{reply} " if reply else ""
        if queues:
            middle = f"+ {reply} " if reply else "| "
            middle += "".join(f"{queue} " for queue in queues)
        self.send(f"LMSG {subject} {middle}{len(payload)}\r\n".encode() + payload + b"\r\n")

    def want(self, *keys: str) -> None:
        """Announce interest: ``subject`` or ``subject queue weight``."""
        self.send("".join(f"LS+ {key}\r\n" for key in keys).encode())


class LeafPeer(LeafWire):
    """A leaf node that dials."""

    def connect_leaf(self, **fields: Any) -> None:
        """Send CONNECT; a field that is None is left out."""
        chosen = {"version": "2.15.0", "server_id": "PEER", "name": "py", "cluster": "py", "headers": True}
        chosen |= {"compress_mode": "off", "remote_account": "$G", "protocol": 1} | fields
        text = json.dumps({key: value for key, value in chosen.items() if value is not None}, separators=(",", ":"))
        self.send(b"CONNECT " + text.encode() + b"\r\n")

    def join(self, **fields: Any) -> dict[str, Any]:
        """INFO, CONNECT, INFO; returns the second."""
        self.first_info = self.read_leaf_info()
        self.connect_leaf(**fields)
        info = self.read_leaf_info()
        assert info.get("connect_info") is True, info
        return info


class HubLink(LeafWire):
    """A link that a solicitor has opened to a ``FakeHub``."""

    def __init__(self, accepted: socket.socket, number: int, *, timeout_s: float = 5.0) -> None:
        self.timeout_s = timeout_s
        self.answers_pings = True
        self.socket = accepted
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.number = number
        self._pending = bytearray()
        self._ended = False

    def info(self, **fields: Any) -> dict[str, Any]:
        """Send an INFO; a field that is None is left out."""
        host, port = self.socket.getsockname()
        members = {
            "server_id": "HUB", "server_name": "pyhub", "version": "2.15.0", "proto": 1, "go": "py", "host": host,
            "port": port, "headers": True, "auth_required": True, "max_payload": 1048576, "client_id": self.number,
            "nonce": NONCE, "compression": "off", "info_on_connect": True, "leafnode_urls": [f"{host}:{port}"],
        } | fields  # fmt: skip
        kept = {key: value for key, value in members.items() if value is not None}
        self.send(b"INFO " + json.dumps(kept, separators=(",", ":")).encode() + b" \r\n")
        return kept

    def confirm(self, **fields: Any) -> None:
        """The answer to CONNECT."""
        self.info(**{"connect_info": True, "remote_account": "$G", "nonce": None, "compression": None} | fields)

    def read_connect(self) -> dict[str, Any]:
        """The next line is CONNECT."""
        found: dict[str, Any] = json.loads(self.expect_match(rb"CONNECT (\{.*\})").group(1))
        return found

    def accept_leaf(self, **fields: Any) -> dict[str, Any]:
        """The whole handshake; returns the CONNECT."""
        self.info(**fields)
        connect = self.read_connect()
        self.confirm(**{key: value for key, value in fields.items() if key not in ("compression", "nonce")})
        return connect


class FakeHub:
    """Listens; ``accept`` waits for the solicitor."""

    def __init__(self, port: int = 0) -> None:
        self._listener = socket.create_server(("127.0.0.1", port))
        self._links: list[HubLink] = []

    @property
    def port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    @property
    def url(self) -> str:
        return f"nats-leaf://127.0.0.1:{self.port}"

    def accept(self, timeout_s: float = 5.0) -> HubLink:
        self._listener.settimeout(timeout_s)
        accepted, _ = self._listener.accept()
        link = HubLink(accepted, 5 + len(self._links), timeout_s=timeout_s)
        self._links.append(link)
        return link

    def close(self) -> None:
        for link in self._links:
            link.close()
        self._listener.close()


def told(lines: list[str]) -> dict[str, int]:
    """LS+ and LS- lines, one after the other, as what remains."""
    found: dict[str, int] = {}
    for line in lines:
        verb, subject, *rest = line.split(" ")
        if verb == "LS+" and rest:
            found[f"{subject} {rest[0]}"] = int(rest[1])
        elif verb == "LS+":
            found[subject] = 1
        elif verb == "LS-":
            found.pop(" ".join([subject, *rest]), None)
    return found
