"""``python -m gossamer.mesh.sim --seeds 1000``: sweep; ``--scenario chaos --seed 7``: replay one run, with its journal.

What a sweep prints follows from its seeds alone, however many processes there are; how long it took goes to standard
error.

Exit code 0 if everything held, 1 if something did not, 2 for arguments that make no sense.
"""

import argparse
import hashlib
import sys
import time
from collections import Counter

from gossamer.mesh.sim.catalogue import SCENARIOS
from gossamer.mesh.sim.sweep import cores, jobs, replay_command, run_one, sweep


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m gossamer.mesh.sim", description="Break meshes by seed.")
    parser.add_argument("--seeds", type=int, default=100, help="how many runs (100)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--scenario", choices=sorted(SCENARIOS), help="only this one (all, in turn)")
    parser.add_argument("--seed", type=int, help="one run only, told in full; needs --scenario")
    parser.add_argument("--processes", type=int, default=cores(), help="side by side (as many as there are processors)")
    arguments = parser.parse_args()
    if arguments.seed is not None:
        if arguments.scenario is None:
            parser.error("--seed needs --scenario")
        return _replay(arguments.scenario, arguments.seed)
    names = [arguments.scenario] if arguments.scenario else list(SCENARIOS)
    return _sweep(names, arguments.first, arguments.seeds, arguments.processes)


def _replay(scenario: str, seed: int) -> int:
    outcome = run_one((scenario, seed))
    print(outcome.failure or "everything held")
    print(
        f"{scenario} {seed}: {outcome.virtual_s:.1f} s of the mesh in {outcome.real_s:.1f} s, "
        f"{outcome.published} messages published, {outcome.delivered} deliveries, digest {outcome.digest}"
    )
    return 1 if outcome.failure else 0


def _sweep(names: list[str], first: int, count: int, processes: int) -> int:
    began_s = time.perf_counter()
    totals: Counter[str] = Counter()
    failed = 0
    virtual_s = 0.0
    digest = hashlib.blake2b(digest_size=8)
    for outcome in sweep(jobs(names, first, count), processes):
        totals[outcome.scenario] += 1
        totals["published"] += outcome.published
        totals["delivered"] += outcome.delivered
        virtual_s += outcome.virtual_s
        digest.update(outcome.digest.encode())
        if outcome.failure:
            failed += 1
            print(f"FAILED {outcome.scenario} seed {outcome.seed}: {_headline(outcome.failure)}")
            print(f"  replay: {replay_command(outcome)}", flush=True)
    print(
        f"{count} seeds over {len(names)} scenarios, {failed} failed; {virtual_s / 3600:.1f} h of mesh time, "
        f"{totals['published']} messages published, {totals['delivered']} deliveries, digest {digest.hexdigest()}"
    )
    took_s = time.perf_counter() - began_s
    print(f"{took_s:.0f} s on {processes} process{'es' if processes > 1 else ''}", file=sys.stderr)
    return 1 if failed else 0


def _headline(failure: str) -> str:
    lines = failure.splitlines()
    return " / ".join(lines[:3])


if __name__ == "__main__":
    sys.exit(main())
