"""S2 streams: against captures of nats-server, against itself, and broken ones (leafnodes section 5.2)."""

import json
import os
import random
import select
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.mesh.engine.core import Engine
from gossamer.mesh.engine.events import Closed, Event, Hello, Message, Output, PeerInfo
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.engine.s2 import Reader, checksum, pack

FRAMES = json.loads((Path(__file__).parent / "vectors" / "s2-frames.json").read_text())
IDENTIFIER = bytes.fromhex("ff060000") + b"S2sTwO"
LEVELS = (1, 2, 3, 4)


def chunk(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(3, "little") + body


def compressed(block: bytes, data: bytes) -> bytes:
    return chunk(0, checksum(data).to_bytes(4, "little") + block)


def unpacked(stream: bytes) -> bytes:
    reader = Reader()
    data = reader.feed(stream)
    assert reader.held == 0
    return data


@pytest.mark.parametrize("number", [number for number, each in enumerate(FRAMES) if each["s2"]])
def test_frames_of_nats_server(number: int) -> None:
    frame = FRAMES[number]
    plain = bytes.fromhex(frame["plain_hex"]) if "plain_hex" in frame else frame["plain"].encode("latin-1")
    assert unpacked(bytes.fromhex(frame["hex"])) == plain


def test_checksum() -> None:
    assert checksum(b"123456789") == ((0xE3069283 >> 15 | 0xE3069283 << 17) + 0xA282EAD8) & 0xFFFFFFFF
    for size in (0, 1, 7, 8, 9, 63, 64, 1000):
        data = random.Random(size).randbytes(size)
        assert checksum(data) == checksum(data, slow=True)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("size", [0, 1, 3, 15, 19, 20, 100, 65_535, 65_536, 65_537, 200_000, 2_500_000])
def test_there_and_back(level: int, size: int) -> None:
    source = random.Random(size)
    words = [source.randbytes(source.randrange(1, 40)) for _ in range(50)]
    text = b"".join(source.choice(words) for _ in range(size // 10 + 1))[:size]
    for data in (text, source.randbytes(size), b"a" * size):
        assert unpacked(pack(data, level)) == data


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 400)), max_size=60), st.sampled_from(LEVELS), st.data())
def test_there_and_back_in_pieces(runs: list[tuple[int, int]], level: int, draw: st.DataObject) -> None:
    data = b"".join(b"%d-%d|" % (number, count) * count if number else bytes([count & 255]) for number, count in runs)
    stream = pack(data, level) + pack(data[::-1], level)
    cuts = sorted(draw.draw(st.lists(st.integers(0, len(stream)), max_size=5)))
    reader = Reader()
    found = b"".join(reader.feed(stream[a:b]) for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True))
    assert found == data + data[::-1]


def test_what_is_alike_gets_smaller() -> None:
    text = b"".join(b"RMSG $G orders.%d.created 128\r\n%b\r\n" % (n % 50, b"payload " * 16) for n in range(2_000))
    sizes = [len(pack(text, level)) for level in LEVELS]
    assert sizes[1] < len(text) / 4
    assert sizes[0] > len(text) > sizes[1] >= sizes[2] * 0.9
    noise = random.Random(1).randbytes(100_000)
    assert all(len(pack(noise, level)) < len(noise) + 100 for level in LEVELS)


@pytest.mark.parametrize(
    ("block", "data"),
    [
        (b"\x08\x0cabcd" + b"\x01\x04", b"abcdabcd"),  # copy-1, four bytes from four back
        (b"\x0c\x0cabcd" + b"\x01\x04" + b"\x01\x00", b"abcd" * 3),  # and a repeat of it
        (b"\x18\x0cabcd" + b"\x01\x04" + b"\x15\x00\x08", b"abcd" * 6),  # a repeat of 8 + 8
        (b"\x08\x0cabcd" + b"\x0e\x04\x00", b"abcdabcd"),  # copy-2
        (b"\x08\x0cabcd" + b"\x0f\x04\x00\x00\x00", b"abcdabcd"),  # copy-4
        (b"\x06\x00a" + b"\x05\x01", b"aaaaaa"),  # it overlaps itself
        (b"\x04\xf0\x03abcd", b"abcd"),  # a literal with its length in a byte
        (b"\x04\xfc\x03\x00\x00\x00abcd", b"abcd"),  # in four
    ],
)
def test_tags(block: bytes, data: bytes) -> None:
    assert unpacked(IDENTIFIER + compressed(block, data)) == data


def test_long_repeats() -> None:
    for size, tail in ((260 + 700, b"\x19\x00" + (700).to_bytes(2, "little")), (65_540 + 9, b"\x1d\x00\x09\x00\x00")):
        data = b"ab" * ((size + 8) // 2 + 1)
        data = data[: 2 + 4 + size]
        length = bytes([len(data) & 127 | 128, len(data) >> 7 & 127 | 128, len(data) >> 14])
        assert unpacked(IDENTIFIER + compressed(length + b"\x04ab" + b"\x01\x02" + tail, data)) == data


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (chunk(1, bytes(4) + b"x"), "start"),
        (b"\xff\x06\x00\x00sNaPpY", "start"),
        (IDENTIFIER + chunk(1, b"abc"), "size"),
        (IDENTIFIER + chunk(1, bytes(4) + b"x"), "checksum"),
        (IDENTIFIER + chunk(2, b"abcd"), "unknown kind"),
        (IDENTIFIER + b"\x01\xff\xff\xff", "size"),
        (IDENTIFIER + compressed(b"\x04\x0cabc", b"abcd"), "block"),
        (IDENTIFIER + compressed(b"\x08\x0cabcd\x01\x05", b"abcdabcd"), "block"),
        (IDENTIFIER + compressed(b"\x08\x0cabcd\x01\x00", b"abcdabcd"), "block"),
        (IDENTIFIER + compressed(b"\x05\x0cabcd", b"abcd"), "block"),
        (IDENTIFIER + compressed(b"\x80" * 6 + b"\x08\x00a", b"a"), "block"),
        (IDENTIFIER + compressed(b"\x81\x80\x80\x02\x00a", b"a"), "size"),
        (IDENTIFIER + compressed(b"\x04\x0cabcd", b"abce"), "checksum"),
    ],
)
def test_broken_streams(stream: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Reader().feed(stream)


def test_more_data_than_is_given_out_at_once() -> None:
    data = bytes(1_000_000)
    stream = pack(data) * 12
    reader = Reader()
    assert reader.feed(stream) == data * 12
    assert reader.held == 0


def test_skippable_chunks_are_skipped() -> None:
    assert unpacked(IDENTIFIER + chunk(0xFE, b"pad") + chunk(0x80, b"?") + pack(b"data")) == b"data"


@given(st.binary(max_size=300), st.integers(0, 2**32), st.sampled_from(LEVELS))
def test_mutations_never_pass_as_other_data(data: bytes, seed: int, level: int) -> None:
    source = random.Random(seed)
    stream = bytearray(pack(data * 3, level))
    for _ in range(source.randrange(1, 4)):
        stream[source.randrange(len(stream))] ^= 1 << source.randrange(8)
    try:
        found = Reader().feed(bytes(stream))
    except ValueError:
        return
    assert found in ((data * 3), b"") or len(found) < len(data * 3)


# --- links ------------------------------------------------------------------------------------------------------------


class Pair:
    """A route link of an engine by hand, whose other end is this test."""

    def __init__(self) -> None:
        self.engine = Engine(seed=3)
        self.engine.configure(route_ping_interval_ns=0)
        listener = self.engine.listen(None, kind=LinkKind.ROUTE, info=(b"INFO {}\r\n",))
        self.link = self.engine.open(kind=LinkKind.ROUTE, listener=listener)
        self.output = bytearray()
        self.events: list[Event] = []
        self.account = self.engine.account(b"A")

    def settle(self) -> None:
        quiet = 0
        while quiet < 3:
            self.engine.step(1_000_000_000)
            found = self.engine.drain()
            quiet = 0 if found else quiet + 1
            for event in found:
                if isinstance(event, Output):
                    self.output += event.data
                elif isinstance(event, Hello):
                    self.engine.admit_route(event.link)
                else:
                    self.events.append(event)

    def feed(self, data: bytes) -> None:
        self.engine.feed(self.link, data)
        self.settle()

    def take(self) -> bytes:
        data = bytes(self.output)
        self.output.clear()
        return data


@pytest.fixture
def pair() -> Iterator[Pair]:
    made = Pair()
    yield made
    made.engine.destroy()


@pytest.mark.parametrize("level", LEVELS)
def test_a_link_switches_to_compression(pair: Pair, level: int) -> None:
    """What is behind the line that switched is compressed already; the answer is plain, the rest is not."""
    pair.feed(b"CONNECT {}\r\nINFO {}\r\n" + pack(b"INFO {2}\r\nRS+ A x.y\r\nPI") + pack(b"NG\r\n"))
    pair.take()
    assert [event.info for event in pair.events if isinstance(event, PeerInfo)] == [b"{}"]
    pair.engine.send(pair.link, b"INFO {3}\r\n")
    pair.engine.compress(pair.link, level)
    pair.engine.send(pair.link, b"INFO {4}\r\n")
    pair.engine.resume(pair.link)
    pair.settle()
    found = pair.take()
    assert found.startswith(b"INFO {3}\r\n" + IDENTIFIER)
    reader = Reader()
    assert reader.feed(found.removeprefix(b"INFO {3}\r\n")) == b"INFO {4}\r\n"
    assert [event.info for event in pair.events if isinstance(event, PeerInfo)] == [b"{}", b"{2}"]
    pair.engine.join_route(pair.link, node=1, headers=True, pooled=False)
    pair.settle()
    assert b"PONG\r\n" in reader.feed(pair.take())
    for size in (10, 100_000, 900_000):
        pair.engine.publish(pair.account, b"x.y", b"z" * size)
        pair.settle()
        assert reader.feed(pair.take()) == b"RMSG A x.y %d\r\n%b\r\n" % (size, b"z" * size)
    pair.engine.subscribe(pair.account, b"in")
    pair.settle()
    assert reader.feed(pair.take()) == b"RS+ A in\r\n"
    whole = b"".join(pack(b"RMSG A in 300000\r\n%b\r\n" % (b"%d" % n * 300_000), level) for n in range(5))
    for start in range(0, len(whole), max(1, len(whole) // 7)):
        pair.feed(whole[start : start + max(1, len(whole) // 7)])
    assert [event.data[:1] for event in pair.events if isinstance(event, Message)] == [b"0", b"1", b"2", b"3", b"4"]


def test_a_broken_stream_ends_the_link(pair: Pair) -> None:
    pair.feed(b"CONNECT {}\r\nINFO {}\r\n")
    pair.engine.compress(pair.link, 2)
    pair.engine.resume(pair.link)
    pair.feed(b"PING\r\n" * 10)
    (closed,) = [event for event in pair.events if isinstance(event, Closed)]
    assert closed.reason == CloseReason.READ_ERROR


def test_sockets_compress() -> None:
    """The same over a real socket, with a peer that reads slowly and sends in odd pieces."""
    engine = Engine()
    engine.configure(route_ping_interval_ns=0)
    account = engine.account(b"A")
    thread = threading.Thread(target=engine.run)
    thread.start()
    ours, theirs = socket.socketpair()
    try:
        with ours:
            theirs.settimeout(20)
            link = engine.adopt(theirs_dup(ours), kind=LinkKind.ROUTE, greeting=b"HELLO\r\n")
            theirs.sendall(b"INFO {}\r\n" + pack(b"RS+ A x\r\nPING\r\n"))
            events = wait_for(engine, PeerInfo)
            assert events
            engine.compress(link, 2)
            engine.join_route(link, node=1, headers=True, pooled=False)
            assert theirs.recv(7, socket.MSG_WAITALL) == b"HELLO\r\n"
            reader = Reader()
            found = b""
            while b"PONG\r\n" not in found:
                found += reader.feed(theirs.recv(1000))
            # 30 MiB become little, in a stream whose chunks stand for much more than they are.
            bomb = pack(b"RMSG A y 1000000\r\n%b\r\n" % bytes(1_000_000)) * 30
            assert len(bomb) < 500_000
            theirs.sendall(bomb + pack(b"PING\r\n"))
            noise = random.Random(5).randbytes(700_000)
            for _ in range(20):
                engine.publish(account, b"x", noise)
            wanted = (b"RMSG A x 700000\r\n" + noise + b"\r\n") * 20
            found = b""
            while len(found) < len(wanted) + 6:
                found += reader.feed(theirs.recv(300_000))
            assert found.replace(b"PONG\r\n", b"", 1) == wanted
    finally:
        engine.stop()
        thread.join()
        engine.destroy()
        theirs.close()


def theirs_dup(one: socket.socket) -> int:
    """A descriptor for the engine to own."""
    copy = os.dup(one.fileno())
    os.set_blocking(copy, False)
    return copy


def wait_for(engine: Engine, kind: type) -> list[Event]:
    events: list[Event] = []
    deadline = time.monotonic() + 20
    while not any(isinstance(event, kind) for event in events):
        assert time.monotonic() < deadline, events
        select.select([engine.wakeup_fd], [], [], 1)
        events += engine.drain()
    return events
