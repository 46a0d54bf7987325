"""Events about clients, asked of both servers: who hears what, in which order, with which fields."""

from collections.abc import Callable
from typing import Any

import pytest

from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.process import ServerProcess

CONNS = ("$SYS.SERVER.ACCOUNT.{}.CONNS", "$SYS.ACCOUNT.{}.SERVER.CONNS")
TYPE = "io.nats.server.advisory.v1."


def conns(account: str) -> list[str]:
    return [subject.format(account) for subject in CONNS]


def test_a_client_that_comes(tenants: ServerProcess, listen: Callable[..., Any], join: Join) -> None:
    listener = listen(tenants, "sys", "$SYS.ACCOUNT.A.>", "$SYS.SERVER.ACCOUNT.A.>")
    client = join(tenants, user="ann", name="first", lang="test", version="2", **{"pass": "pa"})
    events = listener.of(*conns("A"), "$SYS.ACCOUNT.A.CONNECT")
    assert [event.subject for event in events] == [*conns("A"), "$SYS.ACCOUNT.A.CONNECT"]
    first, second, came = (event.body for event in events)
    assert first["type"] == TYPE + "account_connections"
    assert (first["id"], first["timestamp"]) == (second["id"], second["timestamp"])
    assert (first["acc"], first["name"], first["conns"], first["leafnodes"], first["total_conns"]) == (
        "A",
        "A",
        1,
        0,
        1,
    )
    assert list(first) == [
        "type", "id", "timestamp", "server", "acc", "name", "conns", "leafnodes", "total_conns", "num_subscriptions",
        "sent", "received", "slow_consumers",
    ]  # fmt: skip
    assert list(first["sent"]) == ["msgs", "bytes", "gateways", "routes", "leafs"]
    assert list(came) == ["type", "id", "timestamp", "server", "client"]
    assert came["type"] == TYPE + "client_connect"
    assert len(came["id"]) == 22
    assert list(came["client"]) == [
        "start", "host", "id", "acc", "user", "name", "lang", "ver", "name_tag", "kind", "client_type",
    ]  # fmt: skip
    told = came["client"]
    assert (told["acc"], told["user"], told["name"], told["lang"], told["ver"]) == ("A", "ann", "first", "test", "2")
    assert (told["name_tag"], told["kind"], told["client_type"]) == ("A", "Client", "nats")
    assert told["host"] == "127.0.0.1"
    numbers = [event.body["server"]["seq"] for event in events]
    assert numbers == list(range(numbers[0], numbers[0] + 3))
    assert {len(event.body["server"]["id"]) for event in events} == {56}
    client.close()
    listener.of("$SYS.ACCOUNT.A.DISCONNECT")


def test_the_id_is_the_one_in_info(tenants: ServerProcess, listen: Callable[..., Any], dial: Dial) -> None:
    listener = listen(tenants, "sys", "$SYS.ACCOUNT.B.CONNECT")
    client = dial(tenants)
    info = client.handshake(user="bob", **{"pass": "pb"})
    (came,) = listener.of("$SYS.ACCOUNT.B.CONNECT")
    assert came.body["client"]["id"] == info["client_id"]


def test_a_client_that_leaves(tenants: ServerProcess, listen: Callable[..., Any], join: Join) -> None:
    listener = listen(tenants, "sys", "$SYS.ACCOUNT.B.>", "$SYS.SERVER.ACCOUNT.B.>")
    client = join(tenants, user="bob", **{"pass": "pb"})
    listener.of(*conns("B"), "$SYS.ACCOUNT.B.CONNECT")
    client.subscribe("two", 1)
    client.publish("one", b"abc")
    client.publish("two", b"defgh")
    client.read_messages_until_pong()
    client.close()
    events = listener.of(*conns("B"), "$SYS.ACCOUNT.B.DISCONNECT")
    first, _, left = (event.body for event in events)
    assert first["conns"] == 0
    assert left["type"] == TYPE + "client_disconnect"
    assert [name for name in left if not name.startswith("gossamer")] == [
        "type", "id", "timestamp", "server", "client", "sent", "received", "reason",
    ]  # fmt: skip
    assert left["reason"] == "Client Closed"
    assert left["sent"] == {"msgs": 2, "bytes": 8}
    assert left["received"] == {"msgs": 1, "bytes": 5}
    assert left["client"]["stop"] >= left["client"]["start"]
    assert left["client"]["user"] == "bob"


@pytest.mark.parametrize(("user", "password"), [("ann", "wrong"), ("nobody", "x")])
def test_a_failed_login(
    tenants: ServerProcess, listen: Callable[..., Any], dial: Dial, user: str, password: str
) -> None:
    listener = listen(tenants, "sys", "$SYS.SERVER.*.CLIENT.AUTH.ERR", "$SYS.ACCOUNT.*.DISCONNECT")
    client = dial(tenants)
    server = client.read_info()["server_id"]
    client.connect(user=user, name="mallory", **{"pass": password})
    client.expect_error("Authorization Violation")
    failed, left = listener.of(f"$SYS.SERVER.{server}.CLIENT.AUTH.ERR", "$SYS.ACCOUNT.$G.DISCONNECT")
    assert failed.subject.endswith("CLIENT.AUTH.ERR")
    for event in (failed, left):
        assert event.body["type"] == TYPE + "client_disconnect"
        assert event.body["reason"] == "Authentication Failure"
        told = event.body["client"]
        assert (told["acc"], told["user"], told["name"], told["name_tag"]) == ("$G", user, "mallory", "$G")
    assert failed.body["id"] != left.body["id"]


def test_a_failed_login_is_heard_in_the_global_account(
    start_server: StartServer, listen: Callable[..., Any], dial: Dial
) -> None:
    server = start_server(config="authorization { user: u, password: p }")
    listener = listen(server, "u", ">", password="p")
    client = dial(server)
    client.read_info()
    client.connect(user="u", **{"pass": "no"})
    client.expect_error("Authorization Violation")
    (event,) = listener.of("$SYS.ACCOUNT.CLIENT.AUTH.ERR")
    assert event.body["reason"] == "Authentication Failure"
    assert event.body["client"]["user"] == "u"


def test_somebody_who_never_says_a_word(tenants: ServerProcess, listen: Callable[..., Any], dial: Dial) -> None:
    listener = listen(tenants, "sys", "$SYS.ACCOUNT.*.DISCONNECT", "$SYS.SERVER.*.CLIENT.AUTH.ERR")
    client = dial(tenants)
    client.read_info()
    client.close()
    (left,) = listener.of("$SYS.ACCOUNT.$G.DISCONNECT")
    assert left.body["reason"] == "Client Closed"
    assert set(left.body["client"]) == {"start", "host", "id", "acc", "stop", "name_tag", "kind", "client_type"}


def test_a_full_account(tenants: ServerProcess, listen: Callable[..., Any], join: Join, dial: Dial) -> None:
    listener = listen(tenants, "sys", "$SYS.ACCOUNT.A.>")
    clients = [join(tenants, user="ann", **{"pass": "pa"}) for _ in range(3)]
    one_more = dial(tenants)
    one_more.read_info()
    one_more.connect(user="ann", **{"pass": "pa"})
    one_more.expect_error("maximum account active connections exceeded")
    (left,) = listener.of("$SYS.ACCOUNT.A.DISCONNECT")
    assert left.body["reason"] == "Maximum Account Connections Exceeded"
    assert left.body["client"]["user"] == "ann"
    for client in clients:
        client.close()
        listener.of("$SYS.ACCOUNT.A.DISCONNECT")


def test_what_ends_connections(start_server: StartServer, listen: Callable[..., Any], dial: Dial) -> None:
    config = """
    accounts { A: { users: [{user: ann, password: pa}] }, SYS: { users: [{user: sys, password: ps}] } }
    system_account: SYS
    max_payload: 100
    authorization { timeout: 0.2 }
    """
    server = start_server(config=config)
    listener = listen(server, "sys", "$SYS.ACCOUNT.*.DISCONNECT")

    def end(sent: bytes) -> str:
        client = dial(server)
        client.handshake(user="ann", **{"pass": "pa"})
        client.send(sent)
        client.read_to_end()
        return str(listener.of("$SYS.ACCOUNT.A.DISCONNECT")[0].body["reason"])

    assert end(b"PUB x 200\r\n") == "Maximum Message Payload Exceeded"
    assert end(b"FOO\r\n") == "Protocol Violation"
    client = dial(server)
    client.read_info()
    client.read_to_end()
    (late,) = listener.of("$SYS.ACCOUNT.$G.DISCONNECT")
    assert late.body["reason"] == "Authentication Timeout"


def test_the_global_account_has_no_numbers(start_server: StartServer, listen: Callable[..., Any], dial: Dial) -> None:
    config = """
    authorization { users: [{user: u, password: p}] }
    accounts { SYS: { users: [{user: sys, password: ps}] } }
    system_account: SYS
    """
    server = start_server(config=config)
    listener = listen(server, "sys", "$SYS.ACCOUNT.>", "$SYS.SERVER.ACCOUNT.>")
    client = dial(server)
    client.handshake(user="u", **{"pass": "p"})
    client.close()
    heard: list[str] = []
    while not heard or not heard[-1].endswith("$G.DISCONNECT"):
        heard.append(listener.next(lambda event: True).subject)
    assert "$SYS.ACCOUNT.$G.CONNECT" in heard
    assert not [subject for subject in heard if "$G" in subject and subject.endswith("CONNS")]


@pytest.mark.only_server("gossamer", reason="nats-server does not say why")
def test_the_reason_is_told(tenants: ServerProcess, listen: Callable[..., Any], dial: Dial, join: Join) -> None:
    listener = listen(tenants, "sys", "$SYS.SERVER.*.CLIENT.AUTH.ERR", "$SYS.ACCOUNT.B.>")
    client = dial(tenants)
    client.read_info()
    client.connect(user="bob", **{"pass": "no"})
    client.read_to_end()
    failed = listener.next(lambda event: event.subject.endswith("AUTH.ERR"))
    reason = failed.body["gossamer_reason"]
    assert reason["code"] == "password_wrong"
    assert "bob" in reason["text"]
    assert reason["place"].rsplit(":", 2)[0].endswith("server.conf")
    victim = join(tenants, user="bob", **{"pass": "pb"})
    (came,) = listener.of("$SYS.ACCOUNT.B.CONNECT")
    cid, server = came.body["client"]["id"], came.body["server"]["id"]
    assert listener.ask(f"$SYS.REQ.SERVER.{server}.KICK", {"cid": cid}) == [{"server": _any(came.body["server"])}]
    victim.expect_close()
    (left,) = listener.of("$SYS.ACCOUNT.B.DISCONNECT")
    assert (left.body["reason"], left.body["gossamer_reason"]["code"]) == ("Kicked", "kicked")
    found = tenants.monitor("/reasons?user=bob")
    assert found["forced_closes"][0]["code"] == "kicked"
    assert found["refusals"][0]["code"] == "password_wrong"


@pytest.mark.only_server("gossamer", reason="nats-server tells nobody but the log")
def test_a_denial_is_told(tenants: ServerProcess, listen: Callable[..., Any], join: Join) -> None:
    listener = listen(tenants, "sys", "$SYS.ACCOUNT.A.GOSSAMER.DENIED")
    client = join(tenants, user="lim", **{"pass": "pl"})
    client.publish("y.1", b"")
    client.expect_error('Permissions Violation for Publish to "y.1"')
    (denied,) = listener.of("$SYS.ACCOUNT.A.GOSSAMER.DENIED")
    told = denied.body
    assert (told["account"], told["user"], told["action"], told["subject"]) == ("A", "lim", "publish", "y.1")
    assert told["rule"]


class _any(dict[str, Any]):
    """Equal to every ServerInfo of the same server."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, dict) and other.get("id") == self["id"]

    __hash__ = None


def test_what_an_auth_callout_kept_out_is_told_to_its_account(
    start_server: StartServer, listen: Callable[..., Any], dial: Dial
) -> None:
    from gossamer.auth.keys import KeyKind, KeyPair

    issuer = KeyPair.generate(KeyKind.ACCOUNT).public
    config = f"""
    accounts {{
      AUTH: {{ users: [{{user: service, password: p}}] }}
      A: {{ users: [{{user: ann, password: pa}}] }}
      SYS: {{ users: [{{user: sys, password: ps}}] }}
    }}
    system_account: SYS
    authorization {{ auth_callout {{ issuer: {issuer}, auth_users: [service, ann, sys], account: AUTH }} }}
    """
    server = start_server(config=config)
    service = listen(server, "service", "$SYS.>", password="p")
    stranger = listen(server, "ann", "$SYS.>")
    client = dial(server)
    client.read_info()
    client.connect(user="mallory", **{"pass": "x"})
    asked = service.wire.read_message()
    while asked.subject != b"$SYS.REQ.USER.AUTH":
        asked = service.wire.read_message()
    service.wire.publish(asked.reply.decode(), b"no token at all")
    client.expect_error("Authorization Violation")
    (event,) = service.of("$SYS.ACCOUNT.CLIENT.AUTH.ERR")
    assert (event.body["client"]["acc"], event.body["client"]["user"]) == ("AUTH", "mallory")
    assert "xpected 3 chunks" in event.body["reason"]
    stranger.wire.ping()  # and has heard nothing
