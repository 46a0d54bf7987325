"""Operators (spec operator-cli checklist 4, 5, 9, 10, 11, 15, 50)."""

import itertools
import json
import stat
from pathlib import Path

import pytest

from gossamer.auth.claims import AccountClaims, OperatorClaims, UserClaims
from gossamer.auth.credentials import load_credentials
from gossamer.auth.jwt import decode_as
from gossamer.operator.testing import fingerprint, run, run_ok


def operator_claims(stores: Path, name: str = "OP") -> OperatorClaims:
    return decode_as(OperatorClaims, (stores / name / f"{name}.jwt").read_text())


def account_claims(stores: Path, name: str, operator: str = "OP") -> AccountClaims:
    return decode_as(AccountClaims, (stores / operator / "accounts" / name / f"{name}.jwt").read_text())


def test_a_new_operator_with_everything(stores: Path, keys: Path) -> None:
    run_ok("operator", "create", "OP", "--sys", "--generate-signing-key")
    operator = operator_claims(stores)
    system = account_claims(stores, "SYS")
    user = decode_as(UserClaims, (stores / "OP" / "accounts" / "SYS" / "users" / "sys.jwt").read_text())
    assert operator.issuer == operator.subject
    assert system.issuer == operator.signing_keys[0]
    assert operator.system_account == system.subject
    assert {(e.name, e.type, e.subject, e.account_token_position) for e in system.exports} == {
        ("account-monitoring-streams", "stream", "$SYS.ACCOUNT.*.>", 3),
        ("account-monitoring-services", "service", "$SYS.REQ.ACCOUNT.*.*", 4),
    }
    assert user.issuer == system.signing_key_texts[0]
    assert user.issuer_account == system.subject
    assert load_credentials(keys / "creds" / "OP" / "SYS" / "sys.creds").claims == user
    assert run_ok("validate", "--json").data["findings"] == []


def test_layout_and_modes(home: Path, stores: Path, keys: Path) -> None:
    run_ok("operator", "create", "OP", "--sys")
    mark = json.loads((stores / "OP" / ".nsc").read_text())
    assert mark == {"managed": False, "name": "OP", "kind": "operator", "version": "1"}
    assert not (stores / "OP" / "OP.jwt").read_text().endswith("\n")
    for path in home.rglob("*"):
        mode = stat.S_IMODE(path.stat().st_mode)
        # The folders of XDG itself are made by us too, as nobody else has made them.
        assert mode == (0o700 if path.is_dir() else 0o600), path
    public = operator_claims(stores).subject
    seed = (keys / "keys" / "O" / public[1:3] / f"{public}.nk").read_text()
    assert seed.startswith("SO")
    assert len(seed) == 58
    assert (keys / ".gitignore").read_text().splitlines()[-2:] == ["**/*.nk", "**/*.creds"]


def test_no_gitignore_when_not_wanted(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NSC_NO_GIT_IGNORE", "1")
    run_ok("operator", "create", "OP")
    assert not (keys / ".gitignore").exists()


def test_creating_twice(home: Path) -> None:
    run_ok("operator", "create", "OP", "--sys", "--generate-signing-key")
    before = fingerprint(home)
    refused = run("operator", "create", "OP")
    assert refused.code == 1
    assert "--exist-ok" in refused.err
    again = run_ok("operator", "create", "OP", "--sys", "--generate-signing-key", "--exist-ok", "--json")
    assert not again.data["changed"]
    assert fingerprint(home) == before


def test_requiring_signing_keys(stores: Path) -> None:
    run_ok("operator", "create", "OP")
    run_ok("account", "create", "EARLY")
    run_ok("operator", "edit", "--sk", "generate", "--require-signing-keys")
    run_ok("account", "create", "LATE")
    operator = operator_claims(stores)
    assert operator.strict_signing_key_usage
    assert account_claims(stores, "EARLY").issuer == operator.subject
    assert account_claims(stores, "LATE").issuer == operator.signing_keys[0]
    found = run("validate", "--json")
    assert found.code == 5
    assert [finding["object"] for finding in found.data["findings"] if finding["level"] == "error"] == ["OP/EARLY"]
    run_ok("account", "edit", "EARLY", "--resign")
    assert account_claims(stores, "EARLY").issuer == operator.signing_keys[0]


def test_strict_without_a_signing_key(home: Path, stores: Path, keys: Path) -> None:
    run_ok("operator", "create", "OP")
    refused = run("operator", "edit", "--require-signing-keys")
    assert refused.code == 1
    assert "--sk generate" in refused.err
    run_ok("operator", "edit", "--sk", "generate", "--require-signing-keys")
    public = operator_claims(stores).signing_keys[0]
    (keys / "keys" / "O" / public[1:3] / f"{public}.nk").unlink()
    before = fingerprint(home)
    refused = run("account", "create", "A")
    assert refused.code == 7
    assert "signing key" in refused.err
    assert "-K" in refused.err
    assert fingerprint(home) == before


def test_one_key_for_each_generate(stores: Path, keys: Path) -> None:
    run_ok("operator", "create", "OP")
    run_ok("operator", "edit", "--sk", "generate")
    run_ok("operator", "edit", "--sk", "generate")
    assert len(operator_claims(stores).signing_keys) == 2
    assert len(list((keys / "keys").rglob("*.nk"))) == 3
    gone = operator_claims(stores).signing_keys[0]
    warned = run_ok("operator", "edit", "--rm-sk", gone)
    assert gone not in operator_claims(stores).signing_keys
    assert "restart" in warned.err


def test_everything_of_edit_operator(stores: Path) -> None:
    run_ok("operator", "create", "OP", "--sys")
    run_ok("account", "create", "OTHER")
    answer = run_ok(
        *("operator", "edit", "--service-url", "nats://a:4222,tls://b:4222", "-u", "nats://a:4222"),
        *("--tag", "Env:Test", "--expiry", "2040-01-01", "--system-account", "OTHER", "--json"),
    )
    assert answer.data["changed"]
    claims = operator_claims(stores)
    assert claims.operator_service_urls == ("nats://a:4222", "tls://b:4222")
    assert claims.account_server_url == "nats://a:4222"
    assert claims.tags == ("env:test",)
    assert claims.expires == 2208988800
    assert claims.system_account == account_claims(stores, "OTHER").subject
    run_ok(
        *("operator", "edit", "--rm-service-url", "nats://a:4222", "--rm-account-jwt-server-url"),
        *("--rm-tag", "env:test", "--expiry", "0"),
    )
    claims = operator_claims(stores)
    assert (claims.operator_service_urls, claims.account_server_url) == (("tls://b:4222",), "")
    assert (claims.tags, claims.expires) == ((), 0)


@pytest.mark.parametrize("url", ["http://a:1", "nats://", "a:4222", "nats://a:4222/path", "nats://u:p@a:4222"])
def test_service_urls_are_checked(url: str) -> None:
    run_ok("operator", "create", "OP")
    assert run("operator", "edit", "--service-url", url).code == 64


def test_versions_of_a_claim_never_share_a_second(stores: Path) -> None:
    run_ok("operator", "create", "OP")
    issued = [operator_claims(stores).issued_at]
    for number in range(3):
        run_ok("operator", "edit", "--tag", f"n{number}")
        issued.append(operator_claims(stores).issued_at)
    assert all(later > earlier for earlier, later in itertools.pairwise(issued))


def test_an_edit_that_changes_nothing_signs_nothing(home: Path) -> None:
    run_ok("operator", "create", "OP", "--tag", "a")
    before = fingerprint(home)
    assert not run_ok("operator", "edit", "--tag", "A", "--json").data["changed"]
    assert fingerprint(home) == before


def test_offline_identity_key(home: Path, stores: Path, keys: Path, tmp_path: Path) -> None:
    run_ok("operator", "create", "OP", "--generate-signing-key")
    public = operator_claims(stores).subject
    offline = tmp_path / "offline.nk"
    (keys / "keys" / "O" / public[1:3] / f"{public}.nk").rename(offline)
    run_ok("account", "create", "A")
    assert account_claims(stores, "A").issuer == operator_claims(stores).signing_keys[0]
    refused = run("operator", "edit", "--tag", "x")
    assert refused.code == 7
    assert "-K" in refused.err
    run_ok("operator", "edit", "--tag", "x", "-K", str(offline))
    assert operator_claims(stores).tags == ("x",)
    assert not list((keys / "keys" / "O").rglob(f"{public}.nk"))


def test_a_wrong_key_is_refused(tmp_path: Path) -> None:
    run_ok("operator", "create", "OP")
    other = run_ok("key", "generate", "operator", "--show-secrets", "--json").data["seed"]
    path = tmp_path / "other.nk"
    path.write_text(other)
    refused = run("account", "create", "A", "-K", str(path))
    assert refused.code == 1
    assert "may not sign" in refused.err
    account_key = run_ok("key", "generate", "account", "--show-secrets", "--json").data["seed"]
    path.write_text(account_key)
    assert "not an operator key" in run("account", "create", "A", "-K", str(path)).err


def test_delete(stores: Path, keys: Path) -> None:
    run_ok("operator", "create", "OP", "--sys")
    assert run("operator", "delete", "OP").code == 1
    run_ok("operator", "delete", "OP", "--force", "-D", "-C")
    assert not (stores / "OP").exists()
    assert not list(keys.rglob("*.nk"))
    assert not list(keys.rglob("*.creds"))
