"""``--signal`` (spec client-protocol section 26.1)."""

import signal
import subprocess

import pytest

from gossamer.mesh.options.flags import FlagExit
from gossamer.mesh.options.signal import RunningProcesses, _is_node, send_signal


class Machine:
    """Some nodes, some files, and what was sent to whom."""

    def __init__(self, *nodes, files=()):
        self._nodes = list(nodes)
        self._files = dict(files)
        self.sent = []

    def nodes(self):
        return self._nodes

    def read(self, path):
        return self._files.get(path)

    def send(self, process, number):
        if process == 999:
            raise ProcessLookupError(3, "No such process")
        self.sent.append((process, number))


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("stop", signal.SIGKILL),
        ("quit", signal.SIGINT),
        ("term", signal.SIGTERM),
        ("reopen", signal.SIGUSR1),
        ("ldm", signal.SIGUSR2),
        ("reload", signal.SIGHUP),
    ],
)
def test_words(word, number):
    machine = Machine(7)
    assert send_signal(word, machine) == FlagExit()
    assert machine.sent == [(7, number)]


def test_targets():
    machine = Machine(12, 123, 45, files={"p/id.pid": "77\n"})
    for target, sent in (("=45", [45]), ("=p/id.pid", [77]), ("=12*", [12, 123]), ("=*", [12, 123, 45]), ("=9*", [])):
        machine.sent.clear()
        assert send_signal(f"reload{target}", machine) == FlagExit()
        assert [process for process, _ in machine.sent] == sent


@pytest.mark.parametrize(
    ("argument", "nodes", "text"),
    [
        ("reload", (), "no nats-server processes running"),
        ("reload", (1, 2), "multiple nats-server processes running:\n1\n2"),
        ("foo=5", (), 'unknown signal "foo"'),
        ("foo", (5,), 'unknown signal "foo"'),
        ("reload=abc", (), "invalid pid: abc"),
        ("a=b=c", (), "invalid signal parameters: [c]"),
        ("reload=999", (), '\nsignal "reload" 999: no such process'),
    ],
)
def test_refusals(argument, nodes, text):
    assert send_signal(argument, Machine(*nodes)) == FlagExit(stderr=f"nats-server: {text}\n", code=1)


@pytest.mark.parametrize(
    ("words", "is_node"),
    [
        (["nats-server", "-p", "1"], True),
        (["/usr/bin/nats-server"], True),
        (["/usr/bin/python3.11", "/usr/bin/gossamer", "serve"], True),
        (["python", "-m", "gossamer.operator.cli", "serve", "-c", "f"], True),
        (["gossamer", "check", "f"], False),
        (["vim", "nats-server"], False),
        (["python", "nats-server-tests.py"], False),
        ([], False),
    ],
)
def test_what_counts_as_a_node(words, is_node):
    assert _is_node(words) is is_node


def test_the_real_machine():
    """A process of our own, called like a node, is found and gets the signal."""
    child = subprocess.Popen(["nats-server", "30"], executable="/bin/sleep")
    try:
        machine = RunningProcesses()
        while child.pid not in machine.nodes():
            assert child.poll() is None
        assert send_signal(f"term={child.pid}", machine) == FlagExit()
        assert child.wait(10) == -signal.SIGTERM
    finally:
        child.kill()
        child.wait(10)
