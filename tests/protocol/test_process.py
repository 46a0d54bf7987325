"""Signals, files and flags of the process (spec: client-protocol section 26; checklist items 73-75, 78)."""

import os
import re
import signal
import socket
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.process import ServerError, ServerProcess

ServerKind = type[ServerProcess]


def wait_until(condition: Callable[[], bool], *, timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.005)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_int_and_term_end_with_0(start_server: StartServer, join: Join, number: signal.Signals) -> None:
    """Item 73: clients are closed without -ERR."""
    server = start_server()
    client = join(server)
    server.signal(number)
    client.expect_close()
    assert server.wait() == 0
    word = {signal.SIGINT: "interrupt", signal.SIGTERM: "terminated"}[number]
    assert f'Trapped "{word}" signal' in server.log


def test_hup_reloads(start_server: StartServer, dial: Dial) -> None:
    """Item 73."""
    server = start_server(config="max_payload: 1000\n")
    server.reload("max_payload: 2000\n")
    assert dial(server).read_info()["max_payload"] == 2000
    assert 'Trapped "hangup" signal' in server.log
    server.reload()


def test_hup_without_a_file(start_server: StartServer, join: Join) -> None:
    """Item 73: an error in the log, nothing else."""
    server = start_server()
    client = join(server)
    with pytest.raises(
        ServerError, match=re.escape("can only reload config when a file is provided using -c or --config")
    ):
        server.reload()
    client.ping()


def test_usr1_opens_the_log_file_again(start_server: StartServer, tmp_path: Path) -> None:
    """Item 73."""
    log = tmp_path / "own.log"
    server = start_server(arguments=["-l", str(log)])
    wait_until(lambda: "Server is ready" in log.read_text())
    moved = log.rename(tmp_path / "own.log.1")
    server.signal(signal.SIGUSR1)
    wait_until(lambda: log.exists() and bool(log.read_text()))
    assert "Server is ready" in moved.read_text()
    assert server.running


def test_usr2_without_clients_ends_at_once(start_server: StartServer) -> None:
    """Item 73: lame duck mode; with clients: test_lame_duck."""
    server = start_server()
    server.signal(signal.SIGUSR2)
    assert server.wait() == 0


def test_kill_then_restart_on_the_same_port(start_server: StartServer, join: Join) -> None:
    """Item 73: after a crash the port can be had again at once."""
    server = start_server()
    client = join(server)
    port = server.port
    server.kill()
    client.expect_close()
    server.restart()
    assert server.port == port
    join(server).ping()


def test_pid_file(start_server: StartServer, tmp_path: Path) -> None:
    """Item 74: decimal, no newline, mode 0600; it stays."""
    path = tmp_path / "pid"
    server = start_server(arguments=["-P", str(path)])
    wait_until(path.exists)
    assert path.read_text() == str(server.pid)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    server.stop()
    assert path.exists()


def test_pid_file_that_cannot_be_written(server_kind: ServerKind, tmp_path: Path) -> None:
    """Item 74: exit code 1."""
    path = tmp_path / "missing" / "pid"
    done = server_kind.run("-a", "127.0.0.1", "-p", "-1", "-P", str(path), folder=tmp_path)
    assert done.returncode == 1
    assert "Could not write pidfile" in done.stdout + done.stderr


def test_ports_file(start_server: StartServer) -> None:
    """Item 74: name, content, removal."""
    config = "cluster { name: c, listen: 127.0.0.1:-1 }\n"
    server = start_server(config=config, monitor=True)
    (path,) = server.ports_folder.iterdir()
    assert re.fullmatch(rf"[^/]+_{server.pid}\.ports", path.name)
    assert set(server.ports) == {"nats", "monitoring", "cluster"}
    for name, scheme in (("nats", "nats"), ("monitoring", "http"), ("cluster", "nats")):
        (url,) = server.ports[name]
        found = re.fullmatch(rf"{scheme}://127\.0\.0\.1:(\d+)", url)
        assert found
        with socket.create_connection(("127.0.0.1", int(found[1])), timeout=5):
            pass
    server.stop()
    assert not path.exists()


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--signal", "fly=1"], 'unknown signal "fly"'),
        (["--signal", "reload=abc"], "invalid pid: abc"),
        (["--signal", "reload=1=2"], "invalid signal parameters: [2]"),
        (["-sl", "reload=999999999"], 'signal "reload" 999999999: no such process'),
    ],
)
def test_signal_flag_errors(server_kind: ServerKind, tmp_path: Path, arguments: list[str], text: str) -> None:
    """Item 75."""
    done = server_kind.run(*arguments, folder=tmp_path)
    assert text in done.stdout + done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("word", "form"),
    [(word, "pid") for word in ("reload", "reopen", "ldm", "term", "quit", "stop")]
    + [("reload", "file"), ("ldm", "file")],
)
def test_signal_flag(start_server: StartServer, tmp_path: Path, word: str, form: str) -> None:
    """Item 75: exit code 0, no output; by number or by pid file."""
    log = tmp_path / "own.log"
    pid_file = tmp_path / "pid"
    server = start_server(config="max_payload: 1000\n", arguments=["-P", str(pid_file), "-l", str(log)])
    wait_until(lambda: pid_file.exists() and "Server is ready" in log.read_text())
    target = str(server.pid) if form == "pid" else str(pid_file)
    done = server.run("--signal", f"{word}={target}")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    if word == "reload":
        wait_until(lambda: "Reloaded server configuration" in log.read_text())
    elif word == "reopen":
        wait_until(lambda: 'Trapped "user defined signal 1" signal' in log.read_text())
    else:
        assert server.wait() == (-signal.SIGKILL if word == "stop" else 0)


def test_version_flag(server_kind: ServerKind, tmp_path: Path) -> None:
    """Section 26.2."""
    for flag in ("-v", "--version"):
        done = server_kind.run(flag, folder=tmp_path)
        assert done.returncode == 0
        assert re.search(r"v\d+\.\d+\.\d+", done.stdout)


def test_port_in_use(server_kind: ServerKind, start_server: StartServer, tmp_path: Path) -> None:
    """Section 26.2: exit code 1 and a line that names the port."""
    port = start_server().port
    done = server_kind.run("-a", "127.0.0.1", "-p", str(port), folder=tmp_path)
    assert done.returncode == 1
    assert str(port) in done.stdout + done.stderr


def has_ipv6() -> bool:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6 loopback")
def test_ipv6(start_server: StartServer, dial: Dial) -> None:
    """Item 78."""
    server = start_server(host="::1")
    assert server.ports["nats"] == [f"nats://[::1]:{server.port}"]
    client = dial(server)
    info = client.read_info()
    assert info["host"] == "::1"
    assert info["client_ip"] == "::1"
    client.connect()
    client.ping()


def test_nothing_is_left_behind(start_server: StartServer) -> None:
    """Item 73: the process is gone after TERM."""
    server = start_server()
    pid = server.pid
    server.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
