"""Fuzz every parser that faces a socket or a file.

    python fuzz/run.py [--seconds 10] [--target NAME]... [--seed 1] [--atheris] [FILE...]

Without ``--atheris`` a plain seeded mutation of valid inputs runs in a process of its own for each target; with it,
coverage leads the way (needs the ``fuzz`` extra). The input that failed, also by a crash or a hang, is kept in
``fuzz-corpus/`` and its path printed. FILEs are inputs to replay for the one target named. Exit code 1: something was
found.
"""

import argparse
import faulthandler
import hashlib
import importlib
import mmap
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / "fuzz-corpus"
#: An input that takes longer is a finding.
INPUT_TIMEOUT_S = 30
#: Inputs after which the watch for a hang is wound up anew.
INPUTS_PER_WATCH = 50
LENGTH_BYTES = 8

sys.path[:0] = [str(Path(__file__).resolve().parent)]
import mutation  # noqa: E402


class Target(NamedTuple):
    """Where a target's function is, and what its inputs begin from."""

    module: str
    function: str
    corpus: Callable[[], list[bytes]]
    words: tuple[bytes, ...]


TARGETS = {
    "client": Target(
        "streams", "client", lambda: mutation.with_options(mutation.CLIENT_STREAMS), mutation.CLIENT_WORDS
    ),
    "route": Target("streams", "route", lambda: mutation.with_options(mutation.ROUTE_STREAMS), mutation.ROUTE_WORDS),
    "leaf": Target("streams", "leaf", lambda: mutation.with_options(mutation.LEAF_STREAMS), mutation.LEAF_WORDS),
    "gateway": Target(
        "streams", "gateway", lambda: mutation.with_options(mutation.GATEWAY_STREAMS), mutation.GATEWAY_WORDS
    ),
    "configuration": Target(
        "texts", "configuration", lambda: list(mutation.CONFIGURATIONS), mutation.CONFIGURATION_WORDS
    ),
    "token": Target("texts", "token", mutation.token_corpus, mutation.TOKEN_WORDS),
    "credentials": Target("texts", "credentials", mutation.credential_corpus, mutation.CREDENTIAL_WORDS),
}


def functions(name: str) -> tuple[Callable[[bytes], None], Callable[[], None]]:
    """The function that takes one input, and the one that ends a run."""
    module = importlib.import_module(TARGETS[name].module)
    consume = getattr(module, f"consume_{TARGETS[name].function}")
    return consume, getattr(module, f"finish_{TARGETS[name].function}", lambda: None)


def corpus(name: str) -> list[bytes]:
    """Valid inputs, and those that once failed."""
    return TARGETS[name].corpus() + [path.read_bytes() for path in sorted(KEPT.glob(f"{name}-*"))]


def keep(name: str, data: bytes) -> Path:
    """Save an input that failed."""
    KEPT.mkdir(exist_ok=True)
    path = KEPT / f"{name}-{hashlib.sha256(data).hexdigest()[:16]}"
    path.write_bytes(data)
    return path


def work(name: str, seed: int, seconds: float, current: str) -> None:
    """In the process that may crash: mutate and consume. ``current`` is a file that always holds the present input."""
    consume, finish = functions(name)
    rng, inputs = random.Random(seed), corpus(name)
    with Path(current).open("r+b") as file, mmap.mmap(file.fileno(), 0) as present:
        deadline, count = time.monotonic() + seconds, 0
        while time.monotonic() < deadline:
            if count % INPUTS_PER_WATCH == 0:
                faulthandler.dump_traceback_later(INPUT_TIMEOUT_S, exit=True)
            data = inputs[count] if count < len(inputs) else mutation.mutated(rng, inputs, TARGETS[name].words)
            present[: LENGTH_BYTES + len(data)] = len(data).to_bytes(LENGTH_BYTES, "little") + data
            consume(data)
            count += 1
        finish()
    faulthandler.cancel_dump_traceback_later()
    print(f"fuzz: {name}: {count} inputs, nothing found (seed {seed})", flush=True)


def fuzz(name: str, seed: int, seconds: float) -> bool:
    """One target in a process of its own. Was it clean?"""
    KEPT.mkdir(exist_ok=True)
    current = KEPT / f".{name}.{os.getpid()}"
    current.write_bytes(bytes(LENGTH_BYTES + 4 * mutation.INPUT_SIZE_MAX))
    try:
        command = [sys.executable, "-X", "faulthandler", __file__, "--worker", str(current), "--target", name]
        done = subprocess.run([*command, "--seed", str(seed), "--seconds", str(seconds)], check=False)
        if done.returncode == 0:
            return True
        stored = current.read_bytes()
        size = int.from_bytes(stored[:LENGTH_BYTES], "little")
        path = keep(name, stored[LENGTH_BYTES : LENGTH_BYTES + size])
    finally:
        current.unlink()
    again = f"python fuzz/run.py --target {name} {path.relative_to(ROOT)}"
    print(f"fuzz: {name}: FAILED with exit code {done.returncode} (seed {seed}); replay with: {again}", flush=True)
    return False


def replay(name: str, paths: list[str]) -> None:
    """Consume these inputs here, so that a failure shows its traceback."""
    consume, finish = functions(name)
    for path in paths:
        consume(Path(path).read_bytes())
    finish()
    print(f"fuzz: {name}: {len(paths)} inputs, nothing found")


def run_atheris(name: str, seconds: float, seed: int) -> None:
    """Led by coverage; does not return."""
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        raise SystemExit(
            "fuzz: atheris is not installed; pip install 'gossamer[fuzz]', or leave out --atheris"
        ) from None
    folder = KEPT / f"{name}.seeds"
    folder.mkdir(parents=True, exist_ok=True)
    for data in corpus(name):
        (folder / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    with atheris.instrument_imports(include=["gossamer", "streams", "texts"]):
        consume, _ = functions(name)
    options = [f"-max_total_time={int(seconds)}", f"-seed={seed}", f"-artifact_prefix={KEPT}/{name}-"]
    atheris.Setup([sys.argv[0], *options, str(folder)], consume)
    atheris.Fuzz()


def main() -> int:
    """Read the arguments, run the targets one after the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=10.0, help="for each target")
    parser.add_argument("--target", action="append", choices=sorted(TARGETS), help="default: all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--atheris", action="store_true", help="led by coverage")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("inputs", nargs="*", metavar="FILE", help="inputs to replay")
    arguments = parser.parse_args()
    chosen = arguments.target or sorted(TARGETS)
    if (arguments.worker or arguments.inputs or arguments.atheris) and len(chosen) != 1:
        parser.error("name one --target")
    if arguments.worker:
        work(chosen[0], arguments.seed, arguments.seconds, arguments.worker)
    elif arguments.inputs:
        replay(chosen[0], arguments.inputs)
    elif arguments.atheris:
        run_atheris(chosen[0], arguments.seconds, arguments.seed)
    else:
        clean = [fuzz(name, arguments.seed, arguments.seconds) for name in chosen]
        return 0 if all(clean) else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
