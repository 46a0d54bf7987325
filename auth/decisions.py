"""What a client brings, and what is decided about it, as values (spec auth section 8)."""

from enum import StrEnum

from msgspec import Struct

from gossamer.auth.claims import AccountClaims, UserClaims
from gossamer.auth.permissions import Permissions
from gossamer.auth.reasons import Reason, ReasonCode
from gossamer.auth.settings import AccountLimits

AUTHORIZATION_VIOLATION = "Authorization Violation"

#: Connection types that may be named in a configuration or a claim (section 9.7).
CONNECTION_TYPES = frozenset({"STANDARD", "WEBSOCKET", "LEAFNODE", "LEAFNODE_WS", "MQTT", "MQTT_WS", "IN_PROCESS"})


class ConnectOptions(Struct, frozen=True, kw_only=True):
    """The fields of CONNECT that say who comes (section 8.2). Empty: not sent."""

    user: str = ""
    password: str = ""
    auth_token: str = ""
    jwt: str = ""
    nkey: str = ""
    sig: str = ""
    proxy_sig: str = ""
    account: str = ""
    new_account: bool = False
    name: str = ""
    lang: str = ""
    version: str = ""
    protocol: int = 0


class Attempt(Struct, frozen=True, kw_only=True):
    """Somebody wants to come in. ``nonce`` is the ASCII text that INFO held, empty if it held none. ``tls_names`` is
    the room for names of a verified certificate; nothing is mapped by it yet. ``link`` is the server's number of the
    connection."""

    connect: ConnectOptions
    connection_type: str = "STANDARD"
    client_host: str = ""
    nonce: bytes = b""
    tls_names: tuple[str, ...] = ()
    link: int = 0


class Method(StrEnum):
    """How somebody came in."""

    NONE = "none"
    TOKEN = "token"
    USER = "user"
    NKEY = "nkey"
    JWT = "jwt"
    NO_AUTH_USER = "no_auth_user"
    CALLOUT = "callout"


class Admission(Struct, frozen=True, kw_only=True):
    """Let in. Limits of -1: none; times are unix seconds.

    ``user`` is what events and monitoring show (``sub`` of a JWT), ``user_name`` the name in the JWT. ``permissions``
    are final, ``permissions_place`` says where they stand. ``expires_at`` is when this user must go (expiry or the end
    of its hours), ``account_expires_at`` when all of the account must. ``issued_at``, ``bearer``, ``own_payload`` and
    ``own_subscriptions`` are what the user's JWT says, or its template: a changed account is held against them.
    ``subject`` is the JWT's ``sub`` where ``user`` is something else (a user of an auth callout).
    """

    account: str
    method: Method
    user: str = ""
    user_name: str = ""
    subject: str = ""
    account_name: str = ""
    permissions: Permissions | None = None
    permissions_place: str = ""
    default_permissions: bool = False
    max_payload: int = -1
    max_subscriptions: int = -1
    account_limits: AccountLimits = AccountLimits()
    expires_at: int | None = None
    account_expires_at: int | None = None
    tags: tuple[str, ...] = ()
    issuer: str = ""
    issued_at: int = 0
    bearer: bool = False
    own_payload: int = -1
    own_subscriptions: int = -1
    claims: UserClaims | None = None
    account_claims: AccountClaims | None = None
    proxy: str = ""


class Refusal(Struct, frozen=True, kw_only=True):
    """Not let in. ``error`` is the text for ``-ERR``, ``close_reason`` the name of the engine's close reason, ``user``
    who it claimed to be, as far as that is known, and ``account`` likewise."""

    reason: Reason
    error: str = AUTHORIZATION_VIOLATION
    close_reason: str = "AUTHENTICATION_VIOLATION"
    user: str = ""
    account: str = ""


class Refused(Exception):
    """Carries a refusal out of nested checks."""

    def __init__(self, refusal: Refusal) -> None:
        """The refusal is all there is to say."""
        super().__init__(str(refusal.reason))
        self.refusal = refusal


_CLOSE_REASONS = {
    ReasonCode.PROXY_NOT_TRUSTED: "PROXY_NOT_TRUSTED",
    ReasonCode.PROXY_REQUIRED: "PROXY_REQUIRED",
}


def refused(
    code: ReasonCode,
    text: str,
    *,
    rule: str = "",
    place: str = "",
    signer: str = "",
    user: str = "",
    account: str = "",
) -> Refused:
    """To be raised: the refusal for a reason."""
    reason = Reason(code=code, text=text, rule=rule, place=place, signer=signer)
    close_reason = _CLOSE_REASONS.get(code, "AUTHENTICATION_VIOLATION")
    return Refused(Refusal(reason=reason, close_reason=close_reason, user=user, account=account))


def smaller_limit(*limits: int) -> int:
    """The strictest of several limits, -1 meaning none; clamped to 32 bits as in the reference."""
    bounded = [min(limit, 2**31 - 1) for limit in limits if limit >= 0]
    return min(bounded, default=-1)
