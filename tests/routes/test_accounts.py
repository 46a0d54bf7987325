"""Accounts with routes of their own (``cluster.accounts``), with nats-servers (spec routes 4.3, 16)."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import nats
import pytest
from route_real import RealServer, until

from gossamer.auth.settings import AccountSettings, AuthSettings, UserSettings
from gossamer.mesh.life.reloading import apply
from gossamer.mesh.options.options import ClusterOptions, Options
from gossamer.mesh.server import Server

ACCOUNTS = ("A", "B", "C")
USERS = ", ".join(f"{name}: {{users: [{{user: {name.lower()}, password: pw}}]}}" for name in ACCOUNTS)
AUTHORIZATION = AuthSettings(
    accounts=tuple(AccountSettings(name=name) for name in ACCOUNTS),
    users=tuple(UserSettings(name=name.lower(), password="pw", account=name) for name in ACCOUNTS),
)


def options(name: str, routes: tuple[int, ...], accounts: tuple[str, ...], pool_size: int) -> Options:
    return Options(
        host="127.0.0.1",
        port=-1,
        server_name=name,
        authorization=AUTHORIZATION,
        cluster=ClusterOptions(
            name="CL",
            host="127.0.0.1",
            port=-1,
            routes=tuple(f"nats-route://127.0.0.1:{port}" for port in routes),
            accounts=accounts,
            pool_size=pool_size,
        ),
    )


def seen(server: Server) -> dict[str, Counter[str]]:
    """By remote: connections for each account."""
    assert server.node.routes is not None
    found: dict[str, Counter[str]] = {}
    for row in server.node.routes.routez():
        found.setdefault(row.remote_name, Counter())[row.account] += 1
    return found


def seen_by(real: RealServer) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for row in real.routes():
        found.setdefault(str(row["remote_name"]), Counter())[str(row.get("account", ""))] += 1
    return found


def port_of(server: Server) -> int:
    assert server.node.cluster_socket is not None
    return server.node.cluster_socket.port


async def answers(asker: str, server: str, account: str) -> None:
    """A service of the account at one server is reached from the other."""
    async with AsyncExitStack() as stack:
        clients = []
        for url in (server, asker):
            client = await nats.connect(url, user=account.lower(), password="pw", allow_reconnect=False)
            stack.push_async_callback(client.close)
            clients.append(client)
        responder, requestor = clients

        async def respond(message: nats.aio.msg.Msg) -> None:
            await message.respond(account.encode())

        await responder.subscribe("who", cb=respond)
        await responder.flush()
        async with asyncio.timeout(10):
            while True:
                try:
                    answer = await requestor.request("who", b"", timeout=2)
                    break
                except (nats.errors.NoRespondersError, nats.errors.TimeoutError):
                    await asyncio.sleep(0.01)
        assert answer.data == account.encode()


async def every_account_crosses(*urls: str) -> None:
    for account in ACCOUNTS:
        for asker in urls:
            for server in urls:
                if asker != server:
                    await answers(asker, server, account)


class Site:
    """What a test starts, and what ends with it."""

    def __init__(self, directory: Path, stack: AsyncExitStack) -> None:
        self._directory = directory
        self._stack = stack

    async def ours(
        self, *routes: int, accounts: tuple[str, ...] = (), pool_size: int = 3, name: str = "ours"
    ) -> Server:
        server = Server(options(name, routes, accounts, pool_size))
        self._stack.push_async_callback(server.stop)
        return await server.start()

    async def real(
        self, *routes: int, accounts: tuple[str, ...] = (), pool_size: int = 3, name: str = "real"
    ) -> RealServer:
        words = f", accounts: [{', '.join(accounts)}], pool_size: {pool_size}"
        server = RealServer(self._directory, name, routes=routes, cluster=words, more=f"accounts {{ {USERS} }}")
        self._stack.callback(server.stop)
        return await server.start()


def play(directory: Path, scene: Callable[[Site], Awaitable[None]]) -> None:
    async def run() -> None:
        async with AsyncExitStack() as stack:
            await scene(Site(directory, stack))

    asyncio.run(run())


@pytest.mark.parametrize("dial", [True, False], ids=["we-dial", "they-dial"])
@pytest.mark.parametrize(("own", "theirs"), [(3, 3), (1, 3), (5, 2)], ids=["3-3", "1-3", "5-2"])
def test_pinned_accounts_cross(tmp_path: Path, own: int, theirs: int, dial: bool) -> None:
    """Pools of any size: A and B have one connection each, C is in the pool."""

    async def scene(site: Site) -> None:
        pins = ("A", "B")
        if dial:
            real = await site.real(accounts=pins, pool_size=theirs)
            ours = await site.ours(real.route_port, accounts=pins, pool_size=own)
        else:
            ours = await site.ours(accounts=pins, pool_size=own)
            real = await site.real(port_of(ours), accounts=pins, pool_size=theirs)
        whole = Counter({"": max(own, theirs), "$SYS": 1, "A": 1, "B": 1})
        await until(lambda: seen(ours) == {"real": whole} and seen_by(real) == {"ours": whole}, real.log)
        await every_account_crosses(ours.url, real.client_url)

    play(tmp_path, scene)


def test_pinned_accounts_by_gossip(tmp_path: Path) -> None:
    """Nodes that only know the seed meet with all connections."""

    async def scene(site: Site) -> None:
        seed = await site.ours(accounts=("A",), name="seed")
        real = await site.real(port_of(seed), accounts=("A",))
        ours = await site.ours(port_of(seed), accounts=("A",))
        whole = Counter({"": 3, "$SYS": 1, "A": 1})
        await until(lambda: seen(ours) == {"seed": whole, "real": whole}, real.log, 20.0)
        await until(lambda: seen_by(real) == {"seed": whole, "ours": whole}, real.log, 20.0)
        await every_account_crosses(ours.url, real.client_url, seed.url)

    play(tmp_path, scene)


@pytest.mark.parametrize(("own", "theirs"), [(3, -1), (-1, 3)], ids=["they-have-no-pool", "we-have-no-pool"])
def test_without_a_pool_on_one_side(tmp_path: Path, own: int, theirs: int) -> None:
    """Nothing can be pinned between the two: one connection carries everything."""

    async def scene(site: Site) -> None:
        ours = await site.ours(accounts=("A",) if own > 0 else (), pool_size=own)
        real = await site.real(port_of(ours), accounts=("A",) if theirs > 0 else (), pool_size=theirs)
        whole = Counter({"": 1})
        await until(lambda: seen(ours) == {"real": whole} and seen_by(real) == {"ours": whole}, real.log)
        await every_account_crosses(ours.url, real.client_url)

    play(tmp_path, scene)


def test_pinned_by_a_reload(tmp_path: Path) -> None:
    """Two of ours pin an account, and give it back to the pool, while they run."""

    async def scene(site: Site) -> None:
        one = await site.ours(name="one")
        two = await site.ours(port_of(one), name="two")
        plain = Counter({"": 3, "$SYS": 1})
        for accounts, whole in (((), plain), (("B",), plain + Counter({"B": 1})), ((), plain)):
            for server in (one, two):
                now = server.node.options
                assert now.cluster is not None
                cluster = msgspec.structs.replace(now.cluster, accounts=accounts)
                await apply(server.node, msgspec.structs.replace(now, cluster=cluster))
            await until(lambda whole=whole: seen(one) == {"two": whole} and seen(two) == {"one": whole}, str, 20.0)
            await every_account_crosses(one.url, two.url)

    play(tmp_path, scene)
