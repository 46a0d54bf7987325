"""Change sets: all or nothing, file modes, and what a reader sees before the commit."""

import stat
from pathlib import Path

import pytest

from gossamer.operator.failure import Failure
from gossamer.operator.store.changes import ChangeSet
from gossamer.operator.store.lock import locked
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.inventory import inventory
from gossamer.operator.testing import run, run_ok


def modes(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_written_files_and_folders_are_private(tmp_path: Path, quick_disk: list[int]) -> None:
    changes = ChangeSet()
    changes.write(tmp_path / "a" / "b" / "c.jwt", b"text")
    changes.commit()
    assert (tmp_path / "a" / "b" / "c.jwt").read_bytes() == b"text"
    assert modes(tmp_path / "a" / "b" / "c.jwt") == 0o600
    assert len(quick_disk) == 2  # the file, and the folder that names it
    assert modes(tmp_path / "a") == modes(tmp_path / "a" / "b") == 0o700


def test_a_reader_sees_what_is_pending(tmp_path: Path) -> None:
    (tmp_path / "old").write_bytes(b"1")
    (tmp_path / "gone").write_bytes(b"2")
    changes = ChangeSet()
    changes.write(tmp_path / "new" / "file", b"3")
    changes.write(tmp_path / "old", b"4")
    changes.remove(tmp_path / "gone")
    assert changes.read(tmp_path / "old") == b"4"
    assert changes.read(tmp_path / "gone") is None
    assert changes.children(tmp_path) == ["new", "old"]
    assert changes.exists(tmp_path / "new" / "file")
    assert (tmp_path / "old").read_bytes() == b"1"
    assert sorted(verb for verb, _ in changes.actions()) == ["create", "remove", "replace"]


def test_removed_folder_can_be_made_anew(tmp_path: Path) -> None:
    folder = tmp_path / "account"
    folder.mkdir()
    (folder / "one").write_bytes(b"1")
    changes = ChangeSet()
    changes.write(folder / "two", b"2")
    changes.remove_folder(folder)
    assert changes.children(tmp_path) == []
    assert changes.read(folder / "one") is None
    changes.commit()
    assert not folder.exists()


def test_nothing_is_written_when_one_file_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"not a folder")
    changes = ChangeSet()
    changes.write(tmp_path / "first", b"1")
    changes.write(tmp_path / "file" / "below", b"2")
    with pytest.raises(Failure) as caught:
        changes.commit()
    assert "below" in caught.value.message or "file" in caught.value.message
    assert caught.value.hint
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_the_same_content_is_no_change(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"same")
    changes = ChangeSet()
    changes.write(tmp_path / "file", b"same")
    assert not changes


def test_lock_is_held_by_one(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(Failure) as caught, locked(tmp_path, wait_s=0):
        pytest.fail("two holders of one lock")
    assert caught.value.code == "locked"
    with locked(tmp_path, wait_s=0):
        pass


def test_a_crash_leaves_no_claim_without_its_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine dies after any number of renames: whatever is on disk opens, and its keys are there."""
    real = Path.replace
    renames = 0

    def counting(source: Path, target: Path) -> Path:
        nonlocal renames
        renames += 1
        if renames > limit:
            raise OSError(5, "the power is gone")
        return real(source, target)

    monkeypatch.setattr(Path, "replace", counting)
    limit = 1000
    run_ok("init", "DEMO", "-H", str(tmp_path / "whole"))
    total = renames
    assert total > 12
    for limit in range(total):
        folder = tmp_path / str(limit)
        renames = 0
        assert run("init", "DEMO", "-H", str(folder)).code == 1
        workspace = Workspace.at(folder)
        for use in inventory(workspace, workspace.store.operators()):
            assert use.stored, (limit, use)
        renames = -1000  # the power is back
        run_ok("init", "DEMO", "-H", str(folder), "--exist-ok")
        assert run_ok("validate", "-H", str(folder), "--json").data["findings"] == []
        assert (folder / "creds" / "DEMO" / "DEMO" / "DEMO.creds").exists()
