"""The end and the renaming of accounts, and new identity keys for operators (spec operator-cli 4.2, 4.3, 8.10)."""

from pathlib import Path

import pytest

from gossamer.auth.claims import AccountClaims, OperatorClaims
from gossamer.auth.jwt import decode_as
from gossamer.operator.testing import fingerprint, run, run_ok


@pytest.fixture(autouse=True)
def chain(home: Path) -> None:
    run_ok("operator", "create", "OP", "--sys", "--generate-signing-key")
    run_ok("account", "create", "A")
    run_ok("user", "create", "ann", "-a", "A")


@pytest.fixture
def accounts(stores: Path) -> Path:
    return stores / "OP" / "accounts"


def account_of(accounts: Path, name: str) -> AccountClaims:
    return decode_as(AccountClaims, (accounts / name / f"{name}.jwt").read_text())


def operator_of(stores: Path) -> OperatorClaims:
    return decode_as(OperatorClaims, (stores / "OP" / "OP.jwt").read_text())


def test_a_closed_account_lets_nobody_in(accounts: Path, home: Path) -> None:
    answer = run_ok("account", "close", "A", "--json")
    claims = account_of(accounts, "A")
    assert (claims.limits.connections, claims.limits.leafnodes) == (0, 0)
    assert claims.is_revoked(decode_user(accounts), claims.issued_at - 1)
    assert [step["action"] for step in answer.data["plan"]] == ["close", "push", "delete", "prune"]
    assert answer.data["plan"][0]["done"]
    assert "closes-connections" in [remark["code"] for remark in answer.envelope["warnings"]]
    before = fingerprint(home)
    assert not run_ok("account", "close", "A", "--json").data["changed"]
    assert fingerprint(home) == before


def decode_user(accounts: Path) -> str:
    from gossamer.auth.claims import UserClaims

    return decode_as(UserClaims, (accounts / "A" / "users" / "ann.jwt").read_text()).subject


def test_the_system_account_is_not_closed_by_accident(home: Path) -> None:
    before = fingerprint(home)
    assert run("account", "close", "SYS").code == 1
    assert fingerprint(home) == before
    run_ok("account", "close", "SYS", "--force")


def test_deleting_shows_both_phases(accounts: Path, home: Path) -> None:
    before = fingerprint(home)
    dry = run_ok("account", "delete", "A", "--dry-run", "--json")
    assert fingerprint(home) == before
    assert [step["done"] for step in dry.data["plan"]] == [False, None, False, None]
    assert "not-closed" in [remark["code"] for remark in dry.envelope["warnings"]]
    run_ok("account", "close", "A")
    answer = run_ok("account", "delete", "A", "--json")
    assert "not-closed" not in [remark["code"] for remark in answer.envelope["warnings"]]
    assert not (accounts / "A").exists()


def test_deleting_names_those_who_import_from_it(accounts: Path) -> None:
    run_ok("account", "create", "B")
    run_ok("export", "create", "q", "-a", "A")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "q")
    assert run_ok("account", "delete", "A", "--json").data["importers"] == ["B"]


def test_renamed(accounts: Path, keys: Path, home: Path) -> None:
    before = account_of(accounts, "A")
    credentials = (keys / "creds" / "OP" / "A" / "ann.creds").read_text()
    user = (accounts / "A" / "users" / "ann.jwt").read_text()
    run_ok("account", "rename", "A", "TEAM")
    after = account_of(accounts, "TEAM")
    assert (after.name, after.subject) == ("TEAM", before.subject)
    assert after.issued_at > before.issued_at
    assert (accounts / "TEAM" / "users" / "ann.jwt").read_text() == user
    assert (keys / "creds" / "OP" / "TEAM" / "ann.creds").read_text() == credentials
    assert not (accounts / "A").exists()
    assert not (keys / "creds" / "OP" / "A").exists()
    assert run_ok("validate", "--json").data["valid"]
    files = fingerprint(home)
    assert not run_ok("account", "rename", "A", "TEAM", "--json").data["changed"]
    assert fingerprint(home) == files
    assert run("account", "rename", "NOBODY", "X").code == 1
    assert run("account", "rename", "TEAM", "SYS").code == 1
    assert run("account", "rename", "TEAM", "../x").code == 1


def test_reissued_operator_signs_what_the_old_key_signed(stores: Path, accounts: Path) -> None:
    old = operator_of(stores)
    signing = old.signing_keys[0]
    system = (accounts / "SYS" / "SYS.jwt").read_text()
    assert account_of(accounts, "SYS").issuer == signing
    assert account_of(accounts, "A").issuer == old.subject
    answer = run_ok("operator", "reissue")
    new = operator_of(stores)
    assert new.subject != old.subject
    assert new.issuer == new.subject
    assert new.signing_keys == old.signing_keys
    assert account_of(accounts, "A").issuer == new.subject
    assert (accounts / "SYS" / "SYS.jwt").read_text() == system, "what a signing key signed stays"
    assert "restart" in answer.err
    assert run_ok("validate", "--json").data["valid"]


def test_reissued_operator_keeps_the_old_key_as_a_signing_key(stores: Path, accounts: Path) -> None:
    old = operator_of(stores)
    before = fingerprint(accounts)
    run_ok("operator", "reissue", "--convert-to-signing-key")
    assert operator_of(stores).signing_keys == (*old.signing_keys, old.subject)
    assert fingerprint(accounts) == before
    assert run_ok("validate", "--json").data["valid"]


def test_reissued_strict_operator_signs_with_a_signing_key(stores: Path, accounts: Path) -> None:
    run_ok("operator", "edit", "--require-signing-keys")
    run_ok("operator", "reissue", "OP")
    new = operator_of(stores)
    assert account_of(accounts, "A").issuer == new.signing_keys[0]


def test_reissued_operator_with_a_key_of_ones_own(stores: Path, home: Path) -> None:
    made = run_ok("key", "generate", "operator", "--show-secrets", "--json").data
    (home / "root.nk").write_text(made["seed"])
    run_ok("operator", "reissue", "-K", str(home / "root.nk"))
    assert operator_of(stores).subject == made["key"]
    assert run("operator", "reissue", "-K", made["key"]).code == 1
    user = run_ok("key", "generate", "user", "--show-secrets", "--json").data["key"]
    assert run("operator", "reissue", "-K", user).code == 1


def test_a_removed_signing_key_with_help(stores: Path, accounts: Path) -> None:
    (key,) = operator_of(stores).signing_keys
    run_ok("account", "edit", "A", "--resign", "-K", key)
    warned = run_ok("operator", "edit", "--sk", "generate", "--rm-sk", key, "--dry-run", "--json")
    assert "signed-by-removed-key" in [remark["code"] for remark in warned.envelope["warnings"]]
    done = run_ok("operator", "edit", "--sk", "generate", "--rm-sk", key, "--resign-accounts", "--json")
    assert "signed-by-removed-key" not in [remark["code"] for remark in done.envelope["warnings"]]
    assert account_of(accounts, "A").issuer in operator_of(stores).trusted_keys
    assert account_of(accounts, "SYS").issuer in operator_of(stores).trusted_keys
    assert run_ok("validate", "--json").data["valid"]


def test_account_callout(accounts: Path, keys: Path, home: Path) -> None:
    run_ok("account", "create", "B")
    answer = run_ok(
        *("account", "callout", "-a", "A", "--auth-user", "ann", "--allowed-account", "B", "-x", "generate", "--json")
    )
    found = account_of(accounts, "A").authorization
    assert found.auth_users == (decode_user(accounts),)
    assert found.allowed_accounts == (account_of(accounts, "B").subject,)
    assert (keys / "keys" / "X" / found.xkey[1:3] / f"{found.xkey}.nk").read_text().startswith("SX")
    assert answer.data["authorization"]["xkey"] == found.xkey
    assert [entry["key"] for entry in run_ok("key", "list", "--curves", "--json").data] == [found.xkey]
    before = fingerprint(home)
    again = run_ok("account", "callout", "-a", "A", "--auth-user", "ann", "-x", "generate", "--json")
    assert not again.data["changed"]
    assert run("account", "callout", "-a", "A", "--allowed-account", "*").code == 64
    assert run("account", "callout", "-a", "A", "--rm-auth-user", "ann").code == 64
    assert run("account", "callout", "-a", "A", "-x", "nonsense").code == 1
    assert fingerprint(home) == before
    run_ok("account", "callout", "-a", "A", "--rm-allowed-account", "B", "--allowed-account", "*", "--rm-curve")
    changed = account_of(accounts, "A").authorization
    assert (changed.allowed_accounts, changed.xkey) == (("*",), "")
    run_ok("account", "callout", "-a", "A", "--disable")
    assert account_of(accounts, "A").authorization.members() == {}
