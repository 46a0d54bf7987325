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
#: The comparison with nats-server runs without the engine.
SUBJECTS = ["tests/engine", "tests/fuzz", "--deselect", "tests/engine/test_reference_against_server.py"]
OPTIONS = ["-q", "-s", "-p", "no:cacheprovider", "--timeout", "900"]
#: What a process ends with when a sanitizer has something to say at its end.
LEAK_EXIT_CODE = 99
#: Lines of a report that say nothing about the engine.
FRAME_OF_INTERPRETER = re.compile(r"^ +#\d+ .*(Python|Objects|Modules|Include)/")


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
    asan += [f"exitcode={LEAK_EXIT_CODE}", "handle_abort=1"]
    return {
        **os.environ,
        "LD_PRELOAD": f"{sanitizer('libasan.so')} {sanitizer('libubsan.so')}",
        "ASAN_OPTIONS": ":".join(asan),
        "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
        "LSAN_OPTIONS": "print_suppressions=0",
        "PYTHONMALLOC": "malloc",
        "PYTHONPATH": str(LIBRARY),
        "PYTHONDONTWRITEBYTECODE": "1",
    }


def run(command: list[str], *, leaks: bool) -> tuple[int, str]:
    """Run and show; the exit code and everything that was printed."""
    printed = []
    with subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(leaks=leaks),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line)
            if not FRAME_OF_INTERPRETER.search(line):
                print(line, end="", flush=True)
    return process.returncode, "".join(printed)


def findings(printed: str) -> list[str]:
    """What counts: every error, and leaks that the engine allocated (the interpreter has some of its own)."""
    errors = re.findall(r"^.*(?:runtime error:|ERROR: (?!LeakSanitizer)\w*Sanitizer).*$", printed, re.MULTILINE)
    blocks = re.split(r"\n\s*\n", printed)
    return errors + [block for block in blocks if re.match(r"\s*Direct leak of", block) and "gossamer" in block]


def main() -> int:
    """Build, run, judge."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--skip-build", action="store_true", help="use what is in build/asan-lib")
    parser.add_argument("--leaks", action="store_true", help="also report memory the engine did not free")
    parser.add_argument("rest", nargs="*", help="pytest arguments instead of the usual ones")
    arguments, further = parser.parse_known_args()
    if not arguments.skip_build:
        build()
    command = [sys.executable, "-X", "faulthandler", "-m", "pytest", *OPTIONS, *(arguments.rest + further or SUBJECTS)]
    code, printed = run(command, leaks=arguments.leaks)
    found = findings(printed)
    if arguments.leaks and code == LEAK_EXIT_CODE and not found:
        # LeakSanitizer saw only the interpreter's own leftovers; whether the tests passed stands in pytest's last line.
        code = int(re.search(r"^\d+ passed(?!.*failed)", printed, re.MULTILINE) is None)
    for one in found:
        print(f"asan: found: {one}")
    print(f"asan: exit code {code}, {len(found)} findings")
    return code or (1 if found else 0)


if __name__ == "__main__":
    sys.exit(main())
