"""Profiles, contexts, diagrams and loose tokens (spec operator-cli sections 4.6 and 5.2)."""

import json
from pathlib import Path

import pytest

from gossamer.operator.testing import fingerprint, run, run_ok


@pytest.fixture(autouse=True)
def chain(home: Path) -> None:
    run_ok("init", "OP", "--account", "A", "--user", "ann")


def test_profiles(keys: Path, stores: Path) -> None:
    credentials = str(keys / "creds" / "OP" / "A" / "ann.creds")
    services = {"service": ["nats://localhost:4222"]}
    assert json.loads(run_ok("generate", "profile", "nsc://OP/A/ann").out) == {
        "user_creds": credentials,
        "operator": services,
    }
    found = run_ok("generate", "profile", "nsc://OP/A/ann?names&userKey", "--json").data
    user = run_ok("user", "describe", "ann", "-a", "A", "--json").data["sub"]
    assert found == {
        "user_creds": credentials,
        "operator": services | {"name": "OP"},
        "account": {"name": "A"},
        "user": {"name": "ann", "id": user},
    }
    assert json.loads(run_ok("generate", "profile", "nsc://OP").out) == {"operator": services}
    named = f"nsc://OP/A/ann?store={stores}&keystore={keys}"
    assert json.loads(run_ok("generate", "profile", named).out)["user_creds"] == credentials


def test_profiles_show_seeds_only_when_asked_for(keys: Path, home: Path) -> None:
    refused = run("generate", "profile", "nsc://OP/A/ann?userSeed")
    assert refused.code == 64
    assert "--show-secrets" in refused.err
    (seed,) = [path.read_text() for path in (keys / "keys" / "U").rglob("*.nk") if path.read_text() in _seeds(keys)]
    assert seed not in refused.out + refused.err
    assert run_ok("generate", "profile", "nsc://OP/A/ann?userSeed", "--show-secrets", "--json").data["user"] == {
        "seed": seed
    }
    quiet = run_ok("generate", "profile", "nsc://OP/A/ann?seeds", "-o", "profile.json")
    assert seed not in quiet.out
    assert json.loads((home / "profile.json").read_text())["user"] == {"seed": seed}
    assert (home / "profile.json").stat().st_mode & 0o777 == 0o600


def _seeds(keys: Path) -> str:
    return (keys / "creds" / "OP" / "A" / "ann.creds").read_text()


@pytest.mark.parametrize("url", ["nats://OP/A/ann", "nsc://", "nsc://OP/A/ann/more", "nsc://OP/A/ann?wallet"])
def test_what_is_no_profile(url: str) -> None:
    assert run("generate", "profile", url).code == 64


def test_profiles_of_what_is_not_there(keys: Path) -> None:
    assert run("generate", "profile", "nsc://OP/A/nobody").code == 1
    for path in (keys / "keys" / "A").rglob("*.nk"):
        path.unlink()
    assert run("generate", "profile", "nsc://OP/A/ann?accountSeed", "--show-secrets").code == 1


def test_contexts(home: Path, keys: Path) -> None:
    path = home / ".config" / "nats" / "context" / "team.json"
    run_ok("generate", "context", "-a", "A", "-u", "ann", "--context", "team")
    assert json.loads(path.read_text()) == {
        "url": "nats://localhost:4222",
        "creds": str(keys / "creds" / "OP" / "A" / "ann.creds"),
    }
    assert not run_ok("generate", "context", "-a", "A", "-u", "ann", "--context", "team", "--json").data["changed"]
    path.write_text('{"description": "ours", "url": "nats://other:4222", "nsc": "nsc://OP/A/ann"}')
    assert run("generate", "context", "-a", "A", "-u", "ann", "--context", "team").code == 1
    run_ok("generate", "context", "-a", "A", "-u", "ann", "--context", "team", "--force")
    found = json.loads(path.read_text())
    assert (found["description"], found["url"]) == ("ours", "nats://localhost:4222")
    assert "nsc" not in found
    assert run("generate", "context", "-a", "A", "-u", "ann", "--context", "../x").code == 1
    assert run("generate", "context", "-a", "A", "-u", "nobody", "--context", "x").code == 1


def test_diagrams(home: Path) -> None:
    run_ok("account", "create", "B", "--description", "Second")
    run_ok("export", "create", "q.*", "-a", "A", "--service", "--private")
    run_ok("import", "create", "-a", "B", "--from", "A", "--subject", "q.x", "--local-subject", "my.q")
    elsewhere = run_ok("key", "generate", "account", "--show-secrets", "--json").data["key"]
    run_ok("import", "create", "-a", "B", "--from", elsewhere, "--subject", "lost")
    shared = run_ok("generate", "diagram", "component", "--detail").out
    assert shared.startswith("@startuml\n")
    assert shared.endswith("@enduml\n")
    assert "<<private service>>" in shared
    assert '"q.x as my.q"' in shared
    assert '#red : "lost (not found)"' in shared
    assert "Second" in shared
    signed = run_ok("generate", "diagram", "object", "--users").out
    assert '"ann"' in signed
    assert "<<system account>>" in signed
    run_ok("generate", "diagram", "object", "-o", "d.puml")
    assert '"ann"' not in (home / "d.puml").read_text()


def test_a_generated_file_is_written_once(home: Path) -> None:
    run_ok("generate", "diagram", "object", "-o", "d.puml")
    before = fingerprint(home)
    assert not run_ok("generate", "diagram", "object", "-o", "d.puml", "--json").data["changed"]
    (home / "d.puml").write_text("mine")
    assert run("generate", "diagram", "object", "-o", "d.puml").code == 1
    run_ok("generate", "diagram", "object", "-o", "d.puml", "--force")
    assert fingerprint(home) == before


def test_loose_tokens(home: Path, stores: Path, keys: Path) -> None:
    account = stores / "OP" / "accounts" / "A" / "A.jwt"
    assert run_ok("jwt", "describe", str(account), "--json").data == run_ok("account", "describe", "A", "--json").data
    credentials = keys / "creds" / "OP" / "A" / "ann.creds"
    described = run_ok("jwt", "describe", str(credentials))
    assert "ann" in described.out
    assert _seeds(keys).splitlines()[9] not in described.out
    assert run_ok("jwt", "describe", str(credentials), "--raw").out.startswith("eyJ")
    for file in ("activation_service", "authorization_request", "generic_delete_request", "operator_full"):
        vector = Path(__file__).parents[1] / "auth" / "vectors" / "jwt" / f"{file}.jwt"
        answer = run("jwt", "describe", str(vector), "--json")
        assert answer.code == (0 if file != "generic_delete_request" else answer.code)
    token = account.read_text()
    (home / "bad.jwt").write_text(token[:-4] + "AAAA")
    refused = run("jwt", "describe", "bad.jwt")
    assert refused.code == 1
    assert "signature" in refused.err
    assert run("jwt", "describe", "nothing.jwt").code == 1
