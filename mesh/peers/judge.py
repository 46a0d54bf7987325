"""Who may come in: the authenticator's decisions, asked for at once or, where they take long, in a thread.

On an open server nothing of ``gossamer.auth`` but the settings is even imported.
"""

import asyncio
from typing import TYPE_CHECKING

from gossamer.auth.settings import AuthSettings
from gossamer.mesh.accounts.registry import system_account_name
from gossamer.mesh.engine.kinds import Action, CloseReason
from gossamer.mesh.peers.connect import Connect
from gossamer.mesh.world import Clock

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from gossamer.auth.authenticator import Authenticator
    from gossamer.auth.callout.question import Asked, Question
    from gossamer.auth.decisions import Admission, Attempt, Refusal
    from gossamer.auth.permissions import Permissions
    from gossamer.auth.resolver import AccountSource, DecodedSource
    from gossamer.auth.xkeys import CurveKeyPair
    from gossamer.mesh.accounts.live import LiveAccounts
    from gossamer.mesh.peers.callout import CalloutDesk
    from gossamer.mesh.peers.client import Client

#: Password hashes computed at the same time; one takes about 50 ms of a core.
HASHING_THREADS = 2
_DEFAULT_TIMEOUT_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000


class Judge:
    """Made from the settings of the moment; a reload makes a new one.

    ``required``: must clients authenticate? ``announced``: does INFO say so? ``anonymous``: is there a user for those
    who bring nothing? ``wants_nonce``: does INFO hold one? ``timeout_ns``: time to authenticate, for the listener, 0:
    as long as they like.
    """

    def __init__(self, settings: AuthSettings, clock: Clock, live: "LiveAccounts | None" = None) -> None:
        """``live``: the node's accounts in operator mode; None: what the settings themselves say of accounts is all.

        Raises TokenError for an operator JWT that cannot be read, ResolverError for a resolver that cannot work."""
        self.settings = settings
        self.source: AccountSource | DecodedSource | None = live
        self._live = live
        self.desk: CalloutDesk | None = None  # set by the node once it can ask callout services
        self.system_account = system_account_name(settings)
        self.required = self.announced = self.anonymous = self.wants_nonce = False
        self.timeout_ns = 0
        self._clock = clock
        self._pool: ThreadPoolExecutor | None = None
        self._authenticator: Authenticator | None = None
        if says_anything(settings):
            self._prepare()

    def _prepare(self) -> None:
        from gossamer.auth.authenticator import Authenticator
        from gossamer.auth.resolver import resolver_of

        settings = self.settings
        if settings.resolver is not None and self.source is None:
            self.source = resolver_of(settings.resolver, settings.resolver_preload)
        made = self._authenticator = Authenticator(settings, self.source)
        self.system_account = made.system_account
        self.required = made.required
        self.announced = made.announced
        self.anonymous = made.no_auth_admission is not None
        self.wants_nonce = made.offers_nonce
        if self.announced:
            self.timeout_ns = settings.timeout_ns or _DEFAULT_TIMEOUT_NS

    # --- deciding -----------------------------------------------------------------------------------------------
    def attempt(self, client: "Client", connect: Connect, nonce: bytes) -> "Attempt":
        """What the client brings, for ``decide``; it can be kept and judged again."""
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
                account=connect.account,
                new_account=connect.new_account,
                name=client.name,
                lang=client.lang,
                version=client.version,
                protocol=connect.protocol,
            ),
            client_host=client.host,
            nonce=nonce,
            link=client.link,
        )

    def verdict(self, attempt: "Attempt") -> "Admission | Refusal | asyncio.Future[Admission | Refusal]":
        """The verdict, or a future of it where it takes a while: a password hash, an account that must be fetched, a
        callout service that is to be asked."""
        if self.is_slow(attempt):
            return self.decide_aside(attempt)
        if self._live is None:
            return self._asked(self._weigh(attempt))
        from gossamer.auth.resolver import AccountPending

        try:
            weighed = self._weigh(attempt)
        except AccountPending as pending:
            return asyncio.get_running_loop().create_task(self._decide_later(attempt, pending.key))
        return self._asked(weighed)

    def stands(self, verdict: "Admission | Refusal") -> bool:
        """Is a verdict that took a while still by what is known? Not an admission to an account whose JWT has been
        replaced or deleted since."""
        from gossamer.auth.decisions import Admission

        if self._live is None or not isinstance(verdict, Admission) or verdict.account_claims is None:
            return True
        known = self._live.loaded(verdict.account)
        return known is not None and known.claims is verdict.account_claims

    def is_slow(self, attempt: "Attempt") -> bool:
        """Would ``decide`` compute a password hash?"""
        return self._authenticator is not None and self._authenticator.slow(attempt)

    def decide(self, attempt: "Attempt") -> "Admission | Refusal":
        """The verdict of this moment, without asking anybody: whom a callout service decides about is refused."""
        assert self._authenticator is not None, "an open server has nothing to decide"
        return self._authenticator.decide(attempt, self._clock.wall_ns() / _SECOND_NS)

    def decide_aside(self, attempt: "Attempt") -> "asyncio.Future[Admission | Refusal]":
        """The verdict, thought about in a thread, a few at a time, in the order of asking."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="gossamer-hash")
        loop = asyncio.get_running_loop()
        if self.settings.callout is None:
            return loop.run_in_executor(self._pool, self.decide, attempt)
        return loop.create_task(self._ask_after(loop.run_in_executor(self._pool, self._weigh, attempt)))

    async def _decide_later(self, attempt: "Attempt", key: str) -> "Admission | Refusal":
        """Once the account has been fetched, or could not be."""
        assert self._live is not None, "only live accounts are fetched"
        await asyncio.wait([self._live.fetch(key)])
        verdict = self._asked(self._weigh(attempt))
        return await verdict if isinstance(verdict, asyncio.Future) else verdict

    # --- what a callout service decides ---------------------------------------------------------------------------
    def _weigh(self, attempt: "Attempt") -> "Admission | Refusal | Question":
        assert self._authenticator is not None, "an open server has nothing to decide"
        return self._authenticator.weigh(attempt, self._clock.wall_ns() / _SECOND_NS)

    def _asked(
        self, weighed: "Admission | Refusal | Question"
    ) -> "Admission | Refusal | asyncio.Future[Admission | Refusal]":
        from gossamer.auth.callout.question import DEFAULT_TIMEOUT_NS, Question

        if not isinstance(weighed, Question):
            return weighed
        if self.desk is None:
            from gossamer.auth.callout.answer import unavailable

            return unavailable(weighed, "this server has no way to ask")
        timeout_ns = self.settings.timeout_ns or DEFAULT_TIMEOUT_NS
        return self.desk.ask(weighed, self._answered, timeout_ns)

    async def _ask_after(self, weighing: "asyncio.Future[Admission | Refusal | Question]") -> "Admission | Refusal":
        verdict = self._asked(await weighing)
        return await verdict if isinstance(verdict, asyncio.Future) else verdict

    def _answered(
        self, question: "Question", asked: "Asked", body: bytes, curve: "CurveKeyPair"
    ) -> "Admission | Refusal | asyncio.Future[Admission | Refusal]":
        from gossamer.auth.callout.question import Question
        from gossamer.auth.resolver import AccountPending

        assert self._authenticator is not None, "only who can be asked about has an answer"
        try:
            if not self.stands(question.local):
                # What the asking rested on has changed: is there still somebody to ask, and whose word counts?
                weighed = self._weigh(question.attempt)
                if not isinstance(weighed, Question) or weighed.callout != question.callout:
                    return self._asked(weighed)
                question = weighed
            now = self._clock.wall_ns() / _SECOND_NS
            return self._authenticator.answered(question, asked, body, now, curve=curve)
        except AccountPending as pending:
            return asyncio.get_running_loop().create_task(self._answer_later(question, asked, body, curve, pending.key))

    async def _answer_later(
        self, question: "Question", asked: "Asked", body: bytes, curve: "CurveKeyPair", key: str
    ) -> "Admission | Refusal":
        """Once the account that the service chose has been fetched, or could not be."""
        assert self._live is not None, "only live accounts are fetched"
        await asyncio.wait([self._live.fetch(key)])
        verdict = self._answered(question, asked, body, curve)
        return await verdict if isinstance(verdict, asyncio.Future) else verdict

    def stop(self) -> None:
        """Verdicts still being thought about are dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    # --- what follows from a verdict ------------------------------------------------------------------------------
    def close_reason(self, refusal: "Refusal") -> CloseReason:
        """The engine's number for the refusal's reason."""
        return CloseReason[refusal.close_reason]

    def knows_user(self, attempt: "Attempt") -> bool:
        """Is there (still) an entry for whom the client said it was? JWT users have none."""
        connect, settings = attempt.connect, self.settings
        if connect.nkey:
            return any(user.nkey == connect.nkey for user in settings.users)
        if connect.user:
            return connect.user == settings.user or any(user.name == connect.user for user in settings.users)
        return True


def says_anything(settings: AuthSettings) -> bool:
    """Is there anything in the settings that makes clients authenticate? If not, nobody has to be asked."""
    return bool(
        settings.user
        or settings.token
        or settings.users
        or settings.operator_mode
        or settings.proxy_required
        or settings.trusted_proxies
        or settings.callout is not None
    )


def rule_of_denial(
    value: "Permissions | None", action: Action, subject: str, queue: str, *, literal_wildcards: bool = False
) -> str:
    """Which entry decided, in words; empty when the permissions say nothing about it (reserved subjects, limits)."""
    if value is None:
        return ""
    from gossamer.auth.policy import may_publish, may_subscribe

    if action == Action.SUBSCRIBE:
        verdict = may_subscribe(value, subject, queue, literal_wildcards=literal_wildcards)
    else:
        verdict = may_publish(value, subject)
    return "" if verdict.allowed else verdict.rule
