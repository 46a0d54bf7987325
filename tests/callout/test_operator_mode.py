"""Auth callout in operator mode: sentinels, accounts the service may choose (checklist 78, 80; spec auth 25)."""

import functools
import json
import time

import pytest
from msgspec import structs

from gossamer.auth.claims import (
    AccountClaims,
    AccountLimits,
    OperatorClaims,
    SubjectList,
    UserClaims,
    UserGrant,
    UserScope,
)
from gossamer.auth.claims.account import ExternalAuthorization
from gossamer.auth.jwt import encode, encode_signature
from gossamer.auth.keys import KeyKind, KeyPair

FRESH = UserGrant.fresh()
NOTHING = structs.replace(FRESH, publish=SubjectList(deny=(">",)), subscribe=SubjectList(deny=(">",)))


class Operator:
    """An operator with a callout account, a target account that is allowed, and one that is not."""

    def __init__(self):
        self.operator = KeyPair.generate(KeyKind.OPERATOR)
        account = lambda: KeyPair.generate(KeyKind.ACCOUNT)  # noqa: E731
        self.auth, self.auth_signing, self.target, self.target_signing, self.scoped, self.closed, self.system = (
            account() for _ in range(7)
        )
        self.service, self.sentinel, self.plain = (KeyPair.generate(KeyKind.USER) for _ in range(3))

    def account(self, key, **claims):
        made = AccountClaims(**{"subject": key.public, "limits": AccountLimits.fresh(), **claims})
        return encode(made, self.operator)

    def user(self, key, signer, **claims):
        return encode(UserClaims(**{"subject": key.public, "grant": FRESH, **claims}), signer)

    @functools.cached_property
    def sentinel_jwt(self):
        return self.user(
            self.sentinel,
            self.auth,
            name="sentinel",
            tags=("kind:sentinel",),
            grant=structs.replace(NOTHING, bearer_token=True),
        )

    @property
    def plain_jwt(self):
        return self.user(self.plain, self.auth, name="plain", grant=NOTHING)

    def external(self, allowed=(), xkey=""):
        return ExternalAuthorization(auth_users=(self.service.public,), allowed_accounts=allowed, xkey=xkey)

    def configuration(self, *, allowed=("target",), xkey="", default_sentinel=False, resolver="MEMORY"):
        named = {"target": self.target.public, "*": "*"}
        external = self.external(tuple(named[name] for name in allowed), xkey)
        role = structs.replace(FRESH, publish=SubjectList(allow=("of.{{name()}}", "$SYS.REQ.USER.INFO")))
        accounts = {
            self.auth: {"name": "AUTH", "authorization": external, "signing_keys": (self.auth_signing.public,)},
            self.target: {
                "name": "TARGET",
                "signing_keys": (
                    self.target_signing.public,
                    UserScope(key=self.scoped.public, role="svc", template=role),
                ),
            },
            self.closed: {"name": "CLOSED"},
            self.system: {"name": "SYS"},
        }
        preload = "\n".join(f"{key.public}: {self.account(key, **claims)}" for key, claims in accounts.items())
        operator = encode(OperatorClaims(subject=self.operator.public, name="O"), self.operator)
        sentinel = f"default_sentinel: {self.sentinel_jwt}" if default_sentinel else ""
        return f"""
        server_name: OC
        operator: {operator}
        system_account: {self.system.public}
        resolver: {resolver}
        {sentinel}
        resolver_preload {{ {preload} }}
        """


@pytest.fixture(scope="session")
def chain():
    return Operator()


@pytest.fixture
def server(shared_server, chain):
    return shared_server(config=chain.configuration())


@pytest.fixture
def serve_as_user(dial, chain, keys, service_of):
    def start(server):
        wire = dial(server)
        nonce = wire.read_info()["nonce"]
        token = chain.user(chain.service, chain.auth, name="service")
        wire.connect(jwt=token, sig=encode_signature(chain.service.sign(nonce.encode())), headers=True)
        wire.ping()
        return service_of(wire)

    return start


@pytest.fixture
def service(serve_as_user, server):
    return serve_as_user(server)


def granted(service, request, chain, *, answer_signer=None, issuer_account="", **user):
    token = service.user(request, **{"signer": chain.auth, "audience": "", **user})
    answer = service.response(request, jwt=token, signer=answer_signer or chain.auth, issuer_account=issuer_account)
    service.answer(request, answer)


def test_the_request(server, service, visit, chain):
    visitor = visit(server, jwt=chain.sentinel_jwt, auth_token="my-token", protocol=1)
    request = service.ask()
    nats = request.nats
    assert request.claims["sub"] == chain.auth.public
    assert request.claims["iss"] == visitor.info["server_id"]
    assert nats["client_info"] == {
        "host": "127.0.0.1",
        "id": visitor.info["client_id"],
        "user": chain.sentinel.public,
        "tags": ["kind:sentinel"],
        "name_tag": "sentinel",
        "kind": "Client",
        "type": "nats",
    }
    assert nats["connect_opts"] == {"jwt": chain.sentinel_jwt, "auth_token": "my-token", "protocol": 1}
    granted(service, request, chain, name="Robert")
    identity = visitor.admitted().identity()
    assert (identity["user"], identity["account"]) == ("Robert", chain.auth.public)


PLACES = {
    "own account": (lambda c: {}, lambda c: c.auth.public),
    "own account by signing key": (
        lambda c: {"signer": c.auth_signing, "issuer_account": c.auth.public},
        lambda c: c.auth.public,
    ),
    "allowed account": (lambda c: {"signer": c.target}, lambda c: c.target.public),
    "allowed account by signing key": (
        lambda c: {"signer": c.target_signing, "issuer_account": c.target.public},
        lambda c: c.target.public,
    ),
}


@pytest.mark.parametrize("where", PLACES)
def test_where_the_service_places_users(server, service, visit, chain, where):
    user, account = PLACES[where]
    visitor = visit(server, jwt=chain.sentinel_jwt)
    request = service.ask()
    token = service.user(request, audience="", **{"signer": chain.auth, **user(chain)})
    service.answer(request, service.response(request, jwt=token, signer=chain.auth))
    assert visitor.admitted().identity()["account"] == account(chain)


def test_the_answer_may_be_signed_by_a_signing_key(server, service, visit, chain):
    visitor = visit(server, jwt=chain.sentinel_jwt)
    request = service.ask()
    granted(service, request, chain, answer_signer=chain.auth_signing, issuer_account="")
    visitor.admitted()


def test_a_scoped_key_gives_its_template(server, service, visit, chain):
    visitor = visit(server, jwt=chain.sentinel_jwt)
    request = service.ask()
    silent = {"payload": 0, "subscriptions": 0, "data": 0}
    token = service.user(
        request, audience="", name="robert", signer=chain.scoped, issuer_account=chain.target.public, grant=silent
    )
    service.answer(request, service.response(request, jwt=token, signer=chain.auth))
    identity = visitor.admitted().identity()
    assert identity["account"] == chain.target.public
    assert sorted(identity["permissions"]["publish"]["allow"]) == ["$SYS.REQ.USER.INFO", "of.robert"]


REFUSALS = {
    "account that is not allowed": {"signer": "closed"},
    "signing key that is not the account's": {"signer": "auth_signing", "issuer_account": "target"},
    "signing key without issuer_account": {"signer": "target_signing"},
}


@pytest.mark.parametrize("why", REFUSALS)
def test_refused(server, service, visit, chain, why):
    wanted = REFUSALS[why]
    user = {"signer": getattr(chain, wanted["signer"])}
    if "issuer_account" in wanted:
        user["issuer_account"] = getattr(chain, wanted["issuer_account"]).public
    visitor = visit(server, jwt=chain.sentinel_jwt)
    request = service.ask()
    token = service.user(request, audience="", **user)
    service.answer(request, service.response(request, jwt=token, signer=chain.auth))
    visitor.refused()


def test_an_answer_signed_by_another_account(server, service, visit, chain):
    seen = len(server.log)
    visitor = visit(server, jwt=chain.sentinel_jwt)
    granted(service, service.ask(), chain, answer_signer=chain.closed)
    visitor.refused()
    server.wait_for_log(r"\[WRN\].*Auth callout signing key is unknown", since=seen)


def test_every_account_may_be_allowed(start_server, serve_as_user, visit, chain):
    server = start_server(config=chain.configuration(allowed=("*",)))
    service = serve_as_user(server)
    visitor = visit(server, jwt=chain.sentinel_jwt)
    request = service.ask()
    token = service.user(request, audience="", signer=chain.closed)
    service.answer(request, service.response(request, jwt=token, signer=chain.auth))
    assert visitor.admitted().identity()["account"] == chain.closed.public


@pytest.mark.parametrize("jwt", ["", "eyJhbGciOiJSUzI1NiJ9.e30.c2ln"], ids=["none", "of a foreign issuer"])
def test_the_default_sentinel_stands_in(start_server, serve_as_user, visit, chain, jwt):
    server = start_server(config=chain.configuration(default_sentinel=True))
    service = serve_as_user(server)
    visitor = visit(server, user="robert", **({"jwt": jwt} if jwt else {}))
    request = service.ask()
    assert request.nats["client_info"]["user"] == "robert"
    assert request.nats["client_info"]["name_tag"] == "sentinel"
    # We pass on what the client brought; nats-server puts the sentinel in its place.
    passed_on = jwt if jwt and server.kind == "gossamer" else chain.sentinel_jwt
    assert request.nats["connect_opts"] == {"jwt": passed_on, "user": "robert", "protocol": 0}
    granted(service, request, chain)
    visitor.admitted()


def test_a_sealed_round(start_server, serve_as_user, visit, chain, keys):
    server = start_server(config=chain.configuration(xkey=keys.curve.public))
    service = serve_as_user(server)
    visitor = visit(server, jwt=chain.sentinel_jwt)
    request = service.ask()
    assert request.body.startswith(b"xkv1")
    token = service.user(request, audience="", signer=chain.auth)
    answer = service.response(request, jwt=token, signer=chain.auth)
    service.answer(request, service.seal(request.nats["server_id"]["xkey"], answer.encode()))
    visitor.admitted()


def test_users_in_the_service_account_may_not_ask(server, service, visit, chain):
    visitor = visit(server, jwt=chain.sentinel_jwt)
    granted(service, service.ask(), chain)
    visitor.admitted()
    for client in (visitor, service.wire):
        client.publish("$SYS.REQ.USER.AUTH", b"x")
        client.expect_error('Permissions Violation for Publish to "$SYS.REQ.USER.AUTH"')


def test_the_expiry_of_the_granted_user_closes_it(server, service, visit, chain):
    visitor = visit(server, jwt=chain.sentinel_jwt)
    granted(service, service.ask(), chain, expires=int(time.time()) + 2)
    visitor.admitted()
    visitor.refused("User Authentication Expired")


@pytest.mark.only_server("gossamer", reason="nats-server asks where nobody answers, and refuses after the timeout")
def test_a_sentinel_that_fails_a_check_is_refused_at_once(server, service, visit, chain):
    begun = time.monotonic()
    visit(server, jwt=chain.plain_jwt).refused()  # not a bearer, and signs nothing
    assert time.monotonic() - begun < 1


def push(server, chain, dial, account, token):
    """As the system account does; until the server says that it has it."""
    wire = dial(server)
    nonce = wire.read_info()["nonce"]
    wire.connect(jwt=chain.user(chain.plain, chain.system), sig=encode_signature(chain.plain.sign(nonce.encode())))
    wire.ping()
    wire.subscribe("_INBOX.push", 1)
    wire.publish(f"$SYS.REQ.ACCOUNT.{account.public}.CLAIMS.UPDATE", token.encode(), reply="_INBOX.push")
    answer = json.loads(wire.read_message().payload)
    assert answer["data"]["code"] == 200, answer


def test_a_revocation_of_the_granted_key_closes_its_user(start_server, serve_as_user, visit, dial, chain, tmp_path):
    resolver = f'{{type: full, dir: "{tmp_path}/accounts"}}'
    server = start_server(config=chain.configuration(resolver=resolver))
    service = serve_as_user(server)
    revoked = visit(server, jwt=chain.sentinel_jwt)
    request = service.ask()
    key = request.nats["user_nkey"]
    granted(service, request, chain, name="revoked")
    revoked.admitted()
    other = visit(server, jwt=chain.sentinel_jwt)
    granted(service, service.ask(), chain, name="other")
    other.admitted()
    token = chain.account(
        chain.auth, name="AUTH", authorization=chain.external(), revocations={key: int(time.time()) + 1}
    )
    push(server, chain, dial, chain.auth, token)
    revoked.refused("User Authentication Revoked")
    other.ping()
    other.publish("$SYS.REQ.USER.AUTH", b"x")
    other.expect_error('Permissions Violation for Publish to "$SYS.REQ.USER.AUTH"')


CHANGES = {
    "the key that signs the answer is taken away": lambda chain: {
        "authorization": chain.external((chain.target.public,)),
    },
    "the sentinel is revoked": lambda chain: {
        "authorization": chain.external((chain.target.public,)),
        "signing_keys": (chain.auth_signing.public,),
        "revocations": {chain.sentinel.public: int(time.time()) + 1},
    },
    "the account is not allowed any more": lambda chain: {
        "authorization": chain.external(),
        "signing_keys": (chain.auth_signing.public,),
    },
}


@pytest.mark.only_server("gossamer", reason="nats-server follows the account as it was when it asked")
@pytest.mark.parametrize("change", CHANGES)
def test_the_account_changes_while_the_service_thinks(
    start_server, serve_as_user, visit, dial, chain, tmp_path, change
):
    resolver = f'{{type: full, dir: "{tmp_path}/accounts"}}'
    server = start_server(config=chain.configuration(resolver=resolver))
    service = serve_as_user(server)
    visitor = visit(server, jwt=chain.sentinel_jwt)
    request = service.ask()
    push(server, chain, dial, chain.auth, chain.account(chain.auth, name="AUTH", **CHANGES[change](chain)))
    answer = {"signer": chain.target, "answer_signer": chain.auth_signing, "issuer_account": chain.auth.public}
    granted(service, request, chain, **answer)
    if change != "the sentinel is revoked":
        granted(service, service.ask(), chain, **answer)  # it is asked again, by what the account says now
    visitor.refused()
