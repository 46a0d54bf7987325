"""Many seeds over many scenarios, on several processes; what failed, with the command that replays it.

Seed k of a sweep runs scenario k modulo their number, so that every number of seeds spreads over all of them. Outcomes
come in the order of the jobs, whoever was done first. A process that dies (the engine is C) is an outcome as well: its
job has failed, and another process takes its place.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnContext, SpawnProcess

from gossamer.mesh.sim.catalogue import SCENARIOS
from gossamer.mesh.sim.run import Outcome, run

Job = tuple[str, int]
Run = Callable[[Job], Outcome]
#: A fresh process now and then gives back what the engines' caches took.
JOBS_OF_A_PROCESS = 100


def jobs(names: Sequence[str], first: int, count: int) -> list[Job]:
    """(scenario, seed) of ``count`` runs."""
    return [(names[seed % len(names)], seed) for seed in range(first, first + count)]


def run_one(job: Job) -> Outcome:
    name, seed = job
    return run(name, SCENARIOS[name], seed)


def sweep(wanted: Sequence[Job], processes: int, *, run_job: Run = run_one) -> Iterator[Outcome]:
    """The outcomes, in the order of ``wanted``; with one process all run in this one. ``run_job``: what does one."""
    if processes <= 1:
        yield from map(run_job, wanted)
        return
    context = multiprocessing.get_context("spawn")
    waiting = list(reversed(list(enumerate(wanted))))
    done: dict[int, Outcome] = {}
    following = 0
    workers = [_Worker(context, run_job) for _ in range(min(processes, len(wanted)))]
    try:
        for worker in workers:
            worker.give(waiting)
        while following < len(wanted):
            for ready in wait([worker.pipe for worker in workers if worker.number >= 0]):
                worker = next(each for each in workers if each.pipe is ready)
                number, outcome = worker.take()
                done[number] = outcome
                worker.give(waiting)
            while following in done:
                yield done.pop(following)
                following += 1
    finally:
        for worker in workers:
            worker.end()


class _Worker:
    """One process at a time, and the job that it has (``number`` in the sweep; negative: none)."""

    def __init__(self, context: SpawnContext, run_job: Run) -> None:
        self.number = -1
        self._context = context
        self._run_job = run_job
        self._job: Job = ("", 0)
        self._begin()

    def give(self, waiting: list[tuple[int, Job]]) -> None:
        """The next job, if there is one."""
        if not waiting:
            self.number = -1
            return
        if self._done >= JOBS_OF_A_PROCESS or not self._process.is_alive():
            self.end()
            self._begin()
        self.number, self._job = waiting.pop()
        self.pipe.send(self._job)

    def take(self) -> tuple[int, Outcome]:
        """What has become of its job."""
        try:
            outcome: Outcome = self.pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            name, seed = self._job
            outcome = Outcome(scenario=name, seed=seed, failure=f"the process died: {_death(self._process.exitcode)}")
        self._done += 1
        return self.number, outcome

    def end(self) -> None:
        self.pipe.close()
        self._process.terminate()
        self._process.join()
        self._process.close()

    def _begin(self) -> None:
        self._done = 0
        self.pipe, theirs = self._context.Pipe()
        self._process: SpawnProcess = self._context.Process(target=_work, args=(theirs, self._run_job), daemon=True)
        self._process.start()
        theirs.close()


def _work(pipe: Connection, run_job: Run) -> None:
    """Runs in the other process until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who was interrupted tells
    try:
        while True:
            pipe.send(run_job(pipe.recv()))
    except (EOFError, BrokenPipeError):
        return


def _death(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return signal.Signals(-exit_code).name
    return f"exit code {exit_code}"


def replay_command(outcome: Outcome) -> str:
    return f"make sim SCENARIO={outcome.scenario} SEED={outcome.seed}"


def cores() -> int:
    return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
