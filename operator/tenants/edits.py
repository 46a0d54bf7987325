"""Changes to permissions, limits and tags as values, and their application to claims.

Everything in an edit is optional: what is None or empty stays as it is.
"""

from collections.abc import Iterable

from msgspec import Struct, structs

from gossamer.auth.claims import (
    AccountLimits,
    ResponseGrant,
    StorageLimits,
    SubjectList,
    TimeRange,
    UserGrant,
    clean_tags,
)
from gossamer.auth.subjects import is_valid
from gossamer.operator.failure import Failure, usage

UNLIMITED = -1

#: Connection types a claim may name (spec auth section 4.3).
CONNECTION_TYPES = ("STANDARD", "WEBSOCKET", "LEAFNODE", "LEAFNODE_WS", "MQTT", "MQTT_WS", "IN_PROCESS")


class PermissionEdit(Struct, frozen=True, kw_only=True):
    """Subjects to add to the four lists (``sub`` entries may be ``"subject queue"``) and to remove from all of them."""

    allow_pub: tuple[str, ...] = ()
    allow_sub: tuple[str, ...] = ()
    deny_pub: tuple[str, ...] = ()
    deny_sub: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()
    response_max: int | None = None
    response_ttl_ns: int | None = None
    remove_responses: bool = False

    @property
    def is_empty(self) -> bool:
        """Does it change nothing?"""
        return self == PermissionEdit()


class GrantEdit(Struct, frozen=True, kw_only=True):
    """Changes to what a user, or the template of a role, is granted. Sizes in bytes, -1 unlimited."""

    permissions: PermissionEdit = PermissionEdit()
    subscriptions: int | None = None
    data: int | None = None
    payload: int | None = None
    bearer: bool | None = None
    proxy_required: bool | None = None
    networks: tuple[str, ...] = ()
    remove_networks: tuple[str, ...] = ()
    connection_types: tuple[str, ...] = ()
    remove_connection_types: tuple[str, ...] = ()
    times: tuple[TimeRange, ...] = ()
    remove_times: tuple[str, ...] = ()  # by their start
    locale: str | None = None

    @property
    def is_empty(self) -> bool:
        """Does it change nothing?"""
        return self == GrantEdit()


class ClaimEdit(Struct, frozen=True, kw_only=True):
    """What every claim has. Times in unix seconds, 0: none."""

    tags: tuple[str, ...] = ()
    remove_tags: tuple[str, ...] = ()
    expires: int | None = None
    not_before: int | None = None


class StorageEdit(Struct, frozen=True, kw_only=True):
    """Changes to the stream storage of one tier (0: the flat limits). Sizes in bytes, -1 unlimited."""

    tier: int = 0
    enable: bool = False
    memory_storage: int | None = None
    disk_storage: int | None = None
    streams: int | None = None
    consumers: int | None = None
    max_ack_pending: int | None = None
    memory_max_stream_bytes: int | None = None
    disk_max_stream_bytes: int | None = None
    max_bytes_required: bool | None = None

    def values(self) -> dict[str, int | bool]:
        """The limits that are given."""
        return {
            name: value
            for name, value in structs.asdict(self).items()
            if name not in {"tier", "enable"} and value is not None
        }


class LimitEdit(Struct, frozen=True, kw_only=True):
    """Changes to an account's limits. Sizes in bytes, -1 unlimited."""

    connections: int | None = None
    leafnodes: int | None = None
    subscriptions: int | None = None
    payload: int | None = None
    data: int | None = None
    exports: int | None = None
    imports: int | None = None
    wildcards: bool | None = None
    disallow_bearer: bool | None = None
    storage: StorageEdit = StorageEdit()
    remove_tiers: tuple[int, ...] = ()
    disable_storage: bool = False


def added(values: tuple[str, ...], more: Iterable[str], less: Iterable[str] = ()) -> tuple[str, ...]:
    """``values`` and ``more``, each once, in order, without ``less``."""
    gone = set(less)
    return tuple(dict.fromkeys(value for value in (*values, *more) if value not in gone))


def edit_permissions(
    publish: SubjectList, subscribe: SubjectList, responses: ResponseGrant | None, edit: PermissionEdit
) -> tuple[SubjectList, SubjectList, ResponseGrant | None]:
    """The lists after the change. Raises Failure for a subject that is none."""
    for subject in (*edit.allow_pub, *edit.deny_pub):
        check_subject(subject, queue_allowed=False)
    for subject in (*edit.allow_sub, *edit.deny_sub):
        check_subject(subject, queue_allowed=True)
    publish = structs.replace(
        publish,
        allow=added(publish.allow, edit.allow_pub, edit.remove),
        deny=added(publish.deny, edit.deny_pub, edit.remove),
    )
    subscribe = structs.replace(
        subscribe,
        allow=added(subscribe.allow, edit.allow_sub, edit.remove),
        deny=added(subscribe.deny, edit.deny_sub, edit.remove),
    )
    if edit.remove_responses:
        responses = None
    elif edit.response_max is not None or edit.response_ttl_ns is not None:
        responses = responses or ResponseGrant(max_messages=1)
        if edit.response_max is not None:
            responses = structs.replace(responses, max_messages=edit.response_max)
        if edit.response_ttl_ns is not None:
            responses = structs.replace(responses, ttl_ns=edit.response_ttl_ns)
    return publish, subscribe, responses


def edit_grant(grant: UserGrant, edit: GrantEdit) -> UserGrant:
    """A user's or a template's grant after the change. Raises Failure for values that make no sense."""
    publish, subscribe, responses = edit_permissions(grant.publish, grant.subscribe, grant.responses, edit.permissions)
    times = tuple(entry for entry in grant.times if entry.start not in edit.remove_times)
    return structs.replace(
        grant,
        publish=publish,
        subscribe=subscribe,
        responses=responses,
        source_networks=added(grant.source_networks, edit.networks, edit.remove_networks),
        times=times + tuple(entry for entry in edit.times if entry not in times),
        times_location=grant.times_location if edit.locale is None else edit.locale,
        subscriptions=_or(edit.subscriptions, grant.subscriptions),
        data=_or(edit.data, grant.data),
        payload=_or(edit.payload, grant.payload),
        bearer_token=grant.bearer_token if edit.bearer is None else edit.bearer,
        proxy_required=grant.proxy_required if edit.proxy_required is None else edit.proxy_required,
        allowed_connection_types=added(
            grant.allowed_connection_types,
            map(checked_connection_type, edit.connection_types),
            map(checked_connection_type, edit.remove_connection_types),
        ),
    )


def edit_limits(limits: AccountLimits, edit: LimitEdit) -> AccountLimits:
    """An account's limits after the change. Raises Failure where flat and tiered storage limits would meet."""
    limits = structs.replace(
        limits,
        connections=_or(edit.connections, limits.connections),
        leafnodes=_or(edit.leafnodes, limits.leafnodes),
        subscriptions=_or(edit.subscriptions, limits.subscriptions),
        payload=_or(edit.payload, limits.payload),
        data=_or(edit.data, limits.data),
        exports=_or(edit.exports, limits.exports),
        imports=_or(edit.imports, limits.imports),
        wildcards=limits.wildcards if edit.wildcards is None else edit.wildcards,
        disallow_bearer=limits.disallow_bearer if edit.disallow_bearer is None else edit.disallow_bearer,
    )
    if edit.disable_storage:
        limits = structs.replace(limits, tiered={}, **_storage_fields(StorageLimits()))
    if edit.remove_tiers:
        gone = {f"R{number}" for number in edit.remove_tiers}
        limits = structs.replace(
            limits, tiered={name: tier for name, tier in limits.tiered.items() if name not in gone}
        )
    if edit.storage != StorageEdit():
        limits = _edit_storage(limits, edit.storage)
    return limits


def edit_tags(tags: tuple[str, ...], edit: ClaimEdit) -> tuple[str, ...]:
    """Tags after the change: lower case, each once."""
    return added(tags, clean_tags(edit.tags), clean_tags(edit.remove_tags))


def check_subject(subject: str, *, queue_allowed: bool) -> None:
    """Raises Failure unless ``subject`` can be a permission: no empty token, at most one blank (a queue's)."""
    parts = subject.split(" ")
    if len(parts) > 1 and not queue_allowed:
        raise usage(f"{subject!r} cannot be a publish permission: it has a blank", "queues are for subscriptions only")
    if len(parts) > 2 or not all(parts):
        raise usage(f"{subject!r} cannot be a permission", "write a subject, or 'subject queue' with one blank")
    if not is_valid(parts[0]):
        raise usage(f"{parts[0]!r} is not a subject", "tokens between dots must not be empty, and > comes last")


def checked_connection_type(name: str) -> str:
    """The name in upper case. Raises Failure for an unknown one."""
    upper = name.strip().upper()
    if upper not in CONNECTION_TYPES:
        raise usage(f"{name!r} is not a connection type", f"there are: {', '.join(CONNECTION_TYPES)}")
    return upper


def _edit_storage(limits: AccountLimits, edit: StorageEdit) -> AccountLimits:
    if edit.tier < 0:
        raise usage(f"{edit.tier} is not a tier", "tiers are 1, 3, 5 ...; 0 means limits without tiers")
    values = edit.values()
    if edit.tier == 0:
        if limits.tiered:
            raise _mixed_storage()
        before = limits.storage
    else:
        if limits.memory_storage or limits.disk_storage:
            raise _mixed_storage()
        # Counts without storage mean nothing; nsc writes some all the same.
        limits = structs.replace(limits, **_storage_fields(StorageLimits()))
        before = limits.tiered.get(f"R{edit.tier}", StorageLimits())
    if before == StorageLimits():
        # Storage that has just been turned on limits nothing but the bytes (as nsc writes it).
        before = StorageLimits(
            streams=UNLIMITED,
            consumers=UNLIMITED,
            max_ack_pending=UNLIMITED,
            memory_max_stream_bytes=UNLIMITED,
            disk_max_stream_bytes=UNLIMITED,
        )
    if edit.enable:
        before = structs.replace(before, memory_storage=UNLIMITED, disk_storage=UNLIMITED)
    after = structs.replace(before, **values)
    if edit.tier:
        return structs.replace(limits, tiered={**limits.tiered, f"R{edit.tier}": after})
    return structs.replace(limits, **_storage_fields(after))


def _storage_fields(storage: StorageLimits) -> dict[str, int | bool]:
    """Field by field, as the flat limits of an account hold them."""
    return {name: value for name, value in structs.asdict(storage).items() if name != "unknown"}


def _mixed_storage() -> Failure:
    return Failure(
        "an account has either flat or tiered storage limits, never both",
        code="mixed-limits",
        hint="remove what is there with --js-disable first",
    )


def _or(value: int | None, before: int) -> int:
    return before if value is None else value
