"""Auth callout by configuration, black box, on both servers (spec auth section 25; checklist 75, 76, 79, 80)."""

import signal
import time

import pytest

from gossamer.auth.claims import SubjectList
from gossamer.auth.jwt import decode
from gossamer.auth.keys import KeyKind, KeyPair, public_kind
from gossamer.mesh.testing.process import ServerError

BOB = {"user": "bob", "pass": "secret", "name": "probe", "lang": "lab", "version": "7", "protocol": 1}
APP = {"user": "app", "pass": "p"}


def configuration(keys, more="", timeout=2):
    return f"""
    server_name: C1
    server_tags: ["az:1", "x:y"]
    authorization {{
      timeout: {timeout}
      auth_callout {{ issuer: {keys.issuer.public}, account: AUTH, auth_users: [svc, boss], {more} }}
    }}
    accounts {{
      AUTH {{ users: [{{user: svc, password: p}}, {{user: guest, password: p}}] }}
      APP {{ users: [{{user: app, password: p}}, {{user: boss, password: p}}] }}
      OTHER {{ users: [{{user: other, password: p}}] }}
    }}
    """


@pytest.fixture
def server(shared_server, keys):
    return shared_server(config=configuration(keys))


@pytest.fixture
def service(serve, server):
    return serve(server, user="svc", **{"pass": "p"})


# --- the request --------------------------------------------------------------------------------------------------
def test_the_request_says_who_asks_and_about_whom(server, service, visit, keys):
    before = int(time.time())
    visitor = visit(server, **BOB)
    request = service.ask()
    claims, nats = request.claims, request.claims["nats"]
    server_id = visitor.info["server_id"]
    assert decode(request.token).issuer == claims["iss"] == server_id  # and it is signed by it
    assert claims["aud"] == "nats-authorization-request"
    assert claims["sub"] == keys.issuer.public
    assert before + 1 <= claims["exp"] <= before + 4
    assert before - 1 <= claims["iat"] <= claims["exp"]
    assert nats["server_id"] == {
        "name": "C1",
        "host": "127.0.0.1",
        "id": server_id,
        "version": visitor.info["version"],
        "tags": ["az:1", "x:y"],
    }
    assert public_kind(nats["user_nkey"]) is KeyKind.USER
    assert nats["client_info"] == {
        "host": "127.0.0.1",
        "id": visitor.info["client_id"],
        "user": "bob",
        "name": "probe",
        "kind": "Client",
        "type": "nats",
    }
    assert nats["connect_opts"] == {
        "user": "bob", "pass": "secret", "name": "probe", "lang": "lab", "version": "7", "protocol": 1
    }  # fmt: skip
    assert (nats["type"], nats["version"]) == ("authorization_request", 2)
    assert set(nats) == {"server_id", "user_nkey", "client_info", "connect_opts", "type", "version"}
    assert request.reply.startswith("$SYS._INBOX.")
    assert request.headers == b""
    service.grant(request)
    visitor.admitted()


def test_every_request_names_a_fresh_user_key(server, service, visit):
    keys = set()
    for _ in range(2):
        visitor = visit(server, **BOB)
        request = service.ask()
        keys.add(request.nats["user_nkey"])
        service.grant(request)
        visitor.admitted()
    assert len(keys) == 2


def test_a_token_is_passed_on_but_not_shown(server, service, visit):
    visitor = visit(server, auth_token="my-token", jwt="not.looked.at")
    request = service.ask()
    assert request.nats["connect_opts"] == {"auth_token": "my-token", "protocol": 0}
    assert request.nats["client_info"]["user"] == "[REDACTED]"
    service.grant(request, name="by token")
    assert visitor.admitted().identity()["user"] == "by token"


def test_a_signing_client_is_asked_about_with_its_nonce(start_server, serve, visit, keys):
    pair = KeyPair.generate(KeyKind.USER)
    config = configuration(keys).replace("{user: app, password: p}", f"{{nkey: {pair.public}}}")
    server = start_server(config=config)
    service = serve(server, user="svc", **{"pass": "p"})
    visitor = visit(server, nkey=pair.public, sig="AAAA")
    request = service.ask()
    assert request.nats["client_info"]["nonce"] == visitor.info["nonce"]
    assert request.nats["client_info"]["user"] == pair.public
    assert request.nats["connect_opts"] == {"nkey": pair.public, "sig": "AAAA", "protocol": 0}
    service.grant(request)
    visitor.admitted()


# --- who is asked about -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    "fields",
    [APP, {"user": "app", "pass": "wrong"}, {"user": "nobody"}, {}],
    ids=["right password", "wrong password", "unknown", "nothing"],
)
def test_everybody_is_asked_about(server, service, visit, fields):
    visitor = visit(server, **fields)
    service.grant(service.ask(), audience="OTHER")
    assert visitor.admitted().identity()["account"] == "OTHER"


def test_auth_users_are_not_asked_about(server, service, visit):
    assert visit(server, user="boss", **{"pass": "p"}).admitted().identity()["account"] == "APP"
    visit(server, user="boss", **{"pass": "wrong"}).refused()


def test_only_the_accounts_that_are_named(start_server, serve, visit, keys):
    server = start_server(config=configuration(keys, "allowed_accounts: [OTHER]"))
    service = serve(server, user="svc", **{"pass": "p"})
    assert visit(server, **APP).admitted().identity()["user"] == "app"  # keeps what it has
    for fields in ({"user": "other", "pass": "p"}, {"user": "app", "pass": "wrong"}, {"user": "nobody"}):
        visitor = visit(server, **fields)
        service.grant(service.ask(), name="granted")
        assert visitor.admitted().identity()["user"] == "granted"


# --- what a grant does --------------------------------------------------------------------------------------------
def test_the_user_is_placed_in_the_account_of_the_audience(server, service, visit):
    visitor = visit(server, **BOB)
    grant = {"publish": SubjectList(allow=("a.*", "$SYS.REQ.USER.INFO")), "subscribe": SubjectList(deny=("secret",))}
    service.grant(service.ask(), name="Robert", grant=grant)
    identity = visitor.admitted().identity()
    assert visitor.info["remote_account"] == "APP"
    assert (identity["user"], identity["account"]) == ("Robert", "APP")
    assert sorted(identity["permissions"]["publish"]["allow"]) == ["$SYS.REQ.USER.INFO", "a.*"]
    assert identity["permissions"]["subscribe"]["deny"] == ["secret"]
    visitor.publish("b")
    visitor.expect_error('Permissions Violation for Publish to "b"')
    neighbour = visit(server, user="boss", **{"pass": "p"}).admitted()
    neighbour.subscribe("a.1", 1)
    neighbour.ping()
    visitor.publish("a.1", b"here")
    assert neighbour.read_message().payload == b"here"


def test_without_a_name_the_user_keeps_the_one_it_gave(server, service, visit):
    visitor = visit(server, **BOB)
    service.grant(service.ask())
    assert visitor.admitted().identity()["user"] == "bob"


def test_the_expiry_of_the_granted_user_closes_it(server, service, visit):
    visitor = visit(server, **BOB)
    begun = time.time()
    service.grant(service.ask(), expires=int(begun) + 2)
    visitor.admitted()
    visitor.refused("User Authentication Expired")
    assert 0.5 < time.time() - begun < 4.5


def test_nothing_is_processed_before_the_answer(server, service, visit):
    listener = visit(server, user="boss", **{"pass": "p"}).admitted()
    listener.subscribe("early", 1)
    listener.ping()
    visitor = visit(server, **BOB)
    visitor.publish("early", b"too early")
    request = service.ask()
    listener.ping()  # nothing has arrived
    service.grant(request)
    visitor.admitted()
    assert listener.read_message().payload == b"too early"


def test_users_in_the_service_account_may_not_ask(server, service, visit):
    visitor = visit(server, user="guest", **{"pass": "p"})
    service.grant(service.ask(), audience="AUTH")
    visitor.admitted()
    for client in (visitor, service.wire):
        client.publish("$SYS.REQ.USER.AUTH", b"x")
        client.expect_error('Permissions Violation for Publish to "$SYS.REQ.USER.AUTH"')


# --- refusals -----------------------------------------------------------------------------------------------------
def wrong_user(service, request, **claims):
    return service.response(request, jwt=service.user(request, **claims))


ELSEWHERE = KeyPair.generate(KeyKind.SERVER).public
SOMEBODY = KeyPair.generate(KeyKind.USER).public
ACCOUNT = KeyPair.generate(KeyKind.ACCOUNT).public

REFUSALS = {
    "error": (
        lambda s, r: s.response(r, error="not on the list"),
        r"Auth callout service returned an error: not on the list",
    ),
    "empty": (lambda s, r: b"", r"[Aa]uth callout violation.*no reason supplied"),
    "no token": (lambda s, r: b"hello", r""),
    "for another server": (
        lambda s, r: s.response(r, jwt=s.user(r), audience=ELSEWHERE),
        r"Auth callout violation: auth callout response is not for server",
    ),
    "for another user": (
        lambda s, r: s.response(r, jwt=s.user(r), subject=SOMEBODY),
        r"Auth callout violation: auth callout response is not for expected user",
    ),
    "grants another user": (lambda s, r: wrong_user(s, r, subject=SOMEBODY), r"Expected authorized user of"),
    "signed by a stranger": (
        lambda s, r: s.response(r, jwt=s.user(r), signer=s.keys.stranger),
        r"Auth callout signing key is unknown",
    ),
    "user signed by a stranger": (
        lambda s, r: wrong_user(s, r, signer=s.keys.stranger),
        r"Wrong issuer for auth callout response on account",
    ),
    "unknown account": (
        lambda s, r: wrong_user(s, r, audience="NOWHERE"),
        r'No valid account "NOWHERE" for auth callout response',
    ),
    "no account": (lambda s, r: wrong_user(s, r, audience=""), r'No valid account "" for auth callout response'),
    "issuer_account": (
        lambda s, r: wrong_user(s, r, issuer_account=s.keys.issuer.public),
        r'Error non operator mode account "[^"]+": attempted to use issuer_account',
    ),
    "both": (
        lambda s, r: s.response(r, jwt=s.user(r), error="and an error"),
        r"validation errors: .*Only Error or Jwt can be set",
    ),
    "neither": (lambda s, r: s.response(r), r"validation errors: .*Error or Jwt is required"),
    "user expired": (lambda s, r: wrong_user(s, r, expires=int(time.time()) - 5), r"Error validating user JWT"),
    "only unknown connection types": (
        lambda s, r: wrong_user(s, r, grant={"allowed_connection_types": ("CARRIER_PIGEON",)}),
        r"",
    ),
    "a token of another type": (
        lambda s, r: s.response(r, jwt=r.token),
        r"",
    ),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_refused(server, service, visit, why):
    make, told = REFUSALS[why]
    seen = len(server.log)
    visitor = visit(server, **BOB)
    request = service.ask()
    service.answer(request, make(service, request))
    visitor.refused()
    if told:
        server.wait_for_log(r"\[WRN\].*" + told, since=seen)


def test_silence_lasts_until_the_timeout(start_server, serve, visit, keys):
    server = start_server(config=configuration(keys, timeout=1))
    begun = time.monotonic()
    visit(server, **BOB).refused()  # nobody serves
    assert 0.8 < time.monotonic() - begun < 4
    service = serve(server, user="svc", **{"pass": "p"})
    visitor = visit(server, **BOB)
    request = service.ask()
    visitor.refused()
    service.grant(request)  # too late, and harmless
    visitor = visit(server, **BOB)
    service.grant(service.ask())
    visitor.admitted()


def test_somebody_who_leaves_while_waiting_is_forgotten(server, service, visit):
    visitor = visit(server, **BOB)
    request = service.ask()
    visitor.close()
    service.grant(request)
    visitor = visit(server, **BOB)
    service.grant(service.ask())
    visitor.admitted()


# --- safer than nats-server (26.6) --------------------------------------------------------------------------------
ENFORCED = {
    "connection types": {"allowed_connection_types": ("WEBSOCKET",)},
    "source": {"source_networks": ("192.0.2.0/24",)},
}


@pytest.mark.only_server("gossamer", reason="nats-server does not look at these (section 26.6)")
@pytest.mark.parametrize("what", ENFORCED)
def test_what_a_grant_says_is_enforced(server, service, visit, what):
    visitor = visit(server, **BOB)
    service.grant(service.ask(), grant=ENFORCED[what])
    visitor.refused()


@pytest.mark.only_server("gossamer", reason="nats-server does not look at these (section 26.6)")
def test_limits_of_a_grant_are_enforced(server, service, visit):
    visitor = visit(server, **BOB)
    service.grant(service.ask(), grant={"payload": 10, "subscriptions": 1})
    visitor.admitted()
    assert visitor.info["max_payload"] == 10
    visitor.subscribe("a", 1)
    visitor.ping()
    visitor.subscribe("b", 2)
    visitor.expect_error("maximum subscriptions exceeded")


@pytest.mark.only_server("gossamer", reason="the switch is ours")
def test_a_switch_gives_the_old_behaviour(start_server, serve, visit, keys):
    config = configuration(keys).replace("timeout: 2", "timeout: 2, lenient_callout: true")
    server = start_server(config=config)
    service = serve(server, user="svc", **{"pass": "p"})
    for grant in [*ENFORCED.values(), {"payload": 10, "subscriptions": 1}]:
        visitor = visit(server, **BOB)
        service.grant(service.ask(), grant=grant)
        visitor.admitted()
        assert visitor.info["max_payload"] == 1024 * 1024


def test_a_grant_that_says_nothing_of_limits_has_none(server, service, visit):
    visitor = visit(server, **BOB)
    service.grant(service.ask(), grant={"payload": 0, "subscriptions": 0, "data": 0})
    visitor.admitted()
    visitor.subscribe("a", 1)
    visitor.ping()
    visitor.publish("a", b"x")
    assert visitor.read_message().payload == b"x"


# --- reload -------------------------------------------------------------------------------------------------------
def test_another_callout_needs_a_restart(start_server, keys):
    server = start_server(config=configuration(keys))
    with pytest.raises(ServerError, match="config reload not supported for AuthCallout"):
        server.reload(configuration(keys, "allowed_accounts: [APP]"))


def changed(server, keys):
    """Reload with something that matters to nobody here."""
    config = configuration(keys).replace("{user: other, password: p}", "{user: else, password: p}")
    server.config_path.write_text(config)
    server.signal(signal.SIGHUP)


@pytest.mark.parametrize("granted", [True, False])
def test_a_reload_asks_again(start_server, serve, visit, keys, granted):
    server = start_server(config=configuration(keys))
    service = serve(server, user="svc", **{"pass": "p"})
    visitor = visit(server, **APP)
    service.grant(service.ask(), name="app")
    visitor.admitted()
    changed(server, keys)
    request = service.ask()
    assert request.nats["connect_opts"]["user"] == "app"
    if granted:
        service.grant(request, name="app")
        server.wait_for_log("Reloaded server configuration")
        visitor.ping()
    else:
        service.answer(request, service.response(request, error="no more"))
        visitor.refused()


@pytest.mark.only_server("gossamer", reason="nats-server closes those that the configuration does not know, unasked")
def test_a_reload_asks_again_about_strangers(start_server, serve, visit, keys):
    server = start_server(config=configuration(keys))
    service = serve(server, user="svc", **{"pass": "p"})
    visitors = {}
    for user in ("bob", "eve"):
        visitors[user] = visit(server, user=user)
        service.grant(service.ask(), name=f"the {user}")
        visitors[user].admitted()
    changed(server, keys)
    for request in [service.ask(), service.ask()]:  # both are on their way at the same time
        if request.nats["connect_opts"]["user"] == "bob":
            service.grant(request)
        else:
            service.answer(request, service.response(request, error="no more"))
    visitors["eve"].refused()
    server.wait_for_log("Reloaded server configuration")
    assert visitors["bob"].identity()["user"] == "bob"
