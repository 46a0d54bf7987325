"""Every scenario with one seed of its own; the sweep (``make sim``) does the rest."""

import os
import subprocess
import sys

import pytest

from gossamer.mesh.sim.catalogue import SCENARIOS
from gossamer.mesh.sim.run import run


@pytest.mark.parametrize("name", sorted(SCENARIOS))
def test_everything_holds(name: str) -> None:
    outcome = run(name, SCENARIOS[name], 1000)
    assert outcome.failure == ""
    assert outcome.delivered > 400
    assert outcome.virtual_s > 2


def test_a_seed_decides_everything() -> None:
    """In another process too, where sets and dicts of texts have another order."""
    wanted = run("broken_connections", SCENARIOS["broken_connections"], 7)
    for hash_seed in ("1", "2"):
        told = subprocess.run(
            [sys.executable, "-m", "gossamer.mesh.sim", "--scenario", "broken_connections", "--seed", "7"],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        assert f"digest {wanted.digest}" in told
    assert run("broken_connections", SCENARIOS["broken_connections"], 8).digest != wanted.digest
