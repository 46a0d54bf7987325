"""Counting the subscribers of a subject in the whole cluster: ``$SYS.DEBUG.SUBSCRIBERS`` for people, and the question
between servers that it needs, ``$SYS.REQ.ACCOUNT.NSUBS`` (sections 4.3 and 7.3)."""

import asyncio
import binascii
from base64 import b64decode, b64encode
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.system.request_body import text_of
from gossamer.mesh.system.voice import Voice

if TYPE_CHECKING:
    from gossamer.mesh.accounts.account import Account
    from gossamer.mesh.engine.events import Message
    from gossamer.mesh.node import Node
    from gossamer.mesh.system.account_connections import AccountConnections

#: How long the other servers have for their answers.
PATIENCE_S = 0.5
#: Questions waiting for answers.
WAITING_MAX = 1000


class _Question(Struct, frozen=True):
    acc: str = ""
    subject: str = ""
    queue: str | None = None


class _Waiting(Struct):
    request: "Message"
    count: int
    answers_due: int
    timer: asyncio.TimerHandle | None = None


_decode = msgspec.json.Decoder(_Question).decode


class Subscribers:
    """``start`` subscribes."""

    def __init__(self, node: "Node", voice: Voice, counts: "AccountConnections", inbox: str) -> None:
        """``inbox``: the beginning of a reply subject that only this server hears, with a last dot."""
        self._node = node
        self._voice = voice
        self._counts = counts
        self._inbox = inbox
        self._waiting: dict[str, _Waiting] = {}
        self._asked = 0

    def start(self) -> None:
        number, subscribe = self._voice.account.number, self._node.subscribe
        subscribe(number, b"$SYS.REQ.ACCOUNT.NSUBS", self._asked_by_server)
        subscribe(number, b"$SYS.DEBUG.SUBSCRIBERS", self._asked_by_client)
        subscribe(number, f"{self._inbox}*".encode(), self._answered)

    def stop(self) -> None:
        for waiting in self._waiting.values():
            if waiting.timer is not None:
                waiting.timer.cancel()
        self._waiting.clear()

    def _asked_by_server(self, request: "Message") -> None:
        if not request.link or not request.reply:
            return
        try:
            question = _decode(request.data[request.header_size :])
            queue = b64decode(question.queue or "", validate=True)
        except (msgspec.DecodeError, binascii.Error):
            return
        account = self._node.accounts.find(question.acc)
        if account is not None and account.clients:
            self._voice.answer_text(request, b"%d" % self._count(account, question.subject.encode(), queue))

    def _asked_by_client(self, request: "Message") -> None:
        """Only the server of the asking client answers: the others hear the question, but do not know the client."""
        client = self._node.clients.find(request.link)
        words = text_of(request).split()
        if client is None or client.account is None or not request.reply or not 1 <= len(words) <= 2:
            return
        account, subject, queue = client.account, words[0], words[1] if len(words) == 2 else b""
        count = self._count(account, subject, queue)
        others = self._counts.servers_with(account.name)
        if not others or len(self._waiting) >= WAITING_MAX:
            self._voice.answer_text(request, b"%d" % count)
            return
        self._asked += 1
        token = str(self._asked)
        waiting = self._waiting[token] = _Waiting(request, count, others)
        waiting.timer = asyncio.get_running_loop().call_later(PATIENCE_S, self._conclude, token)
        question: dict[str, str] = {"acc": account.name, "subject": subject.decode("utf-8", "replace")}
        if queue:
            question["queue"] = b64encode(queue).decode()
        self._node.engine.publish(
            self._voice.account.number,
            b"$SYS.REQ.ACCOUNT.NSUBS",
            msgspec.json.encode(question),
            reply=f"{self._inbox}{token}".encode(),
        )

    def _answered(self, answer: "Message") -> None:
        token = answer.subject.rpartition(b".")[2].decode("ascii", "replace")
        waiting = self._waiting.get(token)
        text = text_of(answer)
        if waiting is None or not text.isdigit() or len(text) > 18:
            return
        waiting.count += int(text)
        waiting.answers_due -= 1
        if waiting.answers_due <= 0:
            self._conclude(token)

    def _conclude(self, token: str) -> None:
        waiting = self._waiting.pop(token, None)
        if waiting is not None:
            if waiting.timer is not None:
                waiting.timer.cancel()
            self._voice.answer_text(waiting.request, b"%d" % waiting.count)

    def _count(self, account: "Account", subject: bytes, queue: bytes) -> int:
        """Client subscriptions here: those that match a literal subject, or lie within a wildcard one."""
        from gossamer.mesh.engine.core import subject_covers, subject_is_literal, subject_is_valid

        engine = self._node.engine
        if not subject_is_valid(subject):
            return 0
        if subject_is_literal(subject):
            found = engine.matches(account.number, subject)
        else:
            found = [
                entry
                for entry in engine.subscriptions(account=account.number)
                if entry.kind == LinkKind.CLIENT and subject_covers(subject, entry.subject)
            ]
        return sum(entry.kind == LinkKind.CLIENT and (not queue or entry.queue == queue) for entry in found)
