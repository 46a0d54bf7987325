"""An HTTP account server: push, pull, and the exchange of what a tenant signed itself (spec operator-cli checklist 35
and 36)."""

import json
import shutil
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gossamer.auth.claims import AccountClaims
from gossamer.auth.jwt import decode_as, encode
from gossamer.auth.keys import KeyPair
from gossamer.operator.failure import ExitCode
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.testing import run, run_ok


class Counter(ThreadingHTTPServer):
    """An account server in a thread. ``signer`` signs what comes in; ``status`` is what a POST is answered with."""

    signer: KeyPair | None = None
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.stored: dict[str, str] = {}
        self.types: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/jwt/v1"


class Handler(BaseHTTPRequestHandler):
    """``/jwt/v1/accounts/<A>``."""

    server: Counter

    def do_POST(self) -> None:
        token = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.types.append(self.headers["Content-Type"])
        claims = decode_as(AccountClaims, token)
        if self.server.signer is not None:
            token = encode(claims, self.server.signer, issued_at=int(time.time()))
        if self.server.status < 300:
            self.server.stored[self.path.rpartition("/")[2]] = token
        self.answer(self.server.status, "")

    def do_GET(self) -> None:
        token = self.server.stored.get(self.path.rpartition("/")[2])
        self.answer(200 if token else 404, token or "no such account")

    def answer(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *arguments: object) -> None:
        """Not into the test's output."""


@pytest.fixture
def server() -> Iterator[Counter]:
    made = Counter()
    thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.shutdown()
    thread.join()
    made.server_close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A store with accounts SYS and TEAM."""
    made = tmp_path / "store"
    run_ok("init", "DEMO", "--account", "TEAM", "--user", "alice", "-H", str(made))
    return made


def team(folder: Path) -> tuple[str, str]:
    stored = Workspace.at(folder).store.account("DEMO", "TEAM")
    return stored.claims.subject, stored.token


def test_push_and_pull_over_http(server: Counter, folder: Path, tmp_path: Path) -> None:
    run_ok("push", "-A", "--url", server.url, "-H", str(folder))
    key, token = team(folder)
    assert server.stored[key] == token
    assert len(server.stored) == 2
    assert set(server.types) == {"application/jwt"}
    run_ok("account", "edit", "TEAM", "--conns", "5", "-H", str(folder))
    newer = team(folder)[1]
    answer = run("pull", "-a", "TEAM", "--url", server.url, "-H", str(folder))
    assert answer.code == ExitCode.FAILURE
    assert team(folder)[1] == newer
    run_ok("pull", "-a", "TEAM", "--url", server.url, "--overwrite-newer", "-H", str(folder))
    assert team(folder)[1] == token


def test_another_2xx_means_that_it_waits(server: Counter, folder: Path) -> None:
    server.status = 202
    answer = run_ok("push", "-a", "TEAM", "--url", server.url, "-H", str(folder), "--json")
    assert [remark["code"] for remark in answer.envelope["warnings"]] == ["pending"]
    server.status = 400
    answer = run("push", "-a", "TEAM", "--url", server.url, "-H", str(folder), "--json")
    assert answer.code == ExitCode.FAILURE
    assert answer.envelope["errors"][0]["code"] == "refused"


def test_the_operator_names_its_account_server(server: Counter, folder: Path) -> None:
    run_ok("operator", "edit", "--account-jwt-server-url", server.url, "-H", str(folder))
    run_ok("push", "-a", "TEAM", "-H", str(folder))
    assert list(server.stored) == [team(folder)[0]]


def test_a_server_that_is_not_there(folder: Path) -> None:
    answer = run("push", "-a", "TEAM", "--url", "http://127.0.0.1:1/jwt/v1", "-H", str(folder), "--json")
    assert answer.code == ExitCode.FAILURE
    assert answer.envelope["errors"][0]["code"] == "unreachable"


@pytest.fixture
def tenant(folder: Path, tmp_path: Path) -> tuple[Path, KeyPair]:
    """The same store where the operator's keys are somebody else's, and the key that is."""
    workspace = Workspace.at(folder)
    claims = workspace.store.operator("DEMO").claims
    pair = workspace.keystore.signer(claims.subject)
    assert pair is not None
    made = tmp_path / "tenant"
    shutil.copytree(folder, made)
    keystore = Workspace.at(made).keystore
    for key in (claims.subject, *claims.signing_keys):
        keystore.key_path(key).unlink()
    mark = made / "stores" / "DEMO" / ".nsc"
    if not mark.is_file():
        mark = next(made.rglob(".nsc"))
    mark.write_text(json.dumps({**json.loads(mark.read_text()), "managed": True}))
    return made, pair


def test_what_a_tenant_signed_comes_back_with_the_operators_signature(
    server: Counter, tenant: tuple[Path, KeyPair]
) -> None:
    folder, operator = tenant
    server.signer = operator
    answer = run_ok("account", "edit", "TEAM", "--description", "ours", "-H", str(folder), "--json")
    assert "self-signed" in {remark["code"] for remark in answer.envelope["warnings"]}
    claims = Workspace.at(folder).store.account("DEMO", "TEAM").claims
    assert claims.issuer == claims.subject
    run_ok("push", "-a", "TEAM", "--url", server.url, "-H", str(folder))
    after = Workspace.at(folder).store.account("DEMO", "TEAM").claims
    assert (after.issuer, after.description) == (operator.public, "ours")


def test_what_comes_back_unsigned_is_not_stored(server: Counter, tenant: tuple[Path, KeyPair]) -> None:
    folder, _ = tenant
    run_ok("account", "edit", "TEAM", "--description", "ours", "-H", str(folder))
    token = team(folder)[1]
    answer = run("push", "-a", "TEAM", "--url", server.url, "-H", str(folder), "--json")
    assert answer.code == ExitCode.FAILURE
    assert answer.envelope["errors"][0]["code"] == "untrusted"
    assert team(folder)[1] == token


def test_without_an_account_server_there_is_a_warning(tenant: tuple[Path, KeyPair]) -> None:
    folder, _ = tenant
    run_ok("account", "edit", "TEAM", "--description", "ours", "-H", str(folder))
    token = team(folder)[1]
    answer = run_ok("push", "-a", "TEAM", "--url", "nats://127.0.0.1:1", "-H", str(folder), "--json")
    assert "self-signed" in {remark["code"] for remark in answer.envelope["warnings"]}
    assert team(folder)[1] == token
