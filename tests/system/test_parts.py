"""The parts on a fake engine and a clock that the test turns: what is not said, what is said once, who is forgotten."""

import asyncio
import importlib.util
import json
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from gossamer.auth.settings import AccountLimits, AccountSettings, AuthSettings, UserSettings
from gossamer.mesh.engine.events import Closed, Hello, Message, Opened
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.node import Node
from gossamer.mesh.options.options import Options
from gossamer.mesh.world import real_world

SECOND_NS = 1_000_000_000


class Clock:
    """Stands still until it is turned, or goes on a step each time it is looked at."""

    def __init__(self) -> None:
        self.now_ns = 1_700_000_000 * SECOND_NS
        self.step_ns = 0

    def wall_ns(self) -> int:
        return self.now_ns

    def monotonic_ns(self) -> int:
        self.now_ns += self.step_ns
        return self.now_ns


def _fake_engine() -> Any:
    path = Path(__file__).parents[1] / "node" / "fake_engine.py"
    spec = importlib.util.spec_from_file_location("system_tests_fake_engine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.FakeEngine()


class Desk:
    """A node whose engine only notes what it is told."""

    def __init__(self, accounts: int = 1, limit: int = -1) -> None:
        names = [f"A{number}" for number in range(accounts)]
        self.clock = Clock()
        self.engine = _fake_engine()
        settings = AuthSettings(
            accounts=tuple(
                AccountSettings(name=name, limits=AccountLimits(max_connections=limit)) for name in [*names, "SYS"]
            ),
            users=(
                *(UserSettings(name=f"u{name}", password="p", account=name) for name in names),
                UserSettings(name="sys", password="p", account="SYS"),
            ),
            system_account="SYS",
        )
        world = msgspec.structs.replace(real_world(), clock=self.clock)
        self.node = Node(Options(host="127.0.0.1", port=-1, authorization=settings), world, engine=self.engine)

    def come(self, link: int, user: str) -> None:
        self.engine.push(Opened(link, 1, LinkKind.CLIENT, "127.0.0.1", 1))
        self.engine.push(Hello(link, json.dumps({"user": user, "pass": "p"}).encode(), False, b""))

    def go(self, link: int) -> None:
        self.engine.push(Closed(link, CloseReason.CLIENT_CLOSED, b"", 0, 0, 0, 0, 0, 0, 0))

    def listened(self, kind: LinkKind = LinkKind.CLIENT) -> None:
        """From now on somebody hears everything."""
        self.engine.details = [SimpleNamespace(link=1, kind=kind)]

    async def turn(self) -> None:
        """What was pushed is handled, and what follows from it."""
        self.node.pump.finish()
        await asyncio.sleep(0)
        await asyncio.sleep(0)

    def said(self) -> list[tuple[str, Any]]:
        """What was published since the last call."""
        calls = [call for call in self.engine.calls if call[0] == "publish"]
        found = [(call[1]["subject"].decode(), json.loads(call[1]["data"])) for call in calls]
        self.engine.calls = [call for call in self.engine.calls if call[0] != "publish"]
        return found

    def hear(self, subject: str, body: Any, *, asked: str = "", link: int = 77) -> None:
        """A message for the node's own subscription on ``asked``."""
        number = next(
            call["number"] for call in self.engine.of("subscribe") if call["subject"] == (asked or subject).encode()
        )
        system = self.node.accounts.system
        assert system is not None
        self.engine.push(Message(number, system.number, subject.encode(), b"", 0, json.dumps(body).encode(), link))


def run(test: Callable[[Desk], Awaitable[None]], **arguments: Any) -> None:
    async def whole() -> None:
        desk = Desk(**arguments)
        await desk.node.start()
        try:
            await test(desk)
        finally:
            await desk.node.stop()

    asyncio.run(whole())


def test_accounts_cost_no_subscriptions() -> None:
    counts = []
    for accounts in (1, 50):

        async def check(desk: Desk) -> None:
            counts.append((len(desk.engine.of("subscribe")), len(desk.engine.of("service_import"))))

        run(check, accounts=accounts)
    (few, imports), (many, more_imports) = counts
    assert few == many
    assert more_imports - imports == 4 * 49


def test_nothing_is_said_where_nobody_can_listen() -> None:
    async def check(desk: Desk) -> None:
        desk.listened()  # even then: there is no client of the system account, no other server
        desk.come(10, "uA0")
        await desk.turn()
        desk.go(10)
        await desk.turn()
        assert desk.said() == []
        desk.come(11, "sys")
        desk.come(12, "uA0")
        await desk.turn()
        assert [subject for subject, _ in desk.said()] == [
            "$SYS.SERVER.ACCOUNT.SYS.CONNS",
            "$SYS.ACCOUNT.SYS.SERVER.CONNS",
            "$SYS.ACCOUNT.SYS.CONNECT",
            "$SYS.SERVER.ACCOUNT.A0.CONNS",
            "$SYS.ACCOUNT.A0.SERVER.CONNS",
            "$SYS.ACCOUNT.A0.CONNECT",
        ]

    run(check)


def test_nothing_is_said_that_nobody_hears() -> None:
    async def check(desk: Desk) -> None:
        desk.come(11, "sys")
        desk.come(12, "uA0")
        await desk.turn()
        desk.go(12)
        await desk.turn()
        assert desk.said() == []

    run(check)


def test_numbers_of_one_moment_are_told_once() -> None:
    async def check(desk: Desk) -> None:
        desk.come(9, "sys")
        await desk.turn()
        desk.listened()
        for link in range(10, 20):
            desk.come(link, "uA0")
        await desk.turn()
        said = desk.said()
        numbers = [body["conns"] for subject, body in said if subject == "$SYS.ACCOUNT.A0.SERVER.CONNS"]
        assert numbers == [10]
        came = [body["client"]["id"] for subject, body in said if subject == "$SYS.ACCOUNT.A0.CONNECT"]
        assert came == list(range(10, 20))
        assert len({body["id"] for subject, body in said if subject.endswith("CONNECT")}) == 10
        numbered = [body["server"]["seq"] for _, body in said]
        assert numbered == list(range(numbered[0], numbered[0] + len(said)))

    run(check)


def test_much_is_told_in_slices() -> None:
    async def check(desk: Desk) -> None:
        desk.come(9, "sys")
        await desk.turn()
        desk.listened()
        desk.said()
        for link in range(100, 300):
            desk.come(link, "uA0")
        desk.node.pump.finish()
        desk.clock.step_ns = 1_000_000  # from now on each look at the clock costs a millisecond
        told: list[int] = []
        turns = 0
        while len(told) < 200:
            await asyncio.sleep(0)
            turns += 1
            told += [body["client"]["id"] for subject, body in desk.said() if subject == "$SYS.ACCOUNT.A0.CONNECT"]
        assert told == list(range(100, 300))
        assert turns > 2

    run(check)


def test_numbers_are_repeated_while_there_are_clients() -> None:
    async def check(desk: Desk) -> None:
        system = desk.node.system
        assert system is not None
        desk.come(9, "sys")
        desk.come(10, "uA0")
        desk.listened()
        await desk.turn()
        system.counts.repeat()
        desk.said()
        desk.clock.now_ns += 29 * SECOND_NS
        system.counts.repeat()
        assert desk.said() == []
        desk.clock.now_ns += 1 * SECOND_NS
        system.counts.repeat()
        assert sorted(body["acc"] for _, body in desk.said()) == ["A0", "A0", "SYS", "SYS"]
        desk.go(10)
        await desk.turn()
        assert [body["conns"] for subject, body in desk.said() if subject == "$SYS.ACCOUNT.A0.SERVER.CONNS"] == [0]
        desk.clock.now_ns += 31 * SECOND_NS
        system.counts.repeat()
        assert {body["acc"] for _, body in desk.said()} == {"SYS"}

    run(check)


def server(name: str, sequence: int) -> dict[str, Any]:
    return {"name": name, "host": "h", "id": name, "ver": "2", "jetstream": False, "flags": 0, "seq": sequence,
            "time": "2026-11-23T14:15:11Z"}  # fmt: skip


def test_servers_that_are_silent_are_forgotten() -> None:
    async def check(desk: Desk) -> None:
        system = desk.node.system
        assert system is not None
        account = desk.node.accounts.find("A0")
        assert account is not None
        for name in ("N1", "N2"):
            desk.hear(f"$SYS.SERVER.{name}.STATSZ", {"server": server(name, 5)}, asked="$SYS.SERVER.*.STATSZ")
            told = {"server": server(name, 6), "acc": "A0", "conns": 3, "leafnodes": 2}
            desk.hear("$SYS.SERVER.ACCOUNT.A0.CONNS", told, asked="$SYS.SERVER.ACCOUNT.*.CONNS")
        await desk.turn()
        assert system.known.active == 3
        assert (account.remote_clients, account.remote_leafnodes) == (6, 4)
        desk.clock.now_ns += 100 * SECOND_NS
        desk.hear("$SYS.SERVER.N1.STATSZ", {"server": server("N1", 7)}, asked="$SYS.SERVER.*.STATSZ")
        desk.hear("$SYS.SERVER.N2.STATSZ", {"server": server("N2", 5)}, asked="$SYS.SERVER.*.STATSZ")  # an old one
        await desk.turn()
        desk.clock.now_ns += 60 * SECOND_NS
        system.known.forget_silent()
        assert system.known.active == 2
        assert (account.remote_clients, account.remote_leafnodes) == (3, 2)
        desk.hear("$SYS.SERVER.N1.SHUTDOWN", server("N1", 8), asked="$SYS.SERVER.*.SHUTDOWN")
        await desk.turn()
        assert system.known.active == 1
        assert account.remote_clients == 0

    run(check)


def test_a_new_server_is_told_of_us_and_asked() -> None:
    async def check(desk: Desk) -> None:
        desk.come(9, "sys")
        desk.come(10, "uA0")
        await desk.turn()
        desk.listened(LinkKind.ROUTE)
        desk.said()
        desk.hear("$SYS.SERVER.N1.STATSZ", {"server": server("N1", 5)}, asked="$SYS.SERVER.*.STATSZ")
        await desk.turn()
        subjects = [subject for subject, _ in desk.said()]
        identity = desk.node.identity.server_id
        assert f"$SYS.SERVER.{identity}.STATSZ" in subjects
        assert "$SYS.REQ.ACCOUNT.A0.CONNS" in subjects
        asked = [call for call in desk.engine.of("subscribe") if call["subject"] == f"$SYS._INBOX_.{identity}".encode()]
        assert len(asked) == 1

    run(check, limit=5)


@pytest.mark.parametrize(
    "text",
    [b"", b"nothing", b"[]", b"{}", b'{"server":{}}', b'{"server":{"id":5}}', b'{"server":null}', b"\xff", b"[" * 5000],
    ids=range(9),
)
def test_nonsense_from_others_is_passed_over(text: bytes) -> None:
    async def check(desk: Desk) -> None:
        system = desk.node.system
        assert system is not None
        account = desk.node.accounts.system
        assert account is not None
        failures: list[Exception] = []
        desk.node.pump._failed = failures.append
        for call in desk.engine.of("subscribe"):
            subject = call["subject"].replace(b"*", b"A0")
            if call["subject"].endswith(b".RELOAD"):
                continue
            desk.engine.push(Message(call["number"], account.number, subject, b"_INBOX.1", 0, text, 77))
        await desk.turn()
        assert failures == []
        assert system.known.active == 1

    run(check)
