"""Quick tests of a mesh as a stored user, against our server and nats-server (spec operator-cli section 4.6)."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import NoRespondersError

from gossamer.auth.credentials import load_credentials
from gossamer.mesh.testing.process import SERVER_KINDS, ServerProcess
from gossamer.operator.testing import run, run_ok

TIMEOUT_S = 10


@pytest.fixture(params=list(SERVER_KINDS))
def server(request: pytest.FixtureRequest, tmp_path: Path, home: Path) -> Iterator[ServerProcess]:
    """Each kind of server; skipped where it cannot be started, with its own words."""
    kind = SERVER_KINDS[request.param]
    reason = kind.missing()
    if reason is not None:
        pytest.skip(reason)
    run_ok("init", "OP", "--account", "A", "--user", "ann")
    run_ok("user", "create", "bob", "-a", "A", "--allow-pub", "open.>", "--allow-sub", "open.>")
    with kind(tmp_path, config=run_ok("generate", "config").out) as started:
        yield started


class Companion:
    """Another client, in a thread of its own, that does something over and over until the test has ended."""

    def __init__(self, server: ServerProcess, keys: Path) -> None:
        self._url = server.url
        self._options = load_credentials(keys / "creds" / "OP" / "A" / "ann.creds").client_options()
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()))
        self._task: Callable[[Client], Awaitable[None]] | None = None
        self.heard: list[bytes] = []

    def during(self, task: Callable[[Client], Awaitable[None]] | None) -> "Companion":
        self._task = task
        return self

    async def _live(self) -> None:
        client = Client()
        await client.connect(self._url, allow_reconnect=False, **self._options)

        async def echo(message: Msg) -> None:
            self.heard.append(message.data)
            if message.reply:
                await message.respond(b"heard " + message.data)

        await client.subscribe("open.echo", cb=echo)
        await client.flush(timeout=TIMEOUT_S)
        self._ready.set()
        while not self._stop.is_set():
            if self._task is not None:
                await self._task(client)
            await client.flush(timeout=TIMEOUT_S)
        await client.close()

    def __enter__(self) -> "Companion":
        self._thread.start()
        assert self._ready.wait(TIMEOUT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(TIMEOUT_S)


def flags(server: ServerProcess, user: str = "ann") -> list[str]:
    return ["-a", "A", "-u", user, "--nats", server.url]


def test_publish_ask_and_measure(server: ServerProcess, keys: Path) -> None:
    with Companion(server, keys) as companion:
        assert run_ok("tool", "req", "open.echo", "hello", *flags(server), "--json").data["text"] == "heard hello"
        run_ok("tool", "pub", "open.echo", "again", *flags(server))
        # The companion hears in order: what it answers now came after what was published.
        run_ok("tool", "req", "open.echo", "end", *flags(server))
        assert companion.heard == [b"hello", b"again", b"end"]
    measured = run_ok("tool", "rtt", "-n", "3", *flags(server), "--json").data
    assert len(measured["times_ms"]) == 3
    assert measured["mean_ms"] > 0


def test_subscribe(server: ServerProcess, keys: Path) -> None:
    async def publish(client: Client) -> None:
        await client.publish("open.news", b"new")

    with Companion(server, keys).during(publish):
        received = run_ok("tool", "sub", "open.>", "-n", "2", *flags(server), "--json").data
    assert [(entry["subject"], entry["text"]) for entry in received] == [("open.news", "new")] * 2


def test_reply(server: ServerProcess, keys: Path) -> None:
    answers: list[bytes] = []

    async def ask(client: Client) -> None:
        if answers:
            return
        try:
            answers.append((await client.request("open.question", b"?", timeout=TIMEOUT_S)).data)
        except NoRespondersError:
            return

    with Companion(server, keys).during(ask):
        answered = run_ok("tool", "reply", "open.question", "!", *flags(server), "--json").data
    assert [entry["text"] for entry in answered] == ["?"]
    assert answers == [b"!"]


def test_what_the_server_refuses_is_said(server: ServerProcess) -> None:
    refused = run("tool", "pub", "closed.x", "m", *flags(server, "bob"))
    assert refused.code == 1
    assert "closed.x" in refused.err.lower()
    refused = run("tool", "sub", "closed.x", *flags(server, "bob"))
    assert refused.code == 1
    assert "closed.x" in refused.err.lower()
    nobody = run("tool", "req", "open.nobody", "m", *flags(server))
    assert nobody.code == 1
    assert "nobody answers" in nobody.err
    # A request needs an inbox: it is said at once, and not when the time is over.
    refused = run("tool", "req", "open.x", "m", "--timeout", "60s", *flags(server, "bob"))
    assert refused.code == 1
    assert "_inbox" in refused.err.lower()
    silent = run("tool", "sub", "open.silent", "--timeout", "50ms", *flags(server))
    assert silent.code == 1
    assert "within" in silent.err


def test_a_stranger_is_refused(server: ServerProcess) -> None:
    run_ok("account", "edit", "A", "--sk", "generate")
    (key,) = [entry["key"] for entry in run_ok("account", "signing-key", "list", "-a", "A", "--json").data]
    run_ok("user", "create", "late", "-a", "A", "-K", key)  # the server knows nothing of that key
    refused = run("tool", "rtt", *flags(server, "late"))
    assert refused.code == 1
    assert "authorization violation" in refused.err.lower()
    assert len(refused.err.splitlines()) == 1


def test_nobody_there(home: Path) -> None:
    run_ok("init", "OP", "--account", "A", "--user", "ann")
    refused = run("tool", "rtt", "-a", "A", "-u", "ann", "--nats", "nats://127.0.0.1:9", "--timeout", "1s")
    assert refused.code == 1
    assert "--nats" in refused.err
    run_ok("operator", "edit", "--rm-service-url", "nats://localhost:4222")
    assert "--nats" in run("tool", "rtt", "-a", "A", "-u", "ann").err
    assert run("tool", "rtt", "-a", "A", "-u", "ann", "--nats", "nats://x", "--client-cert", "c").code == 64
