"""What nodes know of interest beyond their cluster: over gateways and over leaf links, in both directions.

Nothing that a client wants may be unknown there, and nothing may still be known that no client wants any more, neither
there nor anywhere behind. Over routes only the latter is looked at here: what must be known, ``checks`` compares.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from gossamer.mesh.engine.core import subject_matches
from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.sim.oracle import Oracle, Spot

if TYPE_CHECKING:
    from gossamer.mesh.sim.member import Member

#: subject, queue
Want = tuple[bytes, bytes]
#: What nodes ask for themselves, and by which answers find their way.
_NODES_OWN = (b"$", b"_R_", b"_GR_")


def missing_beyond(members: "Sequence[Member]", oracle: Oracle) -> list[str]:
    """Where a living member does not know what is wanted beyond one of its links, or knows more; empty: nowhere."""
    return _Survey([member for member in members if member.node is not None], oracle).faults()


class _Survey:
    """Everything that is wanted and known at one moment."""

    def __init__(self, living: "list[Member]", oracle: Oracle) -> None:
        self._oracle = oracle
        self._by_host = {member.host: member for member in living}
        self._at: dict[tuple[str, str], set[Want]] = {}  # wanted by clients at a place, by account
        self._in: dict[tuple[str, str], set[Want]] = {}  # in a cluster
        self._by_spot: dict[Spot, set[Want]] = {}
        self._by_group: dict[Spot, set[Want]] = {}  # in all that remotes join
        self._known: list[tuple[Member, int, dict[str, set[Want]]]] = []  # over a server link, by account
        for member in living:
            self._read(member)

    def faults(self) -> list[str]:
        return [fault for member, link, known in self._known for fault in self._compare(member, link, known)]

    def _read(self, member: "Member") -> None:
        assert member.node is not None
        engine = member.node.engine
        names = {account.account: account.name.decode() for account in engine.accounts()}
        links: dict[int, dict[str, set[Want]]] = {
            link: {} for link, kind in member.kinds.items() if kind != LinkKind.CLIENT
        }
        for detail in engine.subscriptions():
            want, account = (detail.subject, detail.queue), names[detail.account]
            if detail.kind == LinkKind.CLIENT and detail.link:
                spot = self._oracle.spot(member.name, account)
                for table, key in (
                    (self._at, (member.name, account)),
                    (self._in, (self._oracle.cluster(member.name), account)),
                ):
                    table.setdefault(key, set()).add(want)
                self._by_spot.setdefault(spot, set()).add(want)
                self._by_group.setdefault(self._oracle.group(spot), set()).add(want)
            elif detail.link in links and not detail.subject.startswith(_NODES_OWN):
                links[detail.link].setdefault(account, set()).add(want)
        self._known += [(member, link, known) for link, known in links.items()]

    def _compare(self, member: "Member", link: int, known: dict[str, set[Want]]) -> Iterator[str]:
        peer = self._by_host.get(member.ends[link].peer.host)
        if peer is None:
            return  # its end is not known yet
        for account, wants in self._due(member, link, peer):
            lacking = wants - known.get(account, set())
            if lacking:
                yield f"{member.name} lacks {len(lacking)} of what {account} wants beyond {peer.name}: {min(lacking)}"
        if self._oracle.shares:
            return  # shadows of other accounts' subscriptions are told, and not listed where they are made
        for account, told in known.items():
            spot = self._oracle.spot(member.name, account)
            excess = told - self._by_group.get(self._oracle.group(spot), set())
            if excess:
                yield f"{member.name} still has {len(excess)} that {account} wants beyond {peer.name}: {min(excess)}"

    def _due(self, member: "Member", link: int, peer: "Member") -> Iterator[tuple[str, set[Want]]]:
        """What must be known over that link, by the account here."""
        solicited = link in member.solicited
        if member.kinds[link] == LinkKind.ROUTE:
            return
        if member.kinds[link] == LinkKind.GATEWAY:
            if solicited:
                cluster = self._oracle.cluster(peer.name)
                yield from ((account, wants) for (name, account), wants in self._in.items() if name == cluster)
            return
        node = member.node
        assert node is not None
        statistics = node.engine.link(link)
        names = {account.account: account.name.decode() for account in node.engine.accounts()}
        here = names.get(statistics.account, "") if statistics is not None else ""
        for plan in member.place.remotes if solicited else peer.place.remotes:
            if solicited and plan.account == here and peer.name in plan.to:
                there = self._by_spot.get(self._oracle.spot(peer.name, plan.hub_account), set())
                yield here, _without(there, plan.deny_exports)
            elif not solicited and plan.hub_account == here and member.name in plan.to:
                yield here, _without(self._at.get((peer.name, plan.account), set()), plan.deny_imports)


def _without(wants: set[Want], denied: Sequence[str]) -> set[Want]:
    """Those that are not denied as a whole."""
    return {
        (subject, queue)
        for subject, queue in wants
        if not any(subject.decode() == each or subject_matches(each.encode(), subject) for each in denied)
    }
