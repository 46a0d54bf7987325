"""What a configuration reload does to who is connected (spec auth 24.2, checklist 74)."""

import time

import pytest

from gossamer.mesh.testing.process import ServerError

VIOLATION = "Authorization Violation"
EXPIRED = "Account Authentication Expired"


def users(*entries, more=""):
    listed = ", ".join(entries)
    return f"authorization {{ users: [{listed}] }}\n{more}"


def test_users_of_the_configuration(start_server, join):
    """A changed password is an -ERR, a removed user is closed silently, the rest stays."""
    server = start_server(config=users("{user: a, password: x}", "{user: b, password: x}", "{user: c, password: x}"))
    clients = {name: join(server, user=name, **{"pass": "x"}) for name in "abc"}
    server.reload(users("{user: a, password: y}", "{user: c, password: x}"))
    clients["a"].expect_error(VIOLATION)
    clients["a"].expect_close()
    clients["b"].expect_close()
    clients["c"].ping()
    join(server, user="a", **{"pass": "y"})


def test_a_new_denial(start_server, join):
    entry = "{{user: a, password: x, permissions: {{subscribe: {{deny: [{}]}}}}}}"
    server = start_server(config=users(entry.format("z")))
    client = join(server, user="a", **{"pass": "x"})
    client.subscribe("q.a", 1)
    client.subscribe("r", 2)
    client.ping()
    server.reload(users(entry.format('"q.>"')))
    client.expect_error('Permissions Violation for Subscription to "q.a" (sid "1")')
    client.publish("q.a")
    client.publish("r", b"x")
    assert client.read_message().subject == b"r"
    server.reload(users("{user: a, password: x}"))
    client.subscribe("q.a", 3)
    client.ping()


def test_a_user_moves_and_an_account_goes(start_server, join):
    def accounts(**lists):
        inner = ", ".join(f"{name}: {{users: [{entries}]}}" for name, entries in lists.items())
        return f"accounts {{ {inner} }}\n"

    server = start_server(
        config=accounts(A="{user: a, password: x}", B="{user: b, password: x}, {user: m, password: x}")
    )
    moved, staying, leaving = (join(server, user=name, **{"pass": "x"}) for name in "mab")
    server.reload(accounts(A="{user: a, password: x}, {user: m, password: x}"))
    moved.expect_close()
    leaving.expect_close()
    staying.ping()
    again = join(server, user="m", **{"pass": "x"})
    again.subscribe("s", 1)
    again.ping()
    staying.publish("s", b"same account")
    assert again.read_message().payload == b"same account"


def test_preloads(start_server, operator, tenant, enter, house):
    """Accounts in memory: one changes, one goes, one comes."""
    changing, going, coming = tenant(), tenant(), tenant()
    server = start_server(config=operator.config("MEMORY", changing, going))
    revoked, user = changing.user(), going.user()
    clients = [enter(server, revoked), enter(server, changing.user())]
    leaving = enter(server, user)
    enter(server, coming.user(), refused=VIOLATION)
    changing.jwt(revocations={revoked.public: int(time.time())})
    server.reload(operator.config("MEMORY", changing, coming))
    clients[0].expect_error("User Authentication Revoked")
    clients[0].expect_close()
    clients[1].ping()
    assert leaving.read_to_end().startswith(b"-ERR 'A")
    enter(server, user, refused=VIOLATION)
    enter(server, coming.user())


@pytest.mark.only_server("gossamer", reason="nats-server does not look at files it knows")
def test_a_directory_is_read_again(start_server, operator, tenant, enter, system, house):
    server = start_server(config=operator.config(house.FULL))
    admin = system(server, operator)
    account = tenant()
    admin.pushed(account.jwt())
    user = account.user()
    client, other = enter(server, user), enter(server, account.user())
    path = server.folder / "jwt" / f"{account.public}.jwt"
    path.write_text(account.jwt(revocations={user.public: int(time.time())}))
    server.reload()
    client.expect_error("User Authentication Revoked")
    client.expect_close()
    other.ping()
    admin.ping()


def test_pins(start_server, operator, tenant, enter):
    account = tenant()
    server = start_server(config=operator.config("MEMORY", account))
    user = account.user()
    client = enter(server, user)
    server.reload(operator.config("MEMORY", account, more=f"resolver_pinned_accounts: [{tenant().public}]"))
    client.expect_error(VIOLATION)
    client.expect_close()
    enter(server, user, refused=VIOLATION)


def test_what_cannot_be_reloaded(start_server, operator, tenant, enter, house):
    """Refused as a whole, nothing has changed; the texts are those of the reference."""
    account, other = tenant(), house.Operator()
    before = operator.config("MEMORY", account)
    server = start_server(config=before)
    client = enter(server, account.user())
    pinned = f"system_account: {operator.system.public}\n"
    for after, text in (
        ("debug: false\n", f"config reload not supported for SystemAccount: old={operator.system.public}, new="),
        (before.replace(operator.token, other.token) + pinned, "must be identical"),
        (
            before.replace(f"operator: {operator.token}", f"trusted_keys: [{operator.signing.public}]") + pinned,
            "config reload not supported for Trusted",
        ),
    ):
        with pytest.raises(ServerError) as refused:
            server.reload(after)
        assert text in str(refused.value)
        client.ping()
    server.reload(before)
    client.ping()


def test_a_resolver_cannot_be_added(start_server):
    server = start_server(config="debug: false\n")
    with pytest.raises(ServerError, match="config reload does not support moving to or from an account resolver"):
        server.reload("resolver: MEMORY\n")


@pytest.mark.only_server("gossamer", reason="nats-server changes over to the new resolver")
def test_another_resolver_needs_a_restart(start_server, operator, tenant, enter, house):
    account = tenant()
    server = start_server(config=operator.config(house.FULL, account))
    client = enter(server, account.user())
    for resolver, shown in (("MEMORY", "memory"), ('{ type: full, dir: "other" }', "other")):
        with pytest.raises(ServerError, match=f"AccountResolver: old=jwt, new={shown}"):
            server.reload(operator.config(resolver, account))
    server.reload(operator.config('{ type: full, dir: "jwt", limit: 7, interval: "3s" }', account))
    client.ping()


def test_the_callout_cannot_be_reloaded(start_server, join):
    key = "ADA3G2ELQA7ALMIIGD34JX3P3SGUPFPSCLQ3GA4OG7ZNXDJFR64O4O54"
    before = users("{user: a, password: x}", "{user: b, password: x}")
    server = start_server(config=before)
    client = join(server, user="a", **{"pass": "x"})
    callout = f"auth_callout {{ issuer: {key}, auth_users: [a] }}"
    with pytest.raises(ServerError, match="config reload not supported for AuthCallout"):
        server.reload(before.replace("users:", f"{callout}\n users:"))
    client.ping()
