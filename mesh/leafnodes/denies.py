"""What a leaf link may carry: the grants of its user, the lists of the remote, and the subjects of streams, which never
cross (spec leafnodes 10 and 15). Everything is said from the leaf's point of view: publish is what it sends to the hub.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct, structs

from gossamer.auth.permissions import Permissions, SubjectPermissions

#: Of ordinary accounts: each side has its own API of streams, under the same subjects.
CLIENT_DENIES: Final = ("$JS.API.>", "$KV.>", "$OBJ.>")
#: Of the system account, where the two sides do not form one JetStream domain.
SYSTEM_DENIES: Final = ("$JSC.>", "$NRG.>", "$JS.API.>", "$KV.>", "$OBJ.>")


class StreamDomain(Struct, frozen=True, kw_only=True):
    """What this node is to JetStream: nothing so far. ``extends``: the hint ``will_extend`` was given;
    ``default_accounts``: accounts whose default domain is the empty one."""

    enabled: bool = False
    domain: str = ""
    extends: bool = False
    default_accounts: frozenset[str] = frozenset()

    def denies(self, account: str, peer_domain: str, *, system: bool) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """What is denied in both directions, and what is denied outward in addition (spec 15)."""
        if not system and account in self.default_accounts:
            return (), ()
        differs = self.domain != peer_domain or not (self.enabled or self.domain or self.extends)
        if system and self.default_accounts:
            differs = True
        both: tuple[str, ...] = CLIENT_DENIES
        if system:
            both = SYSTEM_DENIES if differs else ()
        outward = (f"$JS.{self.domain}.API.>",) if differs and self.domain and self.enabled else ()
        return both, outward


def folded(
    granted: Permissions | None,
    *,
    deny_publish: Iterable[str] = (),
    deny_subscribe: Iterable[str] = (),
) -> Permissions:
    """The grants with more denied: ``deny_publish`` is what does not go to the hub, ``deny_subscribe`` what does not
    come from it. Entries that are there already are not repeated."""
    value = granted or Permissions()
    return structs.replace(
        value,
        publish=_with(value.publish, deny_publish),
        subscribe=_with(value.subscribe, deny_subscribe),
    )


def _with(direction: SubjectPermissions, denied: Iterable[str]) -> SubjectPermissions:
    more = tuple(dict.fromkeys(entry for entry in denied if entry not in direction.deny))
    return structs.replace(direction, deny=(*direction.deny, *more)) if more else direction


def link_permissions(
    granted: Permissions | None,
    *,
    spoke: bool,
    solicited: bool,
    domain: StreamDomain,
    account: str,
    peer_domain: str,
    system: bool,
    deny_imports: Sequence[str] = (),
    deny_exports: Sequence[str] = (),
) -> Permissions:
    """Everything together, for the engine. ``granted`` and the lists are from the point of view of who dialled:
    ``deny_imports`` does not come to it, ``deny_exports`` does not leave it. ``spoke``: our role on the link; where
    who dialled is the hub, its publishing is what the leaf takes."""
    value = folded(granted, deny_publish=deny_exports, deny_subscribe=deny_imports)
    if solicited != spoke:
        value = _turned(value)
    both, outward = domain.denies(account, peer_domain, system=system)
    return folded(
        value,
        deny_publish=(*both, *(outward if spoke else ())),
        deny_subscribe=(*both, *(() if spoke else outward)),
    )


def _turned(value: Permissions) -> Permissions:
    """The two directions exchanged. Entries for queues can only restrict subscribing; answers are allowed to the
    leaf alone."""
    taken, given = value.subscribe, value.publish
    allow = None if taken.allow is None else tuple(dict.fromkeys(entry.partition(" ")[0] for entry in taken.allow))
    deny = tuple(entry for entry in taken.deny if " " not in entry)
    return Permissions(publish=SubjectPermissions(allow=allow, deny=deny), subscribe=given)
