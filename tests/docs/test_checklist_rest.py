"""Items of the checklists (spec configuration 13, client-protocol 29, routes 21, leafnodes 22) that no other folder's
tests hold.

Each runs against Gossamer and against nats-server.
"""

import json
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gossamer.mesh.testing.cluster import ClusterProcesses
from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.process import GossamerProcess, NatsServerProcess, ServerProcess
from gossamer.mesh.testing.wire import WireClient

ACCOUNTS = """
accounts {{
  A {{ users: [ {{ user: a, password: p }} ], limits {{ {limits} }} }}
  SYS {{ users: [ {{ user: s, password: p }} ] }}
}}
system_account: SYS
"""


def wait_until(holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """For files and pages, which nobody announces."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def ask(client: WireClient, subject: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    """One request, its answer as JSON."""
    client.subscribe("_INBOX.docs", "docs")
    client.publish(subject, json.dumps(body or {}).encode(), reply="_INBOX.docs")
    answer: dict[str, Any] = json.loads(client.read_message().payload)
    client.send(b"UNSUB docs\r\n")
    return answer


# --- configuration ----------------------------------------------------------------------------------------------
def test_a_warning_is_printed_and_the_server_starts(start_server: StartServer, join: Join) -> None:
    """Configuration 21."""
    server = start_server(config="ping_interval: 60\n")
    assert 'invalid use of field "ping_interval": ping_interval should be converted to a duration' in server.log
    join(server).ping()


def test_a_flag_survives_a_reload(start_server: StartServer, dial: Dial) -> None:
    """Configuration 49."""
    server = start_server(config="max_payload: 1000\n", arguments=["--client_advertise", "flag.example:1"])
    server.reload("max_payload: 2000\nclient_advertise: file.example:2\n")
    info = dial(server).read_info()
    assert (info["host"], info["port"], info["max_payload"]) == ("flag.example", 1, 2000)


def test_a_chosen_port_stays(start_server: StartServer, join: Join) -> None:
    """Configuration 58: ``port: -1`` takes a free port once."""
    server = start_server(config="port: -1\n")
    server.reload("port: -1\nmax_payload: 2000\n")
    join(server).ping()
    (path,) = server.ports_folder.iterdir()
    assert json.loads(path.read_text())["nats"] == server.ports["nats"]


def test_the_pid_file_moves_with_a_reload(start_server: StartServer, tmp_path: Path) -> None:
    """Configuration 59."""
    server = start_server(config=f'pid_file: "{tmp_path}/one"\n')
    server.reload(f'pid_file: "{tmp_path}/two"\n')
    second = tmp_path / "two"
    wait_until(lambda: second.exists() and second.read_text() == str(server.pid))


def test_the_ports_file_moves_with_a_reload(server_kind: type[ServerProcess], tmp_path: Path) -> None:
    """Configuration 59. (Started by hand: the fixtures give the folder as a flag, which would win.)"""
    first, second, config = tmp_path / "one", tmp_path / "two", tmp_path / "f.conf"
    for folder in (first, second):
        folder.mkdir()
    config.write_text(f'ports_file_dir: "{first}"\n')
    process = subprocess.Popen(
        [*server_kind.command(), "-a", "127.0.0.1", "-p", "-1", "-c", str(config)],
        env=server_kind.environment(),
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: any(first.iterdir()))
        config.write_text(f'ports_file_dir: "{second}"\n')
        process.send_signal(signal.SIGHUP)
        wait_until(lambda: any(second.iterdir()))
        wait_until(lambda: not any(first.iterdir()))
    finally:
        process.terminate()
        process.wait(10)


def test_the_digest_follows_a_reload(start_server: StartServer) -> None:
    """Configuration 62."""
    server = start_server(config="max_payload: 1000\n", monitor=True)
    before = server.monitor("/varz")["config_digest"]
    server.reload("max_payload: 2000\n")
    after = server.monitor("/varz")["config_digest"]
    assert before.startswith("sha256:")
    assert after.startswith("sha256:")
    assert before != after


def test_reload_lowers_max_connections(start_server: StartServer, join: Join) -> None:
    """Configuration 57: the surplus is told and closed; who it is may differ."""
    server = start_server(config="max_connections: 5\n")
    clients = [join(server) for _ in range(4)]
    server.reload("max_connections: 1\n")
    ends = []
    for client in clients:
        client.send(b"PING\r\n")
        ends.append(client.expect_line())
    assert sorted(ends) == [b"-ERR 'maximum connections exceeded'"] * 3 + [b"PONG"]


def test_reload_lowers_the_connections_of_an_account(start_server: StartServer, join: Join) -> None:
    """Configuration 57."""
    server = start_server(config=ACCOUNTS.format(limits="max_connections: 5"))
    clients = [join(server, user="a", **{"pass": "p"}) for _ in range(3)]
    server.reload(ACCOUNTS.format(limits="max_connections: 2"))
    ends = []
    for client in clients:
        client.send(b"PING\r\n")
        ends.append(client.expect_line())
    assert sorted(ends) == [b"-ERR 'maximum account active connections exceeded'"] + [b"PONG"] * 2


def test_reload_lowers_the_subscriptions_of_an_account(start_server: StartServer, join: Join) -> None:
    """Configuration 57."""
    server = start_server(config=ACCOUNTS.format(limits="max_subscriptions: 5"))
    client = join(server, user="a", **{"pass": "p"})
    for sid in range(3):
        client.subscribe(f"s.{sid}", sid)
    client.ping()
    server.reload(ACCOUNTS.format(limits="max_subscriptions: 2"))
    client.timeout_s = 2.0
    client.expect(b"-ERR 'maximum subscriptions exceeded'\r\n")
    client.expect_close()


def test_reload_lowers_max_payload(start_server: StartServer, join: Join) -> None:
    """Configuration 55, 57: for those connected too, and they are not told."""
    server = start_server(config="max_payload: 1000\n")
    client = join(server)
    server.reload("max_payload: 10\n")
    client.ping()
    client.send(b"PUB a 11\r\n")
    client.expect(b"-ERR 'Maximum Payload Violation'\r\n")
    client.expect_close()


def test_reload_lowers_max_control_line(start_server: StartServer, join: Join) -> None:
    """Configuration 55, 57: for all clients."""
    server = start_server(config="max_control_line: 4096\n")
    client = join(server)
    server.reload("max_control_line: 64\n")
    client.send(b"SUB " + b"a" * 100 + b" 1\r\n")
    client.expect(b"-ERR 'maximum control line exceeded'\r\n")
    client.expect_close()


def test_reload_changes_the_log(start_server: StartServer, join: Join, tmp_path: Path) -> None:
    """Configuration 55, 57: another file, other levels."""
    server = start_server(config="debug: false\n")
    path = tmp_path / "other.log"
    server.config_path.write_text(f'debug: true\nlog_file: "{path}"\n')
    server.signal(signal.SIGHUP)
    wait_until(lambda: path.exists() and "Reloaded server configuration" in path.read_text())
    join(server).close()
    wait_until(lambda: "[DBG]" in path.read_text())


WRONG_LINKS = {
    "gateway {port: 7222}": "gateway has no name",
    "gateway {name: g}": 'gateway "g" has no port specified (select -1 for random port)',
    'gateway {name: g, port: -1, gateways: [{url: "nats://a"}]}': "gateway in the list 0 has no name",
    "gateway {name: g, port: -1, gateways: [{name: h}]}": 'gateway "h" has no URL',
    "gateway {name: g, port: -1}\ncluster {name: h, port: -1}": (
        "cluster name conflicts between cluster and gateway definitions"
    ),
    "gateway {name: g, port: -1}\nleafnodes {port: -1}": (
        "leaf nodes and gateways (both being defined) require a system account to also be configured"
    ),
    'leafnodes {remotes: [{url: "nats://a", account: NOBODY}]}': (
        'cannot find local account "NOBODY" specified in leafnode remote'
    ),
}


@pytest.mark.parametrize("config", WRONG_LINKS, ids=WRONG_LINKS.values())
def test_what_is_wrong_with_links_in_the_same_words(
    server_kind: type[ServerProcess], tmp_path: Path, config: str
) -> None:
    """Configuration 40, 41: found when the server starts."""
    path = tmp_path / "f.conf"
    path.write_text(config)
    done = subprocess.run(
        [*server_kind.command(), "-a", "127.0.0.1", "-p", "-1", "-c", str(path)],
        env=server_kind.environment(),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 1
    assert f"nats-server: {WRONG_LINKS[config]}\n" in done.stderr


# --- client protocol ---------------------------------------------------------------------------------------------
def test_kick_and_lame_duck_of_one_client(start_server: StartServer, join: Join) -> None:
    """Client protocol 77: by cid through the system account."""
    server = start_server(config=ACCOUNTS.format(limits=""))
    system = join(server, user="s", **{"pass": "p"})
    identity = ask(system, "$SYS.REQ.SERVER.PING.IDZ")["id"]
    client = join(server, user="a", **{"pass": "p"}, protocol=1)
    connections = ask(system, f"$SYS.REQ.SERVER.{identity}.CONNZ", {"auth": True})["data"]["connections"]
    (cid,) = [row["cid"] for row in connections if row.get("authorized_user") == "a"]
    assert "error" not in ask(system, f"$SYS.REQ.SERVER.{identity}.LDM", {"cid": cid})
    client.expect_match(rb'INFO \{.*"ldm":true.*\} ?')
    assert "error" not in ask(system, f"$SYS.REQ.SERVER.{identity}.KICK", {"cid": cid})
    client.expect_close()


# --- routes ------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("kinds", [(NatsServerProcess, GossamerProcess)], ids=["a nats-server looks at ours"])
def test_a_member_in_the_eyes_of_another(kinds: tuple[type[ServerProcess], ...], tmp_path: Path) -> None:
    """Routes 53."""
    cluster = ClusterProcesses(tmp_path, list(kinds), monitor=True)
    try:
        cluster.start()
        theirs = cluster.nodes[0]
        wait_until(lambda: theirs.monitor("/routez")["num_routes"] == 4)
        wait_until(lambda: all(row.get("rtt") for row in theirs.monitor("/routez")["routes"]))
        rows = theirs.monitor("/routez")["routes"]
        assert sorted(row.get("account", "") for row in rows) == ["", "", "", "$SYS"]
        assert {row["compression"] for row in rows} == {"off"}
        assert len({row["remote_name"] for row in rows}) == 1
        assert theirs.monitor("/varz")["remotes"] == 1
    finally:
        cluster.stop()


# --- leaf nodes --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("subject", "enters"), [("$JS.API.INFO", False), ("$KV.a", False), ("$KVX.a", True)])
def test_streams_do_not_come_in_from_a_leaf_node(tmp_path: Path, subject: str, enters: bool) -> None:
    """Leaf nodes 47, in the direction in which ours is stricter."""
    with GossamerProcess(tmp_path, config='leafnodes { listen: "127.0.0.1:-1", compression: off }\n') as server:
        listening = r"Listening for leafnode connections on (.+):(\d+)"
        server.wait_for_log(listening)
        told = re.search(listening, server.log)
        assert told
        address = (told[1], int(told[2]))
        with socket.create_connection(address, timeout=5) as leaf, leaf.makefile("rb") as heard:
            heard.readline()
            leaf.sendall(b'CONNECT {"version":"2.15.1","name":"x","cluster":"x","headers":true,"protocol":1}\r\n')
            leaf.sendall(f"LMSG {subject} 1\r\nx\r\nPING\r\n".encode())
            lines = iter(heard.readline, b"")
            ends = next(line for line in lines if line.startswith((b"-ERR", b"PONG")))
            assert ends == (
                b"PONG\r\n" if enters else f"-ERR 'Permissions Violation for Publish to \"{subject}\"'\r\n".encode()
            )
            if not enters:
                assert list(lines) == []
