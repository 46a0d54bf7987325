"""Manners of every command: envelope, streams, exit codes, dry run, locks, remedies, secrets
(spec operator-cli checklist 40 to 44, 48, 64)."""

import os
from pathlib import Path

import click
import pytest

from gossamer.operator.commands.root import COMMANDS, LazyGroup, root
from gossamer.operator.store.lock import locked
from gossamer.operator.testing import fingerprint, run, run_ok

MEMBERS = {"schema", "command", "ok", "data", "done", "warnings", "errors"}


@pytest.fixture
def chain(home: Path) -> Path:
    """A whole trust chain in the home folder, that shares a little."""
    run_ok("init", "DEMO")
    run_ok("export", "create", "shared", "-a", "SYS", "--private")
    run_ok("import", "create", "-a", "DEMO", "--from", "SYS", "--subject", "shared")
    run_ok("mapping", "create", "-a", "DEMO", "-f", "old", "-t", "new")
    run_ok("revocation", "create", "*", "-a", "SYS", "--at", "1000")
    return home


READING = [
    ["env"],
    ["operator", "list"],
    ["operator", "describe"],
    ["account", "list"],
    ["account", "describe"],
    ["account", "signing-key", "list", "-a", "SYS"],
    ["user", "list"],
    ["user", "describe", "DEMO"],
    ["key", "list"],
    ["export", "list", "-A"],
    ["import", "list", "-A"],
    ["mapping", "list"],
    ["activation", "list", "-a", "SYS"],
    ["activation", "issue", "-a", "SYS", "-s", "shared", "-t", "DEMO"],
    ["revocation", "list", "-a", "SYS"],
    ["jwt", "describe", ".local/share/nats/nsc/stores/DEMO/DEMO.jwt"],
    ["lint"],
    ["completion", "bash"],
    ["generate", "profile", "nsc://DEMO/DEMO/DEMO"],
    ["generate", "diagram", "component"],
    ["generate", "diagram", "object"],
    ["validate"],
    ["generate", "config"],
    ["explain", "pub", "DEMO", "a.b"],
    ["explain", "sub", "DEMO", "a.>", "--queue", "q"],
]
WRITING = [
    ["init", "OTHER"],
    ["operator", "create", "NEW", "--sys"],
    ["operator", "edit", "--sk", "generate"],
    ["operator", "delete", "DEMO", "--force", "-D", "-C"],
    ["account", "create", "NEW"],
    ["account", "edit", "--conns", "5"],
    ["account", "delete", "DEMO", "-D", "-C"],
    ["account", "signing-key", "create", "--role", "svc"],
    ["user", "create", "new"],
    ["user", "edit", "DEMO", "--allow-pub", "x"],
    ["user", "delete", "DEMO", "-D", "-C"],
    ["user", "creds", "DEMO", "-o", "demo.creds"],
    ["key", "generate", "user", "--store"],
    ["generate", "config", "--config-file", "resolver.conf"],
    ["env", "-a", "SYS"],
    ["export", "create", "more", "--service"],
    ["export", "edit", "shared", "-a", "SYS", "--description", "D"],
    ["export", "delete", "shared", "-a", "SYS"],
    ["import", "edit", "shared", "--local-subject", "mine"],
    ["import", "edit", "shared", "--grant", "--grant-expiry", "9d"],
    ["import", "delete", "shared"],
    ["mapping", "create", "-f", "a", "-t", "b", "--weight", "10"],
    ["mapping", "delete", "-f", "old"],
    ["activation", "issue", "-a", "SYS", "-s", "shared", "-t", "DEMO", "-o", "act.jwt"],
    ["activation", "revoke", "-a", "SYS", "-s", "shared", "-t", "DEMO"],
    ["revocation", "create", "DEMO"],
    ["revocation", "delete", "*", "-a", "SYS"],
    ["account", "callout", "--auth-user", "DEMO", "-x", "generate"],
    ["account", "close", "DEMO"],
    ["account", "rename", "DEMO", "TEAM"],
    ["operator", "reissue"],
    ["key", "export", "--dir", "keys", "--all"],
    ["generate", "profile", "nsc://DEMO/DEMO/DEMO", "-o", "profile.json"],
    ["generate", "context", "-u", "DEMO", "--context", "demo"],
    ["generate", "diagram", "component", "-o", "diagram.puml"],
    ["fix", "--in", ".local", "--out", "new"],
]


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_answers_are_on_standard_output(chain: Path, command: list[str]) -> None:
    before = fingerprint(chain)
    for form in ("table", "plain"):
        answer = run_ok(*command, "--output", form)
        assert answer.out
        assert answer.err == ""
    envelope = run_ok(*command, "--json").envelope
    assert set(envelope) == MEMBERS
    assert envelope["ok"]
    assert envelope["data"] is not None
    assert " ".join(command).startswith(envelope["command"])
    assert fingerprint(chain) == before


@pytest.mark.parametrize("command", WRITING, ids=" ".join)
def test_a_dry_run_changes_nothing(chain: Path, command: list[str]) -> None:
    before = fingerprint(chain)
    answer = run_ok(*command, "--dry-run", "--json")
    assert answer.envelope["done"]
    assert fingerprint(chain) == before
    real = run_ok(*command, "--json")
    assert set(real.envelope) == MEMBERS
    assert fingerprint(chain) != before


FAILING = [
    (["operator", "describe", "NOBODY"], 1, "not-found"),
    (["account", "describe", "NOBODY"], 1, "not-found"),
    (["user", "describe", "nobody"], 1, "not-found"),
    (["user", "create", "DEMO"], 1, "exists"),
    (["user", "create", "../x"], 1, "bad-name"),
    (["account", "create", "a/b"], 1, "bad-name"),
    (["account", "create", "A", "-K", "nonsense"], 1, "bad-key"),
    (["key", "describe", "nonsense"], 1, "bad-key"),
    (["key", "generate", "user"], 1, "usage"),
    (["validate", "-f", "nothing.jwt"], 1, "not-found"),
    (["account", "create", "A", "--conns", "x"], 64, "usage"),
    (["explain", "pub", "DEMO", "a.*"], 64, "usage"),
    (["user", "create"], 64, "usage"),
    (["user", "create", "x", "--no-such-flag"], 64, "usage"),
    (["user", "nonsense"], 64, "usage"),
    (["nonsense"], 64, "usage"),
    (["generate", "config", "--mem-resolver", "--nats-resolver"], 64, "usage"),
    (["export", "create", "a..b"], 64, "usage"),
    (["export", "edit", "nothing"], 1, "not-found"),
    (["import", "create", "--from", "SYS", "--subject", "nothing"], 1, "not-found"),
    (["import", "delete", "nothing"], 1, "not-found"),
    (["mapping", "delete", "-f", "nothing"], 1, "not-found"),
    (["activation", "issue", "-s", "nothing", "-t", "SYS"], 1, "not-found"),
    (["activation", "unrevoke", "-a", "SYS", "-s", "shared", "-t", "DEMO"], 1, "not-found"),
    (["revocation", "create", "nobody"], 1, "not-found"),
    (["revocation", "delete", "DEMO"], 1, "not-found"),
    (["account", "callout", "--allowed-account", "*"], 64, "usage"),
    (["account", "rename", "DEMO", "SYS"], 1, "exists"),
    (["account", "close", "SYS"], 1, "system-account"),
    (["account", "import", "nothing.jwt"], 1, "not-found"),
    (["user", "import", "nothing.jwt"], 1, "not-found"),
    (["operator", "import", "nothing.jwt"], 1, "not-found"),
    (["operator", "reissue", "NOBODY"], 1, "not-found"),
    (["key", "export", "--dir", "x"], 64, "usage"),
    (["key", "import", "--dir", "nowhere"], 1, "not-found"),
    (["import", "nsc", "nowhere"], 1, "not-found"),
    (["fix", "--in", "nowhere", "--out", "x"], 1, "not-found"),
    (["jwt", "describe", "nothing.jwt"], 1, "not-found"),
    (["generate", "profile", "nsc://DEMO/DEMO/DEMO?seeds"], 64, "usage"),
    (["generate", "context", "-u", "nobody", "--context", "x"], 1, "not-found"),
    (["tool", "rtt", "-u", "nobody"], 1, "not-found"),
]


@pytest.mark.parametrize(("command", "code", "word"), FAILING, ids=lambda value: str(value))
def test_failures_are_one_line_and_an_envelope(chain: Path, command: list[str], code: int, word: str) -> None:
    before = fingerprint(chain)
    plain = run(*command)
    assert plain.code == code
    assert plain.out == ""
    assert plain.err.startswith("[ERR ] ")
    assert len(plain.err.splitlines()) == 1
    envelope = run(*command, "--json").envelope
    assert set(envelope) == MEMBERS
    assert not envelope["ok"]
    assert [error["code"] for error in envelope["errors"]] == [word]
    assert fingerprint(chain) == before


def test_json_can_be_asked_for_in_two_ways(chain: Path) -> None:
    expected = run_ok("account", "list", "--json").out
    assert run_ok("account", "list", "--output", "json").out == expected
    assert run_ok("account", "list", "--output=json").out == expected
    assert run("account", "nonsense", "--output", "json").envelope["errors"]


def test_an_empty_home_says_what_to_do() -> None:
    for command in (["account", "list"], ["user", "list"], ["key", "list"], ["validate"], ["generate", "config"]):
        answer = run(*command)
        assert answer.code == 1
        assert "gossamer init" in answer.err


def test_several_operators_need_a_choice(chain: Path) -> None:
    run_ok("operator", "create", "SECOND")
    assert run_ok("env", "--json").data["operator"] == {"name": "DEMO", "source": "context"}
    run_ok("env", "-o", "SECOND")
    assert run_ok("env", "--json").data["operator"] == {"name": "SECOND", "source": "context"}
    assert run_ok("account", "list", "--operator", "DEMO", "--json").data
    (chain / ".config" / "nats" / "nsc" / "nsc.json").unlink()
    refused = run("account", "list")
    assert refused.code == 1
    assert "--operator" in refused.err


@pytest.mark.parametrize("flag", ["--data-dir", "--keystore-dir", "-H"])
def test_an_unwritable_place(flag: str, home: Path) -> None:
    (home / "file").write_text("not a folder")
    answer = run("init", "DEMO", flag, str(home / "file" / "below"))
    assert answer.code == 1
    assert len(answer.err.splitlines()) == 1
    assert "--data-dir" in answer.err
    assert [path.name for path in home.iterdir() if path.name not in {"file", ".local"}] == []
    assert not list(home.rglob("*.jwt"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder(chain: Path, stores: Path) -> None:
    folder = stores / "DEMO" / "accounts"
    folder.chmod(0o500)
    try:
        answer = run("account", "create", "A")
    finally:
        folder.chmod(0o700)
    assert answer.code == 1
    assert "Permission denied" in answer.err


def test_two_commands_at_once(chain: Path, stores: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gossamer.operator.store.lock.WAIT_S", 0)
    with locked(stores):
        answer = run("user", "create", "u")
        assert answer.code == 1
        assert "lock" in answer.err
        assert run("user", "list").code == 0  # readers do not wait
    assert run("user", "create", "u").code == 0


def test_a_broken_context_file(chain: Path) -> None:
    path = chain / ".config" / "nats" / "nsc" / "nsc.json"
    path.write_text("{")
    answer = run("account", "list")
    assert answer.code == 1
    assert str(path) in answer.err
    assert len(answer.err.splitlines()) == 1


def test_an_old_keystore(chain: Path, keys: Path) -> None:
    (keys / "OLD").mkdir()
    (keys / "OLD" / "OLD.nk").write_text("SO")
    answer = run("key", "list")
    assert answer.code == 1
    assert "gossamer key migrate" in answer.err


def test_seeds_are_shown_only_when_asked_for(chain: Path, keys: Path) -> None:
    seeds = [path.read_text() for path in keys.rglob("*.nk")]
    assert len(seeds) == 7
    for command in READING + WRITING:
        for form in ("json", "plain"):
            answer = run(*command, "--output", form)
            assert not any(seed in answer.out + answer.err for seed in seeds)
    shown = run_ok("key", "list", "-A", "--show-secrets").out if run("init", "X", "--exist-ok").code == 0 else ""
    assert any(path.read_text() in shown for path in keys.rglob("*.nk"))


def test_secrets_leave_no_trace(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in the arguments of another process, as there is none; in no file but those that are made to hold them."""

    def refuse(*arguments: object, **_: object) -> None:
        raise AssertionError(f"another process was started: {arguments}")

    monkeypatch.setattr("subprocess.Popen.__init__", refuse)
    monkeypatch.setattr("os.fork", refuse)
    monkeypatch.setattr("os.posix_spawn", refuse)
    for command in READING + [words for words in WRITING if words[0] != "key"]:
        run(*command)
    seeds = {path.read_bytes() for path in chain.rglob("*.nk")}
    assert len(seeds) > 7
    others = [path for path in chain.rglob("*") if path.is_file() and path.suffix not in (".nk", ".creds")]
    assert len(others) > 10
    for path in others:
        content = path.read_bytes()
        assert not any(seed in content for seed in seeds), path


def test_nobody_is_asked_anything(chain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a terminal that nobody sits at, or a closed standard input, commands do not wait."""

    def refuse(*_: object, **__: object) -> str:
        raise AssertionError("somebody was asked something")

    monkeypatch.setattr("builtins.input", refuse)
    monkeypatch.setattr("getpass.getpass", refuse)
    monkeypatch.setattr("click.termui.visible_prompt_func", refuse)
    monkeypatch.setattr("click.termui.hidden_prompt_func", refuse)
    for command in READING + WRITING:
        assert "was asked" not in run(*command).err


def test_credentials_are_shown_only_when_asked_for(chain: Path, keys: Path) -> None:
    stored = (keys / "creds" / "DEMO" / "DEMO" / "DEMO.creds").read_text()
    assert "SEED" not in run_ok("user", "creds", "DEMO").out
    assert run_ok("user", "creds", "DEMO", "-o", "--").out == stored
    assert run_ok("user", "creds", "DEMO", "--show-secrets").out == stored
    assert run_ok("user", "creds", "DEMO", "--show-secrets", "--json").data == {"credentials": stored}


def test_init_twice(chain: Path) -> None:
    assert run("init", "DEMO").code == 1
    before = fingerprint(chain)
    assert not run_ok("init", "DEMO", "--exist-ok", "--json").data["changed"]
    assert fingerprint(chain) == before


def _commands(group: click.Group, words: tuple[str, ...]) -> list[tuple[str, ...]]:
    found = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            found += _commands(command, (*words, name))
        elif not isinstance(group, LazyGroup) or name in COMMANDS:
            found.append((*words, name))
    return found


def test_every_command_has_help_and_json() -> None:
    commands = _commands(root, ())
    assert len(commands) > 25
    for words in commands:
        text = run_ok(*words, "--help").out
        if words[-1] != "serve":  # what runs until it is stopped logs, and answers nothing
            assert "--json" in text, words
    assert "serve" in run_ok("--help").out
    assert run_ok("--version").out.startswith("gossamer")
