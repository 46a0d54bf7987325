"""A simulated program that speaks the client protocol: subscribes, publishes numbered messages, answers requests.

It sits on a host of its own and comes back after a lost connection, to any node that lives, as client libraries do.
"""

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from gossamer.mesh.sim.chance import Chance
from gossamer.mesh.sim.ledger import Ear, Ledger, Publication
from gossamer.mesh.sim.topology import CLIENT_PORT
from gossamer.mesh.sim.wire import End

if TYPE_CHECKING:
    from gossamer.mesh.sim.member import Member

_MILLISECOND_NS = 1_000_000


class Wish:
    """A subscription as the program wants it; every connection makes it anew."""

    def __init__(self, sid: int, subject: str, queue: str, answers: bool, records: list[bytes] | None) -> None:
        self.records = records
        self.sid = sid
        self.subject = subject
        self.queue = queue
        self.answers = answers
        self.ear: Ear | None = None


class Client:
    """``refuge`` says where to go after a lost connection (None: nowhere, try again later)."""

    def __init__(
        self, name: str, account: str, host: str, ledger: Ledger, chance: Chance, refuge: Callable[[], "Member | None"]
    ) -> None:
        self.name = name
        self.account = account
        self.host = host
        self.member: Member | None = None
        self.connected_ns = -1
        self.errors: list[str] = []
        self.unanswered = 0  # requests that nobody was there for
        self.urls: tuple[str, ...] = ()
        self._ledger = ledger
        self._chance = chance
        self._refuge = refuge
        self._end: End | None = None
        self._buffer = bytearray()
        self._wishes: dict[int, Wish] = {}
        self._pongs: list[asyncio.Future[bool]] = []
        self._stay = True

    @property
    def connected(self) -> bool:
        return self._end is not None and self._end.open

    @property
    def member_name(self) -> str:
        """The place where it is, or was last."""
        return self.member.name if self.member is not None else ""

    @property
    def is_homeless(self) -> bool:
        """Not connected, and there is nobody to go to."""
        return not self.connected and self._refuge() is None

    @property
    def inbox(self) -> str:
        return f"_INBOX.{self.name}"

    def connect(self, member: "Member") -> None:
        """Begin; ``ready`` waits."""
        self.member = member
        member.network.connect(self.host, member.host, CLIENT_PORT, self._connected)

    async def ready(self) -> None:
        """Returns once the node has taken everything said so far, or the connection is gone."""
        loop = asyncio.get_running_loop()
        while self._stay:
            while not self.connected:  # noqa: ASYNC110 - virtual time: looking costs nothing
                await asyncio.sleep(0.01)
            waiting: asyncio.Future[bool] = loop.create_future()
            self._pongs.append(waiting)
            self._say(b"PING\r\n")
            if await waiting:
                return

    def subscribe(
        self, subject: str, queue: str = "", *, answers: bool = False, records: list[bytes] | None = None
    ) -> Wish:
        """``answers``: each message with a reply subject is answered. ``records``: where to put payloads that are not
        numbered, since nodes say them and no client; the ledger hears nothing of them."""
        wish = Wish(len(self._wishes) + 1, subject, queue, answers, records)
        self._wishes[wish.sid] = wish
        if self.connected:
            self._ask(wish)
        return wish

    def unsubscribe(self, wish: Wish) -> None:
        self._wishes.pop(wish.sid, None)
        self._mute(wish)
        self._say(b"UNSUB %d\r\n" % wish.sid)

    def publish(self, subject: str, *, size: int = 0) -> Publication | None:
        """A numbered message of at least ``size`` bytes; None: not connected."""
        if not self.connected:
            return None
        publication = self._ledger.publish(self, subject)
        self._put(subject, "", publication, size)
        return publication

    def request(self, subject: str) -> Publication | None:
        """A request whose answer comes to ``inbox``, to which the client should be subscribed."""
        if not self.connected:
            return None
        publication = self._ledger.publish(self, subject)
        self._put(subject, f"{self.inbox}.{publication.number}", publication, 0)
        return publication

    def hang_up(self) -> None:
        """For good."""
        self._stay = False
        end, self._end = self._end, None
        if end is not None:
            end.finish()
        self._lost()

    # --- the conversation -------------------------------------------------------------------------------------------

    def _connected(self, end: End | None, error: str) -> None:
        if end is None or not self._stay:
            if end is not None:
                end.finish()
            self._later()
            return
        self._end = end
        self._buffer.clear()
        self.connected_ns = end.network.loop.now_ns
        connect = {"user": self.account.lower(), "pass": "p", "verbose": False, "headers": True, "no_responders": True}
        connect |= {"name": self.name, "lang": "sim", "version": "1", "protocol": 1}
        self._say(b"CONNECT " + json.dumps(connect).encode() + b"\r\n")
        for wish in self._wishes.values():
            self._ask(wish)
        end.attach(lambda data, last: self._read(end, data, last))

    def _ask(self, wish: Wish) -> None:
        if wish.records is None:
            wish.ear = self._ledger.listen(self, wish.subject, wish.queue, wish.sid)
        queue = f" {wish.queue}" if wish.queue else ""
        self._say(f"SUB {wish.subject}{queue} {wish.sid}\r\n".encode())

    def _mute(self, wish: Wish) -> None:
        if wish.ear is not None and wish.ear.ended_ns < 0 and self.member is not None:
            wish.ear.ended_ns = self.member.loop.now_ns

    def _put(self, subject: str, reply: str, publication: Publication, size: int) -> None:
        payload = str(publication.number).encode().ljust(size)
        reply = f"{reply} " if reply else ""
        self._say(f"PUB {subject} {reply}{len(payload)}\r\n".encode() + payload + b"\r\n")

    def _say(self, data: bytes) -> None:
        if self._end is not None:
            self._end.send(data)

    def _read(self, end: End, data: bytes, last: bool) -> None:
        if end is not self._end:
            return
        buffer = self._buffer
        buffer += data
        while True:
            stop = buffer.find(b"\r\n")
            if stop < 0:
                break
            line = bytes(buffer[:stop])
            verb = line[:4].rstrip()
            if verb in (b"MSG", b"HMSG"):
                size = int(line.rsplit(b" ", 1)[1])
                if len(buffer) < stop + 2 + size + 2:
                    break
                body = bytes(buffer[stop + 2 : stop + 2 + size])
                del buffer[: stop + 2 + size + 2]
                self._message(line.split(b" "), body, with_headers=verb == b"HMSG")
                continue
            del buffer[: stop + 2]
            if verb == b"PING":
                self._say(b"PONG\r\n")
            elif verb == b"PONG" and self._pongs:
                self._pongs.pop(0).set_result(True)
            elif verb == b"INFO":
                self.urls = tuple(json.loads(line[5:]).get("connect_urls", ()))
            elif verb == b"-ERR":
                self.errors.append(line.decode())
        if last:
            self._end = None
            self._lost()

    def _message(self, parts: list[bytes], body: bytes, *, with_headers: bool) -> None:
        subject, sid = parts[1].decode(), int(parts[2])
        reply = parts[3].decode() if len(parts) == (6 if with_headers else 5) else ""
        if with_headers:
            head = body[: int(parts[-2])]
            body = body[int(parts[-2]) :]
            if head.startswith(b"NATS/1.0 503"):
                self.unanswered += 1
                return
        wish = self._wishes.get(sid)
        if wish is not None and wish.records is not None:
            wish.records.append(body)
            return
        if wish is None or wish.ear is None:
            return  # unsubscribed meanwhile
        number = int(body)
        self._ledger.deliver(wish.ear, subject, number)
        if reply and wish.answers:
            request = self._ledger.publications[number]
            self._put(reply, "", self._ledger.publish(self, reply, answers=request), 0)

    def _lost(self) -> None:
        for wish in self._wishes.values():
            self._mute(wish)
        pongs, self._pongs = self._pongs, []
        for waiting in pongs:
            if not waiting.done():
                waiting.set_result(False)
        self._later()

    def _later(self) -> None:
        if self._stay and self.member is not None:
            self.member.loop.after_ns(self._chance.between(20, 400) * _MILLISECOND_NS, self._again)

    def _again(self) -> None:
        if not self._stay or self.connected:
            return
        member = self._refuge()
        if member is None:
            self._later()
        else:
            self.connect(member)
