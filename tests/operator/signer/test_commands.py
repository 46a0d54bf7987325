"""``gossamer signer`` and ``gossamer user issue``: a service as a process, request and response files, credentials that
a server lets in (spec operator-cli checklist 57 to 59, 64)."""

import asyncio
import base64
import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from gossamer.auth.claims import UserClaims
from gossamer.auth.credentials import load_credentials
from gossamer.auth.jwt import decode_as
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.mesh.testing.process import SERVER_KINDS, ServerProcess
from gossamer.operator.testing import fingerprint, run, run_ok

TIMEOUT_S = 20


@pytest.fixture
def own(tmp_path: Path) -> str:
    """The file with our own seed, and its public key beside it."""
    pair = KeyPair.generate(KeyKind.USER)
    path = tmp_path / "own.nk"
    path.write_text(pair.seed)
    (tmp_path / "own.pub").write_text(pair.public)
    return str(path)


@pytest.fixture
def boss(tmp_path: Path) -> str:
    """The same for somebody else."""
    pair = KeyPair.generate(KeyKind.USER)
    path = tmp_path / "boss.nk"
    path.write_text(pair.seed)
    (tmp_path / "boss.pub").write_text(pair.public)
    return str(path)


@pytest.fixture
def policy(tmp_path: Path, own: str, boss: str) -> str:
    """A policy for both."""
    path = tmp_path / "policy.toml"
    path.write_text(
        f"""
name = "test"
[[client]]
name = "ci"
nkey = "{(tmp_path / "own.pub").read_text()}"
operations = ["list", "issue", "submit"]
[[client.rule]]
accounts = ["TEAM"]
roles = ["svc"]
names = ["ci-*"]
tags = ["dept:*"]
expiry_max = "1h"
[[client.rule]]
kinds = ["account"]
accounts = ["*"]
keys = ["plain"]
expiry_max = "0"
ceilings = {{ conn = 100 }}
[[client]]
name = "boss"
nkey = "{(tmp_path / "boss.pub").read_text()}"
operations = ["approve"]
"""
    )
    return str(path)


@contextlib.contextmanager
def serving(*arguments: str) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """``gossamer signer serve`` as a process; gives its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "gossamer.operator.cli", "signer", "serve", "--listen", "127.0.0.1:0", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stdout is not None
    try:
        said = process.stderr.readline()
        found = re.search(r"on (127\.0\.0\.1:\d+)", said)
        assert found, said + process.stderr.read()
        yield found[1], process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(TIMEOUT_S)
        process.stdout.close()
        process.stderr.close()


def test_a_policy_can_be_checked(chain: Path, policy: str, tmp_path: Path) -> None:
    assert run_ok("signer", "serve", "--policy", policy, "--check", "--json").data["clients"] == ["ci", "boss"]
    (tmp_path / "bad.toml").write_text("name = 1")
    assert run("signer", "serve", "--policy", str(tmp_path / "bad.toml"), "--check").code == 1
    assert run("signer", "serve", "--policy", policy, "--listen", "0.0.0.0:0").code == 64
    assert run("signer", "serve", "--policy", policy, "--tls-cert", "x").code == 64


def test_credentials_from_a_service(
    chain: Path, policy: str, own: str, boss: str, tmp_path: Path, stores: Path, keys: Path
) -> None:
    with serving("--policy", policy) as (address, process):
        via = ["--via", address, "--nkey", own]
        target = tmp_path / "ci.creds"
        issue = ["user", "issue", "ci-1", "-a", "TEAM", "--role", "svc", *via]
        before = fingerprint(stores / "DEMO")
        answer = run_ok(*issue, "--expiry", "30m", "--tag", "dept:x", "-o", str(target), "--json")
        assert fingerprint(stores / "DEMO") == before
        held = load_credentials(target)
        assert held.claims.tags == ("dept:x",)
        assert target.stat().st_mode & 0o777 == 0o600
        assert held.seed not in answer.out + answer.err
        for path in (*keys.rglob("*"), *stores.rglob("*")):
            assert not path.is_file() or held.seed.encode() not in path.read_bytes()
        # Refused by the policy, or for lack of a proof: one line, exit code 7, no file.
        other = tmp_path / "other.creds"
        for arguments, word in (
            ([*issue, "-o", str(other)], "must expire"),
            ([*issue, "--expiry", "2h", "-o", str(other)], "is the most"),
            ([*issue, "--expiry", "30m", "--subs", "5", "-o", str(other)], "no permissions or limits"),
            (["user", "issue", "x", "-a", "TEAM", "--role", "svc", *via, "-o", str(other)], "not one of"),
            ([*issue[:-2], "--nkey", boss, "--expiry", "30m", "-o", str(other)], "may not issue"),
            ([*issue[:-2], "--expiry", "30m", "-o", str(other)], "who you are"),
        ):
            refused = run(*arguments)
            assert refused.code == 7
            assert word in refused.err
            assert len(refused.err.splitlines()) == 1
            assert not other.exists()
        assert run(*issue, "--expiry", "30m", "-o", str(target)).code == 1
        (listed,) = [key for key in run_ok("signer", "keys", *via, "--json").data if key["role"] == "svc"]
        assert listed["claim_kinds"] == ["user"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(TIMEOUT_S) == 0
    assert run(*issue, "--expiry", "30m", "-o", str(other)).code == 7
    log = run_ok("audit", "log", "--all", "--json")
    actions = [entry["action"] for entry in log.data if entry["actor"].get("client") == "ci"]
    # A client without the operation, or without a name, is turned away before there is anything to log.
    assert actions == ["signer issue", *["signer issue refused"] * 4]
    assert run_ok("audit", "verify", "--json").data["faults"] == []
    for path in keys.rglob("*.nk"):
        assert path.read_text() not in log.out


def test_an_account_by_request_and_approval(chain: Path, policy: str, own: str, boss: str, tmp_path: Path) -> None:
    claim = run_ok("account", "describe", "TEAM", "--json").data
    claim["nats"]["limits"]["conn"] = 42
    file = tmp_path / "claim.json"
    file.write_text(json.dumps(claim))
    with serving("--policy", policy) as (address, _):
        mine, others = ["--via", address, "--nkey", own], ["--via", address, "--nkey", boss]
        asked = ["signer", "request", "account", "TEAM", "--claim", str(file), "--reason", "growth"]
        pending = run_ok(*asked, *mine, "--json").data
        assert run("signer", "import", pending["id"], *mine).code == 1
        (seen,) = run_ok("signer", "requests", *others, "--json").data
        assert seen["claim"]["nats"]["limits"]["conn"] == 42
        looked = run("signer", "approve", pending["id"], *others, "--json")
        assert looked.code == 1
        assert looked.envelope["warnings"][0]["hint"] == f"--digest {pending['digest']}"
        assert run("signer", "approve", pending["id"], "--digest", pending["digest"], *mine).code == 7
        run_ok("signer", "approve", pending["id"], "--digest", pending["digest"], *others)
        run_ok("signer", "import", pending["id"], *mine)
        assert run_ok("account", "describe", "TEAM", "--json").data["nats"]["limits"]["conn"] == 42
        claim["nats"]["limits"]["conn"] = 101
        file.write_text(json.dumps(claim))
        refused = run(*asked, *mine)
        assert refused.code == 7
        assert "100 is the most" in refused.err
        claim["nats"]["limits"]["conn"] = 41
        file.write_text(json.dumps(claim))
        pending = run_ok(*asked, *mine, "--json").data
        run_ok("signer", "reject", pending["id"], "--digest", pending["digest"], *others)
        assert run("signer", "import", pending["id"], *mine).code == 1


@pytest.fixture
def offline(chain: Path, keys: Path, tmp_path: Path) -> str:
    """The file with the operator's identity key, which is nowhere else any more."""
    target = tmp_path / "stick" / "root.nk"
    run_ok("keys", "offline", "DEMO", "-o", str(target), "--plain")
    return str(target)


@pytest.mark.parametrize("kind", ["operator", "account"])
def test_request_and_response_files(chain: Path, offline: str, tmp_path: Path, stores: Path, kind: str) -> None:
    name = "DEMO" if kind == "operator" else "TEAM"
    claim = run_ok(kind, "describe", name, "--json").data
    claim["nats"]["tags"] = ["signed:far-away"]
    file, request, response = (tmp_path / part for part in ("claim.json", "request.json", "response.json"))
    file.write_text(json.dumps(claim))
    root = run_ok("operator", "describe", "--json").data["sub"]
    key = [] if kind == "operator" else ["--key", root]
    run_ok("signer", "request", kind, name, "--claim", str(file), "-o", str(request), *key, "--reason", "tags")
    # The machine that has the key has no store at all.
    away = ["-H", str(tmp_path / "away")]
    assert run("signer", "approve", str(request), "-o", str(response), *away).code == 7
    wrong = KeyPair.generate(KeyKind.OPERATOR)
    (tmp_path / "wrong.nk").write_text(wrong.seed)
    assert (
        run("signer", "approve", str(request), "-o", str(response), "-K", str(tmp_path / "wrong.nk"), *away).code == 1
    )
    shown = run_ok("signer", "approve", str(request), "-o", str(response), "-K", offline, *away)
    assert "signed:far-away" in shown.out
    assert Path(offline).read_text() not in shown.out + response.read_text() + request.read_text()
    before = fingerprint(stores / "DEMO")
    run_ok("signer", "import", str(response), "--dry-run")
    assert fingerprint(stores / "DEMO") == before
    run_ok("signer", "import", str(response), "--request", str(request))
    assert run_ok(kind, "describe", name, "--json").data["nats"]["tags"] == ["signed:far-away"]
    assert run("signer", "import", str(response)).code == 1  # as new already
    assert run_ok("validate").code == 0


def test_files_that_were_altered(chain: Path, offline: str, tmp_path: Path, stores: Path) -> None:
    request, response = tmp_path / "request.json", tmp_path / "response.json"
    run_ok("signer", "request", "operator", "DEMO", "-o", str(request))
    asked = json.loads(request.read_text())
    asked["claim"]["nats"]["tags"] = ["smuggled"]
    altered = tmp_path / "altered.json"
    altered.write_text(json.dumps(asked))
    refused = run("signer", "approve", str(altered), "-o", str(response), "-K", offline)
    assert refused.code == 1
    assert "altered" in refused.err
    run_ok("signer", "approve", str(request), "-o", str(response), "-K", offline)
    answer = json.loads(response.read_text())
    before = fingerprint(stores / "DEMO")
    changes: list[dict[str, Any]] = [
        {"token": answer["token"][:-4] + "AAAA"},
        {"token": "nonsense"},
        {"digest": "0" * 64},
        {"kind": "account"},
        {"key": KeyPair.generate(KeyKind.OPERATOR).public},
        {"operator": "NOBODY"},
        {"schema": "x"},
        {"strange": 1},
    ]
    for change in changes:
        altered.write_text(json.dumps(answer | change))
        assert run("signer", "import", str(altered)).code in (1, 5), change
    # Signed by somebody else from the first to the last byte.
    run_ok("init", "DEMO", "-H", str(tmp_path / "evil"))
    theirs, forged = tmp_path / "theirs.json", tmp_path / "forged.json"
    run_ok("signer", "request", "operator", "DEMO", "-o", str(theirs), "-H", str(tmp_path / "evil"))
    run_ok("signer", "approve", str(theirs), "-o", str(forged), "-H", str(tmp_path / "evil"))
    assert run("signer", "import", str(forged)).code == 5
    assert fingerprint(stores / "DEMO") == before


def test_a_user_by_request(chain: Path, tmp_path: Path) -> None:
    request, response = tmp_path / "q", tmp_path / "r"
    user = KeyPair.generate(KeyKind.USER)
    (tmp_path / "claim").write_text(
        json.dumps({"name": "bob", "sub": user.public, "nats": {"pub": {}, "sub": {}, "type": "user", "version": 2}})
    )
    run_ok(
        "signer",
        "request",
        "user",
        "bob",
        "-a",
        "TEAM",
        "--key",
        "svc",
        "--claim",
        str(tmp_path / "claim"),
        "-o",
        str(request),
    )
    run_ok("signer", "approve", str(request), "-o", str(response))
    run_ok("signer", "import", str(response))
    assert run_ok("user", "describe", "bob", "-a", "TEAM", "--json").data["sub"] == user.public


def test_issuing_with_a_key_that_is_here(chain: Path, tmp_path: Path, stores: Path, keys: Path) -> None:
    before = fingerprint(keys) | fingerprint(stores / "DEMO")
    target = tmp_path / "x.creds"
    answer = run_ok("user", "issue", "x", "-a", "TEAM", "--role", "svc", "--expiry", "5m", "-o", str(target))
    held = load_credentials(target)
    assert held.claims.grant.is_empty
    assert held.seed not in answer.out
    assert fingerprint(keys) | fingerprint(stores / "DEMO") == before
    refused = run("user", "issue", "x", "-a", "TEAM", "--role", "svc", "--allow-pub", "a", "-o", str(tmp_path / "y"))
    assert refused.code == 1
    assert not (tmp_path / "y").exists()
    shown = run_ok("user", "issue", "x", "-a", "TEAM", "--allow-pub", "a.>", "-o", "--")
    assert "BEGIN NATS USER JWT" in shown.out
    assert decode_as(UserClaims, shown.out.splitlines()[1]).grant.publish.allow == ("a.>",)
    assert run_ok("audit", "log", "--json").data[-1]["details"]["objects"][0]["subject"] != held.claims.subject
    assert run("user", "issue", "x", "-a", "TEAM", "--role", "none", "-o", str(tmp_path / "y")).code == 1
    assert run("user", "issue", "x", "-a", "TEAM", "--role", "svc", "--key", "A", "-o", "y").code == 64


def test_no_secret_in_the_arguments_of_a_process(chain: Path, policy: str, keys: Path) -> None:
    with serving("--policy", policy) as (_, process):
        family = [Path(f"/proc/{process.pid}/cmdline"), Path(f"/proc/{process.pid}/environ")]
        text = b"".join(path.read_bytes() for path in family)
    for path in keys.rglob("*.nk"):
        assert path.read_bytes() not in text


# A server lets them in.


@pytest.fixture(params=list(SERVER_KINDS))
def kind(request: pytest.FixtureRequest) -> type[ServerProcess]:
    """Each kind of server; skipped where it cannot be started, with its own words."""
    found = SERVER_KINDS[request.param]
    reason = found.missing()
    if reason is not None:
        pytest.skip(reason)
    return found


def test_issued_credentials_connect(
    chain: Path, policy: str, own: str, tmp_path: Path, kind: type[ServerProcess], keys: Path
) -> None:
    target = tmp_path / "ci.creds"
    with serving("--policy", policy) as (address, _):
        via = ["--via", address, "--nkey", own]
        arguments = ["user", "issue", "ci-7", "-a", "TEAM", "--role", "svc", "--expiry", "5m", *via, "-o", str(target)]
        run_ok(*arguments)
    held = load_credentials(target)
    errors: asyncio.Queue[Exception] = asyncio.Queue()

    async def hear(error: Exception) -> None:
        errors.put_nowait(error)

    async def life(server: ServerProcess) -> None:
        client = Client()
        try:
            await client.connect(
                server.url,
                user_jwt_cb=lambda: bytearray(held.jwt.encode()),
                signature_cb=lambda nonce: base64.b64encode(held.key.sign(nonce.encode())),
                allow_reconnect=False,
                error_cb=hear,
            )
            # The role's template holds the user's name.
            heard = await client.subscribe("p.ci-7.x")
            await client.publish("p.ci-7.x", b"mine")
            assert (await heard.next_msg(TIMEOUT_S)).data == b"mine"
            await client.publish("p.other.x", b"not mine")
            assert "permissions violation" in str(await asyncio.wait_for(errors.get(), TIMEOUT_S)).lower()
        finally:
            await client.close()

    with kind(tmp_path, config=run_ok("generate", "config").out) as server:
        asyncio.run(life(server))
