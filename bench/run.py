"""Gossamer against nats-server, in one session, run by run interleaved. See README.md beside this file.

python bench/run.py                         all cases, results in bench/results/
python bench/run.py --cases f1/16,rr100     some cases (a prefix is enough), printed only
python bench/run.py --cases gateway,leaf,announce,propagation,scatter50k,compression    the mesh
python bench/run.py --quick                 1 short run of each, printed only
"""

import argparse
import datetime
import json
import signal
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

BENCH = Path(__file__).resolve().parent
# The generator and the house's own packages are found in the source tree, built or linked.
sys.path[:0] = [str(BENCH.parent / "build" / "bench"), str(BENCH.parent / "build" / "tree")]

from build import build  # noqa: E402

build()

from cases import NODE_CASES, Case, Crossing, Work  # noqa: E402
from load import LoadError  # noqa: E402
from machine import DISTURBED, Watch, describe, wait_until_quiet  # noqa: E402
from measure import RUNS  # noqa: E402
from mesh_cases import MESH_CASES  # noqa: E402
from report import Row, Samples, markdown, rows, table  # noqa: E402
from servers import KINDS, ServerError  # noqa: E402
from target import Target  # noqa: E402

CASES = NODE_CASES + MESH_CASES
ATTEMPTS = 3
QUIET_BUDGET_S = 90.0
FAULTS = (LoadError, ServerError, ConnectionError, TimeoutError, MemoryError)


@dataclass
class Session:
    """What a whole benchmark run shares: settings, the patience that is left, notes for the report."""

    kinds: tuple[str, str]
    runs: int
    seconds: float
    patience_s: float = QUIET_BUDGET_S
    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        """Keep a remark for the report, which is published: without this machine's folders."""
        for folder in (str(BENCH.parent), sys.prefix, sys.base_prefix, tempfile.gettempdir()):
            text = text.replace(folder, "...")
        self.notes.append(text)

    def label(self, place: int, more: bool) -> str:
        """The name of a server in the results; ``more``: with what the case is about, beside the same without."""
        name = self.kinds[place] if self.kinds[0] != self.kinds[1] else f"{self.kinds[place]}#{place + 1}"
        return f"{name} secured" if more else name

    def targets(self, case: Case) -> list[Target]:
        """All that take part in a case."""
        places = (1,) if case.only_subject else (0, 1)
        if case.crossing is not None:
            return [
                Target(self.label(place, crossing is not Crossing.NONE), self.kinds[place], False, crossing)
                for crossing in (Crossing.NONE, case.crossing)
                for place in places
            ]
        security = (False, True) if case.secured else (False,)
        return [
            Target(self.label(place, secured), self.kinds[place], secured) for secured in security for place in places
        ]


def main(arguments: list[str] | None = None) -> int:
    """Run, print, write. Exit status 1 with ``--enforce`` when a demand is not met, 2 for wrong arguments."""
    options = _options().parse_args(arguments)
    kinds = tuple(options.servers.split(","))
    if len(kinds) != 2 or not set(kinds) <= set(KINDS):
        print(f"--servers takes two of {', '.join(KINDS)}: baseline,subject", file=sys.stderr)
        return 2
    chosen = _chosen(options.cases)
    if not chosen:
        print(f"no such case; there are: {', '.join(case.name for case in CASES)}", file=sys.stderr)
        return 2
    runs, seconds = (1, 0.3) if options.quick else (options.runs, options.seconds)
    session = Session(kinds, runs, seconds, options.patience)
    baseline, subject = session.label(0, False), session.label(1, False)
    begun = time.monotonic()
    found: list[Row] = []
    results: list[dict[str, object]] = []
    for case in chosen:
        samples = _run_case(case, session)
        more = case.secured or case.crossing is not None
        mine = session.label(1, more)
        judged = rows(case, samples, session.label(0, more), mine, session.label(1, False))
        found += judged
        results.append({"case": case.name, "title": case.title, "samples": samples})
        print(
            "\n".join(
                f"  {r.figure:28} {r.baseline:28} {r.subject:28} {r.result:8} {r.demand:14} {r.verdict}" for r in judged
            )
        )
    document: dict[str, object] = {
        "date": datetime.date.today().isoformat(),
        "machine": describe(),
        "settings": {"runs": session.runs, "seconds": session.seconds, "servers": list(kinds)},
        "took_s": round(time.monotonic() - begun),
        "cases": results,
        "checks": [
            {"case": r.case, "figure": r.figure, "result": r.result, "demanded": r.demand, "passed": r.passed}
            for r in found
        ],
        "notes": session.notes,
    }
    print("\n" + table(found, baseline, subject))
    for note in session.notes:
        print("note:", note)
    missed = [row for row in found if row.passed is False]
    print(f"{len(missed)} of {sum(row.passed is not None for row in found)} demands missed, {document['took_s']} s")
    whole = not options.quick and len(chosen) == len(CASES) and kinds == ("nats-server", "gossamer")
    if options.output or whole:
        place = Path(options.output) if options.output else BENCH / "results" / f"{document['date']}.json"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(document, indent=1) + "\n")
        place.with_suffix(".md").write_text(markdown(found, session.notes, document, baseline, subject))
        print("written:", place.name, place.with_suffix(".md").name)
    return 1 if missed and options.enforce else 0


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench/run.py", description="Gossamer against nats-server.")
    parser.add_argument("--cases", default="", help="names or prefixes of cases, with commas between (default: all)")
    parser.add_argument("--runs", type=int, default=5, help="runs of each server and case (default: 5)")
    parser.add_argument("--seconds", type=float, default=0.8, help="length of a flood (default: 0.8)")
    parser.add_argument("--quick", action="store_true", help="one run of 0.3 s: is everything in working order?")
    parser.add_argument("--servers", default="nats-server,gossamer", help="baseline,subject")
    parser.add_argument(
        "--patience",
        type=float,
        default=QUIET_BUDGET_S,
        help="seconds to wait in all for a quiet machine (default: 90)",
    )
    parser.add_argument("--output", default="", help="JSON file to write; the .md is put beside it")
    parser.add_argument("--enforce", action="store_true", help="exit with 1 when a demand is not met")
    return parser


def _chosen(wanted: str) -> list[Case]:
    if not wanted:
        return list(CASES)
    names = [name.strip() for name in wanted.split(",") if name.strip()]
    exact = {case.name for case in CASES}
    return [
        case for case in CASES if any(case.name == n or (n not in exact and case.name.startswith(n)) for n in names)
    ]


def _run_case(case: Case, session: Session) -> Samples:
    print(f"{case.name}: {case.title}", flush=True)
    targets = session.targets(case)
    samples: Samples = {target.label: [] for target in targets}
    broken: set[str] = set()
    fresh = case.work in (Work.MEMORY, Work.LATENESS, Work.ANNOUNCE, Work.MESH_SCATTER)
    try:
        for turn in range(min(session.runs, case.runs_max)):
            # Each goes first in half of the runs: what a run leaves behind is then shared fairly.
            for target in targets if turn % 2 == 0 else targets[::-1]:
                if target.label in broken:
                    continue
                try:
                    samples[target.label].append(_one_run(case, target, targets, session, fresh))
                except FAULTS as error:
                    words = [server.last_words() for server in target.servers if not server.alive]
                    session.note(f"{case.name}, {target.label}: {error} {' '.join(words)}".strip())
                    print("  " + session.notes[-1], flush=True)
                    target.stop()
                    # A second fault would only cost time; a case with a fault must not pass by its other runs either.
                    samples[target.label].clear()
                    broken.add(target.label)
    finally:
        for target in targets:
            target.stop()
    return samples


def _one_run(case: Case, target: Target, targets: list[Target], session: Session, fresh: bool) -> dict[str, float]:
    """Measure; again, if something else was using the machine, as long as there is patience."""
    best: dict[str, float] = {}
    for _ in range(ATTEMPTS):
        if fresh:
            target.stop()
        if not target.alive and case.work is not Work.LATENESS:
            target.start(case)
        pids = [pid for other in targets for pid in other.all_pids]
        watch = Watch(pids)
        figures = RUNS[case.work](case, target, session.seconds)
        figures["softirq_s"] = watch.softirq_seconds()
        # A lateness run starts and ends its own server, whose time cannot be told from that of others any more.
        figures.setdefault("others_share", 0.0 if case.work is Work.LATENESS else watch.others())
        if not best or figures["others_share"] < best["others_share"]:
            best = figures
        if fresh:
            target.stop()
        if best["others_share"] <= DISTURBED or session.patience_s <= 0:
            break
        begun = time.monotonic()
        wait_until_quiet([pid for other in targets for pid in other.all_pids], min(5.0, session.patience_s))
        session.patience_s -= time.monotonic() - begun + session.seconds
    if best["others_share"] > DISTURBED:
        session.note(
            f"{case.name}, {target.label}: other processes took {best['others_share']:.0%} of a core during a run"
        )
    return {name: round(value, 4) for name, value in best.items()}


if __name__ == "__main__":
    # By default SIGTERM would end this process without ending the servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by SIGTERM"))
    sys.exit(main())
