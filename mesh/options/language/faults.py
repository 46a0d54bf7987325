"""What is wrong with a configuration, as a value: the text nats-server would print, and where to look.

One fault is a :class:`Fault`; the language can only report its first and raises it as :class:`ConfigurationError`,
while the option layer collects all of them.
"""

from typing import NamedTuple

from msgspec import Struct


class Place(NamedTuple):
    """Where something stands: the file as it was named, the line from 1, and the column as nats-server counts it (in
    bytes, from 0 on the first line and from 1 on all others: spec configuration section 2.8)."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Fault(Struct, frozen=True, kw_only=True):
    """``text`` is the whole line as nats-server prints it, position included where it prints one.

    ``warning``: a start goes on, ``-t`` fails. ``at_start``: nats-server finds it when it starts, not with ``-t``.
    """

    text: str
    place: Place | None = None
    suggestion: str = ""
    warning: bool = False
    at_start: bool = False

    def __str__(self) -> str:
        return self.text


class ConfigurationError(ValueError):
    """A file that cannot be read as a tree. ``str()`` is nats-server's text (spec configuration section 2.8).

    ``placed``: the text gets its position in front, as errors of options do. ``kind`` and ``about`` (the name in
    question) let the check add a suggestion.
    """

    def __init__(
        self, text: str, *, place: Place | None = None, kind: str = "", about: str = "", placed: bool = False
    ) -> None:
        super().__init__(f"{place}: {text}" if placed and place is not None else text)
        self.place = place
        self.kind = kind
        self.about = about
        self.suggestion = ""


_GO_ESCAPES = {
    '"': '\\"',
    "\\": "\\\\",
    "\a": "\\a",
    "\b": "\\b",
    "\f": "\\f",
    "\n": "\\n",
    "\r": "\\r",
    "\t": "\\t",
    "\v": "\\v",
}


def quoted(text: str) -> str:
    """``text`` as nats-server prints names: in double quotes, what cannot be printed escaped (Go's ``%q``)."""
    pieces = []
    for character in text:
        code = ord(character)
        if character in _GO_ESCAPES:
            pieces.append(_GO_ESCAPES[character])
        elif character.isprintable():
            pieces.append(character)
        elif 0xDC80 <= code <= 0xDCFF:
            pieces.append(f"\\x{code - 0xDC00:02x}")
        elif code < 0x80:
            pieces.append(f"\\x{code:02x}")
        else:
            pieces.append(f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")
    return f'"{"".join(pieces)}"'
