"""Every check through every pairing of our nodes with nats-server.

``make test`` runs the small ones; WHOLE_TOURS=1 (``make interop``) all, and restarts; INTEROP_CONTROLS=1 takes
nats-servers only, which proves the checks themselves.
"""

import os
from collections.abc import Awaitable, Callable, Iterator

import pytest
from members import MEMBER_CHECKS
from meshes import Mesh
from pairings import CONTROLS, SMALL, WHOLE, Pairing
from traffic import CHECKS, restarts

from gossamer.mesh.testing.process import NatsServerProcess

EVERY = bool(os.environ.get("WHOLE_TOURS"))
PAIRINGS = CONTROLS if os.environ.get("INTEROP_CONTROLS") else WHOLE if EVERY else SMALL
EACH_CHECK = (*CHECKS, *MEMBER_CHECKS, *((restarts,) if EVERY or PAIRINGS is CONTROLS else ()))


@pytest.fixture(scope="module", params=PAIRINGS, ids=lambda pairing: pairing.name)
def mesh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    if missing := NatsServerProcess.missing():
        pytest.skip(missing)
    pairing: Pairing = request.param
    made = Mesh(tmp_path_factory.mktemp("mesh"), pairing)
    try:
        made.start()
        yield made
    finally:
        made.stop()


@pytest.mark.parametrize("check", EACH_CHECK, ids=lambda check: check.__name__)
async def test_pairing(mesh: Mesh, check: Callable[[Mesh], Awaitable[None]]) -> None:
    await check(mesh)
