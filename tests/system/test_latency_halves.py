"""The halves of a service's latency: what servers tell each other, and how they meet (system-and-monitoring 8.4)."""

import asyncio
import functools
import json

import msgspec
import pytest

from gossamer.mesh.system import latency_halves
from gossamer.mesh.system.latency_halves import Half, LatencyHalves, read_half, write_half

KEY = ("A", "_R_.aaaaaa.bbbbbb.hhhhhhhh.T")
HALF = Half(service_ns=700, rtt_ns=300, responder=msgspec.Raw(b'{"acc":"A","rtt":300}'))


def in_loop(test):
    """The test runs in a loop of its own."""

    @functools.wraps(test)
    def run(*positional, **named):
        asyncio.run(test(*positional, **named))

    return run


#: As nats-server 2.15 writes it, shortened.
THEIRS = (
    '{"account":"A","req_id":"%s","m2":{"type":"","id":"","timestamp":"0001-01-01T00:00:00Z","status":200,'
    '"responder":{"acc":"A","rtt":300},"start":"2026-01-02T03:04:05.6Z","service":700,"system":0,"total":1000}}'
)


@pytest.mark.parametrize("prefix", ["", "_GR_.cccccc.ssssss."], ids=["plain", "from-another-cluster"])
def test_what_nats_server_tells_is_read(prefix):
    assert read_half((THEIRS % (prefix + KEY[1])).encode()) == (KEY, HALF)


def test_we_tell_the_same():
    written = msgspec.json.encode(write_half(KEY, HALF, "2026-01-02T03:04:05.6Z"))
    assert json.loads(written) == json.loads(THEIRS % KEY[1])
    assert read_half(written) == (KEY, HALF)


@pytest.mark.parametrize("responder", [b'"responder":null,', b""], ids=["null", "none"])
def test_a_responder_that_nobody_knows(responder):
    text = b'{"account":"A","req_id":"%b","m2":{%b"service":-5}}' % (KEY[1].encode(), responder)
    assert read_half(text) == (KEY, Half(service_ns=0, rtt_ns=0, responder=None))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"account":"A"}',
        b'{"account":1,"req_id":"x","m2":{}}',
        b'{"account":"A","req_id":"x","m2":1}',
        b'{"account":"A","req_id":"x","m2":{"responder":{"rtt":"y"}}}',
        b'{"account":"\xff","req_id":"x","m2":{}}',
    ],
    ids=["empty", "list", "fields", "number", "half", "rtt", "text"],
)
def test_nonsense_is_refused(text):
    with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
        read_half(text)


@pytest.mark.parametrize("first", ["sample", "half"])
@in_loop
async def test_the_halves_meet_in_any_order(first):
    halves, found = LatencyHalves(), []
    if first == "half":
        halves.half(KEY, HALF)
    halves.sample(KEY, found.append)
    if first == "sample":
        assert found == []
        halves.half(("B", KEY[1]), HALF)
        assert found == [], "another account's"
        halves.half(KEY, HALF)
    assert found == [HALF]
    halves.sample(KEY, found.append)
    assert found == [HALF], "a half is used once"
    halves.stop()


@in_loop
async def test_a_sample_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(latency_halves, "PATIENCE_S", 0.02)
    halves, found = LatencyHalves(), []
    done = asyncio.Event()
    halves.half(KEY, HALF)  # forgotten before its sample comes
    halves.sample(("A", "first"), found.append)
    halves.sample(("A", "last"), lambda half: (found.append(half), done.set()))
    await asyncio.wait_for(done.wait(), 5)
    halves.half(("A", "first"), HALF)
    assert found == [None, None]
    halves.sample(KEY, found.append)
    assert found == [None, None]
    halves.stop()


@in_loop
async def test_only_so_much_is_kept(monkeypatch):
    monkeypatch.setattr(latency_halves, "KEPT_MAX", 2)
    halves, found = LatencyHalves(), []
    for number in range(3):
        halves.sample(("A", str(number)), lambda half, number=number: found.append((number, half)))
        halves.half(("B", str(number)), HALF)
    assert found == [(0, None)], "the oldest goes out as it is"
    for number in range(3):
        halves.sample(("B", str(number)), lambda half, number=number: found.append((number, half)))
    assert (1, HALF) in found
    assert (2, HALF) in found
    assert (0, HALF) not in found
    halves.stop()


@in_loop
async def test_nothing_happens_after_the_end(monkeypatch):
    monkeypatch.setattr(latency_halves, "PATIENCE_S", 0)
    halves, found = LatencyHalves(), []
    halves.sample(KEY, found.append)
    halves.stop()
    for _ in range(3):
        await asyncio.sleep(0)
    assert found == []
