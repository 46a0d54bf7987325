"""Every message and everybody who hears it: who must, who may, who must not.

At all times: no subscription hears a message twice, a queue group not twice among all its members, nothing is heard in
an account or on a subject that it was not meant for, and nothing that nobody published. Where the path was whole since
the mesh last settled: what one publisher says on one subject is heard in order and, at the end, nothing is missing: a
plain subscription hears each message, a queue group hears each once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from gossamer.mesh.engine.core import subject_matches

if TYPE_CHECKING:
    from gossamer.mesh.sim.client import Client
    from gossamer.mesh.sim.network import Network

#: How long a message may need on a path that is whole.
FLIGHT_NS: Final = 2_000_000_000


class Crossing(Struct, frozen=True):
    """What is published in one account below a prefix is heard in another one below another prefix, too."""

    account: str
    prefix: str
    to_account: str
    to_prefix: str


@dataclass(eq=False)
class Publication:
    """``heard``: (account, subject) pairs under which it may be heard. ``hosts``: the publisher's and its node's."""

    number: int
    client: str
    subject: str
    at_ns: int
    settled_ns: int  # when the mesh had last settled; negative: never
    connected_ns: int
    hosts: tuple[str, str]
    heard: tuple[tuple[str, str], ...]
    receivers: int = 0


@dataclass(eq=False)
class Ear:
    """A subscription of one connection of a client. ``ended_ns`` negative: it lives."""

    client: "Client"
    account: str
    subject: str
    queue: str
    sid: int
    hosts: tuple[str, str]  # the node's and the client's
    since_ns: int
    ended_ns: int = -1
    numbers: set[int] = field(default_factory=set)
    latest: dict[tuple[str, str], int] = field(default_factory=dict)  # by publisher and subject

    def covers(self, since_ns: int, until_ns: int) -> bool:
        return self.since_ns <= since_ns and (self.ended_ns < 0 or self.ended_ns > until_ns)


class Ledger:
    """``broken`` is told of everything that must not be."""

    def __init__(self, network: "Network", broken: Callable[[str], None], crossings: Sequence[Crossing] = ()) -> None:
        self.settled_ns = -1
        self.publications: dict[int, Publication] = {}
        self.ears: list[Ear] = []
        self.deliveries = 0
        self.expected = 0
        self._network = network
        self._broken = broken
        self._crossings = crossings
        self._groups: dict[tuple[str, str, str], dict[int, str]] = {}

    def publish(self, client: "Client", subject: str, *, heard: tuple[tuple[str, str], ...] = ()) -> Publication:
        """A message is about to be sent; its number is to be its payload. ``heard`` empty: where accounts say."""
        number = len(self.publications) + 1
        publication = Publication(
            number=number,
            client=client.name,
            subject=subject,
            at_ns=self._network.loop.now_ns,
            settled_ns=self.settled_ns,
            connected_ns=client.connected_ns,
            hosts=(client.host, client.member_host),
            heard=heard or self._destinations(client.account, subject),
        )
        self.publications[number] = publication
        return publication

    def listen(self, client: "Client", subject: str, queue: str, sid: int) -> Ear:
        now_ns = self._network.loop.now_ns
        ear = Ear(client, client.account, subject, queue, sid, (client.member_host, client.host), now_ns)
        self.ears.append(ear)
        return ear

    def deliver(self, ear: Ear, subject: str, number: int) -> None:
        """The ear has heard a message."""
        self.deliveries += 1
        who = f"{ear.client.name} ({ear.account}, {ear.subject}{' queue ' + ear.queue if ear.queue else ''})"
        publication = self.publications.get(number)
        if publication is None:
            self._broken(f"{who} heard message {number} on {subject}, which nobody published")
            return
        publication.receivers += 1
        if (ear.account, subject) not in publication.heard or not subject_matches(
            ear.subject.encode(), subject.encode()
        ):
            self._broken(f"{who} heard {_text(publication)} as {subject}: not meant for it")
        if number in ear.numbers:
            self._broken(f"{who} heard {_text(publication)} twice")
        ear.numbers.add(number)
        if ear.queue:
            group = self._groups.setdefault((ear.account, ear.subject, ear.queue), {})
            if group.setdefault(number, ear.client.name) != ear.client.name:
                self._broken(f"{who} heard {_text(publication)}, which {group[number]} of its group had heard before")
            return
        key = (publication.client, subject)
        latest = ear.latest.get(key, 0)
        if number < latest and self._whole(publication, ear, self._network.loop.now_ns):
            self._broken(f"{who} heard {_text(publication)} after {_text(self.publications[latest])}")
        ear.latest[key] = max(number, latest)

    def close(self) -> None:
        """The end: is anything missing? Everything sent must have had ``FLIGHT_NS`` to arrive."""
        plain = [ear for ear in self.ears if not ear.queue]
        groups: dict[tuple[str, str, str], list[Ear]] = {}
        for ear in self.ears:
            if ear.queue:
                groups.setdefault((ear.account, ear.subject, ear.queue), []).append(ear)
        for publication in self.publications.values():
            for ear in plain:
                if publication.number not in ear.numbers and self._must_hear(publication, ear):
                    self._broken(f"{ear.client.name} ({ear.account}, {ear.subject}) never heard {_text(publication)}")
                elif publication.number in ear.numbers:
                    self.expected += 1
            for key, ears in groups.items():
                self._judge_group(publication, key, ears)

    def _judge_group(self, publication: Publication, key: tuple[str, str, str], ears: list[Ear]) -> None:
        if publication.number in self._groups.get(key, ()) or not _matches(publication, ears[0]):
            return
        until_ns = publication.at_ns + FLIGHT_NS
        # Those that lived at any time in question: any of them may have been chosen.
        candidates = [ear for ear in ears if ear.ended_ns < 0 or ear.ended_ns >= publication.settled_ns]
        candidates = [ear for ear in candidates if ear.since_ns <= until_ns]
        if candidates and all(self._must_hear(publication, ear) for ear in candidates):
            self._broken(f"nobody of the queue group {key} heard {_text(publication)}")

    def _must_hear(self, publication: Publication, ear: Ear) -> bool:
        return _matches(publication, ear) and self._whole(publication, ear, publication.at_ns + FLIGHT_NS)

    def _whole(self, publication: Publication, ear: Ear, until_ns: int) -> bool:
        """Was the path whole from the mesh's settling before the message until then?"""
        settled_ns = publication.settled_ns
        if settled_ns < 0 or publication.connected_ns > settled_ns or not ear.covers(settled_ns, until_ns):
            return False
        path = (
            publication.hosts + ear.hosts if publication.hosts[1] != ear.hosts[0] else publication.hosts + ear.hosts[1:]
        )
        return self._network.was_whole(path, settled_ns, until_ns)

    def _destinations(self, account: str, subject: str) -> tuple[tuple[str, str], ...]:
        return (
            (account, subject),
            *(
                (crossing.to_account, crossing.to_prefix + subject.removeprefix(crossing.prefix))
                for crossing in self._crossings
                if crossing.account == account and subject.startswith(crossing.prefix)
            ),
        )


def _matches(publication: Publication, ear: Ear) -> bool:
    return any(
        account == ear.account and subject_matches(ear.subject.encode(), subject.encode())
        for account, subject in publication.heard
    )


def _text(publication: Publication) -> str:
    return (
        f"message {publication.number} ({publication.client} on {publication.subject} at {publication.at_ns / 1e9:.6f})"
    )
