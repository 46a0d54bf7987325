"""Compressed routes between our nodes and nats-servers: every pair of modes, whoever dials (spec routes 7)."""

import asyncio
import itertools
import os
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import nats
import pytest
from nats.aio.msg import Msg
from route_fabric import Cluster
from route_peer import connect, info, visit
from route_real import RealServer, until

from gossamer.mesh.engine.events import Pong
from gossamer.mesh.options.options import ClusterOptions, CompressionOptions, Options
from gossamer.mesh.server import Server

MODES = ("off", "accept", "s2_fast", "s2_better", "s2_best", "s2_auto")
#: Ours, theirs, who dials: each word on each side, each rule of ``shown``. ``make interop`` tries all there are.
TELLING = {
    ("off", "s2_auto", True),
    ("s2_auto", "off", False),
    ("off", "off", True),
    ("accept", "accept", False),
    ("accept", "s2_auto", True),
    ("s2_auto", "accept", False),
    ("accept", "s2_best", False),
    ("s2_best", "accept", True),
    ("s2_fast", "s2_better", True),
    ("s2_better", "s2_fast", False),
    ("s2_auto", "s2_auto", True),
    ("s2_auto", "s2_auto", False),
    ("s2_best", "s2_best", False),
}
WHOLE_MATRIX = set(itertools.product(MODES, MODES, (True, False)))
PAIRS = sorted(WHOLE_MATRIX if os.environ.get("WHOLE_TOURS") else TELLING)
#: Up to these round-trip times ``s2_auto`` is uncompressed, fast, better: uncompressed here on the busiest machine.
THRESHOLDS_S = (20, 40, 60)
SWITCHED = {"s2_auto": "s2_uncompressed"}


def shown(own: str, theirs: str) -> str:
    """What a side with the first word does with a peer that has the second, as monitoring shows it."""
    if "off" in (own, theirs) or own == theirs == "accept":
        return "off"
    mode = own if own != "accept" else {"s2_auto": "s2_fast"}.get(theirs, theirs)
    return SWITCHED.get(mode, mode)


def options(mode: str, *routes: int, **cluster: object) -> Options:
    return Options(
        host="127.0.0.1",
        port=-1,
        server_name="ours",
        cluster=ClusterOptions(
            name="CL",
            host="127.0.0.1",
            port=-1,
            routes=tuple(f"nats-route://127.0.0.1:{port}" for port in routes),
            compression=CompressionOptions(
                mode=mode, rtt_thresholds_ns=tuple(each * 10**9 for each in THRESHOLDS_S) if mode == "s2_auto" else ()
            ),
            **cluster,  # type: ignore[arg-type]
        ),
    )


async def begin(stack: AsyncExitStack, directory: Path, own: str, theirs: str, dial: bool) -> tuple[Server, RealServer]:
    """Ours and a nats-server with these words; ``dial``: it is we who dial."""
    ours = Server(options(own))
    if theirs == "s2_auto":
        theirs = f"{{mode: s2_auto, rtt_thresholds: [{', '.join(f'{each}s' for each in THRESHOLDS_S)}]}}"
    real = RealServer(directory, "real", cluster=f", compression: {theirs}")
    if dial:
        stack.callback(real.stop)
        await real.start()
        ours = Server(options(own, real.route_port))
    stack.push_async_callback(ours.stop)
    await ours.start()
    if not dial:
        assert ours.node.cluster_socket is not None
        port = ours.node.cluster_socket.port
        real = RealServer(directory, "real", routes=(port,), cluster=f", compression: {theirs}")
        stack.callback(real.stop)
        await real.start()
    await until(lambda: len(rows(ours)) == 4 and len(real.routes()) == 4, real.log)
    return ours, real


def rows(server: Server) -> list[str]:
    assert server.node.routes is not None
    return [row.compression for row in server.node.routes.routez()]


async def echo(message: Msg) -> None:
    await message.respond(message.data)


async def talk(one: str, other: str) -> None:
    """Both ways: small messages, headers, an answer, and payloads that take several chunks."""
    async with AsyncExitStack() as stack:
        clients = []
        for url in (one, other):
            client = await nats.connect(url, allow_reconnect=False)
            stack.push_async_callback(client.close)
            clients.append(client)
        for sender, receiver in (clients, clients[::-1]):
            subscription = await receiver.subscribe("data")
            service = await receiver.subscribe("echo", cb=echo)
            await receiver.flush()
            async with asyncio.timeout(10):
                while True:  # interest is known there once an answer comes
                    try:
                        answer = await sender.request("echo", b"x" * 1000, timeout=1)
                        break
                    except nats.errors.NoRespondersError:
                        await asyncio.sleep(0.01)
            assert answer.data == b"x" * 1000
            payloads = [b"", b"a", b"repeated " * 100_000, bytes(range(256)) * 3600, noise(900_000), b"end"]
            for number, payload in enumerate(payloads):
                await sender.publish("data", payload, headers={"Number": str(number)} if number % 2 else None)
            for number, payload in enumerate(payloads):
                message = await subscription.next_msg(timeout=10)
                assert message.data == payload
                assert (message.headers or {}).get("Number") == (str(number) if number % 2 else None)
            await subscription.unsubscribe()
            await service.unsubscribe()


def noise(size: int) -> bytes:
    """Bytes that do not compress, the same each time."""
    import random

    return random.Random(7).randbytes(size)


@pytest.mark.parametrize(
    ("own", "theirs", "dial"),
    PAIRS,
    ids=[f"{own}-{theirs}-{'we' if dial else 'they'}-dial" for own, theirs, dial in PAIRS],
)
def test_every_pair_of_modes(tmp_path: Path, own: str, theirs: str, dial: bool) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            ours, real = await begin(stack, tmp_path, own, theirs, dial)
            assert set(rows(ours)) == {shown(own, theirs)}
            await until(lambda: {row["compression"] for row in real.routes()} == {shown(theirs, own)}, real.log)
            await talk(ours.url, real.client_url)

    asyncio.run(run())


def test_the_level_follows_the_round_trip_time() -> None:
    """``s2_auto`` with thresholds of its own: the writer alone changes, at each PONG."""
    cluster = Cluster(1)
    thresholds = (2_000_000, 4_000_000, 8_000_000)
    cluster.add("A", compression=CompressionOptions(mode="s2_auto", rtt_thresholds_ns=thresholds))
    peer = visit(cluster, "A", "10.0.0.99")
    peer.say(connect(), info(compression="s2_auto"), info(compression="s2_auto"))
    cluster.time.run(0.5)
    assert [said["compression"] for said in peer.infos] == ["s2_auto", "s2_auto"]  # ours, and ours again compressed
    node = cluster.nodes["A"]
    (link,) = node.engine.levels
    node.engine.levels[link].clear()
    for rtt_ns in (1_000_000, 3_000_000, 3_500_000, 5_000_000, 9_000_000, 1_000_000):
        node.manager.on_event(Pong(link, rtt_ns))
    levels = node.engine.levels[link]
    assert levels[-4:] == [2, 3, 4, 1]
    assert levels[:-4] in ([], [1])  # the first one depends on how long the handshake took
    assert [row.compression for row in node.manager.routez()] == ["s2_uncompressed"]


def test_another_mode_by_a_reload() -> None:
    """Another level is only written; what has to be negotiated anew is dialled anew."""
    cluster = Cluster(1)
    cluster.add("A", compression=CompressionOptions(mode="s2_fast"))
    cluster.add("B", "A", compression=CompressionOptions(mode="s2_fast"))
    node = cluster.nodes["A"]

    def modes(name: str) -> set[str]:
        return {row.compression for row in cluster.nodes[name].manager.routez()}

    def links() -> set[int]:
        return {row.rid for row in node.manager.routez()}

    assert cluster.time.run(5.0, lambda: len(links()) == 4 and modes("B") == {"s2_fast"})
    before = links()
    now = node.manager._options
    node.manager.reload(msgspec.structs.replace(now, compression=CompressionOptions(mode="s2_best")))
    cluster.time.run(0.5)
    assert links() == before
    assert (modes("A"), modes("B")) == ({"s2_best"}, {"s2_fast"})
    assert all(levels[-1] == 4 for link, levels in node.engine.levels.items() if link in before)
    node.manager.reload(msgspec.structs.replace(now, compression=CompressionOptions(mode="off")))
    assert cluster.time.run(5.0, lambda: len(links()) == 4 and modes("A") == modes("B") == {"off"})
    assert not links() & before
