"""Who a leaf node is: judged by ``leafnodes.authorization`` if there is one, else as clients are (spec leafnodes 6).

Verdicts may take a while (a password hash, an account that has to be fetched, a callout service): the link stays parked
meanwhile, and a verdict that comes after it is gone, or by rules that a reload has replaced, is not used.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from gossamer.auth.reasons import Reason, ReasonCode
from gossamer.mesh.accounts.account import Account
from gossamer.mesh.leafnodes.settings import LeafSettings
from gossamer.mesh.leafnodes.table import Leaf
from gossamer.mesh.peers.judge import Judge
from gossamer.mesh.world import Clock

if TYPE_CHECKING:
    from gossamer.auth.decisions import Admission, Attempt, Refusal
    from gossamer.mesh.accounts.registry import Accounts
    from gossamer.mesh.leafnodes.protocol import LeafConnect

    Verdict = Admission | Refusal

#: The local account of that name, now or later; None: there is none.
FindAccount = Callable[[str, Callable[[Account | None], None]], None]


class LeafJudge:
    """``judge`` gives the one that judges clients at this moment. ``bound`` and ``refused`` are told of outcomes."""

    def __init__(
        self,
        settings: LeafSettings,
        judge: Callable[[], Judge],
        accounts: "Callable[[], Accounts]",
        find_account: FindAccount,
        clock: Clock,
        *,
        bound: "Callable[[Leaf, LeafConnect, Account, Admission | None], None]",
        refused: "Callable[[Leaf, Refusal], None]",
    ) -> None:
        self._settings = settings
        self._of_clients = judge
        self._accounts = accounts
        self._find_account = find_account
        self._clock = clock
        self._bound = bound
        self._refused = refused
        self._own = Judge(settings.authorization, clock) if settings.authorization is not None else None
        self._waiting: dict[int, asyncio.Future[Verdict]] = {}

    @property
    def judge(self) -> Judge:
        """Who decides."""
        return self._own or self._of_clients()

    def change(self, settings: LeafSettings) -> None:
        """Follow the configuration."""
        before, self._settings = self._settings.authorization, settings
        if settings.authorization != before:
            if self._own is not None:
                self._own.stop()
            self._own = Judge(settings.authorization, self._clock) if settings.authorization is not None else None

    def forget(self, link: int) -> None:
        """The link is gone."""
        waiting = self._waiting.pop(link, None)
        if waiting is not None:
            waiting.cancel()

    def stop(self) -> None:
        for link in list(self._waiting):
            self.forget(link)
        if self._own is not None:
            self._own.stop()

    def authenticate(self, leaf: Leaf, connect: "LeafConnect", nonce: bytes) -> None:
        """``bound`` or ``refused`` is called, perhaps from inside this call, unless the link goes first."""
        judge = self.judge
        leaf.own_authorization = judge is self._own
        if not judge.required:
            name = self._settings.account
            self._find_account(name, lambda account: self._found(leaf, connect, account, None, name))
            return
        leaf.attempt = attempt_of(leaf, connect, nonce)
        self._judge(leaf, connect, judge, leaf.attempt)

    def review(self, leaf: Leaf, done: "Callable[[Leaf, Admission | Refusal | None], None]") -> None:
        """Somebody who is in, by the rules of now: what he would be admitted as. None: nobody is asked any more."""
        from gossamer.mesh.leafnodes.protocol import LeafConnect

        judge = self.judge
        leaf.own_authorization = judge is self._own
        if not judge.required:
            done(leaf, None)
            return
        verdict = judge.verdict(leaf.attempt or attempt_of(leaf, LeafConnect(name=leaf.name), b""))
        if not isinstance(verdict, asyncio.Future):
            done(leaf, verdict)
            return

        def concluded(future: "asyncio.Future[Verdict]") -> None:
            if future.cancelled() or self.judge is not judge:
                return  # the node stops, or another reload asks again
            error = future.exception()
            done(leaf, future.result() if error is None else _refusal(ReasonCode.INTERNAL, repr(error)))

        verdict.add_done_callback(concluded)

    def _judge(self, leaf: Leaf, connect: "LeafConnect", judge: Judge, attempt: "Attempt") -> None:
        verdict = judge.verdict(attempt)
        if not isinstance(verdict, asyncio.Future):
            self._conclude(leaf, connect, verdict)
            return
        self._waiting[leaf.link] = verdict

        def done(future: "asyncio.Future[Verdict]") -> None:
            if self._waiting.get(leaf.link) is not future:
                return
            del self._waiting[leaf.link]
            replaced = self.judge is not judge
            if future.cancelled() and not replaced:
                return
            error = None if future.cancelled() else future.exception()
            if error is not None and not replaced:
                self._refused(leaf, _refusal(ReasonCode.INTERNAL, repr(error)))
            elif replaced or not judge.stands(future.result()):
                self.authenticate(leaf, connect, attempt.nonce)
            else:
                self._conclude(leaf, connect, future.result())

        verdict.add_done_callback(done)

    def _conclude(self, leaf: Leaf, connect: "LeafConnect", verdict: "Verdict") -> None:
        from gossamer.auth.decisions import Refusal

        if isinstance(verdict, Refusal):
            self._refused(leaf, verdict)
        elif leaf.own_authorization:
            name = verdict.account
            self._find_account(name, lambda account: self._found(leaf, connect, account, verdict, name))
        else:
            self._found(leaf, connect, self._accounts().admitted(verdict), verdict, verdict.account)

    def _found(
        self, leaf: Leaf, connect: "LeafConnect", account: Account | None, admission: "Admission | None", name: str
    ) -> None:
        if account is None:
            self._refused(leaf, _refusal(ReasonCode.ACCOUNT_UNKNOWN, f"account {name} is not known"))
        else:
            self._bound(leaf, connect, account, admission)


def attempt_of(leaf: Leaf, connect: "LeafConnect", nonce: bytes) -> "Attempt":
    """What the peer brings; it can be kept and judged again."""
    from gossamer.auth.decisions import Attempt, ConnectOptions

    return Attempt(
        connect=ConnectOptions(
            user=connect.user,
            password=connect.password,
            auth_token=connect.auth_token,
            jwt=connect.jwt,
            nkey=connect.nkey,
            sig=connect.sig,
            proxy_sig=connect.proxy_sig,
            name=connect.name,
            version=connect.version,
            protocol=connect.protocol,
        ),
        connection_type="LEAFNODE",
        client_host=leaf.host,
        nonce=nonce,
        link=leaf.link,
    )


def _refusal(code: ReasonCode, text: str) -> "Refusal":
    from gossamer.auth.decisions import Refusal

    return Refusal(reason=Reason(code=code, text=text))
