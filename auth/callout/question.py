"""A decision that a callout service has to make, as a value."""

from msgspec import Struct

from gossamer.auth.decisions import Admission, Attempt, Refusal

#: Where the service listens, in its account.
SUBJECT = "$SYS.REQ.USER.AUTH"
AUDIENCE = "nats-authorization-request"
#: The header that names the curve key of the server that sealed a request.
XKEY_HEADER = "Nats-Server-Xkey"
#: How the texts of tokens begin: a sealed message never does.
TOKEN_START = b"eyJ"
#: Time for an answer when the configuration says nothing.
DEFAULT_TIMEOUT_NS = 2_000_000_000


class Callout(Struct, frozen=True, kw_only=True):
    """Whom to ask, and whose answer counts.

    ``account``: the service's, by name or (operator mode) key. ``issuer``: in a configuration the key that signs
    answers and users; in operator mode the account's key. ``signing_keys``: further keys that may sign answers there.
    ``allowed_accounts``: in operator mode, accounts beside its own into which the service may place users, ``*`` for
    all. ``xkey``: curve key to seal requests for; empty: they are sent in clear. ``place``: where this is written.
    """

    account: str
    issuer: str
    operator_mode: bool = False
    signing_keys: tuple[str, ...] = ()
    allowed_accounts: tuple[str, ...] = ()
    xkey: str = ""
    place: str = ""


class Question(Struct, frozen=True, kw_only=True):
    """About one attempt. ``local`` is what was decided without the service; ``proxy`` the trusted proxy it came
    through, ``sentinel`` the JWT that stood in for one it did not bring; empty: none."""

    attempt: Attempt
    callout: Callout
    local: Admission | Refusal
    proxy: str = ""
    sentinel: str = ""

    @property
    def user(self) -> str:
        """Who it claims to be, as events and logs may show it: never a token."""
        connect = self.attempt.connect
        if connect.nkey or connect.user:
            return connect.nkey or connect.user
        if isinstance(self.local, Admission) and self.callout.operator_mode:
            return self.local.user
        return "[REDACTED]" if connect.auth_token else ""


class Asked(Struct, frozen=True, kw_only=True):
    """What an answer must fit: ``user_nkey`` was made for this request, ``server_id`` is the asking server's."""

    user_nkey: str
    server_id: str
