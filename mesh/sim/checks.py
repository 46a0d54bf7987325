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
    """What is not as it should be between the connections of living members; empty: all is."""
    faults = []
    living = [member for member in members if member.node is not None]
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
    if min(sizes) < 1:
        return [(0, "")]
    places = [(index, "") for index in range(max(sizes))]
    system = _node(one).judge.system_account
    if system and system == _node(other).judge.system_account:
        places.append((-1, system))
    return sorted(places)


def _node(member: "Member") -> "SimulatedNode":
    assert member.node is not None
    return member.node


def _id(member: "Member") -> str:
    return _node(member).identity.server_id


def missing_interest(members: "Sequence[Member]", *, shares: bool = False) -> list[str]:
    """Where a living member does not know exactly what another one wants; empty: nowhere.

    ``shares``: accounts import from each other. A node does not list the shadows that this makes of its subscriptions,
    so others may know of more than it lists, but all of them of the same."""
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


def own_interest(node: "SimulatedNode") -> Interest:
    """What the node should have told the others."""
    found: Counter[tuple[str, bytes, bytes]] = Counter()
    names = _account_names(node)
    for detail in node.engine.subscriptions():
        if detail.kind != LinkKind.ROUTE:
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
