"""For tests of programs that use the command line: run it in this process, and look at what it left on disk."""

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from msgspec import Struct

from gossamer.operator.cli import main
from gossamer.operator.store.lock import LOCK_NAME


class Answer(Struct, frozen=True, kw_only=True):
    """What a command said, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def envelope(self) -> dict[str, Any]:
        """The whole JSON answer."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def data(self) -> Any:
        """The data of a JSON answer."""
        return self.envelope["data"]


Run = Callable[..., Answer]


def run(*arguments: str) -> Answer:
    """Run ``gossamer ARGUMENTS`` without a terminal and with an empty standard input."""
    with CliRunner().isolation() as streams:
        code = main(list(arguments))
        sys.stdout.flush()
        sys.stderr.flush()
        out, err = streams[0].getvalue(), streams[1].getvalue()
    return Answer(code=code, out=out.decode(), err=err.decode())


def run_ok(*arguments: str) -> Answer:
    """Run a command that must succeed. Raises AssertionError with all it said if it does not."""
    answer = run(*arguments)
    if answer.code != 0:
        raise AssertionError(f"gossamer {' '.join(arguments)}: {answer.code}\n{answer.out}{answer.err}")
    return answer


def fingerprint(folder: Path) -> dict[str, str]:
    """SHA-256 of all files below a folder, by their path; the lock is left out."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != LOCK_NAME
    }
