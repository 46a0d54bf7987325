"""An engine with links of every kind beside the federation model: each step is done to both and compared."""

import base64
import json
from collections import Counter
from collections.abc import Iterable

from comparison import split_frames
from federation_model import FRESH_NS, LISTING, Kind, Message, Mode, Model, Opinion, Peer, Verdict, Wish, stripped
from operations import ACCOUNTS
from peers import Peers

from gossamer.mesh.engine.reference import Admission, ReferencePermissions, subject_matches

INTEREST = (b"RS+", b"RS-", b"LS+", b"LS-")
MESSAGES = (b"MSG", b"RMSG", b"LMSG")
#: After this nothing counts as new any more, nor is any mapped reply known (gateways section 9.4).
LONG_NS = 3 * FRESH_NS
RTT_NS = {b"E": 1_000_000, b"F": 30_000_000}


class Federation:
    """``model`` is kept in step with ``node``; every public method ends with a comparison of interest."""

    def __init__(self) -> None:
        self.node = Peers()
        self.node.identity()
        self.model = Model()
        self.model.now_ns = self.node.now_ns
        self.believed: dict[int, dict[bytes, int]] = {}
        self.transcript: list[str] = []
        for account in ACCOUNTS:
            self.node.account(account)

    # --- links ------------------------------------------------------------------------------------------------------

    def client(self, account: bytes, echo: bool) -> None:
        admission = Admission(account=account, headers=True, no_responders=True, echo=echo)
        link = self.node.open_raw(admission)
        self.node.feed(link, b"CONNECT {}\r\n")
        self._joined(Peer(link, Kind.CLIENT, account, echo=echo))

    def route(self, origins: bool) -> None:
        link = self.node.open_route_with_origins() if origins else self.node.join_raw()
        self._joined(Peer(link, Kind.ROUTE, origins=origins))

    def leaf(self, account: bytes, cluster: bytes, hub: bool, isolated: bool, rights: ReferencePermissions) -> None:
        link = self.node.leaf(cluster, account=account, hub=hub, isolated=isolated, permissions=rights)
        self._joined(Peer(link, Kind.HUB if hub else Kind.LEAF, account, cluster, isolated=isolated, rights=rights))

    def inbound(self, name: bytes) -> None:
        self._joined(Peer(self.node.gateway(name, outbound=False), Kind.INBOUND, cluster=name))

    def outbound(self, name: bytes, interest_only: bool) -> None:
        link = self.node.gateway(name, outbound=True, interest_only=interest_only)
        peer = Peer(link, Kind.OUTBOUND, cluster=name, rtt_ns=RTT_NS[name])
        peer.opinions = {account: Opinion(generous=not interest_only) for account in ACCOUNTS}
        self.node.engine.ping(link)
        self.node.settle()
        self._joined(peer)

    def change(self, peer: Peer, rights: ReferencePermissions) -> None:
        self.note(f"change {peer.number} {rights}")
        self.node.engine.change(peer.number, permissions=self.node.compiled(rights))
        self.node.settle()
        peer.rights = rights
        self.compare()

    def end(self, peer: Peer) -> None:
        self.note(f"end {peer.number}")
        self.node.feed(peer.number, b"", end=True)
        self._ended(peer)
        self.compare()

    def _joined(self, peer: Peer) -> None:
        self.note(f"join {peer.short()}")
        self.model.peers[peer.number] = peer
        self.believed[peer.number] = {}
        self.compare()

    def _ended(self, peer: Peer) -> None:
        assert peer.number in self.node.closed, self.report("not closed", peer)
        self.model.end(peer.number)

    def pass_time(self) -> None:
        """Long enough that nothing is new any more."""
        self.note("pass time")
        self.node.pass_time(LONG_NS)
        self.model.answers.clear()
        self.compare()

    # --- interest ----------------------------------------------------------------------------------------------------

    def subscribe(self, peer: Peer, subject: bytes, queue: bytes, sid: bytes) -> None:
        self._feed(peer, [b"SUB", subject, queue, sid])
        self.model.want(Wish(peer.number, peer.account, subject, queue, sid=sid))
        self.compare()

    def unsubscribe(self, peer: Peer, sid: bytes) -> None:
        self._feed(peer, [b"UNSUB", sid])
        for wish in [one for one in self.model.wishes if (one.peer, one.sid) == (peer.number, sid)]:
            self.model.unwant(wish)
        self.compare()

    def announce(self, peer: Peer, wish: Wish, weight: int) -> None:
        """A route, a leaf node or a hub wants something; an ``origin`` of a route's makes it LS+."""
        ends_link = not peer.may_ask(wish.subject)
        self._feed(
            peer, [*self._scope(peer, b"+", wish), wish.subject, wish.queue, b"%d" % weight if wish.queue else b""]
        )
        if ends_link:
            self._ended(peer)
        else:
            self.model.want(wish, weight)
        self.compare()

    def withdraw(self, peer: Peer, wish: Wish) -> None:
        self._feed(peer, [*self._scope(peer, b"-", wish), wish.subject, wish.queue])
        self.model.unwant(wish)
        self.compare()

    @staticmethod
    def _scope(peer: Peer, sign: bytes, wish: Wish) -> list[bytes]:
        if peer.kind is not Kind.ROUTE:
            return [b"LS" + sign]
        return [b"LS" + sign, wish.origin, wish.account] if wish.origin else [b"RS" + sign, wish.account]

    def gateway_says(self, peer: Peer, verb: str, account: bytes, subject: bytes, queue: bytes) -> None:
        """An outbound gateway's RS+, RS-, A+, A- and the two commands, where its real peer could say it."""
        mode = peer.opinions[account].mode
        if verb in {"start", "complete"}:
            if (verb == "start" and mode in LISTING) or (verb == "complete" and mode not in LISTING):
                return
            if verb == "start" and mode is Mode.ABSENT and peer.opinions[account].generous:
                return  # here the engine goes on sending everything until the list is complete, which loses nothing
            payload = base64.b64encode(account).decode()
            command = {"gateway": "E", "gateway_cmd": 2 if verb == "start" else 3, "gateway_cmd_payload": payload}
            self._feed(peer, [b"INFO", json.dumps(command).encode()])
        elif verb in {"A+", "A-"}:
            if verb == "A+" and mode is not Mode.NO_INTEREST:
                return
            self._feed(peer, [verb.encode(), account])
        else:
            number = b"1" if queue and verb == "RS+" else b""
            self._feed(peer, [verb.encode(), account, subject, queue, number])
        self.model.gateway_says(peer.number, verb, account, subject, queue)
        self.compare()

    # --- messages ----------------------------------------------------------------------------------------------------

    def publish(self, message: Message, data: bytes) -> None:
        """The message from its source, to everybody whom the model names, once."""
        source = self.model.peers[message.source]
        verdict = self.model.verdict(message)
        tail = [message.subject, *self._groups(message), b"%d" % len(data)]
        if source.kind is Kind.CLIENT:
            head = [b"PUB"]
        elif source.kind in {Kind.LEAF, Kind.HUB}:
            head = [b"LMSG"]
        elif source.kind is Kind.ROUTE and message.origin:
            head = [b"LMSG", message.origin, message.account]
            tail.insert(-1, b"0")
        else:
            head = [b"RMSG", message.account]
        if not source.may_say(message.subject):
            verdict = Verdict(message.subject)
        self._feed(source, [*head, *tail], data + b"\r\n")
        if source.kind is Kind.LEAF and not source.may_say(message.subject):
            self._take()
            self._ended(source)
            self.compare()
            return
        self.compare(message, verdict, data)

    @staticmethod
    def _groups(message: Message) -> list[bytes]:
        if message.groups:
            return [b"+", message.reply, *message.groups] if message.reply else [b"|", *message.groups]
        return [message.reply]

    def _feed(self, peer: Peer, fields: Iterable[bytes], more: bytes = b"") -> None:
        data = b" ".join(one for one in fields if one) + b"\r\n" + more
        self.note(f"feed {peer.kind.name} {peer.number} {data!r}")
        self.node.engine.feed(peer.number, data)
        self.node.settle()

    # --- comparing ---------------------------------------------------------------------------------------------------

    def note(self, text: str) -> None:
        self.transcript.append(text)

    def report(self, title: str, expected: object = "", found: object = "") -> str:
        return "\n".join([title, f"expected {expected}", f"found    {found}", "transcript:", *self.transcript])

    def compare(self, message: Message | None = None, verdict: Verdict | None = None, data: bytes = b"") -> None:
        """Interest of all links; and the messages are those of the verdict, or none."""
        frames = self._take()
        for peer in self.model.peers.values():
            told = self.model.told(peer)
            if self.believed[peer.number] != told:
                raise AssertionError(self.report(f"interest of {peer.short()}", told, self.believed[peer.number]))
        if message is not None and verdict is not None:
            self._compare_messages(frames, message, verdict, data)
        elif frames:
            raise AssertionError(self.report("messages that nobody sent", "", frames))

    def _take(self) -> dict[int, list[bytes]]:
        """What was put out since: interest is believed, pings are answered after the peer's time, messages are left."""
        messages: dict[int, list[bytes]] = {}
        while self.node.output:
            asking = []
            for number in sorted(self.node.output):
                for frame in split_frames(self.node.take(number)):
                    verb = frame[:4].split()[0]
                    if number not in self.model.peers:
                        assert verb in {*INTEREST, b"-ERR"}, self.report("output on a link that is gone", "", frame)
                    elif verb in INTEREST:
                        self._believe(number, frame[:-2])
                    elif verb == b"INFO":
                        self._command(number, frame)
                    elif verb == b"PING":
                        asking.append(self.model.peers[number])
                    elif verb != b"-ERR":
                        messages.setdefault(number, []).append(frame)
            start_ns = self.node.now_ns
            for peer in sorted(asking, key=lambda one: one.rtt_ns):
                self.node.pass_time(start_ns + peer.rtt_ns - self.node.now_ns)
                self.node.engine.feed(peer.number, b"PONG\r\n")
                self.node.settle()
        self.model.now_ns = self.node.now_ns
        return messages

    def _believe(self, number: int, line: bytes) -> None:
        """What the peer makes of a line, each of which must tell it something new."""
        believed, peer = self.believed[number], self.model.peers[number]
        verb, *fields = line.split(b" ")
        scope = 0 if peer.kind in {Kind.LEAF, Kind.HUB} else 2 if verb.startswith(b"LS") else 1
        weight = int(fields.pop()) if verb.endswith(b"+") and len(fields) == scope + 3 else 1
        key = b" ".join([verb[:2], *fields])
        news = believed.get(key) != weight if verb.endswith(b"+") else key in believed
        assert news, self.report(f"{line!r} tells {peer.short()} nothing new")
        if verb.endswith(b"+"):
            believed[key] = weight
        else:
            del believed[key]

    def _command(self, number: int, frame: bytes) -> None:
        """The two commands around an account's list; a real solicitor would not believe plain interest before."""
        info = json.loads(frame.removeprefix(b"INFO "))
        assert info["gateway_cmd"] in {2, 3}
        assert base64.b64decode(info["gateway_cmd_payload"]) in ACCOUNTS

    def _compare_messages(
        self, frames: dict[int, list[bytes]], message: Message, verdict: Verdict, data: bytes
    ) -> None:
        plain: Counter[tuple[int, bytes]] = Counter()
        picked: dict[bytes, list[tuple[int, bytes]]] = {}
        refusals = 0
        for number, batch in frames.items():
            peer = self.model.peers[number]
            for frame in batch:
                if frame.startswith(b"HMSG " + message.reply) and b" 503\r\n" in frame and number == message.source:
                    refusals += 1
                    continue
                receiver, groups = self._read(peer, frame, message, verdict, data)
                for group in groups:
                    picked.setdefault(group, []).append(receiver)
                if not groups or receiver in verdict.plain:
                    plain[receiver] += 1
        assert plain == Counter(verdict.plain), self.report("plain receivers", verdict, (plain, picked))
        chosen = {
            group: one[0]
            for group, one in picked.items()
            if len(one) == 1 and one[0] in verdict.eligible.get(group, set())
        }
        assert chosen.keys() == picked.keys() == verdict.eligible.keys(), self.report("groups", verdict, picked)
        source = self.model.peers[message.source]
        waiting = any(
            one.peer == source.number and not one.queue and message.reply and self._wants(one, message.reply)
            for one in self.model.wishes
        )
        expected = source.kind is Kind.CLIENT and waiting and verdict.nobody()
        assert refusals == expected, self.report("no responders", expected, refusals)

    @staticmethod
    def _wants(wish: Wish, subject: bytes) -> bool:
        return bool(wish.sid) and subject_matches(wish.subject, subject)

    def _read(
        self, peer: Peer, frame: bytes, message: Message, verdict: Verdict, data: bytes
    ) -> tuple[tuple[int, bytes], list[bytes]]:
        """The receiver and the groups that a frame names; all else in it must be as it should."""
        line, _, payload = frame.partition(b"\r\n")
        verb, *fields = line.split(b" ")
        groups: list[bytes] = []
        sid = b""
        with_origin = peer.origins and message.origin
        sizes = [b"0", b"%d" % len(data)] if with_origin else [b"%d" % len(data)]
        assert fields[-len(sizes) :] == sizes, self.report(f"sizes for {peer.short()}", sizes, frame)
        del fields[-len(sizes) :]
        if peer.kind is Kind.CLIENT:
            sid = fields.pop(1)
            groups = [one.queue for one in self.model.wishes if (one.peer, one.sid) == (peer.number, sid) and one.queue]
            scope = [b"MSG"]
        elif peer.kind in {Kind.LEAF, Kind.HUB}:
            scope = [b"LMSG"]
        else:
            scope = [b"LMSG", message.origin, message.account] if with_origin else [b"RMSG", message.account]
        assert [verb, *fields][: len(scope) + 1] == [*scope, verdict.subject], self.report(
            f"head for {peer.short()}", scope, frame
        )
        rest = fields[len(scope) :]
        if rest and rest[0] in {b"+", b"|"}:
            groups = rest[2:] if rest[0] == b"+" else rest[1:]
            rest = rest[1:2] if rest[0] == b"+" else []
        reply = rest[0] if rest else b""
        assert len(rest) < 2, self.report(f"too much for {peer.short()}", "", frame)
        assert reply in self.model.shown_reply(peer, message), self.report(
            f"reply for {peer.short()}", message.reply, frame
        )
        assert payload == data + b"\r\n", self.report(f"payload for {peer.short()}", data, frame)
        if peer.kind is Kind.CLIENT and reply != message.reply:
            self.model.answers[peer.number, stripped(message.reply)] = message.reply
        return (peer.number, sid), groups

    def finish(self) -> None:
        """Everybody goes; nothing is left."""
        for peer in list(self.model.peers.values()):
            self.end(peer)
        assert not self.model.wishes
        self.node.finish()
