"""``cluster { permissions { import, export } }``: what interest crosses a route (routes section 15)."""

from collections.abc import Iterator

import pytest
from comparison import split_frames
from peers import Peers

from gossamer.mesh.engine.reference import EVERYTHING, ReferencePermissions

ONLY_A = ReferencePermissions(publish_allow=(b"a.>",), subscribe_allow=((b"a.>", b""),))


@pytest.fixture
def node() -> Iterator[Peers]:
    made = Peers()
    made.account(b"A")
    yield made
    made.finish()


def importing(*allow: bytes, deny: tuple[bytes, ...] = ()) -> ReferencePermissions:
    return ReferencePermissions(publish_allow=allow or None, publish_deny=deny)


def exporting(*allow: bytes, deny: tuple[bytes, ...] = ()) -> ReferencePermissions:
    return ReferencePermissions(
        subscribe_allow=tuple((one, b"") for one in allow) or None,
        subscribe_deny=tuple((one, b"") for one in deny),
    )


def join(node: Peers, permissions: ReferencePermissions, link: int = 0) -> int:
    """A route with these permissions; with ``link`` once more."""
    if not link:
        return node.join_raw(permissions=permissions)
    node.engine.join_route(link, node=1001, headers=True, pooled=False, permissions=node.compiled(permissions))
    node.settle()
    return link


def told(node: Peers, link: int) -> list[bytes]:
    return sorted(line.strip() for line in split_frames(node.take(link)))


def test_only_what_may_be_imported_is_announced(node: Peers) -> None:
    local = node.client()
    node.feed(local, b"SUB a.x 1\r\nSUB b.x 2\r\nSUB a.q q 3\r\nSUB b.q q 4\r\n")
    route = join(node, importing(b"a.>"))
    assert told(node, route) == [b"RS+ A a.q q 1", b"RS+ A a.x"]
    node.feed(local, b"SUB a.y 5\r\nSUB b.y 6\r\nSUB > 7\r\nSUB a.> 8\r\nSUB a.*.c 9\r\n")
    assert told(node, route) == [b"RS+ A a.*.c", b"RS+ A a.>", b"RS+ A a.y"]
    node.feed(local, b"UNSUB 5\r\nUNSUB 6\r\nUNSUB 7\r\nUNSUB 2\r\n")
    assert told(node, route) == [b"RS- A a.y"]


def test_a_denied_import_keeps_its_subject_and_not_the_wildcards_around_it(node: Peers) -> None:
    local = node.client()
    route = join(node, importing(deny=(b"a.secret",)))
    node.feed(local, b"SUB a.secret 1\r\nSUB a.* 2\r\nSUB b 3\r\n")
    assert told(node, route) == [b"RS+ A a.*", b"RS+ A b"]


def test_only_what_may_be_exported_is_kept(node: Peers) -> None:
    local, route = node.client(), join(node, exporting(b"a.>"))
    node.feed(route, b"RS+ A a.x\r\nRS+ A b.x\r\nRS+ A >\r\nRS+ A b.q q 1\r\n")
    assert [one.subject for one in node.engine.subscriptions()] == [b"a.x"]
    node.feed(local, b"PUB a.x 1\r\n1\r\nPUB b.x 1\r\n2\r\nPUB b.q 1\r\n3\r\n")
    assert node.take(route) == b"RMSG A a.x 1\r\n1\r\n"
    node.feed(route, b"RS- A b.x\r\nRS- A a.x\r\n")
    assert node.engine.subscriptions() == []


def test_a_denied_export_is_kept_back_from_a_wildcard(node: Peers) -> None:
    local, route = node.client(), join(node, exporting(deny=(b"a.secret",)))
    node.feed(route, b"RS+ A a.*\r\nRS+ A a.secret\r\n")
    node.feed(local, b"PUB a.open 1\r\n1\r\nPUB a.secret 1\r\n2\r\n")
    assert node.take(route) == b"RMSG A a.open 1\r\n1\r\n"


def test_messages_are_not_judged_when_they_arrive(node: Peers) -> None:
    local, route = node.client(), join(node, ONLY_A)
    node.feed(local, b"SUB b 1\r\n")
    node.feed(route, b"RMSG A b 1\r\n1\r\n")
    assert node.take(local) == b"MSG b 1 1\r\n1\r\n"


def test_interest_of_leaf_nodes_is_interest(node: Peers) -> None:
    leaf = node.leaf(b"EDGE")
    route = node.open_route_with_origins()
    node.take(route)
    node.engine.join_route(
        route,
        node=route,
        headers=True,
        pooled=False,
        leaf_origin=True,
        leaf_origin_unsubscribe=True,
        permissions=node.compiled(importing(b"a.>")),
    )
    node.settle()
    node.feed(leaf, b"LS+ a.x\r\nLS+ b.x\r\nLS+ a.q q 2\r\n")
    assert told(node, route) == [b"LS+ EDGE A a.q q 2", b"LS+ EDGE A a.x"]


def test_other_permissions_on_a_live_route(node: Peers) -> None:
    local = node.client()
    node.feed(local, b"SUB a.x 1\r\nSUB b.x 2\r\nSUB b.q q 3\r\n")
    route = join(node, EVERYTHING)
    assert told(node, route) == [b"RS+ A a.x", b"RS+ A b.q q 1", b"RS+ A b.x"]
    node.feed(route, b"RS+ A a.y\r\nRS+ A b.y\r\n")
    join(node, ONLY_A, route)
    assert told(node, route) == [b"RS+ A a.x", b"RS- A b.q q", b"RS- A b.x"]
    node.feed(local, b"PUB a.y 1\r\n1\r\nPUB b.y 1\r\n2\r\n")
    assert node.take(route) == b"RMSG A a.y 1\r\n1\r\n"
    join(node, EVERYTHING, route)
    assert told(node, route) == [b"RS+ A a.x", b"RS+ A b.q q 1", b"RS+ A b.x"]
    node.feed(route, b"RS+ A b.y\r\n")
    node.feed(local, b"PUB b.y 1\r\n2\r\n")
    assert node.take(route) == b"RMSG A b.y 1\r\n2\r\n"
