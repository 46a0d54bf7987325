"""Clusters in memory: does every pair end up with exactly its connections, whatever the order of things?"""

import itertools

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from route_fabric import SECOND, Cluster

quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
seeds = st.integers(0, 1 << 32)


@pytest.mark.parametrize("size", [2, 3, 4, 5])
def test_a_full_mesh_forms_from_one_seed(size: int) -> None:
    cluster = Cluster(size)
    names = "ABCDE"[:size]
    for name in names:
        cluster.add(name, "A" if name != "A" else "")
    cluster.settle()
    for node in cluster.living:
        assert len(node.manager.routez()) == 4 * (size - 1)


@quick
@given(seed=seeds, size=st.integers(2, 5), gaps=st.lists(st.floats(0, 2), min_size=5, max_size=5))
def test_one_seed_in_any_order_of_start(seed: int, size: int, gaps: list[float]) -> None:
    cluster = Cluster(seed)
    names = list("ABCDE"[:size])
    cluster.time.random.shuffle(names)
    for name, gap in zip(names, gaps, strict=False):
        cluster.add(name, "A" if name != "A" else "")
        cluster.time.run(gap)
    cluster.settle()


@quick
@given(seed=seeds, pool=st.integers(1, 4), size=st.integers(2, 4), slowest=st.sampled_from([0.2, 5.0, 40.0]))
def test_everybody_dials_everybody(seed: int, pool: int, size: int, slowest: float) -> None:
    cluster = Cluster(seed, slowest_ms=slowest)
    names = "ABCD"[:size]
    for name in names:
        cluster.add(name, names.replace(name, ""), pool_size=pool)
    cluster.settle(60.0)


def test_mutual_dialling_converges_within_five_seconds() -> None:
    late = 0
    for seed in range(150):
        cluster = Cluster(seed)
        cluster.add("A", "B")
        cluster.add("B", "A")
        late += not cluster.time.run(5.0, cluster.whole)
    assert late == 0


@quick
@given(seed=seeds, mine=st.integers(-1, 5), theirs=st.integers(-1, 5), mutual=st.booleans())
def test_pools_of_different_size(seed: int, mine: int, theirs: int, mutual: bool) -> None:
    mine, theirs = mine or -1, theirs or -1
    cluster = Cluster(seed)
    cluster.add("A", "B" if mutual else "", pool_size=mine)
    cluster.add("B", "A", pool_size=theirs)
    cluster.settle(60.0)


@quick
@given(seed=seeds)
def test_two_groups_merge(seed: int) -> None:
    cluster = Cluster(seed)
    cluster.add("A")
    cluster.add("B", "A")
    cluster.add("C")
    cluster.add("D", "C")
    cluster.time.run(3.0)
    assert cluster.nodes["A"].manager.remotes == 1
    cluster.add("E", "AC")
    cluster.settle()


@quick
@given(seed=seeds, victim=st.sampled_from("ABC"), pause=st.floats(0, 5), orderly=st.booleans())
def test_a_node_that_ends_and_comes_back(seed: int, victim: str, pause: float, orderly: bool) -> None:
    cluster = Cluster(seed)
    cluster.add("A", "BC")
    cluster.add("B", "A")
    cluster.add("C", "AB")
    cluster.settle()
    node = cluster.nodes[victim]
    (node.stop if orderly else node.kill)()
    cluster.time.run(pause)
    cluster.restart(victim)
    cluster.settle(60.0)


@quick
@given(seed=seeds, cuts=st.lists(st.integers(0, 11), min_size=1, max_size=6))
def test_lost_connections_come_back(seed: int, cuts: list[int]) -> None:
    cluster = Cluster(seed)
    cluster.add("A")
    cluster.add("B", "A")
    cluster.add("C", "A")
    cluster.settle()
    for cut in cuts:
        node = cluster.living[cut % 3]
        links = list(node.engine.links.values())
        if links:
            node.engine.close(links[cut % len(links)].number, reason=0)
    cluster.time.run(0.006)  # until both ends have noticed
    cluster.settle()


@quick
@given(seed=seeds, names=st.permutations(["", "", "CL"]))
def test_generated_names_give_way(seed: int, names: list[str]) -> None:
    cluster = Cluster(seed)
    cluster.add("A", cluster=names[0])
    cluster.add("B", "A", cluster=names[1])
    cluster.add("C", "A", cluster=names[2])
    cluster.settle(60.0)
    assert {node.manager.cluster_name for node in cluster.living} == {"CL"}
    assert all(node.cluster == "CL" for node in cluster.living)


@quick
@given(seed=seeds, mutual=st.booleans())
def test_of_two_generated_names_the_greater_wins(seed: int, mutual: bool) -> None:
    cluster = Cluster(seed)
    cluster.add("A", "B" if mutual else "", cluster="")
    cluster.add("B", "A", cluster="")
    generated = [node.cluster for node in cluster.living]
    assert all(len(name) == 22 for name in generated)
    cluster.settle(60.0)
    assert {node.manager.cluster_name for node in cluster.living} == {max(generated)}


def test_configured_names_that_differ_never_meet() -> None:
    cluster = Cluster(1)
    cluster.add("A", cluster="CLA")
    node = cluster.add("B", "A", cluster="CLB")
    cluster.time.run(5.5)
    assert node.manager.remotes == 0
    assert any("does not match" in text for level, text in node.log.lines if level == "error")
    # retried every second and a bit, on both the pooled and the dedicated dial
    assert 8 <= len(cluster.net.dials) <= 12


def test_a_route_to_ourselves_ends_there() -> None:
    cluster = Cluster(1)
    node = cluster.add("A", "A")
    cluster.time.run(20.0)
    assert node.manager.routez() == []
    assert len(cluster.net.dials) == 2  # the pool's and the system account's, each once


def test_a_name_that_leads_to_us_too_still_finds_the_others() -> None:
    for seed in range(10):
        cluster = Cluster(seed)
        cluster.net.names["mesh.local"] = [cluster.host(name) for name in "ABC"]
        for name in "ABC":
            cluster.add(name, routes=("nats://mesh.local:6222",))
        cluster.settle(60.0)


def test_the_same_server_name_is_refused() -> None:
    cluster = Cluster(1)
    cluster.add("A")
    twin = cluster.add("B", "A")
    twin.stop()
    twin.name, twin.server_id = "A", ""
    twin.start()
    cluster.time.run(5.0)
    assert twin.manager.remotes == 0


def test_names_and_numbers_in_routez() -> None:
    cluster = Cluster(3)
    a = cluster.add("A")
    b = cluster.add("B", "A")
    c = cluster.add("C", "A")
    cluster.settle()
    rows = {(row.remote_name, row.pool_index): row for row in b.manager.routez()}
    assert rows["A", 0].did_solicit
    assert rows["A", 0].is_configured
    assert rows["A", 0].ip == a.host
    assert rows["A", -1].account == "$SYS"
    assert not rows["C", 0].is_configured
    assert rows["C", 0].did_solicit is not next(
        row.did_solicit for row in c.manager.routez() if row.remote_name == "B" and row.pool_index == 0
    )
    assert all(row.rtt_ns > 0 for row in rows.values() if row.did_solicit and row.pool_index >= 0)
    numbers = {
        row.remote_id: {each.node for each in b.manager.routez() if each.remote_id == row.remote_id}
        for row in rows.values()
    }
    assert all(len(found) == 1 for found in numbers.values())
    assert len(set(itertools.chain(*numbers.values()))) == 2


def test_client_addresses_of_the_others() -> None:
    cluster = Cluster(4)
    a = cluster.add("A")
    b = cluster.add("B", "A")
    c = cluster.add("C", "A")
    cluster.settle()
    assert a.urls == ("10.0.0.2:4222", "10.0.0.3:4222")
    assert b.urls == ("10.0.0.1:4222", "10.0.0.3:4222")
    c.manager.lame_duck()
    cluster.time.run(1.0)
    assert a.urls == ("10.0.0.2:4222",)
    assert a.manager.remotes == 2  # the route itself stays
    b.kill()
    cluster.time.run(1.0)
    assert a.urls == ()


def test_no_advertise_neither_tells_nor_asks() -> None:
    cluster = Cluster(4)
    a = cluster.add("A", no_advertise=True)
    b = cluster.add("B", "A")
    cluster.settle()
    assert a.urls == ()
    assert b.urls == ()


def test_only_what_was_learned_on_a_lost_pool_connection_is_forgotten() -> None:
    cluster = Cluster(5)
    a = cluster.add("A")
    b = cluster.add("B", "A")
    cluster.settle()
    number = a.manager.routez()[0].node
    third = next(row for row in a.manager.routez() if row.pool_index == 2)  # the slot of $G
    b_third = next(row for row in b.manager.routez() if row.pool_index == 2)
    a.engine.close(third.rid, reason=0)
    cluster.time.run(0.1)
    assert a.engine.knows_interest("$G", "to.B") == set()
    assert a.engine.knows_interest("A", "to.B") == {number}
    dials = len(cluster.net.dials)
    cluster.settle()
    assert [caller for _, caller, _, _ in cluster.net.dials[dials:]] == ["B"]  # its solicitor, once
    again = next(row for row in b.manager.routez() if row.pool_index == 2)
    assert again.rid != b_third.rid


def test_explicit_dials_go_on_and_implicit_ones_end() -> None:
    cluster = Cluster(6)
    a = cluster.add("A", "Z")
    cluster.time.run(10.0)
    times = [at for at, caller, _, _ in cluster.net.dials if caller == "A"]
    assert len(times) == 20  # two dials: pool and system account
    failures = [text for level, text in a.log.lines if level == "error"]
    assert failures == [f"Error trying to connect to route {cluster.url('Z')} (attempt 1): Connection refused"]
    b = cluster.add("B", "A")
    cluster.settle()
    c = cluster.add("C", "A", start=False)
    cluster.net.blocked.add(frozenset({b.host, c.host}))
    cluster.start("C")
    cluster.time.run(10.0)
    mine = [at for at, caller, host, _ in cluster.net.dials if {caller, host} in ({"B", c.host}, {"C", b.host})]
    assert {row.remote_name for row in b.manager.routez()} == {"A"}
    assert 0 < len(mine) <= 4  # from each side at most once for the pool and once for the system account


def test_a_lost_node_is_dialled_again_and_again() -> None:
    """Both may be connected to everybody who could tell them of each other: then nobody will."""
    cluster = Cluster(6)
    cluster.add("A", system_account="")
    b = cluster.add("B", "A", system_account="", pool_size=1)
    c = cluster.add("C", "A", system_account="", pool_size=1)
    cluster.settle()
    solicitor = b if any(row.did_solicit for row in b.manager.routez() if row.remote_name == "C") else c
    cluster.net.blocked.add(frozenset({b.host, c.host}))
    start = cluster.time.now
    for link in [row.rid for row in b.manager.routez() if row.remote_name == "C"]:
        b.engine.close(link, reason=0)
    cluster.time.run(120.0)
    hosts = {b.host, c.host} - {solicitor.host}
    times = [at / SECOND for at, caller, host, _ in cluster.net.dials if caller == solicitor.name and host in hosts]
    gaps = [round(later - earlier) for earlier, later in itertools.pairwise(at for at in times if at * SECOND > start)]
    assert gaps[:7] == [1, 2, 4, 8, 16, 30, 30]
    cluster.net.blocked.clear()
    cluster.settle(60.0)


def test_backoff_doubles() -> None:
    cluster = Cluster(7)
    cluster.add("A", "Z", connect_backoff=True, system_account="")
    cluster.time.run(100.0)
    times = [at / SECOND for at, _, _, _ in cluster.net.dials]
    gaps = [round(later - earlier) for earlier, later in itertools.pairwise(times)]
    assert gaps[:6] == [1, 2, 4, 8, 16, 30]


def test_a_retry_count_for_gossiped_nodes() -> None:
    cluster = Cluster(8)
    cluster.add("A", system_account="")
    cluster.add("B", "A", system_account="", connect_retries=3)
    cluster.settle()
    c = cluster.add("C", "A", system_account="", start=False)
    cluster.net.blocked.add(frozenset({cluster.host("B"), c.host}))
    cluster.start("C")
    cluster.time.run(20.0)
    assert len([1 for _, caller, host, _ in cluster.net.dials if caller == "B" and host == c.host]) == 4


def test_one_side_without_the_system_account_is_not_dialled_every_second() -> None:
    cluster = Cluster(9)
    cluster.add("A", system_account="")
    b = cluster.add("B", "A")
    cluster.settle()
    start = cluster.time.now
    cluster.time.run(300.0)
    later = [1 for at, caller, _, _ in cluster.net.dials if caller == "B" and at > start]
    assert len(later) <= 20  # the pause has grown to half a minute
    assert any("Unable to lookup account" in text for _, text in b.log.lines)


def test_stopping_closes_the_door_first() -> None:
    cluster = Cluster(10)
    a = cluster.add("A")
    b = cluster.add("B", "A")
    cluster.settle()
    a.manager.stop_accepting()
    assert a.engine.listeners == {}
    assert len(a.manager.routez()) == 4  # links are still there for the last words
    a.manager.stop()
    cluster.time.run(1.0)
    assert a.manager.routez() == []
    assert b.manager.remotes == 0


def test_messages_cross_once() -> None:
    cluster = Cluster(11)
    for name in "ABC":
        cluster.add(name, "A" if name != "A" else "")
    cluster.settle()
    for account in ("$G", "A", "B", "$SYS"):
        assert cluster.nodes["B"].engine.publish(account, "to.C", account.encode()) == 1
    cluster.time.run(1.0)
    assert sorted(cluster.nodes["C"].engine.messages) == [
        (account, "to.C", account.encode()) for account in ("$G", "$SYS", "A", "B")
    ]
    assert cluster.nodes["A"].engine.messages == []


def test_a_run_is_decided_by_its_seed() -> None:
    def story(seed: int) -> list[object]:
        cluster = Cluster(seed)
        for name in "ABC":
            cluster.add(name, "ABC".replace(name, ""))
        cluster.settle(60.0)
        return [cluster.time.now, cluster.net.dials, *(node.log.lines for node in cluster.living)]

    assert story(12) == story(12)
    assert story(12) != story(13)


def test_routes_that_come_and_go_with_a_reload() -> None:
    cluster = Cluster(14)
    a = cluster.add("A")
    b = cluster.add("B", "A")
    c = cluster.add("C")
    cluster.time.run(3.0)
    b.manager.reload(msgspec.structs.replace(b.options, routes=(cluster.url("C"),)))
    cluster.time.run(3.0)
    assert a.manager.remotes == 0
    assert cluster.places(b, c) == cluster.expected(b, c)
    b.manager.reload(msgspec.structs.replace(b.options, routes=(cluster.url("A"), cluster.url("C"))))
    cluster.settle()
    with pytest.raises(ValueError, match="no host"):
        b.manager.reload(msgspec.structs.replace(b.options, routes=("nats://:1",)))
    assert cluster.whole()


@pytest.mark.parametrize("sizes", [(3, 5), (4, 1), (3, -1), (-1, 3)])
def test_another_pool_size_with_a_reload(sizes: tuple[int, int]) -> None:
    cluster = Cluster(15)
    cluster.add("A", pool_size=sizes[0])
    b = cluster.add("B", "A", pool_size=sizes[0])
    c = cluster.add("C", "A", pool_size=sizes[0])
    cluster.settle()
    for node in (b, cluster.nodes["A"], c):
        node.options = msgspec.structs.replace(node.options, pool_size=sizes[1])
        node.manager.reload(node.options)
        cluster.time.run(3.0)
    cluster.settle(60.0)


def test_another_cluster_name_with_a_reload() -> None:
    cluster = Cluster(16)
    cluster.add("A")
    cluster.add("B", "A")
    cluster.settle()
    for node in cluster.living:
        node.manager.reload(msgspec.structs.replace(node.options, name="NEW"))
    cluster.time.run(0.05)
    cluster.settle()
    assert {node.cluster for node in cluster.living} == {"NEW"}
