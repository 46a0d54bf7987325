"""Makes the fixtures of ``gossamer.mesh.testing.plugin`` known when Gossamer is not installed as a distribution."""

import pytest

from gossamer.mesh.testing import plugin


def pytest_configure(config: pytest.Config) -> None:
    if not config.pluginmanager.is_registered(plugin):
        config.pluginmanager.register(plugin, "gossamer")
