"""``gossamer up`` as a program: what it says, what it leaves, and its end under all circumstances."""

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gossamer.operator.up import reading

Start = Callable[..., "subprocess.Popen[str]"]
LeftBehind = Callable[[], list[str]]

TIMEOUT_S = 90


@pytest.fixture
def brief(tmp_path: Path) -> str:
    """The topology ``single`` with the first step of its tour alone."""
    text = reading.find("single").read_text()
    path = tmp_path / "brief" / "topology.toml"
    path.parent.mkdir()
    path.write_text("[[tour]]".join(text.split("[[tour]]")[:2]))
    return str(path)


def test_a_step_that_does_not_hold_is_told_and_decides_the_exit_code(
    tmp_path: Path, start: Start, left_behind: LeftBehind
) -> None:
    text = reading.find("single").read_text()
    assert 'publish.deny = ["orders.cancel"]\n' in text
    path = tmp_path / "topology.toml"
    path.write_text(text.replace('publish.deny = ["orders.cancel"]\n', ""))
    process = start(str(path), "--once", "--json")
    out, _ = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 1
    document = json.loads(out)
    assert document["ok"] is False
    assert [step["held"] for step in document["data"]["steps"]] == [True, True, True, False, True]
    assert "was not refused pub orders.cancel" in document["data"]["steps"][3]["text"]
    assert left_behind() == []


def test_it_serves_until_a_signal_and_tells_programs_where(brief: str, start: Start, left_behind: LeftBehind) -> None:
    process = start(brief, "--json")
    document = read_document(process)
    (node,) = document["data"]["nodes"]
    assert Path(document["data"]["credentials"]["shop/customer"]).is_file()
    with socket.create_connection(("127.0.0.1", int(node["client_url"].rpartition(":")[2])), 5) as connection:
        assert connection.recv(4) == b"INFO"
    assert left_behind() != []
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert left_behind() == []


def test_a_node_that_ends_while_serving_is_told(brief: str, start: Start) -> None:
    process = start(brief)
    assert process.stdout is not None
    lines = []
    pid = 0
    for line in process.stdout:
        lines.append(line)
        if ", pid " in line and "n1:" in line:
            pid = int(line.split("pid ")[1].split(",")[0])
        if "serving until Ctrl-C" in line:
            os.kill(pid, signal.SIGKILL)
        if "node n1 has ended" in line:
            break
    else:
        pytest.fail("".join(lines))
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_before_it_serves_it_cleans_up(
    number: signal.Signals, start: Start, left_behind: LeftBehind
) -> None:
    process = start("single", "--once")
    assert process.stdout is not None
    assert process.stdout.readline().startswith("[INFO] issued operator")
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err == "[ERR ] interrupted\n"
    assert left_behind() == []


def test_nodes_end_even_if_it_is_killed(tmp_path: Path, brief: str, start: Start) -> None:
    folder = tmp_path / "kept"
    process = start(brief, "--json", "--directory", str(folder))
    (node,) = read_document(process)["data"]["nodes"]
    process.kill()
    process.wait(10)
    deadline = time.monotonic() + 15
    while alive(node["pid"]) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(node["pid"])


def alive(pid: int) -> bool:
    """A process that nobody has waited for yet has ended all the same."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def test_a_directory_is_kept_and_ports_can_be_chosen(tmp_path: Path, brief: str, start: Start) -> None:
    base = free_base()
    folder = tmp_path / "kept"
    process = start(brief, "--once", "--json", "--directory", str(folder), "--base-port", str(base))
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, out + err
    (node,) = json.loads(out)["data"]["nodes"]
    assert node["client_url"] == f"nats://127.0.0.1:{base}"
    assert node["monitor_url"] == f"http://127.0.0.1:{base + 4000}"
    assert sorted(path.name for path in folder.iterdir()) == ["n1.conf", "n1.log", "trust", "trust.conf"]
    assert (folder / "trust.conf").stat().st_mode & 0o077 == 0
    again = start(brief, "--once", "--directory", str(folder))
    _, err = again.communicate(timeout=20)
    assert again.returncode == 1
    assert err == f"[ERR ] {folder} is not empty - name a new folder with --directory\n"


def test_a_taken_port_is_told_with_its_remedy(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = start("single", "--once", "--base-port", str(port))
        _, err = process.communicate(timeout=20)
    assert process.returncode == 1
    assert err.startswith(f"[ERR ] port {port}, meant for node n1, is taken - ")
    assert err.count("\n") == 1


def free_base() -> int:
    """A port that is free with the two that belong to it."""
    for base in range(20_000, 21_000, 7):
        with socket.socket() as one, socket.socket() as two, socket.socket() as three:
            try:
                for place, trial in zip((0, 2000, 4000), (one, two, three), strict=True):
                    trial.bind(("127.0.0.1", base + place))
            except OSError:
                continue
            return base
    pytest.fail("no free ports")


def read_document(process: "subprocess.Popen[str]") -> dict[str, Any]:
    """The JSON document of a process that goes on."""
    assert process.stdout is not None
    text = ""
    for line in process.stdout:
        text += line
        if line == "}\n":
            document: dict[str, Any] = json.loads(text)
            return document
    raise AssertionError(f"no document: {text}")
