"""The real dialer and scheduler, settings, and texts that nobody should send."""

import asyncio
import json
import socket

import bcrypt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from route_fabric import Chance, Cluster
from route_peer import connect, info, visit

from gossamer.mesh.options.options import ClusterOptions
from gossamer.mesh.peers.route_dialer import LoopDialer, LoopScheduler
from gossamer.mesh.peers.route_settings import join_address, parse_url, settings_from
from gossamer.mesh.peers.route_world import DialOutcome


async def dial(host: str, port: int, excluded: frozenset[tuple[str, int]] = frozenset()) -> DialOutcome:
    done = asyncio.get_running_loop().create_future()
    LoopDialer(asyncio.get_running_loop(), Chance(1)).dial(host, port, excluded, done.set_result)
    return await asyncio.wait_for(done, 5)


def test_a_dial_hands_over_a_connected_descriptor() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        outcome = asyncio.run(dial("127.0.0.1", port))
        assert (outcome.host, outcome.port, outcome.error) == ("127.0.0.1", port, "")
        accepted, _ = listener.accept()
        with accepted, socket.socket(fileno=outcome.descriptor) as ours:
            ours.setblocking(True)
            ours.sendall(b"x")
            assert accepted.recv(1) == b"x"
            assert ours.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_dials_that_fail_say_why() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        only_us = asyncio.run(dial("localhost", port, frozenset({("127.0.0.1", port), ("::1", port)})))
    assert "only to this node" in only_us.error
    assert "refused" in asyncio.run(dial("127.0.0.1", port)).error.lower()
    for host in ("a" * 80 + ".example", "a\0b", ""):
        assert asyncio.run(dial(host, 1)).descriptor == -1


def test_a_dial_that_takes_too_long() -> None:
    async def run() -> DialOutcome:
        loop = asyncio.get_running_loop()
        done = loop.create_future()
        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            listener.listen(0)
            address = listener.getsockname()
            full = [socket.socket() for _ in range(3)]  # nobody accepts: the backlog is full
            for each in full:
                each.setblocking(False)
                each.connect_ex(address)
            LoopDialer(loop, Chance(1), timeout_seconds=0.05).dial(
                "127.0.0.1", address[1], frozenset(), done.set_result
            )
            outcome: DialOutcome = await asyncio.wait_for(done, 5)
            for each in full:
                each.close()
            return outcome

    assert asyncio.run(run()).error == "connect timed out"


def test_a_cancelled_dial_is_silent() -> None:
    async def run() -> list[DialOutcome]:
        got: list[DialOutcome] = []
        with socket.create_server(("127.0.0.1", 0)) as listener:
            timer = LoopDialer(asyncio.get_running_loop(), Chance(1)).dial(
                "127.0.0.1", listener.getsockname()[1], frozenset(), got.append
            )
            timer.cancel()
            await asyncio.sleep(0)
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*others, return_exceptions=True)
        return got

    assert asyncio.run(run()) == []


@pytest.mark.parametrize(
    ("given", "expected", "right"),
    [
        ("p", "p", True),
        ("p", "q", False),
        ("", "p", False),
        ("ü", "ü", True),
        ("p", bcrypt.hashpw(b"p", bcrypt.gensalt(4)).decode(), True),
        ("q", bcrypt.hashpw(b"p", bcrypt.gensalt(4)).decode(), False),
        ("p", "$2a$10$broken", False),
    ],
    ids=["right", "wrong", "empty", "not ascii", "right hash", "wrong hash", "broken hash"],
)
def test_passwords(given: str, expected: str, right: bool) -> None:
    async def run() -> bool:
        done = asyncio.get_running_loop().create_future()
        LoopDialer(asyncio.get_running_loop(), Chance(1)).verify_password(given, expected, done.set_result)
        assert not done.done()
        return bool(await asyncio.wait_for(done, 5))

    assert asyncio.run(run()) is right


def test_the_scheduler_counts_nanoseconds() -> None:
    async def run() -> int:
        loop = asyncio.get_running_loop()
        scheduler = LoopScheduler(loop)
        done = loop.create_future()
        start = scheduler.now_ns()
        scheduler.call_later(20_000_000, lambda: done.set_result(scheduler.now_ns() - start))
        return int(await done)

    assert 19_000_000 <= asyncio.run(run()) < 1_000_000_000


def test_settings() -> None:
    made = settings_from(
        ClusterOptions(routes=("nats-route://u:p%40@h:1", "nats://[::1]:2", "host"), advertise="a.b", pool_size=-1)
    )
    assert [(url.host, url.port, url.user, url.password) for url in made.routes] == [
        ("h", 1, "u", "p@"),
        ("::1", 2, "", ""),
        ("host", 6222, "", ""),
    ]
    assert str(made.routes[0]) == "nats-route://h:1"
    assert made.advertise == ("a.b", 0)
    assert not made.pooled
    assert settings_from(ClusterOptions(pool_size=0)).pool_size == 3
    assert join_address("::1", 2) == "[::1]:2"
    for text in ("nats://:1", "nats://h:x", "", "nats://h:99999"):
        with pytest.raises(ValueError, match=r".+"):
            parse_url(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.floats(allow_nan=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
more_keys = (
    "ip route_account gossip_mode route_pool_idx ldm route_acc_add_reqid gateway connect_urls cluster_dynamic user lang"
)
keys = st.sampled_from([*sorted(json.loads(info()[5:])), *more_keys.split()])


@settings(max_examples=150, deadline=None)
@given(
    hello=st.dictionaries(keys, json_values, max_size=2),
    first=st.dictionaries(keys, json_values, max_size=3),
    later=st.lists(st.dictionaries(keys, json_values, max_size=4), max_size=3),
    rest=st.lists(st.binary(max_size=20), max_size=2),
)
def test_nothing_that_a_peer_says_breaks_us(
    hello: dict[str, object], first: dict[str, object], later: list[dict[str, object]], rest: list[bytes]
) -> None:
    cluster = Cluster(1)
    cluster.add("A", cluster="" if len(hello) % 2 else "CL")
    peer = visit(cluster, "A")
    peer.say(connect(**hello), info(**first), *(info(**each) for each in later), *(b"INFO " + each for each in rest))
    cluster.time.run(2.0)
    sound = visit(cluster, "A", "10.0.0.98")
    name = cluster.nodes["A"].manager.cluster_name
    sound.say(connect(name="NS", cluster=name), info(server_id="NS", server_name="sound", cluster=name, port=7))
    cluster.time.run(0.5)
    assert "NS" in {row.remote_id for row in cluster.nodes["A"].manager.routez()}


def test_a_remote_cannot_make_us_dial_without_bound() -> None:
    from route_peer import door

    cluster = Cluster(1)
    there = door(cluster, "Z", info(server_id="NZ", server_name="Z", route_pool_size=10**9))
    cluster.add("A", "Z", system_account="")
    for _ in range(300):
        cluster.time.run(0.03)
        for peer in there.peers:
            peer.say(b"PONG")
    assert len(there.peers) == 256
