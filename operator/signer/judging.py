"""Is a claim within a rule? Every check gives a sentence about what is wrong with it, or nothing."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import structs

from gossamer.auth.claims import (
    AccountClaims,
    ActivationClaims,
    Claims,
    StorageLimits,
    SubjectList,
    UserClaims,
    UserGrant,
    UserScope,
)
from gossamer.auth.claims.part import Part
from gossamer.auth.subjects import covers
from gossamer.operator.signer.policy import IDENTITY, PLAIN, Client, Rule, matches

UNLIMITED = -1


def covers_key(rule: Rule, key: str, identity: str, scope: UserScope | None) -> bool:
    """May this rule's claims be signed by this key? ``identity``: the public key of the account or operator itself."""
    if key in rule.keys:
        return scope is not None or not rule.require_scope or not key.startswith("A")
    if scope is not None:
        return bool(scope.role) and matches(scope.role, rule.roles)
    if key.startswith("A") and rule.require_scope:
        return False
    return (IDENTITY if key == identity else PLAIN) in rule.keys


def candidates(
    client: Client, kind: str, account: str, account_key: str, key: str, identity: str, scope: UserScope | None
) -> list[Rule]:
    """The rules of a client that are about this kind of claim, account and key."""
    return [
        rule
        for rule in client.rules
        if kind in rule.kinds
        and (matches(account, rule.accounts) or account_key in rule.accounts or (kind == "operator"))
        and covers_key(rule, key, identity, scope)
    ]


def faults(rule: Rule, claims: Claims, scope: UserScope | None, now: int) -> Iterator[str]:
    """What is wrong with a claim under a rule."""
    yield from _common(rule, claims, now)
    if isinstance(claims, UserClaims):
        yield from _user(rule, claims, scope)
    elif isinstance(claims, AccountClaims):
        limits = claims.limits.members()
        tiers = limits.pop("tiered_limits", {})
        yield from _ceilings(rule, limits, "")
        for tier, values in tiers.items():
            yield from _ceilings(rule, {**dict.fromkeys(_STORAGE, 0), **values}, f"{tier}.", known=_STORAGE)
    elif isinstance(claims, ActivationClaims) and rule.publish and not _within((claims.import_subject,), rule.publish):
        yield f"the subject {claims.import_subject!r} is not within what may be shared"


_STORAGE = frozenset(info.encode_name for info in structs.fields(StorageLimits) if info.name != "unknown")
#: Limits of which 0 means none at all; of the others it means nothing is allowed.
_ZERO_IS_UNLIMITED = frozenset({"max_ack_pending", "mem_max_stream_bytes", "disk_max_stream_bytes"})


def _common(rule: Rule, claims: Claims, now: int) -> Iterator[str]:
    if not matches(claims.name, rule.names):
        yield f"the name {claims.name!r} is not one of {', '.join(rule.names)}"
    for tag in claims.tags:
        if not matches(tag, rule.tags):
            yield f"the tag {tag!r} may not be given"
    longest = rule.expiry_max_s
    if longest and not claims.expires:
        yield f"it must expire, within {rule.expiry_max} at most"
    elif longest and claims.expires - now > longest:
        yield f"it would last {claims.expires - now} s, {longest} s is the most"
    if claims.expires and claims.expires <= now:
        yield "it has expired already"
    if claims.expires and claims.not_before >= claims.expires:
        yield "it would end before it begins"
    for place in unknown_members(claims):
        yield f"the member {place!r} is not known, so nobody can judge it"


def _user(rule: Rule, claims: UserClaims, scope: UserScope | None) -> Iterator[str]:
    for value in (claims.name, *claims.tags):
        if any(letter in value for letter in "*> \t\r\n") or not value.isprintable():
            yield f"{value!r} holds a wildcard or a blank, which a template would repeat"
        elif scope is not None and not rule.dots and "." in value and _has_templates(scope.template):
            yield f"{value!r} holds a dot, which the template of role {scope.role!r} would repeat"
    if scope is not None:
        if not claims.grant.is_empty:
            yield f"a user under the role {scope.role!r} has no permissions or limits of its own"
        return
    grant = claims.grant
    if grant.bearer_token and not rule.bearer:
        yield "bearer tokens are not allowed"
    limits = {"subs": grant.subscriptions, "data": grant.data, "payload": grant.payload}
    yield from _ceilings(rule, limits, "")
    if rule.publish and not _within(_allowed(grant.publish), rule.publish):
        yield f"what it may publish is not within {', '.join(rule.publish)}"
    if rule.subscribe and not _within(_allowed(grant.subscribe), rule.subscribe):
        yield f"what it may subscribe to is not within {', '.join(rule.subscribe)}"


def _ceilings(rule: Rule, limits: dict[str, Any], place: str, known: frozenset[str] = frozenset()) -> Iterator[str]:
    for name, ceiling in rule.ceilings.items():
        if known and name not in known:
            continue
        value = limits.get(name, 0)
        over = isinstance(value, bool) or not isinstance(value, int) or value < 0 or value > ceiling
        over = over or (value == 0 and name in _ZERO_IS_UNLIMITED)
        if ceiling != UNLIMITED and over:
            shown = "unlimited" if value in (UNLIMITED, 0) else value
            yield f"the limit {place}{name} is {shown}, {ceiling} is the most"


def _allowed(lists: SubjectList) -> tuple[str, ...]:
    # An empty list allows everything.
    return tuple(entry.split(" ")[0] for entry in lists.allow) or (">",)


def _within(subjects: tuple[str, ...], bounds: tuple[str, ...]) -> bool:
    return all(any(covers(bound, subject) for bound in bounds) for subject in subjects)


def _has_templates(grant: UserGrant) -> bool:
    lists = (grant.publish.allow, grant.publish.deny, grant.subscribe.allow, grant.subscribe.deny)
    return any("{{" in entry for entries in lists for entry in entries)


def unknown_members(value: Any, place: str = "") -> Iterator[str]:
    """Paths of the members that were not understood when a claim was read."""
    if isinstance(value, Part):
        for name in value.unknown:
            yield f"{place}{name}"
        for info in structs.fields(type(value)):
            if info.name != "unknown":
                yield from unknown_members(getattr(value, info.name), f"{place}{info.encode_name}.")
    elif isinstance(value, tuple | list):
        for item in value:
            yield from unknown_members(item, place)
    elif isinstance(value, dict):
        for item in value.values():
            yield from unknown_members(item, place)


def read_json_object(text: str) -> dict[str, Any]:
    """Raises ValueError for what is no JSON object."""
    found = msgspec.json.decode(text.encode())
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")
    return found
