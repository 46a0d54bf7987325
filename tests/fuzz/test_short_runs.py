"""Every fuzz target for a few seconds; ``make fuzz`` runs them for longer."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 5


@pytest.mark.parametrize("target", ["client", "configuration", "credentials", "gateway", "leaf", "route", "token"])
def test_short_run(target: str) -> None:
    command = [sys.executable, "fuzz/run.py", "--target", target, "--seconds", str(SECONDS), "--seed", "7"]
    done = subprocess.run(command, cwd=ROOT, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "nothing found" in done.stdout
