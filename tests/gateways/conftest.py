"""Servers with gateways, of both kinds, and what stands around them in a test: other clusters, routes, clients."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gossamer.mesh.testing import plugin
from gossamer.mesh.testing.plugin import Dial, StartServer

sys.path.insert(0, str(Path(__file__).parent))

from gateway_site import CONFIG, Site


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin, "gossamer")


@pytest.fixture
def site(shared_server: Any, dial: Dial) -> Iterator[Site]:
    """The shared server of gateway OWN, cluster OWN, server name own1; what a test opens is closed after it."""
    made = Site(shared_server(config=CONFIG, monitor=True), dial)
    yield made
    made.close()


@pytest.fixture
def start_site(start_server: StartServer, dial: Dial) -> Iterator[Any]:
    """Call with a configuration (``gateway`` block included): a server of the test's own."""
    opened: list[Site] = []

    def start(config: str, **arguments: Any) -> Site:
        made = Site(start_server(config=config, monitor=True, **arguments), dial)
        opened.append(made)
        return made

    yield start
    for each in opened:
        each.close()
