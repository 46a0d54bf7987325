"""Orders to a server that are no orders (spec system-and-monitoring 6.3)."""

from types import SimpleNamespace

import pytest

from gossamer.mesh.engine.events import Message
from gossamer.mesh.system.orders import Orders


@pytest.mark.parametrize(
    ("body", "kicked"),
    [
        (b'{"cid": 1}', [1]),
        (b'{"cid": true}', []),  # equal to 1 in Python, but no number
        (b'{"cid": 1.0}', []),
        (b'{"cid": "1"}', []),
        (b'{"cid": null}', []),
        (b"[1]", []),
        (b"1", []),
        (b"{", []),
        (b"[" * 10_000, []),
        (b"", []),
    ],
)
def test_only_a_number_names_a_client(body, kicked):
    asked, handlers = [], {}

    def subscribe(account, subject, handler):
        handlers[subject.rpartition(b".")[2]] = handler

    clients = SimpleNamespace(kick=lambda cid: asked.append(cid) or True)
    voice = SimpleNamespace(account=SimpleNamespace(number=2), server_id="NID", agree=lambda request: None)
    node = SimpleNamespace(
        subscribe=subscribe,
        clients=clients,
        name="n",
        cluster_name="",
        options=SimpleNamespace(host="0.0.0.0", server_tags=()),
    )
    Orders(node, voice).start()
    handlers[b"KICK"](Message(1, 2, b"$SYS.REQ.SERVER.NID.KICK", b"", 0, body, 5))
    assert asked == kicked
