"""Seeds of the simulator that once failed: each line is a bug that was found by it."""

import pytest

from gossamer.mesh.sim.run import run
from gossamer.mesh.sim.scenarios import SCENARIOS

FOUND = [
    # Two nodes that knew each other by gossip only never met again after a partition between just them: the dial of a
    # gossiped node ended after one failure, though it was to replace a connection that had been there.
    ("one_way", 3),
    ("one_way", 21),
    # Two nodes that heard of each other before either had a connection for the system account never got one.
    ("slow_peer", 14),
]


@pytest.mark.parametrize(("scenario", "seed"), FOUND)
def test_found(scenario: str, seed: int) -> None:
    assert run(scenario, SCENARIOS[scenario], seed).failure == ""
