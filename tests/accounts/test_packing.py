"""PACK between stores, with the other nodes played by the test (spec auth 22.3)."""

import asyncio
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.auth.claims import AccountClaims, AccountLimits
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.resolver import rank_of
from gossamer.mesh.engine.events import Message
from gossamer.mesh.logs.log import Log
from gossamer.mesh.resolvers.asking import Inbox, LookUp
from gossamer.mesh.resolvers.directory import DirectoryResolver
from gossamer.mesh.resolvers.packing import SUBJECT, Packing
from gossamer.mesh.resolvers.slices import Slices
from gossamer.mesh.resolvers.store import DirectoryStore
from gossamer.mesh.world import SystemClock, SystemRandomness

OPERATOR, STRANGER = (KeyPair.generate(KeyKind.OPERATOR) for _ in range(2))
KEYS = [KeyPair.generate(KeyKind.ACCOUNT).public for _ in range(3)]
SYSTEM = 1


def token(key, issued_at=100, signer=OPERATOR, name=""):
    claims = AccountClaims(subject=key, name=name, limits=AccountLimits.fresh())
    return encode(claims, signer, issued_at=issued_at)


class MemoryDisk:
    def __init__(self):
        self.files = {}

    def read(self, path):
        if path not in self.files:
            raise FileNotFoundError(2, "no such file", path)
        return self.files[path]

    def write(self, path, data, *, mode=0o644):
        self.files[path] = data

    def rename(self, old, new):
        self.files[new] = self.files.pop(old)

    def names(self, directory):
        return sorted(path.rpartition("/")[2] for path in self.files)

    def make_directory(self, path):
        pass


class Lines:
    def __init__(self):
        self.text = ""

    def write(self, line):
        self.text += line.decode()


class Node:
    """What the services need of a node; ``calls`` is what the engine was told, in order."""

    def __init__(self, others=1):
        self.calls, self.handlers = [], {}
        self.routes = SimpleNamespace(remotes=others)
        self.world = SimpleNamespace(randomness=SystemRandomness(), clock=SystemClock())
        self.lines = Lines()
        self.journal = Log(self.world.clock, self.lines)
        self.engine = self
        self.asked = asyncio.Event()

    def subscribe(self, account, subject, handler, queue=b""):
        number = len(self.calls) + 1
        self.calls.append(("subscribe", subject.decode(), queue))
        self.handlers[number] = (subject.decode(), handler)
        return number

    def unsubscribe(self, number):
        self.calls.append(("unsubscribe", self.handlers.pop(number)[0], b""))

    def publish(self, account, subject, data=b"", *, reply=b"", header_size=0):
        self.calls.append(("publish", subject.decode(), data))
        if reply:
            self.question = (subject.decode(), reply)
            self.asked.set()

    def deliver(self, subject, data, reply=b"", link=7):
        for wanted, handler in list(self.handlers.values()):
            if wanted == subject or (wanted.endswith("*") and subject.startswith(wanted[:-1])):
                handler(Message(0, SYSTEM, subject.encode(), reply, 0, data, link))


def room(*preload, interval_ns=1_000_000):
    node = Node()
    store = DirectoryStore(MemoryDisk(), node.world.clock, "d")
    resolver = DirectoryResolver(store, node.journal, preload)
    learned = []
    packing = Packing(
        node,
        Inbox(node, SYSTEM),
        resolver,
        Slices(node.world.clock, lambda error: learned.append(error)),
        lambda key, account: learned.append(key),
        interval_ns=interval_ns,
        trusted=frozenset({OPERATOR.public}),
    )
    while not store.survey(10):
        pass
    return node, store, packing, learned


def test_what_is_learned_and_what_is_not():
    async def run():
        node, store, packing, learned = room((KEYS[0], token(KEYS[0], 50)))
        packing.start(SYSTEM)
        await node.asked.wait()
        # It steps aside while it asks: its own message must go to another node.
        subject, reply = node.question
        names = [call[:2] for call in node.calls]
        at = names.index(("publish", SUBJECT))
        assert subject == SUBJECT
        assert names[at - 1 : at + 2] == [("unsubscribe", SUBJECT), ("publish", SUBJECT), ("subscribe", SUBJECT)]
        assert node.calls[at][2] == store.digest
        good, newer = token(KEYS[1]), token(KEYS[0], 60)
        for line in (
            f"{KEYS[1]}|{good}\n{KEYS[0]}|{newer}",
            f"{KEYS[0]}|{token(KEYS[0], 55)}",
            f"{KEYS[2]}|{token(KEYS[2], signer=STRANGER)}",
            f"{KEYS[2]}|{token(KEYS[1])}",
            f"{KEYS[2]}|{good[:-5]}",
            f"{KEYS[2]}|",
            "|",
            "nonsense",
            "../x|" + good,
            "\u00ff",
            "",
        ):
            node.deliver(reply.decode(), line.encode("utf-8"))
        assert dict(store.pairs()) == {KEYS[0]: newer, KEYS[1]: good}
        assert sorted(learned) == sorted([KEYS[0], KEYS[1]])
        assert "not trusted" in node.lines.text
        packing.stop()

    asyncio.run(run())


def test_answers():
    async def run():
        preload = [(key, token(key)) for key in KEYS]
        node, store, packing, _learned = room(*preload, interval_ns=10**12)
        packing.start(SYSTEM)
        node.calls.clear()
        node.deliver(SUBJECT, store.digest, b"r")
        assert node.calls == [("publish", "r", b"")]
        node.calls.clear()
        node.deliver(SUBJECT, bytes(32), b"r")
        expected = sorted(f"{key}|{text}".encode() for key, text in preload)
        assert [call[2] for call in node.calls] == [*expected, b""]
        node.deliver(SUBJECT, b"")
        packing.stop()

    asyncio.run(run())


def test_a_look_up_ends_with_the_first_answer_or_when_all_have_none():
    async def run():
        node = Node(others=2)
        look_up = LookUp(node, Inbox(node, SYSTEM), timeout_ns=5_000_000_000)

        async def ask(*answers):
            node.asked.clear()
            asking = asyncio.create_task(look_up(KEYS[0]))
            await node.asked.wait()
            subject, reply = node.question
            assert subject == f"$SYS.REQ.ACCOUNT.{KEYS[0]}.CLAIMS.LOOKUP"
            for answer in answers:
                node.deliver(reply.decode(), answer)
            return await asking

        assert await ask(b"", b"jwt") == "jwt"
        assert await ask(b"", b"") is None
        assert await ask(b"one", b"two") == "one"
        look_up.timeout_ns = 1_000_000
        assert await ask(b"") is None
        node.routes.remotes = 0
        assert await look_up(KEYS[0]) is None

    asyncio.run(run())


holdings = st.dictionaries(st.sampled_from(KEYS), st.sampled_from([1, 2, 3]))
VERSIONS = {
    (key, number): token(key, 10 if number < 3 else 20, name=str(number)) for key in KEYS for number in (1, 2, 3)
}


@settings(max_examples=60)
@given(st.lists(holdings, min_size=2, max_size=3))
def test_stores_that_tell_each_other_all_become_equal(held):
    """In whatever order; versions 1 and 2 are of the same second."""
    stores = []
    for each in held:
        store = DirectoryStore(MemoryDisk(), SystemClock(), "d")
        for key, number in each.items():
            store.write(key, VERSIONS[key, number])
        stores.append(store)
    issued = {text: 10 if number < 3 else 20 for (_key, number), text in VERSIONS.items()}
    for _round in stores:
        for one in stores:
            for other in stores:
                for key, text in one.pairs():
                    other.write_newer(key, text, rank_of(issued[text], text))
    assert len({store.digest for store in stores}) == 1
    assert len({tuple(store.pairs()) for store in stores}) == 1
