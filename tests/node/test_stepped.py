"""A node without thread, sockets and time of its own: driven by hand, over links in memory."""

import asyncio
import json
from typing import Any

from gossamer.auth.settings import AuthSettings, UserSettings
from gossamer.mesh.node import Node
from gossamer.mesh.options.options import Options

_SECOND_NS = 1_000_000_000


class Peer:
    """A client in memory."""

    def __init__(self, node: Node) -> None:
        self.heard = bytearray()
        self.ended = False
        self.node = node
        self.link = node.open(self._receive)

    def _receive(self, data: bytes, end: bool) -> None:
        self.heard += data
        self.ended = self.ended or end

    def say(self, data: bytes) -> None:
        self.node.feed(self.link, data)

    def take(self) -> bytes:
        data = bytes(self.heard)
        self.heard.clear()
        return data


def run(test: Any, **fields: Any) -> None:
    async def whole() -> None:
        node = Node(Options(**fields), stepped=True)
        await node.start()
        test(node)
        await node.stop()

    asyncio.run(whole())


def steps(node: Node, now_ns: int = _SECOND_NS) -> None:
    """Events lead to calls, which the next tick carries out."""
    for _ in range(4):
        node.step(now_ns)


def test_a_conversation() -> None:
    def check(node: Node) -> None:
        one, two = Peer(node), Peer(node)
        steps(node)
        info = json.loads(one.take()[5:])
        assert info["client_id"] == one.link
        assert info["client_ip"] == "memory"
        one.say(b'CONNECT {"verbose":false}\r\nSUB a 1\r\nPING\r\n')
        two.say(b'CONNECT {"verbose":false}\r\nPUB a 2\r\nhi\r\nPING\r\n')
        steps(node)
        assert one.take() == b"PONG\r\nMSG a 1 2\r\nhi\r\n"
        assert two.take().endswith(b"PONG\r\n")
        assert len(node.clients) == 2
        node.feed(one.link, b"", end=True)
        steps(node)
        assert len(node.clients) == 1

    run(check)


def test_a_refusal() -> None:
    def check(node: Node) -> None:
        peer = Peer(node)
        steps(node)
        assert b'"auth_required":true' in peer.take()
        peer.say(b'CONNECT {"user":"a","pass":"x"}\r\n')
        steps(node)
        assert peer.take() == b"-ERR 'Authorization Violation'\r\n"
        assert peer.ended
        assert len(node.clients) == 0
        assert node.clients.refusals.total == 1

    run(check, authorization=AuthSettings(users=(UserSettings(name="a", password="p"),)))


def test_time_is_handed_in() -> None:
    def check(node: Node) -> None:
        peer = Peer(node)
        steps(node)
        peer.take()
        steps(node, 3 * _SECOND_NS)  # 2 s are the default time to authenticate
        steps(node, 4 * _SECOND_NS)
        assert peer.take() == b"-ERR 'Authentication Timeout'\r\n"
        assert peer.ended

    run(check, authorization=AuthSettings(token="t"))
