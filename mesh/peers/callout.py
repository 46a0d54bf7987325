"""Asking auth callout services: requests go out in the service's account, answers are awaited, nobody else waits.

Requests are made and answers judged a few at a time (a key pair and some signatures each), so that hundreds of clients
that come at once leave the loop to everybody else. One subscription for each account that has a service takes all
answers; the last token of the reply subject says which request one is for, and cannot be guessed.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from msgspec import Struct, structs

from gossamer.auth.settings import GLOBAL_ACCOUNT, SYSTEM_ACCOUNT, AuthSettings
from gossamer.mesh.accounts.account import Account
from gossamer.mesh.accounts.registry import Accounts
from gossamer.mesh.engine.events import Message
from gossamer.mesh.logs.log import Log
from gossamer.mesh.world import Clock, Randomness

if TYPE_CHECKING:
    from gossamer.auth.callout.question import Asked, Question
    from gossamer.auth.claims.callout import ServerIdentity
    from gossamer.auth.decisions import Admission, Refusal
    from gossamer.auth.keys import KeyPair
    from gossamer.auth.xkeys import CurveKeyPair
    from gossamer.mesh.engine.core import Engine

#: How long the loop is kept before everything else has its turn.
SLICE_NS = 2_000_000
_SECOND_NS = 1_000_000_000
_TOKEN_BYTES = 12
_NONCE_BYTES = 24

#: Judges an answer: question, what it must fit, body, the server's curve key.
JudgeAnswer = Callable[
    ["Question", "Asked", bytes, "CurveKeyPair"], "Admission | Refusal | asyncio.Future[Admission | Refusal]"
]
Subscribe = Callable[[int, bytes, Callable[[Message], None]], int]


def unknown_parts(settings: AuthSettings) -> Iterator[str]:
    """What a configuration's callout names and is not there: the server runs all the same (spec auth section 25.1)."""
    callout = settings.callout
    if callout is None:
        return
    known = {GLOBAL_ACCOUNT, SYSTEM_ACCOUNT, *(account.name for account in settings.accounts)}
    if callout.account not in known:
        yield f'Authorization callout account "{callout.account}" not valid'
    users = {settings.user, *(user.name or user.nkey for user in settings.users)}
    for name in callout.auth_users:
        if name not in users:
            yield f'Authorization callout user "{name}" not valid: it is not configured'


class _Waiting(Struct, gc=False, eq=False):
    """A request on its way. ``timeout_ns`` from the asking to the giving up."""

    question: "Question"
    future: "asyncio.Future[Admission | Refusal]"
    judge: JudgeAnswer
    timeout_ns: int
    asked: "Asked | None" = None
    timer: asyncio.TimerHandle | None = None


class CalloutDesk:
    """``ask`` and ``stop``. ``waiting`` says how many answers are awaited."""

    def __init__(
        self,
        engine: "Engine",
        accounts: Accounts,
        subscribe: Subscribe,
        *,
        signer: "KeyPair",
        curve: "CurveKeyPair",
        server: Callable[[], "ServerIdentity"],
        clock: Clock,
        randomness: Randomness,
        log: Log,
    ) -> None:
        """``signer``: the server's own key, whose public half is its id; ``server``: what requests say of it, without
        ``xkey``."""
        self._engine = engine
        self._accounts = accounts
        self._subscribe = subscribe
        self._signer = signer
        self._curve = curve
        self._server = server
        self._clock = clock
        self._randomness = randomness
        self._log = log
        self._prefix = f"$SYS._INBOX.{randomness.token(_TOKEN_BYTES).hex()}."
        self._inboxes: dict[int, int] = {}  # account number -> subscription
        self._waiting: dict[str, _Waiting] = {}
        self._work: deque[Callable[[], None]] = deque()
        self._scheduled = False

    @property
    def waiting(self) -> int:
        """Questions without an answer yet."""
        return len(self._waiting)

    def ask(self, question: "Question", judge: JudgeAnswer, timeout_ns: int) -> "asyncio.Future[Admission | Refusal]":
        """The verdict of the service, at the latest after that time. Cancel it when nobody waits any more."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Admission | Refusal] = loop.create_future()
        token = self._randomness.token(_TOKEN_BYTES).hex()
        waiting = self._waiting[token] = _Waiting(question, future, judge, timeout_ns)
        waiting.timer = loop.call_later(timeout_ns / _SECOND_NS, self._expire, token)
        future.add_done_callback(lambda done: self._forget(token))
        self._later(lambda: self._send(token))
        return future

    def stop(self) -> None:
        """Nobody is waited for any more."""
        for waiting in list(self._waiting.values()):
            waiting.future.cancel()
            if waiting.timer is not None:
                waiting.timer.cancel()
        self._waiting.clear()
        self._work.clear()

    # --- asking -------------------------------------------------------------------------------------------------
    def _send(self, token: str) -> None:
        from gossamer.auth.callout.answer import unavailable
        from gossamer.auth.callout.question import SUBJECT, Asked
        from gossamer.auth.callout.request import request_token, sealed_request
        from gossamer.auth.keys import KeyKind, KeyPair, NkeyError

        waiting = self._waiting.get(token)
        if waiting is None:
            return
        question = waiting.question
        account = self._account(question)
        if account is None:
            self._conclude(waiting, unavailable(question, "account missing"))
            return
        xkey, server = question.callout.xkey, self._server()
        user_nkey = KeyPair.generate(KeyKind.USER, self._randomness.token).public
        waiting.asked = Asked(user_nkey=user_nkey, server_id=server.id)
        now_ns = self._clock.wall_ns()
        expires = (now_ns + waiting.timeout_ns) // _SECOND_NS
        if xkey:
            server = structs.replace(server, xkey=self._curve.public)
        text = request_token(
            question, server, self._signer, user_nkey, issued_at=now_ns // _SECOND_NS, expires=max(expires, 1)
        )
        header, body = b"", text.encode()
        if xkey:
            try:
                header, body = sealed_request(text, self._curve, xkey, self._randomness.token(_NONCE_BYTES))
            except NkeyError as error:
                self._conclude(waiting, unavailable(question, str(error)))
                return
        self._listen(account)
        reply = (self._prefix + token).encode()
        self._engine.publish(account.number, SUBJECT.encode(), header + body, reply=reply, header_size=len(header))

    def _account(self, question: "Question") -> Account | None:
        from gossamer.auth.decisions import Admission

        local = question.local
        found = self._accounts.find(question.callout.account)
        if found is None and question.callout.operator_mode and isinstance(local, Admission):
            return self._accounts.admitted(local)  # its first user; later on its limits may have changed meanwhile
        return found

    def _listen(self, account: Account) -> None:
        if account.number not in self._inboxes:
            subject = (self._prefix + "*").encode()
            self._inboxes[account.number] = self._subscribe(account.number, subject, self._came)

    # --- answers ------------------------------------------------------------------------------------------------
    def _came(self, message: Message) -> None:
        token = message.subject.decode("ascii", "replace").removeprefix(self._prefix)
        body = message.data[message.header_size :]
        if not body and b" 503" in message.data[: message.header_size].partition(b"\r\n")[0]:
            return  # nobody serves: somebody may come up in time
        self._later(lambda: self._judge(token, message.account, body))

    def _judge(self, token: str, account: int, body: bytes) -> None:
        waiting = self._waiting.get(token)
        if waiting is None or waiting.asked is None or waiting.future.done():
            return
        asked = self._account(waiting.question)
        if asked is None or asked.number != account:
            return  # from an account that nobody asked
        verdict = waiting.judge(waiting.question, waiting.asked, body, self._curve)
        waiting.asked = None  # the first answer counts
        if isinstance(verdict, asyncio.Future):
            verdict.add_done_callback(lambda done: self._concluded_later(waiting, done))
        else:
            self._conclude(waiting, verdict)

    def _concluded_later(self, waiting: _Waiting, done: "asyncio.Future[Admission | Refusal]") -> None:
        if waiting.future.done():
            return
        if done.cancelled():
            waiting.future.cancel()
        elif (error := done.exception()) is not None:
            waiting.future.set_exception(error)
        else:
            self._conclude(waiting, done.result())

    def _expire(self, token: str) -> None:
        from gossamer.auth.callout.answer import silence

        waiting = self._waiting.get(token)
        if waiting is not None:
            self._conclude(waiting, silence(waiting.question, timeout_ns=waiting.timeout_ns))

    def _conclude(self, waiting: _Waiting, verdict: "Admission | Refusal") -> None:
        from gossamer.auth.decisions import Refusal

        if waiting.future.done():
            return
        if isinstance(verdict, Refusal):
            self._log.warning(verdict.reason.text)
        waiting.future.set_result(verdict)

    def _forget(self, token: str) -> None:
        waiting = self._waiting.pop(token, None)
        if waiting is not None and waiting.timer is not None:
            waiting.timer.cancel()

    # --- a little at a time ---------------------------------------------------------------------------------------
    def _later(self, piece: Callable[[], None]) -> None:
        self._work.append(piece)
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._scheduled = False
        end_ns = self._clock.monotonic_ns() + SLICE_NS
        try:
            while self._work:
                self._work.popleft()()
                if self._clock.monotonic_ns() >= end_ns:
                    break
        finally:  # one that fails holds up nobody else
            if self._work and not self._scheduled:
                self._scheduled = True
                asyncio.get_running_loop().call_soon(self._turn)
