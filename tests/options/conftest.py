"""A tree of files in memory, the real nats-server, and both servers' verdict on one text."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gossamer.mesh.options.language import parse_text


@pytest.fixture
def files():
    """Paths to texts; ``files.reader`` reads from them as from a disk."""
    return Files()


class Files(dict):
    def reader(self, path):
        if path not in self:
            raise FileNotFoundError(2, "No such file or directory", path)
        text = self[path]
        return text if isinstance(text, bytes) else text.encode()


@pytest.fixture
def parse(files):
    """``parse(text, NAME="value")`` is the document of ``text`` in an environment."""

    def parse(text, **environment):
        return parse_text(text, "f.conf", reader=files.reader, environment=environment)

    return parse


@pytest.fixture(scope="session")
def nats_server():
    """The path of the real server."""
    beside = Path(sys.executable).with_name("nats-server")
    found = str(beside) if beside.exists() else shutil.which("nats-server")
    if not found:
        pytest.skip("nats-server is not installed (extra: interop)")
    return found


@pytest.fixture
def reference(nats_server, tmp_path):
    """``reference(text)`` is the exit code and standard error of ``nats-server -t`` for ``text`` in f.conf."""

    def reference(text, environment=(), arguments=()):
        (tmp_path / "f.conf").write_bytes(text if isinstance(text, bytes) else text.encode())
        done = subprocess.run(
            [nats_server, "-t", "-c", "f.conf", *arguments],
            cwd=tmp_path,
            capture_output=True,
            env=dict(environment),
            timeout=30,
            check=False,
        )
        return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")

    return reference
