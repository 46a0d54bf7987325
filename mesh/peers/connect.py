"""CONNECT of a client: the JSON text becomes a value, with exactly the tolerance that clients rely on.

Rules (spec client-protocol section 5.1): keys in any case, unknown keys ignored, of duplicate keys the last, ``null``
leaves the default, a value of the wrong type is a violation. Nearly every client writes known keys in lower case and no
nulls, so the strict decoder is tried first and the tolerant, slow way only when it refuses.
"""

import json

import msgspec
from msgspec import Struct


class Connect(Struct, frozen=True, kw_only=True, gc=False, forbid_unknown_fields=True):
    """The options of one client. The defaults are those of a client that sends none at all."""

    verbose: bool = True
    pedantic: bool = True
    tls_required: bool = False
    user: str = ""
    password: str = msgspec.field(default="", name="pass")
    auth_token: str = ""
    name: str = ""
    lang: str = ""
    version: str = ""
    protocol: int = 0
    echo: bool = True
    headers: bool = False
    no_responders: bool = False
    jwt: str = ""
    nkey: str = ""
    sig: str = ""
    proxy_sig: str = ""
    account: str = ""
    new_account: bool = False


#: What a client counts as that never sends CONNECT (spec client-protocol section 1).
SILENT = Connect()

_INT64_MAX = (1 << 63) - 1
_KEYS = frozenset(field.encode_name for field in msgspec.structs.fields(Connect))
_decoder = msgspec.json.Decoder(Connect)


def decode_connect(text: bytes, before: Connect | None = None) -> Connect | None:
    """Decode the argument of CONNECT. ``before``: what an earlier one of the same client said, which holds for fields
    that are absent now. None: malformed, the connection is to be closed without a word."""
    connect: Connect | None
    try:
        connect = _decoder.decode(text) if before is None else _decode_tolerantly(text, before)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        connect = _decode_tolerantly(text, SILENT)
    if connect is None:
        return None
    if not -_INT64_MAX <= connect.protocol <= _INT64_MAX:
        return None
    return connect


def _decode_tolerantly(text: bytes, before: Connect) -> Connect | None:
    try:
        tree = json.loads(text.decode("utf-8", "replace"), object_pairs_hook=_Pairs, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    if tree is None:
        return before
    if not isinstance(tree, _Pairs):
        return None
    known: dict[str, object] = {}
    for key, value in tree:
        lowered = key.lower()
        if lowered not in _KEYS or value is None:
            continue
        # Lone surrogates cannot be written anywhere later.
        known[lowered] = value.encode("utf-8", "replace").decode() if isinstance(value, str) else value
    try:
        return msgspec.convert(msgspec.to_builtins(before) | known, Connect)
    except msgspec.ValidationError:
        return None


class _Pairs(list[tuple[str, object]]):
    """A JSON object with its keys in order of appearance, duplicates kept."""


def _refuse(constant: str) -> object:
    raise ValueError(f"{constant} is not JSON")


class SharedTexts:
    """One copy of each text that many connections repeat (name, language, version, host), so that a client is small.

    Bounded: peers choose these texts. When full it starts anew; nothing breaks but the saving.
    """

    __slots__ = ("_limit", "_texts")

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._texts: dict[str, str] = {}

    def one(self, text: str) -> str:
        """A text equal to ``text``, the same object for equal ones."""
        if len(self._texts) >= self._limit and text not in self._texts:
            self._texts.clear()
        return self._texts.setdefault(text, text)
