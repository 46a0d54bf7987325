"""Exports and imports of accounts (spec configuration section 5.4)."""

import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from gossamer.auth.settings import GLOBAL_ACCOUNT, SYSTEM_ACCOUNT, AccountSettings
from gossamer.auth.sharing.values import (
    CHUNKED,
    SERVICE,
    SINGLETON,
    STREAM,
    STREAMED,
    AccountSharing,
    Export,
    Import,
    Latency,
)
from gossamer.auth.subjects import covers, has_wildcards, is_literal, is_valid
from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.table import Row, Type, Wrong, block
from gossamer.mesh.options.types import BOOLEAN, INTEGER, TEXT, as_text, texts
from gossamer.mesh.options.units import parse_duration

_PERCENT = re.compile("([0-9]+)%?")
_PLACE = " place"  # beside the keys of an entry, none of which begins with a blank
_RESPONSES = {
    "single": SINGLETON,
    "singleton": SINGLETON,
    "stream": STREAMED,
    "chunk": CHUNKED,
    "chunked": CHUNKED,
}
_SERVICE_ONLY = {
    "response_type": "response",
    "threshold": "response threshold",
    "latency": "latency",
    "allow_trace": "allow_trace",
}


class Shared(NamedTuple):
    """What one account shares, as read; ``prefixed`` are the prefixes of its stream imports, by their number."""

    exports: tuple[Export, ...]
    imports: tuple[Import, ...]
    prefixes: dict[int, str]


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
            found.append({**values, _PLACE: str(each.place)})
            if kind == "imports":
                _check_twice(processing, each, found)
        processing.shared[f"{processing.accounts[-1]} {kind}"] = found
        return bool(node.value)

    return convert


def _check_twice(processing: Processing, node: Node, found: list[dict[str, Any]]) -> None:
    """The same local subject for two services of one account."""
    *before, last = found
    service = last.get("service")
    if service is None:
        return
    local = last.get("to") or service["subject"]
    for other in before:
        first = other.get("service")
        if (
            first is not None
            and first["account"] == service["account"]
            and local == (other.get("to") or first["subject"])
        ):
            used = f"account {quoted(first['account'])}, subject {quoted(first['subject'])}"
            processing.error(
                node, f"Duplicate service import subject {quoted(local)}, previously used in import for {used}"
            )
            return


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
    if "prefix" in values and "to" in values and "service" not in values:
        processing.error(last, "Stream import can not have a 'prefix' and a 'to' property")
    if "service" in values and values.get("allow_trace"):
        place = next(child.place for name, child in node.value.items() if name.lower() == "allow_trace")
        processing.error(place, "Detected allow_trace directive on a non-stream")


def take(processing: Processing, account: str) -> Shared:
    """The exports and imports just read of an account."""
    exports = processing.shared.pop(f"{account} exports", ())
    imports = [values for values in processing.shared.pop(f"{account} imports", ()) if _kind(values)]
    return Shared(
        tuple(_export(values) for values in exports if _kind(values)),
        tuple(_import(values) for values in imports),
        {number: values["prefix"] for number, values in enumerate(imports) if values.get("prefix")},
    )


def _kind(values: dict[str, Any]) -> str:
    return next((kind for kind in (STREAM, SERVICE) if values.get(kind) is not None), "")


def _export(values: dict[str, Any]) -> Export:
    kind, latency = _kind(values), values.get("latency")
    return Export(
        kind=kind,
        subject=values[kind],
        accounts=tuple(values["accounts"]) if values.get("accounts") else None,
        token_position=values.get("account_token_position", 0),
        response=values.get("response_type", SINGLETON),
        threshold_ns=values.get("threshold", 0),
        latency=Latency(subject=latency["subject"], sampling=latency["sampling"]) if latency is not None else None,
        allow_trace=values.get("allow_trace", False),
        place=values[_PLACE],
    )


def _import(values: dict[str, Any]) -> Import:
    kind = _kind(values)
    subject = values[kind]["subject"]
    local = values.get("to") or subject
    if kind == STREAM and values.get("prefix"):
        prefix = values["prefix"]
        local = prefix + ("" if prefix.endswith(".") else ".") + subject
    return Import(
        kind=kind,
        exporter=values[kind]["account"],
        subject=subject,
        local=local,
        share=values.get("share", False),
        allow_trace=values.get("allow_trace", False),
        place=values[_PLACE],
    )


def link(processing: Processing, node: Node, accounts: Iterable[AccountSettings], shared: dict[str, Shared]) -> None:
    """Hold exports and imports against each other; run once all accounts are read and nothing else is wrong, so that
    their order in the file does not count. In the order of building: names, exports, stream imports, service imports.
    """
    known = {account.name for account in accounts} | {GLOBAL_ACCOUNT, SYSTEM_ACCOUNT}
    faults = len(processing.faults)
    for name in shared:
        for export in shared[name].exports:
            for other in export.accounts or ():
                if other not in known:
                    processing.error(node, f"{quoted(other)} account not defined for {export.kind} export")
        for entry in shared[name].imports:
            if entry.exporter not in known:
                processing.error(node, f"{quoted(entry.exporter)} account not defined for {entry.kind} import")
    for kind in (STREAM, SERVICE):
        for name in shared:
            for export in shared[name].exports:
                if export.kind == kind:
                    _link_export(processing, node, export, shared[name].exports)
    if len(processing.faults) == faults:
        _link_imports(processing, node, known, shared)


def _link_export(processing: Processing, node: Node, export: Export, exports: tuple[Export, ...]) -> None:
    position = export.token_position
    tokens = export.subject.split(".")
    if position and not (1 <= position <= len(tokens) and tokens[position - 1] == "*"):
        text = f"Error adding {export.kind} export {quoted(export.subject)}: sublist: invalid subject"
        processing.error(node, text)
        return
    if export.latency is None:
        return
    results = export.latency.subject
    about = f"Error adding service latency sampling for {quoted(export.subject)}"
    if processing.draft.get("authorization.no_system_account"):
        processing.error(node, f"{about}: system account not setup")
    elif not is_literal(results) or any(other.kind == SERVICE and covers(other.subject, results) for other in exports):
        processing.error(node, f"{about} on subject {quoted(results)}: invalid publish subject")
    elif export.response != SINGLETON:
        processing.error(node, f"{about} on subject {quoted(results)}: bad service response type")


def _link_imports(processing: Processing, node: Node, known: set[str], shared: dict[str, Shared]) -> None:
    from gossamer.auth.sharing.resolution import Resolution  # not needed without imports

    resolution = Resolution()
    resolution.put_all(
        [
            AccountSharing(account=name, exports=shared[name].exports, imports=shared[name].imports)
            if name in shared
            else AccountSharing(account=name)
            for name in [*shared, *sorted(known - shared.keys())]
        ],
        now=0,
    )
    for kind in (STREAM, SERVICE):
        for name, each in shared.items():
            refused = {id(refusal.entry): refusal.error for refusal in resolution.effective(name).refusals}
            for number, entry in enumerate(each.imports):
                if entry.kind != kind:
                    continue
                error = refused.get(id(entry), "")
                if kind == STREAM and has_wildcards(each.prefixes.get(number, "")):
                    error = "stream import prefix can not contain wildcard tokens"
                if error:
                    processing.error(node, f"Error adding {kind} import {quoted(entry.subject)}: {error}")


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


def _latency(processing: Processing, key: str, node: Node) -> dict[str, Any]:
    if isinstance(node.value, str):
        return {"subject": as_text(node), "sampling": 100}
    if not isinstance(node.value, dict):
        raise Wrong(f"Expected latency entry to be a map/struct or string, got {node.go_type}")
    given = {name.lower(): child for name, child in node.value.items()}
    value: Any = 100
    if "sampling" in given:
        value = given["sampling"].value
        if isinstance(value, str) and value.lower() != "headers":
            found = _PERCENT.fullmatch(value)
            value = int(found[1]) if found else 0
        if not (isinstance(value, str) or (type(value) is int and 1 <= value <= 100)):
            raise Wrong("bad sampling percentage, should be 1-100", node=given["sampling"])
    if "subject" not in given:
        raise Wrong("Latency subject required, but missing")
    return {"subject": as_text(given["subject"]), "sampling": 0 if isinstance(value, str) else value}


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
