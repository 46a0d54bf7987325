"""The pytest plug-in: fixtures that start servers and connect to them, the same for Gossamer and for nats-server.

A test that uses ``server_kind``, or any fixture below it, runs once for each kind, with the ids ``gossamer`` and
``nats-server``. The environment variable ``GOSSAMER_SERVERS`` (names, comma separated) chooses fewer. A test about a
known difference carries ``@pytest.mark.only_server("gossamer", reason="...")``.

Importing this module is light: it is loaded in every pytest run where Gossamer is installed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from gossamer.mesh.testing.cluster import ClusterProcesses
    from gossamer.mesh.testing.process import ServerProcess
    from gossamer.mesh.testing.wire import WireClient

# For the annotations of tests: what the fixtures of these names are.
StartServer = Callable[..., "ServerProcess"]
StartCluster = Callable[..., "ClusterProcesses"]
Dial = Callable[..., "WireClient"]
Join = Callable[..., "WireClient"]

#: The kinds of server that tests run against, by default.
KINDS = ("gossamer", "nats-server")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "only_server(kind, reason): run against this kind of server only (gossamer, nats-server), for the reason given",
    )


def chosen_kinds() -> list[str]:
    """The kinds of server this run is for. Raises pytest.UsageError for an unknown name in GOSSAMER_SERVERS."""
    text = os.environ.get("GOSSAMER_SERVERS", ",".join(KINDS))
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in KINDS]
    if unknown or not names:
        raise pytest.UsageError(f"GOSSAMER_SERVERS={text!r}: choose from {', '.join(KINDS)}")
    return names


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One run for each kind of server; ``only_server`` leaves the others out."""
    if "server_kind" not in metafunc.fixturenames:
        return
    names = chosen_kinds()
    mark = metafunc.definition.get_closest_marker("only_server")
    if mark is None:
        metafunc.parametrize("server_kind", names, indirect=True, scope="session")
        return
    only, reason = mark.args[0], mark.kwargs["reason"]
    values = [
        name if name == only else pytest.param(name, marks=pytest.mark.skip(reason=f"only for {only}: {reason}"))
        for name in names
    ]
    metafunc.parametrize("server_kind", values, indirect=True, scope="session")


@pytest.fixture(scope="session")
def server_kind(request: pytest.FixtureRequest) -> type[ServerProcess]:
    """The class of the servers in this run of the test; its attribute ``kind`` is the name."""
    from gossamer.mesh.testing.process import SERVER_KINDS

    kind = SERVER_KINDS[request.param]
    reason = kind.missing()
    if reason is not None:
        if kind.kind == "gossamer":
            pytest.fail(reason)
        pytest.skip(reason)
    return kind


class SharedServers:
    """Running servers of one kind, each started once: what the fixture ``shared_server`` gives."""

    def __init__(self, kind: type[ServerProcess], tmp_path_factory: pytest.TempPathFactory) -> None:
        self.kind = kind
        self._folders = tmp_path_factory
        self._running: dict[str, ServerProcess] = {}

    def __call__(self, **arguments: Any) -> ServerProcess:
        """A server with exactly these arguments of ServerProcess, without folder."""
        key = repr(sorted(arguments.items()))
        server = self._running.get(key)
        if server is None or not server.running:
            folder = self._folders.mktemp(f"{self.kind.kind}-shared")
            server = self._running[key] = self.kind(folder, **arguments).start()
        return server

    def stop(self) -> None:
        for server in self._running.values():
            server.stop()


@pytest.fixture(scope="session")
def shared_server(
    server_kind: type[ServerProcess], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., ServerProcess]]:
    """Call with the arguments of ServerProcess, without folder: a running server with exactly these, started once.

    For tests that leave the server as they found it; it lives until the end of the session.

    A conftest that overrides ``server_kind`` must override this fixture as well, with the same text: pytest keeps the
    value of a session's fixture whichever ``server_kind`` it was made from, so that tests of one kind would meet
    servers of the other.
    """
    servers = SharedServers(server_kind, tmp_path_factory)
    yield servers
    servers.stop()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """No test runs against another kind of server than its id says."""
    found = getattr(item, "funcargs", {})
    servers, kind = found.get("shared_server"), found.get("server_kind")
    if isinstance(servers, SharedServers) and servers.kind is not kind:
        pytest.fail(f"shared_server is of {servers.kind}, server_kind is {kind}: one is overridden without the other")


@pytest.fixture
def start_server(
    server_kind: type[ServerProcess], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., ServerProcess]]:
    """Call with the arguments of ServerProcess, without folder: a new server, stopped after the test."""
    started: list[ServerProcess] = []

    def start(**arguments: Any) -> ServerProcess:
        server = server_kind(tmp_path_factory.mktemp(server_kind.kind), **arguments)
        started.append(server)
        return server.start()

    yield start
    for server in reversed(started):
        server.stop()


@pytest.fixture
def start_cluster(
    server_kind: type[ServerProcess], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., ClusterProcesses]]:
    """Call with a number of nodes (and the other arguments of ClusterProcesses): a full mesh of one kind of server."""
    from gossamer.mesh.testing.cluster import ClusterProcesses

    started: list[ClusterProcesses] = []

    def start(size: int, **arguments: Any) -> ClusterProcesses:
        cluster = ClusterProcesses(
            tmp_path_factory.mktemp(f"{server_kind.kind}-cluster"), [server_kind] * size, **arguments
        )
        started.append(cluster)
        return cluster.start()

    yield start
    for cluster in reversed(started):
        cluster.stop()


@pytest.fixture
def server(shared_server: Callable[..., ServerProcess]) -> ServerProcess:
    """The shared server without any configuration: open to everybody."""
    return shared_server()


@pytest.fixture
def dial() -> Iterator[Callable[..., WireClient]]:
    """Call with a server (and arguments of WireClient): a raw connection nothing of it is read; closed at the end."""
    from gossamer.mesh.testing.wire import WireClient

    opened: list[WireClient] = []

    def connect(server: ServerProcess, **arguments: Any) -> WireClient:
        client = WireClient(server.address, **arguments)
        opened.append(client)
        return client

    yield connect
    for client in opened:
        client.close()


@pytest.fixture
def join(dial: Callable[..., WireClient]) -> Callable[..., WireClient]:
    """Call with a server and CONNECT fields: a raw connection after INFO, CONNECT, PING and PONG."""

    def connect(server: ServerProcess, **fields: Any) -> WireClient:
        client = dial(server)
        client.handshake(**fields)
        return client

    return connect
