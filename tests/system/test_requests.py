"""Requests about servers and accounts: the same questions to both servers, and the same kind of answers."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from gossamer.mesh.testing.plugin import StartServer
from gossamer.mesh.testing.process import ServerProcess

Listen = Callable[..., Any]


def outline(value: Any) -> Any:
    """The types, and the names in their order; feature flags are of JetStream, which only one of both has."""
    if isinstance(value, dict):
        return {name: outline(part) for name, part in value.items() if name != "feature_flags"}
    if isinstance(value, list):
        return [outline(value[0])] if value else []
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else type(value).__name__


SERVER = "$SYS.REQ.SERVER.PING"
ACCOUNT = "$SYS.REQ.ACCOUNT"


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        (f"{SERVER}.ACCOUNTZ", {}),
        (f"{SERVER}.ACCOUNTZ", {"account": "NOPE"}),
        (f"{SERVER}.GATEWAYZ", {}),
        (f"{SERVER}.LEAFZ", {"subscriptions": True, "account": "A"}),
        (f"{SERVER}.CONNZ", {"auth": True, "acc": "A"}),
        (f"{SERVER}.CONNZ", {"sort": "nope"}),
        (f"{SERVER}.SUBSZ", {"test": "no.*"}),
        (f"{SERVER}.IDZ", {}),
        (SERVER, {}),
        (f"{ACCOUNT}.A.CONNZ", {}),
        (f"{ACCOUNT}.A.CONNZ", {"acc": "B", "auth": True}),
        (f"{ACCOUNT}.A.CONNZ", {"sort": "nope"}),
        (f"{ACCOUNT}.NOPE.CONNZ", {}),
        (f"{ACCOUNT}.B.CONNZ", {}),
        (f"{ACCOUNT}.A.SUBSZ", {"test": "watched.x.y", "limit": 5}),
        (f"{ACCOUNT}.NOPE.SUBSZ", {}),
        (f"{ACCOUNT}.A.LEAFZ", {}),
        (f"{ACCOUNT}.NOPE.LEAFZ", {}),
        (f"{ACCOUNT}.A.JSZ", {}),
        (f"{ACCOUNT}.A.STATZ", {}),
        (f"{ACCOUNT}.B.STATZ", {"include_unused": True}),
        (f"{ACCOUNT}.A.CONNS", {}),
        (f"{ACCOUNT}.NOPE.INFO", {}),
        (f"{ACCOUNT}.PING.STATZ", {"accounts": ["A"]}),
        (f"{ACCOUNT}.PING.STATZ", {"include_unused": True, "accounts": []}),
        (f"{ACCOUNT}.PING.CONNZ", {}),
        ("$SYS.REQ.USER.INFO", None),
    ],
)
def test_same_fields(pair: list[ServerProcess], listen: Listen, subject: str, body: Any) -> None:
    ours, theirs = (outline(listen(server).ask(subject, body)) for server in pair)
    assert json.dumps(ours, indent=1) == json.dumps(theirs, indent=1)


@pytest.mark.parametrize("account", ["A", "B", "SYS"])
def test_same_details_of_an_account(pair: list[ServerProcess], listen: Listen, account: str) -> None:
    details = [listen(server).ask(f"{ACCOUNT}.{account}.INFO")[0]["data"] for server in pair]
    ours, theirs = (outline(detail) for detail in details)
    assert json.dumps(ours, indent=1) == json.dumps(theirs, indent=1)

    def shared(detail: dict[str, Any]) -> list[str]:
        rows = detail.get("imports", []) + detail.get("exports", [])
        return sorted(json.dumps(row, sort_keys=True) for row in rows)

    assert shared(details[0]) == shared(details[1])
    figures = ("account_name", "is_system", "expired", "complete", "client_connections", "name_tag")
    assert {name: details[0].get(name) for name in figures} == {name: details[1].get(name) for name in figures}


@pytest.mark.parametrize(
    "path",
    [
        "/accountz",
        "/accountz?acc=A",
        "/accountz?acc=SYS",
        "/accstatz",
        "/accstatz?unused=1",
        "/gatewayz",
        "/leafz",
    ],
)
def test_same_documents(pair: list[ServerProcess], path: str) -> None:
    ours, theirs = (outline(server.monitor(path)) for server in pair)
    assert json.dumps(ours, indent=1) == json.dumps(theirs, indent=1)


def test_same_names_of_accounts(pair: list[ServerProcess]) -> None:
    ours, theirs = (server.monitor("/accountz") for server in pair)
    assert sorted(ours["accounts"]) == sorted(theirs["accounts"])
    assert ours["system_account"] == theirs["system_account"]


@pytest.mark.parametrize(
    ("subject", "body"),
    [
        (f"{ACCOUNT}.NOPE.STATZ", {}),
        (f"{ACCOUNT}.NOPE.STATZ", {"include_unused": True}),
        (f"{ACCOUNT}.B.STATZ", {}),
        (f"{ACCOUNT}.B.CONNS", {}),
        (f"{ACCOUNT}.NOPE.CONNS", {}),
        (f"{ACCOUNT}.PING.STATZ", {"accounts": ["B"]}),
        (f"{ACCOUNT}.A.CONNZ", {"server_name": "somebody else"}),
    ],
)
def test_same_silence(pair: list[ServerProcess], listen: Listen, subject: str, body: Any) -> None:
    for server in pair:
        listener = listen(server)
        assert listener.is_silent(subject, body, listener.info["server_id"]), server.kind


def test_what_an_account_may_ask(tenants: ServerProcess, listen: Listen) -> None:
    asker = listen(tenants, "bob", "mine")
    for subject in ("$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ"):
        (answer,) = asker.ask(subject, {"acc": "A", "auth": True})
        assert {row["account"] for row in answer["data"]["connections"]} == {"B"}
        assert asker.info["client_id"] in [row["cid"] for row in answer["data"]["connections"]]
    (answer,) = asker.ask("$SYS.REQ.ACCOUNT.PING.STATZ", {"accounts": ["A"]})
    assert [row["acc"] for row in answer["data"]["account_statz"]] == ["B"]
    (answer,) = asker.ask("$SYS.REQ.USER.INFO")
    assert answer["data"] == {"user": "bob", "account": "B", "account_name": "B"}


@pytest.mark.parametrize(
    "subject",
    [
        "$SYS.REQ.SERVER.PING",
        "$SYS.REQ.SERVER.PING.VARZ",
        "$SYS.REQ.ACCOUNT.A.CONNZ",
        "$SYS.REQ.ACCOUNT.B.CONNZ",
        "$SYS.REQ.ACCOUNT.B.INFO",
        "$SYS.REQ.USER.A.INFO",
        "$SYS.DEBUG.SUBSCRIBERS",
    ],
)
def test_what_an_account_may_not_ask(tenants: ServerProcess, listen: Listen, subject: str) -> None:
    assert listen(tenants, "bob").ask(subject) == []


def test_user_info_with_permissions(tenants: ServerProcess, listen: Listen, join: Any) -> None:
    client = join(tenants, user="lim", **{"pass": "pl"})
    client.subscribe("_INBOX.1", 1)
    client.publish("$SYS.REQ.USER.INFO", reply="_INBOX.1")
    client.expect_error('Permissions Violation for Publish to "$SYS.REQ.USER.INFO"')


def test_user_info_shows_permissions(start_server: StartServer, listen: Listen) -> None:
    config = """
    accounts { A: { users: [{user: u, password: p, permissions: {
        publish: {allow: ["$SYS.REQ.USER.INFO", "x.>"], deny: "x.y"}, subscribe: {allow: ["_INBOX.>", "q v1"]},
        allow_responses: {max: 5, expires: "1m"}}}] } }
    """
    server = start_server(config=config)
    (answer,) = listen(server, "u", password="p").ask("$SYS.REQ.USER.INFO")
    for direction in ("publish", "subscribe"):  # nats-server tells them in any order
        answer["data"]["permissions"][direction]["allow"].sort()
    assert answer["data"] == {
        "user": "u",
        "account": "A",
        "account_name": "A",
        "permissions": {
            "publish": {"allow": ["$SYS.REQ.USER.INFO", "x.>"], "deny": ["x.y"]},
            "subscribe": {"allow": ["_INBOX.>", "q v1"]},
            "responses": {"max": 5, "ttl": 60_000_000_000},
        },
    }


def test_counting_subscribers(start_server: StartServer, listen: Listen, join: Any) -> None:
    config = """
    accounts {
      A: { users: [{user: ann, password: pa}]
           imports: [{service: {account: SYS, subject: "$SYS.DEBUG.SUBSCRIBERS"}}] }
      SYS: { users: [{user: sys, password: ps}], exports: [{service: "$SYS.DEBUG.SUBSCRIBERS"}] }
    }
    system_account: SYS
    """
    server = start_server(config=config)
    client = join(server, user="ann", **{"pass": "pa"})
    client.send(b"SUB foo.bar 1\r\nSUB foo.* 2\r\nSUB foo.bar q 3\r\nSUB foo.baz q 4\r\n")
    client.ping()
    asker = listen(server, "ann")
    assert asker.ask("$SYS.DEBUG.SUBSCRIBERS", b"foo.bar") == [3]
    assert asker.ask("$SYS.DEBUG.SUBSCRIBERS", b"foo.bar q") == [1]
    assert asker.ask("$SYS.DEBUG.SUBSCRIBERS", b"foo.*") == [4]
    assert asker.ask("$SYS.DEBUG.SUBSCRIBERS", b"nothing") == [0]


def test_reload_by_request(start_server: StartServer, listen: Listen) -> None:
    config = """
    accounts { A: { users: [{user: ann, password: pa}] }, SYS: { users: [{user: sys, password: ps}] } }
    system_account: SYS
    max_payload: %s
    """
    server = start_server(config=config % "1000")
    listener = listen(server)
    own = f"$SYS.REQ.SERVER.{listener.info['server_id']}.RELOAD"
    server.config_path.write_text(config % "2000")
    (answer,) = listener.ask(own)
    assert list(answer) == ["server"]
    assert listen(server).info["max_payload"] == 2000
    server.config_path.write_text(config % "2000" + "server_name: other\n")
    (answer,) = listener.ask(own, {})
    assert answer["error"]["code"] == 500
    assert "server_name" in answer["error"]["description"].lower().replace("name", "_name").replace("__", "_")
    assert listener.is_silent(own, {"server_name": "nobody", "exact_match": True}, listener.info["server_id"])
