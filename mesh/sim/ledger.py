"""Every message and everybody who hears it: who must, who may, who must not.

At all times: no subscription hears a message twice, a queue group not twice among all its members, nothing is heard in
an account or on a subject that it was not meant for, and nothing that nobody published. Where the path was whole since
the mesh last settled: what one publisher says on one subject is heard in order and, at the end, nothing is missing: a
plain subscription hears each message, a queue group hears each once, in the publisher's cluster while it has a member.

Two things are let pass. A leaf node that has moved to another node of its hub may hear there, over a slow route, what
it had heard from the first one: the protocol has no means against it. And a member of an importing account's group
behind a leaf link of another node counts as a member of that node, because routes tell of it as of any other.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from gossamer.mesh.engine.core import subject_matches
from gossamer.mesh.sim.oracle import Heard, Spot

if TYPE_CHECKING:
    from gossamer.mesh.sim.client import Client
    from gossamer.mesh.sim.network import Network
    from gossamer.mesh.sim.oracle import Oracle

#: How long a message may need on a path that is whole.
FLIGHT_NS: Final = 2_000_000_000


class _Group(NamedTuple):
    spot: Spot  # one for all that belong together
    subject: str
    queue: str


@dataclass(eq=False)
class Publication:
    """``at``: the name of the publisher's place. ``only``: the client that must hear it, if others just may."""

    number: int
    client: str
    account: str
    subject: str
    at: str
    host: str  # the client's
    at_ns: int
    settled_ns: int  # when the mesh had last settled; negative: never
    connected_ns: int
    heard: frozenset[Heard]
    only: str = ""
    receivers: int = 0


@dataclass(eq=False)
class Ear:
    """A subscription of one connection of a client. ``ended_ns`` negative: it lives."""

    client: "Client"
    spot: Spot
    subject: str
    queue: str
    sid: int
    at: str  # the place's name
    since_ns: int
    ended_ns: int = -1
    numbers: set[int] = field(default_factory=set)
    latest: dict[tuple[str, str], int] = field(default_factory=dict)  # by publisher and subject

    def covers(self, since_ns: int, until_ns: int) -> bool:
        return self.since_ns <= since_ns and (self.ended_ns < 0 or self.ended_ns > until_ns)

    @property
    def text(self) -> str:
        queue = f" queue {self.queue}" if self.queue else ""
        return f"{self.client.name} ({self.spot.account}, {self.subject}{queue})"


class Ledger:
    """``broken`` is told of everything that must not be."""

    def __init__(self, network: "Network", broken: Callable[[str], None], oracle: "Oracle") -> None:
        self.settled_ns = -1
        self.publications: dict[int, Publication] = {}
        self.ears: list[Ear] = []
        self.deliveries = 0
        self.expected = 0
        self._network = network
        self._broken = broken
        self._oracle = oracle
        self._groups: dict[_Group, dict[int, Ear]] = {}
        self._moved_ns: dict[str, int] = {}  # by host: when it last dialled a hub

    def publish(self, client: "Client", subject: str, *, answers: Publication | None = None) -> Publication:
        """A message is about to be sent; its number is to be its payload. ``answers``: what it is a reply to."""
        number = len(self.publications) + 1
        at = client.member_name
        publication = Publication(
            number=number,
            client=client.name,
            account=client.account,
            subject=subject,
            at=at,
            host=client.host,
            at_ns=self._network.loop.now_ns,
            settled_ns=self.settled_ns,
            connected_ns=client.connected_ns,
            heard=self._oracle.heard(self._oracle.spot(at, client.account), subject),
        )
        if answers is not None:
            publication.only = answers.client
            if not subject.startswith("_INBOX."):
                # Through an import: the requestor's account hears it under its inbox.
                spot = self._oracle.spot(answers.at, answers.account)
                publication.heard = self._oracle.heard(spot, f"_INBOX.{answers.client}.{answers.number}")
        self.publications[number] = publication
        return publication

    def listen(self, client: "Client", subject: str, queue: str, sid: int) -> Ear:
        at = client.member_name
        spot = self._oracle.spot(at, client.account)
        ear = Ear(client, spot, subject, queue, sid, at, self._network.loop.now_ns)
        self.ears.append(ear)
        return ear

    def deliver(self, ear: Ear, subject: str, number: int) -> None:
        """The ear has heard a message."""
        self.deliveries += 1
        publication = self.publications.get(number)
        if publication is None:
            self._broken(f"{ear.text} heard message {number} on {subject}, which nobody published")
            return
        publication.receivers += 1
        if Heard(ear.spot, subject) not in publication.heard or not subject_matches(
            ear.subject.encode(), subject.encode()
        ):
            self._broken(f"{ear.text} heard {_text(publication)} as {subject}: not meant for it")
        if number in ear.numbers and not self._has_moved(publication, ear):
            self._broken(f"{ear.text} heard {_text(publication)} twice")
        ear.numbers.add(number)
        if ear.queue:
            group = self._groups.setdefault(self._group(ear), {})
            first = group.setdefault(number, ear)
            if first.client is not ear.client:
                self._broken(
                    f"{ear.text} heard {_text(publication)}, which {first.client.name} of its group had heard before"
                )
            return
        key = (publication.client, subject)
        latest = ear.latest.get(key, 0)
        if number < latest and self._whole(publication, ear, self._network.loop.now_ns):
            self._broken(f"{ear.text} heard {_text(publication)} after {_text(self.publications[latest])}")
        ear.latest[key] = max(number, latest)

    def moved(self, host: str) -> None:
        """A leaf node has connected to its hub."""
        self._moved_ns[host] = self._network.loop.now_ns

    def _has_moved(self, publication: Publication, ear: Ear) -> bool:
        """Has a leaf node on the way found another hub since the message was sent?"""
        if self._oracle.spot(publication.at, publication.account).realm == ear.spot.realm:
            return False
        hosts = self._oracle.between(publication.at, ear.at, publication.account)
        return any(self._moved_ns.get(host, -1) >= publication.at_ns for host in hosts)

    def close(self) -> None:
        """The end: is anything missing? Everything sent must have had ``FLIGHT_NS`` to arrive."""
        plain: dict[Spot, list[Ear]] = {}
        groups: dict[_Group, list[Ear]] = {}
        for ear in self.ears:
            if ear.queue:
                groups.setdefault(self._group(ear), []).append(ear)
            else:
                plain.setdefault(ear.spot, []).append(ear)
        for publication in self.publications.values():
            for heard in publication.heard:
                for ear in plain.get(heard.spot, ()):
                    if publication.number in ear.numbers:
                        self.expected += 1
                    elif self._must_hear(publication, ear):
                        self._broken(f"{ear.text} never heard {_text(publication)}")
            for key, ears in groups.items():
                self._judge_group(publication, key, ears)

    def _judge_group(self, publication: Publication, key: _Group, ears: list[Ear]) -> None:
        if publication.only or not any(
            self._oracle.group(heard.spot) == key.spot and _fits(key.subject, heard.subject)
            for heard in publication.heard
        ):
            return
        first = self._groups.get(key, {}).get(publication.number)
        near = self._oracle.cluster(publication.at)
        if first is not None:
            through_import = publication.account != first.client.account
            passed = through_import and self._oracle.is_told_by_route(first.at, publication.at)
            if self._oracle.cluster(first.at) != near and not passed:
                for ear in ears:
                    if self._oracle.cluster(ear.at) == near and self._must_hear(publication, ear):
                        self._broken(
                            f"{first.text} at {first.at} heard {_text(publication)} of {publication.at}, though "
                            f"{ear.text} at {ear.at} is near"
                        )
                        break
            return
        until_ns = publication.at_ns + FLIGHT_NS
        # Those that lived at any time in question: any of them may have been chosen.
        candidates = [ear for ear in ears if ear.ended_ns < 0 or ear.ended_ns >= publication.settled_ns]
        candidates = [ear for ear in candidates if ear.since_ns <= until_ns and _matches(publication, ear)]
        if candidates and all(self._must_hear(publication, ear) for ear in candidates):
            self._broken(f"nobody of the queue group {_name(key)} heard {_text(publication)}")

    def _group(self, ear: Ear) -> _Group:
        return _Group(self._oracle.group(ear.spot), ear.subject, ear.queue)

    def _must_hear(self, publication: Publication, ear: Ear) -> bool:
        if publication.only and publication.only != ear.client.name:
            return False
        return _matches(publication, ear) and self._whole(publication, ear, publication.at_ns + FLIGHT_NS)

    def _whole(self, publication: Publication, ear: Ear, until_ns: int) -> bool:
        """Was the path whole from the mesh's settling before the message until then?"""
        settled_ns = publication.settled_ns
        if settled_ns < 0 or publication.connected_ns > settled_ns or not ear.covers(settled_ns, until_ns):
            return False
        hosts = self._oracle.between(publication.at, ear.at, publication.account)
        return self._network.was_quiet(hosts | {publication.host, ear.client.host}, settled_ns, until_ns)


def _matches(publication: Publication, ear: Ear) -> bool:
    return any(ear.spot == heard.spot and _fits(ear.subject, heard.subject) for heard in publication.heard)


def _fits(pattern: str, subject: str) -> bool:
    return subject_matches(pattern.encode(), subject.encode())


def _name(key: _Group) -> tuple[str, str, str]:
    return (key.spot.account, key.subject, key.queue)


def _text(publication: Publication) -> str:
    return (
        f"message {publication.number} ({publication.client} on {publication.subject} at {publication.at_ns / 1e9:.6f})"
    )
