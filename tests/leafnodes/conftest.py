"""Servers with a port for leaf nodes, raw peers of both roles, and both kinds of server."""

import asyncio
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gossamer.mesh.testing import plugin
from gossamer.mesh.testing.plugin import SharedServers
from gossamer.mesh.testing.process import ServerProcess

sys.path.insert(0, str(Path(__file__).parent))

from leaf_peers import FakeHub, LeafPeer, leaf_address
from leaf_server import KINDS, LOOP


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin, "gossamer")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Coroutine functions are run, each in a loop of its own."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    names = inspect.signature(pyfuncitem.obj).parameters
    asyncio.run(pyfuncitem.obj(**{name: pyfuncitem.funcargs[name] for name in names}))
    return True


@pytest.fixture(scope="session")
def server_kind(request: pytest.FixtureRequest) -> type[ServerProcess]:
    """As the plug-in's, with our server inside the test's process."""
    kind = KINDS[request.param]
    if reason := kind.missing():
        pytest.skip(reason)
    return kind


@pytest.fixture(scope="session")
def shared_server(
    server_kind: type[ServerProcess], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SharedServers]:
    """As the plug-in's, which must not keep servers of these kinds for other folders."""
    servers = SharedServers(server_kind, tmp_path_factory)
    yield servers
    servers.stop()


@pytest.fixture(scope="session", autouse=True)
def loop_of_nodes() -> Iterator[None]:
    """The loop ends after all that ran on it."""
    yield
    LOOP.close()


@pytest.fixture
def attach() -> Iterator[Callable[..., LeafPeer]]:
    """Call with a server that has a leaf node port: a raw connection to it, of which nothing is read."""
    opened: list[LeafPeer] = []

    def connect(server: Any, **arguments: Any) -> LeafPeer:
        peer = LeafPeer(leaf_address(server), **arguments)
        opened.append(peer)
        return peer

    yield connect
    for peer in opened:
        peer.close()


@pytest.fixture
def leaf(attach: Callable[..., LeafPeer]) -> Callable[..., LeafPeer]:
    """Call with a server and fields of CONNECT: a leaf node that has joined; its interest is not read yet."""

    def connect(server: Any, **fields: Any) -> LeafPeer:
        peer = attach(server)
        peer.join(**fields)
        return peer

    return connect


@pytest.fixture
def fake_hub() -> Iterator[Callable[..., FakeHub]]:
    """Call for a listening hub."""
    made: list[FakeHub] = []

    def make(**arguments: Any) -> FakeHub:
        hub = FakeHub(**arguments)
        made.append(hub)
        return hub

    yield make
    for hub in made:
        hub.close()
