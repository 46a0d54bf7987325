"""What accounts share changes while they are used: a reloaded configuration (spec auth section 24.2), cycles, loops."""

import pytest
from shapes import Shape, join, service, stream, take_service, take_stream

from gossamer.mesh.testing.process import ServerError


def shape(exports=(), imports=()):
    return Shape(A={"exports": list(exports)}, B={"imports": list(imports)})


BOTH = shape([service("q.*"), stream("ev.>")], [take_service("A", "q.*", "ask.*"), take_stream("A", "ev.>", "in.>")])


@pytest.fixture
def running(start_server, dial):
    """A server that follows shapes, and clients of both accounts that stay."""

    class Running:
        def __init__(self):
            self.server = start_server(config=BOTH.text("config"))
            self.exporter, self.importer = (join(dial, self.server, BOTH, "config", user) for user in "AB")
            self.exporter.subscribe("q.*", "q")
            self.importer.subscribe("in.>", "in")
            self.importer.subscribe("inb", "inb")
            self.exporter.ping()
            self.importer.ping()

        def follow(self, changed):
            self.server.reload(changed.text("config"))

        def flows(self):
            self.importer.publish("ask.1", b"r", reply="inb")
            self.importer.read_messages_until_pong()
            self.exporter.publish("ev.1", b"e")
            return [
                any(message.sid == sid for message in client.read_messages_until_pong())
                for client, sid in ((self.exporter, b"q"), (self.importer, b"in"))
            ]

    return Running()


def test_imports_come_and_go_without_reconnecting(running):
    assert running.flows() == [True, True]
    running.follow(shape([service("q.*"), stream("ev.>")], [take_service("A", "q.*", "ask.*")]))
    assert running.flows() == [True, False]
    running.follow(shape([service("q.*"), stream("ev.>")], [take_stream("A", "ev.>", "in.>")]))
    assert running.flows() == [False, True]
    running.follow(shape())
    assert running.flows() == [False, False]
    running.follow(BOTH)
    assert running.flows() == [True, True]


def test_an_import_that_is_not_authorised_is_refused_and_nothing_changes(running):
    with pytest.raises(ServerError, match="stream import not authorized"):
        running.follow(shape([service("q.*")], [take_stream("A", "ev.>", "in.>")]))
    assert running.flows() == [True, True]


@pytest.mark.only_server("gossamer", reason="nats-server lets an answer through although its import has ended")
def test_an_answer_under_way_is_dropped_when_its_import_ends(running):
    running.importer.publish("ask.1", b"r", reply="inb")
    running.importer.ping()
    (request,) = running.exporter.read_messages_until_pong()
    running.follow(shape([service("q.*")]))
    running.exporter.publish(request.reply.decode(), b"late")
    running.exporter.ping()
    assert running.importer.read_messages_until_pong() == []


def test_sharing_begins_and_ends_for_who_is_here(running):
    def asked():
        running.importer.publish("ask.1", b"r")
        running.importer.ping()
        (request,) = running.exporter.read_messages_until_pong()
        return b'"user":"b"' in request.headers

    def imports(share):
        return shape([service("q.*")], [take_service("A", "q.*", "ask.*", share=share)])

    assert not asked()
    running.follow(imports(True))
    assert asked()
    running.follow(imports(False))
    assert not asked()
    running.follow(imports(True))
    assert asked()


CYCLE = {
    "service": Shape(
        A={"exports": [service("a.*")], "imports": [take_service("B", "b.x", "a.x")]},
        B={"exports": [service("b.*")], "imports": [take_service("A", "a.x", "b.x")]},
    ),
    "stream": Shape(
        A={"exports": [stream("a.>")], "imports": [take_stream("B", "a.>")]},
        B={"exports": [stream("a.>")], "imports": [take_stream("A", "a.>")]},
    ),
}


@pytest.mark.parametrize("kind", CYCLE)
def test_a_cycle_in_a_configuration_is_refused(server_kind, tmp_path, kind):
    path = tmp_path / "f.conf"
    path.write_text(CYCLE[kind].text("config"))
    done = server_kind.run("-t", "-c", str(path))
    assert done.returncode == 1
    assert "import forms a cycle" in done.stderr + done.stdout


@pytest.mark.parametrize("mode", ["operator"])
@pytest.mark.parametrize("kind", CYCLE)
def test_of_a_cycle_of_claims_one_import_is_left_out(place, kind):
    """Both accounts load, and whoever publishes is heard at home and in one other account at most."""
    here = place(CYCLE[kind])
    first, second = here.join("A"), here.join("B")
    for client in (first, second):
        client.subscribe(">", "all")
        client.ping()
    subject = "a.x" if kind == "service" else "a.y"
    heard = []
    for publisher, other in ((first, second), (second, first)):
        publisher.publish(subject if publisher is first or kind == "stream" else "b.x", b"p")
        assert len(publisher.read_messages_until_pong()) == 1
        heard.append(len(other.read_messages_until_pong()))
    assert sorted(heard) == [0, 1]
