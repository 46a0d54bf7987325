"""``gossamer up`` as a process, and what it leaves behind."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gossamer.operator.up import reading

Start = Callable[..., "subprocess.Popen[str]"]


def processes_naming(text: str) -> list[str]:
    """Command lines of all processes that name ``text``."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue  # it has just ended
        if text in words:
            found.append(words)
    return found


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start ``gossamer up ARGUMENTS`` with a temporary folder of its own; ended after the test, whatever happened."""
    started: list[subprocess.Popen[str]] = []
    temporary = tmp_path / "tmp"
    temporary.mkdir()

    def run(*arguments: str) -> subprocess.Popen[str]:
        environment = dict(os.environ, TMPDIR=str(temporary))
        entries = [str(Path(entry).absolute()) for entry in environment.get("PYTHONPATH", "").split(":") if entry]
        environment["PYTHONPATH"] = ":".join(entries)
        process = subprocess.Popen(
            [sys.executable, "-m", "gossamer.operator.cli", "up", *arguments],
            cwd=tmp_path,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(10)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


@pytest.fixture
def left_behind(tmp_path: Path) -> Callable[[], list[str]]:
    """Files in the temporary folder, and processes whose command line names it."""

    def look() -> list[str]:
        folder = tmp_path / "tmp"
        return [str(path) for path in folder.iterdir()] + processes_naming(str(folder))

    return look


@pytest.fixture
def small(tmp_path: Path) -> Callable[[str], Path]:
    """A topology with one node in each cluster and all else as it is: the same tour in a fraction of the time."""

    def shrink(name: str) -> Path:
        text = reading.find(name).read_text()
        text = re.sub(r'^ +\{ name = "[a-z]+-[23]".*\n', "", text, flags=re.MULTILINE)
        text = re.sub(r', \{ name = "[a-z]+-[23]"[^}]*\}', "", text)
        text = re.sub(r"\b([a-z]+)-[23]\b", r"\1-1", text)
        path = tmp_path / name / "topology.toml"
        path.parent.mkdir()
        path.write_text(text)
        return path

    return shrink
