"""``gossamer explain``: the rule that decides, and where it stands."""

from pathlib import Path
from typing import Any

import pytest

from gossamer.auth.policy import NO_RESTRICTION, NOT_ALLOWED
from gossamer.operator.testing import run, run_ok


@pytest.fixture(autouse=True)
def chain(home: Path) -> None:
    run_ok("operator", "create", "OP", "--sys")
    run_ok("account", "create", "A", "--deny-pub", "admin.>", "--allow-pub", ">")
    run_ok("account", "signing-key", "create", "--role", "svc", "--allow-pub", "p.{{name()}}.>", "--allow-pub-response")
    run_ok(
        "user",
        "create",
        "own",
        "--allow-pub",
        "a.*",
        "--deny-pub",
        "a.no",
        "--allow-sub",
        "s.*,w v1",
        "--deny-sub",
        "s.no",
    )
    run_ok("user", "create", "default")
    run_ok("user", "create", "scoped", "-K", "svc")


def ask(action: str, user: str, subject: str, *more: str) -> dict[str, Any]:
    found: dict[str, Any] = run_ok("explain", action, user, subject, *more, "--json").data
    return found


@pytest.mark.parametrize(
    ("action", "user", "subject", "more", "allowed", "rule", "source"),
    [
        ("pub", "own", "a.b", [], True, 'allow "a.*"', "user"),
        ("pub", "own", "a.no", [], False, 'deny "a.no"', "user"),
        ("pub", "own", "a.b.c", [], False, NOT_ALLOWED, "user"),
        ("sub", "own", "s.x", [], True, 'allow "s.*"', "user"),
        ("sub", "own", "s.no", [], False, 'deny "s.no"', "user"),
        ("sub", "own", "w", ["--queue", "v1"], True, 'allow "w v1"', "user"),
        ("sub", "own", "w", ["--queue", "v2"], False, 'allow "w v1"', "user"),
        ("pub", "default", "x", [], True, 'allow ">"', "account-default"),
        ("pub", "default", "admin.x", [], False, 'deny "admin.>"', "account-default"),
        ("pub", "scoped", "p.scoped.x", [], True, 'allow "p.scoped.>"', "role"),
        ("pub", "scoped", "p.other.x", [], False, NOT_ALLOWED, "role"),
        ("sub", "scoped", "anything.>", [], True, NO_RESTRICTION, "role"),
        ("pub", "SYS/sys", "anything", [], True, NO_RESTRICTION, "none"),
    ],
)
def test_rules(action: str, user: str, subject: str, more: list[str], allowed: bool, rule: str, source: str) -> None:
    found = ask(action, user, subject, *more)
    assert (found["allowed"], found["source"]) == (allowed, source)
    assert rule in found["rule"]
    assert found["connects"]
    if source != "none":
        assert found["place"]
        assert found["signer"]


def test_notes() -> None:
    assert "allow_responses" in ask("pub", "scoped", "_INBOX.x")["notes"][0]
    assert "not delivered" in ask("sub", "own", "s.*")["notes"][0]
    assert "nats-server" in ask("sub", "own", "s.>")["notes"][0]


def test_people_read_one_sentence_and_the_rule() -> None:
    out = run_ok("explain", "pub", "own", "a.no", "--output", "plain").out
    assert "own of A may not publish to a.no" in out
    assert 'deny "a.no"' in out


def test_exit_code_on_request() -> None:
    assert run("explain", "pub", "own", "a.no").code == 0
    assert run("explain", "pub", "own", "a.no", "--exit-code").code == 1
    assert run("explain", "pub", "own", "a.b", "--exit-code").code == 0


def test_ways_to_name_a_user(keys: Path) -> None:
    path = keys / "creds" / "OP" / "A" / "own.creds"
    key = run_ok("user", "describe", "own", "--json").data["sub"]
    answers = [ask("pub", name, "a.no") for name in ("own", "A/own", key, str(path))]
    assert all(answer == answers[0] for answer in answers)
    assert run("explain", "pub", "nobody", "a").code == 1
    path.write_text("rubbish")
    broken = run("explain", "pub", str(path), "a")
    assert broken.code == 1
    assert str(path) in broken.err


def test_who_cannot_connect_may_do_nothing() -> None:
    run_ok("user", "create", "old", "--expiry", "-1h")
    found = ask("sub", "old", "x")
    assert (found["allowed"], found["connects"]) == (False, False)
    assert "expired" in found["rule"]


def test_foreign_credentials_are_not_trusted(tmp_path: Path) -> None:
    run_ok("init", "ELSE", "-H", str(tmp_path))
    found = ask("pub", str(tmp_path / "creds" / "ELSE" / "ELSE" / "ELSE.creds"), "a")
    assert (found["allowed"], found["connects"]) == (False, False)
    assert "not known" in found["rule"]


CONFIG = """
accounts {
  A { users = [
    {user: alice, password: secret, permissions: {publish: {deny: "no.>"}}}
    {user: bert, password: secret}
  ]
  default_permissions: {publish: "only.this"} }
}
"""


def test_users_of_a_configuration(tmp_path: Path) -> None:
    path = tmp_path / "server.conf"
    path.write_text(CONFIG)
    found = ask("pub", "alice", "no.x", "--config", str(path))
    assert (found["allowed"], found["rule"], found["source"]) == (False, 'deny "no.>"', "configuration")
    assert str(path) in found["place"]
    assert ask("pub", "alice", "yes", "--config", str(path))["allowed"]
    assert not ask("pub", "bert", "other", "--config", str(path))["allowed"]
    assert not ask("pub", "nobody", "x", "--config", str(path))["connects"]


def test_trust_of_a_configuration(tmp_path: Path, keys: Path) -> None:
    path = tmp_path / "server.conf"
    run_ok("generate", "config", "--config-file", str(path))
    assert ask("pub", "own", "a.no", "--config", str(path))["rule"] == 'deny "a.no"'
    credentials = keys / "creds" / "OP" / "A" / "own.creds"
    assert ask("pub", str(credentials), "a.b", "--config", str(path))["allowed"]
    run_ok("account", "create", "LATER")
    run_ok("user", "create", "u", "-a", "LATER")
    assert not ask("pub", "LATER/u", "a", "--config", str(path))["connects"]


def test_a_faulty_configuration(tmp_path: Path) -> None:
    path = tmp_path / "server.conf"
    path.write_text("accounts {")
    answer = run("explain", "pub", "own", "a", "--config", str(path))
    assert answer.code == 1
    assert "gossamer check" in answer.err
    assert len(answer.err.splitlines()) == 1
