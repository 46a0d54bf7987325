"""What the node's configuration says about who may come in: plain values, made by ``gossamer.mesh.options`` from a
file or by hand in a test, consumed by ``gossamer.auth.authenticator`` (spec configuration sections 5.2-5.5, 5.7, 5.9).

``place`` is where a value stood (``file:line:column``), for reasons that name their rule; empty when made by hand.
"""

from msgspec import Struct

from gossamer.auth.permissions import Permissions
from gossamer.auth.sharing.values import Export, Import, Mapping

GLOBAL_ACCOUNT = "$G"
SYSTEM_ACCOUNT = "$SYS"


class UserSettings(Struct, frozen=True, kw_only=True):
    """A user entry. Either ``name`` (with ``password``, which may be a bcrypt hash) or ``nkey`` (public) is set."""

    name: str = ""
    password: str = ""
    nkey: str = ""
    account: str = GLOBAL_ACCOUNT
    permissions: Permissions | None = None  # None: the account's or the block's default applies
    connection_types: tuple[str, ...] = ()  # upper case; empty: all
    proxy_required: bool = False
    place: str = ""


class AccountLimits(Struct, frozen=True, kw_only=True):
    """-1: unlimited."""

    max_connections: int = -1
    max_subscriptions: int = -1
    max_payload: int = -1
    max_leafnodes: int = -1


class AccountSettings(Struct, frozen=True, kw_only=True):
    """An account from the configuration, with what it shares and maps, in the order of the file."""

    name: str
    nkey: str = ""
    default_permissions: Permissions | None = None
    limits: AccountLimits = AccountLimits()
    exports: tuple[Export, ...] = ()
    imports: tuple[Import, ...] = ()
    mappings: tuple[Mapping, ...] = ()
    place: str = ""


class ResolverSettings(Struct, frozen=True, kw_only=True):
    """``kind``: memory, url, full or cache (spec configuration section 5.9). ``refuse_rollback``: a pushed JWT must not
    be older than the one there is; ``accept_untrusted``: a pushed JWT may be signed by anybody (spec auth section 26).
    """

    kind: str
    directory: str = ""
    url: str = ""
    limit: int = 0
    interval_ns: int = 60 * 1_000_000_000
    ttl_ns: int = 0
    timeout_ns: int = 1_900_000_000
    allow_delete: bool = False
    hard_delete: bool = False
    refuse_rollback: bool = False
    accept_untrusted: bool = False


class CalloutSettings(Struct, frozen=True, kw_only=True):
    """Ask a service who may come in (spec auth section 25.1). ``issuer``: public account key that signs its answers;
    ``xkey``: public curve key to seal requests for, empty: they are sent in clear; ``auth_users``: names and nkeys that
    are not asked about; ``allowed_accounts`` empty: users of all accounts are asked about."""

    issuer: str
    auth_users: tuple[str, ...]
    account: str = GLOBAL_ACCOUNT
    xkey: str = ""
    allowed_accounts: tuple[str, ...] = ()


class AuthSettings(Struct, frozen=True, kw_only=True):
    """Everything the authenticator needs. ``timeout_ns`` 0: the default (2 s, or the TLS timeout and one more).

    ``lenient_callout``: take answers of a callout service as nats-server does, which does not look at connection types,
    ``src`` and limits of the user it grants, nor at the signature of a sealed answer (section 26.6).

    ``literal_wildcards``: allow lists take the wildcards of a subscription for literal tokens, as nats-server does
    (section 26.1): ``gossamer.auth.policy``."""

    user: str = ""
    password: str = ""
    token: str = ""
    timeout_ns: int = 0
    users: tuple[UserSettings, ...] = ()
    accounts: tuple[AccountSettings, ...] = ()
    mappings: tuple[Mapping, ...] = ()  # of the global account
    default_permissions: Permissions | None = None
    no_auth_user: str = ""
    proxy_required: bool = False
    trusted_proxies: tuple[str, ...] = ()
    system_account: str = ""  # empty: the default one
    no_system_account: bool = False
    operators: tuple[str, ...] = ()  # operator JWTs, decoded from file or inline by the option layer
    trusted_keys: tuple[str, ...] = ()
    resolver: ResolverSettings | None = None
    resolver_preload: tuple[tuple[str, str], ...] = ()  # account key, account JWT
    resolver_pinned_accounts: tuple[str, ...] = ()
    default_sentinel: str = ""
    callout: CalloutSettings | None = None
    lenient_callout: bool = False
    literal_wildcards: bool = False

    @property
    def operator_mode(self) -> bool:
        """Are users known by JWT only?"""
        return bool(self.operators or self.trusted_keys)
