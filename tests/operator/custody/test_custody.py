"""Keystores at rest: sealed, moved, unlocked for a while, taken offline (spec operator-cli checklist 55, 56, 64)."""

import json
import os
import sys
import threading
import types
from collections.abc import Iterator
from pathlib import Path

import pytest

from gossamer.auth.credentials import parse_credentials
from gossamer.auth.keys import KeyPair
from gossamer.auth.xkeys import CurveKeyPair
from gossamer.operator.commands import custody
from gossamer.operator.commands.key import key
from gossamer.operator.custody import sealing
from gossamer.operator.custody.agent import Agent, AgentVault, socket_path
from gossamer.operator.custody.sealing import LocalVault, SealingError
from gossamer.operator.testing import fingerprint, run, run_ok

SECRET = "correct horse battery staple"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A passphrase costs next to nothing, and the agent's socket has a folder of its own."""
    monkeypatch.setattr(sealing, "PASSES", 1)
    monkeypatch.setattr(sealing, "MEMORY_BYTES", 8192)
    runtime = tmp_path / "run"
    runtime.mkdir(mode=0o700)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    for name in ("GOSSAMER_PASSPHRASE", "GOSSAMER_PASSPHRASE_FILE", "GOSSAMER_IDENTITY_FILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def secret(tmp_path: Path) -> str:
    """A file with the passphrase."""
    path = tmp_path / "passphrase"
    path.write_text(SECRET + "\n")
    return str(path)


@pytest.fixture
def chain(home: Path) -> Path:
    """A trust chain with a role."""
    run_ok("init", "DEMO", "--account", "TEAM", "--user", "alice")
    run_ok("account", "signing-key", "create", "--role", "svc", "--allow-pub", "p.>")
    return home


@pytest.fixture
def seeds(chain: Path, keys: Path) -> list[str]:
    """All seeds of the chain."""
    return [path.read_text() for path in keys.rglob("*.nk")]


@pytest.fixture
def sealed(chain: Path, seeds: list[str], secret: str) -> Path:
    """The chain in a sealed keystore."""
    run_ok("keys", "move", "--to", "encrypted", "--passphrase-file", secret)
    return chain


def all_bytes(folder: Path) -> bytes:
    return b"\n".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


def test_no_seed_is_readable_on_disk(sealed: Path, seeds: list[str], keys: Path) -> None:
    everything = all_bytes(sealed)
    assert len(seeds) > 6
    for seed in seeds:
        assert seed.encode() not in everything
    assert b"USER NKEY SEED" not in everything
    assert {path.name.removesuffix(".nk") for path in keys.rglob("*.nk")} == {
        KeyPair.from_seed(seed).public for seed in seeds
    }
    for path in keys.rglob("*.nk"):
        assert path.stat().st_mode & 0o777 == 0o600


def test_work_goes_on_with_the_passphrase(sealed: Path, secret: str, keys: Path, tmp_path: Path) -> None:
    assert "user creds bob -o" in run_ok("user", "create", "bob", "--passphrase-file", secret).out
    target = tmp_path / "bob.creds"
    run_ok("user", "creds", "bob", "-o", str(target), "--passphrase-file", secret)
    held = parse_credentials(target.read_text())
    assert held.claims.name == "bob"
    assert held.seed.encode() not in all_bytes(keys)
    assert run_ok("validate", "--passphrase-file", secret).code == 0


@pytest.mark.parametrize("way", ["descriptor", "variable", "named variable", "file variable"])
def test_ways_of_giving_the_passphrase(sealed: Path, way: str, secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    flags = []
    if way == "descriptor":
        reader, writer = os.pipe()
        os.write(writer, SECRET.encode() + b"\n")
        os.close(writer)
        flags = ["--passphrase-fd", str(reader)]
    elif way == "variable":
        monkeypatch.setenv("GOSSAMER_PASSPHRASE", SECRET)
    elif way == "named variable":
        monkeypatch.setenv("MINE", SECRET)
        flags = ["--passphrase-env", "MINE"]
    else:
        monkeypatch.setenv("GOSSAMER_PASSPHRASE_FILE", secret)
    try:
        run_ok("user", "create", "bob", *flags)
    finally:
        if way == "descriptor":
            os.close(reader)


def test_a_wrong_or_missing_passphrase_fails(sealed: Path, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("something else")
    before = fingerprint(sealed)
    for flags, word in ([], "locked"), (["--passphrase-file", str(wrong)], "passphrase is wrong"):
        answer = run("user", "create", "bob", *flags)
        assert answer.code == 7
        assert word in answer.err
        assert len(answer.err.splitlines()) == 1
    assert fingerprint(sealed) == before


def test_reading_needs_no_passphrase(sealed: Path) -> None:
    for command in (["key", "list"], ["user", "list"], ["validate"], ["generate", "config"], ["keys", "status"]):
        assert run(*command).code == 0, command
    assert run("key", "list", "--show-secrets").code == 7


def test_files_cannot_change_places(sealed: Path, secret: str, keys: Path) -> None:
    first, second, *_ = sorted((keys / "keys" / "A").rglob("*.nk"))
    second.write_bytes(first.read_bytes())
    assert run("key", "describe", second.stem, "--show-secrets", "--passphrase-file", secret).code == 7
    first.write_bytes(first.read_bytes()[:-6] + b"AAAA==")
    assert "altered" in run("key", "describe", first.stem, "-S", "--passphrase-file", secret).err


def test_moving_there_and_back(sealed: Path, seeds: list[str], secret: str, keys: Path) -> None:
    run_ok("keys", "move", "--to", "file", "--passphrase-file", secret)
    assert sorted(path.read_text() for path in keys.rglob("*.nk")) == sorted(seeds)
    assert not (keys / "custody.json").exists()
    for path in keys.rglob("*.creds"):
        assert parse_credentials(path.read_text()).seed in seeds
    run_ok("user", "create", "bob")


def test_a_move_that_cannot_be_read_back_destroys_nothing(
    chain: Path, secret: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = fingerprint(chain)
    real = LocalVault.seal

    def damaged(self: LocalVault, label: str, content: bytes) -> bytes:
        return real(self, label, content[:-1] + b"x")

    monkeypatch.setattr(LocalVault, "seal", damaged)
    answer = run("keys", "move", "--to", "encrypted", "--passphrase-file", secret)
    assert answer.code == 1
    assert "read back" in answer.err
    assert fingerprint(chain) == before


def test_a_dry_run_of_a_move_changes_nothing(chain: Path, secret: str) -> None:
    before = fingerprint(chain)
    run_ok("keys", "move", "--to", "encrypted", "--passphrase-file", secret, "--dry-run")
    assert fingerprint(chain) == before
    assert run("keys", "move", "--to", "encrypted").code == 64
    assert run("keys", "move", "--to", "file").code == 1


def test_another_passphrase(sealed: Path, secret: str, tmp_path: Path, keys: Path) -> None:
    new = tmp_path / "new"
    new.write_text("another passphrase")
    before = {name: digest for name, digest in fingerprint(keys).items() if name != "custody.json"}
    run_ok("keys", "passphrase", "--passphrase-file", secret, "--new-passphrase-file", str(new))
    assert {name: digest for name, digest in fingerprint(keys).items() if name != "custody.json"} == before
    assert run("user", "create", "bob", "--passphrase-file", secret).code == 7
    run_ok("user", "create", "bob", "--passphrase-file", str(new))


def test_recipients(chain: Path, tmp_path: Path, seeds: list[str]) -> None:
    mine, other = CurveKeyPair.generate(), CurveKeyPair.generate()
    for name, pair in ("mine", mine), ("other", other):
        (tmp_path / name).write_text(pair.seed)
    run_ok("keys", "move", "--to", "encrypted", "--recipient", mine.public)
    run_ok("user", "create", "bob", "--identity-file", str(tmp_path / "mine"))
    assert run("user", "create", "ben", "--identity-file", str(tmp_path / "other")).code == 7
    assert not any(seed.encode() in all_bytes(chain) for seed in seeds)


class Ring(types.ModuleType):
    """A keyring in memory."""

    def __init__(self) -> None:
        super().__init__("keyring")
        self.held: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, name: str) -> str | None:
        return self.held.get((service, name))

    def set_password(self, service: str, name: str, password: str) -> None:
        self.held[service, name] = password

    def delete_password(self, service: str, name: str) -> None:
        del self.held[service, name]


def test_the_keyring(chain: Path, seeds: list[str], keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ring = Ring()
    monkeypatch.setitem(sys.modules, "keyring", ring)
    run_ok("keys", "move", "--to", "keyring", "--dry-run")
    assert not ring.held
    run_ok("keys", "move", "--to", "keyring")
    assert len(ring.held) == 1
    assert not any(seed.encode() in all_bytes(chain) for seed in seeds)
    run_ok("user", "create", "bob")
    kept = dict(ring.held)
    ring.held.clear()
    answer = run("user", "create", "ben")
    assert answer.code == 7
    assert "keyring" in answer.err
    ring.held.update(kept)
    run_ok("keys", "move", "--to", "file")
    assert not ring.held
    assert set(seeds) <= {path.read_text() for path in keys.rglob("*.nk")}


def test_without_a_keyring(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    before = fingerprint(chain)
    answer = run("keys", "move", "--to", "keyring")
    assert answer.code == 7
    assert "pip install keyring" in answer.err
    assert fingerprint(chain) == before


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[tuple[Agent, AgentVault, list[float]]]:
    """An agent on a clock that is set by hand, served by a thread."""
    clock = [0.0]
    made = Agent(tmp_path / "run" / "a" / "x.sock", "id", b"m" * 32, 60.0, clock=lambda: clock[0])
    thread = threading.Thread(target=made.run)
    thread.start()
    vault = AgentVault(tmp_path / "run" / "a" / "x.sock", "id")
    yield made, vault, clock
    vault.lock()
    thread.join(10)
    assert not thread.is_alive()


def test_the_agent_seals_and_opens(agent: tuple[Agent, AgentVault, list[float]], tmp_path: Path) -> None:
    _, vault, _ = agent
    assert LocalVault(b"m" * 32).open("label", vault.seal("label", b"content")) == b"content"
    assert vault.open("label", LocalVault(b"m" * 32).seal("label", b"content")) == b"content"
    with pytest.raises(SealingError):
        vault.open("another label", vault.seal("label", b"content"))
    with pytest.raises(SealingError, match="another key"):
        AgentVault(tmp_path / "run" / "a" / "x.sock", "other").open("label", vault.seal("label", b"content"))
    assert vault.remaining_s() == 60.0
    assert (tmp_path / "run" / "a").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "run" / "a" / "x.sock").stat().st_mode & 0o777 == 0o700


def test_the_agent_ends_after_its_time(agent: tuple[Agent, AgentVault, list[float]], tmp_path: Path) -> None:
    made, vault, clock = agent
    sealed = vault.seal("label", b"content")
    clock[0] = 61.0
    with pytest.raises(SealingError):
        vault.open("label", sealed)
    assert vault.remaining_s() == 0.0
    del made


def test_unlocking_for_a_while(sealed: Path, secret: str) -> None:
    assert run("keys", "unlock").code == 7
    run_ok("keys", "unlock", "--for", "5m", "--passphrase-file", secret)
    try:
        status = run_ok("keys", "status", "--json").data
        assert 0 < status["unlocked_for_s"] <= 300
        run_ok("user", "create", "bob")
        # The passphrase and the key are in no process's arguments.
        path = socket_path(Path(status["keystore"]), dict(os.environ))
        lines = [
            line.read_bytes()
            for line in Path("/proc").glob("[0-9]*/cmdline")
            if line.parent.exists() and str(path).encode() in _read(line)
        ]
        assert len(lines) == 1
        assert SECRET.encode() not in lines[0]
    finally:
        assert run_ok("keys", "lock", "--json").data["was_unlocked"]
    assert run("user", "create", "ben").code == 7


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_a_short_time_ends_by_itself(sealed: Path, secret: str) -> None:
    run_ok("keys", "unlock", "--for", "50ms", "--passphrase-file", secret)
    while run_ok("keys", "status", "--json").data["unlocked_for_s"] > 0:
        pass
    deadline = 200
    while run("user", "create", f"u{deadline}").code == 0:
        deadline -= 1
        assert deadline


def test_seeds_handed_in_for_one_command(chain: Path, keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    operator = next((keys / "keys" / "O").rglob("*.nk"))
    seed = operator.read_text()
    operator.write_text(operator.stem)
    for path in (keys / "keys" / "O").rglob("*.nk"):
        path.write_text(path.stem)
    refused = run("operator", "edit", "--tag", "x")
    assert refused.code == 7
    assert "offline" in refused.err
    monkeypatch.setenv("CI_SEED", seed)
    identity = run_ok("operator", "describe", "--json").data["sub"]
    if KeyPair.from_seed(seed).public == identity:
        run_ok("operator", "edit", "--tag", "x", "--seed-env", "CI_SEED")
    else:
        run_ok("account", "create", "NEW", "--seed-env", "CI_SEED")
    assert seed.encode() not in all_bytes(keys)
    monkeypatch.setenv("CI_SEED", "nonsense")
    assert run("operator", "edit", "--tag", "y", "--seed-env", "CI_SEED").code == 1


@pytest.mark.parametrize("form", ["plain", "sealed"])
def test_the_root_key_goes_offline_and_comes_back(
    chain: Path, keys: Path, tmp_path: Path, form: str, secret: str
) -> None:
    run_ok("operator", "edit", "--sk", "generate")
    identity = run_ok("operator", "describe", "--json").data["sub"]
    path = keys / "keys" / "O" / identity[1:3] / f"{identity}.nk"
    seed = path.read_text()
    target = tmp_path / "stick" / "root"
    how = ["--plain"] if form == "plain" else ["--new-passphrase-file", secret]
    assert run("keys", "offline", "DEMO", "-o", str(target)).code == 64
    run_ok("keys", "offline", "DEMO", "-o", str(target), "--dry-run", *how)
    assert not target.exists()
    run_ok("keys", "offline", "DEMO", "-o", str(target), *how)
    assert target.stat().st_mode & 0o777 == 0o600
    assert (seed in target.read_text()) == (form == "plain")
    assert path.read_text() == identity
    assert run_ok("keys", "status", "--json").data["offline"] == [identity]
    # What needs it says so; what does not goes on.
    refused = run("operator", "edit", "--tag", "x")
    assert refused.code == 7
    assert "kept offline" in refused.err
    assert "signer request" in refused.err
    run_ok("account", "create", "NEXT")
    assert run_ok("validate").code == 0
    back = [] if form == "plain" else ["--key-passphrase-file", secret]
    if form == "sealed":
        assert run("keys", "import", str(target)).code == 1
        wrong = tmp_path / "wrong"
        wrong.write_text("not the passphrase")
        assert "wrong" in run("keys", "import", str(target), "--key-passphrase-file", str(wrong)).err
    run_ok("keys", "import", str(target), *back)
    assert path.read_text() == seed
    run_ok("operator", "edit", "--tag", "x")


def test_keys_is_a_hidden_name_of_key(chain: Path) -> None:
    listed = [line.split()[0] for line in run_ok("--help").out.splitlines() if line.startswith("  k")]
    assert listed == ["key"]
    renamed = {"export": "copy", "import": "online"}
    assert len(custody.keys.commands) == 8
    for name, command in custody.keys.commands.items():
        assert key.commands[renamed.get(name, name)] is command
    assert run_ok("key", "status", "--json").data == run_ok("keys", "status", "--json").data


def test_a_copy_leaves_the_key_and_goes_back_in(chain: Path, keys: Path, tmp_path: Path) -> None:
    identity = run_ok("operator", "describe", "--json").data["sub"]
    path = keys / "keys" / "O" / identity[1:3] / f"{identity}.nk"
    seed, target = path.read_text(), tmp_path / "copy"
    run_ok("key", "copy", "DEMO", "-o", str(target), "--plain")
    assert (path.read_text(), target.read_text().strip()) == (seed, seed)
    path.unlink()
    assert run_ok("key", "online", str(target), "--json").data["key"] == identity
    assert path.read_text() == seed


def test_an_export_never_overwrites(chain: Path, tmp_path: Path) -> None:
    target = tmp_path / "there"
    target.write_text("something")
    assert run("keys", "export", "DEMO", "-o", str(target), "--plain", "--remove").code == 1
    assert target.read_text() == "something"
    assert run_ok("keys", "status", "--json").data["offline"] == []


def test_no_secret_in_any_answer_or_in_the_log(sealed: Path, seeds: list[str], secret: str, stores: Path) -> None:
    said = ""
    for command in (
        ["user", "create", "bob", "--json"],
        ["key", "list", "--json"],
        ["keys", "status", "--json"],
        ["keys", "export", "DEMO", "-o", "out.nk", "--plain", "--json"],
        ["keys", "move", "--to", "file", "--json"],
    ):
        answer = run_ok(*command, "--passphrase-file", secret)
        json.loads(answer.out)
        said += answer.out + answer.err
    said += all_bytes(stores / ".gossamer-audit").decode()
    assert SECRET not in said
    assert not any(seed in said for seed in seeds)


def test_the_agents_socket_has_a_name_that_fits(tmp_path: Path) -> None:
    deep = {"XDG_RUNTIME_DIR": str(tmp_path / ("x" * 100))}
    assert len(str(socket_path(tmp_path, deep))) <= 100
    assert socket_path(tmp_path, {"XDG_RUNTIME_DIR": "/run/user/1"}).parent == Path("/run/user/1/gossamer-agent")
