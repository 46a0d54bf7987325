"""The digest of a configuration: what it says, whatever it looks like (spec configuration section 2.9).

SHA-256 over the tree as Go's encoder writes it: compact JSON, keys sorted, HTML characters escaped, a new line at the
end. Floats follow Go's shortest form, which differs from Python's in where the exponent begins.
"""

import hashlib
import re
from datetime import datetime
from decimal import Decimal
from math import isinf, isnan
from typing import Any

from gossamer.mesh.options.language.document import Node

_ESCAPED = re.compile('["\\\\\x00-\x1f<>&\u2028\u2029\ud800-\udfff]')
_SHORT = {'"': '\\"', "\\": "\\\\", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def digest(node: Node) -> str:
    """``sha256:<hex>`` of the tree below ``node``."""
    pieces: list[str] = []
    _write(node.value, pieces)
    pieces.append("\n")
    return "sha256:" + hashlib.sha256("".join(pieces).encode()).hexdigest()


def canonical(node: Node) -> str:
    """The text the digest is taken over."""
    pieces: list[str] = []
    _write(node.value, pieces)
    return "".join(pieces) + "\n"


def _write(value: Any, pieces: list[str]) -> None:
    if isinstance(value, dict):
        separator = "{"
        for key in sorted(value):
            pieces.append(f"{separator}{_text(key)}:")
            _write(value[key].value, pieces)
            separator = ","
        pieces.append("}" if value else "{}")
    elif isinstance(value, list):
        separator = "["
        for node in value:
            pieces.append(separator)
            _write(node.value, pieces)
            separator = ","
        pieces.append("]" if value else "[]")
    elif isinstance(value, bool):
        pieces.append("true" if value else "false")
    elif isinstance(value, int):
        pieces.append(str(value))
    elif isinstance(value, float):
        pieces.append(_float(value))
    elif isinstance(value, datetime):
        pieces.append(f'"{value:%Y-%m-%dT%H:%M:%SZ}"')
    else:
        pieces.append(_text(value))


def _text(text: str) -> str:
    return f'"{_ESCAPED.sub(_escape, text)}"'


def _escape(found: re.Match[str]) -> str:
    character = found.group()
    if "\ud800" <= character <= "\udfff":
        return "\ufffd"  # a byte that is no UTF-8
    return _SHORT.get(character) or f"\\u{ord(character):04x}"


def _float(value: float) -> str:
    assert not isnan(value)
    assert not isinf(value)
    size = abs(value)
    if size != 0 and (size < 1e-6 or size >= 1e21):
        mantissa, _, exponent = repr(value).partition("e")
        return f"{mantissa.removesuffix('.0')}e{exponent[0]}{exponent[1:].lstrip('0')}"
    return f"{Decimal(repr(value)):f}".removesuffix(".0")
