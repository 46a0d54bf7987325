"""A whole node on a fake engine: ports, events, addresses, shutdown."""

import asyncio
import json
import socket
from typing import Any

import pytest

from gossamer.mesh.engine.events import Closed, Hello, Message, Opened, PeerError
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.life.lame_duck import leave
from gossamer.mesh.node import Node
from gossamer.mesh.options.options import LameDuckOptions, LimitOptions, Options
from gossamer.mesh.world.listening import PortTaken


def options(**fields: Any) -> Options:
    usual: dict[str, Any] = {"host": "127.0.0.1", "port": -1}
    return Options(**(usual | fields))


async def turn() -> None:
    """Let the loop handle what is ready."""
    for _ in range(5):
        await asyncio.sleep(0)
    await asyncio.sleep(0.001)


def run(test: Any, *, engine: Any, **fields: Any) -> None:
    async def whole() -> None:
        node = Node(options(**fields), engine=engine)
        await node.start()
        try:
            await test(node)
        finally:
            await node.stop()

    asyncio.run(whole())


def arrive(engine: Any, link: int, connect: bytes = b'{"protocol":1,"verbose":false}') -> None:
    engine.push(Opened(link, 1, LinkKind.CLIENT, "127.0.0.1", 5000 + link))
    engine.push(Hello(link, connect, False, b""))


def test_start_programs_the_engine_and_stop_takes_it_down(engine: Any) -> None:
    async def check(node: Node) -> None:
        assert node.port > 0
        listening = engine.last("listen")
        assert listening["kind"] == LinkKind.CLIENT
        assert listening["auth_timeout_ns"] == 0
        text = b"".join(piece if isinstance(piece, bytes) else b"0" for piece in listening["info"])
        info = json.loads(text[5:])
        assert info["port"] == node.port
        assert info["host"] == "127.0.0.1"
        assert info["server_name"] == info["server_id"] == node.identity.server_id
        assert len(info["server_id"]) == 56
        assert info["server_id"].startswith("N")
        assert info["xkey"].startswith("X")
        configured = engine.last("configure")
        assert configured["max_payload"] == 1024
        assert configured["max_connections"] == 65536
        assert configured["fast_producer_stall"] is True
        assert engine.of("account")[0]["name"] == b"$G"

    run(check, engine=engine, limits=LimitOptions(max_payload=1024))
    names = [name for name, _ in engine.calls]
    assert names.index("close_listener") < names.index("stop") < names.index("destroy")


def test_a_port_in_use_is_one_clear_line(engine: Any) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            asyncio.run(Node(options(port=port), engine=engine).start())
    text = str(caught.value)
    assert text.startswith(f'Error listening on port: 127.0.0.1:{port}, "address already in use"; ')
    assert "\n" not in text
    assert engine.calls == []


def test_a_host_that_is_not_ours(engine: Any) -> None:
    with pytest.raises(PortTaken, match=r"Error listening on port: 192\.0\.2\.77:.*correct it"):
        asyncio.run(Node(options(host="192.0.2.77"), engine=engine).start())


def test_clients_come_and_go_through_the_pump(engine: Any) -> None:
    async def check(node: Node) -> None:
        arrive(engine, 50)
        await turn()
        assert engine.last("admit")["link"] == 50
        assert len(node.clients) == 1
        engine.push(Closed(50, CloseReason.CLIENT_CLOSED, b"", 0, 0, 0, 0, 0, 0, 0))
        await turn()
        assert len(node.clients) == 0

    run(check, engine=engine)


def test_many_events_are_handled_in_slices_and_in_order(engine: Any) -> None:
    async def check(node: Node) -> None:
        count = 3000
        for link in range(100, 100 + count):
            arrive(engine, link)
        loop = asyncio.get_running_loop()
        gaps: list[float] = []
        last = loop.time()
        while len(engine.of("admit")) < count:
            await asyncio.sleep(0)
            gaps.append(loop.time() - last)
            last = loop.time()
        assert [call["link"] for call in engine.of("admit")] == list(range(100, 100 + count))
        assert len(gaps) > 5
        arrive(engine, 50)  # the descriptor is watched again afterwards
        await turn()
        assert engine.last("admit")["link"] == 50

    run(check, engine=engine)


def test_a_bug_in_a_handler_costs_one_event(engine: Any) -> None:
    async def check(node: Node) -> None:
        engine.push(Closed(50, 9999, b"", 0, 0, 0, 0, 0, 0, 0))  # harmless: unknown link
        engine.push(Opened(50, 1, LinkKind.CLIENT, "127.0.0.1", 1))
        engine.push(Closed(50, 9999, b"", 0, 0, 0, 0, 0, 0, 0))  # no such reason
        arrive(engine, 51)
        await turn()
        assert engine.last("admit")["link"] == 51

    run(check, engine=engine)


def test_the_cluster_urls_reach_new_and_old_clients(engine: Any) -> None:
    async def check(node: Node) -> None:
        arrive(engine, 50)
        await turn()
        node.set_cluster_urls(())
        assert not engine.of("set_info")
        node.set_cluster_urls(("127.0.0.1:1", "127.0.0.1:2"))
        sent = json.loads(engine.last("send")["data"][5:])
        own = f"127.0.0.1:{node.port}"
        assert sent["connect_urls"] == [own, "127.0.0.1:1", "127.0.0.1:2"]
        template = b"".join(piece for piece in engine.last("set_info")["info"] if isinstance(piece, bytes))
        assert b'"127.0.0.1:2"' in template
        node.set_cluster_urls(())  # the others left: our own address stays
        assert json.loads(engine.last("send")["data"][5:])["connect_urls"] == [own]

    run(check, engine=engine)


def test_the_advertised_address(engine: Any) -> None:
    async def check(node: Node) -> None:
        assert node.own_urls() == (f"public.example:{node.port}",)
        assert node.welcome.greeting.host == "public.example"
        assert node.welcome.greeting.port == node.port

    run(check, engine=engine, client_advertise="public.example")


def test_lame_duck(engine: Any) -> None:
    async def check(node: Node) -> None:
        node.set_cluster_urls(("127.0.0.1:1",))
        for link in (50, 51, 52):
            arrive(engine, link)
        await turn()
        listener = node.listener.number
        before = len(engine.of("send"))
        await leave(node)
        assert engine.last("close_listener")["listener"] == listener
        told = [json.loads(call["data"][5:]) for call in engine.of("send")[before:]]
        assert [info["client_id"] for info in told] == [50, 51, 52]
        assert all(info["ldm"] for info in told)
        assert all(info["connect_urls"] == ["127.0.0.1:1"] for info in told)
        closed = engine.of("close")
        assert [call["link"] for call in closed] == [50, 51, 52]
        assert all(call["reason"] == CloseReason.SERVER_SHUTDOWN and not call.get("error") for call in closed)
        node.set_cluster_urls(("127.0.0.1:9",))  # gossip is no longer passed on
        assert len(engine.of("send")) == before + 3

    run(check, engine=engine, lame_duck=LameDuckOptions(duration_ns=30_000_000, grace_period_ns=5_000_000))


def test_messages_reach_their_subscriber(engine: Any) -> None:
    async def check(node: Node) -> None:
        seen: list[Message] = []
        number = node.subscribe(1, b"a.>", seen.append)
        engine.push(Message(number, 1, b"a.b", b"", 0, b"x", 0))
        await turn()
        assert [message.data for message in seen] == [b"x"]
        node.unsubscribe(number)
        engine.push(Message(number, 1, b"a.b", b"", 0, b"y", 0))
        await turn()
        assert len(seen) == 1
        assert engine.last("unsubscribe") == {"subscription": number}

    run(check, engine=engine)


def test_a_client_that_sends_err_is_logged_not_fatal(engine: Any) -> None:
    async def check(node: Node) -> None:
        arrive(engine, 50)
        engine.push(PeerError(50, b"'odd'"))
        await turn()
        assert len(node.clients) == 1

    run(check, engine=engine)


def test_user_info(engine: Any) -> None:
    async def check(node: Node) -> None:
        arrive(engine, 50)
        await turn()
        system = node.accounts.system
        assert system is not None
        assert b"$SYS.REQ.USER.INFO" in [
            call["local"]
            for call in engine.of("service_import")
            if (call["account"], call["exporter"]) == (node.accounts.global_account.number, system.number)
        ]
        subscription = next(
            call["number"] for call in engine.of("subscribe") if call["subject"] == b"$SYS.REQ.USER.*.INFO"
        )
        asked = b"$SYS.REQ.USER.$G.INFO"
        engine.push(Message(subscription, system.number, asked, b"_INBOX.1", 0, b"", 50))
        engine.push(Message(subscription, system.number, asked, b"_INBOX.2", 0, b"", 999))  # entered elsewhere
        await turn()
        (answer,) = [call for call in engine.of("publish") if call["subject"].startswith(b"_INBOX")]
        assert answer["subject"] == b"_INBOX.1"
        found = json.loads(answer["data"])
        assert found["data"]["account"] == "$G"
        assert found["server"]["id"] == node.identity.server_id

    run(check, engine=engine)


def test_shutdown_is_announced_last(engine: Any) -> None:
    async def check(node: Node) -> None:
        pass

    run(check, engine=engine)
    event = engine.last("publish")
    assert event["subject"].startswith(b"$SYS.SERVER.N")
    assert event["subject"].endswith(b".SHUTDOWN")


def test_system_requests(engine: Any) -> None:
    async def check(node: Node) -> None:
        arrive(engine, 50)
        await turn()
        numbers = {call["subject"].decode(): call["number"] for call in engine.of("subscribe")}
        own = f"$SYS.REQ.SERVER.{node.identity.server_id}."
        system = node.accounts.system
        assert system is not None

        async def ask(subject: str, body: bytes = b"") -> Any:
            before = len(engine.of("publish"))
            engine.push(Message(numbers[subject], system.number, subject.encode(), b"_INBOX.9", 0, body, 50))
            await turn()
            answers = engine.of("publish")[before:]
            return json.loads(answers[0]["data"]) if answers else None

        assert (await ask("$SYS.REQ.SERVER.PING"))["statsz"]["connections"] == 1
        assert (await ask("$SYS.REQ.SERVER.PING", b"{}"))["statsz"]["active_servers"] == 1
        assert await ask("$SYS.REQ.SERVER.PING", b'{"server_name":"nobody"}') is None
        assert (await ask("$SYS.REQ.SERVER.PING.IDZ"))["id"] == node.identity.server_id
        assert (await ask(own + "VARZ"))["data"]["connections"] == 1
        connz = await ask("$SYS.REQ.SERVER.PING.CONNZ", b'{"sort":"","limit":0,"state":2,"acc":""}')
        assert [row["cid"] for row in connz["data"]["connections"]] == [50]
        assert "error" not in connz
        assert (await ask(own + "CONNZ", b'{"sort":"nope"}'))["error"]["code"] == 500
        assert (await ask(own + "CONNZ", b'{"limit":"x"}'))["error"]["code"] == 400
        assert (await ask(own + "CONNZ", b"[1]"))["error"]["code"] == 400
        assert (await ask(own + "HEALTHZ"))["data"] == {"status": "ok", "status_code": 200}
        assert (await ask(own + "KICK", b'{"cid":7}'))["error"]["description"] == "no such client or leafnode id"
        assert "error" not in await ask(own + "LDM", b'{"cid":50}')
        assert json.loads(engine.last("send")["data"][5:])["ldm"] is True
        answer = await ask(own + "KICK", b'{"cid":50}')
        assert "error" not in answer
        assert engine.last("close") == {"link": 50, "reason": CloseReason.KICKED, "error": b""}
        assert await ask(own + "KICK", b"nonsense") is None

    run(check, engine=engine)


def test_without_a_system_account(engine: Any) -> None:
    from gossamer.auth.settings import AuthSettings

    async def check(node: Node) -> None:
        assert node.accounts.system is None
        assert [call["name"] for call in engine.of("account")] == [b"$G"]

    run(check, engine=engine, authorization=AuthSettings(no_system_account=True))
    assert not engine.of("publish")
