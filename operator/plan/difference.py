"""How two claims differ, by content: field paths with old and new values, whoever signed them and when.

Lists whose order means nothing (subjects, tags, keys) are compared as sets; exports, imports, roles and mapping targets
are found by what names them, so that an entry in the middle does not shift all that follow.
"""

from typing import Any

from msgspec import Struct

from gossamer.auth.claims import Claims

#: Who signed, when, and the form of the claim: noise (spec operator-cli section 10.4).
_NOISE = frozenset({"iat", "jti", "iss", "nats.type", "nats.version"})
_EMPTY: tuple[Any, ...] = (None, "", 0, False, (), [], {})
_TOKEN_SHOWN = 12


class FieldChange(Struct, frozen=True, kw_only=True):
    """One field. ``old`` or ``new`` None: it was not there, or is not any more."""

    path: str
    old: Any = None
    new: Any = None


def difference(old: Claims | None, new: Claims | None) -> tuple[FieldChange, ...]:
    """The fields in which two claims differ, sorted; none: they say the same."""
    before = {} if old is None else fields_of(old.members())
    after = {} if new is None else fields_of(new.members())
    return tuple(
        FieldChange(path=path, old=before.get(path), new=after.get(path))
        for path in sorted(before.keys() | after.keys())
        if before.get(path) != after.get(path)
    )


def fields_of(members: dict[str, Any]) -> dict[str, Any]:
    """The fields of a claim's JSON by path, without noise and without what is empty."""
    found: dict[str, Any] = {}
    _flatten("", members, found)
    return {path.removeprefix("nats."): value for path, value in found.items() if path not in _NOISE}


def show_value(path: str, value: Any) -> str:
    """A value for people; of a token only its beginning."""
    if value is None:
        return "-"
    if path.endswith(".token"):
        return f"{str(value)[:_TOKEN_SHOWN]}..."
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in value)
    return str(value)


def _flatten(path: str, value: Any, found: dict[str, Any]) -> None:
    if isinstance(value, dict):
        if path.endswith("resp"):
            found[path] = "given"  # both members may be 0, which means the defaults
        for name, item in value.items():
            _flatten(f"{path}.{name}" if path else name, item, found)
    elif isinstance(value, list | tuple):
        plain = [item for item in value if not isinstance(item, dict | list)]
        if plain:
            found[path] = tuple(sorted(plain, key=str))
        seen: dict[str, int] = {}
        for place, item in enumerate(value):
            if isinstance(item, dict | list):
                name = _name(item, place)
                seen[name] = seen.get(name, 0) + 1
                _flatten(f"{path}[{name}]" if seen[name] == 1 else f"{path}[{name}#{seen[name]}]", item, found)
    elif value not in _EMPTY:
        found[path] = value


def _name(item: Any, place: int) -> str:
    """What an entry of a list is known by: a role's key, a share's type and subject, a target, a time."""
    if not isinstance(item, dict):
        return str(place)
    if "subject" in item:
        return " ".join(str(item[part]) for part in ("type", "subject", "account", "cluster") if item.get(part))
    for part in ("role", "key", "start"):
        if item.get(part):
            return str(item[part])
    return str(place)
