"""``literal_wildcards``: allow lists read as nats-server reads them (spec auth 26.1), for who comes and who is here."""

import asyncio

import pytest

from gossamer.auth.permissions import Permissions, SubjectPermissions
from gossamer.auth.settings import AuthSettings, UserSettings
from gossamer.mesh.life import reloading
from gossamer.mesh.logs.log import Log
from gossamer.mesh.node import Node
from gossamer.mesh.options.flags import Flags
from gossamer.mesh.options.loading import assess
from gossamer.mesh.options.options import Options
from gossamer.mesh.world import SystemClock

SECOND_NS = 1_000_000_000
NARROW = Permissions(subscribe=SubjectPermissions(allow=("a.*",)))
USERS = (UserSettings(name="u", password="p", permissions=NARROW), UserSettings(name="all", password="p"))
REFUSED = b"-ERR 'Permissions Violation for Subscription to \"a.>\"'\r\n"


class Lines:
    def __init__(self):
        self.text = ""

    def write(self, line):
        self.text += line.decode()


def options(literal):
    return Options(authorization=AuthSettings(users=USERS, literal_wildcards=literal))


def settle(node):
    for _ in range(4):
        node.step(SECOND_NS)


class Peer:
    def __init__(self, node, user):
        self.node, self.heard = node, bytearray()
        self.link = node.open(lambda data, end: self.heard.extend(data))
        settle(node)
        self.answers(b'CONNECT {"verbose":false,"user":"%s","pass":"p"}\r\n' % user)

    def answers(self, data):
        self.heard.clear()
        self.node.feed(self.link, data + b"PING\r\n")
        settle(self.node)
        return bytes(self.heard).removesuffix(b"PONG\r\n")


def run(test, literal):
    async def whole():
        lines = Lines()
        node = Node(options(literal), log=Log(SystemClock(), lines), stepped=True)
        await node.start()
        try:
            await test(node, lines)
        finally:
            await node.stop()

    asyncio.run(whole())


@pytest.mark.parametrize("literal", [False, True])
def test_who_comes(literal):
    async def check(node, lines):
        peer = Peer(node, b"u")
        assert peer.answers(b"SUB a.> 1\r\n") == (b"" if literal else REFUSED)
        assert peer.answers(b"SUB b.> 2\r\n") == REFUSED.replace(b"a.>", b"b.>")
        assert ("literal_wildcards" in lines.text) == literal

    run(check, literal)


def test_switched_while_running():
    """On: it may subscribe now. Off again: what it holds by the switch ends."""

    async def check(node, lines):
        peer, other = Peer(node, b"u"), Peer(node, b"all")
        assert peer.answers(b"SUB a.> 1\r\n") == REFUSED
        await reloading.apply(node, options(literal=True))
        settle(node)
        assert peer.answers(b"SUB a.> 1\r\n") == b""
        peer.heard.clear()
        other.answers(b"PUB a.b.c 2\r\nhi\r\n")
        assert bytes(peer.heard) == b"MSG a.b.c 1 2\r\nhi\r\n"
        peer.heard.clear()
        await reloading.apply(node, options(literal=False))
        settle(node)
        assert bytes(peer.heard).startswith(REFUSED[:-3])
        peer.heard.clear()
        other.answers(b"PUB a.b.c 2\r\nhi\r\n")
        assert bytes(peer.heard) == b""

    run(check, literal=False)


def test_in_a_file(tmp_path):
    file = tmp_path / "server.conf"
    file.write_text("authorization { literal_wildcards: true }\n")
    loaded = assess(Flags(config=str(file)))
    assert not loaded.faults
    assert not loaded.warnings
    assert loaded.options.authorization.literal_wildcards
