"""Scoped signing keys: the template of a key, filled in for one user (spec auth section 12).

``{{name()}}``, ``{{subject()}}``, ``{{account-name()}}``, ``{{account-subject()}}``, ``{{tag(key)}}`` and
``{{account-tag(key)}}`` may stand anywhere in the subjects of the permission lists. A tag with several values makes
several entries, the product over the different functions of one entry. Values are not escaped: whoever signs chooses
them.

Where nats-server drops queue entries as soon as a list holds a template, or looks ``Tag`` up in vain, we fill in
subject and queue alike and ignore case (section 26.10 and 26.11).
"""

import itertools
import math
import re
from collections.abc import Iterator

from msgspec import structs

from gossamer.auth.claims import AccountClaims, SubjectList, UserClaims, UserGrant, UserScope
from gossamer.auth.subjects import is_valid

ENTRIES_MAX = 4096
_FUNCTION = re.compile(r"\{\{([^}]*)\}\}")
_CALL = re.compile(r"(name|subject|account-name|account-subject|tag|account-tag)\((.*)\)\Z", re.IGNORECASE)


class ScopeError(ValueError):
    """A user of a scoped key may not come in. The text names the entry or the claim at fault."""


def scoped_grant(scope: UserScope, user: UserClaims, account: AccountClaims) -> UserGrant:
    """What the user gets: the template, filled in. Raises ScopeError.

    The user's own claim must grant nothing, and must name its account.
    """
    if not user.grant.is_empty:
        raise ScopeError("scoped users require no permissions or limits set")
    if not user.issuer_account:
        raise ScopeError("a user of a scoped signing key requires issuer_account")
    template = scope.template
    return structs.replace(
        template,
        publish=_filled(template.publish, user, account, queues=False),
        subscribe=_filled(template.subscribe, user, account, queues=True),
    )


def _filled(lists: SubjectList, user: UserClaims, account: AccountClaims, *, queues: bool) -> SubjectList:
    allow = _filled_entries(lists.allow, user, account, queues=queues, strict=False)
    deny = _filled_entries(lists.deny, user, account, queues=queues, strict=True)
    if lists.allow and not allow:
        # An empty list would allow everything: what is meant is nothing.
        deny = (*deny, ">")
    return structs.replace(lists, allow=allow, deny=deny)


def _filled_entries(
    entries: tuple[str, ...], user: UserClaims, account: AccountClaims, *, queues: bool, strict: bool
) -> tuple[str, ...]:
    """``strict``: an entry that cannot be filled in refuses the user, instead of being dropped."""
    if not any(_FUNCTION.search(entry) for entry in entries):
        return entries
    found: list[str] = []
    for entry in entries:
        # A function that stands twice in an entry has the same value in both places.
        calls = dict.fromkeys(_FUNCTION.findall(entry))
        values = {call: _values(call, entry, user, account) for call in calls}
        total = math.prod(len(choices) for choices in values.values())
        if len(found) + total > ENTRIES_MAX:
            raise ScopeError(f"template makes more than {ENTRIES_MAX} subjects")
        if not total and strict:
            raise ScopeError(f'deny template "{entry}" finds no value for a tag')
        for filled in _products(entry, values):
            if _is_entry(filled, queues=queues and " " in entry):
                found.append(filled)
            elif strict:
                raise ScopeError(f'deny template "{entry}" makes "{filled}", which is no subject')
    return tuple(found)


def _products(entry: str, values: dict[str, list[str]]) -> Iterator[str]:
    for choice in itertools.product(*values.values()):
        chosen = dict(zip(values, choice, strict=True))
        yield _FUNCTION.sub(lambda call, chosen=chosen: chosen[call[1]], entry)  # type: ignore[misc]


def _values(call: str, entry: str, user: UserClaims, account: AccountClaims) -> list[str]:
    found = _CALL.match(call.strip())
    function, argument = (found[1].lower(), found[2]) if found else ("", "")
    if not found or (argument and not function.endswith("tag")) or (not argument and function.endswith("tag")):
        raise ScopeError(f'template "{entry}" holds an unknown function: {call.strip()}')
    match function:
        case "name":
            return [user.name]
        case "subject":
            return [user.subject]
        case "account-name":
            return [account.name]
        case "account-subject":
            return [user.issuer_account]
    start = f"{argument.lower()}:"
    tags = user.tags if function == "tag" else account.tags
    return [tag.removeprefix(start) for tag in tags if tag.startswith(start)]


def _is_entry(text: str, *, queues: bool) -> bool:
    """``queues``: the entry was written with a queue, one blank between."""
    parts = text.split(" ") if queues else [text]
    return len(parts) == (2 if queues else 1) and all(is_valid(part) for part in parts)
