"""On which line of a TOML file a value was declared: ``tomllib`` does not say, and faults without a line are no help.

Only looked for once a file is known to be at fault. Values inside inline tables are given the line of the table, values
inside arrays that of their element.
"""

import re

_BARE = re.compile(r"[A-Za-z0-9_-]+")

Path = tuple[str | int, ...]


class LineIndex:
    """The lines of a text that ``tomllib`` can read."""

    def __init__(self, text: str) -> None:
        self._lines: dict[Path, int] = {}
        self._text = text
        self._scan()

    def line(self, path: Path) -> int:
        """The line of a value, or of the innermost thing around it that has one; 0 if nothing has."""
        while path:
            if path in self._lines:
                return self._lines[path]
            path = path[:-1]
        return 0

    def _scan(self) -> None:
        text, place, line = self._text, 0, 1
        table: Path = ()
        counts: dict[Path, int] = {}
        while place < len(text):
            letter = text[place]
            if letter == "\n":
                line += 1
                place += 1
            elif letter in " \t\r":
                place += 1
            elif letter == "#":
                place = _end_of_line(text, place)
            elif letter == "[":
                array = text.startswith("[[", place)
                names, place = _key(text, place + (2 if array else 1))
                place = text.index("]", place) + (2 if array else 1)
                table = self._resolve(names, counts)
                if array:
                    counts[table] = counts.get(table, -1) + 1
                    table = (*table, counts[table])
                self._lines.setdefault(table, line)
            else:
                names, place = _key(text, place)
                path = (*table, *names)
                for length in range(len(table) + 1, len(path) + 1):
                    self._lines.setdefault(path[:length], line)
                place, line = self._value(text.index("=", place) + 1, line, path)

    def _resolve(self, names: tuple[str, ...], counts: dict[Path, int]) -> Path:
        """A header's path: below an array of tables its last element is meant."""
        path: Path = ()
        for position, name in enumerate(names):
            path = (*path, name)
            if path in counts and position < len(names) - 1:
                path = (*path, counts[path])
        return path

    def _value(self, place: int, line: int, path: Path) -> tuple[int, int]:
        """Pass over a value; note where the elements of an array begin."""
        text, depth, element, fresh, array = self._text, 0, 0, False, False
        while place < len(text):
            letter = text[place]
            if letter == "\n":
                if depth == 0:
                    return place, line
                line += 1
                place += 1
                continue
            if letter == "#":
                place = _end_of_line(text, place)
                continue
            if depth == 1 and array and letter == ",":
                element, fresh = element + 1, True
            elif fresh and letter not in " \t\r]":
                self._lines.setdefault((*path, element), line)
                fresh = False
            if letter in "\"'":
                end = _string_end(text, place)
                line += text.count("\n", place, end)
                place = end
                continue
            if letter in "[{":
                depth += 1
                if depth == 1 and letter == "[":
                    array = fresh = True
            elif letter in "]}":
                depth -= 1
            place += 1
        return place, line


def _key(text: str, place: int) -> tuple[tuple[str, ...], int]:
    names: list[str] = []
    while True:
        while text[place] in " \t.":
            place += 1
        if text[place] in "\"'":
            end = _string_end(text, place)
            names.append(text[place + 1 : end - 1])
            place = end
        elif (bare := _BARE.match(text, place)) is not None:
            names.append(bare[0])
            place = bare.end()
        while text[place] in " \t":
            place += 1
        if text[place] != ".":
            return tuple(names), place


def _string_end(text: str, place: int) -> int:
    quote = text[place]
    long = text.startswith(quote * 3, place)
    mark = quote * 3 if long else quote
    place += len(mark)
    while not text.startswith(mark, place):
        place += 2 if text[place] == "\\" and quote == '"' else 1
    place += len(mark)
    while long and text.startswith(quote, place):
        place += 1
    return place


def _end_of_line(text: str, place: int) -> int:
    end = text.find("\n", place)
    return len(text) if end < 0 else end
