"""The one table of options: a row for each, whatever block it stands in (spec configuration sections 4 to 7).

Parsing and validating a file, the flags and their help, ``docs/configuration.md``, the check's suggestions and the
verdict of a reload are all made from these rows; nothing about an option is said anywhere else, except the default,
which is the default of the field in ``options.py`` that the row points at.

The rows themselves stand in ``rows/``, a file for each block or two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from enum import Enum
from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gossamer.mesh.options.language.document import Node

if TYPE_CHECKING:
    from gossamer.mesh.options.processing import Processing


class Feature(Enum):
    """What an option that is recognised but refused waits for; the value ends the sentence that refuses it."""

    TLS = "TLS comes with a later release"
    STREAMS = "streams come with a later release"
    WEBSOCKET = "WebSocket comes with a later release"
    MQTT = "MQTT comes with a later release"
    PROXIES = "the PROXY protocol comes with a later release"
    OCSP = "OCSP comes with TLS, in a later release"
    PROFILING = "the profiling port comes with a later release"
    TRACING = "message tracing comes with a later release"
    CACHE_SWITCH = "the match cache cannot be switched off"


class Reload(Enum):
    """May a running node take a new value over (spec configuration section 4)?"""

    YES = "yes"
    NO = "no"
    PARTLY = "partly"


class Type(Struct, frozen=True):
    """How a value is read. ``convert`` gets the processing, the key as it was written and the node; it returns the
    value, may report faults of its own, and raises :class:`Wrong` when there is no value to speak of."""

    name: str
    convert: Callable[[Processing, str, Node], Any]


class Wrong(Exception):
    """A value that cannot be taken. ``bare``: nats-server prints this one without a position."""

    def __init__(self, text: str, *, node: Node | None = None, bare: bool = False, suggestion: str = "") -> None:
        super().__init__(text)
        self.node = node
        self.bare = bare
        self.suggestion = suggestion


def asks_for_nothing(value: Any) -> bool:
    """The values of an option that ask for what is so anyway: off, none, empty."""
    return value in (False, None, "", 0) or value == () or value == {} or value == []


class Row(Struct, frozen=True, kw_only=True):
    """An option.

    ``fields`` are the paths in ``Options`` that the value goes to (a type that yields several values has several).
    ``waits_for``: the option is refused unless ``is_off`` says that its value asks for nothing. ``default`` is only for
    options without a field; ``name`` is what a refused reload calls the option where nats-server has a name for it.
    """

    keys: tuple[str, ...]
    type: Type
    doc: str
    block: str = ""
    fields: tuple[str, ...] = ()
    default: str = ""
    unit: str = ""
    reload: Reload = Reload.NO
    name: str = ""
    since: str = "2.10"
    flags: tuple[str, ...] = ()
    waits_for: Feature | None = None
    is_off: Callable[[Any], bool] = asks_for_nothing
    remedy: str = "remove it to start"

    @property
    def key(self) -> str:
        """The name nats-server's documentation uses."""
        return self.keys[0]

    @property
    def path(self) -> str:
        """``cluster.name``: for a reader."""
        return f"{self.block}.{self.key}" if self.block else self.key


class Block(Struct, frozen=True, kw_only=True):
    """A kind of map with options in it. ``unknown`` is the text for a key that is not in the table; ``lenient``: such a
    key, which nats-server does not notice, is only warned of."""

    name: str
    title: str
    rows: tuple[Row, ...]
    unknown: str = "unknown field {key}"
    lenient: bool = False

    @property
    def keys(self) -> dict[str, Row]:
        """Every spelling, in lower case, to its row."""
        return {key: row for row in self.rows for key in row.keys}


def block(
    name: str, title: str, rows: Sequence[Row], *, unknown: str = "unknown field {key}", lenient: bool = False
) -> Block:
    """A block with its name put into its rows."""
    named = tuple(_in_block(row, name) for row in rows)
    return Block(name=name, title=title, rows=named, unknown=unknown, lenient=lenient)


_ROOMS = (
    "network",
    "limits",
    "monitoring",
    "identity",
    "trust",
    "authorization",
    "accounts",
    "sharing",
    "tls",
    "cluster",
    "gateway",
    "leafnodes",
    "leaf_remotes",
    "websocket",
    "mqtt",
    "jetstream",
)


@cache
def blocks() -> dict[str, Block]:
    """All blocks by name; the top level is ``""``, gathered from the ``TOP`` rows of every room."""
    top: list[Row] = []
    found: dict[str, Block] = {}
    for room in _ROOMS:
        module = import_module(f"gossamer.mesh.options.rows.{room}")
        top.extend(getattr(module, "TOP", ()))
        for each in getattr(module, "BLOCKS", ()):
            found[each.name] = each
    return {"": block("", "Top level", top), **found}


@cache
def keys_of(block_name: str) -> dict[str, Row]:
    """The rows of a block by every spelling, in lower case."""
    return blocks()[block_name].keys


def rows() -> Iterable[Row]:
    """Every row of every block."""
    for each in blocks().values():
        yield from each.rows


@cache
def rows_by_field() -> dict[str, Row]:
    """The row that a field of ``Options`` is set by: the first one where several do."""
    found: dict[str, Row] = {}
    for row in rows():
        for path in row.fields:
            found.setdefault(path, row)
    return found


def _in_block(row: Row, name: str) -> Row:
    from msgspec.structs import replace

    return replace(row, block=name)
