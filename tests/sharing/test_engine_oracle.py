"""The engine beside readable Python: random transforms, and random accounts that share, on links in memory."""

import asyncio
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.auth.settings import AccountSettings, AuthSettings, UserSettings
from gossamer.auth.sharing.resolution import Resolution
from gossamer.auth.sharing.values import SERVICE, STREAM, AccountSharing, Export, Import, Mapping, Target
from gossamer.auth.subjects import matches
from gossamer.auth.transforms import TransformError, parse
from gossamer.mesh.node import Node
from gossamer.mesh.options.options import Options

_SECOND_NS = 1_000_000_000


class Link:
    """A client in memory that was let in as a user of an account."""

    def __init__(self, node, account):
        self.node, self.heard = node, bytearray()
        self.link = node.open(lambda data, end: self.heard.extend(data))
        settle(node)
        self.say(b'CONNECT {"verbose":false,"user":"%s","pass":"p"}\r\nPING\r\n' % account.encode())
        settle(node)
        self.subjects()

    def say(self, data):
        self.node.feed(self.link, data)

    def subjects(self):
        """The subjects of the messages that have come, and their sids."""
        lines = bytes(self.heard).split(b"\r\n")
        self.heard.clear()
        assert not any(line.startswith(b"-ERR") for line in lines), lines
        return [tuple(line.split(b" ")[1:3]) for line in lines if line.startswith((b"MSG ", b"HMSG "))]


def settle(node):
    for _ in range(4):
        node.step(_SECOND_NS)


def run(settings_, check):
    async def whole():
        node = Node(Options(authorization=settings_), stepped=True)
        await node.start()
        try:
            check(node)
        finally:
            await node.stop()

    asyncio.run(whole())


# --- transforms -------------------------------------------------------------------------------------------------------

TOKEN = st.text(alphabet="ab-é", min_size=1, max_size=6)


@st.composite
def mappings(draw):
    """A source, a destination that can be made from it, and a literal subject that matches."""
    pattern = ["s", *draw(st.lists(st.one_of(TOKEN, st.just("*")), max_size=4))]
    stars = pattern.count("*")
    made = ["d"]
    for _ in range(draw(st.integers(0, 4))):
        index, number = draw(st.integers(1, max(1, stars))), draw(st.integers(-1, 7))
        choices = [draw(TOKEN), f"{{{{partition({max(0, number)})}}}}"]
        if stars:
            choices += [f"${index}", f"{{{{wildcard({index})}}}}", f"{{{{partition({max(0, number)},{index},1)}}}}"]
            choices += [f"{{{{split({index},{separator})}}}}" for separator in ("-", "a", "ab")]
            names = ("splitFromLeft", "splitFromRight", "sliceFromLeft", "sliceFromRight", "left", "right")
            choices += [f"{{{{{name}({index},{number})}}}}" for name in names]
        made.append(draw(st.sampled_from(choices)))
    tail = [">"] if draw(st.booleans()) else []
    subject = [draw(TOKEN) if token == "*" else token for token in pattern]
    subject += draw(st.lists(TOKEN, min_size=1, max_size=2)) if tail else []
    return ".".join(pattern + tail), ".".join(made + tail), ".".join(subject)


@settings(max_examples=60, deadline=None)
@given(st.lists(mappings(), min_size=1, max_size=6, unique_by=lambda drawn: drawn[0]))
def test_the_engine_maps_as_the_oracle(drawn):
    known = []
    for number, (source, destination, subject) in enumerate(drawn):
        # Each has subjects of its own, so that it does not matter which comes first.
        source, subject = f"s{number}{source[1:]}", f"s{number}{subject[1:]}"
        try:
            known.append((Mapping(source=source, targets=(Target(subject=destination),)), subject))
        except TransformError:
            continue
    accounts = (AccountSettings(name="A", mappings=tuple(mapping for mapping, _ in known)),)
    users = (UserSettings(name="A", password="p", account="A"),)

    def check(node):
        listener, publisher = Link(node, "A"), Link(node, "A")
        listener.say(b"SUB > 1\r\n")
        settle(node)
        for mapping, subject in known:
            wanted = parse(mapping.source, mapping.targets[0].subject).apply(subject.encode(), lambda limit: 0)
            publisher.say(b"PUB %s 0\r\n\r\n" % subject.encode())
            settle(node)
            heard = [subject for subject, _ in listener.subjects()]
            if b".." in wanted or wanted.endswith(b"."):
                continue  # a split that left nothing: the oracle's word stands in tests of its own
            assert heard == [wanted], (mapping, subject)

    run(AuthSettings(accounts=accounts, users=users), check)


# --- who hears what ---------------------------------------------------------------------------------------------------

NAMES = ("A", "B", "C", "D")
PATTERNS = ("x", "x.y", "x.*", "x.>", "*.y")
LOCALS = {
    "x": ["x", "p"],
    "x.y": ["x.y", "p.q"],
    "x.*": ["x.*", "p.$1", "$1.y"],
    "x.>": ["x.>", "p.>"],
    "*.y": ["*.y", "x.$1"],
}
LITERALS = ("x", "x.y", "p", "p.y", "p.q", "x.x", "p.q.r", "y.y", "x.y.z")
KINDS = st.sampled_from([SERVICE, STREAM])
EXPORTS = st.builds(lambda kind, subject: Export(kind=kind, subject=subject), KINDS, st.sampled_from(PATTERNS))
IMPORTS = st.sampled_from(PATTERNS).flatmap(
    lambda subject: st.builds(
        lambda kind, exporter, local: Import(kind=kind, exporter=exporter, subject=subject, local=local),
        KINDS,
        st.sampled_from(NAMES),
        st.sampled_from(LOCALS[subject]),
    )
)


def model(resolution, subscriptions, account, subject):
    """Who hears a message that a client publishes: (account, subject, subscription) and how often."""
    heard = Counter()

    def publish(account, subject, passed):
        for number, pattern in enumerate(subscriptions[account]):
            heard[account, subject, number] += matches(pattern, subject)
        if not passed:  # what came as a request is not told on as a stream
            for importer in NAMES:
                for each in resolution.effective(importer).streams:
                    if each.entry.exporter == account and matches(each.entry.subject, subject):
                        local = each.transform.to_local.apply(subject.encode(), None).decode()
                        for number, pattern in enumerate(subscriptions[importer]):
                            heard[importer, local, number] += matches(pattern, local)
        for each in resolution.effective(account).services:
            if each not in passed and matches(each.transform.pattern, subject):
                there = each.transform.to_exporter.apply(subject.encode(), None).decode()
                publish(each.entry.exporter, there, [*passed, each])

    publish(account, subject, [])
    return +heard


@settings(max_examples=80, deadline=None)
@given(
    st.fixed_dictionaries(
        {name: st.tuples(st.lists(EXPORTS, max_size=4), st.lists(IMPORTS, max_size=4)) for name in NAMES}
    ),
    st.fixed_dictionaries(
        {name: st.lists(st.sampled_from([">", "x.>", "p.*", "x.y", "p"]), min_size=1, max_size=3) for name in NAMES}
    ),
    st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(LITERALS)), min_size=1, max_size=8),
)
def test_who_hears_what(shares, subscriptions, published):
    accounts = tuple(
        AccountSettings(
            name=name, exports=tuple(exports), imports=tuple(each for each in imports if each.exporter != name)
        )
        for name, (exports, imports) in shares.items()
    )
    users = tuple(UserSettings(name=name, password="p", account=name) for name in NAMES)
    resolution = Resolution()
    resolution.put_all(
        [AccountSharing(account=each.name, exports=each.exports, imports=each.imports) for each in accounts], 0
    )

    def check(node):
        listeners = {name: Link(node, name) for name in NAMES}
        publishers = {name: Link(node, name) for name in NAMES}
        for name, listener in listeners.items():
            for number, pattern in enumerate(subscriptions[name]):
                listener.say(b"SUB %s %d\r\n" % (pattern.encode(), number))
        settle(node)
        for account, subject in published:
            publishers[account].say(b"PUB %s 0\r\n\r\n" % subject.encode())
            settle(node)
            heard = Counter(
                (name, found.decode(), int(sid)) for name in NAMES for found, sid in listeners[name].subjects()
            )
            assert heard == model(resolution, subscriptions, account, subject), (account, subject)

    run(AuthSettings(accounts=accounts, users=users), check)
