"""The suites of nats.py pass with our server behind them (``tools/nats_py_suite.py`` says how and what is left out).

They are not part of this repository: ``NATS_PY_SOURCES`` names a checkout of github.com/nats-io/nats.py, and
``NATS_PY_PYTHON`` a Python 3.13 or newer if this one is older. A run takes some minutes and fixed ports.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).resolve().parents[2] / "tools" / "nats_py_suite.py"
SOURCES = os.environ.get("NATS_PY_SOURCES", "")

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(not SOURCES, reason="NATS_PY_SOURCES names no checkout of github.com/nats-io/nats.py"),
]


def run_tool(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The tool on the checkout, with what the environment says about Python and where to install."""
    command = [sys.executable, str(TOOL), "--sources", SOURCES]
    for variable, flag in (("NATS_PY_PYTHON", "--python"), ("NATS_PY_VENV", "--venv")):
        if os.environ.get(variable):
            command += [flag, os.environ[variable]]
    return subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("suite", ["nats", "nats-core", "nats-server"])
def test_suite_passes(suite: str) -> None:
    done = run_tool("--server", "gossamer", "--suite", suite)
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_left_out_needs_it() -> None:
    """The rules leave out nothing but tests of the three features, and none of the tests of plain messaging."""
    done = run_tool("--server", "gossamer", "--list")
    assert done.returncode == 0, done.stdout + done.stderr
    left_out = [line for line in done.stdout.splitlines() if ": left out: " in line]
    assert left_out
    assert all(line.rsplit(": ", 1)[1] in ("JetStream", "TLS", "WebSocket") for line in left_out)
    for kept in ("test_subscription.py", "test_protocol.py", "test_client.py::ClientTest", "test_micro_service.py"):
        assert not any(kept in line for line in left_out), kept
