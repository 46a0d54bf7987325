"""On which line of a TOML file something stands: the parser of the standard library does not tell.

Good for the flat files of this house: headers, and keys below them. What stands inside an inline table or an array has
the line of its key.
"""

import re

_HEADER = re.compile(r"\s*(\[\[?)\s*([A-Za-z0-9_-]+)\s*\]")
_KEY = re.compile(r"\s*[\"']?([A-Za-z0-9_-]+)[\"']?\s*(?:[.=]|[\"']?\s*=)")


class Lines:
    """Lines by path, such as ``("rule", 0, "user")``; counted from 1."""

    def __init__(self, text: str) -> None:
        """``text``: a whole file."""
        self._found: dict[tuple[str | int, ...], int] = {}
        table: tuple[str | int, ...] = ()
        counts: dict[str, int] = {}
        for number, line in enumerate(text.splitlines(), 1):
            header = _HEADER.match(line)
            if header is not None:
                name = header[2]
                if header[1] == "[[":
                    counts[name] = counts.get(name, -1) + 1
                    table = (name, counts[name])
                else:
                    table = (name,)
                self._found.setdefault(table, number)
                continue
            key = _KEY.match(line)
            if key is not None:
                self._found.setdefault((*table, key[1]), number)

    def find(self, path: tuple[str | int, ...]) -> int:
        """The line of a path, or of what it stands in."""
        while path:
            if path in self._found:
                return self._found[path]
            path = path[:-1]
        return 1
