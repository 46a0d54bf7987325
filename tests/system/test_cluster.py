"""Two servers that count together: ours beside ours, ours beside nats-server, and nats-server alone as the measure."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gossamer.mesh.testing.cluster import ClusterProcesses
from gossamer.mesh.testing.plugin import Dial, Join
from gossamer.mesh.testing.process import SERVER_KINDS, NatsServerProcess, ServerProcess
from gossamer.mesh.testing.wire import WireError

Listen = Callable[..., Any]

CONFIG = """
accounts {
  A: {
    users: [{user: ann, password: pa}]
    limits { max_connections: 3 }
    imports: [{service: {account: SYS, subject: "$SYS.DEBUG.SUBSCRIBERS"}}]
  }
  B: { users: [{user: bob, password: pb}] }
  SYS: { users: [{user: sys, password: ps}], exports: [{service: "$SYS.DEBUG.SUBSCRIBERS"}] }
}
system_account: SYS
"""
MIXES = [("gossamer", "gossamer"), ("gossamer", "nats-server"), ("nats-server", "gossamer")]


@pytest.fixture(scope="module", params=MIXES, ids="+".join)
def mesh(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    """Two nodes that know each other, also on the system account; to be left without clients."""
    cluster = _cluster(tmp_path_factory.mktemp("mesh"), request.param)
    yield cluster.nodes
    cluster.stop()


def _cluster(folder: Path, kinds: tuple[str, ...]) -> ClusterProcesses:
    reason = NatsServerProcess.missing()
    if reason is not None and "nats-server" in kinds:
        pytest.skip(reason)
    cluster = ClusterProcesses(folder, [SERVER_KINDS[kind] for kind in kinds], config=CONFIG)
    cluster.start()
    return cluster


def until(condition: Callable[[], Any], what: str, timeout_s: float = 10.0) -> Any:
    """What the condition says, once that is something."""
    deadline = time.monotonic() + timeout_s
    while True:
        found = condition()
        if found:
            return found
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def await_servers(listener: Any, count: int) -> None:
    """Until the server of the listener knows that many."""
    server = listener.info["server_id"]
    until(
        lambda: listener.ask(f"$SYS.REQ.SERVER.{server}.STATSZ")[0]["statsz"]["active_servers"] == count,
        f"there are not {count} servers",
    )


def test_active_servers(mesh: list[ServerProcess], listen: Listen) -> None:
    for server in mesh:
        await_servers(listen(server), 2)


def test_every_server_answers(mesh: list[ServerProcess], listen: Listen) -> None:
    listener = listen(mesh[0])
    await_servers(listener, 2)
    answers = listener.ask("$SYS.REQ.SERVER.PING", {}, answers=2)
    assert {answer["server"]["name"] for answer in answers} == {"n1", "n2"}
    assert [answer["statsz"]["active_servers"] for answer in answers] == [2, 2]
    answers = listener.ask("$SYS.REQ.SERVER.PING.ACCOUNTZ", {"account": "A"}, answers=2)
    assert [answer["data"]["account_detail"]["account_name"] for answer in answers] == ["A", "A"]


def test_an_account_asks_every_server_about_itself(mesh: list[ServerProcess], listen: Listen) -> None:
    askers = [listen(server, "bob") for server in mesh]
    for asker in askers:
        for subject in ("$SYS.REQ.ACCOUNT.PING.CONNZ", "$SYS.REQ.SERVER.PING.CONNZ"):
            answers = asker.ask(subject, {"auth": True}, answers=2)
            assert {answer["server"]["name"] for answer in answers} == {"n1", "n2"}
            rows = [row for answer in answers for row in answer["data"]["connections"]]
            assert {row["account"] for row in rows} == {"B"}
            assert len(rows) == 2
        answers = asker.ask("$SYS.REQ.ACCOUNT.PING.STATZ", answers=2)
        assert [[row["acc"] for row in answer["data"]["account_statz"]] for answer in answers] == [["B"], ["B"]]


def test_user_info_is_told_once(mesh: list[ServerProcess], listen: Listen) -> None:
    for server in mesh:
        asker = listen(server, "bob")
        asker.wire.subscribe("_INBOX.once", "once")
        asker.wire.publish("$SYS.REQ.USER.INFO", reply="_INBOX.once")
        answer = json.loads(asker.wire.read_message().payload)
        assert answer["server"]["id"] == asker.info["server_id"]
        assert answer["data"]["user"] == "bob"
        asker.ask("$SYS.REQ.ACCOUNT.PING.CONNZ", answers=2)  # the other server has seen whatever came before
        assert not asker.wire.read_messages_until_pong()


def test_limits_hold_for_the_cluster(mesh: list[ServerProcess], listen: Listen, join: Join, dial: Dial) -> None:
    watcher = listen(mesh[0], "sys", "$SYS.ACCOUNT.A.SERVER.CONNS")
    await_servers(watcher, 2)
    here, there = mesh
    clients = [_admitted(join, server) for server in (here, there, here)]
    for server in mesh:  # whoever was not told yet lets it in, and then closes it
        refused = dial(server)
        refused.read_info()
        refused.connect(user="ann", **{"pass": "pa"})
        refused.send(b"PING\r\n")
        assert refused.read_to_end().endswith(b"-ERR 'maximum account active connections exceeded'\r\n")
    for client in clients:
        client.ping()
        client.close()
    until(lambda: _room(dial, mesh, 3), "there is no room although everybody has left")


def _room(dial: Dial, mesh: list[ServerProcess], count: int) -> bool:
    """Is there room for that many, all on the first server?"""
    clients = [dial(mesh[0]) for _ in range(count)]
    try:
        for client in clients:
            client.handshake(user="ann", **{"pass": "pa"})
    except WireError:
        return False
    finally:
        for client in clients:
            client.close()
    return True


def _admitted(join: Join, server: ServerProcess) -> Any:
    """A client of the account, as soon as there is room: a server notices that somebody left when it comes to it."""

    def attempt() -> Any:
        try:
            return join(server, user="ann", **{"pass": "pa"})
        except WireError as error:
            if "maximum account active connections exceeded" not in str(error):
                raise
            return None

    return until(attempt, "there is no room")


def test_numbers_of_a_foreign_server(mesh: list[ServerProcess], listen: Listen, join: Join, dial: Dial) -> None:
    server = mesh[0]
    until(lambda: _room(dial, mesh, 3), "there is no room")
    listener = listen(server, "sys", "$SYS.ACCOUNT.A.DISCONNECT")
    oldest, middle, newest = (_admitted(join, server) for _ in range(3))
    foreign = {"name": "foreign", "host": "127.0.0.1", "id": "N" + "F" * 55, "ver": "2.11.0", "seq": 5,
               "time": "2026-11-23T14:15:11Z", "jetstream": False, "flags": 0}  # fmt: skip
    told = {"server": foreign, "acc": "A", "name": "A", "conns": 2, "leafnodes": 0, "total_conns": 2}
    listener.wire.publish("$SYS.SERVER.ACCOUNT.A.CONNS", json.dumps(told).encode())
    for client in (newest, middle):
        assert client.read_to_end() == b"-ERR 'maximum account active connections exceeded'\r\n"
    oldest.ping()
    refused = dial(server)
    refused.read_info()
    refused.connect(user="ann", **{"pass": "pa"})
    refused.expect_error("maximum account active connections exceeded")
    await_servers(listener, 3)
    listener.wire.publish(f"$SYS.SERVER.{foreign['id']}.SHUTDOWN", json.dumps(foreign | {"seq": 6}).encode())
    await_servers(listener, 2)
    _admitted(join, server).close()
    oldest.close()


def test_counting_subscribers(mesh: list[ServerProcess], listen: Listen, join: Join, dial: Dial) -> None:
    until(lambda: _room(dial, mesh, 3), "there is no room")
    for server in mesh:
        client = _admitted(join, server)
        client.send(b"SUB foo.bar 1\r\nSUB foo.* q 2\r\n")
        client.ping()
    asker = listen(mesh[0], "ann", password="pa")
    until(lambda: asker.ask("$SYS.DEBUG.SUBSCRIBERS", b"foo.bar") == [4], "not all subscribers are counted")
    assert asker.ask("$SYS.DEBUG.SUBSCRIBERS", b"foo.bar q") == [2]
    assert asker.ask("$SYS.DEBUG.SUBSCRIBERS", b"foo.*") == [4]


@pytest.mark.parametrize("kinds", [("gossamer", "gossamer"), ("gossamer", "nats-server")], ids="+".join)
def test_a_server_that_crashed_takes_its_clients_with_it(
    tmp_path: Path, kinds: tuple[str, ...], listen: Listen, join: Join, dial: Dial
) -> None:
    cluster = _cluster(tmp_path, kinds)
    try:
        here, there = cluster.nodes
        listener = listen(here)
        await_servers(listener, 2)
        for _ in range(3):
            _admitted(join, there)
        until(lambda: not _room(dial, [here], 1), "the clients of the other server are not counted")
        there.kill()
        await_servers(listener, 1)
        until(lambda: _room(dial, [here], 3), "the clients of the server that crashed are still counted")
    finally:
        cluster.stop()
