"""The documents of both servers in the same situation: the same fields, in the same order, with values of one type."""

import json
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from gossamer.mesh.testing.process import GossamerProcess, NatsServerProcess, ServerProcess
from gossamer.mesh.testing.wire import WireClient

CONFIG = """
server_tags: ["az:1", gold]
server_metadata: { rack: r0 }
accounts {
  A: { users: [ { user: a, password: p } ] }
  SYS: { users: [ { user: s, password: p } ] }
}
system_account: SYS
"""
#: Of Go's runtime, of what git built it, of memory that JetStream does not use here.
ABSENT_HERE = {"git_commit", "gomemlimit", "feature_flags"}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Any:
    reason = NatsServerProcess.missing()
    if reason is not None:
        pytest.skip(reason)
    running: list[ServerProcess] = []
    clients: list[WireClient] = []
    kinds: tuple[type[ServerProcess], ...] = (GossamerProcess, NatsServerProcess)
    for kind in kinds:
        server = kind(tmp_path_factory.mktemp(kind.kind), config=CONFIG, monitor=True).start()
        running.append(server)
        for name, user in (("first", "a"), ("second", "s")):
            client = WireClient(server.address)
            client.read_info()
            client.connect(user=user, name=name, lang="test", version="1.0", **{"pass": "p"})
            client.send(b"SUB watched.> group 7\r\nPUB watched.x 2\r\nhi\r\nPING\r\n")
            client.expect(b"MSG watched.x 7 2\r\nhi\r\nPONG\r\n")
            clients.append(client)
        gone = WireClient(server.address)
        gone.read_info()
        gone.connect(user="a", name="gone", **{"pass": "p"})
        gone.ping()
        gone.close()
        closed = 0
        while not closed:
            closed = server.monitor("/connz?state=closed")["total"]
    yield running
    for client in clients:
        client.close()
    for server in running:
        server.stop()


def shape(value: Any) -> Any:
    """The types, and the names in their order."""
    if isinstance(value, dict):
        return {name: shape(part) for name, part in value.items()}
    if isinstance(value, list):
        return [shape(value[0])] if value else []
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else type(value).__name__


def without(document: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name not in names}


@pytest.mark.parametrize(
    "path",
    [
        "/connz",
        "/connz?auth=1",
        "/connz?subs=1&limit=1",
        "/connz?subs=detail&sort=subs",
        "/connz?state=closed",
        "/connz?state=closed&auth=1&sort=stop",
        "/connz?state=all&sort=cid",
        "/connz?cid=424242",
        "/connz?acc=A",
        "/connz?acc=nobody",
        "/connz?user=a&auth=1",
        "/subsz",
        "/subsz?subs=1&acc=A&test=watched.y&limit=1",
        "/subsz?subs=1&acc=A&test=watched.y",
        "/routez",
    ],
)
def test_same_fields(pair: Any, path: str) -> None:
    ours, theirs = (shape(server.monitor(path)) for server in pair)
    assert json.dumps(ours, indent=1) == json.dumps(theirs, indent=1)


def test_same_fields_in_varz(pair: Any) -> None:
    ours, theirs = (server.monitor("/varz") for server in pair)
    assert set(theirs) - set(ours) <= ABSENT_HERE
    assert set(ours) <= set(theirs)
    assert shape(without(ours, ABSENT_HERE)) == shape(without(theirs, ABSENT_HERE))


def test_same_numbers(pair: Any) -> None:
    names = ["connections", "total_connections", "in_msgs", "out_msgs", "in_bytes", "out_bytes", "in_client_msgs"]
    names += [
        "out_client_msgs",
        "max_payload",
        "max_pending",
        "ping_interval",
        "write_deadline",
        "auth_timeout",
        "tags",
    ]
    ours, theirs = (server.monitor("/varz") for server in pair)
    assert {name: ours[name] for name in names} == {name: theirs[name] for name in names}
    rows = ["kind", "type", "ip", "in_msgs", "out_msgs", "in_bytes", "out_bytes", "subscriptions", "name", "lang"]
    rows += ["version", "authorized_user", "account", "name_tag", "pending_bytes"]
    shown = []
    for server in pair:
        found = server.monitor("/connz?auth=1")["connections"]
        shown.append([{name: row.get(name) for name in rows} for row in found])
    assert shown[0] == shown[1]


@pytest.mark.parametrize(
    "path",
    [
        "/healthz",
        "/healthz?stream=S",
        "/healthz?consumer=C",
        "/healthz?consumer=C&details=1",
        "/healthz?account=A&details=1",
        "/connz?sort=bogus",
        "/connz?sort=stop",
        "/connz?limit=1x",
        "/connz?auth=x",
        "/connz?cid=-1",
        "/connz?state=half",
        "/subsz?test=a.*",
        "/subsz?limit=z",
        "/routez?subs=z",
        "/nosuch",
        "/varz/",
    ],
)
def test_same_answers(pair: Any, path: str) -> None:
    answers = [_answer(f"http://{server.host}:{server.monitor_port}{path}") for server in pair]
    assert answers[0] == answers[1]


def _answer(url: str) -> tuple[int, str | None, str | None, bytes]:
    opened: Callable[..., Any] = urllib.request.urlopen
    try:
        answer = opened(url, timeout=5)
    except urllib.error.HTTPError as error:
        answer = error
    with answer:
        headers = answer.headers
        return answer.status, headers["Content-Type"], headers["Access-Control-Allow-Origin"], answer.read()
