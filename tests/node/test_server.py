"""The embedded server with the real engine and a real client."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import nats
import pytest
from nats.errors import NoRespondersError

from gossamer.auth.claims import AccountClaims, OperatorClaims, SubjectList, UserClaims, UserGrant
from gossamer.auth.claims import AccountLimits as JwtLimits
from gossamer.auth.credentials import Credentials
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.permissions import Permissions, SubjectPermissions
from gossamer.auth.settings import AccountLimits, AccountSettings, AuthSettings, ResolverSettings, UserSettings
from gossamer.mesh import Server
from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.life.lame_duck import leave
from gossamer.mesh.life.reloading import ReloadRefused, apply
from gossamer.mesh.options.options import LameDuckOptions, LimitOptions, MonitorOptions

# nats-py leaves its transport to the garbage collector when the server ends a connection.
pytestmark = [
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


async def client(server: Server, **more: Any) -> Any:
    return await nats.connect(server.url, allow_reconnect=False, **more)


async def until(condition: Any) -> None:
    """Wait for what another thread makes true."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end, "it does not happen"
        await asyncio.sleep(0.002)


def test_publish_and_subscribe() -> None:
    async def run() -> None:
        async with Server(port=-1) as server:
            connection = await client(server, name="me")
            subscription = await connection.subscribe("a.*")
            await connection.publish("a.b", b"hello", reply="r", headers={"k": "v"})
            message = await subscription.next_msg(timeout=5)
            assert (message.subject, message.data, message.reply, message.headers) == ("a.b", b"hello", "r", {"k": "v"})
            with pytest.raises(NoRespondersError):
                await connection.request("nobody", b"", timeout=5)
            await connection.close()
            await until(lambda: len(server.node.clients) == 0)
            (entry,) = server.node.clients.closed
            assert entry.name == "me"
            assert entry.reason is CloseReason.CLIENT_CLOSED
            assert (entry.in_messages, entry.out_messages) == (2, 2)

    asyncio.run(run())


def test_it_starts_quickly_and_again() -> None:
    async def run() -> None:
        started = time.perf_counter()
        for _ in range(5):
            server = Server(port=-1)
            await server.start()
            await server.stop()
            await server.stop()  # harmless
        assert (time.perf_counter() - started) / 5 < 0.1

    asyncio.run(run())


def test_two_servers_in_one_program() -> None:
    async def run() -> None:
        async with Server(port=-1, server_name="one") as one, Server(port=-1, server_name="two") as two:
            assert one.url != two.url
            first, second = await client(one), await client(two)
            heard = await second.subscribe(">")
            await second.flush()
            await first.publish("x", b"")
            await first.flush()
            await second.publish("y", b"")
            assert (await heard.next_msg(timeout=5)).subject == "y"
            await first.close()
            await second.close()

    asyncio.run(run())


def test_unknown_fields_and_double_sources_are_refused() -> None:
    with pytest.raises(TypeError):
        Server(colour="red")
    with pytest.raises(TypeError):
        Server(Server().options, config="x.conf")


def test_a_configuration_file(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.conf"
    path.write_text("listen: 127.0.0.1:-1\nserver_name: filed\nmax_payload: 2000\n")

    async def run() -> None:
        async with Server(config=str(path), log=True) as server:
            connection = await client(server)
            assert connection.max_payload == 2000
            assert server.node.name == "filed"
            await connection.close()

    asyncio.run(run())
    assert "[INF] Server is ready" in capfd.readouterr().err
    path.write_text("max_payload: nonsense\n")
    with pytest.raises(ValueError, match=r"a\.conf:1:"):
        Server(config=str(path))


def test_shutdown_closes_clients() -> None:
    async def run() -> None:
        closed = asyncio.Event()

        async def gone() -> None:
            closed.set()

        server = await Server(port=-1).start()
        connection = await client(server, closed_cb=gone)
        await server.stop()
        await asyncio.wait_for(closed.wait(), 5)
        assert connection.is_closed
        assert [entry.reason for entry in server.node.clients.closed] == [CloseReason.SERVER_SHUTDOWN]

    asyncio.run(run())


ALICE = UserSettings(
    name="alice",
    password="p",
    account="A",
    permissions=Permissions(publish=SubjectPermissions(allow=("ok.>", "$SYS.REQ.USER.INFO"))),
)
BOB = UserSettings(name="bob", password="p", account="B")
SETTINGS = AuthSettings(
    users=(ALICE, BOB, UserSettings(name="sys", password="p", account="$SYS")),
    accounts=(AccountSettings(name="A"), AccountSettings(name="B", limits=AccountLimits(max_connections=1))),
)


def test_accounts_are_isolated_and_users_know_who_they_are() -> None:
    async def run() -> None:
        async with Server(port=-1, authorization=SETTINGS) as server:
            alice, bob = (
                await client(server, user="alice", password="p"),
                await client(server, user="bob", password="p"),
            )
            heard = await bob.subscribe(">")
            await bob.flush()
            await alice.publish("ok.1", b"from a")
            await alice.flush()
            await bob.publish("own", b"")
            assert (await heard.next_msg(timeout=5)).subject == "own"
            answer = json.loads((await alice.request("$SYS.REQ.USER.INFO", b"", timeout=5)).data)["data"]
            assert (answer["user"], answer["account"]) == ("alice", "A")
            assert answer["permissions"] == {"publish": {"allow": ["ok.>", "$SYS.REQ.USER.INFO"]}}
            with pytest.raises(nats.errors.Error, match="maximum account active connections exceeded"):
                await client(server, user="bob", password="p")
            with pytest.raises(nats.errors.Error, match=r"(?i)authorization violation"):
                await client(server, user="alice", password="wrong")
            await alice.publish("no.1", b"")
            await alice.flush()
            await until(lambda: len(server.node.clients.denials) == 1)
            (denial,) = server.node.clients.denials
            assert (denial.user, denial.subject, denial.rule) == ("alice", "no.1", "no allow entry covers it")
            await alice.close()
            await bob.close()

    asyncio.run(run())


def test_the_system_account_is_asked_over_the_wire() -> None:
    async def run() -> None:
        async with Server(port=-1, authorization=SETTINGS) as server:
            system = await client(server, user="sys", password="p")
            bob = await client(server, user="bob", password="p")
            subject = f"$SYS.REQ.SERVER.{server.node.identity.server_id}"
            connz = json.loads((await system.request(f"{subject}.CONNZ", b'{"auth":true}', timeout=5)).data)["data"]
            assert {row["authorized_user"] for row in connz["connections"]} == {"sys", "bob"}
            (cid,) = [row["cid"] for row in connz["connections"] if row["authorized_user"] == "bob"]
            shutdown = await system.subscribe("$SYS.SERVER.*.SHUTDOWN")
            await system.request(f"{subject}.KICK", json.dumps({"cid": cid}).encode(), timeout=5)
            await until(lambda: [entry.reason for entry in server.node.clients.closed] == [CloseReason.KICKED])
            await until(lambda: bob.is_closed)
            await server.stop()
            assert (await shutdown.next_msg(timeout=5)).data

    asyncio.run(run())


def test_operator_mode() -> None:
    operator, account, user = (KeyPair.generate(kind) for kind in (KeyKind.OPERATOR, KeyKind.ACCOUNT, KeyKind.USER))
    operator_jwt = encode(OperatorClaims(subject=operator.public, name="O"), operator)
    account_jwt = encode(AccountClaims(subject=account.public, name="tenant", limits=JwtLimits.fresh()), operator)
    expires = int(time.time()) + 2
    grant = UserGrant(publish=SubjectList(allow=("ok.>",)))
    claims = UserClaims(subject=user.public, name="alice", expires=expires, grant=grant)
    user_jwt = encode(claims, account)
    settings = AuthSettings(
        operators=(operator_jwt,),
        resolver=ResolverSettings(kind="memory"),
        resolver_preload=((account.public, account_jwt),),
    )

    async def run() -> None:
        async with Server(port=-1, authorization=settings) as server:
            errors: list[str] = []

            async def failed(error: Exception) -> None:
                errors.append(str(error))

            options = Credentials(jwt=user_jwt, claims=claims, seed=user.seed).client_options()
            connection = await client(server, error_cb=failed, **options)
            (known,) = server.node.clients
            assert known.user == user.public
            assert known.account is not None
            assert (known.account.name, known.account.label) == (account.public, "tenant")
            assert known.admission is not None
            assert known.admission.claims is None  # not kept: it is large
            await until(lambda: connection.is_closed)
            assert any("User Authentication Expired" in text for text in errors) or connection.last_error
            await until(lambda: len(server.node.clients) == 0)
            (entry,) = server.node.clients.closed
            assert entry.reason is CloseReason.AUTHENTICATION_EXPIRED

    asyncio.run(run())


def test_lame_duck_ends_clients_one_by_one() -> None:
    async def run() -> None:
        quick = LameDuckOptions(duration_ns=60_000_000, grace_period_ns=10_000_000)
        async with Server(port=-1, lame_duck=quick) as server:
            told = asyncio.Event()

            async def hear() -> None:
                told.set()

            clients = [await client(server, lame_duck_mode_cb=hear) for _ in range(3)]
            await leave(server.node)
            await asyncio.wait_for(told.wait(), 5)
            await until(lambda: all(one.is_closed for one in clients))
            assert {entry.reason for entry in server.node.clients.closed} == {CloseReason.SERVER_SHUTDOWN}
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(server.host, server.port)

    asyncio.run(run())


def test_reload_refuses_as_a_whole() -> None:
    async def run() -> None:
        async with Server(port=-1) as server:
            before = server.node.options
            now = msgspec.structs.replace(
                before, port=server.port + 1, limits=msgspec.structs.replace(before.limits, max_payload=77)
            )
            with pytest.raises(ReloadRefused, match="config reload not supported for Port"):
                await apply(server.node, now)
            assert server.node.options is before

    asyncio.run(run())


def test_reload_changes_users_limits_and_info() -> None:
    async def run() -> None:
        async with Server(port=-1, authorization=SETTINGS) as server:
            alice, bob = (
                await client(server, user="alice", password="p"),
                await client(server, user="bob", password="p"),
            )
            await alice.subscribe("old.a")
            await alice.flush()
            changed = UserSettings(
                name="alice",
                password="p",
                account="A",
                permissions=Permissions(subscribe=SubjectPermissions(deny=("old.>",))),
            )
            settings = msgspec.structs.replace(SETTINGS, users=(changed, SETTINGS.users[2]))  # bob is gone
            await apply(
                server.node,
                msgspec.structs.replace(
                    server.node.options, authorization=settings, limits=LimitOptions(max_payload=1000)
                ),
            )
            await until(lambda: bob.is_closed)
            await until(lambda: server.node.engine.totals().subscriptions == len(server.node._subscribers))
            assert alice.is_connected
            newcomer = await client(server, user="alice", password="p")
            assert newcomer.max_payload == 1000
            await newcomer.close()
            await alice.close()

    asyncio.run(run())


def test_monitoring_of_the_real_engine() -> None:
    async def run() -> None:
        import aiohttp

        monitor = MonitorOptions(host="127.0.0.1", port=-1)
        async with Server(port=-1, monitor=monitor) as server, aiohttp.ClientSession() as http:
            connection = await client(server, name="m")
            await connection.subscribe("a.>", "q")
            await connection.publish("a.b", b"12345")
            await connection.flush()

            async def get(path: str) -> Any:
                async with http.get(server.monitor_url + path) as answer:
                    return await answer.json()

            varz = await get("/varz")
            assert (varz["in_msgs"], varz["out_msgs"], varz["in_bytes"]) == (1, 1, 5)
            assert varz["in_client_msgs"] == 1
            (row,) = (await get("/connz?subs=detail"))["connections"]
            assert (row["in_msgs"], row["out_msgs"], row["subscriptions"]) == (1, 1, 1)
            (detail,) = row["subscriptions_list_detail"]
            assert (detail["subject"], detail["qgroup"], detail["msgs"]) == ("a.>", "q", 1)
            assert row["last_activity"] >= row["start"]
            subsz = await get("/subsz?subs=1&test=a.x")
            assert [entry["subject"] for entry in subsz["subscriptions_list"]] == ["a.>"]
            await connection.close()

    asyncio.run(run())
