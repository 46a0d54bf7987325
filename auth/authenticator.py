"""The decision about everybody who connects: an Admission or a Refusal, never an exception (spec auth section 8.3).

Deciding is pure and may run in any thread. When ``slow`` says so it takes a while (bcrypt): then not on an event loop.
"""

from datetime import tzinfo

from msgspec import structs

from gossamer.auth import keys
from gossamer.auth.callout.answer import Answers, unavailable
from gossamer.auth.callout.question import Asked, Question
from gossamer.auth.callout.scope import guarded, question_about
from gossamer.auth.claims import AccountClaims, UserClaims
from gossamer.auth.configured import ConfiguredUsers
from gossamer.auth.decisions import Admission, Attempt, ConnectOptions, Method, Refusal, Refused, refused
from gossamer.auth.jwt import TokenError, decode_chunk
from gossamer.auth.operator_mode import OperatorMode, proxy_missing
from gossamer.auth.reasons import ReasonCode
from gossamer.auth.resolver import AccountSource, DecodedSource, MemoryResolver
from gossamer.auth.settings import GLOBAL_ACCOUNT, AuthSettings
from gossamer.auth.trust import trust_of
from gossamer.auth.xkeys import CurveKeyPair

__all__ = ["Admission", "Attempt", "Authenticator", "Refusal"]


class Authenticator:
    """Everything a configuration says about who may come in."""

    def __init__(self, settings: AuthSettings, accounts: AccountSource | DecodedSource | None = None) -> None:
        """``accounts`` is asked in operator mode; None: nobody is known there.

        Raises TokenError for an operator JWT that cannot be read. Check the settings first
        (``gossamer.auth.settings_validation``).
        """
        self.settings = settings
        self.trust = trust_of(settings)
        self._configured = ConfiguredUsers(settings)
        self._operator_mode: OperatorMode | None = None
        if settings.operator_mode:
            self._operator_mode = OperatorMode(
                settings, self.trust, accounts if accounts is not None else MemoryResolver()
            )
        self._answers = Answers(settings, self._operator_mode)

    @property
    def required(self) -> bool:
        """Must a client say who it is (or be the ``no_auth_user``)?"""
        if self._operator_mode is not None or self.settings.callout is not None:
            return True
        return self._configured.present or self.settings.proxy_required

    @property
    def announced(self) -> bool:
        """``auth_required`` of INFO: left out where the administrator named a ``no_auth_user``."""
        return self.required and not self.settings.no_auth_user

    @property
    def offers_nonce(self) -> bool:
        """Does INFO hold a nonce?"""
        return self._operator_mode is not None or self._configured.knows_nkeys or bool(self.settings.trusted_proxies)

    @property
    def no_auth_admission(self) -> Admission | None:
        """For a client that starts without CONNECT: what it gets; None: it must say who it is."""
        if not self.required:
            return self._open(Attempt(connect=ConnectOptions()))
        if self._operator_mode is not None:
            return None
        admission = self._configured.no_auth_admission
        if admission is None or self.settings.proxy_required or self._configured.requires_proxy(admission.user):
            return None
        return admission

    @property
    def system_account(self) -> str:
        """The name or key of the system account; empty: there is none."""
        if self.settings.no_system_account:
            return ""
        return self.trust.system_account or ("" if self._operator_mode else "$SYS")

    def slow(self, attempt: Attempt) -> bool:
        """Will ``decide`` take so long (bcrypt) that it must run in a thread of its own?"""
        return self._operator_mode is None and self._configured.present and self._configured.slow(attempt)

    def decide(self, attempt: Attempt, now: float, zone: tzinfo | None = None) -> Admission | Refusal:
        """``now``: unix seconds. ``zone``: where the hours of users without a location are reckoned; None: here.

        Raises AccountPending if the source of the accounts does."""
        verdict = self.weigh(attempt, now, zone)
        if isinstance(verdict, Question):
            return unavailable(verdict, "only a running node can ask the service")
        return verdict

    def weigh(self, attempt: Attempt, now: float, zone: tzinfo | None = None) -> Admission | Refusal | Question:
        """As ``decide``; but where a callout service decides, the question to ask it (section 25.2)."""
        proxy = ""
        verdict: Admission | Refusal
        try:
            proxy = self._proxy(attempt)
            verdict = self._judge(attempt, now, zone, proxied=bool(proxy))
            if attempt.connect.account or attempt.connect.new_account:
                raise _account_named(verdict.user, verdict.account)
        except Refused as outcome:
            verdict = outcome.refusal
        question = question_about(self.settings, attempt, verdict, proxy)
        if question is not None:
            named = attempt.connect.account or attempt.connect.new_account
            return _account_named(question.user, "").refusal if named else question
        if isinstance(verdict, Refusal):
            return verdict
        verdict = guarded(self.settings, verdict)
        return structs.replace(verdict, proxy=proxy) if proxy else verdict

    def answered(
        self,
        question: Question,
        asked: Asked,
        body: bytes,
        now: float,
        zone: tzinfo | None = None,
        *,
        curve: CurveKeyPair | None = None,
    ) -> Admission | Refusal:
        """What follows from a callout service's answer; see ``Answers.judge``."""
        return self._answers.judge(question, asked, body, now, zone, curve=curve)

    def account_claims(self, user: UserClaims, now: float) -> AccountClaims | Refusal:
        """In operator mode, the account a user belongs to, or why it may not be used."""
        if self._operator_mode is None:
            raise ValueError("there are no account claims without an operator")
        try:
            return self._operator_mode.account(user, now)
        except Refused as outcome:
            return outcome.refusal

    def _proxy(self, attempt: Attempt) -> str:
        """The trusted proxy the connection came through; empty: none. Raises Refused."""
        signature, trusted = attempt.connect.proxy_sig, self.settings.trusted_proxies
        if not signature or not trusted:
            return ""
        try:
            raw = decode_chunk(signature)
        except TokenError:
            raw = b""
        for key in trusted:
            if attempt.nonce and keys.verify(key, attempt.nonce, raw):
                return key
        text = "proxy_sig is the signature of no trusted proxy"
        raise refused(ReasonCode.PROXY_NOT_TRUSTED, text, rule="proxies.trusted", user=attempt.connect.user)

    def _judge(self, attempt: Attempt, now: float, zone: tzinfo | None, *, proxied: bool) -> Admission:
        if self.settings.proxy_required and not proxied:
            raise proxy_missing(attempt.connect.user, place="authorization.proxy_required")
        if self._operator_mode is not None:
            return self._operator_mode.judge(attempt, now, zone, proxied=proxied)
        if not self._configured.present:
            return self._open(attempt)
        admission = self._configured.judge(attempt)
        if self._configured.requires_proxy(admission.user) and not proxied:
            raise proxy_missing(admission.user, account=admission.account)
        return admission

    @staticmethod
    def _open(attempt: Attempt) -> Admission:
        """Nobody is asked: credentials are ignored, a name is shown."""
        return Admission(
            account=GLOBAL_ACCOUNT, account_name=GLOBAL_ACCOUNT, method=Method.NONE, user=attempt.connect.user
        )


def _account_named(user: str, account: str) -> Refused:
    text = "clients may not choose their account in CONNECT"
    return refused(ReasonCode.ACCOUNT_NAMED, text, rule="account", user=user, account=account)
