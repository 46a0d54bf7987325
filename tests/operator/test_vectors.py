"""The store that nsc wrote: we list, validate, describe and edit it (spec operator-cli checklist 6, 7, 28, 29, 38)."""

import re
from pathlib import Path

import pytest

from gossamer.auth.claims import AccountClaims
from gossamer.auth.jwt import decode_as, encode
from gossamer.auth.keys import KeyPair
from gossamer.operator.testing import fingerprint, run, run_ok


def test_names_are_listed(nsc: list[str]) -> None:
    assert [entry["name"] for entry in run_ok("operator", "list", "--json", *nsc).data] == ["ACME"]
    accounts = run_ok("account", "list", "--json", *nsc).data
    assert {entry["name"]: entry["system"] for entry in accounts} == {"CONS": False, "SYS": True, "TEAM": False}
    users = run_ok("user", "list", "-A", "--json", *nsc).data
    assert [(entry["account"], entry["name"], entry["role"], entry["revoked"]) for entry in users] == [
        ("CONS", "carl", None, False),
        ("SYS", "sys", None, False),
        ("TEAM", "alice", None, False),
        ("TEAM", "leaked", "svc", True),
        ("TEAM", "svc1", "svc", False),
    ]


def test_the_context_file_of_nsc_counts(nsc_store: Path) -> None:
    data = run_ok("env", "--json", f"--config-dir={nsc_store}", f"--keystore-dir={nsc_store / 'keys'}").data
    assert data["stores"] == str(nsc_store / "stores")
    assert data["operator"] == {"name": "ACME", "source": "context"}
    assert data["account"] == {"name": "CONS", "source": "context"}


def test_it_is_valid(nsc: list[str]) -> None:
    answer = run_ok("validate", "--json", *nsc)
    assert answer.data["valid"]
    assert answer.data["findings"] == [{"level": "warning", "object": "ACME/TEAM/leaked", "message": "it is revoked"}]


def test_all_its_keys_are_found(nsc: list[str], nsc_store: Path) -> None:
    listed = run_ok("key", "list", "--json", *nsc).data
    on_disk = {path.stem for path in (nsc_store / "keys" / "keys").rglob("*.nk")}
    assert {entry["key"] for entry in listed} == on_disk
    assert all(entry["stored"] for entry in listed)
    assert run_ok("key", "list", "--not-referenced", "--json", *nsc).data == []
    roles = [entry["role"] for entry in listed if entry["role"]]
    assert roles == ["svc"]


def test_no_read_changes_a_file(nsc: list[str], nsc_store: Path) -> None:
    before = fingerprint(nsc_store)
    for command in (
        ["operator", "describe"],
        ["account", "describe", "TEAM"],
        ["user", "describe", "svc1", "-a", "TEAM"],
        ["user", "list", "-A"],
        ["key", "list", "-A"],
        ["validate", "-A"],
        ["explain", "pub", "TEAM/alice", "a.b"],
    ):
        for form in ("plain", "table", "json"):
            assert run_ok(*command, *nsc, "--output", form).out
    assert fingerprint(nsc_store) == before


def test_credentials_are_written_byte_for_byte(nsc: list[str], nsc_store: Path, tmp_path: Path) -> None:
    for account, user in [("TEAM", "alice"), ("TEAM", "svc1"), ("CONS", "carl"), ("SYS", "sys")]:
        target = tmp_path / f"{user}.creds"
        run_ok("user", "creds", user, "-a", account, "-o", str(target), *nsc)
        stored = nsc_store / "keys" / "creds" / "ACME" / account / f"{user}.creds"
        assert target.read_bytes() == stored.read_bytes()
        assert target.stat().st_mode & 0o777 == 0o600


def test_an_edit_keeps_everything_else(nsc: list[str], nsc_store: Path) -> None:
    path = nsc_store / "stores" / "ACME" / "accounts" / "TEAM" / "TEAM.jwt"
    before = decode_as(AccountClaims, path.read_text()).members()
    run_ok("account", "edit", "TEAM", "--conns", "11", *nsc)
    after = decode_as(AccountClaims, path.read_text()).members()
    assert after["nats"]["limits"].pop("conn") == 11
    assert before["nats"]["limits"].pop("conn") == 10
    # Strict operator: a signing key signs, although the identity seed is stored.
    assert after["iss"] == before["iss"] == "ODSHQEQAE4NFYPNJAXRPEIWWCFSQUL4EBKOCAIHFHEDXQ3NLIWAOTQHM"
    assert after["iat"] > before["iat"]
    assert {**after, "iat": 0, "jti": ""} == {**before, "iat": 0, "jti": ""}
    assert run_ok("validate", "--json", *nsc).data["valid"]


def test_members_that_nobody_knows_survive_an_edit(nsc: list[str], nsc_store: Path) -> None:
    path = nsc_store / "stores" / "ACME" / "accounts" / "TEAM" / "TEAM.jwt"
    claims = decode_as(AccountClaims, path.read_text())
    claims.unknown["nats.from_the_future"] = {"deep": [1, "two"]}
    claims.limits.unknown["max_dreams"] = 7
    signer = next((nsc_store / "keys" / "keys" / "O" / "DS").glob("*.nk")).read_text()
    path.write_text(encode(claims, KeyPair.from_seed(signer)))
    run_ok("account", "edit", "TEAM", "--tag", "Fresh", *nsc)
    after = run_ok("account", "describe", "TEAM", "--json", *nsc).data["nats"]
    assert after["from_the_future"] == {"deep": [1, "two"]}
    assert after["limits"]["max_dreams"] == 7
    assert after["tags"] == ["region:eu", "fresh"]


@pytest.mark.parametrize(
    ("flag", "name"),
    [
        ("--mem-resolver", "resolver_memory.conf"),
        ("--nats-resolver", "resolver_full.conf"),
        ("--nats-resolver-cache", "resolver_cache.conf"),
    ],
)
def test_configuration_says_what_nscs_says(nsc: list[str], nsc_store: Path, flag: str, name: str) -> None:
    ours = run_ok("generate", "config", flag, *nsc).out
    assert _statements(ours) == _statements((nsc_store / name).read_text())


def _statements(text: str) -> list[str]:
    """The configuration's words without comments, layout, and the commas that nobody needs."""
    lines = [re.sub(r"(^|\s)(#|//).*", "", line) for line in text.splitlines()]
    return [word.rstrip(",") for line in lines for word in line.split()]


def test_a_user_of_a_role_is_explained_by_its_template(nsc: list[str]) -> None:
    allowed = run_ok("explain", "pub", "TEAM/svc1", "p.svc1.x", "--json", *nsc).data
    assert (allowed["allowed"], allowed["source"], allowed["rule"]) == (True, "role", 'allow "p.svc1.>"')
    refused = run_ok("explain", "pub", "TEAM/svc1", "p.other.x", "--json", *nsc).data
    assert not refused["allowed"]
    assert "role 'svc'" in refused["place"]


def test_a_revoked_user_cannot_connect(nsc: list[str]) -> None:
    data = run_ok("explain", "pub", "TEAM/leaked", "p.leaked.x", "--json", *nsc).data
    assert (data["allowed"], data["connects"]) == (False, False)
    assert "revoked" in data["rule"]


def test_editing_a_revoked_user_warns(nsc: list[str]) -> None:
    answer = run_ok("user", "edit", "leaked", "-a", "TEAM", "--tag", "x:y", "--json", *nsc)
    assert [warning["code"] for warning in answer.envelope["warnings"]] == ["ends-revocation"]


def test_a_broken_claim_names_its_file(nsc: list[str], nsc_store: Path) -> None:
    path = nsc_store / "stores" / "ACME" / "accounts" / "TEAM" / "TEAM.jwt"
    path.write_text(path.read_text()[:-10] + "AAAAAAAAAA")
    answer = run("account", "describe", "TEAM", *nsc)
    assert answer.code == 1
    assert str(path) in answer.err
    assert len(answer.err.splitlines()) == 1
    broken = run("validate", "--json", *nsc)
    assert broken.code == 5
    assert not broken.data["valid"]
    assert any(finding["object"] == "ACME/TEAM" for finding in broken.data["findings"])
