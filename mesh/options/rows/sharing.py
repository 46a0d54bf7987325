"""Exports and imports of accounts (spec configuration section 5.4)."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from gossamer.auth.subjects import is_valid
from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.table import Row, Type, Wrong, block
from gossamer.mesh.options.types import BOOLEAN, INTEGER, TEXT, as_text, texts
from gossamer.mesh.options.units import parse_duration

_PERCENT = re.compile("([0-9]+)%?")
_RESPONSES = {
    "single": "singleton",
    "singleton": "singleton",
    "stream": "stream",
    "chunk": "chunked",
    "chunked": "chunked",
}
_SERVICE_ONLY = {
    "response_type": "response",
    "threshold": "response threshold",
    "latency": "latency",
    "allow_trace": "allow_trace",
}


class Link(NamedTuple):
    """An export or import entry of an account, kept until all accounts are known."""

    account: str
    kind: str  # exports or imports
    values: dict[str, Any]


def _entries(kind: str) -> Callable[[Processing, str, Node], bool]:
    title = kind.capitalize()

    def convert(processing: Processing, key: str, node: Node) -> bool:
        if not isinstance(node.value, list):
            raise Wrong(f"{title} should be an array, got {node.go_type}")
        found = []
        for each in node.value:
            if not isinstance(each.value, dict):
                text = f"{title[:-1]} Items should be a map with type entry, got {each.go_type}"
                processing.error(each, text)
                continue
            values = processing.block(kind, each)
            (_check_export if kind == "exports" else _check_import)(processing, each, values)
            found.append(values)
        processing.shared[f"{processing.accounts[-1]} {kind}"] = found
        return bool(node.value)

    return convert


def _check_export(processing: Processing, node: Node, values: dict[str, Any]) -> None:
    places = {key.lower(): child.place for key, child in node.value.items()}
    if "stream" in values and "service" in values:
        first, second = (key for key in places if key in ("stream", "service"))
        text = f"Detected {second} {quoted(values[second])} but already saw a {first}"
        processing.error(places[second], text)
    elif "stream" in values:
        for key, what in _SERVICE_ONLY.items():
            if key in values:
                place = next(child.place for name, child in node.value.items() if name.lower() in _ALIASES[key])
                processing.error(place, f"Detected {what} directive on non-service")


def _check_import(processing: Processing, node: Node, values: dict[str, Any]) -> None:
    last = next(reversed(node.value.values())).place if node.value else node.place
    if "stream" in values and "service" in values:
        processing.error(last, "Detected service but already saw a stream")
    if "prefix" in values and "to" in values:
        processing.error(last, "Stream import can not have a 'prefix' and a 'to' property")
    if "service" in values and values.get("allow_trace"):
        place = next(child.place for name, child in node.value.items() if name.lower() == "allow_trace")
        processing.error(place, "Detected allow_trace directive on a non-stream")


def check_links(processing: Processing, node: Node, names: set[str], links: list[Link]) -> None:
    """Names of other accounts must be known; run once all are read (order in the file does not count)."""
    known = names | {"$G", "$SYS"}
    for link in links:
        for kind in ("stream", "service"):
            value = link.values.get(kind)
            if value is None:
                continue
            mentioned = link.values.get("accounts", ()) if link.kind == "exports" else (value["account"],)
            for name in mentioned:
                if name not in known:
                    processing.error(node, f"{quoted(name)} account not defined for {kind} {link.kind[:-1]}")


def _exported(kind: str) -> Type:
    def convert(processing: Processing, key: str, node: Node) -> str:
        if not isinstance(node.value, str):
            raise Wrong(f"Expected {kind} name to be string, got {node.go_type}")
        subject = as_text(node)
        if not is_valid(subject):
            raise Wrong(f"subject {quoted(subject)} is not a valid subject")
        return subject

    return Type("subject", convert)


def _imported(kind: str) -> Type:
    def convert(processing: Processing, key: str, node: Node) -> dict[str, str]:
        if not isinstance(node.value, dict):
            raise Wrong(f"{kind.capitalize()} entry should be an account map, got {node.go_type}")
        given = {name.lower(): child for name, child in node.value.items()}
        account, subject = given.get("account"), given.get("subject")
        if account is None or subject is None:
            raise Wrong("Expect an account name and a subject")
        return {"account": as_text(account), "subject": as_text(subject)}

    return Type("{account, subject}", convert)


def _response_type(processing: Processing, key: str, node: Node) -> str:
    word = as_text(node)
    if word.lower() not in _RESPONSES:
        raise Wrong(f"Unknown response type: {quoted(word)}", suggestion="single, stream or chunked")
    return _RESPONSES[word.lower()]


def _threshold(processing: Processing, key: str, node: Node) -> int:
    if not isinstance(node.value, str):
        raise Wrong(f"Expected response threshold to be a parseable time duration, got {node.go_type}")
    try:
        return parse_duration(as_text(node))
    except ValueError as error:
        raise Wrong(
            f"Expected response threshold to be a parseable time duration, got {quoted(node.value)}: {error}"
        ) from None


def _latency(processing: Processing, key: str, node: Node) -> Any:
    if isinstance(node.value, str):
        return as_text(node)
    if not isinstance(node.value, dict):
        raise Wrong(f"Expected latency entry to be a map/struct or string, got {node.go_type}")
    given = {name.lower(): child for name, child in node.value.items()}
    if "sampling" in given:
        value = given["sampling"].value
        if isinstance(value, str) and value.lower() != "headers":
            found = _PERCENT.fullmatch(value)
            value = int(found[1]) if found else 0
        if not (isinstance(value, str) or (type(value) is int and 1 <= value <= 100)):
            raise Wrong("bad sampling percentage, should be 1-100", node=given["sampling"])
    if "subject" not in given:
        raise Wrong("Latency subject required, but missing")
    return as_text(given["subject"])


EXPORTS = Type("[block exports]", _entries("exports"))
IMPORTS = Type("[block imports]", _entries("imports"))

BLOCKS = (
    block(
        "exports",
        "accounts.NAME.exports[]",
        (
            Row(keys=("stream",), type=_exported("stream"), doc="Subjects whose messages may be imported."),
            Row(keys=("service",), type=_exported("service"), doc="Subjects that may be asked."),
            Row(keys=("accounts",), type=texts("accounts"), default="all", doc="Who may import it."),
            Row(
                keys=("account_token_position",),
                type=INTEGER,
                default="0",
                doc="Position of the `*` that must be the importing account.",
            ),
            Row(
                keys=("response_type", "response"),
                type=Type("single | stream | chunked", _response_type),
                default="single",
                doc="How many messages answer a request.",
            ),
            Row(
                keys=("threshold", "response_threshold", "response_max_time", "response_time"),
                type=Type("duration string", _threshold),
                default="2m",
                doc="How long an answer may take.",
            ),
            Row(
                keys=("latency",),
                type=Type("subject or {sampling, subject}", _latency),
                doc="Where latencies are reported.",
            ),
            Row(
                keys=("allow_trace",), type=BOOLEAN, default="false", doc="Traces go on into the account.", since="2.11"
            ),
        ),
    ),
    block(
        "imports",
        "accounts.NAME.imports[]",
        (
            Row(keys=("stream",), type=_imported("stream"), doc="Messages to take."),
            Row(keys=("service",), type=_imported("service"), doc="Service to ask."),
            Row(keys=("to",), type=TEXT, doc="Local subject."),
            Row(keys=("prefix",), type=TEXT, doc="Tokens put in front of the subject; streams only."),
            Row(keys=("share",), type=BOOLEAN, default="false", doc="Tell the service who asks."),
            Row(
                keys=("allow_trace",), type=BOOLEAN, default="false", doc="Traces go on into the account.", since="2.11"
            ),
        ),
    ),
)

_ALIASES = {row.key: row.keys for row in BLOCKS[0].rows}
