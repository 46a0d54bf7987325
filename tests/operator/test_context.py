"""Where things are and which operator is meant (spec operator-cli sections 2.1 and 2.4, checklist 1 to 3)."""

import json
from pathlib import Path

import pytest

from gossamer.operator.store.places import PlaceFlags, resolve_places
from gossamer.operator.testing import fingerprint, run, run_ok


def test_default_places(home: Path) -> None:
    places = resolve_places(PlaceFlags(), {"HOME": str(home)})
    assert places.config == home / ".config" / "nats" / "nsc"
    assert places.stores == home / ".local" / "share" / "nats" / "nsc" / "stores"
    assert places.keys == home / ".local" / "share" / "nats" / "nsc" / "keys"


def test_precedence(home: Path) -> None:
    environment = {
        "HOME": str(home),
        "XDG_CONFIG_HOME": "/xc",
        "XDG_DATA_HOME": "/xd",
    }
    places = resolve_places(PlaceFlags(), environment)
    assert (places.config, places.stores, places.keys) == (
        Path("/xc/nats/nsc"),
        Path("/xd/nats/nsc/stores"),
        Path("/xd/nats/nsc/keys"),
    )
    environment |= {"NSC_HOME": "/nh", "NKEYS_PATH": "/nk"}
    places = resolve_places(PlaceFlags(), environment)
    assert (places.config, places.stores, places.keys) == (Path("/nh"), Path("/xd/nats/nsc/stores"), Path("/nk"))
    flags = PlaceFlags(config_dir="/c", data_dir="/d", keystore_dir="/k")
    places = resolve_places(flags, environment)
    assert (places.config, places.stores, places.keys) == (Path("/c"), Path("/d"), Path("/k"))
    places = resolve_places(PlaceFlags(all_dirs="/all", config_dir="/c", data_dir="/d", keystore_dir="/k"), environment)
    assert (places.config, places.stores, places.keys) == (Path("/all"),) * 3


def test_old_places_count_only_when_there_are_no_new_ones(home: Path) -> None:
    (home / ".nsc" / "nats").mkdir(parents=True)
    (home / ".nsc" / "nsc.json").write_text("{}")
    (home / ".nkeys").mkdir()
    places = resolve_places(PlaceFlags(), {"HOME": str(home)})
    assert (places.config, places.stores, places.keys) == (home / ".nsc", home / ".nsc" / "nats", home / ".nkeys")
    new = home / ".local" / "share" / "nats" / "nsc"
    (new / "stores").mkdir(parents=True)
    (new / "keys").mkdir()
    places = resolve_places(PlaceFlags(), {"HOME": str(home)})
    assert (places.stores, places.keys) == (new / "stores", new / "keys")


def test_all_in_one_folder(home: Path, tmp_path: Path) -> None:
    run_ok("init", "DEMO", "-H", str(tmp_path))
    assert {path.name for path in tmp_path.iterdir()} == {
        *("DEMO", "keys", "creds", ".gitignore", "nsc.json", ".gossamer.lock", ".gossamer-audit")
    }
    assert fingerprint(home) == {}
    assert run_ok("validate", "-H", str(tmp_path), "--json").data["valid"]
    refused = run("operator", "create", "keys", "-H", str(tmp_path))
    assert refused.code == 1
    assert "keystore" in refused.err


@pytest.fixture
def two(home: Path, stores: Path) -> Path:
    """Two operators, ONE (chosen, with accounts A, chosen, and B) and TWO."""
    run_ok("operator", "create", "ONE")
    run_ok("account", "create", "A")
    run_ok("account", "create", "B")
    run_ok("operator", "create", "TWO")
    return stores


def choice() -> tuple[str | None, str | None]:
    data = run_ok("env", "--json").data
    return data["operator"]["name"], data["account"]["name"]


def test_the_working_folder_chooses(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert choice() == ("ONE", "A")
    monkeypatch.chdir(two / "TWO")
    assert choice() == ("TWO", None)
    monkeypatch.chdir(two / "ONE" / "accounts" / "B")
    assert choice() == ("ONE", "B")
    assert run_ok("account", "describe", "--json").data["name"] == "B"
    assert run_ok("account", "describe", "A", "--json").data["name"] == "A"


def test_only_the_working_folder(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSC_CWD_ONLY", "1")
    assert choice() == (None, None)
    monkeypatch.chdir(two / "ONE" / "accounts" / "B")
    assert choice() == ("ONE", "B")
    assert run("env", "-o", "TWO").code == 1


def test_a_working_folder_elsewhere(two: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run_ok("operator", "create", "FAR", "--data-dir", str(tmp_path / "far"))
    monkeypatch.chdir(tmp_path / "far")
    assert run_ok("env", "--json").data["stores"] == str(tmp_path / "far")
    assert choice()[0] == "FAR"


def test_the_context_file_keeps_what_is_not_ours(two: Path, home: Path) -> None:
    path = home / ".config" / "nats" / "nsc" / "nsc.json"
    members = json.loads(path.read_text())
    assert set(members) == {"store_root", "operator", "account", "github_updates", "last_update"}
    path.write_text(json.dumps(members | {"from_the_future": 1, "last_update": 5}))
    run_ok("env", "-o", "TWO")
    assert json.loads(path.read_text()) == members | {
        "from_the_future": 1,
        "last_update": 5,
        "operator": "TWO",
        "account": "",
    }


def test_nothing_switches_in_silence(two: Path, home: Path) -> None:
    path = home / ".config" / "nats" / "nsc" / "nsc.json"
    before = path.read_text()
    run_ok("account", "create", "C")
    run_ok("user", "create", "u", "-a", "B")
    run_ok("account", "edit", "B", "--conns", "1")
    run_ok("account", "create", "D", "--operator", "TWO")
    assert path.read_text() == before


def test_choosing_what_is_not_there(two: Path) -> None:
    assert run("env", "-o", "NOBODY").code == 1
    assert run("env", "-a", "NOBODY").code == 1
    assert run("env", "-s", "nowhere").code == 1
    assert choice() == ("ONE", "A")
