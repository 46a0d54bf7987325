"""The engine's semantics in plain Python: the oracle that the compiled engine is tested against.

Nothing here is fast and nothing is clever: subscriptions are a list, matching walks tokens, permissions are tried one
entry after the other. It answers one question: *which outputs are right* for these bytes on these links?

Two things are free in the protocol, and the model keeps them free:

- which member of a queue group gets a message: ``choose`` decides. A test hands in a function that looks at what the
  engine really did and says which of the candidates that was, so that the model follows (auto-unsubscribe counters and
  response permissions depend on the choice). ``None`` as its answer means "nobody got it", and shows as a difference.
- the order in which one message reaches several subscriptions of one link: output is a list of *batches*, in order;
  inside a batch any order is right. ``accepts`` compares.

Sources: client-protocol sections 2, 5 to 13 and 18, auth section 15 (with the safe rule of 26.1), routes 11 and 12.
Not modelled: time (pings, deadlines), back-pressure, leaf verbs.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from gossamer.mesh.engine.kinds import CloseReason

# --- subjects (client-protocol section 7) -----------------------------------------------------------------------------


def subject_is_valid(subject: bytes) -> bool:
    """May be subscribed to: no empty token, ``>`` only last."""
    tokens = subject.split(b".")
    return all(tokens) and b">" not in tokens[:-1]


def subject_is_literal(subject: bytes) -> bool:
    """Valid and without wildcards."""
    tokens = subject.split(b".")
    return all(tokens) and b"*" not in tokens and b">" not in tokens


def subject_matches(pattern: bytes, subject: bytes) -> bool:
    """Does the pattern match this subject, whose own wildcard tokens count as plain text?"""
    wanted, found = pattern.split(b"."), subject.split(b".")
    if not all(found) or not subject_is_valid(pattern):
        return False
    for place, token in enumerate(wanted):
        if token == b">":
            return len(found) > place
        if place == len(found) or token not in (b"*", found[place]):
            return False
    return len(found) == len(wanted)


def subject_covers(wide: bytes, narrow: bytes) -> bool:
    """Is every subject that ``narrow`` matches also matched by ``wide``?"""
    if not subject_is_valid(wide) or not subject_is_valid(narrow):
        return False
    outer, inner = wide.split(b"."), narrow.split(b".")
    for place, token in enumerate(outer):
        if place == len(inner):
            return False
        if token == b">":
            return True
        if inner[place] == b">" or token not in (b"*", inner[place]):
            return False
    return len(inner) == len(outer)


def subjects_overlap(one: bytes, other: bytes) -> bool:
    """Is there a literal subject that both patterns match?"""
    if not subject_is_valid(one) or not subject_is_valid(other):
        return False
    left, right = one.split(b"."), other.split(b".")
    for place in range(min(len(left), len(right))):
        pair = (left[place], right[place])
        if b">" in pair:
            return True
        if b"*" not in pair and pair[0] != pair[1]:
            return False
    return len(left) == len(right)


# --- permissions (auth section 15) ------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class ReferencePermissions:
    """The arguments of ``Engine.permissions``, and what they mean."""

    publish_allow: Sequence[bytes] | None = None
    publish_deny: Sequence[bytes] = ()
    subscribe_allow: Sequence[tuple[bytes, bytes]] | None = None
    subscribe_deny: Sequence[tuple[bytes, bytes]] = ()
    response_max: int = 0
    response_ttl_ns: int = 0

    def may_publish(self, subject: bytes) -> bool:
        """By the lists alone; responses are the link's business."""
        if self.publish_allow is None:
            allowed = self.response_max == 0
        else:
            allowed = any(subject_matches(entry, subject) for entry in self.publish_allow)
        return allowed and not any(subject_matches(entry, subject) for entry in self.publish_deny)

    def may_subscribe(self, subject: bytes, queue: bytes) -> bool:
        """Allow by set inclusion (26.1: ``a.*`` does not admit ``a.>``), deny by the subscription's text."""
        allowed = True
        if self.subscribe_allow is not None:
            covering = [name for entry, name in self.subscribe_allow if subject_covers(entry, subject)]
            # An entry that names queues restricts them even where it is too narrow to allow.
            named = [name for name in covering if name]
            restricted = named or any(name and subject_matches(entry, subject) for entry, name in self.subscribe_allow)
            allowed = any(_queue_matches(name, queue) for name in named) if queue and restricted else b"" in covering
        return allowed and not self._denies(subject, queue)

    def may_deliver(self, subject: bytes, queue: bytes) -> bool:
        """The filter for a subscription that is wider than a deny entry (15.4)."""
        return not self._denies(subject, queue)

    def _denies(self, subject: bytes, queue: bytes) -> bool:
        return any(
            subject_matches(entry, subject) and (not name or (bool(queue) and _queue_matches(name, queue)))
            for entry, name in self.subscribe_deny
        )


def _queue_matches(pattern: bytes, queue: bytes) -> bool:
    return pattern == queue or subject_matches(pattern, queue)


EVERYTHING = ReferencePermissions()


# --- what a node is made of -------------------------------------------------------------------------------------------


@dataclass(kw_only=True)
class Admission:
    """The arguments of ``Engine.admit``. The account is named, not numbered."""

    account: bytes
    permissions: ReferencePermissions = EVERYTHING
    verbose: bool = False
    pedantic: bool = False
    echo: bool = True
    headers: bool = False
    no_responders: bool = False
    max_payload: int = -1
    max_subscriptions: int = -1
    reset: bool = False


@dataclass(eq=False)
class Subscription:
    """Of a client, or (``link`` 0) of the control plane."""

    link: int
    account: bytes
    subject: bytes
    queue: bytes
    sid: bytes
    delivered: int = 0
    maximum: int = 0


@dataclass(frozen=True)
class Candidate:
    """One that may get the message of a queue group: a subscription here, or (no ``sid``) the node behind a route."""

    link: int
    sid: bytes
    weight: int = 1


@dataclass(frozen=True)
class Message:
    """What is under way. ``link`` is where it came in, 0 the control plane."""

    link: int
    account: bytes
    subject: bytes
    reply: bytes
    header_size: int
    data: bytes


#: Who of the candidates gets this message for this group? None: nobody did.
Chooser = Callable[[Message, bytes, list[Candidate]], Candidate | None]
#: The verdict on a link's CONNECT (None: another verb came first): an admission, or the text of an -ERR.
Judge = Callable[[int, bytes | None, bool], Admission | bytes]
#: Frames in any order.
Batch = list[bytes]


@dataclass(eq=False)
class Link:
    """A client (``judge`` is set) or a route."""

    number: int
    judge: Judge | None = None
    settings: Admission | None = None
    connected: bool = False
    buffer: bytearray = field(default_factory=bytearray)
    publish: Message | None = None  # its line is parsed, its payload is not complete
    payload_size: int = 0
    groups: list[bytes] = field(default_factory=list)  # named by the routed message under way
    subscriptions: dict[bytes, Subscription] = field(default_factory=dict)
    replies: dict[bytes, tuple[int, int]] = field(default_factory=dict)  # subject -> (count, time of delivery)
    output: list[Batch] = field(default_factory=list)
    closed: CloseReason | None = None
    # of a route only
    headers: bool = True
    pool_index: int = -1  # -1: not pooled, carries every account
    dedicated: bytes = b""
    interest: dict[tuple[bytes, bytes, bytes], int] = field(default_factory=dict)  # account, subject, queue -> weight

    def send(self, *frames: bytes) -> None:
        """One batch."""
        if frames and self.closed is None:
            self.output.append(list(frames))


class Violation(Exception):
    """The peer broke the protocol: the link closes, with an -ERR or silently."""

    def __init__(self, reason: CloseReason, text: bytes = b"") -> None:
        super().__init__(text)
        self.reason, self.text = reason, text


UNKNOWN = (CloseReason.PROTOCOL_VIOLATION, b"Unknown Protocol Operation")
SILENT = CloseReason.PROTOCOL_VIOLATION
CLIENT_VERBS = (b"CONNECT", b"PING", b"PONG", b"PUB", b"HPUB", b"SUB", b"UNSUB", b"INFO", b"+OK", b"-ERR")
ROUTE_VERBS = (b"PING", b"PONG", b"RS+", b"RS-", b"RMSG", b"HMSG", b"INFO", b"+OK", b"-ERR")
WITHOUT_ARGUMENTS = (b"PING", b"PONG", b"+OK")
RESERVED_PUBLISH = (b"_GR_.", b"$GR.", b"$NRG.")
RESERVED_REPLY = (b"_R_.", b"$JS.ACK.", b"_GR_.", b"$GR.")


def accepts(batches: Sequence[Batch], frames: Sequence[bytes]) -> bool:
    """Are these frames, in this order, the batches in their order, each shuffled as it likes?"""
    place = 0
    for batch in batches:
        if sorted(frames[place : place + len(batch)]) != sorted(batch):
            return False
        place += len(batch)
    return place == len(frames)


def quoted(text: bytes) -> bytes:
    """A subject inside an -ERR: in double quotes, with quotes, backslashes and unprintable bytes escaped."""
    short = {
        0x22: b'\\"',
        0x5C: b"\\\\",
        7: b"\\a",
        8: b"\\b",
        9: b"\\t",
        10: b"\\n",
        11: b"\\v",
        12: b"\\f",
        13: b"\\r",
    }
    made = bytearray(b'"')
    for letter in text.decode("utf-8", "surrogateescape"):
        code = ord(letter)
        if code in short:
            made += short[code]
        elif 0xDC80 <= code <= 0xDCFF:
            made += b"\\x%02x" % (code - 0xDC00)
        elif code < 0x80 and not letter.isprintable():
            made += b"\\x%02x" % code
        elif letter.isprintable():
            made += letter.encode()
        else:
            made += (b"\\u%04x" if code < 0x10000 else b"\\U%08x") % code
    return bytes(made + b'"')


def pool_index(account: bytes, size: int) -> int:
    """Which pooled connection carries the account (routes section 4.1)."""
    value = 0x811C9DC5
    for byte in account:
        value = ((value ^ byte) * 0x01000193) & 0xFFFFFFFF
    return value % size if size > 1 else 0


def _size(text: bytes) -> int:
    if not 1 <= len(text) <= 9 or not text.isdigit():
        raise Violation(SILENT)
    return int(text)


class ReferenceNode:
    """A whole small node. Feed links, then read ``output`` of each link and ``mailbox``, and compare with ``accepts``.

    ``mailbox`` holds batches like a link's output; its frames are ``(subscription, message)`` pairs.
    """

    def __init__(
        self,
        choose: Chooser,
        *,
        max_payload: int = 1048576,
        max_control_line: int = 4096,
        max_subscriptions: int = 0,
        max_subscription_tokens: int = 0,
        pool_size: int = 0,
    ) -> None:
        self.choose = choose
        self.max_payload = max_payload
        self.max_control_line = max_control_line
        self.max_subscriptions = max_subscriptions
        self.max_subscription_tokens = max_subscription_tokens
        self.pool_size = pool_size
        self.now_ns = 0
        self.links: dict[int, Link] = {}
        self.subscriptions: list[Subscription] = []
        self.mailbox: list[list[tuple[int, Message]]] = []

    # --- what happens to the node -------------------------------------------------------------------------------------

    def open_client(self, number: int, judge: Judge) -> Link:
        """A client has connected."""
        self.links[number] = Link(number, judge)
        return self.links[number]

    def join_route(self, number: int, *, headers: bool = True, pool_index: int = -1, dedicated: bytes = b"") -> Link:
        """A route is ready: everything its accounts are interested in goes out on it."""
        link = self.links[number] = Link(number, headers=headers, pool_index=pool_index, dedicated=dedicated)
        accounts = {one.account for one in self.subscriptions if self._carries(link, one.account)}
        counts = [item for account in accounts for item in self.local_interest(account).items()]
        link.send(*(self._interest_line(link, key, count) for key, count in counts))
        return link

    def local_interest(self, account: bytes) -> dict[tuple[bytes, bytes, bytes], int]:
        """How many subscriptions here, by account, subject and queue."""
        counts: dict[tuple[bytes, bytes, bytes], int] = {}
        for one in self.subscriptions:
            if one.account == account:
                key = (one.account, one.subject, one.queue)
                counts[key] = counts.get(key, 0) + 1
        return counts

    def announced(self, number: int) -> dict[tuple[bytes, bytes, bytes], int]:
        """What the peer of this route must believe: the weight for a queue, 1 for plain interest."""
        link = self.links[number]
        accounts = {one.account for one in self.subscriptions if self._carries(link, one.account)}
        return {
            key: count if key[2] else 1 for account in accounts for key, count in self.local_interest(account).items()
        }

    def feed(self, number: int, data: bytes) -> None:
        """Bytes from a peer; everything complete in them is carried out."""
        link = self.links[number]
        if link.closed is not None:
            return
        link.buffer += data
        try:
            while link.closed is None and self._advance(link):
                pass
        except Violation as fault:
            if fault.text:
                link.send(b"-ERR '" + fault.text + b"'\r\n")
            self.close(number, fault.reason)

    def close(self, number: int, reason: CloseReason = CloseReason.CLIENT_CLOSED) -> None:
        """The link is gone, from whichever side."""
        link = self.links[number]
        if link.closed is None:
            link.closed = reason
            self._forget(link)

    def change(self, number: int, permissions: ReferencePermissions) -> None:
        """New permissions for a live client: what is no longer allowed is removed and told."""
        link = self.links[number]
        assert link.settings is not None
        link.settings.permissions = permissions
        gone = [one for one in link.subscriptions.values() if not permissions.may_subscribe(one.subject, one.queue)]
        link.send(*(_subscription_error(one.subject, one.queue, b" (sid " + quoted(one.sid) + b")") for one in gone))
        self._remove(*gone)

    def subscribe(self, identity: int, account: bytes, subject: bytes, queue: bytes = b"") -> None:
        """A subscription of the control plane; ``identity`` is what ``Engine.subscribe`` gave."""
        self._insert(Subscription(0, account, subject, queue, b"%d" % identity))

    def unsubscribe(self, identity: int) -> None:
        """The end of a ``subscribe``."""
        self._remove(*[one for one in self.subscriptions if one.link == 0 and one.sid == b"%d" % identity])

    def publish(
        self, account: bytes, subject: bytes, data: bytes = b"", *, reply: bytes = b"", header_size: int = 0
    ) -> None:
        """A message of the control plane."""
        self._distribute(Message(0, account, subject, reply, header_size, data))

    # --- parsing (client-protocol section 2, routes section 2) --------------------------------------------------------

    def _advance(self, link: Link) -> bool:
        """One step forward in the link's bytes: a line, or the payload that belongs to it. False: more is needed."""
        if link.publish is not None:
            return self._take_payload(link)
        buffer = bytes(link.buffer)
        if not buffer:
            return False
        verbs = CLIENT_VERBS if link.judge else ROUTE_VERBS
        verb = next((verb for verb in verbs if buffer[: len(verb)].upper() == verb), None)
        if verb is None:
            if any(verb.startswith(buffer.upper()) for verb in verbs):
                return False
            raise Violation(*UNKNOWN)
        rest = buffer[len(verb) :]
        if verb in WITHOUT_ARGUMENTS:
            line, newline, after = rest.partition(b"\n")
        else:
            if rest and rest[:1] not in b" \t":
                raise Violation(*UNKNOWN)
            line, newline, after = rest.lstrip(b" \t").partition(b"\n")
            limit = self.max_control_line * (1 if link.judge else 16)
            if len(line.removesuffix(b"\r")) > limit:
                raise Violation(CloseReason.MAX_CONTROL_LINE_EXCEEDED, b"maximum control line exceeded")
        if not newline:
            return False
        link.buffer[:] = after
        if link.judge:
            self._client_line(link, verb, line.removesuffix(b"\r"))
        else:
            self._route_line(link, verb, line.removesuffix(b"\r"))
        return True

    def _take_payload(self, link: Link) -> bool:
        message, size = link.publish, link.payload_size
        assert message is not None
        end = bytes(link.buffer[size : size + 2])
        if not b"\r\n".startswith(end):
            raise Violation(*UNKNOWN)
        if len(end) < 2:
            return False
        data = bytes(link.buffer[:size])
        del link.buffer[: size + 2]
        link.publish = None
        message = Message(message.link, message.account, message.subject, message.reply, message.header_size, data)
        if link.judge:
            self._publish_from_client(link, message)
        else:
            self._distribute_routed(link, message)
        return True

    # --- clients ------------------------------------------------------------------------------------------------------

    def _client_line(self, link: Link, verb: bytes, line: bytes) -> None:
        if verb == b"CONNECT" or link.settings is None:
            self._judge(link, line if verb == b"CONNECT" else None)
            if verb == b"CONNECT" or link.closed is not None:
                return
        arguments = line.replace(b"\t", b" ").split(b" ")
        arguments = [argument for argument in arguments if argument]
        if verb == b"PING":
            link.send(b"PONG\r\n")
        elif verb == b"SUB":
            self._subscribe_from_client(link, arguments)
        elif verb == b"UNSUB":
            self._unsubscribe_from_client(link, arguments)
        elif verb in (b"PUB", b"HPUB"):
            self._publish_line(link, verb, arguments)
        elif verb == b"-ERR":
            raise Violation(CloseReason.PARSE_ERROR)

    def _judge(self, link: Link, connect: bytes | None) -> None:
        assert link.judge is not None
        verdict = link.judge(link.number, connect, link.connected)
        link.connected = link.connected or connect is not None
        if isinstance(verdict, bytes):
            raise Violation(CloseReason.AUTHENTICATION_VIOLATION, verdict)
        if verdict.reset:
            self._forget(link)
        link.settings = verdict
        if verdict.verbose and connect is not None:
            link.send(b"+OK\r\n")

    def _subscribe_from_client(self, link: Link, arguments: list[bytes]) -> None:
        settings = link.settings
        assert settings is not None
        if len(arguments) not in (2, 3):
            raise Violation(SILENT)
        subject, sid = arguments[0], arguments[-1]
        queue = arguments[1] if len(arguments) == 3 else b""
        limits = [limit for limit in (self.max_subscriptions, settings.max_subscriptions) if limit > 0]
        if not settings.permissions.may_subscribe(subject, queue) or queue == b"_sys_":
            link.send(_subscription_error(subject, queue))
        elif 0 < self.max_subscription_tokens < len(subject.split(b".")):
            link.send(_subscription_error(subject, b"", b", too many tokens"))
        elif limits and len(link.subscriptions) >= min(limits):
            link.send(b"-ERR 'maximum subscriptions exceeded'\r\n")
        elif sid not in link.subscriptions and not subject_is_valid(subject):
            link.send(b"-ERR 'Invalid Subject'\r\n")
        else:
            if sid not in link.subscriptions:
                link.subscriptions[sid] = Subscription(link.number, settings.account, subject, queue, sid)
                self._insert(link.subscriptions[sid])
            if settings.verbose:
                link.send(b"+OK\r\n")

    def _unsubscribe_from_client(self, link: Link, arguments: list[bytes]) -> None:
        settings = link.settings
        assert settings is not None
        if len(arguments) not in (1, 2):
            raise Violation(SILENT)
        one = link.subscriptions.get(arguments[0])
        if one is not None:
            text = arguments[1] if len(arguments) == 2 else b"0"
            one.maximum = int(text) if text.isdigit() else 0
            if one.maximum <= one.delivered:
                self._remove(one)
        if settings.verbose:
            link.send(b"+OK\r\n")

    def _publish_line(self, link: Link, verb: bytes, arguments: list[bytes]) -> None:
        settings = link.settings
        assert settings is not None
        numbers = 2 if verb == b"HPUB" else 1
        if (numbers == 2 and not settings.headers) or len(arguments) - numbers not in (1, 2):
            raise Violation(SILENT)
        total = _size(arguments[-1])
        header_size = _size(arguments[-2]) if numbers == 2 else 0
        if header_size > total:
            raise Violation(SILENT)
        limits = [limit for limit in (self.max_payload, settings.max_payload) if limit >= 0]
        if limits and total > min(limits):
            raise Violation(CloseReason.MAX_PAYLOAD_EXCEEDED, b"Maximum Payload Violation")
        reply = arguments[1] if len(arguments) - numbers == 2 else b""
        if settings.pedantic and not subject_is_literal(arguments[0]):
            link.send(b"-ERR 'Invalid Publish Subject'\r\n")
        link.publish = Message(link.number, settings.account, arguments[0], reply, header_size, b"")
        link.payload_size = total

    def _publish_from_client(self, link: Link, message: Message) -> None:
        settings = link.settings
        assert settings is not None
        subject, reply = message.subject, message.reply
        reserved = subject.startswith(RESERVED_PUBLISH)
        if reserved or not (settings.permissions.may_publish(subject) or self._may_respond(link, subject)):
            link.send(b"-ERR 'Permissions Violation for Publish to " + quoted(subject) + b"'\r\n")
            return
        if reply.startswith(RESERVED_REPLY):
            link.send(b"-ERR 'Permissions Violation for Publish with Reply of " + quoted(reply) + b"'\r\n")
            return
        if settings.verbose:
            link.send(b"+OK\r\n")
        if self._distribute(message) or not (reply and settings.no_responders and settings.headers):
            return
        # Nobody took the request: tell the requester on one of its own subscriptions for the reply (section 12).
        status = b"NATS/1.0 503\r\nNats-Subject: " + subject + b"\r\n\r\n"
        waiting = [
            Candidate(link.number, one.sid)
            for one in link.subscriptions.values()
            if not one.queue and subject_matches(one.subject, reply)
        ]
        chosen = self.choose(message, b"", waiting) if waiting else None
        if chosen:
            link.send(b"HMSG %b %b %d %d\r\n%b\r\n" % (reply, chosen.sid, len(status), len(status), status))

    def _may_respond(self, link: Link, subject: bytes) -> bool:
        assert link.settings is not None
        permissions = link.settings.permissions
        if subject not in link.replies:
            return False
        count, since_ns = link.replies[subject]
        if 0 < permissions.response_ttl_ns < self.now_ns - since_ns or 0 <= permissions.response_max <= count:
            return False
        link.replies[subject] = (count + 1, since_ns)
        return True

    # --- routes (routes sections 11 and 12) ---------------------------------------------------------------------------

    def _route_line(self, link: Link, verb: bytes, line: bytes) -> None:
        arguments = [argument for argument in line.replace(b"\t", b" ").split(b" ") if argument]
        if verb == b"PING":
            link.send(b"PONG\r\n")
        if verb in (b"PING", b"PONG", b"+OK", b"INFO"):
            return
        if verb == b"-ERR":
            raise Violation(CloseReason.PARSE_ERROR)
        if link.dedicated:
            arguments.insert(0, link.dedicated)
        if verb == b"RS+":
            if len(arguments) not in (2, 4):
                raise Violation(SILENT)
            queue, weight = (arguments[2], _size(arguments[3])) if len(arguments) == 4 else (b"", 1)
            if subject_is_valid(arguments[1]):
                link.interest[arguments[0], arguments[1], queue] = weight
            if weight == 0:  # never sent by a peer that follows the protocol; it means RS-
                link.interest.pop((arguments[0], arguments[1], queue), None)
        elif verb == b"RS-":
            if len(arguments) not in (2, 3):
                raise Violation(SILENT)
            link.interest.pop((arguments[0], arguments[1], arguments[2] if len(arguments) == 3 else b""), None)
        else:
            self._routed_line(link, verb, arguments)

    def _routed_line(self, link: Link, verb: bytes, arguments: list[bytes]) -> None:
        numbers = 2 if verb == b"HMSG" else 1
        if len(arguments) < 2 + numbers:
            raise Violation(SILENT)
        total = _size(arguments[-1])
        header_size = _size(arguments[-2]) if numbers == 2 else 0
        middle = arguments[2:-numbers]
        reply, link.groups = (middle[0] if middle else b""), []
        if len(middle) > 1:
            if middle[0] not in (b"+", b"|"):
                raise Violation(SILENT)
            reply, link.groups = (middle[1], middle[2:]) if middle[0] == b"+" else (b"", middle[1:])
        if header_size > total:
            raise Violation(SILENT)
        link.publish = Message(link.number, arguments[0], arguments[1], reply, header_size, b"")
        link.payload_size = total

    def _distribute_routed(self, link: Link, message: Message) -> None:
        """One hop only: to clients here; a named group that has no member left goes on to one other route, whose node
        has no copy of the message yet."""
        batches: dict[int, list[list[bytes]]] = {}
        self._deliver_plain(message, batches)
        onward: dict[int, list[bytes]] = {}
        for group in link.groups:
            candidates = self._members(message, group) or [
                candidate
                for candidate in self._remote_members(message, group)
                if candidate.link != link.number and candidate.link not in self._plain_links(message)
            ]
            self._deliver_group(message, group, candidates, batches, onward)
        for number, groups in onward.items():
            route = self.links[number]
            route.send(self._routed_frame(route, message, groups))
        self._flush(batches)

    def _plain_links(self, message: Message) -> list[int]:
        """Routes whose node wants a copy of the message."""
        return [
            link.number
            for link in self.links.values()
            if any(
                not queue and account == message.account and subject_matches(subject, message.subject)
                for account, subject, queue in link.interest
            )
        ]

    def _routed_frame(self, route: Link, message: Message, groups: list[bytes]) -> bytes:
        fields = [] if route.dedicated else [message.account]
        fields.append(message.subject)
        if groups:
            fields += [b"+", message.reply] if message.reply else [b"|"]
            fields += groups
        elif message.reply:
            fields.append(message.reply)
        return _frame((b"RMSG", b"HMSG"), fields, message, route.headers)

    def _carries(self, link: Link, account: bytes) -> bool:
        if link.judge is not None or link.closed is not None:
            return False
        if link.dedicated:
            return link.dedicated == account
        return link.pool_index < 0 or link.pool_index == pool_index(account, self.pool_size)

    def _interest_line(self, link: Link, key: tuple[bytes, bytes, bytes], count: int) -> bytes:
        account, subject, queue = key
        fields = [b"RS+" if count else b"RS-"] + ([] if link.dedicated else [account]) + [subject]
        if queue:
            fields += [queue, b"%d" % count] if count else [queue]
        return b" ".join(fields) + b"\r\n"

    # --- interest and delivery ----------------------------------------------------------------------------------------

    def _insert(self, one: Subscription) -> None:
        self.subscriptions.append(one)
        news: dict[int, Batch] = {}
        self._announce(one, news)
        for number, lines in news.items():
            self.links[number].send(*lines)

    def _remove(self, *gone: Subscription) -> None:
        """At once, so in no order that others could see."""
        news: dict[int, Batch] = {}
        for one in gone:
            self.subscriptions.remove(one)
            if one.link:
                del self.links[one.link].subscriptions[one.sid]
            self._announce(one, news)
        for number, lines in news.items():
            self.links[number].send(*lines)

    def _forget(self, link: Link) -> None:
        self._remove(*link.subscriptions.values())
        link.interest.clear()

    def _announce(self, changed: Subscription, news: dict[int, Batch]) -> None:
        key = (changed.account, changed.subject, changed.queue)
        count = self.local_interest(changed.account).get(key, 0)
        appeared = changed in self.subscriptions
        if changed.queue or count == (1 if appeared else 0):
            for link in self.links.values():
                if self._carries(link, changed.account):
                    news.setdefault(link.number, []).append(self._interest_line(link, key, count))

    def _usable(self, one: Subscription, message: Message) -> bool:
        if one.account != message.account or not subject_matches(one.subject, message.subject):
            return False
        if one.link == 0:
            return True
        settings = self.links[one.link].settings
        assert settings is not None
        if one.link == message.link and not settings.echo:
            return False
        return settings.permissions.may_deliver(message.subject, one.queue)

    def _members(self, message: Message, group: bytes) -> list[Candidate]:
        return [
            Candidate(one.link, one.sid)
            for one in self.subscriptions
            if one.queue == group and self._usable(one, message)
        ]

    def _remote_members(self, message: Message, group: bytes) -> list[Candidate]:
        return [
            Candidate(link.number, b"", weight)
            for link in self.links.values()
            for (account, subject, queue), weight in link.interest.items()
            if queue == group and account == message.account and subject_matches(subject, message.subject)
        ]

    def _distribute(self, message: Message) -> bool:
        """A message that enters the cluster here. Did anybody take it?"""
        batches: dict[int, list[list[bytes]]] = {}
        delivered = self._deliver_plain(message, batches)
        onward: dict[int, list[bytes]] = {number: [] for number in self._plain_links(message)}
        groups = {one.queue for one in self.subscriptions if one.queue}
        groups |= {queue for link in self.links.values() for _, _, queue in link.interest if queue}
        for group in sorted(groups):
            candidates = self._members(message, group) + self._remote_members(message, group)
            delivered |= self._deliver_group(message, group, candidates, batches, onward)
        for number, named in onward.items():
            route = self.links[number]
            route.send(self._routed_frame(route, message, named))
        self._flush(batches)
        return delivered or bool(onward)

    def _deliver_plain(self, message: Message, batches: dict[int, list[list[bytes]]]) -> bool:
        chosen = [one for one in self.subscriptions if not one.queue and self._usable(one, message)]
        for one in chosen:
            self._deliver(one, message, batches, 0)
        return bool(chosen)

    def _deliver_group(
        self,
        message: Message,
        group: bytes,
        candidates: list[Candidate],
        batches: dict[int, list[list[bytes]]],
        onward: dict[int, list[bytes]],
    ) -> bool:
        chosen = self.choose(message, group, candidates) if candidates else None
        if chosen is None:
            return False
        if not chosen.sid:
            onward.setdefault(chosen.link, []).append(group)
        for one in list(self.subscriptions):
            if chosen.sid and (one.link, one.sid) == (chosen.link, chosen.sid):
                self._deliver(one, message, batches, 1)
        return True

    def _deliver(self, one: Subscription, message: Message, batches: dict[int, list[list[bytes]]], order: int) -> None:
        """Into the first (plain) or second (queue) batch of the receiving link."""
        if one.link == 0:
            self.mailbox.append([(int(one.sid), message)])
            return
        link = self.links[one.link]
        assert link.settings is not None
        fields = [message.subject, one.sid] + ([message.reply] if message.reply else [])
        frame = _frame((b"MSG", b"HMSG"), fields, message, link.settings.headers)
        batches.setdefault(one.link, [[], []])[order].append(frame)
        permissions = link.settings.permissions
        if message.reply and permissions.response_max and not permissions.may_publish(message.reply):
            link.replies[message.reply] = (0, self.now_ns)
        one.delivered += 1
        if one.delivered == one.maximum:
            self._remove(one)

    def _flush(self, batches: dict[int, list[list[bytes]]]) -> None:
        for number, (plain, queued) in batches.items():
            self.links[number].send(*plain)
            self.links[number].send(*queued)


def _frame(verbs: tuple[bytes, bytes], fields: list[bytes], message: Message, headers: bool) -> bytes:
    """A delivery; towards a peer without headers the header block is cut off."""
    if message.header_size and headers:
        sizes = [b"%d" % message.header_size, b"%d" % len(message.data)]
        return b" ".join([verbs[1], *fields, *sizes]) + b"\r\n" + message.data + b"\r\n"
    data = message.data[message.header_size :]
    return b" ".join([verbs[0], *fields, b"%d" % len(data)]) + b"\r\n" + data + b"\r\n"


def _subscription_error(subject: bytes, queue: bytes, more: bytes = b"") -> bytes:
    named = b" using queue " + quoted(queue) if queue else b""
    return b"-ERR 'Permissions Violation for Subscription to " + quoted(subject) + named + more + b"'\r\n"
