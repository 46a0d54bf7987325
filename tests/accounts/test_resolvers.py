"""Kinds of resolvers on one server (spec auth 22, 24.2, checklist 27, 29, 31, 34, 68 to 70, 74)."""

import http.server
import json
import threading
import time
from pathlib import Path

import pytest
from msgspec import structs

from gossamer.auth.claims import TimeRange, UserGrant, UserScope
from gossamer.auth.credentials import load_credentials
from gossamer.auth.jwt import encode_signature
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.mesh.testing.process import ServerError
from gossamer.mesh.testing.wire import WireClient

VIOLATION = "Authorization Violation"
TOKENS = Path(__file__).parents[1] / "auth" / "vectors"
NSC = TOKENS / "nsc-store"


def grant(**fields):
    return structs.replace(UserGrant.fresh(), **fields)


# --- who comes in -----------------------------------------------------------------------------------------------------


def test_who_may_sign_users(full, admin, tenant, enter):
    """Checklist 27."""
    account = tenant()
    admin.pushed(account.jwt())
    enter(full, account.user())
    enter(full, account.user(signer=account.keys))
    enter(full, account.user(signer=account.keys, issuer_account=account.public))
    enter(full, account.user(issuer_account=""), refused=VIOLATION)
    enter(full, account.user(signer=KeyPair.generate(KeyKind.ACCOUNT)), refused=VIOLATION)
    enter(full, tenant().user(), refused=VIOLATION)


def test_who_may_not_come(full, admin, tenant, enter):
    """Checklist 29."""
    account, now = tenant(), int(time.time())
    admin.pushed(account.jwt())
    hours = TimeRange(
        start=time.strftime("%H:%M:%S", time.gmtime(now + 7200)),
        end=time.strftime("%H:%M:%S", time.gmtime(now + 10800)),
    )
    for user in (
        account.user(expires=now - 1),
        account.user(not_before=now + 100),
        account.user(grant=grant(source_networks=("10.9.8.0/24",))),
        account.user(grant=grant(times=(hours,), times_location="UTC")),
        account.user(grant=grant(proxy_required=True)),
        account.user(grant=grant(allowed_connection_types=("WEBSOCKET",))),
    ):
        enter(full, user, refused=VIOLATION)
    enter(full, account.user(grant=grant(source_networks=("127.0.0.0/8",))))


def test_a_user_expires(full, admin, tenant, enter):
    """Checklist 31."""
    account = tenant()
    admin.pushed(account.jwt())
    client = enter(full, account.user(expires=int(time.time()) + 2))
    client.expect_error("User Authentication Expired")
    client.expect_close()


@pytest.mark.only_server("gossamer", reason="nats-server reads such a time as one that has passed")
def test_an_expiry_beyond_all_times(full, admin, tenant, enter):
    """It ends nobody early, and holds up neither the answer nor what happens to others of the account."""
    account, far = tenant(), (1 << 63) - 1
    admin.pushed(account.jwt(expires=far))
    client, other = enter(full, account.user(expires=far)), account.user()
    revoked = enter(full, other)
    client.subscribe("_INBOX.me", 1)
    client.publish("$SYS.REQ.USER.INFO", reply="_INBOX.me")
    assert json.loads(client.read_message().payload)["data"]["expires"] > 10**18
    admin.pushed(account.jwt(name="changed", expires=far - 1, revocations={other.public: int(time.time()) + 1}))
    revoked.expect_error("User Authentication Revoked")
    client.ping()


def test_scoped_users(full, admin, tenant, enter):
    """Checklist 34."""
    account, scoped = tenant(), KeyPair.generate(KeyKind.ACCOUNT)
    role = UserScope(key=scoped.public, role="svc", template=grant())
    admin.pushed(account.jwt(signing_keys=(role,)))
    enter(full, account.user(signer=scoped, grant=UserGrant()))
    enter(full, account.user(signer=scoped, grant=UserGrant(), issuer_account=""), refused=VIOLATION)
    for field in ({"subscriptions": 1}, {"bearer_token": True}, {"source_networks": ("127.0.0.1/32",)}):
        enter(full, account.user(signer=scoped, grant=UserGrant(**field)), refused=VIOLATION)


def test_pinned_accounts(start_server, operator, tenant, enter, system, house):
    pinned, other = tenant(), tenant()
    server = start_server(config=operator.config(house.FULL, more=f"resolver_pinned_accounts: [{pinned.public}]"))
    asker = system(server, operator)
    asker.pushed(pinned.jwt())
    asker.pushed(other.jwt())
    enter(server, pinned.user())
    enter(server, other.user(), refused=VIOLATION)


def test_a_default_sentinel(start_server, operator, tenant, house):
    account = tenant()
    sentinel = account.user(grant=grant(bearer_token=True))
    more = f"default_sentinel: {sentinel.token}"
    server = start_server(config=operator.config("MEMORY", account, more=more))
    with WireClient(server.address) as client:
        client.handshake()


# --- kinds ------------------------------------------------------------------------------------------------------------


def test_memory(start_server, operator, tenant, enter, system):
    """Checklist 68: no CLAIMS.UPDATE; accounts that are loaded change in memory."""
    account, idle = tenant(), tenant()
    server = start_server(config=operator.config("MEMORY", account, idle))
    asker = system(server, operator)
    assert asker.ask("$SYS.REQ.CLAIMS.UPDATE", account.jwt()) == []
    for subject in ("LIST", "PACK", "DELETE"):
        assert asker.ask(f"$SYS.REQ.CLAIMS.{subject}") == []
    update = "$SYS.REQ.ACCOUNT.{}.CLAIMS.UPDATE".format
    assert asker.ask_json(update(idle.public), idle.jwt())["data"]["message"] == "jwt update skipped"
    unknown = tenant()
    assert asker.ask_json(update(unknown.public), unknown.jwt())["data"]["message"] == "jwt update skipped"
    client = enter(server, account.user())
    assert asker.ask_json(update(account.public), "")["error"] == {
        "account": account.public,
        "code": 500,
        "description": "jwt update error - request body is empty",
    }
    answer = asker.ask_json(update(account.public), account.jwt(signer=account.keys))
    assert answer["error"]["description"] == "jwt update resulted in error - account validation failed"
    answer = asker.ask_json(update(account.public), account.jwt(revocations={"*": int(time.time())}))
    assert answer["data"] == {"account": account.public, "code": 200, "message": "jwt updated"}
    client.expect_error("User Authentication Revoked")
    client.expect_close()


def test_the_system_account_must_be_preloaded(server_kind, operator, tmp_path):
    config = f"operator: {operator.token}\nresolver: MEMORY\n"
    server = server_kind(tmp_path, config=config)
    with pytest.raises(ServerError, match="error resolving system account: account missing"):
        server.start()


def test_a_cache_skips_what_it_does_not_know(start_server, operator, tenant, enter, system):
    """Checklist 68."""
    server = start_server(config=operator.config('{ type: cache, dir: "jwt", ttl: "1h", timeout: "200ms" }'))
    asker = system(server, operator)
    account = tenant()
    answer = asker.push(account.jwt())
    assert answer["data"] == {"account": account.public, "code": 200, "message": "jwt update cache skipped"}
    enter(server, account.user(), refused=VIOLATION)
    answer = asker.push(operator.system.jwt())
    assert answer["data"]["message"] == "jwt updated cache"
    assert asker.ask_json("$SYS.REQ.CLAIMS.LIST")["data"] == [operator.system.public]
    assert asker.ask("$SYS.REQ.CLAIMS.PACK") == []


class AccountServer:
    """An HTTP server of accounts: ``tokens`` by key; ``paths`` it was asked for; ``silent`` keys are never answered."""

    def __init__(self) -> None:
        self.tokens, self.paths, self.silent = {}, [], set()
        self.release = threading.Event()
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.paths.append(self.path)
                key = self.path.rpartition("/")[2]
                if key in outer.silent:
                    outer.release.wait(10)
                token = outer.tokens.get(key, "" if not key else None)
                self.send_response(200 if token is not None else 404)
                body = (token or "").encode()
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/jwt/v1/accounts"
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    def stop(self):
        self.release.set()
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture
def accounts():
    server = AccountServer()
    yield server
    server.stop()


def test_accounts_by_http(start_server, operator, tenant, enter, system, accounts):
    """Checklist 69."""
    account = tenant()
    accounts.tokens = {operator.system.public: operator.system_token, account.public: account.jwt()}
    server = start_server(config=operator.config(f'URL("{accounts.url}")'))
    assert accounts.paths[0] == "/jwt/v1/accounts/"
    user = account.user()
    enter(server, user)
    client = enter(server, user)
    assert accounts.paths.count(f"/jwt/v1/accounts/{account.public}") == 1
    unknown = tenant()
    enter(server, unknown.user(), refused=VIOLATION)
    assert f"/jwt/v1/accounts/{unknown.public}" in accounts.paths
    accounts.silent.add(silent := tenant().public)
    update = f"$SYS.REQ.ACCOUNT.{account.public}.CLAIMS.UPDATE"
    asker = system(server, operator)
    answer = asker.ask_json(update, account.jwt(revocations={user.public: int(time.time())}))
    assert answer["data"]["message"] == "jwt updated"
    client.expect_error("User Authentication Revoked")
    assert silent


def test_an_http_server_that_does_not_answer(start_server, operator, tenant, enter, accounts):
    """Checklist 69: given up after 1.9 s; others come in meanwhile."""
    account, slow = tenant(), tenant()
    accounts.tokens = {
        operator.system.public: operator.system_token,
        account.public: account.jwt(),
        slow.public: slow.jwt(),
    }
    accounts.silent.add(slow.public)
    server = start_server(config=operator.config(f"URL({accounts.url})"))
    user, begun = slow.user(), time.monotonic()
    with WireClient(server.address) as waiting:
        nonce = waiting.read_info()["nonce"]
        waiting.connect(jwt=user.token, sig=encode_signature(user.keys.sign(nonce.encode())))
        if server.kind == "gossamer":
            enter(server, account.user())
            assert time.monotonic() - begun < 1.8
        waiting.expect_error(VIOLATION)
        assert 1.5 < time.monotonic() - begun < 4.5


def test_an_expired_account_is_asked_for_again(start_server, operator, tenant, enter, accounts):
    """Section 11: at most once a second; a renewed JWT revives it."""
    account = tenant()
    accounts.tokens = {operator.system.public: operator.system_token}
    server = start_server(config=operator.config(f"URL({accounts.url})"))
    accounts.tokens[account.public] = account.jwt(expires=int(time.time()) + 2)
    client = enter(server, account.user())
    client.expect_error("Account Authentication Expired")
    client.expect_close()
    accounts.tokens[account.public] = account.jwt(expires=int(time.time()) + 3600)
    enter(server, account.user())


def test_no_http_server(server_kind, operator, tmp_path):
    server = server_kind(tmp_path, config=operator.config("URL(http://127.0.0.1:1/x)"))
    with pytest.raises(ServerError, match="could not fetch"):
        server.start()


# --- what others wrote ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["memory", "full", "cache"])
def test_what_nsc_generates(start_server, kind):
    """Checklist 70: its configurations load; its creds connect, but for the revoked one."""
    text = (NSC / f"resolver_{kind}.conf").read_text().replace('timeout: "1.9s"', 'timeout: "200ms"')
    server = start_server(config=text)
    folder = NSC / "keys" / "creds" / "ACME"
    if kind != "memory":
        with WireClient(server.address) as client:
            creds_in(client, folder / "SYS" / "sys.creds")
            client.subscribe("_R", 1)
            client.ping()
            stores = (NSC / "stores" / "ACME" / "accounts").glob("*/*.jwt")
            pushed = [path.read_text().strip() for path in stores]
            for token in pushed:
                client.publish("$SYS.REQ.CLAIMS.UPDATE", token.encode(), reply="_R")
                answer = json.loads(client.read_message().payload)
                assert answer["data"]["code"] == 200
    expected = {
        "sys.creds": True,
        "carl.creds": kind != "cache",
        "alice.creds": kind != "cache",
        "svc1.creds": kind != "cache",
        "leaked.creds": False,
    }
    for path in sorted(folder.glob("*/*.creds")):
        with WireClient(server.address) as client:
            nonce_ok = creds_in(client, path, expect=expected[path.name])
            assert nonce_ok


def creds_in(client, path, *, expect=True):
    credentials = load_credentials(path)
    nonce = client.read_info()["nonce"]
    sig = encode_signature(KeyPair.from_seed(credentials.seed).sign(nonce.encode()))
    client.connect(jwt=credentials.jwt, sig=sig)
    client.send(b"PING\r\n")
    line = client.expect_line()
    return line == (b"PONG" if expect else b"-ERR 'Authorization Violation'")


@pytest.mark.parametrize("kind", ["full", "cache"])
def test_a_system_account_that_nobody_has_pushed(start_server, operator, enter, house, kind):
    """Users of its identity key come in to push it; then its JWT counts."""
    config = f'operator: {operator.token}\nresolver: {{type: {kind}, dir: jwt, timeout: "200ms"}}\n'
    server = start_server(config=config)
    founder, later = operator.system.user(signer=operator.system.keys), operator.system.user()
    if server.kind == "gossamer":  # nats-server lets any key it has not heard of wait for a look-up
        enter(server, later, refused=VIOLATION)
    with house.System(server.address) as client:
        house.sign_in(client, founder)
        client.subscribe("_R.*", "r")
        client.ping()
        client.pushed(operator.system.jwt())
        client.ping()
    enter(server, later)
    assert (server.folder / "jwt" / f"{operator.system.public}.jwt").exists()


def test_a_strict_operator_needs_the_preload(server_kind, house, tmp_path):
    operator = house.Operator(strict_signing_key_usage=True)
    server = server_kind(tmp_path, config=f"operator: {operator.token}\nresolver: {{type: full, dir: jwt}}\n")
    with pytest.raises(ServerError, match=r"account validation failed|error resolving system account: preload"):
        server.start()
