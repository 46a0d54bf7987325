"""``docs/configuration.md`` from the option table.

Made by ``python -m gossamer.mesh.options.reference > docs/configuration.md``.

A test holds the file to what this prints.
"""

import sys
from typing import Any

from gossamer.mesh.options.baseline import GROUPS
from gossamer.mesh.options.help import written
from gossamer.mesh.options.options import Options
from gossamer.mesh.options.table import Block, Row, blocks
from gossamer.mesh.options.units import format_duration

_INTRODUCTION = """\
# Configuration

Made from the option table (`mesh/options/rows/`) by `python -m gossamer.mesh.options.reference`; edit the rows, not
this file.

The language is that of nats-server: `key: value`, `key = value` or `key value`, maps in `{ }`, arrays in `[ ]`,
comments from `#` or `//`, `include FILE`, variables as `$NAME` (keys that stand before, then the environment).
Option names are case-insensitive; other names may be written instead, as listed. JSON is accepted too.

- *size*: bytes; `1k` is 1000, `1kb` (or `1ki`, `1kib`) 1024; likewise m, g, t, p, e.
- *duration*: `"2m30s"`, `100ms`; units ns us ms s m h. A bare number is seconds, with a warning. Unquoted, `1m` is one
  million.
- *duration string*: the same, but no number.
- *seconds*: a number of seconds or a duration.

**Reload**: may a running node take a new value over? One changed option that it may not refuses the whole reload.
**Since**: the nats-server version that introduced the option. An option marked *not yet* is read and checked, and then
refused with its place, unless its value asks for nothing (`jetstream: false`).

`gossamer check FILE` says all that is wrong with a file, `gossamer serve -t -c FILE` does it as nats-server would.
"""
_KIB = 1024


def render() -> str:
    """The whole text."""
    return "\n".join([_INTRODUCTION, *(_section(block) for block in blocks().values())])


def _section(block: Block) -> str:
    title = block.title if not block.name else f"`{block.title}`"
    lines = [f"## {title}", "", "| Option | Type | Default | Reload | Since | |", "|---|---|---|---|---|---|"]
    lines += [_line(row) for row in block.rows]
    return "\n".join(lines) + "\n"


def _line(row: Row) -> str:
    names = ", ".join(f"`{key}`" for key in row.keys)
    flags = ", ".join(f"`{written(flag)}`" for flag in row.flags)
    words = row.doc
    if flags:
        words += f" Flags: {flags}."
    if row.waits_for is not None:
        words += f" *Not yet: {row.waits_for.value}.*"
    cells = (names, row.type.name, default_text(row), row.reload.value, row.since, words)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def default_text(row: Row) -> str:
    """The default as it would be written, from the field the row sets or from the row."""
    if row.default or not row.fields:
        text = row.default
        return f"{text} {row.unit}" if row.unit and text[-1:].isdigit() else text
    return ", ".join(filter(None, (_field_text(path) for path in row.fields)))


def _field_text(path: str) -> str:
    value = _default_of(path)
    if isinstance(value, bool):
        return "true" if value else "false"
    if path.endswith("_ns"):
        return _short(value)
    if isinstance(value, int):
        return _size(value) if value >= _KIB and value % _KIB == 0 and path != "limits.max_connections" else str(value)
    return value if isinstance(value, str) else ""


def _default_of(path: str) -> Any:
    group, _, name = path.rpartition(".")
    home: Any = GROUPS[group]() if group else Options()
    return getattr(home, name)


def _short(duration_ns: int) -> str:
    text = format_duration(duration_ns)
    return text.removesuffix("0s") if text.endswith("m0s") else text


def _size(value: int) -> str:
    mib = value // _KIB // _KIB
    return f"{mib} MiB" if mib and value % (_KIB * _KIB) == 0 else f"{value // _KIB} KiB"


if __name__ == "__main__":
    sys.stdout.write(render())
