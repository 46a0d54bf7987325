"""Is the mesh whole? Every pair of living nodes has every connection it should have, and knows the other's interest."""

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gossamer.mesh.engine.kinds import LinkKind

if TYPE_CHECKING:
    from gossamer.mesh.sim.member import Member, SimulatedNode
    from gossamer.mesh.sim.wire import End

#: account name, subject, queue, members of the queue group
Interest = frozenset[tuple[str, bytes, bytes, int]]


def missing_routes(members: "Sequence[Member]") -> list[str]:
    """What is not as it should be between the connections of living members of each cluster; empty: all is."""
    clusters: dict[str, list[Member]] = {}
    for member in members:
        if member.node is not None and member.place.cluster:
            clusters.setdefault(member.place.cluster, []).append(member)
    return [fault for living in clusters.values() for fault in _missing_in_cluster(living)]


def _missing_in_cluster(living: "list[Member]") -> list[str]:
    faults = []
    places = {member.name: _places_of(member) for member in living}
    for one in living:
        found = places[one.name]
        for other in living:
            if other is one:
                continue
            mine, theirs = found.pop(_id(other), {}), places[other.name].get(_id(one))
            wanted = _wanted(one, other)
            if sorted(mine) != wanted:
                faults.append(f"{one.name} has {sorted(mine)} to {other.name}, not {wanted}")
                continue
            # The other side's are taken out when its turn comes: then this pair has been compared already.
            for place, end in mine.items():
                if not end.open or (theirs is not None and theirs.get(place) is not end.peer):
                    faults.append(f"{one.name} and {other.name} have not the same connection in {place}")
        faults.extend(f"{one.name} has {sorted(mine)} to {remote[:8]}, who is gone" for remote, mine in found.items())
    return faults


def _places_of(member: "Member") -> "dict[str, dict[tuple[int, str], End]]":
    """The connections by remote id, pool index and account."""
    node = _node(member)
    assert node.routes is not None
    found: dict[str, dict[tuple[int, str], End]] = {}
    for row in node.routes.routez():
        if row.rid in member.ends:
            found.setdefault(row.remote_id, {})[(row.pool_index, row.account)] = member.ends[row.rid]
    return found


def _wanted(one: "Member", other: "Member") -> list[tuple[int, str]]:
    sizes = [member.place.pool_size for member in (one, other)]
    if min(sizes) < 1 or not (one.place.release.pooled and other.place.release.pooled):
        return [(0, "")]
    places = [(index, "") for index in range(max(sizes))]
    places += [(-1, name) for name in {*one.place.pinned} & {*other.place.pinned}]
    system = _node(one).judge.system_account
    if system and system == _node(other).judge.system_account:
        places.append((-1, system))
    return sorted(places)


def _node(member: "Member") -> "SimulatedNode":
    assert member.node is not None
    return member.node


def _id(member: "Member") -> str:
    return _node(member).identity.server_id


def missing_links(members: "Sequence[Member]") -> list[str]:
    """Gateways and leaf nodes: which living members lack a connection that the plan asks for, or have one too many."""
    faults = []
    living = {member.host: member for member in members if member.node is not None}
    clusters: dict[str, set[str]] = {}
    for member in living.values():
        if member.place.gateway:
            clusters.setdefault(member.place.cluster, set()).add(member.host)
    for member in living.values():
        if member.place.gateway:
            faults += _missing_gateways(member, clusters)
        if member.place.remotes:
            faults += _missing_remotes(member, living)
    return faults


def _solicited(member: "Member", kind: LinkKind) -> "list[tuple[int, End]]":
    """Links of that kind that it dialled and that are open."""
    return [(link, end) for link, end in member.ends.items() if member.kinds[link] == kind and link in member.solicited]


def _missing_gateways(member: "Member", clusters: dict[str, set[str]]) -> list[str]:
    faults = []
    engine = _node(member).engine
    outbounds = _solicited(member, LinkKind.GATEWAY)
    for name, hosts in clusters.items():
        if name == member.place.cluster:
            continue
        found = [link for link, end in outbounds if end.open and end.peer.open and end.peer.host in hosts]
        if len(found) != 1:
            faults.append(f"{member.name} has {len(found)} outbound gateways to {name}")
        elif not all(each.mode == "interest-only" for each in engine.gateway_accounts(found[0])):
            faults.append(f"{member.name} has an account that is not interest-only towards {name}")
        elif not engine.gateway_accounts(found[0]):
            faults.append(f"{member.name} knows no account of {name}")
    known = {host for hosts in clusters.values() for host in hosts}
    faults.extend(
        f"{member.name} has a gateway to {end.peer.host}, who is gone"
        for _, end in outbounds
        if end.peer.host not in known
    )
    return faults


def _missing_remotes(member: "Member", living: "dict[str, Member]") -> list[str]:
    """One connection for each remote whose hub lives (any node of the hub's cluster may be it)."""
    engine = _node(member).engine
    found: Counter[str] = Counter()
    for link, end in _solicited(member, LinkKind.LEAF):
        hub = living.get(end.peer.host)
        statistics = engine.link(link)
        if hub is not None and end.open and end.peer.open and statistics is not None and statistics.account:
            found[_hub_of(hub)] += 1
    wanted: Counter[str] = Counter()
    for plan in member.place.remotes:
        hubs = [each for each in living.values() if each.name in plan.to]
        if hubs:
            wanted[_hub_of(hubs[0])] += 1
    if found != wanted:
        return [f"{member.name} has leaf connections {dict(found)}, not {dict(wanted)}"]
    return []


def _hub_of(member: "Member") -> str:
    return member.place.cluster or member.name


def missing_interest(members: "Sequence[Member]", *, shares: bool = False, federated: bool = False) -> list[str]:
    """Where a living member does not know exactly what another one wants; empty: nowhere.

    ``shares``: accounts import from each other. A node does not list the shadows that this makes of its subscriptions,
    so others may know of more than it lists, but all of them of the same. ``federated``: with gateways and leaf nodes,
    what clients want is compared, within each cluster."""
    if federated:
        return _missing_of_clients(members)
    if shares:
        return _missing_among_sharers(members)
    faults = []
    nodes = [member.node for member in members if member.node is not None]
    own = {node.name: own_interest(node) for node in nodes}
    for one in nodes:
        known = known_interest(one)
        for other in nodes:
            if other is one:
                continue
            theirs = known.get(other.identity.server_id, frozenset())
            for excess, word in ((own[other.name] - theirs, "lacks"), (theirs - own[other.name], "still has")):
                if excess:
                    example = min(excess)
                    faults.append(f"{one.name} {word} {len(excess)} of {other.name}'s interest, as {example}")
    return faults


def _missing_of_clients(members: "Sequence[Member]") -> list[str]:
    faults = []
    clusters: dict[str, list[SimulatedNode]] = {}
    for member in members:
        if member.node is not None and member.place.cluster:
            clusters.setdefault(member.place.cluster, []).append(member.node)
    for nodes in clusters.values():
        if len(nodes) > 1:
            own = {node.name: {entry[:3] for entry in own_interest(node, clients=True)} for node in nodes}
            for one in nodes:
                known = known_interest(one)
                for other in nodes:
                    theirs = {entry[:3] for entry in known.get(other.identity.server_id, ())}
                    if other is not one and own[other.name] - theirs:
                        example = min(own[other.name] - theirs)
                        faults.append(f"{one.name} lacks some of {other.name}'s interest, as {example}")
    return faults


def _missing_among_sharers(members: "Sequence[Member]") -> list[str]:
    faults = []
    nodes = [member.node for member in members if member.node is not None]
    known = {node.name: known_interest(node) for node in nodes}
    for other in nodes:
        own = {entry[:3]: entry[3] for entry in own_interest(other)}
        views = [
            (one.name, known[one.name].get(other.identity.server_id, frozenset())) for one in nodes if one is not other
        ]
        for name, view in views:
            weights = {entry[:3]: entry[3] for entry in view}
            lacking = [key for key, weight in own.items() if weights.get(key, 0) < weight]
            if lacking:
                faults.append(f"{name} lacks {len(lacking)} of {other.name}'s interest, as {min(lacking)}")
            if view != views[0][1]:
                example = min(view ^ views[0][1])
                faults.append(f"{name} and {views[0][0]} do not know the same of {other.name}, as {example}")
    return faults


def own_interest(node: "SimulatedNode", *, clients: bool = False) -> Interest:
    """What the node should have told the others; ``clients``: what its clients want of it."""
    found: Counter[tuple[str, bytes, bytes]] = Counter()
    names = _account_names(node)
    for detail in node.engine.subscriptions():
        if (detail.link and detail.kind == LinkKind.CLIENT) if clients else detail.kind != LinkKind.ROUTE:
            found[(names[detail.account], detail.subject, detail.queue)] += 1
    return frozenset((*key, count if key[2] else 1) for key, count in found.items())


def known_interest(node: "SimulatedNode") -> dict[str, Interest]:
    """What the node knows, by the server id of the other."""
    assert node.routes is not None
    names = _account_names(node)
    remote_of = {row.rid: row.remote_id for row in node.routes.routez()}
    found: dict[str, set[tuple[str, bytes, bytes, int]]] = {}
    for detail in node.engine.subscriptions():
        if detail.kind == LinkKind.ROUTE:
            weight = detail.weight if detail.queue else 1
            entry = (names[detail.account], detail.subject, detail.queue, weight)
            found.setdefault(remote_of.get(detail.link, ""), set()).add(entry)
    return {remote: frozenset(entries) for remote, entries in found.items()}


def _account_names(node: "SimulatedNode") -> dict[int, str]:
    return {account.account: account.name.decode() for account in node.engine.accounts()}
