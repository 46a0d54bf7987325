"""Resolvers of several nodes, of one kind and mixed (spec auth 22.2, 22.3, 24.1, checklist 37, 66, 67)."""

import json
import time

import pytest

from gossamer.mesh.testing.cluster import ClusterProcesses
from gossamer.mesh.testing.process import GossamerProcess, NatsServerProcess

VIOLATION = "Authorization Violation"
PAIRS = {
    "gossamer": (GossamerProcess, GossamerProcess),
    "nats-server": (NatsServerProcess, NatsServerProcess),
    "gossamer-first": (GossamerProcess, NatsServerProcess),
    "nats-server-first": (NatsServerProcess, GossamerProcess),
}


@pytest.fixture
def mesh(tmp_path):
    """Call with kinds and their configurations: a whole mesh; stopped after the test."""
    started = []

    def start(kinds, configs):
        cluster = ClusterProcesses(tmp_path, kinds, node_configs=configs)
        started.append(cluster)
        return cluster.start().nodes

    yield start
    for cluster in started:
        cluster.stop()


@pytest.fixture
def member(house):
    """Call with a server and a user: who may collect answers of several servers."""
    opened = []

    def connect(server, operator):
        client = house.System(server.address)
        opened.append(client)
        house.sign_in(client, operator.admin)
        client.subscribe("_R.*", "r")
        client.ping()
        return client

    yield connect
    for client in opened:
        client.close()


def everywhere(client, token, count):
    """Push, and wait for as many answers."""
    client.publish("$SYS.REQ.CLAIMS.UPDATE", token.encode(), reply="_R.2")
    found = set()
    while len(found) < count:
        message = client.read_message()
        if message.subject == b"_R.2":
            answer = json.loads(message.payload)
            assert answer["data"]["code"] == 200, answer
            found.add(answer["server"]["name"])


def until(condition, timeout_s=8.0):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("pair", list(PAIRS))
def test_different_stores_converge(mesh, member, operator, tenant, enter, house, pair):
    """Checklist 66: each gets what the other has; of one account both end with the newer JWT."""
    one, two, both = tenant(), tenant(), tenant()
    configs = [operator.config(house.FULL, one, both), operator.config(house.FULL, two, both)]  # the second's is newer
    nodes = mesh(PAIRS[pair], configs)
    keys = {each.public for each in (operator.system, one, two, both)}
    stores = [node.folder / "jwt" for node in nodes]
    until(lambda: all({path.stem for path in store.glob("*.jwt")} == keys for store in stores))
    until(lambda: len({(store / f"{both.public}.jwt").read_text().strip() for store in stores}) == 1)
    enter(nodes[0], two.user())
    enter(nodes[1], one.user())


@pytest.mark.parametrize("pair", list(PAIRS))
def test_a_push_takes_effect_on_every_node(mesh, member, operator, tenant, enter, house, pair):
    """Checklist 37, on all nodes; and deleting (67)."""
    nodes = mesh(PAIRS[pair], [operator.config(house.FULL)] * 2)
    account = tenant()
    admin = member(nodes[0], operator)
    everywhere(admin, account.jwt(), 2)
    alice, bob = account.user(), account.user()
    clients = [enter(node, alice) for node in nodes]
    others = [enter(node, bob) for node in nodes]
    everywhere(admin, account.jwt(revocations={alice.public: int(time.time())}), 2)
    for client in clients:
        client.expect_error("User Authentication Revoked")
        client.expect_close()
    for client in others:
        client.ping()
    for node in nodes:
        enter(node, alice, refused=VIOLATION)
    admin.publish("$SYS.REQ.CLAIMS.DELETE", operator.deletion(account.public).encode(), reply="_R.3")
    for client in others:
        client.expect_error("Account Authentication Expired")
        client.expect_close()
    for node in nodes:
        enter(node, bob, refused=VIOLATION)


@pytest.mark.parametrize("pair", list(PAIRS))
def test_a_cache_looks_accounts_up(mesh, member, operator, tenant, enter, house, pair):
    """Section 22.2: the cache has nothing, the other node has all; what is found is kept and follows pushes."""
    account = tenant()
    configs = [
        operator.config(house.FULL, account),
        operator.config('{ type: cache, dir: "jwt", ttl: "1h", timeout: "4s" }'),
    ]
    full, cache = mesh(PAIRS[pair], configs)
    user = account.user()
    client = enter(cache, user)
    assert (cache.folder / "jwt" / f"{account.public}.jwt").exists()
    begun = time.monotonic()
    enter(cache, tenant().user(), refused=VIOLATION)
    assert time.monotonic() - begun < 3.5  # the other node said at once that it has none
    everywhere(member(full, operator), account.jwt(revocations={user.public: int(time.time())}), 2)
    client.expect_error("User Authentication Revoked")
    client.expect_close()


@pytest.mark.parametrize("pair", ["gossamer", "gossamer-first", "nats-server-first"])
def test_interest_of_accounts_that_come_later(mesh, operator, tenant, enter, house, pair):
    """A node that has never seen a user of the account keeps its interest (routes 6)."""
    account = tenant()
    nodes = mesh(PAIRS[pair], [operator.config(house.FULL, account)] * 2)
    subscriber = enter(nodes[0], account.user())
    subscriber.subscribe("a.>", 1)
    subscriber.ping()
    publisher = enter(nodes[1], account.user())
    publisher.subscribe("_P.*", 2)

    def heard():
        publisher.publish("a.b", b"x", reply="_P.1")
        return not any(b"503" in message.headers for message in publisher.read_messages_until_pong())

    until(heard)
    assert subscriber.read_message().payload == b"x"


def test_three_nodes(mesh, member, operator, tenant, enter, house):
    """One of three was away while accounts were pushed, changed and deleted."""
    kinds = (GossamerProcess, NatsServerProcess, GossamerProcess)
    nodes = mesh(kinds, [operator.config(house.FULL)] * 3)
    account, late = tenant(), tenant()
    admin = member(nodes[0], operator)
    everywhere(admin, account.jwt(), 3)
    nodes[2].stop()
    newest = account.jwt(name="changed")
    everywhere(admin, newest, 2)
    everywhere(admin, late.jwt(), 2)
    nodes[2].restart()
    store = nodes[2].folder / "jwt"
    until(lambda: (store / f"{late.public}.jwt").exists())
    until(lambda: (store / f"{account.public}.jwt").read_text() == newest)
    enter(nodes[2], late.user())
