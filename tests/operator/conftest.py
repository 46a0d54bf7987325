"""A home folder of its own for every test, and the command line as a function."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec import Struct

from gossamer.operator.cli import main

VARIABLES = (
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "NSC_HOME",
    "NKEYS_PATH",
    "NSC_CWD_ONLY",
    "NSC_NO_GIT_IGNORE",
)


class Answer(Struct, frozen=True, kw_only=True):
    """What a command said."""

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


def call(*arguments: str) -> Answer:
    """Run ``gossamer ARGUMENTS`` in this process, without a terminal and with a closed standard input."""
    with CliRunner().isolation() as streams:
        code = main(list(arguments))
        out, err = streams[0].getvalue(), streams[1].getvalue()
    return Answer(code=code, out=out.decode(), err=err.decode())


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder that is the working folder too."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run() -> Run:
    """The command line; a failure of the command is in the answer."""
    return call


@pytest.fixture
def ok() -> Run:
    """The command line, for commands that must succeed."""

    def run_ok(*arguments: str) -> Answer:
        answer = call(*arguments)
        assert answer.code == 0, (arguments, answer.out, answer.err)
        return answer

    return run_ok


@pytest.fixture
def nsc_store(home: Path) -> Path:
    """The store that nsc wrote, laid out as it was: a folder with stores, keys and nsc.json."""
    source = Path(__file__).parent / "vectors"
    folder = home / "nsc"
    shutil.copytree(source, folder)
    (folder / "stores" / "ACME" / "dot-nsc").rename(folder / "stores" / "ACME" / ".nsc")
    (folder / "keys" / "dot-gitignore").rename(folder / "keys" / ".gitignore")
    context = folder / "nsc.json"
    context.write_text(context.read_text().replace("@STORES@", str(folder / "stores")))
    return folder


@pytest.fixture
def nsc_flags(nsc_store: Path) -> list[str]:
    """The flags that point at the store that nsc wrote."""
    return [
        f"--config-dir={nsc_store}",
        f"--data-dir={nsc_store / 'stores'}",
        f"--keystore-dir={nsc_store / 'keys'}",
    ]


def fingerprint(folder: Path) -> dict[str, str]:
    """Hashes of all files below a folder, but for the lock."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != ".gossamer.lock"
    }


@pytest.fixture(name="fingerprint")
def fingerprint_function() -> Callable[[Path], dict[str, str]]:
    """Hashes of all files below a folder."""
    return fingerprint
