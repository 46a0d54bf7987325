"""How claims become JSON and come back: the order, the omissions and the escapes of the reference, byte for byte, and
no member lost that a newer tool wrote (spec auth sections 3.2 and 4).

A claim is a tree of frozen Structs. Each Struct names its JSON members in the order in which they are written; a member
that is empty, zero or false is left out unless ``ALWAYS`` names it. Members that we do not know are kept in ``unknown``
and written again. To change a claim, use ``msgspec.structs.replace``.
"""

import functools
import json
import re
import typing
from typing import Annotated, Any, ClassVar, TypeVar

import msgspec
from msgspec import Meta, Struct, field

_UNKNOWN = "(unknown)"

#: Characters that the reference writes as escapes inside strings.
_ESCAPES = (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026"), ("\u2028", "\\u2028"), ("\u2029", "\\u2029"))

_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False)

#: Escapes that the reference does not write, and that could spell anything.
_OTHER_ESCAPE = re.compile(rb"\\u(?!003[cCeE]|0026|202[89])")

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
        for member in layout(type(self)).members:
            value = getattr(self, member.attribute)
            if value or member.always:  # a Part is always true
                found[member.name] = value if member.simple else plain(value)
        found.update(self.unknown)
        return found


class Member(Struct, frozen=True):
    """A JSON member of a kind of Part. ``simple``: a text, number or truth value; ``nested``: Parts may be inside."""

    attribute: str
    name: str
    always: bool
    simple: bool
    nested: bool


class Layout(Struct, frozen=True):
    """What is known of a kind of Part once and for all: asking msgspec resolves annotations anew each time."""

    members: tuple[Member, ...]
    nested: tuple[tuple[str, str], ...]  # attribute and name of members with Parts inside
    names: frozenset[str]


@functools.cache
def layout(kind: type[Part]) -> Layout:
    """The members of a kind of Part, in the order in which they are written."""
    members = tuple(
        Member(
            attribute=info.name,
            name=info.encode_name,
            always=info.encode_name in kind.ALWAYS,
            simple=_base(info.type) in (str, int, bool),
            nested=_holds_parts(info.type),
        )
        for info in msgspec.structs.fields(kind)
        if info.encode_name != _UNKNOWN
    )
    return Layout(
        members,
        tuple((member.attribute, member.name) for member in members if member.nested),
        frozenset(member.name for member in members),
    )


def _base(annotation: Any) -> Any:
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is Annotated else annotation


def _holds_parts(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, Part):
        return True
    return any(_holds_parts(inner) for inner in typing.get_args(annotation))


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
        text = _ENCODER.encode(value)
        for letter, escape in _ESCAPES:
            text = text.replace(letter, escape)
        text.encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise ClaimsError(f"claim cannot be written as JSON: {error}") from None
    return text


def is_clean(text: bytes) -> bool:
    """Is this JSON surely without nulls, and without the member name that is reserved? Then reading is quicker."""
    if b"null" in text or b"(unknown)" in text:
        return False
    return b"\\u" not in text or _OTHER_ESCAPE.search(text) is None


def read_part(kind: type[AnyPart], raw: dict[str, Any], *, clean: bool = False) -> AnyPart:
    """A Part from decoded JSON. Raises ClaimsError naming the member that does not fit.

    ``clean``: ``is_clean`` said so of the JSON text that ``raw`` was decoded from.
    """
    try:
        if not clean:
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
    kind = type(part)
    if kind is tuple:
        if isinstance(raw, list):
            for item, source in zip(part, raw, strict=True):
                if type(source) is not str:
                    _keep_unknown(item, source)
    elif kind is dict:
        if isinstance(raw, dict):
            for key, item in part.items():
                _keep_unknown(item, raw[key])
    elif isinstance(raw, dict) and isinstance(part, Part):
        known = layout(type(part))
        if not raw.keys() <= known.names:
            part.unknown.update((name, value) for name, value in raw.items() if name not in known.names)
        for attribute, name in known.nested:
            if name in raw:
                _keep_unknown(getattr(part, attribute), raw[name])
