"""Advice (spec operator-cli checklist 63), and what validate says of imports (checklist 38)."""

from pathlib import Path

import pytest

from gossamer.operator.testing import run, run_ok


@pytest.fixture(autouse=True)
def chain(home: Path) -> None:
    run_ok("operator", "create", "OP", "--sys", "--generate-signing-key")
    run_ok("operator", "edit", "--require-signing-keys")
    run_ok("account", "edit", "SYS", "--resign")
    run_ok("account", "create", "A", "--conns", "5", "--subscriptions", "100", "--payload", "1M")


def advice(code: str, *flags: str) -> list[str]:
    """The objects that there is advice of this code about."""
    return [entry["object"] for entry in run_ok("lint", "--json", *flags).data if entry["code"] == code]


def good_user(name: str, *flags: str) -> None:
    if not run_ok("account", "signing-key", "list", "-a", "A", "--json").data:
        run_ok("account", "edit", "A", "--sk", "generate")
    run_ok("user", "create", name, "-a", "A", "--expiry", "90d", "--allow-pub", "a.>", "--allow-sub", "b.>", *flags)


def test_a_careful_account_needs_none() -> None:
    run_ok("account", "signing-key", "create", "-a", "A", "--role", "svc", "--allow-pub", "a.>", "--allow-sub", "b.>")
    run_ok("user", "create", "ann", "-a", "A", "-K", "svc", "--expiry", "90d")
    assert run_ok("lint", "-a", "A", "--json").data == []
    run_ok("lint", "-a", "A", "--strict")


def test_endless_credentials() -> None:
    good_user("ann")
    good_user("bob", "--expiry", "0")
    assert advice("no-expiry", "-a", "A") == ["OP/A/bob"]


def test_empty_permission_lists() -> None:
    run_ok("account", "edit", "A", "--sk", "generate")
    run_ok("user", "create", "ann", "-a", "A", "--expiry", "90d", "--allow-pub", "a.>")
    assert advice("empty-permissions", "-a", "A") == ["OP/A/ann"]  # subscribing
    run_ok("account", "signing-key", "create", "-a", "A", "--role", "svc")
    assert advice("empty-permissions", "-a", "A") == ["OP/A", "OP/A", "OP/A/ann"]
    run_ok("account", "edit", "A", "--deny-pub", "admin.>")
    assert advice("empty-permissions", "-a", "A") == ["OP/A", "OP/A"], "the account's defaults restrict the user"


def test_template_values_with_wildcards() -> None:
    run_ok(
        *("account", "signing-key", "create", "-a", "A", "--role", "svc"),
        *("--allow-pub", "p.{{name()}}.>", "--allow-sub", "t.{{tag(dept)}}.>"),
    )
    run_ok("user", "create", "plain", "-a", "A", "-K", "svc", "--tag", "dept:x")
    run_ok("user", "create", "star*", "-a", "A", "-K", "svc", "--tag", "dept:x")
    run_ok("user", "create", "tagged", "-a", "A", "-K", "svc", "--tag", "dept:>")
    assert sorted(advice("wide-template-value", "-a", "A")) == ["OP/A/star*", "OP/A/tagged"]


def test_unscoped_keys() -> None:
    run_ok("account", "edit", "A", "--sk", "generate")
    assert advice("unscoped-key") == ["OP/A"]


def test_widening() -> None:
    good_user("ann", "--allow-sub", "c.*")
    assert advice("widening", "-a", "A") == ["OP/A/ann"]
    run_ok("account", "edit", "A", "--allow-sub", "d.* workers")
    assert advice("widening", "-a", "A") == ["OP/A", "OP/A/ann"]


def test_unlimited_accounts() -> None:
    run_ok("account", "create", "B")
    assert advice("unlimited") == ["OP/B"]


def test_deleted_but_not_revoked() -> None:
    good_user("ann")
    good_user("bob")
    run_ok("user", "delete", "ann", "-a", "A", "--no-revoke")
    run_ok("user", "delete", "bob", "-a", "A")
    assert advice("not-revoked") == ["OP/A/ann"]


def test_bearer_tokens() -> None:
    good_user("ann", "--bearer")
    assert advice("bearer") == ["OP/A/ann"]


def test_operators() -> None:
    assert advice("online-root") == ["OP"]
    run_ok("operator", "edit", "--no-require-signing-keys")
    assert advice("not-strict") == ["OP"]
    run_ok("operator", "create", "BARE")
    assert advice("no-signing-key", "--operator", "BARE") == ["BARE"]
    assert advice("no-system-account", "--operator", "BARE") == ["BARE"]


def test_strict_is_for_scripts() -> None:
    run_ok("lint")
    assert run("lint", "--strict").code == 5


def test_validate_knows_imports_that_lead_nowhere() -> None:
    run_ok("account", "create", "B")
    run_ok("export", "create", "q.*", "-a", "A", "--private")
    run_ok("account", "edit", "A", "--sk", "generate")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "q.x")
    assert run_ok("validate", "--json").data["findings"] == []
    run_ok("activation", "revoke", "-a", "A", "-s", "q.*", "-t", "B")
    assert "revoked" in run_ok("validate", "--json").data["findings"][0]["message"]
    run_ok("export", "delete", "q.*", "-a", "A")
    assert "exports no stream" in run_ok("validate", "--json").data["findings"][0]["message"]
