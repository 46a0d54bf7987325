"""Topology files: what is wrong with one is said with the file, the key, and what to do."""

from pathlib import Path

import pytest
from msgspec import structs

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


CLUSTERS = """
description = "for tests"
operator = "test"

[[clusters]]
name = "west"
nodes = [{ name = "w1" }, { name = "w2", routes = ["w1"] }]

[[clusters]]
name = "east"
nodes = [{ name = "e1" }]

[[clusters]]
name = "edge"
nodes = [{ name = "leaf" }]
remotes = [{ hub = "west", tenant = "site", user = "shop/link" }]

[[latency]]
between = ["west", "east"]
round_trip_ms = 20.5

[[latency]]
between = ["edge", "west"]
round_trip_ms = 4

[[tenants]]
name = "shop"
users = [{ name = "link" }, { name = "customer" }]
clusters = ["west", "east"]

[[tenants]]
name = "site"
users = [{ name = "worker" }]
clusters = ["edge"]

[[services]]
name = "print"
user = "site/worker"
node = "leaf"
subject = "print"

[[tour]]
step = "island"
cluster = "edge"
inside = "site/worker@leaf"
outside = "shop/customer@e1"
subject = "news"
service = "print"
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


def test_a_mesh_of_clusters_is_read_as_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "topology.toml"
    path.write_text(CLUSTERS)
    found = reading.read(path)
    west, east, edge = found.clusters
    assert found.node_names == ("w1", "w2", "e1", "leaf")
    assert [cluster.is_leaf for cluster in found.clusters] == [False, False, True]
    assert found.gateway_peers(west) == (east,)
    assert found.gateway_peers(edge) == ()
    assert found.leaf_clusters(west) == (edge,)
    assert found.cluster_of("w2") is west
    assert found.homes("shop") == ("w1", "w2", "e1")
    assert found.homes("shop", "site") == ()
    assert found.distance_ms("west", "east") == 20.5
    assert found.distance_ms("east", "edge") == found.distance_ms("edge", "east") == 24.5


def test_the_distance_over_several_leaf_links_is_their_sum(tmp_path: Path) -> None:
    path = tmp_path / "topology.toml"
    leaf_of_leaf = """
[[clusters]]
name = "far"
nodes = [{ name = "f1" }]
remotes = [{ hub = "edge", tenant = "site", user = "site/worker" }]

[[latency]]
between = ["edge", "far"]
round_trip_ms = 3
"""
    known = CLUSTERS.replace('clusters = ["edge"]', 'clusters = ["edge", "far"]')
    path.write_text(known.replace("[[latency]]", f"{leaf_of_leaf}\n[[latency]]", 1))
    found = reading.read(path)
    assert found.distance_ms("far", "east") == found.distance_ms("east", "far") == 27.5
    assert found.distance_ms("far", "edge") == 3


CLUSTERS_BROKEN = [
    ('name = "east"', 'name = "west"', "clusters: 'west' is declared twice"),
    ('name = "e1"', 'name = "w1"', "nodes: 'w1' is declared twice"),
    ('name = "e1"', 'name = "relay"', "nodes: 'relay' is the name of a container beside the nodes"),
    ('routes = ["w1"]', 'routes = ["e1"]', "clusters[0].nodes[1].routes: there is no node 'e1' (there are: w1, w2)"),
    (', routes = ["w1"]', "", "clusters[0].nodes[1].routes: no route joins 'w2' with 'w1'"),
    ('hub = "west"', 'hub = "north"', "clusters[2].remotes[0].hub: there is no cluster 'north'"),
    ('hub = "west"', 'hub = "edge"', "clusters[2].remotes[0].hub: 'edge' is the cluster itself"),
    ('tenant = "site"', 'tenant = "shop"', "clusters[2].remotes[0].tenant: cluster 'edge' does not know 'shop'"),
    ('user = "shop/link"', 'user = "site/worker"', "clusters[2].remotes[0].user: cluster 'west' does not know 'site'"),
    ('user = "shop/link"', 'user = "shop/nobody"', "clusters[2].remotes[0].user: there is no user 'shop/nobody'"),
    (
        'nodes = [{ name = "e1" }]',
        'nodes = [{ name = "e1" }]\nremotes = [{ hub = "edge", tenant = "shop", user = "site/worker" }]',
        "latency[0].between: no gateway or leaf link joins 'west' and 'east'",
    ),
    (
        'nodes = [{ name = "w1" }, ',
        'remotes = [{ hub = "edge", tenant = "shop", user = "site/worker" }]\nnodes = [{ name = "w1" }, ',
        "clusters: their remotes go round in a ring",
    ),
    ('between = ["edge", "west"]', 'between = ["edge", "east"]', "no gateway or leaf link joins 'edge' and 'east'"),
    (
        'between = ["edge", "west"]',
        'between = ["east", "west"]',
        "latency[0].between: 'west' and 'east' are told of twice",
    ),
    ('between = ["edge", "west"]', 'between = ["edge", "south"]', "latency[1].between: there is no cluster 'south'"),
    ('clusters = ["edge"]', 'clusters = ["ledge"]', "tenants[1].clusters: there is no cluster 'ledge'"),
    ('node = "leaf"', 'node = "w1"', "services[0].node: node 'w1' does not know tenant 'site'"),
    ('operator = "test"', 'operator = "test"\ncluster = "test"', "cluster: belongs to a topology with nodes"),
    (
        'operator = "test"',
        'operator = "test"\nnodes = [{ name = "x" }]',
        "say either nodes, for one cluster, or clusters",
    ),
    ('inside = "site/worker@leaf"', 'inside = "site/worker"', "tour[0].inside: "),
    (
        'inside = "site/worker@leaf"',
        'inside = "site/worker@w1"',
        "tour[0].inside: node 'w1' does not know tenant 'site'",
    ),
    (
        'inside = "site/worker@leaf"',
        'inside = "shop/link@w1"',
        "tour[0].inside: 'shop/link@w1' is not in cluster 'edge'",
    ),
    ('outside = "shop/customer@e1"', 'outside = "site/worker@leaf"', "'site/worker@leaf' is in cluster 'edge'"),
    ('cluster = "edge"\ninside', 'cluster = "east"\ninside', "tour[0].cluster: 'east' has no leaf links"),
    ('service = "print"', 'service = "fax"', "tour[0].service: there is no service 'fax'"),
]


@pytest.mark.parametrize(("what", "becomes", "says"), CLUSTERS_BROKEN, ids=[says for _, _, says in CLUSTERS_BROKEN])
def test_a_broken_mesh_of_clusters_is_told_with_its_key(tmp_path: Path, what: str, becomes: str, says: str) -> None:
    assert what in CLUSTERS
    assert says in read(tmp_path, CLUSTERS.replace(what, becomes, 1)).message


CLUSTER_STEPS = [
    (
        'step = "nearest"\nsubject = "x"\naskers = ["shop/customer@w1"]',
        "tour[1].subject: 0 services answer on 'x', it needs 1 or more",
    ),
    (
        'step = "takeover"\nsubject = "print"\nasker = "shop/customer@w1"',
        "tour[1].subject: 1 services answer on 'print', it needs 2 or more",
    ),
    (
        'step = "cloud-loss"\ncluster = "west"\nsubject = "print"\nasker = "shop/customer@w1"',
        "tour[1].asker: 'shop/customer@w1' would die with cluster 'west'",
    ),
    (
        'step = "events"\nsubject = "a.>"\npublishers = ["shop/customer@w1"]\nsubscribers = ["shop/nobody@w1"]',
        "tour[1].subscribers[0]: there is no user 'shop/nobody'",
    ),
    (
        'step = "isolation"\nuser = "shop/customer"\nstranger = "site/worker"\nsubject = "a"',
        "tour[1]: there are no two nodes that know both tenants",
    ),
    ('step = "survival"\nuser = "shop/customer"\nsubject = "a"', "tour[1]: is for meshes of one cluster"),
    (
        'step = "withdrawal"\nsubject = "a"\nresponder = "shop/customer@w9"\naskers = ["shop/customer@w1"]',
        "tour[1].responder: there is no node 'w9'",
    ),
]


@pytest.mark.parametrize(("step", "says"), CLUSTER_STEPS, ids=[says for _, says in CLUSTER_STEPS])
def test_a_step_over_clusters_that_could_not_be_walked_is_told(tmp_path: Path, step: str, says: str) -> None:
    assert says in read(tmp_path, f"{CLUSTERS}\n[[tour]]\n{step}\n").message


@pytest.mark.parametrize("name", reading.names())
def test_all_that_come_with_gossamer_are_good(name: str) -> None:
    found = reading.read(reading.find(name))
    assert found.tour
    assert found.description


def test_those_that_are_promised_are_there() -> None:
    promised = {"single", "three-nodes", "mixed", "three-clouds", "three-clouds-mixed", "edge"}
    assert promised <= set(reading.names())
    mixed = reading.read(reading.find("mixed"))
    assert [node.kind for node in mixed.nodes] == ["gossamer", "gossamer", "nats-server"]
    three = reading.read(reading.find("three-nodes"))
    assert {node.kind for node in three.nodes} == {"gossamer"}
    assert any(isinstance(step, DeniedStep) for step in three.tour)


def test_the_mixed_clouds_are_the_three_clouds_with_one_of_another_kind() -> None:
    ours, mixed = (reading.read(reading.find(name)) for name in ("three-clouds", "three-clouds-mixed"))
    assert {node.kind for node in ours.all_nodes} == {"gossamer"}
    assert [len(cluster.nodes) for cluster in ours.clusters] == [3, 3, 3, 1]
    for one, other in zip(ours.clusters, mixed.clusters, strict=True):
        kind = "nats-server" if one.name == "rome" else "gossamer"
        assert other == structs.replace(one, nodes=tuple(structs.replace(node, kind=kind) for node in one.nodes))
    assert mixed == structs.replace(
        ours, description=mixed.description, operator="three-clouds-mixed", clusters=mixed.clusters
    )


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
