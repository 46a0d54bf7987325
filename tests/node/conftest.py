"""A node on a fake engine, whose parts can be looked at."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gossamer.auth.settings import AuthSettings
from gossamer.mesh.accounts.registry import Accounts
from gossamer.mesh.engine.events import Closed, Hello, Opened
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.logs.log import Log
from gossamer.mesh.options.options import LimitOptions
from gossamer.mesh.peers.clients import Clients
from gossamer.mesh.peers.engine_time import EngineTime
from gossamer.mesh.peers.greeting import Greeting, Placeholders
from gossamer.mesh.peers.judge import Judge
from gossamer.mesh.peers.welcome import Welcome


def _load(name: str) -> Any:
    """A module beside this file; test folders are no packages."""
    spec = importlib.util.spec_from_file_location(f"node_tests_{name}", Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


FakeEngine = _load("fake_engine").FakeEngine


class FixedClock:
    """Both clocks stand until a test moves them."""

    def __init__(self) -> None:
        self.wall = 1_700_000_000_000_000_000
        self.monotonic = 5_000_000_000

    def wall_ns(self) -> int:
        return self.wall

    def monotonic_ns(self) -> int:
        return self.monotonic

    def advance(self, seconds: float) -> None:
        self.wall += int(seconds * 1e9)
        self.monotonic += int(seconds * 1e9)


class Lines:
    """A log destination that keeps the lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def write(self, line: bytes) -> None:
        self.lines.append(line.decode())

    def reopen(self) -> None: ...

    def close(self) -> None: ...


class Desk:
    """The client part of a node, and short ways to play the engine."""

    def __init__(
        self, settings: AuthSettings | None = None, limits: LimitOptions | None = None, **greeting: Any
    ) -> None:
        self.engine = FakeEngine()
        self.clock = FixedClock()
        self.lines = Lines()
        self.log = Log(self.clock, self.lines, debugging=True)
        settings = settings or AuthSettings()
        limits = limits or LimitOptions()
        self.judge = Judge(settings, self.clock)
        self.accounts = Accounts(self.engine, settings, system=self.judge.system_account)
        fields: dict[str, Any] = {
            "server_id": "NID",
            "server_name": "n1",
            "host": "127.0.0.1",
            "port": 4222,
            "headers": True,
            "auth_required": self.judge.announced,
            "max_payload": limits.max_payload,
            "nonces": self.judge.wants_nonce,
        }
        self.welcome = Welcome(Greeting(**(fields | greeting)), Placeholders(0, 1, 2))
        self.clients = Clients(
            self.engine,
            accounts=self.accounts,
            judge=self.judge,
            welcome=self.welcome,
            limits=limits,
            engine_time=EngineTime(self.engine, self.clock),
            clock=self.clock,
            log=self.log,
        )
        self.links = 100

    def open(self, host: str = "127.0.0.1", port: int = 5555) -> int:
        self.links += 1
        self.clients.opened(Opened(self.links, 1, LinkKind.CLIENT, host, port))
        return self.links

    def hello(self, connect: bytes | None, *, link: int = 0, again: bool = False, nonce: bytes = b"") -> int:
        """A (new) link says CONNECT; the link's id."""
        link = link or self.open()
        self.clients.hello(Hello(link, connect, again, nonce))
        return link

    def close(self, link: int, reason: CloseReason = CloseReason.CLIENT_CLOSED, error: bytes = b"") -> None:
        self.clients.ended(Closed(link, reason, error, 1, 2, 3, 4, 5, 6, 7))

    def refusal(self, link: int) -> tuple[bytes, CloseReason] | None:
        """The -ERR text and reason with which the link was closed, or None."""
        closed = [call for call in self.engine.of("close") if call["link"] == link]
        return (closed[-1].get("error", b""), closed[-1]["reason"]) if closed else None

    def admission(self, link: int) -> dict[str, Any] | None:
        admitted = [call for call in self.engine.of("admit") if call["link"] == link]
        return admitted[-1] if admitted else None


@pytest.fixture
def desk() -> Iterator[Desk]:
    """An open server's."""
    made = Desk()
    yield made
    made.engine.destroy()


@pytest.fixture
def make_desk() -> Iterator[type[Desk]]:
    """For desks with settings: call it."""
    made: list[Desk] = []

    class Made(Desk):
        def __init__(self, *arguments: Any, **more: Any) -> None:
            super().__init__(*arguments, **more)
            made.append(self)

    yield Made
    for one in made:
        one.engine.destroy()


@pytest.fixture
def engine() -> Any:
    """A fake engine; whoever is given it destroys it."""
    return FakeEngine()
