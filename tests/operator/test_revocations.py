"""Revocations of users (spec operator-cli checklist 21, 22, 23; auth section 13)."""

import time
from pathlib import Path

import pytest

from gossamer.auth.claims import AccountClaims, UserClaims
from gossamer.auth.jwt import decode_as
from gossamer.operator.testing import fingerprint, run, run_ok


@pytest.fixture(autouse=True)
def chain(home: Path) -> None:
    run_ok("operator", "create", "OP")
    run_ok("account", "create", "A")
    run_ok("user", "create", "ann", "-a", "A")
    run_ok("user", "create", "bob", "-a", "A")


@pytest.fixture
def account(stores: Path) -> Path:
    """The folder of the account."""
    return stores / "OP" / "accounts" / "A"


def revoked(account: Path) -> dict[str, int]:
    return dict(decode_as(AccountClaims, (account / "A.jwt").read_text()).revocations)


def key_of(account: Path, user: str) -> str:
    return decode_as(UserClaims, (account / "users" / f"{user}.jwt").read_text()).subject


def test_by_name(account: Path) -> None:
    answer = run_ok("revocation", "create", "ann", "-a", "A", "--json").data
    assert list(revoked(account)) == [key_of(account, "ann")]
    assert answer["affected"] == ["ann"]
    listed = run_ok("revocation", "list", "-a", "A", "--json").data
    assert [(entry["name"], entry["users"]) for entry in listed] == [("ann", ["ann"])]
    users = {entry["name"]: entry["revoked"] for entry in run_ok("user", "list", "-a", "A", "--json").data}
    assert users == {"ann": True, "bob": False}


def test_by_key(account: Path) -> None:
    key = run_ok("key", "generate", "user", "--show-secrets", "--json").data["key"]
    answer = run_ok("revocation", "create", key, "-a", "A", "--json").data
    assert list(revoked(account)) == [key]
    assert answer["affected"] == []
    account_key = run_ok("account", "describe", "A", "--json").data["sub"]
    assert run("revocation", "create", account_key, "-a", "A").code == 64
    assert run("revocation", "create", "nobody", "-a", "A").code == 1


def test_everybody(account: Path) -> None:
    assert run_ok("revocation", "create", "*", "-a", "A", "--json").data["affected"] == ["ann", "bob"]
    assert abs(revoked(account)["*"] - time.time()) < 5


@pytest.mark.parametrize(
    ("text", "moment"),
    [("1000", 1000), ("2020-01-01", 1577836800), ("2020-01-01T01:00:00+01:00", 1577836800)],
)
def test_at_a_time(account: Path, text: str, moment: int) -> None:
    answer = run_ok("revocation", "create", "*", "-a", "A", "--at", text)
    assert revoked(account) == {"*": moment}
    assert "stays valid" in answer.err
    assert run_ok("revocation", "list", "-a", "A", "--json").data[0]["users"] == []


@pytest.mark.parametrize("text", ["tomorrow", "2999-01-01", "1h", "-5"])
def test_no_time(home: Path, text: str) -> None:
    before = fingerprint(home)
    assert run("revocation", "create", "*", "-a", "A", f"--at={text}").code == 64
    assert fingerprint(home) == before


def test_never_earlier(account: Path, home: Path) -> None:
    run_ok("revocation", "create", "ann", "-a", "A")
    before, files = revoked(account), fingerprint(home)
    answer = run_ok("revocation", "create", "ann", "-a", "A", "--at", "1000", "--json")
    assert answer.envelope["warnings"][0]["code"] == "never-earlier"
    assert not answer.data["changed"]
    assert (revoked(account), fingerprint(home)) == (before, files)


def test_versions_that_run_ahead_of_the_clock_are_covered(account: Path) -> None:
    """No two versions share a second, so quick edits are issued in the seconds to come."""
    for subject in ("a", "b", "c", "d"):
        run_ok("user", "edit", "ann", "-a", "A", "--allow-pub", subject)
    issued = decode_as(UserClaims, (account / "users" / "ann.jwt").read_text()).issued_at
    assert issued > time.time() + 1
    assert run_ok("revocation", "create", "ann", "-a", "A", "--json").data["affected"] == ["ann"]
    assert revoked(account)[key_of(account, "ann")] >= issued
    assert run_ok("revocation", "create", "*", "-a", "A", "--json").data["affected"] == ["ann", "bob"]
    run_ok("revocation", "delete", "*", "ann", "-a", "A")
    run_ok("account", "close", "A")
    assert revoked(account)["*"] >= issued


def test_deleted(account: Path) -> None:
    run_ok("revocation", "create", "ann", "bob", "-a", "A")
    answer = run_ok("revocation", "delete", "ann", "-a", "A")
    assert list(revoked(account)) == [key_of(account, "bob")]
    assert "ann" in answer.err
    assert run("revocation", "delete", "ann", "-a", "A").code == 1


def test_compacted(account: Path, home: Path) -> None:
    run_ok("revocation", "create", "ann", "-a", "A", "--at", "1000")
    assert not run_ok("revocation", "compact", "-a", "A", "--json").data["changed"]
    run_ok("revocation", "create", "*", "-a", "A", "--at", "1000")
    run_ok("revocation", "create", "bob", "-a", "A", "--at", "2000")
    run_ok("revocation", "compact", "-a", "A")
    assert revoked(account) == {"*": 1000, key_of(account, "bob"): 2000}


def test_an_edit_that_ends_a_revocation_says_so(account: Path) -> None:
    run_ok("revocation", "create", "ann", "-a", "A")
    answer = run_ok("user", "edit", "ann", "-a", "A", "--allow-pub", "x", "--json")
    assert "ends-revocation" in [remark["code"] for remark in answer.envelope["warnings"]]
    assert "ends-revocation" not in run_ok("user", "edit", "bob", "-a", "A", "--allow-pub", "x", "--json").out
    assert key_of(account, "ann") in revoked(account)


def test_an_edit_before_the_second_of_a_revocation_is_over_ends_it_too(account: Path) -> None:
    """The revocation of everybody is as far ahead of the clock as what was issued last, here to bob."""
    for subject in ("a", "b", "c", "d"):
        run_ok("user", "edit", "bob", "-a", "A", "--allow-pub", subject)
    run_ok("revocation", "create", "*", "-a", "A")
    assert revoked(account)["*"] > time.time()
    answer = run_ok("user", "edit", "ann", "-a", "A", "--allow-pub", "x", "--json")
    assert "ends-revocation" in [remark["code"] for remark in answer.envelope["warnings"]]
    issued = decode_as(UserClaims, (account / "users" / "ann.jwt").read_text()).issued_at
    assert issued == revoked(account)["*"] + 1


def test_a_deleted_user_is_revoked(account: Path, keys: Path) -> None:
    key = key_of(account, "ann")
    run_ok("user", "delete", "ann", "-a", "A")
    assert key in revoked(account)
    assert list(keys.rglob(f"{key}.nk")), "keys and credentials go on request only"
    kept = key_of(account, "bob")
    answer = run_ok("user", "delete", "bob", "-a", "A", "--no-revoke", "-D", "-C")
    assert kept not in revoked(account)
    assert "stay valid" in answer.err
    assert not list(keys.rglob(f"{kept}.nk"))
    assert not list(keys.rglob("bob.creds"))
