"""How claims become JSON and come back: the order, the omissions and the escapes of the reference, byte for byte, and
no member lost that a newer tool wrote (spec auth sections 3.2 and 4).

A claim is a tree of frozen Structs. Each Struct names its JSON members in the order in which they are written; a member
that is empty, zero or false is left out unless ``ALWAYS`` names it. Members that we do not know are kept in ``unknown``
and written again. To change a claim, use ``msgspec.structs.replace``.
"""

import functools
import json
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Meta, Struct, field

_UNKNOWN = "(unknown)"

#: Characters that the reference writes as escapes inside strings.
_ESCAPES = str.maketrans(
    {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"},
)

#: Whole numbers of a claim fit 64 bits, as they do in the reference.
Integer = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]

AnyPart = TypeVar("AnyPart", bound="Part")


class ClaimsError(ValueError):
    """JSON that is not the claim it should be, or a claim that cannot be written. The text names the member."""


class Part(Struct, frozen=True, kw_only=True):
    """One JSON object of a claim."""

    ALWAYS: ClassVar[frozenset[str]] = frozenset()

    unknown: dict[str, Any] = field(default_factory=dict, name=_UNKNOWN)

    def members(self) -> dict[str, Any]:
        """The JSON members to write, in order."""
        found: dict[str, Any] = {}
        for attribute, name in member_names(type(self)):
            value = getattr(self, attribute)
            if name != _UNKNOWN and (value or name in self.ALWAYS or isinstance(value, Part)):
                found[name] = plain(value)
        found.update(self.unknown)
        return found


@functools.cache
def member_names(kind: type[Part]) -> tuple[tuple[str, str], ...]:
    """Attribute and JSON name of each member, in order. Asking msgspec resolves annotations anew each time."""
    return tuple((info.name, info.encode_name) for info in msgspec.structs.fields(kind))


def plain(value: Any) -> Any:
    """A value of a claim as JSON knows it: Parts become objects, maps are sorted by key."""
    if isinstance(value, Part):
        return value.members()
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(value[key]) for key in sorted(value)}
    return value


def json_text(value: Any) -> str:
    """Compact JSON with the reference's escapes. Raises ClaimsError for what JSON or UTF-8 cannot hold."""
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).translate(_ESCAPES)
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise ClaimsError(f"claim cannot be written as JSON: {error}") from None
    return text


def read_part(kind: type[AnyPart], raw: dict[str, Any]) -> AnyPart:
    """A Part from decoded JSON. Raises ClaimsError naming the member that does not fit."""
    try:
        raw = _without_nulls(raw)
        part = msgspec.convert(raw, kind)
        _keep_unknown(part, raw)
    except msgspec.ValidationError as error:
        raise ClaimsError(str(error)) from None
    except RecursionError:
        raise ClaimsError("claim is nested too deeply") from None
    return part


def _without_nulls(value: Any) -> Any:
    """A member that is null counts as absent, as in the reference."""
    if isinstance(value, dict):
        return {k: _without_nulls(item) for k, item in value.items() if item is not None and k != _UNKNOWN}
    if isinstance(value, list):
        return [_without_nulls(item) for item in value]
    return value


def _keep_unknown(part: Any, raw: Any) -> None:
    if isinstance(part, Part) and isinstance(raw, dict):
        left = dict(raw)
        for attribute, name in member_names(type(part)):
            if name in left:
                _keep_unknown(getattr(part, attribute), left.pop(name))
        part.unknown.update(left)
    elif isinstance(part, tuple) and isinstance(raw, list):
        for item, source in zip(part, raw, strict=True):
            _keep_unknown(item, source)
    elif isinstance(part, dict) and isinstance(raw, dict):
        for key, item in part.items():
            _keep_unknown(item, raw[key])
