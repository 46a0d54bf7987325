"""A hand-driven route peer at the engine's door: interest, messages, keepalive (spec routes, checklist 31 to 52).

Every test runs against our server and against nats-server; where the two differ on purpose, the test says so.
"""

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from nats.aio.msg import Msg
from route_peer import connect, info
from route_real import until
from route_target import SECOND_NS, Target, both, handled, ours_only, run, settle, until_nobody_answers

# --- interest ---------------------------------------------------------------------------------------------------


@both
def test_31_one_line_for_any_number_of_subscribers(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer, client = await target.join(), await target.client()
        one = await client.subscribe("foo.*")
        two = await client.subscribe("foo.*")
        await settle(client, peer)
        assert peer.interest == [b"RS+ $G foo.*"]
        await one.unsubscribe()
        await settle(client, peer)
        assert peer.interest == []
        await two.unsubscribe()
        await settle(client, peer)
        assert peer.interest == [b"RS- $G foo.*"]

    run(kind, tmp_path, scene)


@both
def test_32_weights_of_a_queue_group(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer, client = await target.join(), await target.client()
        members = []
        for weight in (1, 2):
            members.append(await client.subscribe("qq", queue="workers"))
            await settle(client, peer)
            assert peer.interest == [b"RS+ $G qq workers %d" % weight]
        await members.pop().unsubscribe()
        await settle(client, peer)
        assert peer.interest == [b"RS+ $G qq workers 1"]
        await members.pop().unsubscribe()
        await settle(client, peer)
        assert peer.interest == [b"RS- $G qq workers"]

    run(kind, tmp_path, scene)


@both
def test_33_all_interest_at_registration(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        client = await target.client()
        for subject, queue in (("a.b", ""), ("a.b", ""), ("c.>", "q"), ("c.>", "q"), ("a.b", "r")):
            await client.subscribe(subject, queue=queue)
        await handled(client)
        peer = await target.join()
        assert sorted(peer.interest) == [b"RS+ $G a.b", b"RS+ $G a.b r 1", b"RS+ $G c.> q 2"]

    run(kind, tmp_path, scene)


@both
def test_34_repeated_and_unknown_interest(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer, client = await target.join(), await target.client()
        peer.say(b"RS+ $G foo", b"RS+ $G foo", b"RS- $G never", b"RS+ NOPE foo", b"RS- NOPE foo", b"RMSG NOPE x 1\r\n1")
        await peer.sync()
        await client.publish("foo", b"1")
        await settle(client, peer)
        assert peer.messages == [(b"RMSG $G foo 1", b"1")]
        peer.say(b"RS- $G foo")
        await peer.sync()
        await client.publish("foo", b"2")
        await settle(client, peer)
        assert peer.messages == []
        assert not peer.closed

    run(kind, tmp_path, scene)


@both
def test_35_48_lines_that_close(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        for line in (
            b"RS+ $G foo q",
            b"RS+ $G",
            b"RS+ ",
            b"RS- $G foo q 1",
            b"RMSG $G foo x q1 q2 2\r\nhi",
            b"RMSG $G foo",
        ):
            peer = await target.join()
            peer.say(line, b"PING")
            await peer.ended()

    run(kind, tmp_path, scene)


@both
def test_36_leaf_interest_is_another(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer, client = await target.join(), await target.client()
        peer.say(b"LS+ LEAF $G foo", b"RS+ $G foo", b"LS+ OTHER $G foo")
        for left, line in ((1, b"LS- OTHER $G foo"), (1, b"RS- $G foo"), (0, b"LS- LEAF $G foo")):
            peer.say(line)
            await peer.sync()
            await client.publish("foo", b"x")
            await settle(client, peer)
            assert len(peer.messages) == left

    run(kind, tmp_path, scene)


@both
def test_37_43_nothing_is_passed_on(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        one, two = await target.join("one"), await target.join("two")
        one.say(b"RS+ $G foo", b"RS+ $G foo q 1")
        two.say(b"RS+ $G foo")
        await one.sync()
        await two.sync()
        assert one.interest == two.interest == []
        one.say(b"RMSG $G foo 2\r\nhi", b"RMSG $G foo + reply q 2\r\nhi")
        await one.sync()
        await two.sync()
        assert two.messages == []

    run(kind, tmp_path, scene)


@both
def test_22_without_a_pool(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        client = await target.client()
        await client.subscribe("foo")
        await handled(client)
        peer = await target.visit()
        peer.say(connect(), info(route_pool_size=None, port=1))
        await peer.sync()
        assert peer.interest == [b"RS+ $G foo"]

    run(kind, tmp_path, scene, pool_size=3)


@both
def test_14_23_only_the_slot_of_the_account(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        client = await target.client()
        await client.subscribe("foo")
        await handled(client)
        peers = [await target.join(route_pool_size=3, route_pool_idx=index) for index in range(3)]
        assert [peer.interest for peer in peers] == [[], [], [b"RS+ $G foo"]]
        peers[2].say(b"RS+ $G back")
        peers[0].say(b"RS+ $G other")  # on the wrong one: taken, and served there
        await peers[0].sync()
        await peers[2].sync()
        await client.publish("back", b"1")
        await client.publish("other", b"2")
        await handled(client)
        await peers[0].sync()
        await peers[2].sync()
        assert peers[2].messages == [(b"RMSG $G back 1", b"1")]
        assert peers[0].messages == [(b"RMSG $G other 1", b"2")]
        await peers[2].leave()
        target.peers.remove(peers[2])
        await until_nobody_answers(client, "back")  # forgotten with its connection
        await client.publish("other", b"3")
        await settle(client, peers[0])
        assert peers[0].messages == [(b"RMSG $G other 1", b"3")]

    run(kind, tmp_path, scene, pool_size=3)


@both
def test_20_a_dedicated_connection_has_no_account(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer = await target.visit(listens=False)
        peer.say(connect(), info(route_account="$SYS", route_pool_size=1, port=1), b"PING")
        lines = []
        while True:
            line = (await asyncio.wait_for(peer.reader.readuntil(b"\r\n"), 5))[:-2]
            if line == b"PONG":
                break
            lines.append(line)
        interest = [line for line in lines if line.startswith(b"RS+")]
        assert interest
        assert all(re.fullmatch(rb"RS\+ \$SYS\.\S+", line) for line in interest)

    run(kind, tmp_path, scene)


@both
def test_20_no_verb_of_a_dedicated_connection_names_the_account(tmp_path: Path, kind: str) -> None:
    """Both ways: interest of clients and of leaf nodes, messages with and without headers, those of leaf nodes."""

    async def scene(target: Target) -> None:
        client = await target.client()
        peer = await target.join(route_account="$G", route_pool_size=3)
        plain = await client.subscribe("plain")
        group = await client.subscribe("work", queue="q")
        await settle(client, peer)
        assert peer.interest == [b"RS+ plain", b"RS+ work q 1"]
        head = b"NATS/1.0\r\nK: V\r\n\r\n"
        peer.say(
            b"RMSG plain 1\r\na",
            b"RMSG plain reply 1\r\nb",
            b"HMSG plain 18 19\r\n" + head + b"c",
            b"LMSG LEAF plain 0 1\r\nd",
            b"RMSG work | q 1\r\ne",
            b"HMSG work + reply q 18 19\r\n" + head + b"f",
        )
        got = [await plain.next_msg(5) for _ in range(4)]
        assert [(each.data, each.reply, each.headers) for each in got] == [
            (b"a", "", None), (b"b", "reply", None), (b"c", "", {"K": "V"}), (b"d", "", None)
        ]  # fmt: skip
        got = [await group.next_msg(5) for _ in range(2)]
        assert [(each.data, each.reply) for each in got] == [(b"e", ""), (b"f", "reply")]
        peer.say(b"RS+ far", b"RS+ far q 2", b"LS+ LEAF edge", b"LS+ LEAF edge r 1")
        await peer.sync()
        await client.publish("far", b"1")
        await client.publish("far", b"2", reply="r", headers={"K": "V"})
        await client.publish("edge", b"3")
        await settle(client, peer)
        assert peer.messages == [
            (b"RMSG far | q 1", b"1"), (b"HMSG far + r q 18 19", head + b"2"), (b"RMSG edge | r 1", b"3")
        ]  # fmt: skip
        peer.say(b"RS- far", b"RS- far q", b"LS- LEAF edge", b"LS- LEAF edge r")
        await peer.sync()
        await client.publish("far", b"4")
        await client.publish("edge", b"5")
        await plain.unsubscribe()
        await settle(client, peer)
        assert peer.messages == []
        assert peer.interest == [b"RS- plain"]

    run(kind, tmp_path, scene, pool_size=3, accounts=("$G",))


# --- messages ---------------------------------------------------------------------------------------------------


@both
def test_38_one_line_for_plain_and_groups(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer, client = await target.join(), await target.client()
        peer.say(b"RS+ $G foo.*", b"RS+ $G foo.x g1 1", b"RS+ $G foo.> g2 2", b"RS+ $G only g1 1")
        await peer.sync()
        for subject, reply in (("foo.x", ""), ("foo.x", "r"), ("only", ""), ("only", "r")):
            await client.publish(subject, b"abc", reply=reply)
            await settle(client, peer)
            ((line, payload),) = peer.messages
            words = line.decode().split(" ")
            assert payload == b"abc"
            groups = {"g1", "g2"} if subject == "foo.x" else {"g1"}
            assert words[:3] == ["RMSG", "$G", subject]
            assert words[3 : 5 if reply else 4] == (["+", "r"] if reply else ["|"])
            assert set(words[5 if reply else 4 : -1]) == groups
            assert words[-1] == "3"

    run(kind, tmp_path, scene)


@both
def test_39_headers_are_sent_or_stripped(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        able, plain = await target.join("able"), await target.join("plain", headers=False)
        client = await target.client()
        for peer in (able, plain):
            peer.say(b"RS+ $G foo")
            await peer.sync()
        await client.publish("foo", b"x", headers={"K": "V"})
        await client.publish("foo", b"y", reply="r", headers={"K": "V"})
        await handled(client)
        await able.sync()
        await plain.sync()
        head = b"NATS/1.0\r\nK: V\r\n\r\n"
        assert able.messages == [(b"HMSG $G foo 18 19", head + b"x"), (b"HMSG $G foo r 18 19", head + b"y")]
        assert plain.messages == [(b"RMSG $G foo 1", b"x"), (b"RMSG $G foo r 1", b"y")]

    run(kind, tmp_path, scene)


@both
def test_40_41_groups_only_when_named(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer, client = await target.join(), await target.client()
        got: Counter[str] = Counter()
        replies: list[str] = []

        def keep(name: str) -> Callable[[Msg], Awaitable[None]]:
            async def kept(message: Msg) -> None:
                got[name] += 1
                replies.append(message.reply)

            return kept

        for _ in range(3):
            await client.subscribe("foo", queue="g", cb=keep("g"))
            await client.subscribe("foo", queue="h", cb=keep("h"))
        for _ in range(2):
            await client.subscribe("foo", cb=keep("plain"))
        await client.subscribe("done", cb=keep("done"))
        await settle(client, peer)

        async def after(*lines: bytes) -> Counter[str]:
            got.clear()
            peer.say(*(line + b" 1\r\nx" for line in lines), b"RMSG $G done 0\r\n")
            await until(lambda: got["done"] == 1, lambda: got)
            del got["done"]
            return Counter(got)

        assert await after(b"RMSG $G foo") == {"plain": 2}
        assert await after(b"RMSG $G foo | g") == {"plain": 2, "g": 1}
        assert await after(b"RMSG $G foo | g h nobody") == {"plain": 2, "g": 1, "h": 1}
        replies.clear()
        assert await after(b"RMSG $G foo + r.1 h") == {"plain": 2, "h": 1}
        assert set(replies) == {"r.1", ""}  # the empty one is of "done"
        assert await after(b"LMSG LEAF $G foo 0") == {"plain": 2}
        assert await after(b"LMSG LEAF $G foo | g 0") == {"plain": 2, "g": 1}
        assert await after(b"rmsg  $G\tfoo | g") == {"plain": 2, "g": 1}

    run(kind, tmp_path, scene)


@both
def test_any_number_of_blanks_before_queues(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer, client = await target.join(), await target.client()
        inbox = await client.subscribe("foo", queue="g")
        await settle(client, peer)
        peer.say(b"rmsg  $G\tfoo  |  g  1\r\nx")
        assert (await inbox.next_msg(2)).data == b"x"

    run(kind, tmp_path, scene)


@both
def test_39_45_headers_from_a_route(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer, client = await target.join(), await target.client()
        inbox = await client.subscribe("foo")
        await settle(client, peer)
        head = b"NATS/1.0\r\nK: V\r\n\r\n"
        peer.say(b"HMSG $G foo 18 19\r\n" + head + b"x", b"LMSG LEAF $G foo r 18 19\r\n" + head + b"y")
        for data, reply in ((b"x", ""), (b"y", "r")):
            message = await inbox.next_msg(5)
            assert (message.data, message.headers, message.reply) == (data, {"K": "V"}, reply)

    run(kind, tmp_path, scene)


@both
def test_42_weights_decide(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        one, two, client = await target.join("one"), await target.join("two"), await target.client()
        one.say(b"RS+ $G qq g 9")
        two.say(b"RS+ $G qq g 1")
        await one.sync()
        await two.sync()
        for _ in range(2000):
            await client.publish("qq", b"")
        await handled(client)
        await one.sync()
        await two.sync()
        heavy, light = len(one.messages), len(two.messages)
        assert heavy + light == 2000
        assert 1700 <= heavy <= 1900  # within 5 % of 90/10: seven standard deviations

    run(kind, tmp_path, scene)


@ours_only
def test_44_a_group_without_member_here_goes_on_once(tmp_path: Path, kind: str) -> None:
    """nats-server may hand it back to the sender as well, which we must not."""

    async def scene(target: Target) -> None:
        one, two = await target.join("one"), await target.join("two")
        for peer in (one, two):
            peer.say(b"RS+ $G qq g 1")
            await peer.sync()
        for number in range(20):
            one.say(b"RMSG $G qq | g 2\r\n%02d" % number)
        await one.sync()
        await two.sync()
        assert two.messages == [(b"RMSG $G qq | g 2", b"%02d" % number) for number in range(20)]
        assert one.messages == []

    run(kind, tmp_path, scene)


@both
def test_46_acknowledgement_replies_show_their_subject(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer, client = await target.join(), await target.client()
        inbox = await client.subscribe("deliver.here")
        await settle(client, peer)
        ack = b"$JS.ACK.S1.C1.1.1.1.1795444848927211061.0"
        peer.say(b"RMSG $G deliver.here " + ack + b"@orders.new 2\r\nhi")
        message = await inbox.next_msg(5)
        assert (message.subject, message.reply, message.data) == ("orders.new", ack.decode(), b"hi")

    run(kind, tmp_path, scene)


@both
def test_49_large_messages_in_pieces(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer, client = await target.join(), await target.client()
        inbox = await client.subscribe("big")
        await settle(client, peer)
        payload = (b"RMSG $G big 3\r\nabc\r\n" * 60_000)[: 1 << 20]
        line = b"RMSG $G big %d\r\n" % len(payload) + payload + b"\r\n"
        for start in range(0, len(line), 65_536):
            peer.writer.write(line[start : start + 65_536])
            await peer.writer.drain()
            await asyncio.sleep(0)
        assert (await inbox.next_msg(10)).data == payload
        peer.say(b"RS+ $G back")
        await peer.sync()
        await client.publish("back", payload)
        await settle(client, peer)
        assert peer.messages == [(b"RMSG $G back %d" % len(payload), payload)]

    run(kind, tmp_path, scene)


# --- keepalive, limits, errors ------------------------------------------------------------------------------------


@both
def test_50_a_ping_is_answered_while_another_link_is_stuck(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        client = await target.client()
        stuck = await target.visit(listens=False)
        stuck.say(connect(), info(route_pool_size=1, port=1), b"RS+ $G flood", b"PING")
        while b"PONG" not in await stuck.reader.readuntil(b"\r\n"):
            pass
        stuck.writer.transport.pause_reading()  # type: ignore[attr-defined]
        for _ in range(24):
            await client.publish("flood", b"x" * 900_000)
        other = await target.join("other")
        loop = asyncio.get_running_loop()
        start = loop.time()
        await other.sync()
        assert loop.time() - start < 1.0

    run(kind, tmp_path, scene)


@both
def test_51_the_first_ping_comes_soon(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer = await target.join()
        await until(lambda: peer.pings >= 1, lambda: peer.lines, 1.6)

    run(kind, tmp_path, scene)


@both
def test_52_a_silent_peer_is_closed(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer = await target.join()
        peer.answers = False
        await peer.ended(8.0)
        assert peer.errors == [b"-ERR 'Stale Connection'"]
        assert 2 <= peer.pings <= 3

    run(kind, tmp_path, scene, ping_interval_ns=SECOND_NS // 2)


@both
def test_08_no_connect_in_time(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer = await target.visit()
        await peer.ended()
        assert peer.errors == [b"-ERR 'Authentication Timeout'"]

    run(kind, tmp_path, scene, user="u", password="p", auth_timeout_ns=SECOND_NS // 2)


@both
def test_errors_that_are_told(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        for line, error in (
            (b"FOO bar", b"Unknown Protocol Operation"),
            (b"RS+ $G " + b"a" * 70_000, b"maximum control line exceeded"),
        ):
            peer = await target.join()
            peer.say(line)
            await peer.ended()
            assert peer.errors == [b"-ERR '" + error + b"'"]

    run(kind, tmp_path, scene)


@both
def test_what_is_ignored(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer, client = await target.join(), await target.client()
        peer.say(b"+OK", b"A+ $G", b"A- $G", b"rs+  $G\tfoo ", b"ping")
        await peer.sync()
        await client.publish("foo", b"1")
        await settle(client, peer)
        assert peer.messages == [(b"RMSG $G foo 1", b"1")]
        assert not peer.closed

    run(kind, tmp_path, scene)


@both
def test_60_an_error_from_the_peer_closes(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer = await target.join()
        peer.say(b"-ERR 'whatever'")
        await peer.ended()

    run(kind, tmp_path, scene)


@ours_only
def test_56_the_last_words(tmp_path: Path, kind: str) -> None:
    """The listener closes first, so that nobody who loses us can dial us again; then SHUTDOWN, then the end."""

    async def scene(target: Target) -> None:
        peer = await target.visit(listens=False)
        peer.say(
            connect(), info(route_account="$SYS", route_pool_size=1, port=1), b"RS+ $SYS.SERVER.*.SHUTDOWN", b"PING"
        )
        while await asyncio.wait_for(peer.reader.readuntil(b"\r\n"), 5) != b"PONG\r\n":
            pass
        port = target.route_port
        stopping = asyncio.create_task(target.stop())
        rest = await asyncio.wait_for(peer.reader.read(-1), 5)
        assert re.search(rb"RMSG \$SYS\.SERVER\.\w+\.SHUTDOWN \d+\r\n", rest)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
        await stopping

    run(kind, tmp_path, scene)


REFUSED: list[tuple[list[bytes], list[bytes]]] = [
    ([info()], [b"Authorization Violation"]),
    ([b"PING"], [b"Authorization Violation"]),
    ([connect(lang="x")], [b"attempted to connect to route port"]),
    ([connect(gateway="G")], [b'Rejecting connection from gateway "G" on the Route port']),
    ([connect(cluster="ZZ")], [b'Rejecting connection, cluster name "ZZ" does not match "CL"']),
    ([connect(), info(cluster="ZZ")], []),
    ([connect(), info(server_name="S")], []),
    ([connect(), info(route_pool_size=1, route_pool_idx=1)], [b"Invalid route pool index: 1 - pool size is 1"]),
    ([connect(), info(route_account="$G")], [b'No route for account "$G"']),
    ([connect(), info(route_account="NOPE")], [b'Unable to lookup account "NOPE": account missing']),
    ([connect(), info(compression="lz4")], [b'unsupported route compression mode "lz4"']),
    ([b"CONNECT nonsense"], []),
    ([connect(), b"INFO nonsense"], []),
]


@both
def test_refusals(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        for lines, errors in REFUSED:
            peer = await target.visit()
            peer.say(*lines)
            await peer.ended()
            assert peer.errors == [b"-ERR '" + error + b"'" for error in errors], lines
            assert json.loads(peer.lines[0][0][5:])["cluster"] == "CL"

    run(kind, tmp_path, scene)
