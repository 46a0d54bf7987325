"""The whole of every topology: its tour, step by step, and nothing left behind.

``make test`` walks the small meshes of our nodes, and of both kinds together; ``make interop`` the large ones too, and
all of them with nats-server alone.
"""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from gossamer.operator.failure import Failure
from gossamer.operator.up import reading
from gossamer.operator.up.node_process import program
from gossamer.operator.up.topology import Topology

Start = Callable[..., "subprocess.Popen[str]"]
LeftBehind = Callable[[], list[str]]

TIMEOUT_S = 90


#: Set by ``make interop``.
WHOLE = bool(os.environ.get("WHOLE_TOURS"))
WITHOUT_US = pytest.mark.skipif(not WHOLE, reason="no node of ours is in it: make interop walks it")


@pytest.mark.parametrize("name", ["single", "three-nodes", "mixed"])
def test_a_topology_holds_what_it_promises(name: str, start: Start, left_behind: LeftBehind) -> None:
    holds(name, reading.read(reading.find(name)), start, left_behind)


@pytest.mark.slow
@pytest.mark.skipif(not WHOLE, reason="the tour of a large mesh: make interop walks it; a small one is walked always")
@pytest.mark.parametrize("kind", ["", "nats-server"])
@pytest.mark.parametrize("name", ["three-clouds", "three-clouds-mixed", "edge"])
def test_a_large_topology_holds_what_it_promises(name: str, kind: str, start: Start, left_behind: LeftBehind) -> None:
    holds(name, reading.read(reading.find(name)), start, left_behind, kind)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("three-clouds", ""),
        ("three-clouds-mixed", ""),
        ("edge", ""),
        pytest.param("three-clouds", "nats-server", marks=WITHOUT_US),
        pytest.param("edge", "nats-server", marks=WITHOUT_US),
    ],
)
def test_a_small_one_holds_what_the_large_one_promises(
    name: str, kind: str, start: Start, left_behind: LeftBehind, small: Callable[[str], Path]
) -> None:
    path = small(name)
    topology = reading.read(path)
    assert all(len(cluster.nodes) == 1 for cluster in topology.clusters)
    assert [cluster.name for cluster in topology.clusters] == [
        cluster.name for cluster in reading.read(reading.find(name)).clusters
    ]
    holds(str(path), topology, start, left_behind, kind)


def holds(name: str, topology: Topology, start: Start, left_behind: LeftBehind, kind: str = "") -> None:
    """Walk its tour; every step holds, and nothing is left."""
    for node in topology.all_nodes:
        try:
            program(node.kind if kind != "nats-server" else "nats-server")
        except Failure as failure:
            pytest.skip(failure.line())
    process = start(name, "--once", *(("--kind", kind) if kind else ()))
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, out + err
    assert err == ""
    told = [found[1] for found in re.finditer(r"^\[ OK \] ([\w-]+): ", out, re.MULTILINE)]
    assert told == [str(step.__struct_config__.tag) for step in topology.tour]
    assert f"all {len(topology.tour)} steps held" in out
    assert "FAIL" not in out
    if "denied" in told:
        # The refusal is explained in the words of the command line.
        assert "may not publish to orders.cancel: the node says 'permissions violation" in out.lower()
        assert "gossamer explain pub shop/guest orders.cancel" in out
        assert 'rule: deny "orders.cancel"' in out
    assert left_behind() == []
