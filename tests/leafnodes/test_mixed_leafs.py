"""Gossamer and nats-server as hub and as leaf of each other: what clients see (spec leafnodes section 22, items 17, 19,
28 to 34, 38 to 40, 49, 58, 60)."""

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Any

import nats
import pytest
from leaf_peers import leaf_address, leaf_url
from leaf_server import KINDS

from gossamer.mesh.testing.process import ServerProcess

PAIRS = [("gossamer", "nats-server"), ("nats-server", "gossamer"), ("gossamer", "gossamer")]
HUB = 'leafnodes { listen: "127.0.0.1:-1" }'


@pytest.fixture(params=PAIRS, ids="-".join)
def kinds(request: pytest.FixtureRequest) -> tuple[type[ServerProcess], type[ServerProcess]]:
    """Who is the hub, and who the leaf."""
    chosen = os.environ.get("GOSSAMER_SERVERS")
    if chosen and not set(request.param) <= set(chosen.split(",")):
        pytest.skip(f"GOSSAMER_SERVERS={chosen}")
    hub, leaf = (KINDS[name] for name in request.param)
    for kind in (hub, leaf):
        if reason := kind.missing():
            pytest.skip(reason)
    return hub, leaf


@pytest.fixture
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., ServerProcess]]:
    """Call with a kind of server and its configuration."""
    started: list[ServerProcess] = []

    def start(kind: type[ServerProcess], config: str) -> ServerProcess:
        server = kind(tmp_path_factory.mktemp(kind.kind), config=config, monitor=True)
        started.append(server)
        return server.start()

    yield start
    for server in reversed(started):
        server.stop()


def dials(*servers: ServerProcess, name: str = "leaf", more: str = "", block: str = "") -> str:
    urls = ", ".join(f'{{ url: "{leaf_url(server)}", {more} }}' for server in servers)
    return f'server_name: {name}\nleafnodes {{ reconnect: "50ms", {block} remotes: [ {urls} ] }}'


async def until(condition: Callable[[], Any], seconds: float = 8.0) -> Any:
    loop = asyncio.get_running_loop()
    end = loop.time() + seconds
    while not (found := condition()):
        assert loop.time() < end, "it has not come about"
        await asyncio.sleep(0.02)
    return found


async def linked(server: ServerProcess, count: int = 1) -> list[dict[str, Any]]:
    """/leafz, once it has so many rows."""
    await until(lambda: server.monitor("/leafz")["leafnodes"] == count)
    rows: list[dict[str, Any]] = server.monitor("/leafz")["leafs"]
    return rows


class Clients:
    """nats.py clients that are closed at the end."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> "Clients":
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    async def of(self, server: ServerProcess, **options: Any) -> nats.NATS:
        client = await nats.connect(server.url, max_reconnect_attempts=0, **options)
        self._stack.push_async_callback(client.close)
        return client


async def heard(publisher: nats.NATS, subject: str, subscription: Any) -> None:
    """Until interest has travelled; nothing of it is left in the subscription."""
    for number in range(400):
        await publisher.publish(subject, b"try %d" % number)
        await publisher.flush()
        try:
            message = await subscription.next_msg(timeout=0.02)
            while message.data != b"try %d" % number:
                message = await subscription.next_msg(timeout=3)
        except nats.errors.TimeoutError:
            continue
        return
    raise AssertionError(f"{subject} is not heard")


async def test_28_messages_requests_headers_and_large_payloads(kinds, run):
    hub = run(kinds[0], HUB)
    leaf = run(kinds[1], dials(hub))
    for each in (hub, leaf):
        [row] = await linked(each)
        assert row["compression"].startswith("s2_")  # item 19; its level goes by the round-trip time
    async with Clients() as clients:
        for near, far in (
            (await clients.of(hub), await clients.of(leaf)),
            (await clients.of(leaf), await clients.of(hub)),
        ):
            plain = await near.subscribe("plain.*")
            await heard(far, "plain.x", plain)
            await far.publish("plain.y", b"body", reply="back", headers={"A": "b"})
            message = await plain.next_msg(timeout=3)
            assert (message.subject, message.reply, message.data) == ("plain.y", "back", b"body")
            assert message.headers == {"A": "b"}
            payload = bytes(range(256)) * 3900
            await far.publish("plain.big", payload)
            assert (await plain.next_msg(timeout=5)).data == payload

            async def answer(message: Any) -> None:
                await message.respond(b"answer to " + message.data)

            service = await near.subscribe("service", "workers", cb=answer)
            await near.flush()
            for number in range(20):
                try:
                    reply = await far.request("service", b"%d" % number, timeout=2)
                except nats.errors.NoRespondersError:
                    await asyncio.sleep(0.05)
                    continue
                assert reply.data == b"answer to %d" % number
            await plain.unsubscribe()
            await service.unsubscribe()
            await near.flush()


async def test_29_and_30_queue_groups(kinds, run):
    """Each message once; members on the other side only where there is none near."""
    hub = run(kinds[0], HUB)
    leaf = run(kinds[1], dials(hub))
    await linked(hub)
    async with Clients() as clients:
        here, there = await clients.of(hub), await clients.of(leaf)
        far = await there.subscribe("work", "q")
        await heard(here, "work", far)
        for number in range(30):
            await here.publish("work", b"%d" % number)
        got = [int((await far.next_msg(timeout=3)).data) for _ in range(30)]
        assert got == list(range(30))
        near = await here.subscribe("work", "q")
        await here.flush()
        for number in range(30):
            await here.publish("work", b"%d" % number)
        assert [int((await near.next_msg(timeout=3)).data) for _ in range(30)] == list(range(30))
        with pytest.raises(nats.errors.TimeoutError):
            await far.next_msg(timeout=0.2)


async def test_17_two_accounts(kinds, run):
    hub = run(
        kinds[0],
        """
        accounts { A { users: [{user: a, password: p}] }, B { users: [{user: b, password: p}] } }
        leafnodes { listen: "127.0.0.1:-1" }
        """,
    )
    leaf = run(
        kinds[1],
        f"""
        server_name: leaf
        accounts {{ X {{ users: [{{user: x, password: p}}] }}, Y {{ users: [{{user: y, password: p}}] }} }}
        leafnodes {{ remotes: [ {{ url: "{leaf_url(hub, "a:p@")}", account: X }},
                                {{ url: "{leaf_url(hub, "b:p@")}", account: Y }} ] }}
        """,
    )
    await linked(hub, 2)
    async with Clients() as clients:
        of_a, of_b = [await clients.of(hub, user=name, password="p") for name in "ab"]
        of_x = await clients.of(leaf, user="x", password="p")
        in_a, in_b = await of_a.subscribe("s"), await of_b.subscribe("s")
        await of_b.flush()
        await heard(of_x, "s", in_a)
        with pytest.raises(nats.errors.TimeoutError):
            await in_b.next_msg(timeout=0.1)
    detail = hub.monitor("/accountz?acc=A")["account_detail"]
    assert detail["leafnode_connections"] == 1


async def test_38_three_tiers(kinds, run):
    hub = run(kinds[0], HUB)
    middle = run(kinds[1], dials(hub, name="middle", block='listen: "127.0.0.1:-1",'))
    bottom = run(kinds[0], dials(middle, name="bottom"))
    await linked(middle, 2)
    async with Clients() as clients:
        ends = await clients.of(hub), await clients.of(bottom)
        for near, far in (ends, ends[::-1]):
            subscription = await near.subscribe("tiers.*")
            await heard(far, "tiers.x", subscription)
            await subscription.unsubscribe()
            await near.flush()


async def test_34_from_leaf_to_leaf(kinds, run):
    hub = run(kinds[0], HUB)
    leafs = [run(kinds[1], dials(hub, name=f"leaf{number}")) for number in range(2)]
    await linked(hub, 2)
    async with Clients() as clients:
        one, other = [await clients.of(leaf) for leaf in leafs]
        subscription = await one.subscribe("east")
        await heard(other, "east", subscription)


async def test_39_leaf_cluster_and_hub_cluster(kinds, run):
    """Two servers each: a message reaches every subscriber once, wherever it is."""

    def cluster(kind: type[ServerProcess], title: str, more: Callable[[int], str]) -> list[ServerProcess]:
        servers: list[ServerProcess] = []
        for number in range(2):
            routes = f'"nats-route://127.0.0.1:{servers[0].cluster_port}"' if servers else ""
            config = f'cluster {{ name: {title}, listen: "127.0.0.1:-1", routes: [{routes}] }}\n{more(number)}'
            servers.append(run(kind, f"server_name: {title}{number}\n{config}"))
        return servers

    hubs = cluster(kinds[0], "HUBS", lambda number: HUB)
    urls = [leaf_url(hub) for hub in hubs]
    leafs = cluster(
        kinds[1], "LEAFS", lambda n: f'leafnodes {{ remotes: [ {{ url: "{urls[n]}", no_randomize: true }} ] }}'
    )
    for server in leafs:
        await linked(server)
    async with Clients() as clients:
        everybody = [await clients.of(server) for server in (*hubs, *leafs)]
        subscriptions = [await client.subscribe("all.*") for client in everybody]
        for client in everybody:
            await client.flush()
        for publisher in everybody:
            for subscription in subscriptions:
                await heard(publisher, "all.try", subscription)
        for client in everybody:
            await client.flush()
        for number, publisher in enumerate(everybody):
            await publisher.publish("all.once", b"%d" % number)
            await publisher.flush()
        for subscription in subscriptions:
            got = []
            while len(got) < len(everybody):
                message = await subscription.next_msg(timeout=3)
                if message.subject == "all.once":  # others are left of the tries
                    got.append(message.data)
            assert sorted(got) == [b"0", b"1", b"2", b"3"]
        for subscription in subscriptions:
            await asyncio.sleep(0.1)  # nothing can be waited for that must not come
            while subscription.pending_msgs:
                assert (await subscription.next_msg(timeout=1)).subject != "all.once"


async def test_40_a_loop_is_found(kinds, run):
    """Each is a leaf node of the other: one link is closed by whoever sees it first, and stays closed."""
    first = run(kinds[0], HUB)
    port = leaf_address(first)[1]
    second = run(kinds[1], dials(first, name="second", block='listen: "127.0.0.1:-1",'))
    await linked(first)
    config = f'leafnodes {{ listen: "127.0.0.1:{port}", remotes: [ {{ url: "{leaf_url(second)}" }} ] }}'
    first.stop()
    first._config = "server_name: first\n" + config
    first.restart()
    await until(lambda: "Loop detected for leafnode account" in first.log + second.log)


async def test_58_the_hub_comes_back(kinds, run):
    hub = run(kinds[0], HUB)
    port = leaf_address(hub)[1]
    leaf = run(kinds[1], dials(hub))
    await linked(leaf)
    async with Clients() as clients:
        listener = await clients.of(leaf)
        subscription = await listener.subscribe("again.*")
        await heard(await clients.of(hub), "again.x", subscription)
        hub.kill()
        await linked(leaf, 0)
        hub._config = HUB.replace(":-1", f":{port}")
        hub.restart()
        await linked(leaf)
        await heard(await clients.of(hub), "again.y", subscription)


async def test_49_the_system_accounts_linked(kinds, run):
    """Both answer who is there."""
    accounts = "accounts { SYS { users: [{user: s, password: p}] } }\nsystem_account: SYS\n"
    hub = run(kinds[0], accounts + "server_name: hub\n" + HUB)
    leaf = run(
        kinds[1],
        accounts
        + f'server_name: leaf\nleafnodes {{ remotes: [ {{ url: "{leaf_url(hub, "s:p@")}", account: SYS }} ] }}',
    )
    await linked(leaf)
    async with Clients() as clients:
        for server in (hub, leaf):
            client = await clients.of(server, user="s", password="p")
            inbox = client.new_inbox()
            answers = await client.subscribe(inbox)
            names: set[str] = set()
            for _ in range(40):
                await client.publish("$SYS.REQ.SERVER.PING", b"", reply=inbox)
                try:
                    while True:
                        message = await answers.next_msg(timeout=0.1)
                        names.add(json.loads(message.data)["server"]["name"])
                except nats.errors.TimeoutError:
                    pass
                if len(names) == 2:
                    break
            assert names == {"hub", "leaf"}


async def test_60_events_and_counts(kinds, run):
    hub = run(
        kinds[0],
        """
        accounts { A { users: [{user: a, password: p}] }, SYS { users: [{user: s, password: p}] } }
        system_account: SYS
        leafnodes { listen: "127.0.0.1:-1" }
        """,
    )
    async with Clients() as clients:
        system = await clients.of(hub, user="s", password="p")
        events = await system.subscribe("$SYS.ACCOUNT.A.>")
        await system.flush()
        leaf = run(kinds[1], dials(hub).replace("nats-leaf://", "nats-leaf://a:p@"))
        seen: dict[str, Any] = {}
        while "CONNECT" not in seen or "CONNS" not in seen:
            message = await events.next_msg(timeout=5)
            seen[message.subject.rpartition(".")[2]] = json.loads(message.data)
        assert (seen["CONNS"]["conns"], seen["CONNS"]["leafnodes"], seen["CONNS"]["total_conns"]) == (0, 1, 1)
        assert seen["CONNECT"]["client"]["kind"] == "Leafnode"
        assert seen["CONNECT"]["client"]["name"] == "leaf"
        assert seen["CONNECT"]["client"]["user"] == "a"
        leaf.stop()
        while "DISCONNECT" not in seen:
            message = await events.next_msg(timeout=5)
            seen[message.subject.rpartition(".")[2]] = json.loads(message.data)
        assert seen["DISCONNECT"]["client"]["kind"] == "Leafnode"
        assert seen["CONNS"]["leafnodes"] == 0
