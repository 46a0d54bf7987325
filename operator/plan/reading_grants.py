"""The parts of a tenants file that say what is granted: permissions, limits, roles, users."""

from typing import Any

from msgspec import structs

from gossamer.auth.claims import (
    AccountLimits,
    ResponseGrant,
    StorageLimits,
    SubjectList,
    TimeRange,
    UserGrant,
    clean_tags,
)
from gossamer.auth.keys import KeyKind
from gossamer.auth.places import parse_network, parse_time_of_day, zone_named
from gossamer.operator.failure import Failure
from gossamer.operator.plan.declaration import RoleDeclaration, UserDeclaration
from gossamer.operator.plan.faults import TableReader
from gossamer.operator.plan.terms import check_moment, read_term
from gossamer.operator.store.names import checked_name
from gossamer.operator.tenants.edits import check_subject, checked_connection_type

_GRANT_KEYS = (
    "networks",
    "times",
    "locale",
    "subscriptions",
    "data",
    "payload",
    "bearer",
    "proxy_required",
    "connection_types",
)


def read_grant(table: TableReader, *, permissions_only: bool = False, base: UserGrant | None = None) -> UserGrant:
    """``pub``, ``sub``, ``responses`` and, unless ``permissions_only``, limits, places and times."""
    grant = structs.replace(
        base or UserGrant(),
        publish=_subjects(table, "pub", queues=False),
        subscribe=_subjects(table, "sub", queues=True),
        responses=_responses(table),
    )
    if permissions_only:
        table.done()
        return grant
    return structs.replace(
        grant,
        source_networks=_networks(table),
        times=_times(table),
        times_location=_locale(table),
        subscriptions=table.size("subscriptions", grant.subscriptions),
        data=table.size("data", grant.data),
        payload=table.size("payload", grant.payload),
        bearer_token=table.flag("bearer"),
        proxy_required=table.flag("proxy_required"),
        allowed_connection_types=_connection_types(table),
    )


def read_limits(table: TableReader) -> AccountLimits:
    """What is not said is unlimited; without ``storage`` there is no stream storage."""
    fresh = AccountLimits.fresh()
    limits = AccountLimits(
        subscriptions=table.size("subscriptions", fresh.subscriptions),
        data=table.size("data", fresh.data),
        payload=table.size("payload", fresh.payload),
        imports=table.size("imports", fresh.imports),
        exports=table.size("exports", fresh.exports),
        wildcards=table.flag("wildcards", True),
        disallow_bearer=table.flag("disallow_bearer"),
        connections=table.size("connections", fresh.connections),
        leafnodes=table.size("leafnodes", fresh.leafnodes),
    )
    if "storage" in table:
        limits = _storage(table.reader("storage"), limits)
    table.done()
    return limits


def read_roles(table: TableReader) -> tuple[RoleDeclaration, ...]:
    """``roles``: scoped signing keys by their name."""
    found = []
    for name, role in table.named("roles"):
        if not name.strip():
            role.faults.add(role.path, "the name of a role is empty")
        found.append(
            RoleDeclaration(
                name=name,
                template=read_grant(role, base=UserGrant.fresh()),
                description=role.text("description"),
                key=role.key("key", KeyKind.ACCOUNT),
            )
        )
        role.done()
    return tuple(found)


def read_users(table: TableReader) -> dict[str, UserDeclaration]:
    """``users`` by their name."""
    return {name: _user(user, name) for name, user in table.named("users")}


def _user(table: TableReader, name: str) -> UserDeclaration:
    try:
        if checked_name(name, "user") != name:
            table.faults.add(table.path, f"the name {name!r} begins or ends with a blank")
    except Failure as failure:
        table.faults.add(table.path, failure.message, failure.hint)
    if table.table.keys() == {"role"}:
        # The most frequent kind of all: thousands of them may stand in a file.
        return UserDeclaration(name=name, grant=_NOTHING, role=table.text("role"))
    role = table.text("role")
    declared = UserDeclaration(
        name=name,
        grant=read_grant(table, base=_NOTHING if role else UserGrant.fresh()),
        role=role,
        sign_with=table.text("sign_with"),
        tags=clean_tags(table.texts("tags")),
        term=read_term(table),
        not_before=table.text("not_before"),
        key=table.key("key", KeyKind.USER),
        credentials=table.flag("credentials", True),
    )
    table.done()
    if declared.not_before:
        check_moment(table, "not_before", declared.not_before)
    if role and declared.sign_with:
        table.fault("sign_with", "a user has either a role or another key that signs it")
    if role and not declared.grant.is_empty:
        table.faults.add(table.path, f"a user under a role ({role!r}) has no permissions or limits of its own")
    return declared


_NOTHING = UserGrant()


def _subjects(table: TableReader, name: str, *, queues: bool) -> SubjectList:
    """A text, a list (allow), or a table with ``allow`` and ``deny``."""
    if isinstance(table.table.get(name), dict):
        inner = table.reader(name)
        found = SubjectList(allow=inner.texts("allow"), deny=inner.texts("deny"))
        inner.done()
    else:
        found = SubjectList(allow=table.texts(name))
    for subject in (*found.allow, *found.deny):
        if "{{" in subject:
            continue  # a template's function may hold anything; it is filled in when a user connects
        try:
            check_subject(subject, queue_allowed=queues)
        except Failure as failure:
            table.fault(name, failure.message, failure.hint)
    return found


def _responses(table: TableReader) -> ResponseGrant | None:
    value = table.table.get("responses")
    if isinstance(value, bool):
        table.raw("responses")
        return ResponseGrant(max_messages=1) if value else None
    inner = table.reader("responses")
    if value is None:
        return None
    found = ResponseGrant(max_messages=inner.number("max"), ttl_ns=inner.duration_ns("ttl"))
    inner.done()
    return found


def _networks(table: TableReader) -> tuple[str, ...]:
    found = table.texts("networks")
    for text in found:
        if parse_network(text) is None:
            table.fault("networks", f"{text!r} is not a network", "write 192.0.2.0/24")
    return found


def _times(table: TableReader) -> tuple[TimeRange, ...]:
    found = []
    for entry in table.readers("times"):
        span = TimeRange(start=entry.text("start"), end=entry.text("end"))
        entry.done()
        if parse_time_of_day(span.start) is None or parse_time_of_day(span.end) is None:
            entry.faults.add(entry.path, "needs start and end", "write start = '08:00:00', end = '18:00:00'")
        found.append(span)
    return tuple(found)


def _locale(table: TableReader) -> str:
    name = table.text("locale")
    if name and zone_named(name) is None:
        table.fault("locale", f"{name!r} is not a time zone", "write Europe/Berlin")
    return name


def _connection_types(table: TableReader) -> tuple[str, ...]:
    found = []
    for text in table.texts("connection_types"):
        try:
            found.append(checked_connection_type(text))
        except Failure as failure:
            table.fault("connection_types", failure.message, failure.hint)
    return tuple(found)


def _storage(table: TableReader, limits: AccountLimits) -> AccountLimits:
    """Either the limits themselves, or tiers: ``[storage.R3]``."""
    tiers = [name for name in table.table if name[:1] == "R" and name[1:].isdigit()]
    if not tiers:
        values = _storage_values(table)
        return structs.replace(limits, **values)
    tiered = {name: StorageLimits(**_storage_values(table.reader(name))) for name in tiers}
    table.done()
    return structs.replace(limits, tiered=tiered)


def _storage_values(table: TableReader) -> dict[str, Any]:
    values = {
        "memory_storage": table.size("memory", 0),
        "disk_storage": table.size("disk", 0),
        "streams": table.size("streams", -1),
        "consumers": table.size("consumers", -1),
        "max_ack_pending": table.size("max_ack_pending", -1),
        "memory_max_stream_bytes": table.size("memory_max_stream", -1),
        "disk_max_stream_bytes": table.size("disk_max_stream", -1),
        "max_bytes_required": table.flag("max_bytes_required"),
    }
    table.done()
    return values
