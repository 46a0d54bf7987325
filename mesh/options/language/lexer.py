"""Text of a configuration file to lexemes (spec configuration sections 2.1, 2.2 and 2.6).

The language cannot be cut into words without knowing where one stands: ``a b`` is a key and a value, ``/`` opens a
comment only between items, ``:`` ends a key but not a value, a new line ends a value but may stand before a brace. So
the lexer keeps the stack of open brackets and walks a small machine; separators and comments end here and the grammar
(``grammar.lark``) sees nothing of them.

=========  =====================================================================================================
state      what is expected
=========  =====================================================================================================
item       a key, an ``include``, a comment, or the end of the bracket; in an array: a value
value      a value, after a key and its separator
end        what may follow a value: a terminator, a comment, or the end of the bracket
block end  what may follow a ``{ }`` that wraps items without being the value of a key
=========  =====================================================================================================

A fault does not raise here. It becomes an ``ERROR`` lexeme followed by the missing closing brackets: whatever stands
before it (an include that is not there, an unknown variable) is then met first, in the order of the file, as in
nats-server. Everything is linear in the text, and nesting is bounded.
"""

import re
from bisect import bisect_left
from collections.abc import Generator, Iterator
from typing import NamedTuple

from gossamer.mesh.options.language.faults import ConfigurationError, Place, quoted

#: Deeper nesting is refused: no real file needs it and the reader of the tree is recursive.
NESTING_MAX = 100

# Blanks as Go's unicode.IsSpace has them; they may surround keys. Values end at space and tab only.
_SPACES = re.compile("[\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+")
_BLANKS = re.compile("[ \t]+")
_COMMENT = re.compile("(?:#|//)[^\r\n]*")
_BARE_KEY = re.compile("[^\t\n\v\f\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000:=]+")
_BARE = re.compile(r"[^\\'\n\r\t ,;\]}]+")
_QUOTED = re.compile(r'[^\\"]+')
_DIGITS = re.compile("[0-9]+")
_SUFFIX = re.compile("[kKmMgGtTpPeE][bBiI]*")
_ADDRESS = re.compile("[0-9.:-]*")
_BLOCK_END = re.compile(r"\n\)(?=\n|\Z)")
_INCLUDE_BARE = re.compile("[^\n\r\t ;}']*")
_NUMBER = re.compile("(-?[0-9]+)([a-z]*)")
_MULTIPLES = {"": 1} | {
    letter + unit: base**power
    for power, letter in enumerate("kmgtpe", start=1)
    for unit, base in (("", 1000), ("b", 1024), ("i", 1024), ("ib", 1024))
}
_TRUE = frozenset({"true", "yes", "on"})
_FALSE = frozenset({"false", "no", "off"})
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", '"': '"', "\\": "\\"}
_ZULU = "0000-00-00T00:00:00Z"
_QUOTES = {"'": "quoted", '"': "double quoted"}
_CLOSING = {"map": "RBRACE", "array": "RSQB"}

_EXPECTED_END = {
    "top": "Expected a top-level value to end with a new line, comment or EOF, but got '{}' instead.",
    "block": "Expected a block-level value to end with a new line, comment or EOF, but got '{}' instead.",
    "map": 'Expected a map value terminator "," or a map terminator "}}", but got \'{}\' instead.',
    "array": 'Expected an array value terminator "," or an array terminator "]", but got \'{}\' instead.',
}


class Lexeme(NamedTuple):
    """``kind`` is a terminal of the grammar; ``value`` its meaning (for ERROR the error itself)."""

    kind: str
    value: object
    place: Place


class Lexer:
    """One text. ``lexemes()`` may be called once. ``depth`` is the nesting the text already stands in."""

    def __init__(self, text: str, name: str, depth: int = 0) -> None:
        self._text = text
        self._name = name
        self._depth = depth
        self._position = 0
        self._newlines = [found.start() for found in re.finditer("\n", text)]
        self._ascii = text.isascii()
        self._contexts = ["top"]

    def lexemes(self) -> Iterator[Lexeme]:
        """All lexemes, ending with an ERROR and closing brackets if the text is broken."""
        try:
            yield from self._walk()
        except ConfigurationError as error:
            yield Lexeme("ERROR", error, self._place(min(self._position, len(self._text))))
            for context in reversed(self._contexts):
                if context in _CLOSING:
                    yield Lexeme(_CLOSING[context], "", self._place(self._position))

    # --- the machine --------------------------------------------------------------------------------------------

    def _walk(self) -> Iterator[Lexeme]:
        state = "item"
        while state != "done":
            context = self._contexts[-1]
            if state == "end":
                state = yield from self._end(context)
            elif state == "block end":
                state = self._block_end()
            elif state == "value":
                state = yield from self._value()
            elif context == "array":
                state = yield from self._element()
            else:
                state = yield from self._item(context)

    def _item(self, context: str) -> Generator[Lexeme, None, str]:
        """A key with what separates it from its value, an include, or the end of the map, block or text."""
        self._skip(_SPACES)
        character = self._peek()
        if character == "#" or self._text.startswith("//", self._position):
            self._skip(_COMMENT)
            return "item"
        if context == "map":
            if character == "}":
                return (yield from self._close("RBRACE"))
            if not character:
                raise self._fault("Unexpected EOF processing map.")
            if character == "]":
                raise self._fault("Unexpected array end ']' processing map.", consumed=1)
        else:
            if not character:
                return "done"
            if character == "{":
                self._open("block")
                return "item"
            if character == "}" and context == "block":
                return self._leave_block()
            if character == "/":
                raise self._fault("Expected a key or a comment, but got '/' instead.", consumed=1)
        if character in ":=":
            raise self._fault(f"Unexpected key separator '{character}'" + ("." if context == "map" else ""), consumed=1)
        return (yield from self._key(context, character))

    def _key(self, context: str, character: str) -> Generator[Lexeme, None, str]:
        if character in _QUOTES:
            start = self._position + 1
            end = self._text.find(character, start)
            if end < 0:
                self._position = len(self._text)
                raise self._fault(
                    f"Unexpected EOF processing {_QUOTES[character]} map key."
                    if context == "map"
                    else "Unexpected EOF."
                )
            key, self._position = self._text[start:end], end + 1
        else:
            start = self._position
            found = _BARE_KEY.match(self._text, start)
            assert found is not None  # the caller saw a character that is neither blank nor a separator
            key, self._position = found.group(), found.end()
            if not self._peek() and context == "map":
                raise self._fault("Unexpected EOF processing map key.")
            if key.lower() == "include" and self._peek() and self._peek() not in ":=":
                return (yield from self._include())
        place = self._place(start)
        self._skip(_SPACES)
        character = self._peek()
        if not character and context != "map":
            if key == "}":
                return "done"  # a brace too many at the end of the file is let pass
            end_place = self._place(len(self._text))
            raise ConfigurationError(f"config is invalid ({end_place})", place=place, about=key, kind="no value")
        yield Lexeme("KEY", key, place)
        if character and character in ":=":
            self._position += 1
        if context == "map":
            self._skip(_SPACES)
            if self._peek() == ",":
                raise self._fault('Unexpected map value terminator ",".', consumed=1)
            if self._peek() == "}":
                raise ConfigurationError(
                    f"unknown field {quoted(key)}", place=place, about=key, kind="no value", placed=True
                )
        else:
            self._skip(_BLANKS)
            if self._peek() and self._peek() in "\r\n":
                raise self._fault("Expected value but found new line", consumed=1)
        return "value"

    def _element(self) -> Generator[Lexeme, None, str]:
        self._skip(_SPACES)
        character = self._peek()
        if character == "#" or self._text.startswith("//", self._position):
            self._skip(_COMMENT)
            return "item"
        if character == "]":
            return (yield from self._close("RSQB"))
        if character == ",":
            raise self._fault("Unexpected array value terminator ','.", consumed=1)
        return "value"

    def _end(self, context: str) -> Generator[Lexeme, None, str]:
        self._skip(_BLANKS)
        character = self._peek()
        if character == "#" or self._text.startswith("//", self._position):
            self._skip(_COMMENT)
            return "item" if context == "block" else "end"
        if not character and context == "top":
            return "done"
        if character and character in "\r\n," + ("" if context == "array" else ";"):
            self._position += 1
            return "item"
        if character == "]" and context == "array":
            return (yield from self._close("RSQB"))
        if character == "}" and context == "map":
            return (yield from self._close("RBRACE"))
        if character == "}" and context == "block":
            return self._leave_block()
        if character == "}" and context == "top":
            self._position += 1
            return "item"
        raise self._fault(_EXPECTED_END[context].format(self._got()), consumed=1)

    def _leave_block(self) -> str:
        self._position += 1
        self._contexts.pop()
        return "item" if self._contexts[-1] == "top" else "block end"

    def _block_end(self) -> str:
        self._skip(_SPACES)
        character = self._peek()
        if character == "#" or self._text.startswith("//", self._position):
            self._skip(_COMMENT)
            return "item"
        if character and character in ",;":
            self._position += 1
            return "item"
        if character == "}":
            return self._leave_block()
        raise self._fault(f"Expected a block-level to end with a '}}', but got '{self._got()}' instead.", consumed=1)

    def _include(self) -> Generator[Lexeme, None, str]:
        """The path after the keyword; the same places of the grammar as an item."""
        self._skip(_BLANKS)
        character = self._peek()
        if character and character in "\r\n":
            raise self._fault("Expected include value but found new line", consumed=1)
        for refused, text in (
            ("[", "start of an array"),
            ("{", "start of a map"),
            ("(", "start of a block"),
            ("-0123456789", "start of a number"),
            ("\\", "escape sequence"),
        ):
            if character and character in refused:
                raise self._fault(f"Expected include value but found {text}", consumed=1)
        if character and character in "'\"":
            start = self._position + 1
            end = self._text.find(character, start)
            if end < 0:
                self._position = len(self._text)
                raise self._fault(f"Unexpected EOF in {_QUOTES[character]} include")
            path, self._position = self._text[start:end], end + 1
        else:
            start = self._position
            path = self._skip(_INCLUDE_BARE)
            if self._peek() == "'":
                self._position += 1
        yield Lexeme("INCLUDE", path, self._place(start))
        return "end"

    # --- values -------------------------------------------------------------------------------------------------

    def _value(self) -> Generator[Lexeme, None, str]:
        start = self._position
        character = self._peek()
        kind: str
        value: object
        if character == "{" or character == "[":
            self._open("map" if character == "{" else "array")
            yield Lexeme("LBRACE" if character == "{" else "LSQB", character, self._place(start))
            return "item"
        if character == '"':
            kind, value = "STRING", self._double_quoted()
        elif character == "'":
            kind, value = "STRING", self._single_quoted()
        elif character == "(":
            kind, value = "STRING", self._block()
        elif character == ".":
            raise self._fault("Floats must start with a digit", consumed=1)
        elif character == "-" or "0" <= character <= "9":
            kind, value = self._number()
        else:
            kind, value = self._bare(start)
        inside = 1 if character and character in "\"'" else 0  # the place of quoted text is that of its first letter
        yield Lexeme(kind, value, self._place(start + inside))
        return "end"

    def _bare(self, start: int) -> tuple[str, object]:
        """A word from ``start``, of which everything before the present position is known to belong to it."""
        parts = [self._text[start : self._position]]
        escaped = False
        while True:
            parts.append(self._skip(_BARE))
            character = self._peek()
            if character == "\\":
                escaped = True
                parts.append(self._escape())
                continue
            word = "".join(parts)
            if character == "'":
                self._position += 1
                return "STRING", _joined(word) if escaped else word
            break
        if escaped:
            return "STRING", _joined(word)
        lowered = word.lower()
        if lowered in _TRUE:
            return "BOOL", True
        if lowered in _FALSE:
            return "BOOL", False
        if word.startswith("$") and not word.startswith("$2a$"):  # that is how a bcrypt hash begins
            return "VARIABLE", word[1:]
        return "STRING", word

    def _double_quoted(self) -> str:
        self._position += 1
        parts = []
        escaped = False
        while True:
            parts.append(self._skip(_QUOTED))
            character = self._peek()
            if not character:
                raise self._fault("Unexpected EOF.")
            if character == '"':
                self._position += 1
                text = "".join(parts)
                return _joined(text) if escaped else text
            escaped = True
            parts.append(self._escape())

    def _single_quoted(self) -> str:
        start = self._position + 1
        end = self._text.find("'", start)
        if end < 0:
            self._position = len(self._text)
            raise self._fault("Unexpected EOF.")
        self._position = end + 1
        return self._text[start:end]

    def _block(self) -> str:
        start = self._position + 1
        found = _BLOCK_END.search(self._text, start)
        if found is None:
            self._position = len(self._text)
            raise self._fault("Unexpected EOF processing block.")
        self._position = found.end()
        return self._text[start : found.start() + 1]

    def _escape(self) -> str:
        character = self._text[self._position + 1 : self._position + 2]
        if character == "x":
            digits = self._text[self._position + 2 : self._position + 4]
            if "\n" in digits:
                text = "Expected two hexadecimal digits after '\\x', but hit end of line"
                raise self._fault(text, consumed=4)
            if not re.fullmatch("[0-9a-fA-F]{2}", digits):
                raise self._fault(f"Expected two hexadecimal digits after '\\x', but got '{digits}'", consumed=4)
            self._position += 4
            code = int(digits, 16)
            return chr(code) if code < 0x80 else chr(0xDC00 + code)  # bytes are joined by the caller
        if character not in _ESCAPES:
            raise self._fault(
                f"Invalid escape character '{_shown(character)}'. Only the following escape characters are allowed: "
                '\\xXX, \\t, \\n, \\r, \\", \\\\.',
                consumed=2,
            )
        self._position += 2
        return _ESCAPES[character]

    def _number(self) -> tuple[str, object]:
        """A number, or what merely begins with a digit: a size, a date, an address, a duration, a name."""
        start = self._position
        negative = self._peek() == "-"
        if negative:
            self._position += 1
            if self._peek() == ".":
                raise self._fault("Floats must start with a digit, not '.'.", consumed=1)
            if not "0" <= self._peek() <= "9":
                raise self._fault(f"Expected a digit but got '{self._got()}'.", consumed=1)
        self._skip(_DIGITS)
        character = self._peek()
        if character == "-" and not negative:
            return self._datetime(start)
        if character == ".":
            return self._float(start)
        if self._skip(_SUFFIX):
            if self._peek() in "\r\n},; \t":  # the empty end of text is in there too
                return self._integer(start)
            return self._bare(start)
        if (
            negative
            or not character
            or character in "\r\n},; \t"
            or (character == "]" and self._contexts[-1] == "array")
        ):
            return self._integer(start)
        self._position += 1  # the first foreign character belongs to the word, even a bracket or a backslash
        return self._bare(start)

    def _integer(self, start: int) -> tuple[str, object]:
        word = self._text[start : self._position]
        found = _NUMBER.fullmatch(word.lower())
        assert found is not None
        if found[2] not in _MULTIPLES:
            return "STRING", word
        if len(found[1]) < 25:  # longer ones are out of range anyhow
            value = int(found[1]) * _MULTIPLES[found[2]]
            if -(2**63) <= value < 2**63:
                return "INTEGER", value
        raise ConfigurationError(f"integer '{word}' is out of the range", place=self._place(start), kind="range")

    def _float(self, start: int) -> tuple[str, object]:
        self._position += 1
        if not self._skip(_DIGITS):
            raise self._fault(f"Floats must have a digit after the '.', but got '{self._got()}' instead.", consumed=1)
        if self._peek() == ".":
            self._skip(_ADDRESS)
            return "STRING", self._text[start : self._position]
        word = self._text[start : self._position]
        value = float(word)
        if value in (float("inf"), float("-inf")):
            raise ConfigurationError(f"float '{word}' is out of the range", place=self._place(start), kind="range")
        return "FLOAT", value

    def _datetime(self, start: int) -> tuple[str, object]:
        if self._position - start != 4:
            raise self._fault("All ISO8601 dates must be in full Zulu form.", consumed=1)
        for expected in _ZULU[4:]:
            got = self._peek()
            if expected == "0":
                if not (got and "0" <= got <= "9"):
                    raise self._fault(
                        f"Expected digit in ISO8601 datetime, but found '{self._got()}' instead.", consumed=1
                    )
            elif got != expected:
                raise self._fault(
                    f"Expected '{expected}' in ISO8601 datetime, but found '{self._got()}' instead.", consumed=1
                )
            self._position += 1
        return "DATETIME", self._text[start : self._position]

    # --- small things -------------------------------------------------------------------------------------------

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _got(self) -> str:
        return _shown(self._peek())

    def _skip(self, pattern: re.Pattern[str]) -> str:
        found = pattern.match(self._text, self._position)
        if found is None:
            return ""
        self._position = found.end()
        return found.group()

    def _open(self, context: str) -> None:
        if len(self._contexts) + self._depth > NESTING_MAX:
            raise self._fault(f"More than {NESTING_MAX} levels of nesting")
        self._position += 1
        self._contexts.append(context)

    def _close(self, kind: str) -> Generator[Lexeme, None, str]:
        yield Lexeme(kind, "", self._place(self._position))
        self._position += 1
        self._contexts.pop()
        return "end"

    def _place(self, offset: int) -> Place:
        """Line from 1; column in bytes, from 0 on the first line and from 1 on the others, as nats-server counts."""
        line = bisect_left(self._newlines, offset)
        if line == 0:
            before = self._text[:offset]
            column = offset if self._ascii else len(before.encode("utf-8", "surrogateescape"))
        else:
            before = self._text[self._newlines[line - 1] : offset]
            column = len(before) if self._ascii else len(before.encode("utf-8", "surrogateescape"))
        return Place(self._name, line + 1, column)

    def _fault(self, text: str, *, consumed: int = 0) -> ConfigurationError:
        """The error at the present position; the line it names is that after ``consumed`` more characters."""
        place = self._place(self._position)
        end = min(self._position + consumed, len(self._text))
        line = bisect_left(self._newlines, end) + 1
        return ConfigurationError(f"Parse error on line {line}: '{text}'", place=place, kind="syntax")


def _shown(character: str) -> str:
    """A character in a text, as nats-server prints it: the end of the text is a NUL."""
    return {"": "\0", "\n": "\\n"}.get(character, character)


def _joined(text: str) -> str:
    """Bytes written as ``\\xHH`` may make up a character together."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
