"""A home folder of its own for every test, and the store that nsc wrote."""

import os
import shutil
from pathlib import Path

import pytest

VARIABLES = (
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "NSC_HOME",
    "NKEYS_PATH",
    "NSC_CWD_ONLY",
    "NSC_NO_GIT_IGNORE",
)


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder that is the working folder too."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    # Server processes inherit the path, and the working folder is about to change.
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(Path(entry).absolute()) for entry in entries))
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """No waiting for the disk, for most of the time goes there; what would have been synced is counted."""
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    return synced


@pytest.fixture
def stores(home: Path) -> Path:
    """Where the stores of the home folder are."""
    return home / ".local" / "share" / "nats" / "nsc" / "stores"


@pytest.fixture
def keys(home: Path) -> Path:
    """Where the keys of the home folder are."""
    return home / ".local" / "share" / "nats" / "nsc" / "keys"


@pytest.fixture
def nsc_store(tmp_path: Path) -> Path:
    """The store that nsc wrote, laid out as it was: a folder with stores, keys and nsc.json."""
    folder = tmp_path / "nsc"
    shutil.copytree(Path(__file__).parent / "vectors", folder)
    (folder / "stores" / "ACME" / "dot-nsc").rename(folder / "stores" / "ACME" / ".nsc")
    (folder / "keys" / "dot-gitignore").rename(folder / "keys" / ".gitignore")
    context = folder / "nsc.json"
    context.write_text(context.read_text().replace("@STORES@", str(folder / "stores")))
    return folder


@pytest.fixture
def nsc(nsc_store: Path) -> list[str]:
    """The flags that point at the store that nsc wrote."""
    return [
        f"--config-dir={nsc_store}",
        f"--data-dir={nsc_store / 'stores'}",
        f"--keystore-dir={nsc_store / 'keys'}",
    ]
