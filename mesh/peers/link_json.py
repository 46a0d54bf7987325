"""What another server says of itself, as JSON: INFO and CONNECT made into values."""

from typing import TypeVar

import msgspec
from msgspec import Struct

S = TypeVar("S", bound=Struct)


def decode_members(text: bytes) -> dict[str, object] | None:
    """A JSON object without its nulls, which mean "not said". None: it is none."""
    try:
        members = msgspec.json.decode(text, type=dict[str, object])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return {key: value for key, value in members.items() if value is not None}


def decode_struct(text: bytes, kind: type[S]) -> S | None:
    """As a ``kind``, unknown members ignored. None: it is none."""
    members = decode_members(text)
    return convert_members(members, kind) if members is not None else None


def convert_members(members: dict[str, object], kind: type[S]) -> S | None:
    try:
        return msgspec.convert(members, kind)
    except msgspec.ValidationError:
        return None
