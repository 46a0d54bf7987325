"""TOML written: tables of texts, numbers, truth values, lists and tables, the shallow ones on one line."""

import re
from typing import Any

from msgspec import Struct

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ESCAPES = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f"}


class Comment(Struct, frozen=True):
    """A line for people at the head of a file."""

    text: str


def document(tables: dict[str, Any], comment: Comment | None = None) -> str:
    """The whole text of a TOML file."""
    lines = [] if comment is None else [f"# {comment.text}", ""]
    _table(lines, (), tables)
    return "\n".join(lines).strip() + "\n"


def _table(lines: list[str], path: tuple[str, ...], table: dict[str, Any]) -> None:
    """Values first, then the tables that need a heading of their own."""
    below: list[tuple[str, dict[str, Any]]] = []
    for name, value in table.items():
        if isinstance(value, dict) and (len(path) < 3 or _holds_tables(value)) and not _is_entry(path):
            below.append((name, value))
        elif isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
            lines.append(f"{_name(name)} = [")
            lines.extend(f"    {_value(item)}," for item in value)
            lines.append("]")
        else:
            lines.append(f"{_name(name)} = {_value(value)}")
    for name, value in below:
        inner = (*path, name)
        if len(inner) > 1 or not all(isinstance(item, dict) for item in value.values()) or not value:
            lines += ["", f"[{'.'.join(map(_name, inner))}]"]
        _table(lines, inner, value)


def _is_entry(path: tuple[str, ...]) -> bool:
    """Inside ``users`` and ``mappings`` every entry has a line of its own."""
    return len(path) >= 3 and path[2] in ("users", "mappings", "storage", "roles")


def _holds_tables(value: dict[str, Any]) -> bool:
    return any(isinstance(item, dict) for item in value.values())


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, dict):
        inner = ", ".join(f"{_name(name)} = {_value(item)}" for name, item in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in value)}]"
    return _text(str(value))


def _name(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(name)


def _text(text: str) -> str:
    found = "".join(
        _ESCAPES.get(letter) or (letter if letter.isprintable() else f"\\U{ord(letter):08x}") for letter in text
    )
    return f'"{found}"'
