"""The document a command returns. The three renderers show the same document; no command prints by itself."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct, field

SCHEMA = "gossamer/v1"


class Table(Struct, frozen=True, kw_only=True):
    """Rows below column titles. Cells are text already."""

    title: str = ""
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    empty: str = "none"


class Facts(Struct, frozen=True, kw_only=True):
    """Label and value pairs about one thing."""

    title: str = ""
    pairs: tuple[tuple[str, str], ...]


class Text(Struct, frozen=True, kw_only=True):
    """Text that goes out as it is, in the table and the plain form: a generated file, a token."""

    content: str


Section = Table | Facts | Text


class Remark(Struct, frozen=True, kw_only=True):
    """A warning or an error in the JSON envelope."""

    code: str
    message: str
    path: str = ""
    hint: str = ""


class Document(Struct, kw_only=True):
    """``data`` is the answer for programs, ``sections`` the same answer for people; ``done`` are lines about what was
    changed. ``exit_code`` other than 0 means the answer itself is bad news (``validate``)."""

    data: Any = None
    sections: Sequence[Section] = ()
    done: list[str] = field(default_factory=list)
    warnings: list[Remark] = field(default_factory=list)
    errors: list[Remark] = field(default_factory=list)
    exit_code: int = 0

    def warn(self, code: str, message: str, path: str = "", hint: str = "") -> None:
        """Add a warning: it never changes the exit code."""
        self.warnings.append(Remark(code=code, message=message, path=path, hint=hint))


def cell(value: object) -> str:
    """A value as people want to read it; nothing for None."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value)
    return str(value)
