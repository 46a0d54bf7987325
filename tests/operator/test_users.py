"""Users and credentials (spec operator-cli checklist 16 to 22)."""

from pathlib import Path

import pytest

from gossamer.auth.claims import AccountClaims, UserClaims
from gossamer.auth.credentials import load_credentials
from gossamer.auth.jwt import decode_as
from gossamer.operator.testing import fingerprint, run, run_ok


@pytest.fixture(autouse=True)
def account(home: Path) -> None:
    run_ok("operator", "create", "OP", "--sys")
    run_ok("account", "create", "A")


@pytest.fixture
def folder(stores: Path) -> Path:
    """The folder of the account."""
    return stores / "OP" / "accounts" / "A"


def claims_of(folder: Path, name: str = "u") -> UserClaims:
    return decode_as(UserClaims, (folder / "users" / f"{name}.jwt").read_text())


def account_of(folder: Path) -> AccountClaims:
    return decode_as(AccountClaims, (folder / "A.jwt").read_text())


def test_a_user_without_options(folder: Path, keys: Path) -> None:
    run_ok("user", "create", "u")
    claims = claims_of(folder)
    assert claims.members()["nats"] == {
        "pub": {},
        "sub": {},
        "subs": -1,
        "data": -1,
        "payload": -1,
        "type": "user",
        "version": 2,
    }
    assert claims.issuer == account_of(folder).subject
    path = keys / "creds" / "OP" / "A" / "u.creds"
    assert path.stat().st_mode & 0o777 == 0o600
    assert load_credentials(path).claims == claims


def test_every_option(folder: Path) -> None:
    run_ok(
        *("user", "create", "u", "--allow-pub", "a,b.>", "--allow-sub", "c q", "--allow-pubsub", "d"),
        *("--deny-pub", "e", "--deny-sub", "f", "--deny-pubsub", "g", "--allow-pub-response", "--response-ttl", "5s"),
        *("--bearer", "--source-network", "10.0.0.0/8", "--tag", "Dept:X", "--expiry", "2040-01-01"),
        *("--start", "2020-01-01", "--subs", "10", "--data", "20", "--payload", "1k", "--conn-type", "standard,mqtt"),
        *("--time", "08:00:00-17:00:00", "--locale", "Europe/Vienna", "--proxy-required"),
    )
    assert claims_of(folder).members()["nats"] == {
        "pub": {"allow": ["a", "b.>", "d"], "deny": ["e", "g"]},
        "sub": {"allow": ["c q", "d"], "deny": ["f", "g"]},
        "resp": {"max": 1, "ttl": 5_000_000_000},
        "src": ["10.0.0.0/8"],
        "times": [{"start": "08:00:00", "end": "17:00:00"}],
        "times_location": "Europe/Vienna",
        "subs": 10,
        "data": 20,
        "payload": 1000,
        "bearer_token": True,
        "proxy_required": True,
        "allowed_connection_types": ["STANDARD", "MQTT"],
        "tags": ["dept:x"],
        "type": "user",
        "version": 2,
    }
    run_ok(
        *("user", "edit", "u", "--rm", "a,d,f", "--rm-response-perms", "--no-bearer", "--rm-source-network"),
        *("10.0.0.0/8", "--rm-tag", "dept:x", "--expiry", "0", "--start", "0", "--rm-conn-type", "mqtt"),
        *("--rm-time", "08:00:00", "--locale", "", "--no-proxy-required", "--payload", "-1"),
    )
    assert claims_of(folder).members()["nats"] == {
        "pub": {"allow": ["b.>"], "deny": ["e", "g"]},
        "sub": {"allow": ["c q"], "deny": ["g"]},
        "subs": 10,
        "data": 20,
        "payload": -1,
        "allowed_connection_types": ["STANDARD"],
        "type": "user",
        "version": 2,
    }
    assert claims_of(folder).expires == 0
    assert run_ok("validate", "--json").data["valid"]


@pytest.mark.parametrize(
    "flags",
    [
        ["--source-network", "10.0.0.1"],
        ["--source-network", "x/8"],
        ["--conn-type", "CARRIER_PIGEON"],
        ["--time", "8-17"],
        ["--time", "08:00:00-25:00:00"],
        ["--locale", "Middle/Earth"],
        ["--allow-pub", ""],
    ],
)
def test_nonsense_is_refused_and_writes_nothing(flags: list[str], home: Path) -> None:
    if flags == ["--allow-pub", ""]:
        # An empty list is no subject at all: nothing is restricted, and nothing is wrong.
        run_ok("user", "create", "u", *flags)
        return
    before = fingerprint(home)
    assert run("user", "create", "u", *flags).code == 64
    assert fingerprint(home) == before


def test_users_of_a_role(folder: Path, home: Path) -> None:
    run_ok("account", "signing-key", "create", "--role", "svc", "--allow-pub", "p.{{name()}}.>")
    run_ok("user", "create", "u", "-K", "svc", "--tag", "a:b", "--expiry", "30d")
    claims = claims_of(folder)
    assert claims.grant.is_empty
    assert claims.issuer_account == account_of(folder).subject
    assert claims.tags == ("a:b",)
    before = fingerprint(home)
    for command in (["create", "v", "-K", "svc", "--allow-pub", "x"], ["edit", "u", "--allow-pub", "x"]):
        refused = run("user", *command)
        assert refused.code == 1
        assert "role" in refused.err
        assert refused.out == ""
    assert fingerprint(home) == before
    # A change that is not about permissions keeps the role.
    run_ok("user", "edit", "u", "--tag", "c:d")
    assert claims_of(folder).issuer == claims.issuer
    assert claims_of(folder).grant.is_empty


def test_leaving_a_role_must_be_asked_for(folder: Path, home: Path) -> None:
    run_ok("account", "signing-key", "create", "--role", "svc", "--allow-pub", "p.>")
    run_ok("user", "create", "u", "-K", "svc")
    run_ok("account", "edit", "A", "--rm-sk", "svc")
    before = fingerprint(home)
    refused = run("user", "edit", "u", "--resign")
    assert refused.code == 1
    assert "-K" in refused.err
    assert fingerprint(home) == before
    run_ok("user", "edit", "u", "-K", account_of(folder).subject)
    assert claims_of(folder).grant.subscriptions == -1


def test_only_a_role_at_hand(folder: Path, keys: Path) -> None:
    run_ok("account", "signing-key", "create", "--role", "svc")
    public = account_of(folder).subject
    (keys / "keys" / "A" / public[1:3] / f"{public}.nk").unlink()
    refused = run("user", "create", "u")
    assert refused.code == 7
    assert "-K (svc)" in refused.err
    run_ok("user", "create", "u", "-K", "svc")


def test_wildcards_in_names_of_a_role_are_pointed_out() -> None:
    run_ok("account", "signing-key", "create", "--role", "svc", "--allow-pub", "p.{{name()}}.>")
    assert "wildcard" in run_ok("user", "create", "*", "-K", "svc").err
    assert "wildcard" not in run_ok("user", "create", "plain", "-K", "svc").err


def test_creating_twice(home: Path) -> None:
    run_ok("user", "create", "u", "--allow-pub", "a")
    assert run("user", "create", "u", "--allow-pub", "a").code == 1
    before = fingerprint(home)
    assert not run_ok("user", "create", "u", "--allow-pub", "a", "--exist-ok", "--json").data["changed"]
    assert fingerprint(home) == before
    assert run_ok("user", "create", "u", "--allow-pub", "b", "--exist-ok", "--json").data["changed"]


def test_a_key_made_elsewhere(folder: Path, keys: Path, tmp_path: Path) -> None:
    made = run_ok("key", "generate", "user", "--show-secrets", "--json").data
    answer = run_ok("user", "create", "u", "-k", made["key"], "--json")
    assert answer.data["credentials"] is None
    assert claims_of(folder).subject == made["key"]
    assert not (keys / "creds").exists() or not list((keys / "creds").rglob("u.creds"))
    refused = run("user", "creds", "u")
    assert refused.code == 1
    assert "-K" in refused.err
    seed = tmp_path / "seed.nk"
    seed.write_text(made["seed"] + "\n")
    run_ok("user", "creds", "u", "-K", str(seed), "-o", str(tmp_path / "u.creds"))
    assert load_credentials(tmp_path / "u.creds").claims.subject == made["key"]
    wrong = run_ok("key", "generate", "user", "--show-secrets", "--json").data
    seed.write_text(wrong["seed"])
    refused = run("user", "creds", "u", "-K", str(seed), "-o", str(tmp_path / "u.creds"))
    assert refused.code == 1
    assert wrong["key"] in refused.err
    assert wrong["seed"] not in refused.err


def test_credentials_go_where_they_are_sent(tmp_path: Path) -> None:
    run_ok("user", "create", "u")
    target = tmp_path / "deep" / "u.creds"
    run_ok("user", "creds", "u", "-o", str(target))
    run_ok("user", "creds", "u", "-o", str(target))  # the same content: nothing to complain about
    run_ok("user", "edit", "u", "--tag", "x")
    refused = run("user", "creds", "u", "-o", str(target))
    assert refused.code == 1
    assert "--force" in refused.err
    run_ok("user", "creds", "u", "-o", str(target), "--force")
    assert load_credentials(target).claims.tags == ("x",)


def test_deleting_revokes(folder: Path, keys: Path) -> None:
    run_ok("user", "create", "u")
    claims = claims_of(folder)
    run_ok("user", "delete", "u", "-D", "-C")
    assert account_of(folder).is_revoked(claims.subject, claims.issued_at)
    assert not (folder / "users" / "u.jwt").exists()
    assert not list(keys.rglob(f"{claims.subject}.nk"))
    assert not list(keys.rglob("u.creds"))
    assert run("user", "delete", "u").code == 1


def test_deleting_without_revoking_says_what_stays(folder: Path) -> None:
    run_ok("user", "create", "u")
    answer = run_ok("user", "delete", "u", "--no-revoke")
    assert "stay valid" in answer.err
    assert account_of(folder).revocations == {}


def test_all_or_nobody_is_deleted(home: Path) -> None:
    run_ok("user", "create", "u")
    before = fingerprint(home)
    assert run("user", "delete", "u", "nobody").code == 1
    assert fingerprint(home) == before


def test_a_revocation_covers_what_was_issued_this_second(folder: Path) -> None:
    run_ok("user", "create", "u")
    for number in range(3):
        run_ok("user", "edit", "u", "--tag", f"n{number}")  # each one a second later than the last
    claims = claims_of(folder)
    run_ok("user", "delete", "u")
    assert account_of(folder).is_revoked(claims.subject, claims.issued_at)


def test_a_wrong_seed_in_the_keystore(keys: Path, folder: Path) -> None:
    run_ok("user", "create", "u")
    run_ok("user", "create", "v")
    one, other = (claims_of(folder, name).subject for name in "uv")
    path = keys / "keys" / "U" / one[1:3] / f"{one}.nk"
    path.write_text((keys / "keys" / "U" / other[1:3] / f"{other}.nk").read_text())
    refused = run("user", "creds", "u")
    assert refused.code == 1
    assert str(path) in refused.err
    assert path.read_text() not in refused.err
    assert run("validate").code == 5
