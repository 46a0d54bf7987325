"""Users of a configuration: who they claim to be, and whether it is true (spec auth sections 8.3 and 9)."""

from collections.abc import Mapping

from msgspec import Struct

from gossamer.auth import keys
from gossamer.auth.decisions import Admission, Attempt, Method, refused, smaller_limit
from gossamer.auth.jwt import TokenError, decode_signature
from gossamer.auth.passwords import is_hash, password_matches
from gossamer.auth.permissions import Permissions
from gossamer.auth.reasons import ReasonCode
from gossamer.auth.settings import GLOBAL_ACCOUNT, AccountLimits, AccountSettings, AuthSettings, UserSettings

#: How monitoring shows a client that came with a token.
REDACTED = "[REDACTED]"


class _Candidate(Struct, frozen=True):
    """The user somebody claims to be; ``trusted`` without proof, as the ``no_auth_user``."""

    user: UserSettings
    trusted: bool


class ConfiguredUsers:
    """Users, nkeys, the single user and the token of one configuration."""

    def __init__(self, settings: AuthSettings) -> None:
        """The settings must be valid (``gossamer.auth.settings_validation``)."""
        self._settings = settings
        self._accounts: Mapping[str, AccountSettings] = {account.name: account for account in settings.accounts}
        self._by_name = {user.name: user for user in settings.users if user.name}
        self._by_nkey = {user.nkey: user for user in settings.users if user.nkey}
        self._no_auth = self._no_auth_candidate()

    @property
    def present(self) -> bool:
        """Is anybody asked who they are?"""
        settings = self._settings
        return bool(settings.users or settings.user or settings.token)

    @property
    def knows_nkeys(self) -> bool:
        """Does somebody have to sign?"""
        return bool(self._by_nkey)

    @property
    def no_auth_admission(self) -> Admission | None:
        """What somebody gets who says nothing at all; None: nothing."""
        return None if self._no_auth is None else self._admission(self._no_auth, Method.NO_AUTH_USER)

    def slow(self, attempt: Attempt) -> bool:
        """Will deciding compare with a bcrypt hash?"""
        connect = attempt.connect
        if self._settings.users:
            user = self._by_name.get(connect.user)
            return user is not None and is_hash(user.password)
        if self._settings.token:
            return is_hash(self._settings.token) and bool(connect.auth_token)
        return is_hash(self._settings.password) and connect.user == self._settings.user

    def judge(self, attempt: Attempt) -> Admission:
        """Who is it? Raises Refused."""
        if not self._settings.users:
            return self._judge_single(attempt)
        if self._by_nkey and attempt.connect.nkey:
            return self._judge_nkey(attempt)
        candidate = self._named(attempt)
        user = candidate.user
        self._check_connection_type(user, attempt)
        if candidate.trusted:
            return self._admission(user, Method.NO_AUTH_USER)
        if not password_matches(user.password, attempt.connect.password):
            raise refused(ReasonCode.PASSWORD_WRONG, f'wrong password of user "{user.name}"', **self._of(user))
        return self._admission(user, Method.USER)

    def requires_proxy(self, user: str) -> bool:
        """Must this user, by name or nkey, come through a trusted proxy?"""
        found = self._by_name.get(user) or self._by_nkey.get(user)
        return found is not None and found.proxy_required

    def _named(self, attempt: Attempt) -> _Candidate:
        connect = attempt.connect
        if not (connect.user or connect.password or connect.auth_token or connect.nkey):
            if self._no_auth is not None:
                return _Candidate(self._no_auth, True)
            text = "no user, password, token or nkey was given"
            raise refused(ReasonCode.CREDENTIALS_MISSING, text, rule="authorization is required")
        user = self._by_name.get(connect.user) if connect.user else None
        if user is None:
            text = f'user "{connect.user}" is not configured' if connect.user else "no user name was given"
            if connect.nkey and not connect.user:
                text = f"no nkeys are configured, {connect.nkey} cannot come in"
            raise refused(ReasonCode.USER_UNKNOWN, text, rule="users", user=connect.user or connect.nkey)
        return _Candidate(user, False)

    def _judge_nkey(self, attempt: Attempt) -> Admission:
        connect = attempt.connect
        user = self._by_nkey.get(connect.nkey)
        if user is None:
            text = f"nkey {connect.nkey} is not configured"
            raise refused(ReasonCode.NKEY_UNKNOWN, text, rule="users", user=connect.nkey)
        self._check_connection_type(user, attempt)
        check_signature(attempt, user.nkey, place=user.place, account=user.account)
        return self._admission(user, Method.NKEY)

    def _judge_single(self, attempt: Attempt) -> Admission:
        settings, connect = self._settings, attempt.connect
        if settings.token:
            if not connect.auth_token or not password_matches(settings.token, connect.auth_token):
                given = "wrong token" if connect.auth_token else "no token was given"
                code = ReasonCode.TOKEN_WRONG if connect.auth_token else ReasonCode.CREDENTIALS_MISSING
                raise refused(code, given, rule="authorization.token", user=connect.user)
            return self._global(REDACTED, Method.TOKEN)
        if connect.user != settings.user:
            code = ReasonCode.USER_UNKNOWN if connect.user else ReasonCode.CREDENTIALS_MISSING
            text = f'user "{connect.user}" is not configured' if connect.user else "no user name was given"
            raise refused(code, text, rule="authorization.user", user=connect.user)
        if not password_matches(settings.password, connect.password):
            text = f'wrong password of user "{connect.user}"'
            raise refused(ReasonCode.PASSWORD_WRONG, text, rule="authorization.password", user=connect.user)
        return self._global(connect.user, Method.USER)

    def _global(self, user: str, method: Method) -> Admission:
        """The single user and token clients are at home in the global account."""
        return Admission(
            account=GLOBAL_ACCOUNT,
            account_name=GLOBAL_ACCOUNT,
            method=method,
            user=user,
            permissions=self._settings.default_permissions,
            permissions_place="authorization.default_permissions" if self._settings.default_permissions else "",
        )

    def _admission(self, user: UserSettings, method: Method) -> Admission:
        permissions, place = self._permissions(user)
        account = self._accounts.get(user.account)
        limits = AccountLimits() if account is None else account.limits
        return Admission(
            account=user.account,
            account_name=user.account,
            method=method,
            user=user.name or user.nkey,
            permissions=permissions,
            permissions_place=place,
            default_permissions=user.permissions is None and permissions is not None,
            max_payload=smaller_limit(limits.max_payload),
            max_subscriptions=smaller_limit(limits.max_subscriptions),
            account_limits=limits,
        )

    def _permissions(self, user: UserSettings) -> tuple[Permissions | None, str]:
        if user.permissions is not None:
            return user.permissions, user.place or f'permissions of user "{user.name or user.nkey}"'
        account = self._accounts.get(user.account)
        if account is not None and account.default_permissions is not None:
            return account.default_permissions, f'default_permissions of account "{account.name}"'
        if user.account == GLOBAL_ACCOUNT and self._settings.default_permissions is not None:
            return self._settings.default_permissions, "authorization.default_permissions"
        return None, ""

    def _check_connection_type(self, user: UserSettings, attempt: Attempt) -> None:
        if user.connection_types and attempt.connection_type not in user.connection_types:
            name = user.name or user.nkey
            text = f'user "{name}" may not connect as {attempt.connection_type}'
            rule = f"allowed_connection_types {', '.join(user.connection_types)}"
            raise refused(ReasonCode.CONNECTION_TYPE, text, rule=rule, **self._of(user))

    @staticmethod
    def _of(user: UserSettings) -> dict[str, str]:
        return {"place": user.place, "user": user.name or user.nkey, "account": user.account}

    def _no_auth_candidate(self) -> UserSettings | None:
        settings = self._settings
        if settings.no_auth_user:
            return self._by_name.get(settings.no_auth_user) or self._by_nkey.get(settings.no_auth_user)
        # Users of the system account alone close the door to nobody else (section 9.4).
        system = settings.system_account or "$SYS"
        alone = settings.users and not (settings.user or settings.token or settings.no_system_account)
        if alone and all(user.account == system for user in settings.users):
            return UserSettings(account=GLOBAL_ACCOUNT, place="no users but those of the system account")
        return None


def check_signature(attempt: Attempt, key: str, *, place: str = "", account: str = "", signer: str = "") -> None:
    """``sig`` must be the key's signature over the nonce. Raises Refused."""
    if not attempt.connect.sig or not attempt.nonce:
        text = f"the nonce was not signed by {key}" if attempt.nonce else "the server offered no nonce to sign"
        raise refused(
            ReasonCode.SIGNATURE_MISSING, text, rule="sig", place=place, user=key, account=account, signer=signer
        )
    try:
        signature = decode_signature(attempt.connect.sig)
    except TokenError:
        signature = b""
    if not keys.verify(key, attempt.nonce, signature):
        text = f"the signature over the nonce is not the one of {key}"
        raise refused(
            ReasonCode.SIGNATURE_WRONG, text, rule="sig", place=place, user=key, account=account, signer=signer
        )
