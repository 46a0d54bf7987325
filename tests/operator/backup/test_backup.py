"""Backups (spec operator-cli checklist 61) and the audit log (60)."""

import json
import os
from pathlib import Path

import pytest

from gossamer.auth.xkeys import CurveKeyPair
from gossamer.operator.audit.log import AuditLog
from gossamer.operator.audit.record import operator_log
from gossamer.operator.backup.stream import PIECE_BYTES, SealedReader, SealedWriter
from gossamer.operator.custody import sealing
from gossamer.operator.custody.sealing import SealingError, new_envelope
from gossamer.operator.testing import fingerprint, run, run_ok

SECRET = "a long enough passphrase"


@pytest.fixture(autouse=True)
def cheap(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A passphrase costs next to nothing."""
    monkeypatch.setattr(sealing, "PASSES", 1)
    monkeypatch.setattr(sealing, "MEMORY_BYTES", 8192)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))


@pytest.fixture
def chain(home: Path) -> Path:
    """A trust chain in the home folder."""
    run_ok("init", "DEMO", "--account", "TEAM", "--user", "alice")
    return home


@pytest.fixture
def how(tmp_path: Path) -> list[str]:
    """The flags with the backup's passphrase."""
    path = tmp_path / "secret"
    path.write_text(SECRET)
    return ["--backup-passphrase-file", str(path)]


@pytest.fixture
def saved(chain: Path, tmp_path: Path, how: list[str]) -> Path:
    """A backup of the chain."""
    path = tmp_path / "all.backup"
    run_ok("backup", "create", "-o", str(path), *how)
    return path


def everything(stores: Path, keys: Path) -> dict[str, str]:
    return {f"s/{name}": value for name, value in fingerprint(stores).items()} | {
        f"k/{name}": value for name, value in fingerprint(keys).items()
    }


@pytest.mark.parametrize("form", ["plain", "sealed"])
def test_an_identical_store_comes_back(
    chain: Path, stores: Path, keys: Path, tmp_path: Path, how: list[str], form: str
) -> None:
    if form == "sealed":
        run_ok("keys", "move", "--to", "encrypted", "--new-passphrase-file", how[1])
    path = tmp_path / "all.backup"
    run_ok("backup", "create", "-o", str(path), *how)
    before = everything(stores, keys)
    context = (chain / ".config" / "nats" / "nsc" / "nsc.json").read_bytes()
    home = tmp_path / "elsewhere"
    flags = [f"--data-dir={home / 's'}", f"--keystore-dir={home / 'k'}", f"--config-dir={home / 'c'}"]
    answer = run_ok("backup", "restore", str(path), *how, *flags, "--json")
    assert everything(home / "s", home / "k") == before
    assert (home / "c" / "nsc.json").read_bytes() == context
    assert [warning["code"] for warning in answer.envelope["warnings"]] == ["other-place"]
    assert not list(home.rglob(".gossamer-restore-*"))
    unlocking = ["--passphrase-file", how[1]] if form == "sealed" else []
    run_ok("validate", *flags, "--operator", "DEMO", *unlocking)
    run_ok("audit", "verify", *flags, "--operator", "DEMO")
    for file in (home / "k").rglob("*.nk"):
        assert file.stat().st_mode & 0o777 == 0o600


def test_all_in_one_folder(tmp_path: Path, how: list[str]) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    run_ok("init", "DEMO", "-H", str(first))
    run_ok("backup", "create", "-H", str(first), "-o", str(tmp_path / "b"), *how)
    run_ok("backup", "restore", str(tmp_path / "b"), "-H", str(second), *how)
    assert fingerprint(second) == fingerprint(first)


def test_it_shows_nothing_without_its_key(saved: Path, keys: Path, tmp_path: Path, how: list[str]) -> None:
    content = saved.read_bytes()
    for path in keys.rglob("*.nk"):
        assert path.read_bytes() not in content
        assert path.stem.encode() not in content
    for word in (b"DEMO", b"TEAM", b"alice", b"eyJ", SECRET.encode()):
        assert word not in content
    assert saved.stat().st_mode & 0o777 == 0o600
    wrong = tmp_path / "wrong"
    wrong.write_text("another passphrase")
    for command in ("verify", "restore"):
        answer = run("backup", command, str(saved), "--backup-passphrase-file", str(wrong), "-H", str(tmp_path / "x"))
        assert answer.code == 1
        assert "passphrase is wrong" in answer.err
        assert run("backup", command, str(saved)).code == 64


def test_any_altered_byte_is_noticed(saved: Path, tmp_path: Path, how: list[str]) -> None:
    content = saved.read_bytes()
    target = tmp_path / "altered"
    before = fingerprint(tmp_path)
    step = max(1, len(content) // 60)
    for place in [*range(0, len(content), step), len(content) - 1]:
        altered = bytearray(content)
        altered[place] ^= 1
        target.write_bytes(altered)
        answer = run("backup", "restore", str(target), "-H", str(tmp_path / "x"), *how)
        assert answer.code == 1, place
        assert len(answer.err.splitlines()) == 1
    for end in (0, 10, len(content) // 2, len(content) - 1):
        target.write_bytes(content[:end])
        assert run("backup", "verify", str(target), *how).code == 1
    target.write_bytes(content + b"x")
    assert run("backup", "verify", str(target), *how).code == 1
    target.unlink()
    assert fingerprint(tmp_path) == before


def test_a_recipient_opens_it(chain: Path, tmp_path: Path, stores: Path, keys: Path) -> None:
    mine, other = CurveKeyPair.generate(), CurveKeyPair.generate()
    (tmp_path / "mine").write_text(mine.seed)
    (tmp_path / "other").write_text(other.seed)
    path = tmp_path / "b"
    run_ok("backup", "create", "-o", str(path), "--recipient", mine.public)
    assert run_ok("backup", "verify", str(path), "--identity-file", str(tmp_path / "mine"), "--json").data[
        "operators"
    ] == ["DEMO"]
    assert run("backup", "verify", str(path), "--identity-file", str(tmp_path / "other")).code == 1
    assert run("backup", "create", "-o", str(tmp_path / "c"), "--recipient", "XABC").code == 64


def test_nothing_is_overwritten(saved: Path, chain: Path, how: list[str], stores: Path, keys: Path) -> None:
    assert run("backup", "create", "-o", str(saved), *how).code == 1
    before = everything(stores, keys)
    run_ok("backup", "restore", str(saved), *how)  # all is so already
    assert everything(stores, keys) == before
    run_ok("account", "edit", "TEAM", "--conns", "5")
    later = everything(stores, keys)
    refused = run("backup", "restore", str(saved), *how)
    assert refused.code == 1
    assert "--force" in refused.err
    assert everything(stores, keys) == later
    run_ok("backup", "restore", str(saved), "--force", "--dry-run", *how)
    assert everything(stores, keys) == later
    run_ok("backup", "restore", str(saved), "--force", *how)
    assert everything(stores, keys) == before


def test_an_empty_place_and_a_dry_run(tmp_path: Path, home: Path, how: list[str]) -> None:
    assert run("backup", "create", "-o", str(tmp_path / "b"), *how).code == 1
    assert run("backup", "create", "-o", str(tmp_path / "b")).code == 64
    run_ok("init", "DEMO")
    run_ok("backup", "create", "-o", str(tmp_path / "b"), "--dry-run", *how)
    assert not (tmp_path / "b").exists()
    assert run("backup", "verify", str(tmp_path / "b"), *how).code == 1


def test_long_streams(tmp_path: Path) -> None:
    master = os.urandom(32)
    content = os.urandom(PIECE_BYTES * 3 + 17)
    with (tmp_path / "s").open("wb") as file:
        writer = SealedWriter(file, master, new_envelope(master))
        for start in range(0, len(content), 100_000):
            writer.write(content[start : start + 100_000])
        writer.close()
    with (tmp_path / "s").open("rb") as file:
        reader = SealedReader(file, lambda _: master)
        assert reader.read(len(content) + 5) == content
        reader.drain()
    # Two pieces in the other order.
    whole = (tmp_path / "s").read_bytes()
    head = len(whole) - len(content) - 4 * (4 + 17)
    piece = PIECE_BYTES + 4 + 17
    swapped = (
        whole[:head] + whole[head + piece : head + 2 * piece] + whole[head : head + piece] + whole[head + 2 * piece :]
    )
    (tmp_path / "s").write_bytes(swapped)
    with (tmp_path / "s").open("rb") as file, pytest.raises(SealingError):
        SealedReader(file, lambda _: master).read(10)


# The log.


@pytest.fixture
def log(chain: Path, stores: Path) -> AuditLog:
    """The log of a chain that was worked on."""
    run_ok("user", "create", "bob")
    run_ok("account", "edit", "TEAM", "--conns", "7")
    run_ok("user", "delete", "bob")
    return operator_log(stores, "DEMO")


def test_every_change_has_its_line(log: AuditLog, stores: Path) -> None:
    actions = [entry.action for entry in log.entries()]
    assert actions == ["init", "user create", "account edit", "user delete"]
    edit = list(log.entries())[2]
    (change,) = edit.details["objects"]
    assert change["changed"] == ["nats.limits.conn"]
    assert change["old_issued_at"] < change["issued_at"]
    assert edit.actor["user"]
    answer = run_ok("audit", "verify", "--json")
    assert answer.data == {"lines": 4, "faults": [], "unknown": []}
    assert run_ok("audit", "log", "--json").data[-1]["action"] == "user delete"
    assert len(run_ok("audit", "log", "-n", "2", "--json").data) == 2
    before = log.path.read_bytes()
    run_ok("account", "edit", "TEAM", "--conns", "7")
    run_ok("user", "create", "ben", "--dry-run")
    assert log.path.read_bytes() == before


def test_altered_lines_are_found(log: AuditLog) -> None:
    lines = log.path.read_bytes().splitlines(keepends=True)
    head = run_ok("audit", "log", "--head", "--json").data["hash"]

    def faults(content: list[bytes]) -> list[str]:
        log.path.write_bytes(b"".join(content))
        answer = run("audit", "verify", "--json")
        assert answer.code == (5 if content != lines else 0)
        return [fault["message"] for fault in answer.data["faults"]]

    assert faults(lines) == []
    for gone in range(len(lines)):
        assert faults(lines[:gone] + lines[gone + 1 :]), gone
    for place in range(len(lines)):
        for old, new in ((b'"number":', b'"number":1'), (b"create", b"crEate"), (b"DEMO", b"DEM0"), (b"Z", b"X")):
            altered = lines[place].replace(old, new, 1)
            if altered != lines[place]:
                assert faults([*lines[:place], altered, *lines[place + 1 :]]), (place, old)
    assert faults([lines[1], lines[0], *lines[2:]])
    assert faults([*lines, b"nonsense\n"])
    assert faults([*lines[:1], *lines])
    assert faults([])
    # Made anew with fitting hashes and head: only a hash that was kept elsewhere tells.
    log.path.unlink()
    log.head_path.unlink()
    log.append("init", {}, {}, now=0)
    assert log.verify() == []
    assert run("audit", "verify", "--expect-head", head).code == 5


def test_a_gap_stays_one(log: AuditLog) -> None:
    lines = log.path.read_bytes().splitlines(keepends=True)
    log.path.write_bytes(b"".join(lines[:-1]))
    run_ok("user", "create", "carl")
    assert run("audit", "verify").code == 5


def test_a_crash_between_line_and_head(log: AuditLog) -> None:
    old = log.head_path.read_bytes()
    run_ok("user", "create", "carl")
    log.head_path.write_bytes(old)
    assert run("audit", "verify").code == 0
    run_ok("user", "create", "dora")
    assert run("audit", "verify").code == 0
    # A line that was cut in the middle is a fault, and work goes on behind it.
    with log.path.open("ab") as file:
        file.write(b'{"number":')
    run_ok("user", "create", "emil")
    assert run("audit", "verify").code == 5
    assert list(log.entries())[-1].action == "user create"


def test_claims_from_elsewhere_are_pointed_out(log: AuditLog, stores: Path, tmp_path: Path) -> None:
    run_ok("init", "DEMO", "-H", str(tmp_path / "other"), "--account", "TEAM", "--user", "zoe")
    foreign = tmp_path / "other" / "DEMO" / "accounts" / "TEAM" / "users" / "zoe.jwt"
    (stores / "DEMO" / "accounts" / "TEAM" / "users" / "zoe.jwt").write_bytes(foreign.read_bytes())
    assert run_ok("audit", "verify", "--json").data["unknown"] == ["DEMO/accounts/TEAM/users/zoe.jwt"]


def test_no_secret_in_the_log(log: AuditLog, keys: Path) -> None:
    seed = next(keys.rglob("*.nk")).read_text()
    token = next(keys.rglob("*.creds")).read_text().splitlines()[1]
    log.append("x", {"user": seed}, {"a": [f"before {seed} after", {"b": token, seed: 1}]}, now=0)
    text = log.path.read_text()
    for path in keys.rglob("*.nk"):
        assert path.read_text() not in text
    assert token not in text
    assert json.loads(text.splitlines()[-1])["details"]["a"][0] == "before (seed) after"
    assert log.verify() == []
