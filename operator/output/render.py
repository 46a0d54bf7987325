"""The three renderers: rich tables for a terminal, tab-separated text for pipes, one JSON envelope for programs.

Answers go to standard output, warnings and errors to standard error (spec operator-cli section 10.1). rich is loaded
by the table renderer alone.
"""

import sys
from enum import StrEnum
from typing import Any, TextIO

import msgspec

from gossamer.operator.output.document import SCHEMA, Document, Facts, Remark, Table, Text


class Form(StrEnum):
    """How to show a document."""

    AUTO = "auto"
    TABLE = "table"
    PLAIN = "plain"
    JSON = "json"


def resolve_form(form: Form, stream: TextIO) -> Form:
    """``auto``: a table on a terminal, plain text elsewhere."""
    if form is not Form.AUTO:
        return form
    return Form.TABLE if stream.isatty() else Form.PLAIN


def show(document: Document, command: str, form: Form) -> None:
    """Print a document on the process's standard streams."""
    form = resolve_form(form, sys.stdout)
    if form is Form.JSON:
        print(envelope(document, command))
    elif form is Form.PLAIN:
        _show_plain(document)
    else:
        _show_table(document)
    for remark in document.warnings:
        print(f"[WARN] {remark_line(remark)}", file=sys.stderr)
    for remark in document.errors:
        print(f"[ERR ] {remark_line(remark)}", file=sys.stderr)


def envelope(document: Document, command: str) -> str:
    """The JSON text: schema, command, ok, data, done, warnings, errors (spec operator-cli section 10.3)."""
    members: dict[str, Any] = {
        "schema": SCHEMA,
        "command": command,
        "ok": not document.errors and document.exit_code == 0,
        "data": document.data,
        "done": document.done,
        "warnings": document.warnings,
        "errors": document.errors,
    }
    return msgspec.json.format(msgspec.json.encode(members), indent=2).decode()


def remark_line(remark: Remark) -> str:
    """A remark on one line, with its remedy."""
    text = remark.message if not remark.hint else f"{remark.message} - {remark.hint}"
    return " ".join(text.split())


def _show_plain(document: Document) -> None:
    for section in document.sections:
        if isinstance(section, Text):
            sys.stdout.write(section.content)
        elif isinstance(section, Facts):
            for label, value in section.pairs:
                print(f"{label}\t{_flat(value)}")
        else:
            for row in section.rows:
                print("\t".join(_flat(value) for value in row))
    for line in document.done:
        print(f"[ OK ] {line}")


def _show_table(document: Document) -> None:
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text as RichText

    console = Console(highlight=False, soft_wrap=False)
    for section in document.sections:
        if isinstance(section, Text):
            sys.stdout.write(section.content)
            continue
        if isinstance(section, Table) and not section.rows:
            console.print(RichText(f"{section.title}: {section.empty}" if section.title else section.empty))
            continue
        table = RichTable(title=RichText(section.title) if section.title else None, title_justify="left")
        if isinstance(section, Facts):
            table.show_header = False
            table.add_column()
            table.add_column(overflow="fold")
            rows: tuple[tuple[str, ...], ...] = section.pairs
        else:
            for column in section.columns:
                table.add_column(RichText(column), overflow="fold")
            rows = section.rows
        for row in rows:
            table.add_row(*(RichText(value) for value in row))
        console.print(table)
    for line in document.done:
        console.print(RichText.assemble(("[ OK ] ", "green"), line), soft_wrap=True)


def _flat(value: str) -> str:
    """One line, no tabs: so that a line is a row and a tab ends a cell."""
    return value.replace("\\", "\\\\").replace("\t", "\\t").replace("\r", "\\r").replace("\n", "\\n")
