"""Compressed routes between our nodes and nats-servers: every pair of modes, whoever dials (spec routes 7)."""

import asyncio
import itertools
from contextlib import AsyncExitStack
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg
from route_real import RealServer, until

from gossamer.mesh.options.options import ClusterOptions, CompressionOptions, Options
from gossamer.mesh.server import Server

MODES = ("off", "accept", "s2_fast", "s2_better", "s2_best", "s2_auto")
#: What our side does, by our word and theirs. On one machine ``s2_auto`` means "uncompressed".
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
            compression=CompressionOptions(mode=mode),
            **cluster,  # type: ignore[arg-type]
        ),
    )


async def begin(stack: AsyncExitStack, directory: Path, own: str, theirs: str, dial: bool) -> tuple[Server, RealServer]:
    """Ours and a nats-server with these words; ``dial``: it is we who dial."""
    ours = Server(options(own))
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


@pytest.mark.parametrize("dial", [True, False], ids=["we-dial", "they-dial"])
@pytest.mark.parametrize(("own", "theirs"), list(itertools.product(MODES, MODES)))
def test_every_pair_of_modes(tmp_path: Path, own: str, theirs: str, dial: bool) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            ours, real = await begin(stack, tmp_path, own, theirs, dial)
            assert set(rows(ours)) == {shown(own, theirs)}
            await until(lambda: {row["compression"] for row in real.routes()} == {shown(theirs, own)}, real.log)
            await talk(ours.url, real.client_url)

    asyncio.run(run())
