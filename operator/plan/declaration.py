"""What a tenants file declares, as values: names instead of keys, sizes in bytes, durations in nanoseconds.

Names are the identity. Their keys are in the store: in the claims themselves, and for what claims have no name for
(plain signing keys, users that were removed) in ``gossamer.operator.plan.ledger``.
"""

from msgspec import Struct

from gossamer.auth.claims import AccountLimits, MappingTarget, UserGrant

REVOKE = "revoke"
KEEP = "keep"
NOW = -1


class Term(Struct, frozen=True, kw_only=True):
    """When a claim ends, as it was written: a date, or a time from its issue (``90d``); empty: never."""

    text: str = ""
    rotate_before_s: int = 0  # issue anew when less is left; 0: never


class OperatorDeclaration(Struct, frozen=True, kw_only=True):
    """``signing_keys``: name to public key, empty where the tool makes the key. None: the file does not say, what the
    operator has stays; an empty text or list takes it away. Servers are found by these: they do not go unsaid."""

    name: str
    strict_signing_keys: bool = False
    signing_keys: dict[str, str] = {}
    service_urls: tuple[str, ...] | None = None
    account_server_url: str | None = None
    system_account: str | None = None
    tags: tuple[str, ...] = ()
    term: Term = Term()
    line: int = 0


class RoleDeclaration(Struct, frozen=True, kw_only=True):
    """A scoped signing key. ``key`` pins it; empty: the tool makes it."""

    name: str
    template: UserGrant
    description: str = ""
    key: str = ""
    line: int = 0


class ExportDeclaration(Struct, frozen=True, kw_only=True):
    """``grants`` are names of accounts of this operator, or account keys; they make no sense for public exports."""

    subject: str
    type: str
    name: str = ""
    private: bool = False
    grants: tuple[str, ...] = ()
    response_type: str = ""
    response_threshold_ns: int = 0
    latency_subject: str = ""
    latency_sampling: int = 0  # percent; 0: by the headers of the request
    account_token_position: int = 0
    advertise: bool = False
    allow_trace: bool = False
    description: str = ""
    info_url: str = ""
    revoked: dict[str, int] = {}
    line: int = 0


class ImportDeclaration(Struct, frozen=True, kw_only=True):
    """``account`` is a name of an account of this operator, or an account key; ``token`` a foreign activation."""

    subject: str
    type: str
    account: str
    name: str = ""
    local: str = ""
    prefix: str = ""  # the deprecated ``to``
    share: bool = False
    allow_trace: bool = False
    token: str = ""
    line: int = 0


class UserDeclaration(Struct, frozen=True, kw_only=True):
    """``role`` or ``sign_with`` name the key that signs it; neither: any plain key of the account."""

    name: str
    grant: UserGrant
    role: str = ""
    sign_with: str = ""
    tags: tuple[str, ...] = ()
    term: Term = Term()
    not_before: str = ""
    key: str = ""
    credentials: bool = True
    line: int = 0


class RevocationDeclaration(Struct, frozen=True, kw_only=True):
    """``who`` is a name of a user (also of one that was removed), a user key, or ``*``; ``at`` unix seconds or NOW."""

    who: str
    at: int = NOW
    line: int = 0


class CalloutDeclaration(Struct, frozen=True, kw_only=True):
    """``users`` and ``allowed_accounts`` are names or keys; ``xkey`` a public curve key, or ``generate``."""

    users: tuple[str, ...] = ()
    allowed_accounts: tuple[str, ...] = ()
    xkey: str = ""
    line: int = 0


class AccountDeclaration(Struct, frozen=True, kw_only=True):
    """One tenant. ``exports`` None: not said, which for the system account means the standard ones."""

    name: str
    limits: AccountLimits
    key: str = ""
    description: str = ""
    info_url: str = ""
    tags: tuple[str, ...] = ()
    term: Term = Term()
    signing_keys: dict[str, str] = {}
    roles: tuple[RoleDeclaration, ...] = ()
    exports: tuple[ExportDeclaration, ...] | None = None
    imports: tuple[ImportDeclaration, ...] = ()
    default_permissions: UserGrant = UserGrant()
    mappings: dict[str, tuple[MappingTarget, ...]] = {}
    users: dict[str, UserDeclaration] = {}
    revocations: tuple[RevocationDeclaration, ...] = ()
    callout: CalloutDeclaration | None = None
    trace_destination: str = ""
    trace_sampling: int = 0
    cluster_traffic: str = ""
    on_remove: str = REVOKE
    line: int = 0


class Declaration(Struct, frozen=True, kw_only=True):
    """The whole file. ``prune``: what the file does not name is removed, whoever made it."""

    operator: OperatorDeclaration
    accounts: dict[str, AccountDeclaration]
    prune: bool = False
    removal_grace_s: int = 86_400
