"""A running node on a fake engine with the monitoring port open, and a plain HTTP client."""

import asyncio
import importlib.util
import json
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from gossamer.mesh.engine.events import Closed, Hello, Opened
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.node import Node
from gossamer.mesh.options.options import MonitorOptions, Options

_FIGURES = [
    "in_messages",
    "out_messages",
    "in_bytes",
    "out_bytes",
    "pending_bytes",
    "subscriptions",
    "rtt_ns",
    "pings_outstanding",
    "stalls",
]


def _fake_engine() -> Any:
    path = Path(__file__).parents[1] / "node" / "fake_engine.py"
    spec = importlib.util.spec_from_file_location("monitor_tests_fake_engine", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module.FakeEngine()


class Site:
    """The node runs on a loop of its own; the test asks from outside, as tools do."""

    def __init__(self, base_path: str = "/", **fields: Any) -> None:
        self.engine = _fake_engine()
        monitor = MonitorOptions(host="127.0.0.1", port=-1, base_path=base_path)
        self.node = Node(Options(host="127.0.0.1", port=-1, monitor=monitor, **fields), engine=self.engine)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self.do(self.node.start())

    def do(self, work: Any) -> Any:
        """Run a coroutine on the node's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def close(self) -> None:
        self.do(self.node.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def handled(self) -> None:
        """Wait until the node has seen all events pushed so far."""

        async def look() -> None:
            self.node.pump.finish()

        self.do(look())

    def arrive(self, link: int, connect: dict[str, Any]) -> None:
        """Somebody connects and says this."""
        self.engine.push(Opened(link, 1, LinkKind.CLIENT, "127.0.0.1", 40_000 + link))
        self.engine.push(Hello(link, json.dumps(connect).encode(), False, b""))
        self.handled()

    def client(self, link: int, name: str = "", **numbers: int) -> None:
        """A client that is connected, with its figures."""
        self.arrive(link, {"protocol": 1, "name": name, "lang": "py", "version": "1"})
        usual = dict.fromkeys(_FIGURES, 0)
        self.engine.link_statistics.append(
            SimpleNamespace(
                **(
                    usual
                    | {"link": link, "kind": 0, "account": 1, "last_activity_ns": self.engine.now_ns - link * 1000}
                    | numbers
                )
            )
        )
        self.handled()

    def gone(self, link: int, reason: CloseReason = CloseReason.CLIENT_CLOSED) -> None:
        self.engine.push(Closed(link, reason, b"", 1, 2, 3, 4, 5, 0, 7))
        self.engine.link_statistics = [one for one in self.engine.link_statistics if one.link != link]
        self.handled()

    def get(self, path: str) -> tuple[int, dict[str, str], bytes]:
        """Status, headers, body."""
        assert self.node.monitor is not None
        url = f"http://127.0.0.1:{self.node.monitor.port}{path}"
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, dict(answer.headers), answer.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, dict(error.headers), error.read()

    def json(self, path: str) -> Any:
        status, headers, body = self.get(path)
        assert status == 200, body
        assert headers["Content-Type"] == "application/json"
        assert headers["Access-Control-Allow-Origin"] == "*"
        return json.loads(body)


@pytest.fixture
def site() -> Iterator[Site]:
    made = Site()
    yield made
    made.close()


@pytest.fixture
def make_site() -> Iterator[Any]:
    made: list[Site] = []

    def make(**fields: Any) -> Site:
        made.append(Site(**fields))
        return made[-1]

    yield make
    for one in made:
        one.close()
