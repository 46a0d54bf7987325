"""The relay: late but in order, long but not thin; it knows callers by their first line, and can be cut."""

import asyncio
import contextlib
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from gossamer.operator.failure import Failure
from gossamer.operator.up import relay as relay_room
from gossamer.operator.up.relay import Relay, Wire

HOST = "127.0.0.1"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Say what one hears."""
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


def free_port() -> int:
    with socket.socket() as trial:
        trial.bind((HOST, 0))
        port: int = trial.getsockname()[1]
        return port


def wire(target: int, **callers: float) -> Wire:
    return Wire(
        name="w", callers=callers, listen=HOST, host=HOST, port=free_port(), target_host=HOST, target_port=target
    )


@contextlib.asynccontextmanager
async def served(serve: Serve) -> AsyncIterator[int]:
    """A server; yields its port, and waits for those it serves at the end."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await serve(reader, writer)
        except ConnectionError:
            pass
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(one, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def dialled(port: int) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        yield reader, writer
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


async def round_trip_s(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> float:
    begin = time.perf_counter()
    writer.write(data)
    assert await asyncio.wait_for(reader.readexactly(len(data)), 10) == data
    return time.perf_counter() - begin


def run(tell: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(30):
            await tell()

    asyncio.run(limited())


def test_it_is_late_by_half_of_the_round_trip_each_way() -> None:
    async def tell() -> None:
        async with served(echo) as port:
            line = wire(port, far=0.04)
            async with Relay([line]), dialled(line.port) as (reader, writer):
                took = [await round_trip_s(reader, writer, b"ping") for _ in range(5)]
        # Never earlier; how much later is the machine's affair.
        assert min(took) >= 0.08
        assert min(took) < 0.3

    run(tell)


def test_much_of_it_arrives_in_order_and_is_not_held_up() -> None:
    block = bytes(range(256)) * 4096
    count = 48

    async def tell() -> None:
        async with served(echo) as port:
            line = wire(port, far=0.02)
            async with Relay([line]), dialled(line.port) as (reader, writer):

                async def send() -> None:
                    for _ in range(count):
                        writer.write(block)
                        await writer.drain()

                begin = time.perf_counter()
                sending = asyncio.create_task(send())
                for _ in range(count):
                    assert await reader.readexactly(len(block)) == block
                took = time.perf_counter() - begin
                await sending
        # 48 MB there and back. In lockstep, 64 KiB every 40 ms, it would be half a minute.
        assert took < 10

    run(tell)


def test_what_is_on_its_way_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay_room, "QUEUE_BYTES", 256 * 1024)
    arrived = asyncio.Event()
    heard: list[int] = []

    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await arrived.wait()
        while data := await reader.read(1 << 20):
            heard.append(len(data))

    async def tell() -> None:
        async with served(deaf) as port:
            line = wire(port, far=0.01)
            async with Relay([line]), dialled(line.port) as (_, writer):
                block = b"x" * (1 << 20)

                async def send() -> None:
                    for _ in range(64):
                        writer.write(block)
                        await writer.drain()

                with pytest.raises(TimeoutError):
                    await asyncio.wait_for(send(), 1)
                arrived.set()
                async with asyncio.timeout(10):
                    await writer.drain()

    run(tell)


def test_who_dials_is_known_by_its_first_line() -> None:
    async def tell() -> None:
        async with served(echo) as port:
            line = wire(port, near=0.0, far=0.03, farthest=0.06)
            async with Relay([line]):
                for gateway, least, most in (("near", 0.0, 0.055), ("far", 0.06, 0.115), ("nobody", 0.12, 0.4)):
                    async with dialled(line.port) as streams:
                        await round_trip_s(*streams, b'CONNECT {"verbose":false,"gateway":"%b"}\r\n' % gateway.encode())
                        took = min([await round_trip_s(*streams, b"PING\r\n") for _ in range(5)])
                        assert least <= took < most, gateway

    run(tell)


def test_the_acceptor_may_speak_before_the_caller_is_known() -> None:
    async def greeting(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"INFO {}\r\n")
        await echo(reader, writer)

    async def tell() -> None:
        async with served(greeting) as port:
            line = wire(port, near=0.0, far=0.02)
            async with Relay([line]), dialled(line.port) as (reader, writer):
                assert await reader.readline() == b"INFO {}\r\n"
                assert await round_trip_s(reader, writer, b'CONNECT {"gateway":"far"}\r\n') >= 0.04

    run(tell)


def test_what_was_sent_before_the_end_arrives_before_it() -> None:
    async def farewell(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(b"last words\r\n")
        await writer.drain()

    async def tell() -> None:
        async with served(farewell) as port:
            line = wire(port, far=0.02)
            async with Relay([line]) as relay, dialled(line.port) as (reader, writer):
                writer.write(b"go\r\n")
                assert await reader.read() == b"last words\r\n"
                writer.close()
                await writer.wait_closed()
                while relay.connections("w"):  # noqa: ASYNC110 - the relay closes its end in a later turn
                    await asyncio.sleep(0)

    run(tell)


def test_a_wire_that_is_cut_carries_nothing_until_it_is_mended() -> None:
    async def tell() -> None:
        async with served(echo) as port:
            line = wire(port, far=0.001)
            async with Relay([line]) as relay:
                async with dialled(line.port) as (reader, writer):
                    await round_trip_s(reader, writer, b"hello")
                    assert relay.connections("w") == 1
                    relay.cut(["w"])
                    with contextlib.suppress(ConnectionError):
                        assert await reader.read() == b""
                    assert relay.connections("w") == 0
                async with dialled(line.port) as (reader, writer):
                    with contextlib.suppress(ConnectionError):
                        assert await reader.read() == b""
                relay.mend(["w"])
                async with dialled(line.port) as streams:
                    await round_trip_s(*streams, b"hello")

    run(tell)


def test_a_node_that_is_not_there_is_not_there_behind_the_relay() -> None:
    async def tell() -> None:
        line = wire(free_port(), far=0.001)
        async with Relay([line]) as relay:
            async with dialled(line.port) as (reader, _):
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
            assert relay.connections("w") == 0

    run(tell)


def test_its_end_ends_everything_on_it() -> None:
    async def tell() -> None:
        async with served(echo) as port:
            line = wire(port, far=5.0)
            async with contextlib.AsyncExitStack() as stack:
                async with Relay([line]):
                    reader, writer = await stack.enter_async_context(dialled(line.port))
                    writer.write(b"never heard")
                    await writer.drain()
                with contextlib.suppress(ConnectionError):
                    assert await reader.read() == b""
        with socket.socket() as again:
            again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            again.bind((HOST, line.port))

    run(tell)


def test_a_taken_port_is_told_and_the_others_are_given_back() -> None:
    async def tell() -> None:
        async with served(echo) as port:
            good, taken = wire(port, far=0.0), wire(port, far=0.0)
            with socket.socket() as occupied:
                occupied.bind((HOST, taken.port))
                occupied.listen()
                with pytest.raises(Failure, match=f"port {taken.port}, meant for the relay, cannot be used"):
                    async with Relay([good, taken]):
                        pytest.fail("it started")
            with socket.socket() as again:
                again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                again.bind((HOST, good.port))

    run(tell)
