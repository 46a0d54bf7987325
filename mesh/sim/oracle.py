"""Who must hear a message, by the plan alone: clusters joined by gateways are one realm, a leaf node is another.

Within a realm an account is one, whatever the node. A remote joins an account of a leaf's realm with one of its hub's;
what it denies does not cross. What accounts share crosses between them in every realm that has the topology's accounts
(a place with accounts of its own imports nothing). There must be no circle of leafs. Nothing here knows how messages
travel.
"""

from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from gossamer.mesh.engine.core import subject_matches
from gossamer.mesh.sim.topology import Place, Topology


class Spot(NamedTuple):
    """An account in a realm."""

    realm: str
    account: str


class Crossing(Struct, frozen=True):
    """What is published in one account below a prefix is heard in another one below another prefix, too."""

    account: str
    prefix: str
    to_account: str
    to_prefix: str


class Heard(NamedTuple):
    """Where a message may be heard, and under which subject."""

    spot: Spot
    subject: str


class _Link(NamedTuple):
    """From one spot to another over a remote, except for what is denied; over these hub clusters."""

    to: Spot
    denied: tuple[str, ...]
    cluster: str


class Oracle:
    """Asked by the names of places."""

    def __init__(self, topology: Topology, crossings: Sequence[Crossing] = ()) -> None:
        self._crossings = crossings
        self._sharing = {_realm(place) for place in topology.places if not place.accounts}
        self._places = {place.name: place for place in topology.places}
        self._hosts: dict[str, set[str]] = {}  # by cluster
        self._ways: dict[Spot, list[_Link]] = {}
        self._heard: dict[Heard, frozenset[Heard]] = {}
        self._between: dict[tuple[str, str, str], frozenset[str]] = {}
        self._groups: dict[Spot, Spot] = {}
        for place in topology.places:
            self._hosts.setdefault(_cluster(place), set()).add(place.host)
        for place in topology.places:
            for plan in place.remotes:
                hub = self._places[plan.to[0]]
                here, there = Spot(_realm(place), plan.account), Spot(_realm(hub), plan.hub_account)
                up = _Link(there, plan.deny_exports, _cluster(hub))
                down = _Link(here, plan.deny_imports, _cluster(hub))
                # The members of a leaf cluster have the same remotes: one link.
                for spot, link in ((here, up), (there, down)):
                    if link not in self._ways.setdefault(spot, []):
                        self._ways[spot].append(link)

    @property
    def shares(self) -> bool:
        """Do accounts share anything?"""
        return bool(self._crossings)

    def spot(self, place: str, account: str) -> Spot:
        return Spot(_realm(self._places[place]), account)

    def cluster(self, place: str) -> str:
        return _cluster(self._places[place])

    def heard(self, spot: Spot, subject: str) -> frozenset[Heard]:
        """Where a message of that spot is heard, itself included, and as what."""
        key = Heard(spot, subject)
        found = self._heard.get(key)
        if found is None:
            found = self._heard[key] = frozenset(self._spread(key))
        return found

    def reached(self, spot: Spot, subject: str) -> frozenset[Spot]:
        """Where a message of that spot is heard under its own subject, itself included."""
        return frozenset(heard.spot for heard in self.heard(spot, subject) if heard.subject == subject)

    def is_told_by_route(self, place: str, publisher: str) -> bool:
        """Is that place a leaf node whose hub tells the publisher's node of it over a route?"""
        node = self._places[publisher]
        return any(
            publisher not in plan.to and _cluster(self._places[plan.to[0]]) == _cluster(node)
            for plan in self._places[place].remotes
        )

    def group(self, spot: Spot) -> Spot:
        """The same for all spots whose queue groups of one name are one group."""
        found = self._groups.get(spot)
        if found is None:
            found = self._groups[spot] = min(self._joined(spot))
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
            ways = [(link.to, {link.cluster}) for link in self._ways.get(spot, ())]
            ways += [(other, set()) for other in self._neighbours(spot)]
            for to, passed in ways:
                if to not in came:
                    came[to] = came[spot] | passed
                    waiting.append(to)
        return {_cluster(end)}

    def _neighbours(self, spot: Spot) -> list[Spot]:
        """Accounts that share something with that one, in either direction: answers go back."""
        if spot.realm not in self._sharing:
            return []
        names = [each.to_account for each in self._crossings if each.account == spot.account]
        names += [each.account for each in self._crossings if each.to_account == spot.account]
        return [Spot(spot.realm, name) for name in dict.fromkeys(names)]

    def _spread(self, start: Heard) -> set[Heard]:
        found = {start}
        waiting = deque(found)
        while waiting:
            spot, subject = waiting.popleft()
            following = [
                Heard(link.to, subject)
                for link in self._ways.get(spot, ())
                if not any(subject_matches(each.encode(), subject.encode()) for each in link.denied)
            ]
            if spot.realm in self._sharing:
                following += [
                    Heard(Spot(spot.realm, each.to_account), each.to_prefix + subject.removeprefix(each.prefix))
                    for each in self._crossings
                    if each.account == spot.account and subject.startswith(each.prefix)
                ]
            waiting.extend(each for each in following if each not in found)
            found.update(following)
        return found

    def _joined(self, spot: Spot) -> set[Spot]:
        """All spots that remotes join with that one, whatever they deny."""
        found = {spot}
        waiting = deque(found)
        while waiting:
            following = {link.to for link in self._ways.get(waiting.popleft(), ())} - found
            waiting.extend(following)
            found |= following
        return found


def _cluster(place: Place) -> str:
    return place.cluster or f"alone {place.name}"


def _realm(place: Place) -> str:
    return "super" if place.gateway else _cluster(place)
