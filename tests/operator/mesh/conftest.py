"""A live mesh of two nodes with a full resolver, of either kind of server, and the store behind it.

The mesh is started once per kind for the whole run (a folder with the store beside it); every test works on a copy of
that store, in accounts of its own.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from gossamer.mesh.testing.process import ServerProcess
from gossamer.operator.mesh.testing import Live, start_mesh


@pytest.fixture(scope="session")
def shared_live(server_kind: type[ServerProcess], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Started once; leave what you find as it was."""
    live = start_mesh(tmp_path_factory.mktemp(f"{server_kind.kind}-live"), server_kind)
    yield live
    live.cluster.stop()


@pytest.fixture
def live(shared_live: Live, tmp_path: Path) -> Live:
    """The shared mesh with a store of this test's own: the same operator and keys."""
    folder = tmp_path / "store"
    shutil.copytree(shared_live.folder, folder)
    return Live(cluster=shared_live.cluster, folder=folder)


@pytest.fixture
def own_live(server_kind: type[ServerProcess], tmp_path: Path) -> Iterator[Live]:
    """A mesh of this test's own, for those that end or stop servers."""
    live = start_mesh(tmp_path, server_kind)
    yield live
    live.cluster.stop()
