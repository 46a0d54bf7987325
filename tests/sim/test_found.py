"""Seeds of the simulator that once failed: each line is a bug that was found by it, in the node or in its judgement."""

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
    # Two nodes with 250 ms between them that dial each other: both closed the other's connection and came back within
    # 100 ms, for ever.
    ("far_apart", 19),
    # A queue group's chosen member had just left; its node passed the message on to another one, and there a plain
    # subscriber heard it a second time.
    ("rolling_upgrade", 10),
    # Two clusters that came to a third one in the same moment: nobody told either of the other.
    ("clusters_chaos", 0),
    # A reply mapped for another cluster was given to a local subscriber of everything, under its mapped subject.
    ("clusters_chaos", 19),
    # A cluster that could not be reached when somebody told of it was given up, and nobody told again.
    ("clusters_chaos", 130),
    ("clusters_chaos", 156),
    # A gateway dialled a machine that then lost power, and waited for its INFO for ever.
    ("clusters_chaos", 314),
    ("clusters_chaos", 320),
    # A node that came back was told of the other clusters once, on a route that lost its race and went.
    ("clusters_restart", 2056),
    # A node dialled one that stood still and whose machine forgot the connection: it waited for INFO for ever.
    ("clusters_chaos", 2073),
    # A leaf node moved to another node of its hub and heard there, seven seconds late, what it had heard: let pass.
    ("federation_chaos", 339),
    # An event that another account's clients hear at a leaf node was lost when it came over a route: whom it may go to
    # was left from the message before.
    ("shared_by_edges", 7),
    ("shared_by_edges", 14),
    ("shared_by_edges", 22017),
    # A queue group of an importing account: a member behind a leaf link was taken as often as one of the node itself.
    ("shared_by_edges", 8),
    ("shared_by_edges", 15),
]


@pytest.mark.parametrize(("scenario", "seed"), FOUND)
def test_found(scenario: str, seed: int) -> None:
    assert run(scenario, SCENARIOS[scenario], seed).failure == ""
