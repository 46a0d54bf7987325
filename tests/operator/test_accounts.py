"""Accounts, their limits and signing keys (spec operator-cli checklist 12, 14, 15, 16)."""

from pathlib import Path
from typing import Any

import pytest

from gossamer.auth.claims import AccountClaims
from gossamer.auth.jwt import decode_as
from gossamer.operator.testing import fingerprint, run, run_ok


@pytest.fixture(autouse=True)
def operator(home: Path) -> None:
    run_ok("operator", "create", "OP", "--sys")


@pytest.fixture
def path(stores: Path) -> Path:
    """The file of the account that most tests are about."""
    return stores / "OP" / "accounts" / "A" / "A.jwt"


def claims_of(path: Path) -> AccountClaims:
    return decode_as(AccountClaims, path.read_text())


def limits_of(path: Path) -> dict[str, Any]:
    return claims_of(path).limits.members()


def test_a_new_account_has_no_limits_and_no_storage(path: Path) -> None:
    run_ok("account", "create", "A")
    assert limits_of(path) == {
        "subs": -1,
        "data": -1,
        "payload": -1,
        "imports": -1,
        "exports": -1,
        "wildcards": True,
        "conn": -1,
        "leaf": -1,
    }


@pytest.mark.parametrize(
    ("flags", "member", "value"),
    [
        (["--conns", "5"], "conn", 5),
        (["--leaf-conns", "0"], "leaf", None),
        (["--subscriptions", "100"], "subs", 100),
        (["--payload", "1MiB"], "payload", 2**20),
        (["--data", "1G"], "data", 10**9),
        (["--exports", "3"], "exports", 3),
        (["--imports", "4"], "imports", 4),
        (["--no-wildcard-exports"], "wildcards", None),
        (["--disallow-bearer"], "disallow_bearer", True),
        (["--js-mem-storage", "1k"], "mem_storage", 1000),
        (["--js-disk-storage", "1GiB"], "disk_storage", 2**30),
        (["--js-disk-storage", "1", "--js-streams", "5"], "streams", 5),
        (["--js-disk-storage", "1", "--js-consumer", "6"], "consumer", 6),
        (["--js-disk-storage", "1", "--js-max-mem-stream", "7"], "mem_max_stream_bytes", 7),
        (["--js-disk-storage", "1", "--js-max-disk-stream", "8"], "disk_max_stream_bytes", 8),
        (["--js-disk-storage", "1", "--js-max-ack-pending", "9"], "max_ack_pending", 9),
        (["--js-disk-storage", "1", "--js-max-bytes-required"], "max_bytes_required", True),
    ],
)
def test_each_limit(path: Path, flags: list[str], member: str, value: object) -> None:
    run_ok("account", "create", "A")
    run_ok("account", "edit", "A", *flags)
    assert limits_of(path).get(member) == value  # 0 and false are written by leaving them out
    assert run_ok("validate", "--json").data["valid"]


def test_storage_in_tiers(path: Path) -> None:
    run_ok("account", "create", "A", "--js-tier", "1", "--js-disk-storage", "1G")
    run_ok("account", "edit", "A", "--js-enable", "3")
    assert limits_of(path)["tiered_limits"] == {
        "R1": {
            "disk_storage": 10**9,
            "streams": -1,
            "consumer": -1,
            "max_ack_pending": -1,
            "mem_max_stream_bytes": -1,
            "disk_max_stream_bytes": -1,
        },
        "R3": {
            "mem_storage": -1,
            "disk_storage": -1,
            "streams": -1,
            "consumer": -1,
            "max_ack_pending": -1,
            "mem_max_stream_bytes": -1,
            "disk_max_stream_bytes": -1,
        },
    }
    mixed = run("account", "edit", "A", "--js-disk-storage", "1")
    assert mixed.code == 1
    assert "--js-disable" in mixed.err
    run_ok("account", "edit", "A", "--rm-js-tier", "3")
    assert list(limits_of(path)["tiered_limits"]) == ["R1"]
    run_ok("account", "edit", "A", "--js-disable", "--js-disk-storage", "5")
    assert "tiered_limits" not in limits_of(path)
    assert limits_of(path)["disk_storage"] == 5
    assert run("account", "edit", "A", "--js-tier", "1", "--js-streams", "1").code == 1
    run_ok("account", "edit", "A", "--js-disable")
    assert "disk_storage" not in limits_of(path)


def test_default_permissions(path: Path) -> None:
    run_ok("account", "create", "A", "--deny-pub", "admin.>", "--allow-sub", "a.>,b q", "--allow-pub-response=3")
    found = claims_of(path).default_permissions
    assert found.members() == {
        "pub": {"deny": ["admin.>"]},
        "sub": {"allow": ["a.>", "b q"]},
        "resp": {"max": 3, "ttl": 0},
    }
    run_ok("account", "edit", "A", "--rm", "b q", "--rm-response-perms", "--response-ttl", "5s")
    assert claims_of(path).default_permissions.members() == {"pub": {"deny": ["admin.>"]}, "sub": {"allow": ["a.>"]}}


def test_the_rest_of_an_account(path: Path) -> None:
    run_ok(
        *("account", "create", "A", "--description", "Payments", "--info-url", "https://example.org/pay"),
        *("--tag", "Region:EU", "--expiry", "2040-01-01", "--start", "2020-01-01"),
        *("--trace-context-subject", "traces", "--trace-context-sampling", "20"),
    )
    claims = claims_of(path)
    assert (claims.description, claims.info_url) == ("Payments", "https://example.org/pay")
    assert (claims.tags, claims.expires, claims.not_before) == (("region:eu",), 2208988800, 1577836800)
    assert claims.trace is not None
    assert (claims.trace.destination, claims.trace.sampling) == ("traces", 20)
    run_ok("account", "edit", "A", "--trace-context-subject", "", "--rm-tag", "region:eu")
    assert claims_of(path).trace is None
    assert run("account", "edit", "A", "--info-url", "nowhere").code == 64
    assert run("account", "edit", "A", "--trace-context-sampling", "20").code == 64
    assert run_ok("account", "describe", "A", "--output", "table").out.count("Payments") == 1


def test_signing_keys(path: Path, keys: Path) -> None:
    run_ok("account", "create", "A", "--sk", "generate")
    before = len(list(keys.rglob("*.nk")))
    run_ok("account", "edit", "A", "--sk", "generate")
    assert len(claims_of(path).signing_keys) == 2
    assert len(list(keys.rglob("*.nk"))) == before + 1
    public = run_ok("key", "generate", "account", "--show-secrets", "--json").data["key"]
    run_ok("account", "edit", "A", "--sk", public)
    assert public in claims_of(path).signing_key_texts
    run_ok("account", "signing-key", "delete", public, "-a", "A")
    assert public not in claims_of(path).signing_key_texts
    assert run("account", "edit", "A", "--rm-sk", public).code == 1
    assert run("account", "edit", "A", "--sk", "nonsense").code == 1


def test_roles(path: Path) -> None:
    run_ok("account", "create", "A")
    run_ok(
        *("account", "signing-key", "create", "-a", "A", "--role", "svc", "--description", "Services"),
        *("--allow-pub", "p.{{name()}}.>", "--allow-sub", "_INBOX.>", "--conn-type", "standard", "--subs", "10"),
    )
    (key,) = claims_of(path).signing_key_texts
    scope = claims_of(path).scope(key)
    assert scope is not None
    assert scope.members() == {
        "kind": "user_scope",
        "key": key,
        "role": "svc",
        "template": {
            "pub": {"allow": ["p.{{name()}}.>"]},
            "sub": {"allow": ["_INBOX.>"]},
            "subs": 10,
            "data": -1,
            "payload": -1,
            "allowed_connection_types": ["STANDARD"],
        },
        "description": "Services",
    }
    assert run("account", "signing-key", "create", "-a", "A", "--role", "svc").code == 1
    run_ok("account", "signing-key", "edit", "svc", "-a", "A", "--deny-pub", "p.x.>", "--bearer", "--role", "service")
    changed = claims_of(path).scope(key)
    assert changed is not None
    assert (changed.role, changed.template.publish.deny, changed.template.bearer_token) == ("service", ("p.x.>",), True)
    listed = run_ok("account", "signing-key", "list", "-a", "A", "--json").data
    assert [(entry["role"], entry["stored"]) for entry in listed] == [("service", True)]
    refused = run("account", "signing-key", "create", "-a", "A", "--allow-pub", "x")
    assert refused.code == 64
    assert "--role" in refused.err


def test_a_plain_key_becomes_a_role(path: Path) -> None:
    run_ok("account", "create", "A", "--sk", "generate")
    (key,) = claims_of(path).signing_key_texts
    run_ok("account", "signing-key", "create", "-a", "A", "--sk", key, "--role", "svc")
    assert claims_of(path).signing_key_texts == (key,)
    scope = claims_of(path).scope(key)
    assert scope is not None
    assert scope.role == "svc"


def test_removing_a_key_names_who_is_locked_out(path: Path) -> None:
    run_ok("account", "create", "A", "--sk", "generate")
    (key,) = claims_of(path).signing_key_texts
    run_ok("user", "create", "u", "-a", "A", "-K", key)
    answer = run_ok("account", "edit", "A", "--rm-sk", key)
    assert "u" in answer.err
    assert "user edit" in answer.err


def test_system_account_is_not_deleted_by_accident(home: Path) -> None:
    before = fingerprint(home)
    refused = run("account", "delete", "SYS")
    assert refused.code == 1
    assert "--force" in refused.err
    assert fingerprint(home) == before


def test_delete(stores: Path, keys: Path) -> None:
    run_ok("account", "create", "A")
    run_ok("user", "create", "u", "-a", "A")
    answer = run_ok("account", "delete", "A", "-D", "-C")
    assert "servers" in answer.err
    assert not (stores / "OP" / "accounts" / "A").exists()
    assert not (keys / "creds" / "OP" / "A").exists()
    assert run_ok("key", "list", "--not-referenced", "--json").data == []


@pytest.mark.parametrize(
    "flags",
    [
        ["--allow-pub", "a..b"],
        ["--allow-pub", "a q"],
        ["--allow-sub", "a q r"],
        ["--allow-sub", ">.a"],
        ["--conns", "many"],
        ["--expiry", "someday"],
        ["--allow-pub-response=x"],
        ["--response-ttl", "5"],
        ["--js-tier", "1"],
    ],
)
def test_nonsense_is_a_usage_error(flags: list[str], home: Path) -> None:
    before = fingerprint(home)
    answer = run("account", "create", "A", *flags)
    assert answer.code == 64, answer
    assert len(answer.err.splitlines()) == 1
    assert fingerprint(home) == before


def test_what_servers_would_refuse_is_not_signed(home: Path) -> None:
    before = fingerprint(home)
    refused = run("account", "create", "A", "--description", "x" * 9000)
    assert refused.code == 5
    assert "servers would refuse" in refused.err
    assert fingerprint(home) == before


def test_several_accounts_need_a_choice() -> None:
    run_ok("account", "create", "A")
    run_ok("account", "create", "B")
    assert run_ok("account", "list", "--json").data[0]["chosen"]  # the first one made was chosen
    run_ok("env", "-a", "B")
    run_ok("user", "create", "u")
    assert [entry["account"] for entry in run_ok("user", "list", "--json").data] == ["B"]
