"""A pushed account JWT takes effect at once on who is connected (spec auth 24.1, checklist 30, 33, 37 to 43, 67).

Every test runs against this server and nats-server, on one server with a full resolver to which each pushes its own.
"""

import time

import pytest
from msgspec import structs

from gossamer.auth.claims import DefaultPermissions, Export, Import, ResponseGrant, SubjectList, UserGrant, UserScope
from gossamer.auth.keys import KeyKind, KeyPair

VIOLATION = "Authorization Violation"
EXPIRED = "Account Authentication Expired"
REVOKED = "User Authentication Revoked"
FULL_UP = "maximum account active connections exceeded"


def grant(**fields):
    return structs.replace(UserGrant.fresh(), **fields)


def test_a_revoked_user_is_closed_and_a_newer_jwt_works(full, admin, tenant, enter):
    """Checklist 37."""
    account = tenant()
    admin.pushed(account.jwt())
    alice, bob = account.user(), account.user(name="bob")
    first, other = enter(full, alice), enter(full, bob)
    moment = int(time.time()) - 50_000
    admin.pushed(account.jwt(revocations={alice.public: moment}))
    first.expect_error(REVOKED)
    first.expect_close()
    other.ping()
    enter(full, alice, refused=VIOLATION)
    enter(full, account.user(keys=alice.keys, issued_at=moment), refused=VIOLATION)
    enter(full, account.user(keys=alice.keys, issued_at=moment + 1))


def test_everybody_revoked(full, admin, tenant, enter):
    """Checklist 38: all with a JWT of that moment or before."""
    account = tenant()
    admin.pushed(account.jwt())
    moment = int(time.time()) - 1000
    old, same, new = (account.user(issued_at=moment + after) for after in (-5, 0, 1))
    clients = [enter(full, user) for user in (old, same, new)]
    admin.pushed(account.jwt(revocations={"*": moment}))
    for client in clients[:2]:
        client.expect_error(REVOKED)
        client.expect_close()
    clients[2].ping()
    admin.pushed(account.jwt(revocations={}))
    enter(full, old)


def test_fewer_connections(full, admin, tenant, enter):
    """Checklist 39: the newest go; none means none."""
    account = tenant()
    admin.pushed(account.jwt())
    user = account.user()
    clients = [enter(full, user) for _ in range(4)]
    admin.pushed(account.jwt(limits=account.limits(connections=2)))
    for client in clients[2:]:
        client.expect_error(FULL_UP)
        client.expect_close()
    for client in clients[:2]:
        client.ping()
    enter(full, user, refused=FULL_UP)
    admin.pushed(account.jwt(limits=account.limits(connections=3)))
    third = enter(full, user)
    admin.pushed(account.jwt(limits=account.limits(connections=0)))
    for client in (*clients[:2], third):
        client.expect_error(FULL_UP)
        client.expect_close()
    enter(full, user, refused=FULL_UP)


def test_fewer_subscriptions(full, admin, tenant, enter):
    """Checklist 40: a SUB too many is refused; who has too many when the limit falls is closed."""
    account = tenant(limits=structs.replace(tenant().limits(), subscriptions=3))
    admin.pushed(account.jwt())
    busy, quiet = enter(full, account.user()), enter(full, account.user())
    for sid in range(3):
        busy.subscribe("a", sid)
    busy.ping()
    busy.subscribe("b", 9)
    busy.expect_error("maximum subscriptions exceeded")
    busy.ping()
    quiet.subscribe("a", 1)
    quiet.ping()
    admin.pushed(account.jwt(limits=account.limits(subscriptions=2)))
    busy.expect_error("maximum subscriptions exceeded")
    busy.expect_close()
    quiet.ping()
    quiet.subscribe("b", 2)
    quiet.ping()
    quiet.subscribe("c", 3)
    quiet.expect_error("maximum subscriptions exceeded")
    quiet.ping()


def test_a_smaller_payload(full, admin, tenant, enter):
    """Checklist 41: used at once, and nobody is told."""
    account = tenant()
    admin.pushed(account.jwt())
    one, two = enter(full, account.user()), enter(full, account.user(grant=grant(payload=50)))
    one.publish("a", b"x" * 1000)
    one.ping()
    admin.pushed(account.jwt(limits=account.limits(payload=100)))
    one.publish("a", b"x" * 100)
    one.ping()
    one.publish("a", b"x" * 101)
    one.expect_error("Maximum Payload Violation")
    one.expect_close()
    two.publish("a", b"x" * 51)
    two.expect_error("Maximum Payload Violation")
    two.expect_close()


def test_default_permissions(full, admin, tenant, enter):
    """Checklist 42: who has none of its own gets the new ones; what it may not hear any more is taken away."""
    account = tenant()
    admin.pushed(account.jwt())
    plain = enter(full, account.user())
    own = enter(full, account.user(grant=grant(subscribe=SubjectList(allow=("x.>",)))))
    plain.subscribe("x.a", 1)
    plain.subscribe("y.a", 2)
    plain.subscribe("x.b", 3, "q")
    own.subscribe("x.a", 1)
    plain.ping()
    own.ping()
    denied = DefaultPermissions(subscribe=SubjectList(deny=("x.>",)), publish=SubjectList(deny=("p.>",)))
    admin.pushed(account.jwt(default_permissions=denied))
    lines = {plain.expect_line(), plain.expect_line()}
    assert lines == {
        b'-ERR \'Permissions Violation for Subscription to "x.a" (sid "1")\'',
        b'-ERR \'Permissions Violation for Subscription to "x.b" using queue "q" (sid "3")\'',
    }
    plain.publish("p.a")
    plain.expect_error('Permissions Violation for Publish to "p.a"')
    own.publish("x.a", b"to own only")
    assert own.read_message().payload == b"to own only"
    own.publish("y.a", b"still heard")
    assert plain.read_message().subject == b"y.a"
    admin.pushed(account.jwt(default_permissions=DefaultPermissions()))
    plain.subscribe("x.a", 4)
    plain.publish("p.a")
    plain.ping()


def test_default_permissions_with_responses(full, admin, tenant, enter):
    account = tenant()
    admin.pushed(account.jwt())
    service, client = (
        enter(full, account.user()),
        enter(full, account.user(grant=grant(publish=SubjectList(allow=(">",))))),
    )
    service.subscribe("q", 1)
    service.ping()
    client.subscribe("in", 1)
    client.ping()
    limited = DefaultPermissions(responses=ResponseGrant(max_messages=1, ttl_ns=1_000_000_000))
    admin.pushed(account.jwt(default_permissions=limited))
    service.publish("other")
    service.expect_error('Permissions Violation for Publish to "other"')
    client.publish("q", b"?", reply="in")
    service.read_message()
    service.publish("in", b"!")
    service.ping()
    assert client.read_message().payload == b"!"


def test_bearers_are_not_allowed_any_more(full, admin, tenant, enter):
    """Checklist 30."""
    account = tenant()
    admin.pushed(account.jwt())
    bearer, plain = account.user(grant=grant(bearer_token=True)), account.user()
    one, other = enter(full, bearer, sig=""), enter(full, plain)
    admin.pushed(account.jwt(limits=account.limits(disallow_bearer=True)))
    one.expect_error(VIOLATION)
    one.expect_close()
    other.ping()
    enter(full, bearer, sig="", refused=VIOLATION)
    admin.pushed(account.jwt(limits=account.limits()))
    enter(full, bearer, sig="")


def test_a_signing_key_is_taken_away(full, admin, tenant, enter):
    """Checklist 43: closed without a word."""
    account, second = tenant(), KeyPair.generate(KeyKind.ACCOUNT)
    admin.pushed(account.jwt(signing_keys=(account.signing.public, second.public)))
    by_first, by_second = account.user(), account.user(signer=second)
    by_itself = account.user(signer=account.keys)
    clients = [enter(full, user) for user in (by_first, by_second, by_itself)]
    admin.pushed(account.jwt(signing_keys=(second.public,)))
    clients[0].expect_close()
    for client in clients[1:]:
        client.ping()
    enter(full, by_first, refused=VIOLATION)


def test_the_scope_of_a_signing_key_changes(full, admin, tenant, enter):
    """Checklist 43 and 36: its users are closed without a word; others stay; limits of the template hold."""
    account, scoped, other = tenant(), KeyPair.generate(KeyKind.ACCOUNT), KeyPair.generate(KeyKind.ACCOUNT)
    role = UserScope(key=scoped.public, role="svc", template=grant(publish=SubjectList(allow=("a.>",)), payload=10))
    same = UserScope(key=other.public, role="same", template=grant(subscriptions=2))
    admin.pushed(account.jwt(signing_keys=(account.signing.public, role, same)))
    user, stays = (account.user(signer=keys, grant=UserGrant()) for keys in (scoped, other))
    one, two, plain = enter(full, user), enter(full, stays), enter(full, account.user())
    one.publish("a.b", b"x" * 10)
    one.ping()
    for sid in range(3):
        two.subscribe("a", sid)
    two.expect_error("maximum subscriptions exceeded")
    two.send(b"UNSUB 1\r\n")  # at its limit nats-server would close it with the next change of the account
    two.ping()
    wider = structs.replace(role, template=grant(publish=SubjectList(allow=("b.>",)), payload=10))
    admin.pushed(account.jwt(signing_keys=(account.signing.public, wider, same)))
    one.expect_close()
    two.ping()
    plain.ping()
    again = enter(full, user)
    again.publish("b.c")
    again.ping()
    again.publish("a.b")
    again.expect_error('Permissions Violation for Publish to "a.b"')
    again.publish("b.c", b"x" * 11)
    again.expect_error("Maximum Payload Violation")
    again.expect_close()


def test_an_account_expires_and_is_renewed(full, admin, tenant, enter):
    """Checklist 33: its clients are closed then; a renewed JWT lets new ones in."""
    account = tenant()
    admin.pushed(account.jwt())
    user = account.user()
    client = enter(full, user)
    admin.pushed(account.jwt(expires=int(time.time()) + 2))
    client.ping()
    client.expect_error(EXPIRED)
    client.expect_close()
    enter(full, user, refused=VIOLATION)
    admin.pushed(account.jwt(expires=int(time.time()) + 3600))
    enter(full, user)


@pytest.mark.only_server("gossamer", reason="nats-server stores it, and leaves those who are in alone")
def test_an_account_is_pushed_that_has_expired(full, admin, tenant, enter):
    """Answered as if it were good (section 5), and it closes everybody."""
    account = tenant()
    admin.pushed(account.jwt())
    user = account.user()
    client = enter(full, user)
    admin.pushed(account.jwt(expires=int(time.time()) - 5))
    client.expect_error(EXPIRED)
    client.expect_close()
    enter(full, user, refused=VIOLATION)


def test_an_expiry_is_put_off(full, admin, tenant, enter):
    account = tenant(expires=int(time.time()) + 3)
    admin.pushed(account.jwt())
    client, leaving = enter(full, account.user()), enter(full, account.user(expires=int(time.time()) + 3))
    admin.pushed(account.jwt(expires=0))
    leaving.expect_error("User Authentication Expired")
    leaving.expect_close()
    with pytest.raises(AssertionError, match="stayed open"):
        client.expect_close(timeout_s=1.2)
    client.ping()


def test_a_deleted_account_comes_back(full, admin, operator, tenant, enter):
    """Checklist 67: deleting closes everybody; a push revives it."""
    account = tenant()
    admin.pushed(account.jwt())
    user = account.user()
    client = enter(full, user)
    answer = admin.ask_json("$SYS.REQ.CLAIMS.DELETE", operator.deletion(account.public))
    assert answer["data"] == {"code": 200, "message": "deleted 1 accounts"}
    client.expect_error(EXPIRED)
    client.expect_close()
    enter(full, user, refused=VIOLATION)
    admin.pushed(account.jwt())
    enter(full, user)
    kept = full.folder / "jwt" / f"{account.public}.jwt.deleted"
    assert kept.exists()


def test_the_same_jwt_again_changes_nothing(full, admin, tenant, enter):
    account = tenant()
    token = account.jwt()
    admin.pushed(token)
    client = enter(full, account.user())
    admin.pushed(token)
    client.ping()
    admin.pushed(account.jwt(name="renamed", tags=("a:b",)))
    client.ping()


def test_an_account_is_rolled_back(full, admin, tenant, enter):
    """A push is not newer-wins (section 26.2): the older JWT takes effect, revocations and all."""
    account = tenant()
    user = account.user()
    old = account.jwt(revocations={user.public: int(time.time())})
    admin.pushed(old)
    enter(full, user, refused=VIOLATION)
    admin.pushed(account.jwt(revocations={}))
    client = enter(full, user)
    admin.pushed(old)
    client.expect_error(REVOKED)
    client.expect_close()
    if full.kind == "gossamer":
        full.wait_for_log(f"Account {account.public} was rolled back")


def test_an_import_of_an_account_that_nobody_knows_yet(full, admin, tenant, enter):
    """Checklist 63, section 26.9: the push is answered at once; the import works when the exporter comes."""
    exporter = tenant(exports=(Export(subject="e.>", type="stream"),))
    importer = tenant(imports=(Import(subject="e.>", account=exporter.public, type="stream"),))
    admin.pushed(importer.jwt())
    listener = enter(full, importer.user())
    listener.subscribe("e.a", 1)
    listener.ping()
    admin.pushed(exporter.jwt())
    speaker = enter(full, exporter.user())
    speaker.publish("e.a", b"x")
    assert listener.read_message().payload == b"x"
    admin.pushed(exporter.jwt(exports=()))
    speaker.publish("e.a", b"y")
    speaker.ping()
    listener.ping()


@pytest.mark.only_server("gossamer", reason="nats-server does not say why")
def test_the_log_says_why(full, admin, tenant, enter):
    account = tenant(name="shop")
    admin.pushed(account.jwt())
    alice = account.user()
    client = enter(full, alice)
    admin.pushed(account.jwt(revocations={"*": int(time.time())}))
    client.expect_error(REVOKED)
    client.expect_close()
    found = full.wait_for_log(rf"{alice.public}.*the user was revoked.*").group(0)
    assert "revocations of *, JWT issued at" in found
    assert f"jwt/{account.public}.jwt" in found
    assert f"signed by {account.operator.signing.public}" in found
