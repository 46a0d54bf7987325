"""One node between clients, routes, leaf nodes, hubs and other clusters: who is told of what, who gets which message.

Written from the specifications (leafnodes 8 to 12, gateways 7 to 9, routes 11 and 12) as two tables and a rank: nothing
here is fast, everything is looked up anew from the list of wishes.
"""

from dataclasses import dataclass, field, replace
from enum import Enum, auto

from gossamer.mesh.engine.reference import (
    EVERYTHING,
    ReferencePermissions,
    subject_covers,
    subject_is_literal,
    subject_matches,
)

#: How long a subscription counts as new, and what a mapped reply begins with (gateways section 9.4).
FRESH_NS = 2_000_000_000
MAPPED = b"_GR_."
MAPPED_PREFIX_SIZE = 19


class Kind(Enum):
    """What stands behind a link. ``INBOUND`` and ``OUTBOUND`` are gateways: who dialled us, and whom we dialled."""

    CLIENT = auto()
    ROUTE = auto()
    LEAF = auto()
    HUB = auto()
    INBOUND = auto()
    OUTBOUND = auto()


C, R, L, H, I, O = Kind  # noqa: E741 - so that the tables can be read as tables

#: Whose wishes each kind of peer is told of (leafnodes 8.1, gateways 7.1, routes 11).
TOLD_OF = {R: {C, L}, L: {C, R, L, H, O}, H: {C, L}, I: {C, R, L}}
#: To whom a message goes by where it came from (leafnodes 9.1).
GOES_TO = {C: {C, R, L, H, O}, L: {C, R, L, H, O}, H: {C, L, H}, R: {C, L}, I: {C, R, L}}
#: Whose members of a queue group come first (leafnodes 9.2, gateways 9.2 and 9.3): here and in the cluster alike, then
#: leaf nodes, then clusters. A message that came by route stays here, then goes to a leaf node, then to another node.
RANK = {C: 0, R: 0, L: 1, H: 1, O: 2}
RANK_FROM_ROUTE = {C: 0, L: 1, R: 2}
RANK_OF_LAST_RESORT = 3  # from a route, to another node that stands for leaf nodes


class Mode(Enum):
    """What an outbound gateway has said of an account (gateways section 7.3)."""

    ABSENT = auto()
    NO_INTEREST = auto()
    OPTIMISTIC = auto()
    TRANSITION = auto()
    TRANSITION_OF_OPTIMISTIC = auto()
    INTEREST_ONLY = auto()


LISTING = {Mode.TRANSITION, Mode.TRANSITION_OF_OPTIMISTIC, Mode.INTEREST_ONLY}


@dataclass
class Opinion:
    """The state of one account on an outbound gateway, but for its lists, which are wishes. ``generous``: everything is
    sent where nothing was said."""

    generous: bool
    mode: Mode = Mode.ABSENT
    refused: set[bytes] = field(default_factory=set)

    def wants(self, subject: bytes) -> bool:
        """Is it sent this without having asked for it?"""
        unasked = {Mode.ABSENT, Mode.OPTIMISTIC, Mode.TRANSITION_OF_OPTIMISTIC}
        return self.generous and self.mode in unasked and subject not in self.refused


@dataclass
class Peer:
    """A link. ``account`` binds clients, leaf nodes and hubs; ``origins``: a route that knows LS+."""

    number: int
    kind: Kind
    account: bytes = b""
    cluster: bytes = b""
    isolated: bool = False
    origins: bool = False
    echo: bool = True
    rights: ReferencePermissions = EVERYTHING
    rtt_ns: int = 0
    opinions: dict[bytes, Opinion] = field(default_factory=dict)

    def short(self) -> str:
        """For a transcript: what is not as usual."""
        default = Peer(0, self.kind)
        said = [f"{name}={value}" for name, value in vars(self).items() if value != getattr(default, name)]
        return f"{self.kind.name} {' '.join(said)}"

    def denied_to_us(self) -> list[bytes]:
        """The rights are those of the leaf's user: publish is what a leaf sends to its hub, subscribe the other way."""
        return list(self.rights.publish_deny) if self.kind is L else [one for one, _ in self.rights.subscribe_deny]

    def denied_from_us(self) -> list[bytes]:
        return [one for one, _ in self.rights.subscribe_deny] if self.kind is L else list(self.rights.publish_deny)

    def may_be_told(self, subject: bytes) -> bool:
        """Only what a deny entry covers as a whole is kept back (leafnodes section 10)."""
        return not any(subject_covers(deny, subject) for deny in self.denied_to_us())

    def may_be_sent(self, subject: bytes) -> bool:
        return not any(subject_matches(deny, subject) for deny in self.denied_from_us())

    def may_say(self, subject: bytes) -> bool:
        """May it send us a message on this subject? A leaf node that does it all the same is closed, a hub unheard."""
        return not any(subject_matches(deny, subject) for deny in self.denied_to_us())

    def may_ask(self, subject: bytes) -> bool:
        """A leaf node that asks for a literal subject that it may not have is closed; a hub may ask for all."""
        return self.kind is not L or not subject_is_literal(subject) or self.may_be_sent(subject)


@dataclass(frozen=True)
class Wish:
    """A subscription of a client (with its sid), or what another server announced."""

    peer: int
    account: bytes
    subject: bytes
    queue: bytes = b""
    origin: bytes = b""
    sid: bytes = b""


@dataclass(frozen=True)
class Message:
    """``groups`` None: all of them, as from a client. ``origin``: the leaf cluster it comes from."""

    source: int
    account: bytes
    subject: bytes
    reply: bytes = b""
    groups: tuple[bytes, ...] | None = None
    origin: bytes = b""


@dataclass
class Verdict:
    """Who gets a message: plain ones all, of each group exactly one of the eligible. A receiver is (link, sid)."""

    subject: bytes
    plain: set[tuple[int, bytes]] = field(default_factory=set)
    eligible: dict[bytes, set[tuple[int, bytes]]] = field(default_factory=dict)

    def nobody(self) -> bool:
        return not self.plain and not self.eligible


def stripped(reply: bytes) -> bytes:
    """The reply as clients see it."""
    return reply[MAPPED_PREFIX_SIZE:] if reply.startswith(MAPPED) else reply


class Model:
    def __init__(self) -> None:
        self.now_ns = 0
        self.peers: dict[int, Peer] = {}
        self.wishes: dict[Wish, int] = {}
        self.made_ns: dict[Wish, int] = {}
        self.answers: dict[tuple[int, bytes], bytes] = {}  # (client, reply as it saw it) -> reply as it came

    # --- what happens ---------------------------------------------------------------------------------------------

    def want(self, wish: Wish, weight: int = 1) -> None:
        if wish.sid and any((one.peer, one.sid) == (wish.peer, wish.sid) for one in self.wishes):
            return  # a sid in use: ignored
        self.made_ns.setdefault(wish, self.now_ns)
        self.wishes[wish] = weight if wish.queue else 1

    def unwant(self, wish: Wish) -> None:
        self.wishes.pop(wish, None)
        self.made_ns.pop(wish, None)

    def end(self, number: int) -> None:
        del self.peers[number]
        for wish in [one for one in self.wishes if one.peer == number]:
            self.unwant(wish)
        for key in [one for one in self.answers if one[0] == number]:
            del self.answers[key]

    # --- what an outbound gateway says (gateways section 7.3) --------------------------------------------------------

    def gateway_says(self, number: int, verb: str, account: bytes, subject: bytes = b"", queue: bytes = b"") -> None:
        opinion = self.peers[number].opinions[account]
        wish = Wish(number, account, subject, queue)
        listing = opinion.mode in LISTING
        if verb == "RS+" and queue:
            if opinion.mode in {Mode.ABSENT, Mode.NO_INTEREST}:
                opinion.mode = Mode.OPTIMISTIC
            self.want(wish)
        elif verb == "RS-" and queue:
            self.unwant(wish)
        elif verb == "RS+":
            if listing:
                self.want(wish)
            opinion.refused = {one for one in opinion.refused if not subject_covers(subject, one)}
        elif verb == "RS-":
            if listing:
                self.unwant(wish)
            else:
                opinion.mode = Mode.OPTIMISTIC
                opinion.refused.add(subject)
        elif verb == "A-":
            opinion.refused.clear()
            if not any(one.queue for one in self._of(number, account)):
                # A peer that listed and then says this has forgotten that it did: whatever it says next but a new list
                # is meant as by a peer that never listed (gateways sections 8.2 and 8.3).
                opinion.mode, opinion.generous = Mode.NO_INTEREST, True
                for one in self._of(number, account):
                    self.unwant(one)
        elif verb == "A+":
            opinion.mode = Mode.ABSENT
        elif verb == "start":
            before = opinion.mode is Mode.OPTIMISTIC
            opinion.mode = Mode.TRANSITION_OF_OPTIMISTIC if before else Mode.TRANSITION
        elif verb == "complete":
            opinion.mode = Mode.INTEREST_ONLY
            opinion.refused.clear()

    def _of(self, number: int, account: bytes) -> list[Wish]:
        return [one for one in self.wishes if one.peer == number and one.account == account]

    # --- interest --------------------------------------------------------------------------------------------------

    def told(self, to: Peer) -> dict[bytes, int]:
        """What the peer must believe: lines without ``+`` and weight, and the weight (1 for plain ones)."""
        found: dict[bytes, int] = {b"LS _GR_.>": 1} if to.kind in {L, H} else {}
        for wish, weight in self.wishes.items():
            if not self._concerns(to, wish):
                continue
            fields = [wish.account, wish.subject, wish.queue]
            if to.kind in {L, H}:
                fields = [b"LS", *fields[1:]]
            elif to.origins and self.peers[wish.peer].kind is L:
                fields = [b"LS", wish.origin, *fields]
            else:
                fields = [b"RS", *fields]
            key = b" ".join(one for one in fields if one)
            found[key] = found.get(key, 0) + weight if wish.queue and to.kind is not I else 1
        return found

    def _concerns(self, to: Peer, wish: Wish) -> bool:
        of = self.peers[wish.peer]
        if of.kind not in TOLD_OF.get(to.kind, set()) or of is to:
            return False
        if to.kind not in {L, H}:
            return True
        if wish.account != to.account or wish.origin == to.cluster or (to.isolated and of.kind is L):
            return False
        return to.may_be_told(wish.subject)

    # --- messages --------------------------------------------------------------------------------------------------

    def verdict(self, message: Message) -> Verdict:
        source = self.peers[message.source]
        answer = self.answers.get((message.source, message.subject))
        if answer is not None:
            back = [(one.number, b"") for one in self.peers.values() if one.kind is O and hashed(one) == answer[5:11]]
            if back:
                return Verdict(answer, set(back))
            # No way to that cluster from here: leaf nodes and hubs that want such answers may know one.
            message, reach = replace(message, subject=answer), {L, H}
        else:
            reach = GOES_TO[source.kind]
        found = Verdict(message.subject)
        for wish in self.wishes:
            if not wish.queue and self._usable(message, wish, reach):
                found.plain.add((wish.peer, wish.sid))
        for peer in self.peers.values():
            opinion = peer.opinions.get(message.account)
            if O in reach and opinion is not None and opinion.wants(message.subject):
                found.plain.add((peer.number, b""))
        names = {one.queue for one in self.wishes if one.queue}
        for group in names if message.groups is None else names & set(message.groups):
            best = self._best(message, group, reach)
            if best:
                found.eligible[group] = best
        return found

    def _best(self, message: Message, group: bytes, reach: set[Kind]) -> set[tuple[int, bytes]]:
        source = self.peers[message.source]
        ranks = RANK_FROM_ROUTE if source.kind is R else RANK
        reach = reach | ({R} if source.kind is R else set())
        ranked: dict[tuple[int, int], set[tuple[int, bytes]]] = {}
        for wish in self.wishes:
            if wish.queue != group or not self._usable(message, wish, reach):
                continue
            of = self.peers[wish.peer]
            rank = ranks[of.kind]
            if of.kind is R and source.kind is R:
                if wish.origin:
                    rank = RANK_OF_LAST_RESORT
                if self._hears_plainly(of, message):
                    continue  # a node that has its copy already is not given it again (compatibility, 27)
            elif of.kind is R and wish.origin:
                rank = RANK[L]
            ranked.setdefault((rank, of.rtt_ns), set()).add((wish.peer, wish.sid))
        return ranked[min(ranked)] if ranked else set()

    def _hears_plainly(self, route: Peer, message: Message) -> bool:
        return any(
            not one.queue and one.peer == route.number and self._usable(message, one, {R}) for one in self.wishes
        )

    def _usable(self, message: Message, wish: Wish, reach: set[Kind]) -> bool:
        """May the message go to whoever wished this?"""
        to, source = self.peers[wish.peer], self.peers[message.source]
        if (
            wish.account != message.account
            or to.kind not in reach
            or not subject_matches(wish.subject, message.subject)
        ):
            return False
        if to is source and not (source.kind is C and source.echo):
            return False
        if message.origin and wish.origin == message.origin:
            return False
        return to.may_be_sent(message.subject)

    def shown_reply(self, to: Peer, message: Message) -> set[bytes]:
        """The replies that the receiver may see. A gateway's is mapped while a subscription to it is new."""
        if to.kind is C:
            return {stripped(message.reply)}
        if to.kind is not O or not message.reply or message.reply.startswith(MAPPED):
            return {message.reply}
        ours = MAPPED + b"oooooo.ssssss." + message.reply
        here = [
            one
            for one in self.wishes
            if self.peers[one.peer].kind in {C, L}
            and one.account == message.account
            and subject_matches(one.subject, message.reply)
            and self.now_ns - self.made_ns[one] < FRESH_NS
        ]
        if not here:
            return {message.reply}
        return {ours} if any(one.sid for one in here) else {ours, message.reply}


def hashed(peer: Peer) -> bytes:
    """The six characters that stand for a peer's cluster in mapped replies."""
    return (peer.cluster * 6)[:6]
