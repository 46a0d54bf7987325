"""The nats-py client in its usual ways."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import nats
import nats.errors
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from gossamer.mesh.testing.plugin import StartCluster, StartServer
from gossamer.mesh.testing.process import ServerProcess

TIMEOUT_S = 10


def run(story: Awaitable[None]) -> None:
    """One test's story, with a deadline."""

    async def bounded() -> None:
        async with asyncio.timeout(60):
            await story

    asyncio.run(bounded())
    gc.collect()  # what a story leaves open is reported in its own test


async def open_client(*servers: ServerProcess, **options: Any) -> Client:
    return await nats.connect(servers=[server.url for server in servers], connect_timeout=TIMEOUT_S, **options)


def port_of(client: Client) -> int:
    """The port of the server it is connected to."""
    assert client.connected_url is not None
    assert client.connected_url.port is not None
    return int(client.connected_url.port)


def echo_service(client: Client) -> Callable[[Msg], Awaitable[None]]:
    async def answer(message: Msg) -> None:
        await client.publish(message.reply, b"echo:" + message.data, headers=message.headers)

    return answer


async def ready(client: Client, *receivers: Client) -> None:
    """Until everything that the receivers subscribed to is known to the server, as ``client`` sees it.

    This client's flush is no barrier: its PING overtakes what is still to be written.
    """
    for receiver in receivers:
        subject = receiver.new_inbox()
        subscription = await receiver.subscribe(subject, cb=echo_service(receiver))
        await answered(client, subject)
        await subscription.unsubscribe()


async def answered(client: Client, subject: str) -> Msg:
    """The answer to a request, asked again while nobody hears it."""
    while True:
        try:
            return await client.request(subject, b"?", timeout=TIMEOUT_S)
        except nats.errors.NoRespondersError:
            continue


def test_publish_and_subscribe(server: ServerProcess) -> None:
    async def story() -> None:
        async with await open_client(server) as client:
            subscription = await client.subscribe("py.a.*")
            for number in range(1000):
                await client.publish(f"py.a.{number % 7}", b"%d" % number)
            for number in range(1000):
                message = await subscription.next_msg(timeout=TIMEOUT_S)
                assert (message.subject, message.data) == (f"py.a.{number % 7}", b"%d" % number)
            assert client.max_payload == 1_048_576
            assert client.connected_server_version.major == 2

    run(story())


def test_request_and_reply(server: ServerProcess) -> None:
    async def story() -> None:
        async with await open_client(server) as client, await open_client(server) as service:
            await service.subscribe("py.echo", "workers", cb=echo_service(service))
            await ready(client, service)
            for style in (False, True):
                answer = await client.request("py.echo", b"hi", timeout=TIMEOUT_S, old_style=style)
                assert answer.data == b"echo:hi"
            answers = await asyncio.gather(
                *(client.request("py.echo", b"%d" % number, timeout=TIMEOUT_S) for number in range(200))
            )
            assert [answer.data for answer in answers] == [b"echo:%d" % number for number in range(200)]

    run(story())


def test_headers(server: ServerProcess) -> None:
    async def story() -> None:
        async with await open_client(server) as client:
            subscription = await client.subscribe("py.headers")
            await client.publish("py.headers", b"body", headers={"Case-Kept": "a b", "x": "ä"})
            message = await subscription.next_msg(timeout=TIMEOUT_S)
            assert message.headers == {"Case-Kept": "a b", "x": "ä"}
            assert message.data == b"body"
            await client.subscribe("py.headers.echo", cb=echo_service(client))
            answer = await client.request("py.headers.echo", b"", timeout=TIMEOUT_S, headers={"k": "v"})
            assert answer.headers == {"k": "v"}

    run(story())


def test_no_responders(server: ServerProcess) -> None:
    async def story() -> None:
        async with await open_client(server) as client:
            for style in (False, True):
                with pytest.raises(nats.errors.NoRespondersError):
                    await client.request("py.nobody", b"", timeout=TIMEOUT_S, old_style=style)

    run(story())


def test_request_times_out_when_nobody_answers(server: ServerProcess) -> None:
    async def story() -> None:
        async with await open_client(server) as client:
            await client.subscribe("py.mute")
            with pytest.raises(nats.errors.TimeoutError):
                await client.request("py.mute", b"", timeout=0.2)

    run(story())


def test_queue_group(server: ServerProcess) -> None:
    async def story() -> None:
        async with await open_client(server) as client:
            workers = [await open_client(server) for _ in range(3)]
            subscriptions = [await worker.subscribe("py.work", "workers") for worker in workers]
            for worker in workers:
                await ready(client, worker)
            for number in range(300):
                await client.publish("py.work", b"%d" % number)
            while sum(shares := [subscription.pending_msgs for subscription in subscriptions]) < 300:
                for worker in workers:
                    await worker.flush(TIMEOUT_S)
            for worker in workers:
                await worker.flush(TIMEOUT_S)
            assert shares == [subscription.pending_msgs for subscription in subscriptions]
            assert sum(shares) == 300
            assert min(shares) > 50
            for worker in workers:
                await worker.close()

    run(story())


def test_drain(server: ServerProcess) -> None:
    async def story() -> None:
        async with await open_client(server) as client:
            receiver = await open_client(server)
            seen: list[bytes] = []

            async def collect(message: Msg) -> None:
                seen.append(message.data)

            await receiver.subscribe("py.drain", cb=collect)
            await ready(client, receiver)
            for number in range(500):
                await client.publish("py.drain", b"%d" % number)
            await ready(client, receiver)  # what was published before this is with the receiver
            await receiver.drain()
            assert receiver.is_closed
            assert seen == [b"%d" % number for number in range(500)]
            with pytest.raises(nats.errors.NoRespondersError):
                await client.request("py.drain", b"", timeout=TIMEOUT_S)

    run(story())


def test_unsubscribe_after_a_number_of_messages(server: ServerProcess) -> None:
    async def story() -> None:
        async with await open_client(server) as client:
            subscription = await client.subscribe("py.limit")
            await subscription.unsubscribe(limit=3)
            for number in range(10):
                await client.publish("py.limit", b"%d" % number)
            await client.flush(TIMEOUT_S)
            assert [(await subscription.next_msg(timeout=TIMEOUT_S)).data for _ in range(3)] == [b"0", b"1", b"2"]

    run(story())


def test_large_payload_and_too_large_payload(server: ServerProcess) -> None:
    async def story() -> None:
        async with await open_client(server) as client:
            subscription = await client.subscribe("py.large")
            await client.publish("py.large", b"x" * client.max_payload)
            assert len((await subscription.next_msg(timeout=TIMEOUT_S)).data) == client.max_payload
            with pytest.raises(nats.errors.MaxPayloadError):
                await client.publish("py.large", b"x" * (client.max_payload + 1))

    run(story())


def test_rtt_and_ids(server: ServerProcess) -> None:
    async def story() -> None:
        async with await open_client(server, name="named") as client:
            assert client.client_id
            assert await client.rtt(TIMEOUT_S) < TIMEOUT_S

    run(story())


def test_user_and_password_and_token(shared_server: StartServer) -> None:
    users = shared_server(config="authorization { users: [ {user: a, password: b} ] }\n")
    tokens = shared_server(config="authorization { token: t }\n")

    async def story() -> None:
        for server, options in ((users, {"user": "a", "password": "b"}), (tokens, {"token": "t"})):
            async with await open_client(server, **options) as client:
                await client.flush(TIMEOUT_S)
            errors: list[Exception] = []

            async def note(error: Exception, errors: list[Exception] = errors) -> None:
                errors.append(error)

            stranger = Client()
            with pytest.raises(nats.errors.Error):
                await stranger.connect(servers=[server.url], error_cb=note, allow_reconnect=False)
            await stranger.close()
            assert any("authorization violation" in str(error).lower() for error in errors)

    run(story())


def test_permissions_violation_is_reported(shared_server: StartServer) -> None:
    server = shared_server(
        config='authorization { users: [ {user: a, password: b, permissions: {publish: {deny: "no.>"}}} ] }\n'
    )

    async def story() -> None:
        errors: asyncio.Queue[Exception] = asyncio.Queue()
        async with await open_client(server, user="a", password="b", error_cb=errors.put) as client:
            await client.publish("no.way")
            assert 'permissions violation for publish to "no.way"' in str(await errors.get()).lower()
            await client.flush(TIMEOUT_S)

    run(story())


def test_reconnects_to_a_second_url(start_server: StartServer) -> None:
    first, second = start_server(), start_server()

    async def story() -> None:
        reconnected = asyncio.Event()

        async def note() -> None:
            reconnected.set()

        client = await open_client(
            first, second, reconnected_cb=note, reconnect_time_wait=0.05, dont_randomize=True, error_cb=ignore
        )
        subscription = await client.subscribe("py.again")
        assert port_of(client) == first.port
        first.kill()
        await reconnected.wait()
        assert port_of(client) == second.port
        await client.publish("py.again", b"still here")
        assert (await subscription.next_msg(timeout=TIMEOUT_S)).data == b"still here"
        await client.close()

    run(story())


async def ignore(error: Exception) -> None:
    """A connection lost on purpose is reported: nothing to do."""


def test_reconnects_to_the_same_server_after_a_restart(start_server: StartServer) -> None:
    server = start_server()

    async def story() -> None:
        gone, back = asyncio.Event(), asyncio.Event()

        async def note_gone() -> None:
            gone.set()

        async def note_back() -> None:
            back.set()

        client = await open_client(
            server,
            disconnected_cb=note_gone,
            reconnected_cb=note_back,
            reconnect_time_wait=0.05,
            max_reconnect_attempts=-1,
            error_cb=ignore,
        )
        await client.subscribe("py.back", cb=echo_service(client))
        await asyncio.to_thread(server.stop)
        await gone.wait()
        await client.publish("py.buffered", b"kept while away")
        await asyncio.to_thread(server.restart)
        await back.wait()
        assert (await client.request("py.back", b"1", timeout=TIMEOUT_S)).data == b"echo:1"
        await client.close()

    run(story())


def test_learns_the_other_nodes_of_a_cluster(start_cluster: StartCluster) -> None:
    cluster = start_cluster(3)

    async def story() -> None:
        back = asyncio.Event()

        async def note() -> None:
            back.set()

        client = await open_client(cluster.nodes[0], reconnected_cb=note, reconnect_time_wait=0.05, error_cb=ignore)
        assert {server.port for server in client.servers} == {node.port for node in cluster.nodes}
        service = await open_client(cluster.nodes[2])
        await service.subscribe("py.mesh", cb=echo_service(service))
        await service.flush(TIMEOUT_S)
        cluster.nodes[0].kill()
        await back.wait()
        assert port_of(client) in {cluster.nodes[1].port, cluster.nodes[2].port}
        assert (await answered(client, "py.mesh")).data == b"echo:?"
        await client.close()
        await service.close()

    run(story())
