"""Users known by their JWT only: the checks of operator mode, in order (spec auth section 10.3).

Whatever is wrong, the client learns nothing of it; the refusal says which claim was at fault and who had signed it.
"""

from datetime import datetime, tzinfo

from msgspec import structs

from gossamer.auth.claims import AccountClaims, UserClaims, UserGrant
from gossamer.auth.claims.grant import UNLIMITED
from gossamer.auth.configured import check_signature
from gossamer.auth.decisions import CONNECTION_TYPES, Admission, Attempt, Method, Refused, refused, smaller_limit
from gossamer.auth.issues import Level
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.permissions import Permissions
from gossamer.auth.places import host_in_networks, hours_end, zone_named
from gossamer.auth.reasons import ReasonCode
from gossamer.auth.resolver import AccountSource, DecodedSource, Decoding, KnownAccount, ResolverError
from gossamer.auth.scopes import ScopeError, scoped_grant
from gossamer.auth.settings import AccountLimits, AuthSettings
from gossamer.auth.soundness import sound
from gossamer.auth.trust import Trust
from gossamer.auth.validation import blocking, validate


class OperatorMode:
    """Judges user JWTs. Thread-safe: what it keeps is only ever replaced."""

    def __init__(self, settings: AuthSettings, trust: Trust, accounts: AccountSource | DecodedSource) -> None:
        """``accounts`` says what the accounts' JWTs are at the moment of asking."""
        self._settings = settings
        self._trust = trust
        self._accounts = accounts if isinstance(accounts, DecodedSource) else Decoding(accounts)

    def judge(self, attempt: Attempt, now: float, zone: tzinfo | None, *, proxied: bool) -> Admission:
        """``now``: unix seconds; ``zone``: that of times without a location. Whether the account leaves the decision to
        an auth callout is the caller's to see. Raises Refused."""
        return self.place(self._user_claims(attempt, now), attempt, now, zone, proxied=proxied)

    def place(
        self,
        user: UserClaims,
        attempt: Attempt,
        now: float,
        zone: tzinfo | None,
        *,
        proxied: bool,
        vouched: bool = False,
        lenient: bool = False,
    ) -> Admission:
        """The same for claims that were read and validated already. ``vouched``: an auth callout granted this user, who
        signs nothing itself; ``lenient``: its answer is taken as nats-server does (section 26.6). Raises Refused."""
        signer = user.issuer
        if user.grant.proxy_required and not proxied:
            raise proxy_missing(user.subject, signer=signer, account=user.account)
        account = self.account(user, now)
        grant, place = self._grant(user, account)
        if grant.proxy_required and not proxied:
            raise proxy_missing(user.subject, signer=signer, account=user.account)
        if not vouched:
            self._check_bearer(user, grant, account)
        check_connection_type(user, grant, attempt, lenient=lenient)
        if not (vouched or grant.bearer_token):
            check_signature(attempt, user.subject, place="sub of the user JWT", account=user.account, signer=signer)
        if account.is_revoked(user.subject, user.issued_at):
            raise _refused(
                ReasonCode.REVOKED, "the user was revoked", user, rule="revocations", place=self._place(account),
                signer=account.issuer,
            )  # fmt: skip
        if not lenient:
            check_source(user, grant, attempt)
        leaves_at = check_times(user, grant, now, zone)
        silent = vouched and not (grant.payload or grant.subscriptions or grant.data or account.scope(user.issuer))
        if lenient or silent:  # a callout service need not write limits: nats-server never looks at its users'
            grant = structs.replace(grant, payload=UNLIMITED, subscriptions=UNLIMITED)
        return self._admission(user, account, grant, place, leaves_at)

    def account(self, user: UserClaims, now: float) -> AccountClaims:
        """The account of a user, if it may be used. Raises Refused."""
        key = user.account
        pinned = self._settings.resolver_pinned_accounts
        if pinned and key not in pinned and key != self._trust.system_account:
            text = f"account {key} is not one of the pinned accounts"
            raise _refused(ReasonCode.ACCOUNT_NOT_PINNED, text, user, rule="resolver_pinned_accounts")
        known = self._loaded(user)
        account, place = known.claims, self._accounts.place(key)
        if account.issuer not in self._trust.keys:
            text = f"account {_named(account)} was not signed by a trusted operator key"
            raise _refused(ReasonCode.ACCOUNT_NOT_TRUSTED, text, user, rule="iss", place=place, signer=account.issuer)
        self._check_issuer(user, account)
        if known.blocked:
            text = f"account {_named(account)} is not valid: {'; '.join(known.blocked)}"
            raise _refused(ReasonCode.ACCOUNT_INVALID, text, user, place=place, signer=account.issuer)
        if 0 < account.expires < now:
            text = f"account {_named(account)} has expired"
            raise _refused(
                ReasonCode.ACCOUNT_EXPIRED, text, user, rule=f"exp {account.expires}", place=place,
                signer=account.issuer,
            )  # fmt: skip
        if account.not_before > now:
            text, rule = f"account {_named(account)} is not yet valid", f"nbf {account.not_before}"
            raise _refused(ReasonCode.ACCOUNT_INVALID, text, user, rule=rule, place=place, signer=account.issuer)
        return account

    def _user_claims(self, attempt: Attempt, now: float) -> UserClaims:
        token, sentinel = attempt.connect.jwt, self._settings.default_sentinel
        if not token and not sentinel:
            text = "no user JWT was given"
            raise refused(ReasonCode.JWT_MISSING, text, rule="operator mode", user=attempt.connect.user)
        try:
            user = decode_as(UserClaims, token or sentinel)
        except TokenError as error:
            if not token or not sentinel:
                raise refused(ReasonCode.JWT_MALFORMED, f"the user JWT cannot be believed: {error}") from None
            user = self._sentinel(sentinel)
        issues = validate(user, now)
        if blocking(issues, times=True):
            text = f"the user JWT is not valid: {'; '.join(blocking(issues, times=True))}"
            code, rule = ReasonCode.JWT_INVALID, ""
            if all(issue.level is Level.TIME for issue in issues):
                expired = 0 < user.expires < now
                code = ReasonCode.JWT_EXPIRED if expired else ReasonCode.JWT_NOT_YET_VALID
                rule = f"exp {user.expires}" if expired else f"nbf {user.not_before}"
            raise _refused(code, text, user, rule=rule)
        return user

    @staticmethod
    def _sentinel(token: str) -> UserClaims:
        try:
            return decode_as(UserClaims, token)
        except TokenError as error:
            text = f"the default sentinel cannot be believed: {error}"
            raise refused(ReasonCode.JWT_MALFORMED, text, rule="default_sentinel") from None

    def _loaded(self, user: UserClaims) -> KnownAccount:
        key = user.account
        known: KnownAccount | None = None
        if is_public(key, KeyKind.ACCOUNT):
            try:
                known = self._accounts.known(key)
            except ResolverError as error:
                code = ReasonCode.ACCOUNT_INVALID if error.damaged else ReasonCode.ACCOUNT_UNAVAILABLE
                place = self._accounts.place(key) if error.damaged else ""
                raise _refused(code, str(error), user, place=place) from None
        if known is None:
            text = f"account {key} is not known to the resolver"
            if not user.issuer_account:
                text += "; if that is a signing key, the user JWT needs issuer_account"
            raise _refused(
                ReasonCode.ACCOUNT_UNKNOWN, text, user, rule="issuer_account" if user.issuer_account else "iss"
            )
        return known

    def _check_issuer(self, user: UserClaims, account: AccountClaims) -> None:
        if account.has_signing_key(user.issuer):
            return
        place = self._place(account)
        if user.issuer != account.subject:
            text = f"{user.issuer} is no signing key of account {_named(account)}"
            raise _refused(ReasonCode.ISSUER_UNKNOWN, text, user, rule="signing_keys", place=place)
        if account.issuer in self._trust.strict_keys:
            text = "the operator wants users to be signed by signing keys, not by the account's identity key"
            rule = "strict_signing_key_usage"
            raise _refused(ReasonCode.ISSUER_NOT_A_SIGNING_KEY, text, user, rule=rule, place=place)

    def _grant(self, user: UserClaims, account: AccountClaims) -> tuple[UserGrant, str]:
        """What the user gets, and where that stands."""
        scope = account.scope(user.issuer)
        if scope is None:
            return user.grant, f"user JWT of {_named(user)}, signed by {user.issuer}"
        place = f'template of role "{scope.role}" in account {_named(account)}, key {scope.key}'
        try:
            return scoped_grant(scope, user, account), place
        except ScopeError as error:
            raise _refused(
                ReasonCode.SCOPE, str(error), user, rule=f'role "{scope.role}"', place=self._place(account)
            ) from None

    def _check_bearer(self, user: UserClaims, grant: UserGrant, account: AccountClaims) -> None:
        if grant.bearer_token and account.limits.disallow_bearer:
            text = f"account {_named(account)} allows no bearer tokens"
            raise _refused(
                ReasonCode.BEARER_DISALLOWED, text, user, rule="limits.disallow_bearer", place=self._place(account)
            )

    def _admission(
        self, user: UserClaims, account: AccountClaims, grant: UserGrant, place: str, leaves_at: float | None
    ) -> Admission:
        permissions = grant.permissions
        scoped = account.scope(user.issuer) is not None
        defaults = permissions is None and not scoped
        if defaults:
            permissions = account.default_permissions.permissions
            place = f"default_permissions of account {_named(account)}" if permissions else ""
        permissions = sound_permissions(permissions, user, place)
        ends = [int(end) for end in (user.expires, leaves_at) if end]
        limits = account.limits
        return Admission(
            account=account.subject,
            account_name=account.name,
            method=Method.JWT,
            user=user.subject,
            user_name=user.name,
            permissions=permissions,
            permissions_place=place if permissions is not None else "",
            default_permissions=defaults,
            max_payload=smaller_limit(grant.payload, limits.payload),
            max_subscriptions=smaller_limit(grant.subscriptions, limits.subscriptions),
            account_limits=AccountLimits(
                max_connections=smaller_limit(limits.connections),
                max_subscriptions=smaller_limit(limits.subscriptions),
                max_payload=smaller_limit(limits.payload),
                max_leafnodes=smaller_limit(limits.leafnodes),
            ),
            expires_at=min(ends, default=None),
            account_expires_at=account.expires or None,
            tags=user.tags,
            issuer=user.issuer,
            issued_at=user.issued_at,
            bearer=grant.bearer_token,
            own_payload=grant.payload,
            own_subscriptions=grant.subscriptions,
            claims=user,
            account_claims=account,
        )

    def _place(self, account: AccountClaims) -> str:
        return self._accounts.place(account.subject)


def sound_permissions(permissions: Permissions | None, user: UserClaims, place: str) -> Permissions | None:
    """What of the permissions can be enforced. Raises Refused for a deny entry that would protect nothing."""
    permissions, bad = sound(permissions)
    if bad:
        text = f'the deny entry "{bad}" is no subject and would protect nothing'
        raise _refused(ReasonCode.PERMISSIONS_UNSOUND, text, user, rule=f'deny "{bad}"', place=place)
    return permissions


def check_connection_type(user: UserClaims, grant: UserGrant, attempt: Attempt, *, lenient: bool = False) -> None:
    """May the user come this way? ``lenient``: it is enough that a type is known. Raises Refused."""
    if not grant.allowed_connection_types:
        return
    # Types of a newer version are passed over, as long as one is known.
    known = CONNECTION_TYPES.intersection(kind.upper() for kind in grant.allowed_connection_types)
    if not known or (not lenient and attempt.connection_type not in known):
        text = f"the user may not connect as {attempt.connection_type}"
        rule = f"allowed_connection_types {', '.join(grant.allowed_connection_types)}"
        raise _refused(ReasonCode.CONNECTION_TYPE, text, user, rule=rule)


def check_source(user: UserClaims, grant: UserGrant, attempt: Attempt) -> None:
    """May it come from there? Raises Refused."""
    networks = grant.source_networks
    if networks and not host_in_networks(attempt.client_host, networks):
        text = f'"{attempt.client_host}" is in none of the networks the user may come from'
        raise _refused(ReasonCode.SOURCE_NETWORK, text, user, rule=f"src {', '.join(networks)}")


def check_times(user: UserClaims, grant: UserGrant, now: float, zone: tzinfo | None) -> float | None:
    """When the user's hours end; None: it has none. Raises Refused outside of them."""
    if not grant.times:
        return None
    here = zone_named(grant.times_location) if grant.times_location else zone
    moment = datetime.fromtimestamp(now, here) if here else datetime.fromtimestamp(now).astimezone()
    end = hours_end(grant.times, moment)
    if end is None:
        hours = ", ".join(f"{hours.start} to {hours.end}" for hours in grant.times)
        text = f"it is {moment:%H:%M:%S %Z}, outside of the hours in which the user may connect"
        raise _refused(ReasonCode.OUTSIDE_TIMES, text, user, rule=f"times {hours}")
    return end.timestamp()


def proxy_missing(user: str, *, signer: str = "", account: str = "", place: str = "") -> Refused:
    """The user may only come through a trusted proxy, and did not."""
    text = "the connection must come through a trusted proxy"
    return refused(
        ReasonCode.PROXY_REQUIRED, text, rule="proxy_required", user=user, signer=signer, account=account, place=place
    )


def _refused(
    code: ReasonCode, text: str, user: UserClaims, *, rule: str = "", place: str = "", signer: str = ""
) -> Refused:
    return refused(
        code,
        text,
        rule=rule,
        place=place or f"user JWT of {_named(user)}",
        signer=signer or user.issuer,
        user=user.subject,
        account=user.account,
    )


def _named(claims: UserClaims | AccountClaims) -> str:
    return f'"{claims.name}" ({claims.subject})' if claims.name else claims.subject
