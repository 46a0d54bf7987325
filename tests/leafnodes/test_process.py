"""The program itself as hub and as leaf: the other tests of this folder run our node inside their own process."""

import pytest
from leaf_peers import leaf_url

from gossamer.mesh.testing.process import GossamerProcess


@pytest.fixture
def run(tmp_path_factory):
    """Call with a configuration: a process."""
    started = []

    def start(config):
        server = GossamerProcess(tmp_path_factory.mktemp("process"), config=config)
        started.append(server)
        return server.start()

    yield start
    for server in reversed(started):
        server.stop()


def test_two_processes(run, join):
    hub = run('leafnodes { listen: "127.0.0.1:-1" }')
    leaf = run(f'leafnodes {{ remotes: [ {{ url: "{leaf_url(hub)}" }} ] }}')
    assert "leafnodes" not in hub.ports
    hub.wait_for_log("Leafnode connection created")
    listener, publisher = join(hub), join(leaf)
    listener.subscribe("from.below", 1)
    listener.ping()
    leaf.wait_for_log("Leafnode connection created for account")
    while not (heard := listener.read_messages_until_pong()):
        publisher.publish("from.below", b"x")
        publisher.ping()
    assert heard[0].payload == b"x"
    assert leaf.stop() == 0
    hub.wait_for_log("Leafnode connection closed")
    assert hub.stop() == 0
