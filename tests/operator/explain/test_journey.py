"""``gossamer explain`` follows a message over mappings and imports, and says what servers do: both kinds of server are
asked the same."""

import asyncio
import json
from pathlib import Path

import nats
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gossamer.mesh.options.loading import load
from gossamer.mesh.server import Server
from gossamer.mesh.testing.process import GossamerProcess, NatsServerProcess
from gossamer.operator.tenants.explaining import map_of_configuration
from gossamer.operator.testing import run, run_ok

CONFIG = """
accounts {
  SHOP {
    users = [{user: shop, password: x,
              permissions: {publish: {allow: ["orders.>", "ask.*", "api.>"], deny: ["orders.secret"]}}}]
    imports = [
      {service: {account: PAY, subject: "pay.charge.*"}, to: "ask.*"}
      {stream: {account: PAY, subject: "events.>"}, to: "pay.events.>"}
    ]
    exports = [{service: "api.*"}]
    mappings = {"orders.new.*": "orders.$1.created"}
  }
  PAY {
    users = [{user: pay, password: x}]
    exports = [{service: "pay.charge.*"}, {stream: "events.>"}, {stream: "orders.>", accounts: [AUDIT]}]
    mappings = {"pay.charge.eu": "pay.charge.europe"}
    imports = [{service: {account: SHOP, subject: "api.x"}, to: "shop.x"}]
  }
  AUDIT {
    users = [{user: audit, password: x}]
    imports = [{stream: {account: PAY, subject: "orders.>"}, prefix: "from.pay"}]
  }
}
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "server.conf"
    path.write_text(CONFIG)
    return str(path)


def ask(config: str, action: str, user: str, subject: str):
    return run_ok("explain", action, user, subject, "--config", config, "--json").data


def arrivals(found) -> set[tuple[str, str]]:
    return {(one["account"], one["subject"]) for one in found["arrivals"]}


def test_publishing_is_mapped(config):
    found = ask(config, "pub", "shop", "orders.new.7")
    assert arrivals(found) == {("SHOP", "orders.7.created")}
    assert [step["kind"] for step in found["path"]] == ["mapping", "subscribers"]
    assert "server.conf" in found["path"][0]["place"]


def test_a_refused_message_goes_nowhere(config):
    found = ask(config, "pub", "shop", "orders.secret")
    assert (found["allowed"], found["path"], found["arrivals"]) == (False, [], [])
    assert found["rule"] == 'deny "orders.secret"'


def test_a_request_crosses_a_service_import_and_the_exporters_mapping(config):
    found = ask(config, "request", "shop", "ask.eu")
    assert arrivals(found) == {("SHOP", "ask.eu"), ("PAY", "pay.charge.europe")}
    kinds = [(step["kind"], step["depth"]) for step in found["path"]]
    assert kinds == [("subscribers", 0), ("service-import", 1), ("mapping", 1), ("subscribers", 1)]


def test_a_stream_reaches_its_importers(config):
    found = ask(config, "pub", "pay", "events.a.b")
    assert arrivals(found) == {("PAY", "events.a.b"), ("SHOP", "pay.events.a.b")}
    found = ask(config, "pub", "pay", "orders.1")
    assert arrivals(found) == {("PAY", "orders.1"), ("AUDIT", "from.pay.orders.1")}


def test_what_a_subscription_gets(config):
    found = ask(config, "sub", "pay", "pay.charge.*")
    assert ("SHOP", "ask.*") in arrivals(found)
    found = ask(config, "sub", "shop", "pay.>")
    assert ("PAY", "events.>") in arrivals(found)


def test_questions_that_make_no_sense(config):
    assert run("explain", "request", "shop", "a.*", "--config", config).code == 64
    assert run("explain", "pub", "shop", "a", "--config", config, "--live").code == 64


def test_people_can_read_it(config):
    text = run_ok("explain", "request", "shop", "ask.eu", "--config", config).out
    assert "leads to account 'PAY', as 'pay.charge.eu'" in text


TENANTS = """
[operator]
name = "ACME"
system_account = "SYS"
[accounts.SYS]
[accounts.PAY]
exports = [{ service = "charge", private = true, grants = ["SHOP"] }]
users = { pay = {} }
[accounts.SHOP]
imports = [{ service = "charge", from = "PAY", as = "buy" }]
users = { shop = {} }
"""


def test_in_a_store_and_where_an_import_is_not_in_force(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tenants.toml").write_text(TENANTS)
    home = ["-H", str(tmp_path / "store")]
    run_ok("apply", *home)
    found = run_ok("explain", "request", "SHOP/shop", "buy", "--json", *home).data
    assert arrivals(found) == {("SHOP", "buy"), ("PAY", "charge")}
    run_ok("export", "delete", "charge", "-a", "PAY", "--service", *home)
    found = run_ok("explain", "request", "SHOP/shop", "buy", "--json", *home).data
    assert arrivals(found) == {("SHOP", "buy")}
    (stop,) = [step for step in found["path"] if step["stops"]]
    assert "is not in force" in stop["text"]
    assert 'exports no service that contains "charge"' in stop["text"]


# --- explained and done ---------------------------------------------------------------------------------------------

NAMES = ("A", "B", "C")
tokens = st.sampled_from(["x", "y"])
patterns = st.one_of(
    st.lists(st.sampled_from(["x", "y", "*"]), min_size=1, max_size=3).map(".".join),
    st.lists(tokens, min_size=1, max_size=2).map(lambda found: ".".join(found) + ".>"),
)
literals = st.lists(tokens, min_size=1, max_size=3).map(".".join)


@st.composite
def worlds(draw):
    """Accounts with exports, imports of them, mappings, and permissions of who publishes."""
    accounts = {name: {"exports": [], "imports": [], "mappings": {}} for name in NAMES}
    for name in NAMES:
        for kind in draw(st.lists(st.sampled_from(["service", "stream"]), min_size=1, max_size=2)):
            subject = draw(patterns)
            if all(subject not in entry.values() for entry in accounts[name]["exports"]):
                accounts[name]["exports"].append({kind: subject})
        for source in draw(st.lists(literals, max_size=1)):
            accounts[name]["mappings"][source] = draw(literals)
    for number, name in enumerate(NAMES):
        # Only from those behind: no cycles, which are faults of a configuration.
        for exporter in NAMES[number + 1 :]:
            for position, entry in enumerate(accounts[exporter]["exports"]):
                if draw(st.sampled_from([True, True, True, False])):
                    ((kind, subject),) = entry.items()
                    wild = [f"${place + 1}" for place in range(subject.split(".").count("*"))]
                    tail = [">"] if subject.endswith(">") else []
                    local = ".".join([f"{exporter.lower()}{position}", *wild, *tail])
                    accounts[name]["imports"].append({kind: {"account": exporter, "subject": subject}, "to": local})
    talker = draw(st.sampled_from(["C", "B", "A"]))
    known = [literals]
    for entry in accounts[talker]["exports"] + accounts[talker]["imports"]:
        pattern = entry.get("to") or entry.get("service") or entry.get("stream")
        known += [st.just(pattern)] * 2
    pattern = draw(st.one_of(known))
    subject = ".".join(draw(tokens) if token[0] in "*$>" else token for token in pattern.split("."))
    allow = draw(st.one_of(st.none(), st.lists(patterns, min_size=1, max_size=2)))
    deny = draw(st.lists(patterns, max_size=1))
    if draw(st.booleans()):
        allow, deny = None, []
    permissions = {"publish": {**({"allow": allow} if allow else {}), **({"deny": deny} if deny else {})}}
    for name in NAMES:
        accounts[name]["users"] = [{"user": f"see-{name}", "password": "x"}]
    accounts[talker]["users"].append({"user": "talk", "password": "x", "permissions": permissions})
    return {"listen": "127.0.0.1:-1", "accounts": accounts}, subject


async def heard(url: str, subject: str) -> set[tuple[str, str]]:
    """What arrives where when ``talk`` publishes."""
    found: set[tuple[str, str]] = set()
    clients = []
    try:
        for name in NAMES:
            client = await nats.connect(url, user=f"see-{name}", password="x", allow_reconnect=False)
            clients.append(client)

            async def note(message, name=name):
                found.add((name, message.subject))

            await client.subscribe(">", cb=note)
            await client.flush()

        async def quiet(_):
            pass

        talk = await nats.connect(url, user="talk", password="x", allow_reconnect=False, error_cb=quiet)
        clients.append(talk)
        await talk.publish(subject, b"")
        await talk.flush()
        for client in clients[:3]:
            await client.flush()  # what was on its way to it comes before the answer
        await asyncio.sleep(0)
        for client in clients[:3]:
            await client.drain()
    finally:
        for client in clients:
            await client.close()
    return {pair for pair in found if not pair[1].startswith("_INBOX")}


def explained(path: Path, subject: str) -> set[tuple[str, str]]:
    found = run_ok("explain", "pub", "talk", subject, "--config", str(path), "--json").data
    return arrivals(found)


@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(worlds())
def test_a_running_server_does_what_is_explained(tmp_path, world):
    config, subject = world
    path = tmp_path / "server.conf"
    path.write_text(json.dumps(config))
    loaded = load(["-c", str(path)])
    map_of_configuration(loaded.authorization, 0.0)

    async def main():
        async with Server(loaded, port=-1) as server:
            return await heard(server.url, subject)

    assert asyncio.run(main()) == explained(path, subject)


@pytest.mark.parametrize("kind", [GossamerProcess, NatsServerProcess])
@pytest.mark.parametrize(
    ("user", "subject"),
    [("shop", "orders.new.7"), ("shop", "ask.eu"), ("shop", "ask.x"), ("pay", "events.a"), ("pay", "orders.1")],
)
def test_both_servers_do_what_is_explained(config, tmp_path, kind, user, subject):
    watching = CONFIG
    for name in ("SHOP", "PAY", "AUDIT"):
        watching = watching.replace(
            f"  {name} {{\n    users = [", f"  {name} {{\n    users = [{{user: see-{name}, password: x}}, "
        )
    seen: set[tuple[str, str]] = set()

    async def main(url: str) -> None:
        clients = []
        try:
            for name in ("SHOP", "PAY", "AUDIT"):
                client = await nats.connect(url, user=f"see-{name}", password="x", allow_reconnect=False)
                clients.append(client)

                async def note(message, name=name):
                    seen.add((name, message.subject))

                await client.subscribe(">", cb=note)
                await client.flush()
            talk = await nats.connect(url, user=user, password="x", allow_reconnect=False)
            clients.append(talk)
            await talk.publish(subject, b"")
            await talk.flush()
            for client in clients[:3]:
                await client.flush()
                await client.drain()
        finally:
            for client in clients:
                await client.close()

    with kind(tmp_path / "server", config=watching) as server:
        asyncio.run(main(server.url))
    assert seen == arrivals(ask(config, "pub", user, subject))


def test_permissions_are_about_what_the_mapping_makes(tmp_path, monkeypatch):
    """As both servers have it: a denied subject that is mapped away is let through, one that is mapped to is not."""
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / "server.conf"
    path.write_text(
        'accounts { A { users = [{user: u, password: x, permissions: {publish: {deny: ["from", "to2"]}}}]\n'
        'mappings = {from: "to", from2: "to2"} } }'
    )
    assert ask(str(path), "pub", "u", "from")["allowed"]
    denied = ask(str(path), "pub", "u", "from2")
    assert (denied["allowed"], denied["rule"]) == (False, 'deny "to2"')
    assert any("mapped to 'to2' first" in note for note in denied["notes"])
