"""Account claims (spec auth section 4.2)."""

from typing import Any, ClassVar

from msgspec import field, structs

from gossamer.auth.claims.envelope import Claims
from gossamer.auth.claims.grant import UNLIMITED, ResponseGrant, SubjectList, UserGrant, house_permissions, shaped_grant
from gossamer.auth.claims.part import Integer, Part
from gossamer.auth.claims.sharing import Export, Import, MappingTarget
from gossamer.auth.keys import KeyKind
from gossamer.auth.permissions import Permissions

USER_SCOPE = "user_scope"
EVERYBODY = "*"


class StorageLimits(Part, frozen=True, kw_only=True):
    """Stream storage of one replication tier. Sizes in bytes, -1 unlimited."""

    memory_storage: Integer = field(default=0, name="mem_storage")
    disk_storage: Integer = 0
    streams: Integer = 0
    consumers: Integer = field(default=0, name="consumer")
    max_ack_pending: Integer = 0
    memory_max_stream_bytes: Integer = field(default=0, name="mem_max_stream_bytes")
    disk_max_stream_bytes: Integer = 0
    max_bytes_required: bool = False


class AccountLimits(Part, frozen=True, kw_only=True):
    """-1: unlimited. What a claim does not say is 0, which means none at all: tools begin with ``fresh``."""

    subscriptions: Integer = field(default=0, name="subs")
    data: Integer = 0
    payload: Integer = 0
    imports: Integer = 0
    exports: Integer = 0
    wildcards: bool = False
    disallow_bearer: bool = False
    connections: Integer = field(default=0, name="conn")
    leafnodes: Integer = field(default=0, name="leaf")
    memory_storage: Integer = field(default=0, name="mem_storage")
    disk_storage: Integer = 0
    streams: Integer = 0
    consumers: Integer = field(default=0, name="consumer")
    max_ack_pending: Integer = 0
    memory_max_stream_bytes: Integer = field(default=0, name="mem_max_stream_bytes")
    disk_max_stream_bytes: Integer = 0
    max_bytes_required: bool = False
    tiered: dict[str, StorageLimits] = field(default_factory=dict, name="tiered_limits")

    @classmethod
    def fresh(cls) -> "AccountLimits":
        """What tools begin with: no limits, no stream storage."""
        return cls(
            subscriptions=UNLIMITED,
            data=UNLIMITED,
            payload=UNLIMITED,
            imports=UNLIMITED,
            exports=UNLIMITED,
            wildcards=True,
            connections=UNLIMITED,
            leafnodes=UNLIMITED,
        )

    @property
    def storage(self) -> StorageLimits:
        """The flat stream storage limits."""
        return StorageLimits(**{name: getattr(self, name) for name in STORAGE_FIELDS})


STORAGE_FIELDS = tuple(info.name for info in structs.fields(StorageLimits) if info.name != "unknown")


class UserScope(Part, frozen=True, kw_only=True):
    """A scoped signing key: whoever it signs gets the template, nothing else (section 12)."""

    ALWAYS: ClassVar[frozenset[str]] = frozenset({"kind", "key", "role", "description"})

    kind: str = USER_SCOPE
    key: str = ""
    role: str = ""
    template: UserGrant = field(default_factory=UserGrant)
    description: str = ""

    def __post_init__(self) -> None:
        """Other kinds of scope would grant we know not what."""
        if self.kind != USER_SCOPE:
            raise ValueError(f'unknown signing key scope "{self.kind}"')

    def members(self) -> dict[str, Any]:
        """A limit of 0 is written out in a template: left out it would be read as none."""
        found = Part.members(self)
        template = self.template
        limits = {"subs": template.subscriptions, "data": template.data, "payload": template.payload}
        zeros = {name: 0 for name, value in limits.items() if not value}
        return {**found, "template": {**found["template"], **zeros}} if zeros else found


class DefaultPermissions(Part, frozen=True, kw_only=True):
    """For users that have no permissions of their own."""

    publish: SubjectList = field(default_factory=SubjectList, name="pub")
    subscribe: SubjectList = field(default_factory=SubjectList, name="sub")
    responses: ResponseGrant | None = field(default=None, name="resp")

    @property
    def permissions(self) -> Permissions | None:
        """None where nothing is restricted."""
        return house_permissions(self.publish, self.subscribe, self.responses)


class ExternalAuthorization(Part, frozen=True, kw_only=True):
    """Auth callout: users that answer instead of being asked about, and accounts they may place others in."""

    auth_users: tuple[str, ...] = ()
    allowed_accounts: tuple[str, ...] = ()
    xkey: str = ""


class MessageTrace(Part, frozen=True, kw_only=True):
    """Where traces of messages go, and of how many (percent)."""

    destination: str = field(default="", name="dest")
    sampling: Integer = 0


class AccountClaims(Claims, frozen=True, kw_only=True):
    """A tenant: its limits, its signing keys, what it shares, whom it has revoked."""

    TYPE: ClassVar[str] = "account"
    SUBJECTS: ClassVar[tuple[KeyKind, ...]] = (KeyKind.ACCOUNT,)
    ISSUERS: ClassVar[tuple[KeyKind, ...]] = (KeyKind.ACCOUNT, KeyKind.OPERATOR)
    SUBJECT_ERROR: ClassVar[str] = "expected subject to be account public key"

    imports: tuple[Import, ...] = field(default=(), name="nats.imports")
    exports: tuple[Export, ...] = field(default=(), name="nats.exports")
    limits: AccountLimits = field(default_factory=AccountLimits, name="nats.limits")
    signing_keys: tuple[str | UserScope, ...] = field(default=(), name="nats.signing_keys")
    revocations: dict[str, Integer] = field(default_factory=dict, name="nats.revocations")
    default_permissions: DefaultPermissions = field(default_factory=DefaultPermissions, name="nats.default_permissions")
    mappings: dict[str, tuple[MappingTarget, ...]] = field(default_factory=dict, name="nats.mappings")
    authorization: ExternalAuthorization = field(default_factory=ExternalAuthorization, name="nats.authorization")
    trace: MessageTrace | None = field(default=None, name="nats.trace")
    cluster_traffic: str = field(default="", name="nats.cluster_traffic")
    description: str = field(default="", name="nats.description")
    info_url: str = field(default="", name="nats.info_url")

    @property
    def signing_key_texts(self) -> tuple[str, ...]:
        """The public keys of all signing keys, scoped or not."""
        return tuple(entry if isinstance(entry, str) else entry.key for entry in self.signing_keys)

    def has_signing_key(self, key: str) -> bool:
        """Is this one of its signing keys (the identity key is none)?"""
        return key in self.signing_key_texts

    def scope(self, key: str) -> UserScope | None:
        """The scope that a signing key is bound to. As in the reference the last entry of a key counts."""
        found: UserScope | None = None
        for entry in self.signing_keys:
            if entry == key:
                found = None
            elif isinstance(entry, UserScope) and entry.key == key:
                found = entry
        return found

    def is_revoked(self, user: str, issued_at: int) -> bool:
        """Was the user, or everybody, revoked at or after the moment the claim was issued (section 13)?"""
        return any(self.revocations.get(key, -1) >= issued_at for key in (user, EVERYBODY))

    def sorted_for_signing(self) -> "AccountClaims":
        """Exports, imports and signing keys in the order in which they are written."""
        return structs.replace(
            self,
            imports=tuple(sorted(self.imports, key=lambda entry: entry.subject)),
            exports=tuple(sorted(self.exports, key=lambda entry: entry.subject)),
            signing_keys=tuple(
                sorted(self.signing_keys, key=lambda entry: entry if isinstance(entry, str) else entry.key)
            ),
        )

    @classmethod
    def shaped(cls, nats: dict[str, Any]) -> dict[str, Any]:
        """Old spellings in templates; flat storage limits that tiers make void."""
        keys = nats.get("signing_keys")
        if isinstance(keys, list):
            nats = {**nats, "signing_keys": [_shaped_scope(entry) for entry in keys]}
        limits = nats.get("limits")
        if isinstance(limits, dict) and limits.get("tiered_limits"):
            nats = {**nats, "limits": {name: v for name, v in limits.items() if name not in _STORAGE_MEMBERS}}
        return nats


_STORAGE_MEMBERS = frozenset(info.encode_name for info in structs.fields(StorageLimits))


_TEMPLATE_LIMITS = {"subs": UNLIMITED, "data": UNLIMITED, "payload": UNLIMITED}


def _shaped_scope(entry: Any) -> Any:
    if not isinstance(entry, dict):
        return entry
    # Without a kind it would pass as a user scope by default: the kind must be said.
    entry = {"kind": "", **entry}
    template = entry.get("template", {})
    if isinstance(template, dict):
        # A limit that a template does not name is none: nsc leaves them out (section 12).
        entry["template"] = {**_TEMPLATE_LIMITS, **shaped_grant(template)}
    return entry
