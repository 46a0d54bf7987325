"""Who must hear what, by the plan alone."""

import pytest

from gossamer.mesh.sim.oracle import Oracle, Spot
from gossamer.mesh.sim.shapes import cluster, supercluster, with_hub, with_leafs
from gossamer.mesh.sim.topology import LeafPlan, Topology


def federation() -> Topology:
    """c1 (two nodes), c2 (two), c3; ``edge1`` below c1 with A as B there; ``far1`` below edge1; ``branch`` below c2."""
    topology = with_hub(supercluster([2, 2, 1]))
    edge = LeafPlan(
        to=("c1-1", "c1-2"), account="A", hub_account="B", deny_exports=("secret.>",), deny_imports=("t.3",)
    )
    topology = with_leafs(topology, 1, [edge], prefix="edge", hub=True)
    topology = with_leafs(topology, 1, [LeafPlan(to=("edge1",))], prefix="far")
    return with_leafs(topology, 2, [LeafPlan(to=("c2-1",))], prefix="branch", cluster_name="branch")


@pytest.fixture
def oracle() -> Oracle:
    return Oracle(federation())


def test_a_realm_is_one(oracle: Oracle) -> None:
    assert oracle.spot("c1-1", "A") == oracle.spot("c3-1", "A") != oracle.spot("c3-1", "B")
    assert oracle.spot("branch1", "A") == oracle.spot("branch2", "A") != oracle.spot("c1-1", "A")
    assert oracle.cluster("c1-1") == oracle.cluster("c1-2") != oracle.cluster("c2-1")


def test_what_crosses(oracle: Oracle) -> None:
    edge, far, branch = (oracle.spot(name, "A") for name in ("edge1", "far1", "branch1"))
    one, other = oracle.spot("c1-1", "A"), oracle.spot("c1-1", "B")
    assert oracle.reached(far, "x") == {far, edge, other}
    assert oracle.reached(far, "secret.x") == {far, edge}
    assert oracle.reached(other, "t.1") == {other, edge, far}
    assert oracle.reached(other, "t.3") == {other}
    assert oracle.reached(one, "t.1") == {one, branch}
    assert oracle.reached(oracle.spot("edge1", "B"), "t.1") == {oracle.spot("edge1", "B")}
    assert oracle.group(edge) == oracle.group(other) == oracle.group(far) != oracle.group(one)


@pytest.mark.parametrize(
    ("one", "other", "account", "names"),
    [
        ("c1-1", "c1-2", "A", {"c1-1", "c1-2"}),
        ("c1-1", "c2-2", "A", {"c1-1", "c2-1", "c2-2"}),
        ("c3-1", "edge1", "B", {"c3-1", "c1-1", "c1-2", "edge1"}),
        ("far1", "c1-2", "A", {"far1", "edge1", "c1-1", "c1-2"}),
        ("branch1", "c1-1", "A", {"branch1", "c2-1", "c2-2", "c1-1", "c1-2"}),
        ("c1-1", "branch2", "A", {"c1-1", "c2-1", "c2-2", "branch2"}),
    ],
)
def test_on_the_way(oracle: Oracle, one: str, other: str, account: str, names: set[str]) -> None:
    places = {place.host: place.name for place in federation().places}
    assert {places[host] for host in oracle.between(one, other, account)} == names


def test_one_cluster_is_as_it_was() -> None:
    oracle = Oracle(cluster(3))
    assert oracle.reached(oracle.spot("n1", "A"), "x") == {Spot("sim", "A")}
    assert len(oracle.between("n1", "n3", "A")) == 2
