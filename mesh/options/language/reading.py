"""Text to a document: variables, includes and the values of the environment (spec configuration sections 2.5 to 2.7).

Variables are resolved in the order of the text: ``$NAME`` sees keys that stand before it in the maps around it, the
innermost first, then the environment, whose text is read as a value of this same language. An included file sees the
environment only, and gives its keys to the map it is included in.

lark is imported when the first text is read and not before: a node that is started by flags alone does not pay for it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

from gossamer.mesh.options.language.document import Document, Node
from gossamer.mesh.options.language.faults import ConfigurationError, Place
from gossamer.mesh.options.language.lexer import NESTING_MAX, Lexer

if TYPE_CHECKING:
    from lark import Lark, Token, Tree

#: Reads a whole file; raises OSError.
Reader = Callable[[str], bytes]

#: A tree with all references written out may not be larger: references to references grow without bound otherwise.
WEIGHT_MAX = 1_000_000


def read_from_disk(path: str) -> bytes:
    """The default reader."""
    with open(path, "rb") as file:
        return file.read()


def parse_file(path: str, *, reader: Reader = read_from_disk, environment: Mapping[str, str]) -> Document:
    """The document in the file at ``path``, which may be relative to the working directory.

    Raises ConfigurationError with nats-server's text, for a file that cannot be read as well.
    """
    return _parse(_load(path, reader), path, reader, environment, 0, ())


def parse_text(text: str, name: str, *, reader: Reader = read_from_disk, environment: Mapping[str, str]) -> Document:
    """The document in ``text``; includes are looked for beside ``name``. Raises ConfigurationError."""
    return _parse(text, name, reader, environment, 0, ())


def describe(error: OSError, path: str) -> str:
    """A failed reading in Go's words: ``open x: no such file or directory``."""
    verb = "read" if isinstance(error, IsADirectoryError) else "open"
    return f"{verb} {path}: {(error.strerror or str(error) or type(error).__name__).lower()}"


def _load(path: str, reader: Reader) -> str:
    try:
        return reader(path).decode("utf-8", "surrogateescape")
    except OSError as error:
        raise ConfigurationError(describe(error, path), kind="file", about=path) from None
    except ValueError:  # a NUL in the path
        raise ConfigurationError(f"open {path}: invalid argument", kind="file", about=path) from None


def _parse(
    text: str, name: str, reader: Reader, environment: Mapping[str, str], depth: int, variables: tuple[str, ...]
) -> Document:
    tree = _parser().parse(Lexer(text, name, depth))
    return _Evaluation(name, reader, environment, depth, variables).document(tree)


@cache
def _parser() -> Lark:
    """The LALR parser over our own lexer, built once for the process."""
    from importlib.resources import files

    from lark import Lark, Token
    from lark.lexer import Lexer as LarkLexer

    class Adapter(LarkLexer):
        def __init__(self, configuration: object) -> None: ...

        def lex(self, lexer_state: Any, parser_state: Any = None) -> Iterator[Token]:
            for lexeme in lexer_state.lexemes():
                token = Token(lexeme.kind, "")
                token.value = lexeme
                yield token

        def make_lexer_state(self, text: Any) -> Any:
            return text

    grammar = files("gossamer.mesh.options.language").joinpath("grammar.lark").read_text("ascii")
    return Lark(grammar, parser="lalr", lexer=Adapter, keep_all_tokens=False)


class _Evaluation:
    """One text being given its meaning. ``depth``: how many levels of maps, includes and variables are around it."""

    def __init__(
        self,
        name: str,
        reader: Reader,
        environment: Mapping[str, str],
        depth: int,
        variables: tuple[str, ...],
    ) -> None:
        self._name = name
        self._reader = reader
        self._environment = environment
        self._depth = depth
        self._variables = variables  # of the environment, being read: to notice a cycle
        self._scopes: list[dict[str, Node]] = []

    def document(self, tree: Tree[Token]) -> Document:
        items: dict[str, Node] = {}
        weight = self._fill(items, tree.children)
        return Document(items, self._name, weight)

    def _fill(self, items: dict[str, Node], children: list[Any]) -> int:
        self._scopes.append(items)
        for child in children:
            if child.data == "include":
                self._include(items, child.children[0].value)
            elif child.data == "broken":
                raise child.children[0].value.value
            else:
                key, value = child.children
                lexeme = key.value
                items[lexeme.value] = self._node(value, lexeme.place)
        self._scopes.pop()
        return _bounded(1 + sum(node.weight for node in items.values()), self._name)

    def _node(self, child: Any, place: Place | None) -> Node:
        """``place``: of the key, or None in an array."""
        kind = getattr(child, "type", None)
        if kind is None:
            opening = child.children[0].value.place
            if child.data == "map":
                items: dict[str, Node] = {}
                weight = self._fill(items, child.children[1:-1])
                return Node(items, place or opening, weight)
            elements = [self._node(element, None) for element in child.children[1:-1]]
            weight = _bounded(1 + sum(node.weight for node in elements), self._name)
            return Node(elements, place or opening, weight)
        lexeme = child.value
        place = place or lexeme.place
        if kind == "VARIABLE":
            found = self._look_up(lexeme.value, lexeme.place)
            return Node(found.value, place, found.weight)
        if kind == "ERROR":
            raise lexeme.value
        value = lexeme.value
        if kind == "DATETIME":
            try:
                value = datetime.fromisoformat(value)
            except ValueError:
                text = f"expected Zulu formatted DateTime, but got '{value}'"
                raise ConfigurationError(text, place=lexeme.place, kind="datetime") from None
        return Node(value, place, 1 + len(value) // 64 if isinstance(value, str) else 1)

    def _look_up(self, name: str, place: Place) -> Node:
        for scope in reversed(self._scopes):
            if name in scope:
                scope[name].used = True
                return scope[name]
        text = self._environment.get(name)
        if text is None:
            raise ConfigurationError(
                f"variable reference for '{name}' on line {place.line} can not be found",
                place=place,
                kind="variable",
                about=name,
            )
        if name in self._variables:
            raise ConfigurationError(f"variable reference cycle for '{name}'", place=place, kind="variable", about=name)
        depth = self._depth + len(self._scopes)
        if depth > NESTING_MAX:
            raise ConfigurationError(f"More than {NESTING_MAX} levels of nesting", place=place)
        try:
            read = _parse(f"pk={text}", self._name, self._reader, self._environment, depth, (*self._variables, name))
        except ConfigurationError as error:
            raise ConfigurationError(str(error), place=place, kind=error.kind, about=name) from None
        if "pk" not in read.value:
            raise ConfigurationError(
                f"variable reference for '{name}' on line {place.line} can not be found",
                place=place,
                kind="variable",
                about=name,
            )
        return read["pk"]

    def _include(self, items: dict[str, Node], lexeme: Any) -> None:
        written: str = lexeme.value
        place: Place = lexeme.place
        depth = self._depth + len(self._scopes)
        if depth > NESTING_MAX:
            text = f"error parsing include file '{written}', more than {NESTING_MAX} levels of nesting"
            raise ConfigurationError(text, place=place, kind="include", about=written)
        path = posixpath.normpath(posixpath.join(posixpath.dirname(self._name), "./" + written))
        try:
            try:
                text = _load(path, self._reader)
            except ConfigurationError as missing:
                if not written.startswith("/"):
                    raise
                try:  # an absolute path is joined like any other; only if nothing is there it is taken as it is
                    text = _load(written, self._reader)
                except ConfigurationError:
                    raise missing from None
                path = written
            included = _parse(text, path, self._reader, self._environment, depth, ())
        except ConfigurationError as error:
            raise ConfigurationError(
                f"error parsing include file '{written}', {error}",
                place=error.place or place,
                kind="include",
                about=written,
            ) from None
        items.update(included.value)


def _bounded(weight: int, name: str) -> int:
    if weight > WEIGHT_MAX:
        raise ConfigurationError(f"{name}: more than {WEIGHT_MAX} values", kind="size")
    return weight
