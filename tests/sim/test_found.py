"""Seeds of the simulator that once failed: each line is a bug that was found by it."""

import pytest

from gossamer.mesh.sim.catalogue import SCENARIOS
from gossamer.mesh.sim.run import run

FOUND = [
    # Two nodes that knew each other by gossip only never met again after a partition between just them: the dial of a
    # gossiped node ended after one failure, though it was to replace a connection that had been there.
    ("one_way", 3),
    ("one_way", 21),
    # Nodes that all started in the same moment: each believed that somebody else had told one pair of each other.
    ("rolling_restart", 244),
    ("chaos", 286),
    # Two nodes that could not reach each other when they were told: nobody told them again.
    ("chaos", 196),
    # A node came back under a new id and was reached for the system account only: nobody dialled its pool again.
    ("rolling_restart", 154),
    ("chaos", 115),
    # Two nodes that heard of each other before either had a connection for the system account never got one.
    ("slow_peer", 14),
]


@pytest.mark.parametrize(("scenario", "seed"), FOUND)
def test_found(scenario: str, seed: int) -> None:
    assert run(scenario, SCENARIOS[scenario], seed).failure == ""
