"""``gossamer up``: the whole of every topology, and its end under all circumstances."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gossamer.operator.failure import Failure
from gossamer.operator.up import reading
from gossamer.operator.up.node_process import program
from gossamer.operator.up.topology import Topology

Start = Callable[..., "subprocess.Popen[str]"]
LeftBehind = Callable[[], list[str]]

TIMEOUT_S = 90


#: Set by ``make interop``.
WHOLE = bool(os.environ.get("WHOLE_TOURS"))


@pytest.mark.parametrize("name", ["single", "three-nodes", "mixed"])
def test_a_topology_holds_what_it_promises(name: str, start: Start, left_behind: LeftBehind) -> None:
    holds(name, reading.read(reading.find(name)), start, left_behind)


@pytest.mark.slow
@pytest.mark.skipif(not WHOLE, reason="the tour of a large mesh: make interop walks it; a small one is walked always")
@pytest.mark.parametrize("kind", ["", "nats-server"])
@pytest.mark.parametrize("name", ["three-clouds", "three-clouds-mixed", "edge"])
def test_a_large_topology_holds_what_it_promises(name: str, kind: str, start: Start, left_behind: LeftBehind) -> None:
    holds(name, reading.read(reading.find(name)), start, left_behind, kind)


@pytest.mark.parametrize("kind", ["", "nats-server"])
@pytest.mark.parametrize("name", ["three-clouds", "three-clouds-mixed", "edge"])
def test_a_small_one_holds_what_the_large_one_promises(
    name: str, kind: str, start: Start, left_behind: LeftBehind, small: Callable[[str], Path]
) -> None:
    if kind and name == "three-clouds-mixed":
        pytest.skip("of one kind it is three-clouds")
    path = small(name)
    topology = reading.read(path)
    assert all(len(cluster.nodes) == 1 for cluster in topology.clusters)
    assert [cluster.name for cluster in topology.clusters] == [
        cluster.name for cluster in reading.read(reading.find(name)).clusters
    ]
    holds(str(path), topology, start, left_behind, kind)


def holds(name: str, topology: Topology, start: Start, left_behind: LeftBehind, kind: str = "") -> None:
    """Walk its tour; every step holds, and nothing is left."""
    for node in topology.all_nodes:
        try:
            program(node.kind if kind != "nats-server" else "nats-server")
        except Failure as failure:
            pytest.skip(failure.line())
    process = start(name, "--once", *(("--kind", kind) if kind else ()))
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, out + err
    assert err == ""
    told = [found[1] for found in re.finditer(r"^\[ OK \] ([\w-]+): ", out, re.MULTILINE)]
    assert told == [str(step.__struct_config__.tag) for step in topology.tour]
    assert f"all {len(topology.tour)} steps held" in out
    assert "FAIL" not in out
    if "denied" in told:
        # The refusal is explained in the words of the command line.
        assert "may not publish to orders.cancel: the node says 'permissions violation" in out.lower()
        assert "gossamer explain pub shop/guest orders.cancel" in out
        assert 'rule: deny "orders.cancel"' in out
    assert left_behind() == []


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


def test_it_serves_until_a_signal_and_tells_programs_where(start: Start, left_behind: LeftBehind) -> None:
    process = start("single", "--json")
    document = read_document(process)
    (node,) = document["data"]["nodes"]
    assert Path(document["data"]["credentials"]["shop/customer"]).is_file()
    with socket.create_connection(("127.0.0.1", int(node["client_url"].rpartition(":")[2])), 5) as connection:
        assert connection.recv(4) == b"INFO"
    assert left_behind() != []
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert left_behind() == []


def test_a_node_that_ends_while_serving_is_told(start: Start) -> None:
    process = start("single")
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


def test_nodes_end_even_if_it_is_killed(tmp_path: Path, start: Start) -> None:
    folder = tmp_path / "kept"
    process = start("single", "--json", "--directory", str(folder))
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


def test_a_directory_is_kept_and_ports_can_be_chosen(tmp_path: Path, start: Start) -> None:
    base = free_base()
    folder = tmp_path / "kept"
    process = start("single", "--once", "--json", "--directory", str(folder), "--base-port", str(base))
    out, err = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 0, out + err
    (node,) = json.loads(out)["data"]["nodes"]
    assert node["client_url"] == f"nats://127.0.0.1:{base}"
    assert node["monitor_url"] == f"http://127.0.0.1:{base + 4000}"
    assert sorted(path.name for path in folder.iterdir()) == ["n1.conf", "n1.log", "trust", "trust.conf"]
    assert (folder / "trust.conf").stat().st_mode & 0o077 == 0
    again = start("single", "--once", "--directory", str(folder))
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
