"""Two claims, field by field: what differs, by its path in the claim (``nats.limits.conn``)."""

from typing import Any

from msgspec import Struct

from gossamer.auth.claims import AccountClaims, Claims

#: Who signed and when is noise (spec operator-cli section 10.4).
_NOISE = frozenset({"iat", "iss", "jti"})


class FieldDifference(Struct, frozen=True, kw_only=True):
    """One field. ``store`` and ``server`` are JSON values, None where the field is not there."""

    path: str
    store: Any = None
    server: Any = None


def field_differences(store: Claims, server: Claims) -> tuple[FieldDifference, ...]:
    """What a server's claim says otherwise than the store's, sorted by path. Lists are compared as a whole, and in the
    order in which they are signed."""
    found: list[FieldDifference] = []
    _compare("", _members(store), _members(server), found)
    return tuple(found)


def _members(claims: Claims) -> dict[str, Any]:
    if isinstance(claims, AccountClaims):
        claims = claims.sorted_for_signing()
    return {name: value for name, value in claims.members().items() if name not in _NOISE}


def _compare(path: str, store: Any, server: Any, found: list[FieldDifference]) -> None:
    if isinstance(store, dict) and isinstance(server, dict):
        for name in sorted(store.keys() | server.keys()):
            _compare(f"{path}.{name}" if path else name, store.get(name), server.get(name), found)
    elif store != server:
        found.append(FieldDifference(path=path, store=store, server=server))
