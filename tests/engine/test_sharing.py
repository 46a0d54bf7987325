"""Imports and mapped subjects in the engine, on memory links: what arrives where, to the byte (auth 17 to 21)."""

import random
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gossamer.mesh.engine.core import Engine
from gossamer.mesh.engine.events import Event, Hello, Latency, Message, Output, PeerInfo
from gossamer.mesh.engine.kinds import LinkKind, Part, Response

W = Part.WILDCARD
Program = list[tuple[int, bytes, tuple[int, ...]]]


def literal(subject: str) -> Program:
    return [(Part.LITERAL, token.encode(), ()) for token in subject.split(".")]


def program(text: str) -> Program:
    """``a.$1.>`` as a program."""
    made: Program = []
    for token in text.split("."):
        if token.startswith("$"):
            made.append((W, b"", (int(token[1:]),)))
        elif token == ">":
            made.append((Part.TAIL, b"", ()))
        else:
            made.append((Part.LITERAL, token.encode(), ()))
    return made


class Bench:
    """One engine by hand; ``client`` gives a link in an account, ``say`` feeds it, ``heard`` takes what it got."""

    def __init__(self) -> None:
        self.engine = Engine(seed=7)
        self.now_ns = 1_000_000_000
        self.listener = self.engine.listen(None, kind=LinkKind.CLIENT, info=(b"INFO {}\r\n",))
        self.output: dict[int, bytearray] = {}
        self.events: list[Event] = []
        self.waiting: dict[int, dict[str, Any]] = {}

    def settle(self) -> None:
        quiet = 0
        while quiet < 3:
            self.engine.step(self.now_ns)
            found = self.engine.drain()
            quiet = 0 if found else quiet + 1
            for event in found:
                if isinstance(event, Output):
                    self.output.setdefault(event.link, bytearray()).extend(event.data)
                elif isinstance(event, Hello):
                    self.engine.admit(event.link, **self.waiting.pop(event.link))
                else:
                    self.events.append(event)

    def client(self, account: int, *, headers: bool = True, **options: Any) -> int:
        link = self.engine.open(kind=LinkKind.CLIENT, listener=self.listener)
        options = {"account": account, "headers": headers, "no_responders": headers} | options
        self.waiting[link] = options
        self.engine.feed(link, b"CONNECT {}\r\n")
        self.settle()
        self.heard(link)
        return link

    def say(self, link: int, data: bytes) -> None:
        self.engine.feed(link, data)
        self.settle()

    def heard(self, link: int) -> bytes:
        data = bytes(self.output.pop(link, b""))
        return data.replace(b"INFO {}\r\n", b"")

    def taken(self, kind: type) -> list[Any]:
        found = [event for event in self.events if isinstance(event, kind)]
        self.events = [event for event in self.events if not isinstance(event, kind)]
        return found


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench()
    yield made
    made.engine.destroy()


@pytest.fixture
def two(bench: Bench) -> tuple[Bench, int, int]:
    """Account A exports, account B imports."""
    return bench, bench.engine.account(b"A"), bench.engine.account(b"B")


def importing(bench: Bench, a: int, b: int, local: bytes = b"ask.*", remote: str = "svc.$1", **options: Any) -> int:
    return bench.engine.service_import(b, local=local, exporter=a, program=program(remote), **options)


def reply_of(line: bytes) -> bytes:
    found = re.search(rb"_R_\.\w{6}\.\w{6}", line)
    assert found is not None, line
    return found.group()


# --- services ---------------------------------------------------------------------------------------------------------


def test_a_request_and_its_answer(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    importing(bench, a, b)
    server, asker = bench.client(a), bench.client(b)
    bench.say(server, b"SUB svc.* 1\r\n")
    bench.say(asker, b"SUB inbox 5\r\nPUB ask.x inbox 2\r\nhi\r\n")
    line = bench.heard(server)
    reply = reply_of(line)
    head = b'NATS/1.0\r\nNats-Request-Info: {"acc":"B","rtt":1}\r\n\r\n'
    assert line == b"HMSG svc.x 1 %b %d %d\r\n%bhi\r\n" % (reply, len(head), len(head) + 2, head)
    bench.say(server, b"PUB %b 3\r\nyes\r\n" % reply)
    assert bench.heard(asker) == b"MSG inbox 5 3\r\nyes\r\n"
    bench.say(server, b"PUB %b 3\r\nyes\r\n" % reply)
    assert bench.heard(asker) == b"", "a singleton answers once"
    assert bench.heard(server) == b""


def test_own_headers_stay_and_the_info_is_set_anew(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    importing(bench, a, b)
    server, asker = bench.client(a), bench.client(b)
    bench.say(server, b"SUB svc.x 1\r\n")
    own = b"NATS/1.0 100 Idle\r\nFoo: bar\r\nNats-Request-Info: lies\r\nBar: x\r\n\r\n"
    bench.say(asker, b"HPUB ask.x %d %d\r\n%bhi\r\n" % (len(own), len(own) + 2, own))
    head = b'NATS/1.0 100 Idle\r\nFoo: bar\r\nBar: x\r\nNats-Request-Info: {"acc":"B","rtt":1}\r\n\r\n'
    assert bench.heard(server) == b"HMSG svc.x 1 %d %d\r\n%bhi\r\n" % (len(head), len(head) + 2, head)


def test_a_server_without_headers_gets_the_payload(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    importing(bench, a, b)
    server, asker = bench.client(a, headers=False), bench.client(b)
    bench.say(server, b"SUB svc.x 1\r\n")
    bench.say(asker, b"PUB ask.x inbox 2\r\nhi\r\n")
    line = bench.heard(server)
    assert line == b"MSG svc.x 1 %b 2\r\nhi\r\n" % reply_of(line)


def test_who_shares_is_described(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    importing(bench, a, b, share=True)
    server, asker = bench.client(a), bench.client(b)
    bench.engine.describe(asker, b'{"acc":"B","user":"u","rtt":', b',"server":"n"}')
    bench.say(server, b"SUB svc.x 1\r\n")
    bench.say(asker, b"PUB ask.x inbox 2\r\nhi\r\n")
    assert b'Nats-Request-Info: {"acc":"B","user":"u","rtt":1,"server":"n"}\r\n' in bench.heard(server)


def test_nobody_there_is_told_on_the_askers_own_subject(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    importing(bench, a, b)
    asker = bench.client(b)
    bench.say(asker, b"SUB inbox 5\r\nPUB ask.x inbox 2\r\nhi\r\n")
    text = b"NATS/1.0 503\r\nNats-Subject: ask.x\r\n\r\n"
    assert bench.heard(asker) == b"HMSG inbox 5 %d %d\r\n%b\r\n" % (len(text), len(text), text)


def test_local_subscribers_get_the_message_too(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    importing(bench, a, b)
    server, asker, other = bench.client(a), bench.client(b), bench.client(b)
    bench.say(server, b"SUB svc.x 1\r\n")
    bench.say(other, b"SUB > 9\r\n")
    bench.say(asker, b"PUB ask.x inbox 2\r\nhi\r\n")
    assert bench.heard(other) == b"MSG ask.x 9 inbox 2\r\nhi\r\n"
    assert b"HMSG svc.x 1 _R_." in bench.heard(server)


@pytest.mark.parametrize("kind", [Response.STREAM, Response.CHUNKED])
def test_many_answers_until_an_empty_one(two: tuple[Bench, int, int], kind: Response) -> None:
    bench, a, b = two
    importing(bench, a, b, response=kind)
    server, asker = bench.client(a), bench.client(b)
    bench.say(server, b"SUB svc.x 1\r\n")
    bench.say(asker, b"SUB inbox 5\r\nPUB ask.x inbox 2\r\nhi\r\n")
    reply = reply_of(bench.heard(server))
    for _ in range(3):
        bench.say(server, b"PUB %b 1\r\n.\r\n" % reply)
    bench.say(server, b"PUB %b 0\r\n\r\nPUB %b 1\r\n.\r\n" % (reply, reply))
    assert bench.heard(asker) == b"MSG inbox 5 1\r\n.\r\n" * 3 + b"MSG inbox 5 0\r\n\r\n"


def test_an_answer_after_the_threshold_is_dropped(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    importing(bench, a, b, threshold_ns=1_000_000_000)
    server, asker = bench.client(a), bench.client(b)
    bench.say(server, b"SUB svc.x 1\r\n")
    bench.say(asker, b"SUB inbox 5\r\nPUB ask.x inbox 2\r\nhi\r\n")
    reply = reply_of(bench.heard(server))
    due = bench.engine.step(bench.now_ns)
    assert 0 < due <= 1_000_000_000, "the engine wakes for it"
    bench.now_ns += 1_100_000_000
    bench.settle()
    bench.say(server, b"PUB %b 3\r\nyes\r\n" % reply)
    assert b"MSG" not in bench.heard(asker)


def test_an_answer_that_asks_back(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    importing(bench, a, b)
    server, asker = bench.client(a), bench.client(b)
    bench.say(server, b"SUB svc.x 1\r\nSUB mine 2\r\n")
    bench.say(asker, b"SUB inbox 5\r\nPUB ask.x inbox 2\r\nhi\r\n")
    reply = reply_of(bench.heard(server))
    bench.say(server, b"PUB %b mine 3\r\nyes\r\n" % reply)
    line = bench.heard(asker)
    back = reply_of(line)
    assert line == b"MSG inbox 5 %b 3\r\nyes\r\n" % back
    assert back != reply
    bench.say(asker, b"PUB %b 2\r\nok\r\n" % back)
    assert bench.heard(server) == b"MSG mine 2 2\r\nok\r\n"


def test_a_spy_in_the_exporter_sees_answers_and_bogus_ones(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    importing(bench, a, b)
    server, asker, spy = bench.client(a), bench.client(b), bench.client(a)
    bench.say(server, b"SUB svc.x 1\r\n")
    bench.say(spy, b"SUB _R_.> 3\r\n")
    bench.say(asker, b"SUB inbox 5\r\nPUB ask.x inbox 2\r\nhi\r\n")
    reply = reply_of(bench.heard(server))
    bench.say(server, b"PUB %b 3\r\nyes\r\nPUB _R_.bogus.bogus1 1\r\n.\r\n" % reply)
    assert bench.heard(spy) == b"MSG %b 3 3\r\nyes\r\nMSG _R_.bogus.bogus1 3 1\r\n.\r\n" % reply
    assert bench.heard(asker) == b"MSG inbox 5 3\r\nyes\r\n"


def test_imports_of_imports(bench: Bench) -> None:
    a, b, c = (bench.engine.account(name) for name in (b"A", b"B", b"C"))
    bench.engine.service_import(b, local=b"b.*", exporter=a, program=program("a.$1"))
    bench.engine.service_import(c, local=b"c.*", exporter=b, program=program("b.$1"))
    server, asker = bench.client(a), bench.client(c)
    bench.say(server, b"SUB a.x 1\r\n")
    bench.say(asker, b"SUB inbox 5\r\nPUB c.x inbox 2\r\nhi\r\n")
    line = bench.heard(server)
    assert b'{"acc":"C","svc":"B","rtt":1}' in line
    bench.say(server, b"PUB %b 3\r\nyes\r\n" % reply_of(line))
    assert bench.heard(asker) == b"MSG inbox 5 3\r\nyes\r\n"
    bench.say(asker, b"PUB c.nobody inbox 2\r\nhi\r\n")
    assert b"Nats-Subject: c.nobody\r\n" in bench.heard(asker)


def test_a_ring_of_imports_ends(bench: Bench) -> None:
    a, b = bench.engine.account(b"A"), bench.engine.account(b"B")
    bench.engine.service_import(b, local=b"x", exporter=a, program=program("x"))
    bench.engine.service_import(a, local=b"x", exporter=b, program=program("x"))
    asker, spy = bench.client(b), bench.client(a)
    bench.say(spy, b"SUB x 1\r\n")
    bench.say(asker, b"PUB x inbox 2\r\nhi\r\n")
    assert bench.heard(spy).count(b"MSG x 1") == 1


def test_a_mapping_of_the_exporter_applies(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    importing(bench, a, b)
    bench.engine.mapping(a, b"svc.old", [(100, program("svc.new"))])
    server, asker = bench.client(a), bench.client(b)
    bench.say(server, b"SUB svc.> 1\r\n")
    bench.say(asker, b"PUB ask.old inbox 2\r\nhi\r\n")
    assert bench.heard(server).startswith(b"HMSG svc.new 1 _R_.")


def test_the_control_plane_serves_and_asks(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    importing(bench, a, b)
    bench.engine.subscribe(a, b"svc.x")
    asker = bench.client(b)
    bench.say(asker, b"SUB inbox 5\r\nPUB ask.x inbox 2\r\nhi\r\n")
    (message,) = bench.taken(Message)
    assert message.link == asker
    assert message.data.endswith(b"hi")
    bench.engine.publish(a, message.reply, b"yes")
    bench.settle()
    assert bench.heard(asker) == b"MSG inbox 5 3\r\nyes\r\n"


def test_removing_an_import_ends_it_and_what_waits(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    number = importing(bench, a, b)
    server, asker = bench.client(a), bench.client(b)
    bench.say(server, b"SUB svc.x 1\r\n")
    bench.say(asker, b"SUB inbox 5\r\nPUB ask.x inbox 2\r\nhi\r\n")
    reply = reply_of(bench.heard(server))
    bench.engine.remove_import(number)
    bench.say(server, b"PUB %b 3\r\nyes\r\n" % reply)
    bench.say(asker, b"PUB ask.x inbox 2\r\nhi\r\n")
    assert bench.heard(server) == b""
    assert b"503" in bench.heard(asker)


def test_latency_is_reported(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    number = importing(bench, a, b, sampling=100, threshold_ns=1_000_000_000)
    server, asker = bench.client(a), bench.client(b)
    bench.say(server, b"SUB svc.x 1\r\n")
    bench.say(asker, b"SUB inbox 5\r\nPUB ask.x inbox 2\r\nhi\r\n")
    bench.now_ns += 5_000_000
    bench.say(server, b"PUB %b 3\r\nyes\r\n" % reply_of(bench.heard(server)))
    (found,) = bench.taken(Latency)
    assert (found.service_import, found.status, found.requestor, found.responder) == (number, 200, asker, server)
    assert found.service_ns == 5_000_000
    bench.say(asker, b"PUB ask.x 2\r\nhi\r\nPUB ask.y inbox 2\r\nhi\r\nPUB ask.x inbox 2\r\nhi\r\n")
    bench.now_ns += 1_100_000_000
    bench.settle()
    assert [each.status for each in bench.taken(Latency)] == [400, 503, 504]


@pytest.mark.parametrize("how", ["UNSUB", "close", "late"])
def test_a_requestor_that_hears_no_more(two: tuple[Bench, int, int], how: str) -> None:
    """Nobody would hear the answer: the request ends at once, with status 408."""
    bench, a, b = two
    importing(bench, a, b, sampling=100)
    server, asker, other = bench.client(a), bench.client(b), bench.client(b)
    bench.say(server, b"SUB svc.x 1\r\n")
    bench.say(other, b"SUB elsewhere 1\r\n")
    bench.say(asker, b"SUB inbox.* 5\r\nSUB more 6\r\nPUB ask.x inbox.1 2\r\nhi\r\nPUB ask.x elsewhere 2\r\nhi\r\n")
    first, second = re.findall(rb"_R_\.\w{6}\.\w{6}", bench.heard(server))
    bench.say(asker, b"UNSUB 6\r\n")
    assert bench.taken(Latency) == []
    if how == "UNSUB":
        bench.say(asker, b"UNSUB 5\r\n")
    elif how == "close":
        bench.engine.feed(asker, b"", end=True)
        bench.settle()
    else:
        bench.say(other, b"UNSUB 1\r\n")
        bench.say(server, b"PUB %b 3\r\nyes\r\n" % second)
        first = second
    (found,) = bench.taken(Latency)
    assert (found.status, found.requestor) == (408, asker)
    bench.say(server, b"PUB %b 3\r\nyes\r\n" % first)
    assert bench.taken(Latency) == []
    if how != "late":
        bench.say(server, b"PUB %b 3\r\nyes\r\n" % second)
        assert bench.heard(other) == b"MSG elsewhere 1 3\r\nyes\r\n", "somebody else listens there"


def test_an_account_that_imports_from_itself(bench: Bench) -> None:
    a = bench.engine.account(b"A")
    hears = bench.client(a)
    bench.say(hears, b"SUB self 1\r\nSUB again.* 2\r\nSUB taken.> q 3\r\n")
    bench.engine.service_import(a, local=b"selfy", exporter=a, program=program("self"))
    number = bench.engine.stream_import(a, exporter=a, subject=b"ev.*", program=program("again.$1"))
    bench.engine.stream_import(a, exporter=a, subject=b"ev.*", program=program("taken.$1"))
    says = bench.client(a)
    bench.say(says, b"PUB selfy 1\r\n.\r\nPUB ev.x 1\r\n.\r\n")
    assert sorted(re.findall(rb"MSG (\S+ \d)", bench.heard(hears))) == [b"again.x 2", b"self 1", b"taken.x 3"]
    bench.engine.remove_import(number)
    bench.say(says, b"PUB ev.x 1\r\n.\r\n")
    assert re.findall(rb"MSG (\S+ \d)", bench.heard(hears)) == [b"taken.x 3"]


def test_a_split_that_leaves_nothing_reaches_nobody(bench: Bench) -> None:
    account = bench.engine.account(b"A")
    bench.engine.mapping(account, b"m.*", [(100, [*literal("n"), (Part.SPLIT, b"-", (1,))])])
    bench.engine.mapping(account, b"o.*", [(100, [(Part.SPLIT, b"-", (1,)), *literal("n")])])
    hears, says = bench.client(account), bench.client(account)
    bench.say(hears, b"SUB > 1\r\n")
    bench.say(says, b"PUB m.-- 1\r\n.\r\nPUB o.-- 1\r\n.\r\nPUB m.-a- 1\r\n.\r\n")
    assert bench.heard(hears) == b"MSG n.a 1 1\r\n.\r\n"


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("Uber-Trace-Id: 1:2:3:5", True),
        ("Uber-Trace-Id: 1:2:3:4", False),
        ("X-B3-Sampled: 1", True),
        ("X-B3-Sampled: 0", False),
        ("X-B3-TraceId: 80f198ee56343ba864fe8b2a57d3eff7", True),
        ("B3: 80f198-e457-1", True),
        ("B3: 80f198-e457-0", False),
        ("B3: 0", False),
        ("Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", False),
        ("Foo: bar", False),
    ],
)
def test_latency_sampled_by_headers(two: tuple[Bench, int, int], header: str, wanted: bool) -> None:
    bench, a, b = two
    importing(bench, a, b, sampling=0)
    server, asker = bench.client(a), bench.client(b)
    bench.say(server, b"SUB svc.x 1\r\n")
    own = b"NATS/1.0\r\n%b\r\n\r\n" % header.encode()
    bench.say(asker, b"SUB inbox 5\r\nHPUB ask.x inbox %d %d\r\n%bhi\r\n" % (len(own), len(own) + 2, own))
    bench.say(server, b"PUB %b 3\r\nyes\r\n" % reply_of(bench.heard(server)))
    assert [each.headers for each in bench.taken(Latency)] == ([own] if wanted else [])


# --- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_under_its_local_name(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    before, after, source = bench.client(b), bench.client(b), bench.client(a)
    bench.say(before, b"SUB imp.> 1\r\n")
    number = bench.engine.stream_import(b, exporter=a, subject=b"ev.*.*", program=program("imp.$2.$1"))
    bench.say(after, b"SUB imp.*.x 2\r\nSUB ev.x.y 3\r\nSUB other 4\r\n")
    bench.say(source, b"PUB ev.x.y rep 2\r\nhi\r\nPUB ev.y.x 1\r\n.\r\n")
    assert bench.heard(before) == b"MSG imp.y.x 1 rep 2\r\nhi\r\nMSG imp.x.y 1 1\r\n.\r\n"
    assert bench.heard(after) == b"MSG imp.y.x 2 rep 2\r\nhi\r\n"
    interest = {(each.subject, each.queue) for each in bench.engine.subscriptions(account=a)}
    assert interest == set(), "shadows are nobody's subscriptions"
    bench.engine.remove_import(number)
    bench.say(source, b"PUB ev.x.y 2\r\nhi\r\n")
    assert bench.heard(before) == bench.heard(after) == b""


def test_a_queue_group_over_accounts_is_one(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    bench.engine.stream_import(b, exporter=a, subject=b"ev.>", program=program("imp.>"))
    one, other, source = bench.client(a), bench.client(b), bench.client(a)
    bench.say(one, b"SUB ev.x q 1\r\n")
    bench.say(other, b"SUB imp.x q 2\r\n")
    bench.say(source, b"PUB ev.x 1\r\n.\r\n" * 200)
    first, second = bench.heard(one).count(b"MSG ev.x 1"), bench.heard(other).count(b"MSG imp.x 2")
    assert first + second == 200
    assert 60 < first < 140


def test_unsubscribing_ends_the_shadow(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    bench.engine.stream_import(b, exporter=a, subject=b"ev.>", program=program("imp.>"))
    hears, source = bench.client(b), bench.client(a)
    bench.say(hears, b"SUB imp.x 1\r\nUNSUB 1 2\r\n")
    bench.say(source, b"PUB ev.x 1\r\n.\r\n" * 3)
    assert bench.heard(hears) == b"MSG imp.x 1 1\r\n.\r\n" * 2
    bench.say(hears, b"SUB imp.> 2\r\nUNSUB 2\r\n")
    bench.say(source, b"PUB ev.x 1\r\n.\r\n")
    assert bench.heard(hears) == b""


def test_a_deny_list_filters_local_names(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    bench.engine.stream_import(b, exporter=a, subject=b"ev.>", program=program("imp.>"))
    denied = bench.engine.permissions(subscribe_deny=[(b"imp.secret", b"")])
    hears, source = bench.client(b, permissions=denied), bench.client(a)
    bench.say(hears, b"SUB imp.> 1\r\n")
    bench.say(source, b"PUB ev.secret 1\r\n.\r\nPUB ev.open 1\r\n.\r\n")
    assert bench.heard(hears) == b"MSG imp.open 1 1\r\n.\r\n"


def test_streams_are_not_passed_on(bench: Bench) -> None:
    """Neither a stream import of a stream import, nor what came by a service import."""
    a, b, c = (bench.engine.account(name) for name in (b"A", b"B", b"C"))
    bench.engine.stream_import(b, exporter=a, subject=b"ev.>", program=program("ev.>"))
    bench.engine.stream_import(c, exporter=b, subject=b"ev.>", program=program("ev.>"))
    bench.engine.service_import(c, local=b"ask", exporter=a, program=program("ev.ask"))
    far, near, source = bench.client(c), bench.client(b), bench.client(a)
    bench.say(far, b"SUB ev.> 1\r\n")
    bench.say(near, b"SUB ev.> 1\r\n")
    bench.say(source, b"PUB ev.x 1\r\n.\r\n")
    assert bench.heard(near) == b"MSG ev.x 1 1\r\n.\r\n"
    assert bench.heard(far) == b""
    bench.say(far, b"PUB ask 1\r\n.\r\n")
    assert bench.heard(near) == b""


def test_a_fan_out_over_accounts(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    bench.engine.stream_import(b, exporter=a, subject=b"ev.>", program=program("imp.>"))
    source = bench.client(a)
    mine = [bench.client(a) for _ in range(20)]
    theirs = [bench.client(b) for _ in range(20)]
    for link in mine:
        bench.say(link, b"SUB ev.> 1\r\n")
    for link in theirs:
        bench.say(link, b"SUB imp.> 1\r\n")
    for size in (5, 300, 20_000):
        payload = random.Random(size).randbytes(size)
        bench.say(source, b"PUB ev.x %d\r\n%b\r\n" % (size, payload))
        for link in mine:
            assert bench.heard(link) == b"MSG ev.x 1 %d\r\n%b\r\n" % (size, payload)
        for link in theirs:
            assert bench.heard(link) == b"MSG imp.x 1 %d\r\n%b\r\n" % (size, payload)


def test_the_control_plane_hears_imported_streams(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    bench.engine.stream_import(b, exporter=a, subject=b"ev.>", program=program("imp.>"))
    bench.engine.subscribe(b, b"imp.x")
    source = bench.client(a)
    bench.say(source, b"PUB ev.x 1\r\n.\r\n")
    (message,) = bench.taken(Message)
    assert (message.account, message.subject) == (b, b"imp.x")


# --- mapped subjects --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "made", "published", "wanted"),
    [
        ("p.*", [*literal("p2"), (W, b"", (1,)), (Part.PARTITION, b"", (10, 1))], "p.foo", "p2.foo.3"),
        ("p.*", [*literal("p2"), (W, b"", (1,)), (Part.PARTITION, b"", (10, 1))], "p.bar", "p2.bar.2"),
        ("pa", [*literal("pa2"), (Part.PARTITION, b"", (5,))], "pa", "pa2.4"),
        ("s.*", [(Part.SPLIT_FROM_LEFT, b"", (1, 3))], "s.abcdef", "abc.def"),
        ("s.*", [(Part.SPLIT_FROM_RIGHT, b"", (1, 2))], "s.abcdef", "abcd.ef"),
        ("s.*", [(Part.SPLIT_FROM_LEFT, b"", (1, 9))], "s.abcdef", "abcdef"),
        ("s.*", [(Part.SLICE_FROM_LEFT, b"", (1, 2))], "s.abcde", "ab.cd.e"),
        ("s.*", [(Part.SLICE_FROM_RIGHT, b"", (1, 2))], "s.abcde", "a.bc.de"),
        ("s.*", [(Part.SLICE_FROM_RIGHT, b"", (1, 2))], "s.abcd", "ab.cd"),
        ("s.*", [(Part.SPLIT, b"-", (1,))], "s.a-b--c-", "a.b.c"),
        ("s.*", [*literal("x"), (Part.SPLIT, b"-", (1,)), *literal("y")], "s.-a", "x.a.y"),
        ("s.*", [(Part.LEFT, b"", (1, 2))], "s.abc", "ab"),
        ("s.*", [(Part.RIGHT, b"", (1, 2))], "s.abc", "bc"),
        ("s.*.*.>", [*literal("t"), (W, b"", (2,)), (W, b"", (1,)), (Part.TAIL, b"", ())], "s.a.b.c.d", "t.b.a.c.d"),
    ],
)
def test_mapping_functions(bench: Bench, source: str, made: Program, published: str, wanted: str) -> None:
    account = bench.engine.account(b"A")
    bench.engine.mapping(account, source.encode(), [(100, made)])
    hears, says = bench.client(account), bench.client(account)
    bench.say(hears, b"SUB > 1\r\n")
    for _ in range(3):  # uncached, cached, found again
        bench.say(says, b"PUB %b rep 2\r\nhi\r\n" % published.encode())
        assert bench.heard(hears) == b"MSG %b 1 rep 2\r\nhi\r\n" % wanted.encode()


def test_weights(bench: Bench) -> None:
    account = bench.engine.account(b"A")
    bench.engine.mapping(account, b"x", [(20, program("one")), (30, program("two")), (10, [])])
    hears, says = bench.client(account), bench.client(account)
    bench.say(hears, b"SUB > 1\r\n")
    bench.say(says, b"PUB x 1\r\n.\r\n" * 4000)
    text = bench.heard(hears)
    one, two, same = (text.count(b"MSG %b 1" % subject) for subject in (b"one", b"two", b"x"))
    assert abs(one - 800) < 150
    assert abs(two - 1200) < 150
    assert abs(same - 1600) < 170
    assert abs(4000 - one - two - same - 400) < 120, "dropped"


def test_literal_sources_come_first_then_the_order_of_definition(bench: Bench) -> None:
    account = bench.engine.account(b"A")
    bench.engine.mapping(account, b"x.*", [(100, program("first"))])
    bench.engine.mapping(account, b"x.>", [(100, program("second"))])
    bench.engine.mapping(account, b"x.y", [(100, program("literal"))])
    bench.engine.mapping(account, b"x.*", [(100, program("first.again"))])
    hears, says = bench.client(account), bench.client(account)
    bench.say(hears, b"SUB > 1\r\n")
    bench.say(says, b"PUB x.y 1\r\n.\r\nPUB x.z 1\r\n.\r\nPUB x.z.z 1\r\n.\r\n")
    assert re.findall(rb"MSG (\S+)", bench.heard(hears)) == [b"literal", b"first.again", b"second"]
    bench.engine.mapping(account, b"x.y", None)
    bench.say(says, b"PUB x.y 1\r\n.\r\n")
    assert re.findall(rb"MSG (\S+)", bench.heard(hears)) == [b"first.again"]


def test_permissions_are_asked_about_the_mapped_subject(bench: Bench) -> None:
    account = bench.engine.account(b"A")
    bench.engine.mapping(account, b"x", [(100, program("y"))])
    only_x = bench.client(account, permissions=bench.engine.permissions(publish_allow=[b"x"]))
    only_y = bench.client(account, permissions=bench.engine.permissions(publish_allow=[b"y"]))
    hears = bench.client(account)
    bench.say(hears, b"SUB > 1\r\n")
    bench.say(only_x, b"PUB x 1\r\n.\r\n")
    assert bench.heard(only_x) == b"-ERR 'Permissions Violation for Publish to \"y\"'\r\n"
    bench.say(only_y, b"PUB x 1\r\n.\r\n")
    assert bench.heard(hears) == b"MSG y 1 1\r\n.\r\n"


def test_random_spreads(bench: Bench) -> None:
    account = bench.engine.account(b"A")
    bench.engine.mapping(account, b"x", [(100, [*literal("r"), (Part.RANDOM, b"", (4,))])])
    hears, says = bench.client(account), bench.client(account)
    bench.say(hears, b"SUB > 1\r\n")
    bench.say(says, b"PUB x 1\r\n.\r\n" * 400)
    found = re.findall(rb"MSG r\.(\d)", bench.heard(hears))
    assert len(found) == 400
    assert all(60 < found.count(b"%d" % bucket) < 140 for bucket in range(4))


@pytest.mark.parametrize(
    "call",
    [
        lambda engine: engine.mapping(1, b"a..b", [(100, program("x"))]),
        lambda engine: engine.mapping(1, b"a", [(100, program("$1"))]),
        lambda engine: engine.mapping(1, b"a", [(60, program("x")), (60, program("y"))]),
        lambda engine: engine.mapping(1, b"a.*", [(100, [(Part.SPLIT, b"", (1,))])]),
        lambda engine: engine.mapping(1, b"a.*", [(100, [(99, b"", (1,))])]),
        lambda engine: engine.stream_import(1, exporter=1, subject=b"a.*", program=program("x.>")),
    ],
)
def test_nonsense_is_refused(bench: Bench, call: Callable[[Engine], object]) -> None:
    with pytest.raises(ValueError, match=r"."):
        call(bench.engine)


# --- across routes ----------------------------------------------------------------------------------------------------


def test_a_request_over_a_route(two: tuple[Bench, int, int]) -> None:
    """The exporter's responder is on another node: the request and the interest in its answer go there."""
    bench, a, b = two
    importing(bench, a, b)
    routes = bench.engine.listen(None, kind=LinkKind.ROUTE, info=(b"INFO {}\r\n",))
    route = bench.engine.open(kind=LinkKind.ROUTE, listener=routes)
    bench.waiting[route] = {}
    bench.engine.feed(route, b"CONNECT {}\r\n")
    for _ in range(3):
        bench.engine.step(bench.now_ns)
        for event in bench.engine.drain():
            if isinstance(event, Hello):
                bench.engine.admit_route(event.link)
    bench.engine.feed(route, b"INFO {}\r\n")
    bench.settle()
    assert bench.taken(PeerInfo)
    bench.engine.join_route(route, node=1, headers=True, pooled=False)
    bench.settle()
    bench.output.clear()
    bench.say(route, b"RS+ A svc.x\r\n")
    asker = bench.client(b)
    bench.say(asker, b"SUB inbox 5\r\nPUB ask.x inbox 2\r\nhi\r\n")
    lines = bench.heard(route)
    reply = reply_of(lines[lines.index(b"HMSG") :])
    interest = b"RS+ A %b>\r\n" % reply[:11]
    assert interest in lines
    assert lines.index(interest) < lines.index(b"HMSG A svc.x %b " % reply)
    assert b"ask" not in lines, "the importer's side is told to nobody"
    bench.say(route, b"RMSG A %b 3\r\nyes\r\n" % reply)
    assert bench.heard(asker) == b"MSG inbox 5 3\r\nyes\r\n"


def test_shadow_interest_is_announced(two: tuple[Bench, int, int]) -> None:
    bench, a, b = two
    bench.engine.stream_import(b, exporter=a, subject=b"ev.*.>", program=program("imp.$1.>"))
    routes = bench.engine.listen(None, kind=LinkKind.ROUTE, info=(b"INFO {}\r\n",))
    route = bench.engine.open(kind=LinkKind.ROUTE, listener=routes)
    bench.engine.feed(route, b"CONNECT {}\r\n")
    for _ in range(3):
        bench.engine.step(bench.now_ns)
        for event in bench.engine.drain():
            if isinstance(event, Hello):
                bench.engine.admit_route(event.link)
    bench.engine.feed(route, b"INFO {}\r\n")
    bench.settle()
    bench.engine.join_route(route, node=1, headers=True, pooled=False)
    bench.settle()
    hears = bench.client(b)
    bench.heard(route)
    bench.say(hears, b"SUB imp.x.y.* 1\r\nSUB imp.x.y grp 2\r\n")
    lines = bench.heard(route)
    for wanted in (
        b"RS+ A ev.x.y.*\r\n",
        b"RS+ B imp.x.y.*\r\n",
        b"RS+ A ev.x.y grp 1\r\n",
        b"RS+ B imp.x.y grp 1\r\n",
    ):
        assert wanted in lines
    bench.say(route, b"RMSG A ev.x.y.z 1\r\n.\r\nRMSG A ev.x.y | grp 1\r\n.\r\n")
    assert bench.heard(hears) == b"MSG imp.x.y.z 1 1\r\n.\r\nMSG imp.x.y 2 1\r\n.\r\n"
    bench.say(hears, b"UNSUB 1\r\n")
    assert b"RS- A ev.x.y.*\r\n" in bench.heard(route)
