"""One client that cannot be held against a change of its account does not keep the change from the others."""

import asyncio
import json

import pytest
from msgspec import structs

from gossamer.auth.claims import DefaultPermissions, SubjectList
from gossamer.auth.jwt import encode_signature
from gossamer.auth.resolver import read_account
from gossamer.auth.settings import AuthSettings, ResolverSettings
from gossamer.mesh.logs.log import Log
from gossamer.mesh.node import Node
from gossamer.mesh.options.options import Options
from gossamer.mesh.world import SystemClock

SECOND_NS = 1_000_000_000
VIOLATION = b"-ERR 'Authorization Violation'\r\n"


class Lines:
    def __init__(self):
        self.text = ""

    def write(self, line):
        self.text += line.decode()


class Peer:
    """A client in memory that has signed in."""

    def __init__(self, node, user, house):
        self.node, self.heard, self.ended = node, bytearray(), False
        self.link = node.open(self._receive)
        steps(node)
        nonce = json.loads(self.take()[5:])["nonce"]
        fields = {**house.CONNECT, "jwt": user.token, "sig": encode_signature(user.keys.sign(nonce.encode()))}
        self.say(b"CONNECT " + json.dumps({"verbose": False, **fields}).encode() + b"\r\nPING\r\n")
        assert self.take().endswith(b"PONG\r\n")

    def _receive(self, data, end):
        self.heard += data
        self.ended = self.ended or end

    def say(self, data):
        self.node.feed(self.link, data)
        steps(self.node)

    def take(self):
        data = bytes(self.heard)
        self.heard.clear()
        return data


def steps(node):
    for _ in range(4):
        node.step(SECOND_NS)


@pytest.fixture
def run(operator, house):
    """Call with a test of a node, a tenant and three of its clients."""

    def whole(test):
        async def inside():
            account, lines = house.Tenant(operator), Lines()
            settings = AuthSettings(
                operators=(operator.token,),
                resolver=ResolverSettings(kind="memory"),
                resolver_preload=(
                    (operator.system.public, operator.system_token),
                    (account.public, account.jwt()),
                ),
            )
            node = Node(Options(authorization=settings), log=Log(SystemClock(), lines), stepped=True)
            await node.start()
            try:
                test(node, account, [Peer(node, account.user(), house) for _ in range(3)], lines)
            finally:
                await node.stop()

        asyncio.run(inside())

    return whole


def push(node, account, **changes):
    node.resolving.live.arrived(account.public, read_account(account.public, account.jwt(**changes)))
    steps(node)


def failing(original, victim):
    def call(client, *arguments, **named):
        if client.link == victim.link:
            raise RuntimeError("boom")
        return original(client, *arguments, **named)

    return call


def test_new_permissions(run, monkeypatch):
    """It goes, since nobody knows what it may do now; the others have what the account says."""

    def check(node, account, peers, lines):
        monkeypatch.setattr(node.clients, "rebind", failing(node.clients.rebind, peers[0]))
        denied = SubjectList(deny=("secret",))
        push(node, account, default_permissions=DefaultPermissions(publish=denied, subscribe=denied))
        assert (peers[0].take(), peers[0].ended) == (VIOLATION, True)
        assert "boom" in lines.text
        for peer in peers[1:]:
            peer.say(b"SUB secret 1\r\nPING\r\n")
            assert peer.take() == b"-ERR 'Permissions Violation for Subscription to \"secret\"'\r\nPONG\r\n"

    run(check)


@pytest.mark.parametrize("way", ["revoked", "deleted"])
def test_all_have_to_go(run, monkeypatch, way):
    """Even one that cannot be refused with a reason is closed."""

    def check(node, account, peers, lines):
        monkeypatch.setattr(node.clients, "refuse", failing(node.clients.refuse, peers[0]))
        if way == "revoked":
            push(node, account, revocations={"*": account.claims.issued_at + 2**31})
        else:
            node.resolving.live.drop(account.public)
            steps(node)
        assert [peer.ended for peer in peers] == [True, True, True]
        assert lines.text.count("boom") == 2

    run(check)


def test_limits_are_kept_all_the_same(run, monkeypatch):
    """What comes after the clients, here the number of connections, is done as well."""

    def check(node, account, peers, lines):
        monkeypatch.setattr(node.clients, "rebind", failing(node.clients.rebind, peers[0]))
        limits = structs.replace(account.limits(connections=1), payload=5)
        push(node, account, limits=limits)
        assert [peer.ended for peer in peers] == [True, False, True]

    run(check)
