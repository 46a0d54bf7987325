"""From a document to settings: every key of every block is looked up in the table, converted, checked and collected.

Nothing stops at the first fault. A value that is wrong leaves a fault and no value; the rest goes on, so that one run
tells everything (spec configuration section 1, stage 2). Faults come in the order of the file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from gossamer.auth.settings import UserSettings
from gossamer.mesh.options.language.document import Document, Node
from gossamer.mesh.options.language.faults import Fault, Place, quoted
from gossamer.mesh.options.language.reading import Reader
from gossamer.mesh.options.suggestions import nearest, otherwise
from gossamer.mesh.options.table import Row, Wrong, blocks, keys_of

if TYPE_CHECKING:
    from gossamer.auth.claims.operator import OperatorClaims


class Processing:
    """One file on its way. ``draft`` maps paths of ``Options`` to values, ``places`` to where they stood."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.faults: list[Fault] = []
        self.draft: dict[str, Any] = {}
        self.places: dict[str, Place] = {}
        self.names: dict[str, Node] = {}  # users and nkeys seen so far, over all accounts
        self.accounts: list[str] = []  # the account being read, if any
        self.account_users: list[UserSettings] = []
        self.shared: dict[str, list[dict[str, Any]]] = {}  # exports and imports by account, until all are read
        self.top_level: list[Node] = []
        self.stream_store: Node | None = None
        self.operator_claims: list[OperatorClaims] = []
        self.switched_off: frozenset[str] = frozenset()  # top-level options that a flag switches off
        self.refusals: list[tuple[Place, str]] = []  # found now, but met only when the node starts
        self.after: list[Callable[[], None]] = []  # what needs the whole file, run at its end

    @property
    def broken(self) -> bool:
        """Has anything been reported that is more than a warning?"""
        return any(not fault.warning for fault in self.faults)

    def run(self, document: Document) -> None:
        """Process the top level. Faults, draft and places are filled in."""
        if not document.value:
            text = f"{document.name}: config has no values or is empty"
            self.faults.append(Fault(text=text, warning=True, place=document.place))
        self.top_level = list(document.value.values())
        self.block("", document)
        for check in self.after:
            check()

    def block(self, name: str, node: Node) -> dict[str, Any]:
        """The values of a map by canonical key. Faults are reported; a key with a fault has no value."""
        known = keys_of(name)
        values: dict[str, Any] = {}
        for key, child in node.value.items():
            row = known.get(key.lower())
            if row is None:
                if not child.used:
                    self._unknown(name, key, child)
                continue
            self._option(row, key, child, values)
        return values

    def _option(self, row: Row, key: str, node: Node, values: dict[str, Any]) -> None:
        try:
            value = row.type.convert(self, key, node)
        except Wrong as wrong:
            where = wrong.node or node
            suggestion = wrong.suggestion or otherwise(row, where)
            if wrong.bare:
                self.faults.append(Fault(text=str(wrong), place=where.place, suggestion=suggestion))
            else:
                self.error(where, str(wrong), suggestion=suggestion)
            return
        if row.waits_for is not None and not row.is_off(value) and row.path not in self.switched_off:
            text = f'"{key}" is not available yet ({row.waits_for.value}); {row.remedy}'
            self.error(node, text)
            return
        values[row.key] = value
        if row.fields:
            parts = value if len(row.fields) > 1 else (value,)
            for path, part in zip(row.fields, parts, strict=True):
                if part is not None:
                    self.draft[path] = part
                    self.places[path] = node.place

    def _unknown(self, name: str, key: str, node: Node) -> None:
        suggestion = _elsewhere(name, key) or nearest(key, keys_of(name))
        home = blocks()[name]
        report = self.warn if home.lenient else self.error
        report(node, home.unknown.format(key=quoted(key)), suggestion=suggestion)

    def error(self, where: Node | Place, text: str, *, suggestion: str = "") -> None:
        """Report a fault at a place, printed in front."""
        place = where.place if isinstance(where, Node) else where
        self.faults.append(Fault(text=f"{place}: {text}", place=place, suggestion=suggestion))

    def warn(self, where: Node | Place, text: str, *, suggestion: str = "") -> None:
        """Report a warning: ``-t`` fails on it, a start goes on."""
        place = where.place if isinstance(where, Node) else where
        self.faults.append(Fault(text=f"{place}: {text}", place=place, suggestion=suggestion, warning=True))

    def warn_of_use(self, where: Node, key: str, text: str) -> None:
        """A warning in the form ``invalid use of field "x": ...``."""
        self.warn(where, f"invalid use of field {quoted(key)}: {text}")


def _elsewhere(name: str, key: str) -> str:
    """An option that is known, but in another block."""
    homes = [each.title for each in blocks().values() if each.name != name and key.lower() in each.keys]
    return f"it belongs into: {', '.join(homes[:3])}" if homes else ""
