"""A sweep on several processes says what one process would say, and survives a process that does not."""

import os
import signal
import subprocess
import sys

import pytest

from gossamer.mesh.sim.run import Outcome
from gossamer.mesh.sim.sweep import Job, sweep


def echo(job: Job) -> Outcome:
    """Runs in another process: names it, and dies where it is told."""
    scenario, seed = job
    if scenario == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if scenario == "ended":
        os._exit(3)
    return Outcome(scenario=scenario, seed=seed, digest=str(os.getpid()))


def test_outcomes_come_in_order() -> None:
    wanted = [("x", seed) for seed in range(40)]
    outcomes = list(sweep(wanted, 3, run_job=echo))
    assert [(each.scenario, each.seed) for each in outcomes] == wanted
    assert str(os.getpid()) not in {each.digest for each in outcomes}


@pytest.mark.parametrize(("how", "text"), [("killed", "SIGKILL"), ("ended", "exit code 3")])
def test_a_process_that_dies_is_a_failed_job(how: str, text: str) -> None:
    wanted = [("x", 0), (how, 1), ("x", 2), (how, 3), ("x", 4)]
    outcomes = list(sweep(wanted, 2, run_job=echo))
    assert [(each.scenario, each.seed) for each in outcomes] == wanted
    assert [each.failure for each in outcomes] == ["", f"the process died: {text}"] * 2 + [""]


def test_what_is_printed_does_not_depend_on_the_processes() -> None:
    told = [
        subprocess.run(
            [
                sys.executable,
                "-m",
                "gossamer.mesh.sim",
                "--scenario",
                "lame_duck",
                "--seeds",
                "3",
                "--processes",
                count,
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        for count in ("1", "2")
    ]
    assert told[0].stdout == told[1].stdout
    assert "3 seeds over 1 scenarios, 0 failed" in told[0].stdout
    assert [each.stderr.split(" s ")[1] for each in told] == ["on 1 process\n", "on 2 processes\n"]
