"""Topology files: what is wrong with one is said with the file, the key, and what to do."""

from pathlib import Path

import pytest

from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.up import reading
from gossamer.operator.up.topology import DeniedStep, RequestStep

GOOD = """
description = "for tests"
operator = "test"
cluster = "test"

[[nodes]]
name = "n1"

[[nodes]]
name = "n2"
kind = "nats-server"
routes = ["n1"]

[[tenants]]
name = "shop"

[[tenants.users]]
name = "customer"
publish.allow = ["orders.>"]
subscribe.allow = ["orders.> workers"]

[[tenants]]
name = "bank"
users = [{ name = "auditor" }]

[[services]]
name = "orders"
user = "shop/customer"
node = "n1"
subject = "orders.place"

[[tour]]
step = "request"
service = "orders"
user = "shop/customer"
node = "n2"
"""


def read(tmp_path: Path, text: str) -> Failure:
    """Read a broken file and return what is said about it."""
    path = tmp_path / "topology.toml"
    path.write_text(text)
    with pytest.raises(Failure) as caught:
        reading.read(path)
    assert caught.value.message.startswith(f"{path}: ")
    assert caught.value.exit_code == ExitCode.INVALID
    assert caught.value.hint
    return caught.value


def test_a_good_file_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "topology.toml"
    path.write_text(GOOD)
    found = reading.read(path)
    assert found.node_names == ("n1", "n2")
    assert [node.kind for node in found.nodes] == ["gossamer", "nats-server"]
    assert found.tenants[0].users[0].publish.allow == ("orders.>",)
    assert found.tour == (RequestStep(service="orders", user="shop/customer", node="n2"),)


@pytest.mark.parametrize("name", reading.names())
def test_all_that_come_with_gossamer_are_good(name: str) -> None:
    found = reading.read(reading.find(name))
    assert found.tour
    assert found.description


def test_the_three_that_are_promised_are_there() -> None:
    assert {"single", "three-nodes", "mixed"} <= set(reading.names())
    mixed = reading.read(reading.find("mixed"))
    assert [node.kind for node in mixed.nodes] == ["gossamer", "gossamer", "nats-server"]
    three = reading.read(reading.find("three-nodes"))
    assert {node.kind for node in three.nodes} == {"gossamer"}
    assert any(isinstance(step, DeniedStep) for step in three.tour)


BROKEN = [
    ('description = "for tests"\n', "", "object missing required field `description`", "add it"),
    ('operator = "test"', "operator = 5", "operator: expected `str`, got `int`", "README"),
    ('kind = "nats-server"', 'kind = "nats"', "nodes[1].kind: invalid enum value 'nats'", "README"),
    ('kind = "nats-server"', 'knid = "nats-server"', "nodes[1]: object contains unknown field `knid`", "'kind'"),
    ('name = "n2"', 'name = "n 2"', "nodes[1].name: ", "letters, digits"),
    ('name = "n2"', 'name = "n1"', "nodes: 'n1' is declared twice", "once"),
    ('step = "request"', 'step = "fly"', "tour[0].step: invalid value 'fly'", "request, queue"),
    ('cluster = "test"', "", "cluster: missing, and there is more than one node", ""),
    ('routes = ["n1"]', 'routes = ["n9"]', "nodes[1].routes: there is no node 'n9' (there are: n1, n2)", ""),
    ('routes = ["n1"]', 'routes = ["n2"]', "nodes[1].routes: 'n2' is the node itself", ""),
    ('routes = ["n1"]', "", "nodes[1].routes: no route joins 'n2' with 'n1'", ""),
    ('node = "n2"', 'node = "n3"', "tour[0].node: there is no node 'n3'", ""),
    ('service = "orders"', 'service = "order"', "tour[0].service: there is no service 'order'", ""),
    (
        'subject = "orders.place"',
        'subject = "orders..place"',
        "services[0].subject: 'orders..place' is not a subject",
        "",
    ),
    ('["orders.>"]', '["orders.>.x"]', "tenants[0].users[0].publish: 'orders.>.x' is not a subject", ""),
    ('name = "bank"', 'name = "SYS"', "tenants[1].name: 'SYS' is the system account", ""),
    ('"auditor"', '"tour-guide"', "'tour-guide' is made for every tenant by itself", ""),
    ("[[nodes]]", "[[nodes", "is not TOML: ", "line"),
]


@pytest.mark.parametrize(("what", "becomes", "says", "hints"), BROKEN, ids=[says[:40] for _, _, says, _ in BROKEN])
def test_a_broken_file_is_told_with_its_key(tmp_path: Path, what: str, becomes: str, says: str, hints: str) -> None:
    assert what in GOOD
    failure = read(tmp_path, GOOD.replace(what, becomes, 1))
    assert says in failure.message
    assert hints in failure.hint


def test_all_faults_between_the_keys_are_told_at_once(tmp_path: Path) -> None:
    text = GOOD.replace('node = "n2"', 'node = "n3"').replace('user = "shop/customer"', 'user = "shop/nobody"')
    failure = read(tmp_path, text)
    assert (
        "services[0].user: there is no user 'shop/nobody' (there are: shop/customer, bank/auditor)" in failure.message
    )
    assert "tour[0].node: there is no node 'n3'" in failure.message


STEPS = [
    (
        'step = "isolation"\nuser = "shop/customer"\nstranger = "shop/customer"\nsubject = "a"',
        "tour[1].stranger: 'shop/customer' is of the same tenant",
    ),
    (
        'step = "queue"\nuser = "shop/customer"\nsubject = "a.*"\ngroup = "g"\nmembers = []\npublishers = ["n1"]',
        "tour[1]: a queue group needs members and publishers",
    ),
    (
        'step = "queue"\nuser = "shop/customer"\nsubject = "a.*"\ngroup = "g"\nmembers = []\npublishers = ["n1"]',
        "tour[1].subject: 'a.*' is not a subject that a message can be sent to",
    ),
    ('step = "survival"\nuser = "shop/customer"\nsubject = "a"', "tour[1]: needs three nodes or more"),
    (
        'step = "survival"\nuser = "shop/customer"\nsubject = "a"\nmessages = 0',
        "tour[1].messages: expected `int` >= 1",
    ),
]


@pytest.mark.parametrize(("step", "says"), STEPS)
def test_a_step_that_could_not_be_walked_is_told(tmp_path: Path, step: str, says: str) -> None:
    assert says in read(tmp_path, f"{GOOD}\n[[tour]]\n{step}\n").message


def test_names_and_paths_find_files(tmp_path: Path) -> None:
    path = tmp_path / "mine" / "topology.toml"
    path.parent.mkdir()
    path.write_text(GOOD)
    assert reading.find(str(path)) == path
    assert reading.find(str(path.parent)) == path
    assert reading.find("mine", home=tmp_path) == path
    assert reading.find("single").parent.name == "single"
    for name in ("nothing", "../topologies", "", str(tmp_path)):
        with pytest.raises(Failure, match="there is no topology") as caught:
            reading.find(name)
        assert caught.value.exit_code == ExitCode.USAGE
        assert "three-nodes" in caught.value.hint


def test_a_file_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="cannot be read: No such file"):
        reading.read(tmp_path / "topology.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(Failure, match="is not TOML"):
        reading.read(tmp_path / "binary.toml")
