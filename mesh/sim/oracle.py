"""Who must hear a message, by the plan alone: clusters joined by gateways are one realm, a leaf node is another.

Within a realm an account is one, whatever the node. A remote joins an account of a leaf's realm with one of its hub's;
what it denies does not cross. There must be no circle of leafs. Nothing here knows how messages travel.
"""

from collections import deque
from typing import NamedTuple

from gossamer.mesh.engine.core import subject_matches
from gossamer.mesh.sim.topology import Place, Topology


class Spot(NamedTuple):
    """An account in a realm."""

    realm: str
    account: str


class _Crossing(NamedTuple):
    """From one spot to another over a remote, except for what is denied; over these hub clusters."""

    to: Spot
    denied: tuple[str, ...]
    cluster: str


class Oracle:
    """Asked by the names of places."""

    def __init__(self, topology: Topology) -> None:
        self._places = {place.name: place for place in topology.places}
        self._hosts: dict[str, set[str]] = {}  # by cluster
        self._ways: dict[Spot, list[_Crossing]] = {}
        self._reached: dict[tuple[Spot, str], frozenset[Spot]] = {}
        self._between: dict[tuple[str, str, str], frozenset[str]] = {}
        self._groups: dict[Spot, Spot] = {}
        for place in topology.places:
            self._hosts.setdefault(_cluster(place), set()).add(place.host)
        for place in topology.places:
            for plan in place.remotes:
                hub = self._places[plan.to[0]]
                here, there = Spot(_realm(place), plan.account), Spot(_realm(hub), plan.hub_account)
                up = _Crossing(there, plan.deny_exports, _cluster(hub))
                down = _Crossing(here, plan.deny_imports, _cluster(hub))
                # The members of a leaf cluster have the same remotes: one crossing.
                for spot, crossing in ((here, up), (there, down)):
                    if crossing not in self._ways.setdefault(spot, []):
                        self._ways[spot].append(crossing)

    def spot(self, place: str, account: str) -> Spot:
        return Spot(_realm(self._places[place]), account)

    def cluster(self, place: str) -> str:
        return _cluster(self._places[place])

    def reached(self, spot: Spot, subject: str) -> frozenset[Spot]:
        """Where a message of that spot is heard, itself included."""
        key = (spot, subject)
        found = self._reached.get(key)
        if found is None:
            found = self._reached[key] = frozenset(self._spread(spot, subject))
        return found

    def group(self, spot: Spot) -> Spot:
        """The same for all spots whose queue groups of one name are one group."""
        found = self._groups.get(spot)
        if found is None:
            found = self._groups[spot] = min(self._spread(spot, ""))
        return found

    def between(self, one: str, other: str, account: str) -> frozenset[str]:
        """Hosts of nodes that a message from a client of that account at one place to somebody at the other may pass,
        both ends included: of another cluster, any of its nodes may be the one that takes it."""
        key = (one, other, account)
        found = self._between.get(key)
        if found is None:
            found = self._between[key] = frozenset(self._passed(one, other, account))
        return found

    def _passed(self, one: str, other: str, account: str) -> set[str]:
        start, end = self._places[one], self._places[other]
        hosts = {start.host, end.host}
        if _cluster(start) == _cluster(end):
            return hosts
        clusters = {_cluster(end)} if _realm(start) == _realm(end) else set(self._clusters_on_way(start, end, account))
        if end.remotes and _realm(start) != _realm(end) and len(self._hosts[_cluster(end)]) > 1:
            clusters.discard(_cluster(end))  # each member of a leaf cluster has its own connection to the hub
        for name in clusters:
            hosts |= self._hosts[name]
        return hosts

    def _clusters_on_way(self, start: Place, end: Place, account: str) -> set[str]:
        """Those of all hubs passed, and the last one's."""
        came: dict[Spot, set[str]] = {Spot(_realm(start), account): set()}
        waiting = deque(came)
        while waiting:
            spot = waiting.popleft()
            if spot.realm == _realm(end):
                return came[spot] | {_cluster(end)}
            for crossing in self._ways.get(spot, ()):
                if crossing.to not in came:
                    came[crossing.to] = came[spot] | {crossing.cluster}
                    waiting.append(crossing.to)
        return {_cluster(end)}

    def _spread(self, spot: Spot, subject: str) -> set[Spot]:
        """``subject`` empty: nothing is denied."""
        found = {spot}
        waiting = deque([spot])
        while waiting:
            for crossing in self._ways.get(waiting.popleft(), ()):
                denied = subject and any(subject_matches(each.encode(), subject.encode()) for each in crossing.denied)
                if crossing.to not in found and not denied:
                    found.add(crossing.to)
                    waiting.append(crossing.to)
        return found


def _cluster(place: Place) -> str:
    return place.cluster or f"alone {place.name}"


def _realm(place: Place) -> str:
    return "super" if place.gateway else _cluster(place)
