"""What the command line shares is shared by servers: ours and nats-server (spec operator-cli checklist 25, 27, 28)."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from gossamer.auth.credentials import load_credentials
from gossamer.mesh.testing.process import SERVER_KINDS, ServerProcess
from gossamer.operator.testing import run_ok

TIMEOUT_S = 10


@pytest.fixture(params=list(SERVER_KINDS))
def kind(request: pytest.FixtureRequest) -> type[ServerProcess]:
    """Each kind of server; skipped where it cannot be started, with its own words."""
    found = SERVER_KINDS[request.param]
    reason = found.missing()
    if reason is not None:
        pytest.skip(reason)
    return found


@pytest.fixture(autouse=True)
def chain(home: Path) -> None:
    """Account A offers a private service, a public stream and one with the importer's key in it; B uses them."""
    run_ok("operator", "create", "OP", "--sys", "--generate-signing-key")
    for account, user in (("A", "ann"), ("B", "bob")):
        run_ok("account", "create", account)
        run_ok("user", "create", user, "-a", account)
    run_ok("export", "create", "q.*", "-a", "A", "--service", "--private")
    run_ok("export", "create", "news.>", "-a", "A")
    run_ok("export", "create", "for.*.>", "-a", "A", "--account-token-position", "2")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "q.x", "--local-subject", "team.q")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "news.>", "--local-subject", "from.a.>")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "for.*.x", "--local-subject", "mine")
    run_ok("mapping", "create", "-a", "A", "-f", "old.*", "-t", "news.$1")


@asynccontextmanager
async def client(server: ServerProcess, keys: Path, account: str, user: str) -> AsyncIterator[Client]:
    options = load_credentials(keys / "creds" / "OP" / account / f"{user}.creds").client_options()
    connection = Client()
    try:
        await connection.connect(server.url, allow_reconnect=False, connect_timeout=TIMEOUT_S, **options)
        yield connection
    finally:
        await connection.close()
        if connection._transport is not None:
            # nats.py leaves the socket open when it was refused.
            connection._transport.close()  # type: ignore[no-untyped-call]
            with contextlib.suppress(ConnectionError):
                await connection._transport.wait_closed()  # type: ignore[no-untyped-call]


def key_of(account: str) -> str:
    key: str = run_ok("account", "describe", account, "--json").data["sub"]
    return key


async def answers(server: ServerProcess, keys: Path) -> str:
    """What bob is told when he asks."""
    async with client(server, keys, "A", "ann") as ann, client(server, keys, "B", "bob") as bob:

        async def answer(message: Msg) -> None:
            await message.respond(b"from A")

        await ann.subscribe("q.x", cb=answer)
        await ann.flush()
        return (await bob.request("team.q", b"", timeout=TIMEOUT_S)).data.decode()


def test_shared_subjects(kind: type[ServerProcess], tmp_path: Path, keys: Path) -> None:
    async def life(server: ServerProcess) -> None:
        assert await answers(server, keys) == "from A"
        async with client(server, keys, "A", "ann") as ann, client(server, keys, "B", "bob") as bob:
            news, mine = await bob.subscribe("from.a.>"), await bob.subscribe("mine")
            await bob.flush()
            await ann.publish("news.today", b"1")
            await ann.publish("old.tomorrow", b"2")
            await ann.publish(f"for.{key_of('A')}.x", b"not his")
            await ann.publish(f"for.{key_of('B')}.x", b"his")
            subjects = [(await news.next_msg(TIMEOUT_S)).subject for _ in range(2)]
            assert subjects == ["from.a.today", "from.a.tomorrow"]
            assert (await mine.next_msg(TIMEOUT_S)).data == b"his"

    with kind(tmp_path, config=run_ok("generate", "config").out) as server:
        asyncio.run(life(server))


def test_a_revoked_activation_ends_it(kind: type[ServerProcess], tmp_path: Path, keys: Path) -> None:
    run_ok("activation", "revoke", "-a", "A", "-s", "q.*", "-t", "B")
    revoked = kind(tmp_path / "revoked", config=run_ok("generate", "config").out)
    with revoked as server, pytest.raises((NatsError, TimeoutError)):
        asyncio.run(answers(server, keys))
    run_ok("import", "edit", "team.q", "-a", "B")  # grants anew
    with kind(tmp_path / "granted", config=run_ok("generate", "config").out) as server:
        assert asyncio.run(answers(server, keys)) == "from A"


def test_a_closed_account_is_closed(kind: type[ServerProcess], tmp_path: Path, keys: Path) -> None:
    run_ok("account", "close", "A")

    async def life(server: ServerProcess) -> None:
        with pytest.raises(NatsError):
            async with client(server, keys, "A", "ann"):
                pass
        async with client(server, keys, "B", "bob") as bob:
            await bob.flush()

    with kind(tmp_path, config=run_ok("generate", "config").out) as server:
        asyncio.run(life(server))
    run_ok("user", "create", "late", "-a", "A")  # issued after the revocation, and kept out by the limit
    with kind(tmp_path / "late", config=run_ok("generate", "config").out) as server, pytest.raises(NatsError):
        asyncio.run(_connect(server, keys))


async def _connect(server: ServerProcess, keys: Path) -> None:
    async with client(server, keys, "A", "late") as late:
        await late.flush()
