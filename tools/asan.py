"""Builds the engine with AddressSanitizer and UndefinedBehaviorSanitizer and runs its tests under them.

    python tools/asan.py [--skip-build] [--leaks] [pytest arguments]

The sanitized package goes to ``build/asan-lib``, apart from the modules built in place. Without pytest arguments the
tests of the engine and a short fuzz run are the subject. ``--leaks`` lets LeakSanitizer report at exit what is
unreachable; only reports with a frame of the engine count, since the interpreter itself keeps things until the end.
Exit code 0: built, tests passed, nothing found.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "build" / "asan-lib"
TEMPORARY = ROOT / "build" / "asan-temp"
REPORTS = ROOT / "build" / "asan-reports"
#: The comparison with nats-server runs without the engine.
SUBJECTS = ["tests/engine", "tests/fuzz", "--deselect", "tests/engine/test_reference_against_server.py"]
OPTIONS = ["-q", "-p", "no:cacheprovider", "--timeout", "900"]


def sanitizer(name: str) -> str:
    """The path of a sanitizer's runtime. Raises SystemExit if the compiler has none."""
    compiler = os.environ.get("CC", "gcc")
    found = subprocess.run([compiler, f"-print-file-name={name}"], capture_output=True, text=True, check=True)
    path = found.stdout.strip()
    if not Path(path).is_absolute():
        raise SystemExit(f"asan: {compiler} has no {name}; install its sanitizer runtimes")
    return str(Path(path).resolve())


def build() -> None:
    """The whole package with sanitized extension modules. Raises SystemExit if it does not build."""
    command = [sys.executable, "setup.py", "-q", "build"]
    command += ["--build-lib", str(LIBRARY), "--build-temp", str(TEMPORARY)]
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, "GOSSAMER_SANITIZE": "1"}, check=False)
    if done.returncode:
        raise SystemExit(f"asan: the build failed with exit code {done.returncode}")


def environment(*, leaks: bool) -> dict[str, str]:
    """The environment of a run under the sanitizers."""
    asan = [f"detect_leaks={int(leaks)}", "detect_stack_use_after_return=1", "allocator_may_return_null=1"]
    asan += [f"log_path={REPORTS / 'report'}", "exitcode=99", "handle_abort=1"]
    return {
        **os.environ,
        "LD_PRELOAD": f"{sanitizer('libasan.so')} {sanitizer('libubsan.so')}",
        "ASAN_OPTIONS": ":".join(asan),
        "UBSAN_OPTIONS": f"print_stacktrace=1:halt_on_error=1:log_path={REPORTS / 'report'}",
        "LSAN_OPTIONS": "print_suppressions=0",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(LIBRARY),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def findings(*, leaks: bool) -> list[str]:
    """The reports that count: every error, and leaks allocated by the engine."""
    found = []
    for path in sorted(REPORTS.glob("report.*")):
        text = path.read_text(errors="replace")
        if "LeakSanitizer" in text and leaks:
            blocks = re.split(r"\n\n+", text)
            found += [block for block in blocks if "leak of" in block and "gossamer" in block]
        else:
            found.append(text)
    return found


def main() -> int:
    """Build, run, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skip-build", action="store_true", help="use what is in build/asan-lib")
    parser.add_argument("--leaks", action="store_true", help="also report memory the engine did not free")
    parser.add_argument("rest", nargs="*", help="pytest arguments instead of the usual ones")
    arguments, further = parser.parse_known_args()
    if not arguments.skip_build:
        build()
    REPORTS.mkdir(parents=True, exist_ok=True)
    for old in REPORTS.glob("report.*"):
        old.unlink()
    command = [sys.executable, "-X", "faulthandler", "-m", "pytest", *OPTIONS]
    done = subprocess.run(
        [*command, *(arguments.rest + further or SUBJECTS)],
        cwd=ROOT,
        env=environment(leaks=arguments.leaks),
        check=False,
    )
    reports = findings(leaks=arguments.leaks)
    for report in reports:
        print(report)
    # Exit code 99 with nothing of ours in the reports: LeakSanitizer saw only the interpreter's own leftovers.
    code = 0 if arguments.leaks and done.returncode == 99 and not reports else done.returncode
    print(f"asan: pytest ended with {done.returncode}, {len(reports)} sanitizer reports")
    return code or (1 if reports else 0)


if __name__ == "__main__":
    sys.exit(main())
