"""Random client operations as bytes, for Hypothesis: small alphabets, so that things meet each other often."""

import itertools

from hypothesis import strategies as st

from gossamer.mesh.engine.reference import EVERYTHING, Admission, ReferencePermissions, subject_is_valid

TOKENS = [b"a", b"b", b"c"]
QUEUES = [b"q", b"r", b"q.x"]
SIDS = [b"1", b"2", b"3", b"sid"]
ACCOUNTS = [b"A", b"B"]
_numbers = itertools.count()

literals = st.lists(st.sampled_from(TOKENS), min_size=1, max_size=4).map(b".".join)


@st.composite
def patterns(draw: st.DrawFn) -> bytes:
    """A valid subject to subscribe to."""
    tokens = draw(st.lists(st.sampled_from([*TOKENS, b"*"]), min_size=1, max_size=4))
    if draw(st.integers(0, 3)) == 0:
        tokens[-1] = b">"
    return b".".join(tokens)


#: Anything without blanks, valid or not.
wild = st.lists(st.sampled_from([*TOKENS, b"*", b">", b"", b"a*", b">b", b"\xff\x01"]), min_size=1, max_size=5).map(
    b".".join
)
replies = st.sampled_from([b"", b"", b"reply.1", b"reply.2", b"reply.1", b"_R_.x.y", b"$JS.ACK.x", b"a.b"])
subjects = st.one_of(
    literals, literals, literals, st.sampled_from([b"reply.1", b"reply.2", b"_GR_.x", b"a.*", b"a..b"])
)
queues = st.sampled_from([b"", b"", *QUEUES, b"_sys_"])


@st.composite
def permissions(draw: st.DrawFn) -> ReferencePermissions:
    """A permission set; one in three restricts nothing."""
    if draw(st.integers(0, 2)) == 0:
        return EVERYTHING
    entries = st.tuples(patterns(), st.sampled_from([b"", b"", b"", *QUEUES, b"q.*", b"*"]))
    response_max = draw(st.sampled_from([0, 0, 1, 2, -1]))
    publish_allow = draw(st.none() | st.lists(patterns() | st.just(b">"), max_size=3).map(tuple))
    return ReferencePermissions(
        publish_allow=() if response_max and publish_allow is None else publish_allow,
        publish_deny=draw(st.lists(patterns(), max_size=2).map(tuple)),
        subscribe_allow=draw(st.none() | st.lists(entries | st.just((b">", b"")), max_size=4).map(tuple)),
        subscribe_deny=draw(st.lists(entries, max_size=3).map(tuple)),
        response_max=response_max,
        response_ttl_ns=1_000_000_000 if response_max else 0,
    )


@st.composite
def admissions(draw: st.DrawFn, with_permissions: bool = True) -> Admission:
    """A client's account, rights and CONNECT options."""
    headers = draw(st.booleans())
    rights = draw(permissions()) if with_permissions else EVERYTHING
    return Admission(
        account=draw(st.sampled_from(ACCOUNTS)),
        permissions=rights,
        verbose=draw(st.sampled_from([False, False, True])),
        echo=draw(st.sampled_from([True, True, False])),
        headers=headers,
        no_responders=headers and draw(st.booleans()),
        max_subscriptions=draw(st.sampled_from([-1, -1, -1, 3])),
    )


def unique() -> bytes:
    """A payload that no other message of this process has: the comparison tells messages apart by it."""
    return b"#%d" % next(_numbers)


@st.composite
def publishes(draw: st.DrawFn, headers: bool) -> bytes:
    """PUB or HPUB, lower and upper case, with its payload."""
    # The number is drawn, not counted, so that a failing example replays with the same bytes.
    data = b"#%d" % draw(st.integers(0, 2**60)) + draw(st.binary(max_size=12))
    fields = [draw(subjects)]
    if reply := draw(replies):
        fields.append(reply)
    if headers and draw(st.booleans()):
        head = draw(st.sampled_from([b"NATS/1.0\r\nA: b\r\n\r\n", b"not a header", b""]))
        return b"HPUB %b %d %d\r\n%b%b\r\n" % (b" ".join(fields), len(head), len(head + data), head, data)
    verb, blank = draw(st.sampled_from([(b"PUB", b" "), (b"PUB", b" "), (b"pUb", b"\t  ")]))
    return verb + blank + blank.join(fields) + b" %d\r\n" % len(data) + data + b"\r\n"


@st.composite
def subscribes(draw: st.DrawFn) -> bytes:
    """SUB of a valid subject; the order of its checks has a test of its own."""
    subject = draw(patterns() | patterns() | patterns() | wild.filter(subject_is_valid))
    fields = [subject, draw(queues), draw(st.sampled_from(SIDS))]
    return b"SUB " + b" ".join(field for field in fields if field) + b"\r\n"


unsubscribes = st.builds(
    lambda sid, more: b"UNSUB " + sid + more + b"\r\n",
    st.sampled_from(SIDS),
    st.sampled_from([b"", b" 1", b" 2", b" 3", b" 0", b" -1", b" x"]),
)


def operations(headers: bool) -> st.SearchStrategy[bytes]:
    """One client operation that keeps the connection."""
    return st.one_of(
        publishes(headers), publishes(headers), subscribes(), subscribes(), unsubscribes, st.just(b"PING\r\n")
    )


#: Bytes that end the connection, with or without an -ERR.
violations = st.sampled_from(
    [
        b"PUB a\r\n",
        b"PUB a 12345678901\r\n",
        b"PUB a -1\r\n",
        b"PUB a b c 1\r\n",
        b"PUB a 1048577\r\n",
        b"PUB a 2\r\nabc\r\n",
        b"PUB\r\n",
        b"SUB a\r\n",
        b"SUB a b c d\r\n",
        b"UNSUB 1 2 3\r\n",
        b"HPUB a 5 2\r\n",
        b"HPUB a 2\r\n",
        b"SUB " + b"a" * 5000,
        b"MSG a 1 2\r\nab\r\n",
        b"\r\n",
        b" PING\r\n",
        b"GARBAGE\r\n",
        b"-ERR 'no'\r\n",
    ]
)
