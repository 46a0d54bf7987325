"""A whole life: keys, claims and a configuration made by the command line, a server that believes them, clients that
connect with the credentials (spec operator-cli checklist 19, 20, 24, 28)."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from gossamer.auth.credentials import load_credentials
from gossamer.mesh.testing.process import SERVER_KINDS, ServerProcess
from gossamer.operator.testing import run, run_ok

TIMEOUT_S = 10


@pytest.fixture(params=list(SERVER_KINDS))
def kind(request: pytest.FixtureRequest) -> type[ServerProcess]:
    """Each kind of server; skipped where it cannot be started, with its own words."""
    found = SERVER_KINDS[request.param]
    reason = found.missing()
    if reason is not None:
        pytest.skip(reason)
    return found


@pytest.fixture
def server(kind: type[ServerProcess], tmp_path: Path, home: Path, keys: Path) -> Iterator[ServerProcess]:
    """A server with the configuration of a chain that the command line made, all accounts in memory."""
    run_ok("init", "DEMO", "--account", "TEAM", "--user", "alice")
    run_ok("account", "create", "OTHER")
    run_ok("user", "create", "olga", "-a", "OTHER")
    run_ok("user", "create", "bob", "--allow-pub", "a.>,_INBOX.>", "--deny-pub", "a.no", "--allow-sub", "a.>,_INBOX.>")
    run_ok("account", "signing-key", "create", "--role", "svc", "--allow-pub", "p.{{name()}}.>", "--allow-sub", ">")
    run_ok("user", "create", "svc1", "-K", "svc")
    with kind(tmp_path, config=run_ok("generate", "config").out) as started:
        yield started


class Heard:
    """The errors a client was told, one at a time."""

    def __init__(self) -> None:
        self.errors: asyncio.Queue[Exception] = asyncio.Queue()

    async def hear(self, error: Exception) -> None:
        self.errors.put_nowait(error)

    async def next(self) -> str:
        return str(await asyncio.wait_for(self.errors.get(), TIMEOUT_S))


@asynccontextmanager
async def client(server: ServerProcess, credentials: Path, heard: Heard | None = None) -> AsyncIterator[Client]:
    # Callbacks instead of user_credentials: for the latter nats.py wants a package that it does not install itself.
    held = load_credentials(credentials)
    connection = Client()
    try:
        await connection.connect(
            server.url,
            user_jwt_cb=lambda: bytearray(held.jwt.encode()),
            signature_cb=lambda nonce: base64.b64encode(held.key.sign(nonce.encode())),
            allow_reconnect=False,
            connect_timeout=TIMEOUT_S,
            error_cb=(heard or Heard()).hear,
        )
        yield connection
    finally:
        await connection.close()
        if connection._transport is not None:
            # nats.py leaves the socket open when it was refused.
            connection._transport.close()  # type: ignore[no-untyped-call]
            with contextlib.suppress(ConnectionError):
                await connection._transport.wait_closed()  # type: ignore[no-untyped-call]


def creds(keys: Path, account: str, user: str) -> Path:
    return keys / "creds" / "DEMO" / account / f"{user}.creds"


def test_users_connect_talk_and_are_kept_apart(server: ServerProcess, keys: Path) -> None:
    async def life() -> None:
        async with (
            client(server, creds(keys, "TEAM", "alice")) as alice,
            client(server, creds(keys, "OTHER", "olga")) as olga,
            client(server, creds(keys, "SYS", "sys")) as system,
        ):
            heard_by_olga = await olga.subscribe("a.>")
            heard_by_alice = await alice.subscribe("a.>")
            await olga.flush()
            await alice.flush()
            await alice.publish("a.b", b"for the team")
            message = await heard_by_alice.next_msg(TIMEOUT_S)
            assert (message.subject, message.data) == ("a.b", b"for the team")
            # Had olga been given it, it would be here by now: her own message comes after it.
            await alice.flush()
            await olga.publish("a.mine", b"mine")
            assert (await heard_by_olga.next_msg(TIMEOUT_S)).subject == "a.mine"
            assert system.is_connected

    asyncio.run(life())


def test_permissions_hold_and_are_explained(server: ServerProcess, keys: Path) -> None:
    async def life() -> None:
        heard = Heard()
        async with client(server, creds(keys, "TEAM", "bob"), heard) as bob:
            await bob.publish("a.no", b"")
            assert 'permissions violation for publish to "a.no"' in (await heard.next()).lower()
            await bob.subscribe("b.x")
            assert 'permissions violation for subscription to "b.x"' in (await heard.next()).lower()
        async with client(server, creds(keys, "TEAM", "svc1"), heard) as service:
            await service.publish("p.other.x", b"")
            assert "permissions violation" in (await heard.next()).lower()
            mine = await service.subscribe("p.svc1.x")
            await service.publish("p.svc1.x", b"ok")
            assert (await mine.next_msg(TIMEOUT_S)).data == b"ok"

    asyncio.run(life())
    for user, subject, allowed in [("bob", "a.no", False), ("svc1", "p.other.x", False), ("svc1", "p.svc1.x", True)]:
        assert run_ok("explain", "pub", user, subject, "--json").data["allowed"] is allowed
    assert not run_ok("explain", "sub", "bob", "b.x", "--json").data["allowed"]


def test_a_deleted_user_stays_out(server: ServerProcess, tmp_path: Path, keys: Path) -> None:
    async def connects(path: Path, to: ServerProcess = server) -> bool:
        try:
            async with client(to, path):
                return True
        except NatsError:
            return False

    path = creds(keys, "TEAM", "bob")
    assert asyncio.run(connects(path))
    run_ok("user", "delete", "bob", "-a", "TEAM")
    with type(server)(tmp_path / "later", config=run_ok("generate", "config").out) as later:
        assert not asyncio.run(connects(path, later))
        assert asyncio.run(connects(creds(keys, "TEAM", "alice"), later))
    # Made anew, with a new key: that one is let in, the old credentials are not.
    old = path.read_text()
    run_ok("user", "create", "bob", "-a", "TEAM")
    with type(server)(tmp_path / "last", config=run_ok("generate", "config").out) as last:
        assert asyncio.run(connects(path, last))
        path.write_text(old)
        assert not asyncio.run(connects(path, last))


def test_foreign_credentials_are_refused(server: ServerProcess, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    run_ok("init", "DEMO", "-H", str(elsewhere))

    async def life() -> None:
        with pytest.raises(NatsError, match=r"(?i)authorization violation"):
            async with client(server, elsewhere / "creds" / "DEMO" / "DEMO" / "DEMO.creds"):
                pass

    asyncio.run(life())


@pytest.mark.parametrize("form", ["--nats-resolver", "--nats-resolver-cache"])
def test_resolver_directories(kind: type[ServerProcess], form: str, tmp_path: Path, home: Path, keys: Path) -> None:
    run_ok("operator", "create", "DEMO", "--sys", "--generate-signing-key")
    run_ok("operator", "edit", "--require-signing-keys")
    target = tmp_path / "resolver.conf"
    run_ok("generate", "config", form, "--dir", str(tmp_path / "jwt"), "--config-file", str(target))

    async def life(server: ServerProcess) -> None:
        async with client(server, creds(keys, "SYS", "sys")) as system:
            await system.flush()

    with kind(tmp_path, config=target.read_text()) as server:
        asyncio.run(life(server))


def test_the_store_of_nsc_serves_too(
    kind: type[ServerProcess], nsc: list[str], nsc_store: Path, tmp_path: Path
) -> None:
    folder = nsc_store / "keys" / "creds" / "ACME"

    async def life(server: ServerProcess) -> None:
        for name in ("TEAM/alice", "TEAM/svc1", "SYS/sys"):
            async with client(server, folder / f"{name}.creds") as connection:
                await connection.flush()
        with pytest.raises(NatsError):
            async with client(server, folder / "TEAM" / "leaked.creds"):
                pass

    run_ok("account", "edit", "TEAM", "--conns", "3", *nsc)
    with kind(tmp_path / "server", config=run_ok("generate", "config", *nsc).out) as server:
        asyncio.run(life(server))


def test_nats_py_reads_our_credentials(home: Path, keys: Path) -> None:
    run_ok("init", "DEMO")
    path = creds(keys, "DEMO", "DEMO")
    held = load_credentials(path)
    reader = Client()
    assert bytes(reader._read_creds_user_jwt(str(path))).decode() == held.jwt
    assert bytes(reader._read_creds_user_nkey(str(path))).decode() == held.seed


def test_a_configuration_needs_an_operator_and_a_system_account() -> None:
    run_ok("operator", "create", "BARE")
    refused = run("generate", "config", "--nats-resolver")
    assert refused.code == 1
    assert "system account is not set" in refused.err
    assert "resolver: MEMORY" in run_ok("generate", "config").out
