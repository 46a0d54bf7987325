"""The process: exit codes, one clear line for each failure, files, probe."""

import json
import os
import signal
import socket
import stat
import time
from pathlib import Path
from typing import Any

import pytest

from gossamer.mesh.testing.process import GossamerProcess
from gossamer.mesh.testing.wire import WireClient


def fails(tmp_path: Path, *arguments: str) -> str:
    """The output of a server that does not start: exit code 1, one line that matters."""
    result = GossamerProcess.run(*arguments, folder=tmp_path)
    assert result.returncode == 1, result
    lines = [line for line in result.stderr.splitlines() if line.strip()]
    assert "Traceback" not in result.stderr
    (line,) = [line for line in lines if "[FTL]" in line or line.startswith("nats-server:")]
    return line


def test_a_port_in_use(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        line = fails(tmp_path, "-a", "127.0.0.1", "-p", str(port))
        assert f'[FTL] Error listening on port: 127.0.0.1:{port}, "address already in use"; stop the process' in line
        line = fails(tmp_path, "-a", "127.0.0.1", "-p", "-1", "-m", str(port))
        assert f"Error listening on monitor port: 127.0.0.1:{port}" in line
        line = fails(tmp_path, "-p", "-1", "--cluster", f"nats://127.0.0.1:{port}", "--cluster_name", "c")
        assert f"Error listening on cluster port: 127.0.0.1:{port}" in line


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["-P", "missing/pid"], "Could not write pidfile: missing/pid: no such file or directory; "),
        (["--ports_file_dir", "missing"], "Could not write ports file: missing/"),
        (["-l", "missing/log"], "error opening file: missing/log: no such file or directory; "),
        (["-c", "missing.conf"], "open missing.conf: no such file or directory"),
    ],
)
def test_files_that_cannot_be(tmp_path: Path, arguments: list[str], text: str) -> None:
    assert text in fails(tmp_path, "-a", "127.0.0.1", "-p", "-1", *arguments)


def test_pid_and_ports_files(tmp_path: Path) -> None:
    pid_path = tmp_path / "pid"
    with GossamerProcess(tmp_path, arguments=["-P", str(pid_path)], monitor=True) as server:
        assert pid_path.read_text() == str(server.pid)
        assert stat.S_IMODE(pid_path.stat().st_mode) == 0o600
        (path,) = server.ports_folder.glob("*.ports")
        found = json.loads(path.read_text())
        assert set(found) == {"nats", "monitoring"}
        assert found["nats"] == [f"nats://127.0.0.1:{server.port}"]
        assert server.stop() == 0
    assert pid_path.exists()
    assert not path.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR2])
def test_signals_that_end_it(tmp_path: Path, number: signal.Signals) -> None:
    with GossamerProcess(tmp_path) as server:
        server.signal(number)
        assert server.wait() == 0
        assert 'Trapped "' in server.log
        assert "Server Exiting.." in server.log


def test_term_does_not_hurry_a_lame_duck_but_int_does(tmp_path: Path) -> None:
    with GossamerProcess(tmp_path) as server, WireClient(server.address) as client:
        client.read_info()
        client.connect(protocol=1)
        client.send(b"PING\r\n")
        client.expect(b"PONG\r\n")
        assert b"connect_info" in client.expect_line()
        server.signal(signal.SIGUSR2)
        assert b'"ldm":true' in client.expect_line()
        server.signal(signal.SIGTERM)
        server.wait_for_log('Trapped "terminated" signal')
        client.ping()
        server.signal(signal.SIGINT)
        assert server.wait() == 0


def test_reload_without_a_file(tmp_path: Path) -> None:
    with GossamerProcess(tmp_path) as server:
        server.signal(signal.SIGHUP)
        server.wait_for_log("Failed to reload server configuration: can only reload config when a file is provided")


def test_a_faulty_reload_changes_nothing(tmp_path: Path) -> None:
    with GossamerProcess(tmp_path, config="max_payload: 1000\n") as server:
        seen = len(server.log)
        server.config_path.write_text("max_payload: nonsense\n")
        server.signal(signal.SIGHUP)
        server.wait_for_log("Failed to reload server configuration: ", since=seen)
        with WireClient(server.address) as client:
            assert client.read_info()["max_payload"] == 1000


def test_the_timer_probe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "probe.json"
    monkeypatch.setenv("GOSSAMER_TIMER_PROBE", str(path))
    with GossamerProcess(tmp_path) as server:
        with WireClient(server.address) as client:
            client.read_info()
            client.connect()
            end_s = time.monotonic() + 0.05
            while time.monotonic() < end_s:
                client.ping()
        server.stop()
    found: dict[str, Any] = json.loads(path.read_text())
    assert set(found) == {"interval_ms", "at_s", "late_ms"}
    assert found["interval_ms"] == 2.0
    assert len(found["at_s"]) == len(found["late_ms"]) > 0
    assert found["at_s"] == sorted(found["at_s"])
    assert min(found["late_ms"]) >= 0


def test_secrets_do_not_reach_the_trace(tmp_path: Path) -> None:
    with GossamerProcess(tmp_path, arguments=["-DV", "--user", "u", "--pass", "topsecret"]) as server:
        with WireClient(server.address) as client:
            client.read_info()
            client.connect(user="u", **{"pass": "topsecret"})
            client.ping()
            client.send(b"PUB traced.subject 0\r\n\r\n")
            client.ping()
        server.wait_for_log(r"<<- \[PUB traced.subject 0\]")
        assert "[REDACTED]" in server.log
        assert "topsecret" not in server.log


def test_it_needs_no_standard_error(tmp_path: Path) -> None:
    path = tmp_path / "own.log"
    with GossamerProcess(tmp_path, arguments=["-l", str(path), "--log_size_limit", "2000"]) as server:
        for _ in range(20):
            server.signal(signal.SIGHUP)
            with WireClient(server.address) as client:
                client.read_info()
                client.connect()
                client.ping()
        server.stop()
    assert server.log == ""
    rotated = sorted(name for name in os.listdir(tmp_path) if name.startswith("own.log."))
    assert rotated
    assert all(len(name.split(".")) == 9 for name in rotated)
    assert all((tmp_path / name).stat().st_size <= 2000 for name in rotated)
    assert "Server Exiting.." in path.read_text()
