"""Is the answer of a callout service to be followed, and who comes in by it (spec auth section 25.4)?

Safer than nats-server by default (section 26.6): the signature of a sealed answer counts as much as that of a plain
one, and the granted user's connection types, networks and limits are enforced. ``lenient_callout`` switches that off.
"""

import re
from datetime import tzinfo

from msgspec import structs

from gossamer.auth.callout.question import TOKEN_START, Asked, Question
from gossamer.auth.callout.scope import guarded
from gossamer.auth.claims import AuthorizationResponse, Claims, UserClaims, UserGrant
from gossamer.auth.claims.grant import UNLIMITED
from gossamer.auth.decisions import Admission, Method, Refusal, Refused, refused, smaller_limit
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.auth.keys import NkeyError
from gossamer.auth.operator_mode import (
    OperatorMode,
    check_connection_type,
    check_source,
    check_times,
    proxy_missing,
    sound_permissions,
)
from gossamer.auth.reasons import ReasonCode
from gossamer.auth.settings import GLOBAL_ACCOUNT, SYSTEM_ACCOUNT, AccountLimits, AuthSettings
from gossamer.auth.validation import validate
from gossamer.auth.xkeys import CurveKeyPair

_EVERY_ACCOUNT = "*"
#: Of a service's error text; the rest is left out of reasons and logs.
_ERROR_LENGTH_MAX = 512
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")


class Answers:
    """Judges answers by the settings of the moment."""

    def __init__(self, settings: AuthSettings, operator_mode: OperatorMode | None) -> None:
        """``operator_mode`` is there exactly when the settings have operators."""
        self._settings = settings
        self._operator_mode = operator_mode
        self._limits = {account.name: account.limits for account in settings.accounts}

    def judge(
        self,
        question: Question,
        asked: Asked,
        body: bytes,
        now: float,
        zone: tzinfo | None = None,
        *,
        curve: CurveKeyPair | None = None,
    ) -> Admission | Refusal:
        """``body``: the answer without its headers; ``now``: unix seconds; ``curve``: the server's own curve key.

        Raises AccountPending where the source of the accounts does.
        """
        try:
            response, sealed = self._response(question, body, now, curve)
            self._check_response(question, asked, response, now, sealed=sealed)
            user = self._user(question, asked, response, now)
            place = self._place_by_operator if self._operator_mode is not None else self._place_by_configuration
            admission = place(question, user, now, zone)
        except Refused as outcome:
            return outcome.refusal
        admission = structs.replace(
            admission,
            method=Method.CALLOUT,
            user=user.name or question.user,
            user_name=user.name,
            subject=user.subject,
            issued_at=user.issued_at,
            proxy=question.proxy,
        )
        return guarded(self._settings, admission)

    # --- the answer ---------------------------------------------------------------------------------------------
    def _response(
        self, question: Question, body: bytes, now: float, curve: CurveKeyPair | None
    ) -> tuple[AuthorizationResponse, bool]:
        """The claims, and whether they came sealed."""
        account, xkey = question.callout.account, question.callout.xkey
        if not body:
            raise violation(question, f'Auth callout violation: "no reason supplied" on account "{account}"')
        sealed = bool(xkey) and curve is not None and not body.startswith(TOKEN_START)
        if sealed:
            assert curve is not None, "checked above"
            try:
                body = curve.open(body, xkey)
            except NkeyError as error:
                text = f'Error decrypting auth callout response on account "{account}": {error}'
                raise violation(question, text, rule="xkey") from None
        try:
            response = decode_as(AuthorizationResponse, body.decode("ascii"))
        except (TokenError, UnicodeDecodeError) as error:
            raise violation(question, f"Auth callout response cannot be believed: {error}") from None
        issues = validate(response, now)
        if issues:
            text = f"Authorization response had validation errors: {issues[0].description}"
            raise violation(question, text, response)
        return response, sealed

    def _check_response(
        self, question: Question, asked: Asked, response: AuthorizationResponse, now: float, *, sealed: bool
    ) -> None:
        if response.subject != asked.user_nkey:
            text = "Auth callout violation: auth callout response is not for expected user"
            raise violation(question, text, response, rule="sub")
        if response.audience != asked.server_id:
            text = "Auth callout violation: auth callout response is not for server"
            raise violation(question, text, response, rule="aud")
        if not (sealed and self._settings.lenient_callout):
            self._check_signer(question, response)
        if response.error:
            said = _UNPRINTABLE.sub("?", response.error[:_ERROR_LENGTH_MAX])
            text = f"Auth callout service returned an error: {said}"
            raise violation(question, text, response, code=ReasonCode.CALLOUT_DENIED)

    @staticmethod
    def _check_signer(question: Question, response: AuthorizationResponse) -> None:
        callout = question.callout
        if not callout.operator_mode and response.issuer_account:
            text = f'Error non operator mode account "{callout.account}": attempted to use issuer_account'
            raise violation(question, text, response, rule="issuer_account")
        known = response.issuer == callout.issuer or response.issuer in callout.signing_keys
        if not known or response.issuer_account not in ("", callout.account):
            raise violation(question, "Auth callout signing key is unknown", response, rule="iss")

    def _user(self, question: Question, asked: Asked, response: AuthorizationResponse, now: float) -> UserClaims:
        try:
            user = decode_as(UserClaims, response.jwt)
        except TokenError as error:
            text = f"Auth callout response holds a user JWT that cannot be believed: {error}"
            raise violation(question, text, response) from None
        issues = validate(user, now)
        if issues:
            raise violation(question, f"Error validating user JWT: {issues[0].description}", user)
        if user.subject != asked.user_nkey:
            where = f'on account "{question.callout.account}"'
            text = f'Expected authorized user of "{asked.user_nkey}" but got "{user.subject}" {where}'
            raise violation(question, text, user, rule="sub")
        return user

    # --- placing the user ---------------------------------------------------------------------------------------
    def _place_by_operator(self, question: Question, user: UserClaims, now: float, zone: tzinfo | None) -> Admission:
        assert self._operator_mode is not None, "only asked in operator mode"
        callout = question.callout
        target, allowed = user.account, callout.allowed_accounts
        if target != callout.account and target not in allowed and _EVERY_ACCOUNT not in allowed:
            option = "not permitted as valid account option for auth callout"
            text = f'Account "{target}" {option} for account "{callout.account}"'
            raise violation(question, text, user, rule="authorization.allowed_accounts")
        return self._operator_mode.place(
            user,
            question.attempt,
            now,
            zone,
            proxied=bool(question.proxy),
            vouched=True,
            lenient=self._settings.lenient_callout,
        )

    def _place_by_configuration(
        self, question: Question, user: UserClaims, now: float, zone: tzinfo | None
    ) -> Admission:
        service = question.callout.account
        if user.issuer_account:
            text = f'Error non operator mode account "{service}": attempted to use issuer_account'
            raise violation(question, text, user, rule="issuer_account")
        _check_issuer(question, user)
        account = user.audience
        if account not in self._account_names:
            text = f'No valid account "{account}" for auth callout response on account "{service}": account missing'
            raise violation(question, text, user, rule="aud")
        grant, lenient = user.grant, self._settings.lenient_callout
        if grant.proxy_required and not question.proxy:
            raise proxy_missing(question.user, signer=user.issuer, account=account)
        check_connection_type(user, grant, question.attempt, lenient=lenient)
        if not lenient:
            check_source(user, grant, question.attempt)
        leaves_at = check_times(user, grant, now, zone)
        if lenient or unlimited_by_silence(grant):
            grant = structs.replace(grant, payload=UNLIMITED, subscriptions=UNLIMITED)
        place = f"user JWT of the auth callout, signed by {user.issuer}"
        permissions = sound_permissions(grant.permissions, user, place)
        limits = self._limits.get(account, AccountLimits())
        return Admission(
            account=account,
            account_name=account,
            method=Method.CALLOUT,
            permissions=permissions,
            permissions_place=place if permissions is not None else "",
            max_payload=smaller_limit(grant.payload, limits.max_payload),
            max_subscriptions=smaller_limit(grant.subscriptions, limits.max_subscriptions),
            account_limits=limits,
            expires_at=min((int(end) for end in (user.expires, leaves_at) if end), default=None),
            tags=user.tags,
            issuer=user.issuer,
        )

    @property
    def _account_names(self) -> set[str]:
        settings = self._settings
        system = settings.system_account or ("" if settings.no_system_account else SYSTEM_ACCOUNT)
        return {GLOBAL_ACCOUNT, *self._limits, system} - {""}


def unlimited_by_silence(grant: UserGrant) -> bool:
    """Does the grant say nothing at all of limits?

    Elsewhere that means none of anything (section 26.15); services that answer nats-server may leave them out, as it
    never looks at them, so that here it means no limit.
    """
    return not (grant.payload or grant.subscriptions or grant.data)


def silence(question: Question, *, timeout_ns: int) -> Refusal:
    """Nobody answered in time."""
    account = question.callout.account
    text = f'Authorization callout response not received in time on account "{account}"'
    code, rule = ReasonCode.CALLOUT_SILENT, f"timeout {timeout_ns / 1e9:g}s"
    return violation(question, text, code=code, rule=rule).refusal


def unavailable(question: Question, why: str) -> Refusal:
    """It was not even possible to ask."""
    text = f'No valid account "{question.callout.account}" for auth callout request: {why}'
    return violation(question, text, code=ReasonCode.CALLOUT_UNAVAILABLE).refusal


def violation(
    question: Question,
    text: str,
    claims: Claims | None = None,
    *,
    rule: str = "",
    code: ReasonCode = ReasonCode.CALLOUT_VIOLATION,
) -> Refused:
    """To be raised: why the service's answer lets nobody in. ``claims``: the part that is at fault."""
    local = question.local
    return refused(
        code,
        text,
        rule=rule,
        place=question.callout.place,
        signer=claims.issuer if claims is not None else "",
        user=question.user,
        account=local.account or question.callout.account,
    )


def _check_issuer(question: Question, claims: Claims) -> None:
    callout = question.callout
    if claims.issuer != callout.issuer:
        where = f'on account "{callout.account}"'
        text = f'Wrong issuer for auth callout response {where}, expected "{callout.issuer}" got "{claims.issuer}"'
        raise violation(question, text, claims, rule="iss")
