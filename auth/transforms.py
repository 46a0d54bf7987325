"""A subject made from another: destinations of mappings and local subjects of imports, parsed into values, in plain
Python and as programs for the engine (spec client-protocol section 25, auth section 17.3).

A destination is tokens with dots between. A token is text, ``$n`` (the n-th ``*`` of the source), a function between
double braces, or ``>`` at the end if the source ends so. ``Transform.apply`` is readable, slow and right: the compiled
engine is tested against it. All cutting counts bytes.
"""

import re
from collections.abc import Callable, Sequence
from enum import IntEnum
from functools import lru_cache
from typing import NamedTuple

from msgspec import Struct

from gossamer.auth.subjects import has_wildcards, is_valid, matches

#: What is cut from, and how many partitions or random numbers there are, is a 32-bit number.
_NUMBER_MAX = 2**31 - 1
_REFERENCE = re.compile(r"\$(\d{1,9})\Z")
_CALL = re.compile(r"\{\{\s*([^({\s]+)\s*(?:\((.*)\))?\s*\}\}\Z", re.DOTALL)
_BAD = "invalid mapping destination: "


class Function(IntEnum):
    """What a token of a destination does; the numbers are those of the engine (``gossamer.mesh.engine.kinds.Part``)."""

    LITERAL = 0
    WILDCARD = 1
    PARTITION = 2
    RANDOM = 3
    SPLIT = 4
    SPLIT_FROM_LEFT = 5
    SPLIT_FROM_RIGHT = 6
    SLICE_FROM_LEFT = 7
    SLICE_FROM_RIGHT = 8
    LEFT = 9
    RIGHT = 10
    TAIL = 11


_NAMES = {
    "wildcard": Function.WILDCARD,
    "partition": Function.PARTITION,
    "random": Function.RANDOM,
    "split": Function.SPLIT,
    "splitFromLeft": Function.SPLIT_FROM_LEFT,
    "splitFromRight": Function.SPLIT_FROM_RIGHT,
    "sliceFromLeft": Function.SLICE_FROM_LEFT,
    "sliceFromRight": Function.SLICE_FROM_RIGHT,
    "left": Function.LEFT,
    "right": Function.RIGHT,
}


def _spellings(name: str) -> re.Pattern[str]:
    # The first letter of each word may be large or small, all others are as they are.
    return re.compile("".join(f"[{c.upper()}{c.lower()}]" if c.isupper() or i == 0 else c for i, c in enumerate(name)))


_FUNCTIONS = tuple((_spellings(name), function) for name, function in _NAMES.items())

#: One token of a program: function, text, numbers (``gossamer.mesh.engine.core``).
ProgramPart = tuple[int, bytes, tuple[int, ...]]


class TransformError(ValueError):
    """A source and a destination that make no transform; the texts are nats-server's."""


class Token(Struct, frozen=True):
    """``text``: of a literal, or the separator of a split. ``numbers``: wildcard index (from 1) and position or size;
    of a partition the number of buckets and the indexes, if any."""

    function: Function
    text: str = ""
    numbers: tuple[int, ...] = ()


class Transform(Struct, frozen=True):
    """From subjects that match ``source`` to others. ``destination`` is the text it was made of."""

    source: str
    destination: str
    tokens: tuple[Token, ...]

    def apply(self, subject: bytes, below: Callable[[int], int]) -> bytes:
        """The new subject. ``below(n)`` gives a number from 0 to n-1. Raises ValueError if ``source`` does not match.

        A split that leaves nothing makes an empty token, and with it a subject that reaches nobody."""
        if not matches(self.source, subject.decode("utf-8", "surrogateescape")):
            raise ValueError(f"{self.source} does not match")
        given = subject.split(b".")
        pattern = self.source.split(".")
        wild = [given[place] for place, token in enumerate(pattern) if token == "*"]
        tail = b".".join(given[len(pattern) - 1 :])
        return b".".join(_made(token, subject, wild, tail, below) for token in self.tokens)

    def program(self) -> tuple[ProgramPart, ...]:
        """The form the engine takes."""
        return tuple((int(token.function), token.text.encode(), token.numbers) for token in self.tokens)


class ImportTransform(Struct, frozen=True):
    """An import's subjects: ``pattern`` is the local one with its wildcards; ``to_local`` makes local subjects from the
    exporter's (streams), ``to_exporter`` the reverse (services)."""

    subject: str
    pattern: str
    to_local: Transform
    to_exporter: Transform


def parse(source: str, destination: str) -> Transform:
    """The transform of a mapping. Raises TransformError."""
    tokens = _parsed(source, destination)
    pattern, wanted = source.split("."), destination.split(".")
    if not is_valid(source) or "*" in wanted or (pattern[-1] == ">") != (wanted[-1] == ">"):
        raise TransformError("invalid subject")
    return Transform(source, destination, tokens)


@lru_cache(maxsize=4096)  # ten thousand tenants import the same
def parse_import(subject: str, local: str) -> ImportTransform:
    """The transforms of an import of the exporter's ``subject`` under the name ``local``: every wildcard of the
    subject once, as ``$n``, ``{{wildcard(n)}}`` or ``*`` (the n-th of them). Raises TransformError."""
    stars = subject.split(".").count("*")
    if not stars and not subject.endswith(">"):
        return _of_literal(subject, local)
    if not is_valid(subject) or not local:
        raise TransformError("invalid subject")
    numbered = _numbered(local)
    tokens = _parsed(subject, numbered)
    for token, text in zip(tokens, numbered.split("."), strict=True):
        if token.function not in (Function.LITERAL, Function.WILDCARD, Function.TAIL):
            what = "the only mapping function allowed for import transforms is {{Wildcard()}}"
            raise TransformError(f"{_BAD}{what} in {text}")
    if (subject.split(".")[-1] == ">") != (numbered.split(".")[-1] == ">"):
        raise TransformError("invalid subject")
    used = [token.numbers[0] for token in tokens if token.function is Function.WILDCARD]
    if sorted(used) != list(range(1, stars + 1)):
        raise TransformError(f"{_BAD}not using all of the token wildcard(s) in {local}")
    pattern = ".".join(_as_pattern(token) for token in tokens)
    return ImportTransform(
        subject, pattern, Transform(subject, numbered, tokens), Transform(pattern, subject, _inverse(subject, used))
    )


def _of_literal(subject: str, local: str) -> ImportTransform:
    """A subject without wildcards is not transformed: the local one, wildcards and all, stands for it."""
    if not is_valid(subject) or not is_valid(local):
        raise TransformError("invalid subject")
    tokens = tuple(Token(Function.LITERAL, text) for text in subject.split("."))
    local_tokens = tuple(Token(Function.LITERAL, text) for text in local.split("."))
    return ImportTransform(subject, local, Transform(subject, local, local_tokens), Transform(local, subject, tokens))


def _as_pattern(token: Token) -> str:
    match token.function:
        case Function.WILDCARD:
            return "*"
        case Function.TAIL:
            return ">"
    return token.text


def _inverse(subject: str, used: Sequence[int]) -> tuple[Token, ...]:
    """The exporter's subject from the local one, whose n-th wildcard is number ``used[n]`` of the exporter's."""
    place = {number: position for position, number in enumerate(used, 1)}
    tokens, star = [], 0
    for text in subject.split("."):
        if text == "*":
            star += 1
            tokens.append(Token(Function.WILDCARD, numbers=(place[star],)))
        elif text == ">":
            tokens.append(Token(Function.TAIL))
        else:
            tokens.append(Token(Function.LITERAL, text))
    return tuple(tokens)


def _numbered(local: str) -> str:
    tokens, star = local.split("."), 0
    for place, token in enumerate(tokens):
        if token == "*":
            star += 1
            tokens[place] = f"${star}"
    return ".".join(tokens)


def _parsed(source: str, destination: str) -> tuple[Token, ...]:
    stars = _Stars(source.split(".").count("*"), has_wildcards(source))
    texts = destination.split(".")
    tokens = []
    for place, text in enumerate(texts):
        if place and texts[place - 1] == ">":
            raise TransformError(f"{_BAD}invalid transform in {text}")
        tokens.append(_token(text, stars))
    return tuple(tokens)


class _Stars(NamedTuple):
    """How many ``*`` the source has, and whether it has any wildcard at all."""

    stars: int
    wild: bool


def _token(text: str, stars: _Stars) -> Token:
    if text == ">":
        return Token(Function.TAIL)
    reference = _REFERENCE.match(text)
    if reference is not None:
        return Token(Function.WILDCARD, numbers=(_index(int(reference[1]), stars, text),))
    call = _CALL.match(text)
    if call is not None:
        return _call(text, call[1], call[2], stars)
    if not text or any(blank in text for blank in " \t\r\n\f"):
        raise TransformError(f"{_BAD}invalid transform")
    return Token(Function.LITERAL, text)


def _call(text: str, name: str, inside: str | None, stars: _Stars) -> Token:
    function = next((each for spelling, each in _FUNCTIONS if spelling.fullmatch(name)), None)
    if function is None or inside is None:
        raise TransformError(f"{_BAD}unknown function in {text}")
    arguments = re.split(r",\s*", inside)
    match function:
        case Function.PARTITION:
            buckets = _number(arguments[0], text)
            indexes = tuple(_index(_number(each, text), stars, text) for each in arguments[1:])
            return Token(function, numbers=(buckets, *indexes))
        case Function.RANDOM:
            _counted(arguments, 1, text, many="not enough")  # sic: the words of nats-server
            return Token(function, numbers=(_number(arguments[0], text),))
        case Function.WILDCARD:
            _counted(arguments if inside else [], 1, text)
            return Token(function, numbers=(_index(_number(arguments[0], text), stars, text),))
        case Function.SPLIT:
            _counted(arguments, 2, text)
            index = _number(arguments[0], text)
            if not arguments[1] or " " in arguments[1]:
                raise _malformed(text)
            return Token(function, arguments[1], (_index(index, stars, text),))
    _counted(arguments, 2, text)
    index, position = _number(arguments[0], text), _number(arguments[1], text, negative=True)
    return Token(function, numbers=(_index(index, stars, text), max(0, position)))


def _counted(arguments: list[str], wanted: int, text: str, *, many: str = "too many") -> None:
    if len(arguments) != wanted:
        how = "not enough" if len(arguments) < wanted else many
        raise TransformError(f"{_BAD}{how} arguments passed to the function in {text}")


def _number(argument: str, text: str, *, negative: bool = False) -> int:
    argument = argument.strip()
    if not re.fullmatch(r"-?\d{1,10}", argument, re.ASCII):
        raise _malformed(text)
    number = int(argument)
    if abs(number) > _NUMBER_MAX or (number < 0 and not negative):
        raise _malformed(text)
    return number


def _malformed(text: str) -> TransformError:
    return TransformError(f"{_BAD}function argument is invalid or in the wrong format in {text}")


def _index(number: int, stars: _Stars, text: str) -> int:
    if not 1 <= number <= stars.stars:
        which = f": [{number}]" if stars.wild else ""
        raise TransformError(f"{_BAD}wildcard index out of range in {text}{which}")
    return number


def _made(token: Token, subject: bytes, wild: Sequence[bytes], tail: bytes, below: Callable[[int], int]) -> bytes:
    numbers = token.numbers
    match token.function:
        case Function.LITERAL:
            return token.text.encode()
        case Function.TAIL:
            return tail
        case Function.WILDCARD:
            return wild[numbers[0] - 1]
        case Function.PARTITION:
            key = b"".join(wild[index - 1] for index in numbers[1:]) if len(numbers) > 1 else subject
            return str(fnv1a(key) % numbers[0] if numbers[0] else 0).encode()
        case Function.RANDOM:
            return str(below(numbers[0]) if numbers[0] else 0).encode()
        case Function.SPLIT:
            return b".".join(part for part in wild[numbers[0] - 1].split(token.text.encode()) if part)
    return b".".join(_cut(token.function, wild[numbers[0] - 1], numbers[1]))


def _cut(function: Function, token: bytes, size: int) -> list[bytes]:
    if not 0 < size < len(token):
        return [token]
    match function:
        case Function.SPLIT_FROM_LEFT:
            return [token[:size], token[size:]]
        case Function.SPLIT_FROM_RIGHT:
            return [token[:-size], token[-size:]]
        case Function.SLICE_FROM_LEFT:
            return [token[at : at + size] for at in range(0, len(token), size)]
        case Function.SLICE_FROM_RIGHT:
            first = len(token) % size
            return ([token[:first]] if first else []) + [token[at : at + size] for at in range(first, len(token), size)]
        case Function.LEFT:
            return [token[:size]]
        case Function.RIGHT:
            return [token[-size:]]
    raise AssertionError(function)


def fnv1a(data: bytes) -> int:
    """The 32-bit FNV-1a hash, by which partitions are chosen."""
    state = 0x811C9DC5
    for byte in data:
        state = ((state ^ byte) * 0x01000193) & 0xFFFFFFFF
    return state
