"""Many seeds over many scenarios, on several processes; what failed, with the command that replays it.

Seed k of a sweep runs scenario k modulo their number, so that every number of seeds spreads over all of them.
"""

import multiprocessing
import os
import sys
from collections.abc import Iterator, Sequence

from gossamer.mesh.sim.catalogue import SCENARIOS
from gossamer.mesh.sim.run import Outcome, run


def jobs(names: Sequence[str], first: int, count: int) -> list[tuple[str, int]]:
    """(scenario, seed) of ``count`` runs."""
    return [(names[seed % len(names)], seed) for seed in range(first, first + count)]


def run_one(job: tuple[str, int]) -> Outcome:
    name, seed = job
    return run(name, SCENARIOS[name], seed)


def sweep(wanted: Sequence[tuple[str, int]], processes: int) -> Iterator[Outcome]:
    """The outcomes, as they come."""
    if processes <= 1:
        yield from map(run_one, wanted)
        return
    # A fresh process now and then gives back what the engines' caches took.
    with multiprocessing.get_context("spawn").Pool(processes, maxtasksperchild=100) as pool:
        yield from pool.imap_unordered(run_one, wanted, chunksize=1)


def replay_command(outcome: Outcome) -> str:
    return f"make sim SCENARIO={outcome.scenario} SEED={outcome.seed}"


def cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
