"""Samples to medians, medians to factors, factors to verdicts; as a table, as Markdown, as JSON."""

import statistics
from dataclasses import dataclass

from cases import Case, Check, Metric

Samples = dict[str, list[dict[str, float]]]


@dataclass(frozen=True)
class Row:
    """One judged figure. ``passed`` is None where nothing is demanded."""

    case: str
    title: str
    figure: str
    baseline: str
    subject: str
    result: str
    demand: str
    passed: bool | None

    @property
    def verdict(self) -> str:
        """One word."""
        return {True: "pass", False: "FAIL", None: "-"}[self.passed]


def middle(samples: list[dict[str, float]], metric: Metric) -> float | None:
    """The median; None when no run gave the figure."""
    found = [sample[metric.name] for sample in samples if metric.name in sample]
    return statistics.median(found) if found else None


def shown(samples: list[dict[str, float]], metric: Metric) -> str:
    """Median and range as text."""
    found = [sample[metric.name] for sample in samples if metric.name in sample]
    if not found:
        return "no result"
    low, mid, high = (f"{value:,.{metric.digits}f}" for value in (min(found), statistics.median(found), max(found)))
    return f"{mid} [{low}-{high}]"


def rows(case: Case, samples: Samples, baseline: str, subject: str, opened: str) -> list[Row]:
    """Judge one case. ``opened`` is the label of the subject without security, for cases that compare with it."""
    return [_row(case, check, samples, baseline, subject, opened) for check in case.checks]


def _row(case: Case, check: Check, samples: Samples, baseline: str, subject: str, opened: str) -> Row:
    metric = check.metric
    against = opened if check.share is not None else baseline
    base, mine = (middle(samples.get(label, []), metric) for label in (against, subject))
    result, demand, passed = "", "", None
    factor = None
    if base and mine:
        factor = mine / base if metric.higher_is_better else base / mine
        result = f"{factor:.2f}x"
    if check.factor is not None:
        demand = f">= {check.factor:g}x"
        passed = factor is not None and factor >= check.factor
    elif check.share is not None:
        demand = f">= {check.share:.0%} of plain"
        result = f"{factor:.0%}" if factor is not None else ""
        passed = factor is not None and factor >= check.share
    elif check.at_most is not None:
        demand = f"<= {check.at_most:,.0f}"
        passed = mine is not None and mine <= check.at_most
    return Row(
        case.name,
        case.title,
        metric.unit + (" (left: plain)" if check.share is not None else ""),
        shown(samples.get(against, []), metric) if samples.get(against) else "",
        shown(samples.get(subject, []), metric),
        result,
        demand,
        passed,
    )


HEADINGS = ("case", "figure", "baseline", "subject", "result", "demanded", "verdict")


def _cells(row: Row) -> tuple[str, ...]:
    return (row.case, row.figure, row.baseline, row.subject, row.result, row.demand, row.verdict)


def table(found: list[Row], baseline: str, subject: str) -> str:
    """Aligned text."""
    headings = tuple({"baseline": baseline, "subject": subject}.get(name, name) for name in HEADINGS)
    lines = [headings, *(_cells(row) for row in found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def markdown(found: list[Row], notes: list[str], document: dict[str, object], baseline: str, subject: str) -> str:
    """A readable result: machine, settings, one table, what to know of it."""
    machine, settings = document["machine"], document["settings"]
    assert isinstance(machine, dict)
    assert isinstance(settings, dict)
    failed = sum(row.passed is False for row in found)
    judged = sum(row.passed is not None for row in found)
    lines = [
        f"# Benchmark of {document['date']}",
        "",
        f"{machine['cores']} cores of {machine['cpu']}, {machine['memory_gib']} GiB, {machine['kernel']}, "
        f"{machine['python']}; Gossamer {machine['gossamer']}, nats-server {machine['nats_server']}. "
        f"Client and servers share the cores, over loopback. Medians [range] of {settings['runs']} runs of "
        f"{settings['seconds']:g} s, run by run interleaved; every payload verified.",
        "",
        f"**{judged - failed} of {judged} demands are met.**",
        "",
        "| what | " + " | ".join(({"baseline": baseline, "subject": subject}.get(n, n)) for n in HEADINGS) + " |",
        "|" + "---|" * (len(HEADINGS) + 1),
    ]
    title = ""
    for row in found:
        lines.append(f"| {row.title if row.title != title else ''} | " + " | ".join(_cells(row)) + " |")
        title = row.title
    lines += ["", "CPU is user and system time of the server processes for each message delivered (published, where"]
    lines += [
        "nobody subscribes; one request and its reply count as one). TCP receive processing in soft interrupts is in"
    ]
    lines += ["no process's account here; the JSON file has it for each run.", ""]
    if notes:
        lines += ["## Notes", "", *(f"- {note}" for note in notes), ""]
    return "\n".join(lines)
