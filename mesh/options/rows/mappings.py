"""Subject mappings and the destination of message traces (spec configuration sections 5.4 and 5.6)."""

import re
from typing import Any

from gossamer.auth.sharing.values import Mapping, Target
from gossamer.auth.subjects import is_literal, is_valid
from gossamer.auth.transforms import TransformError, parse
from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.table import Row, Type, Wrong, block
from gossamer.mesh.options.types import TEXT, as_map, as_text, shown

_PERCENT = re.compile("([0-9]{1,3})%?")


def _mappings(processing: Processing, key: str, node: Node) -> tuple[Mapping, ...]:
    as_map(node)
    found = []
    for source, child in node.value.items():
        if not is_valid(source):
            processing.error(node, f"Subject {quoted(source)} is not a valid subject")
            continue
        targets = _mapping(processing, source, child)
        if targets:
            found.append(Mapping(source=source, targets=tuple(targets), place=str(child.place)))
    return tuple(found)


def _mapping(processing: Processing, source: str, node: Node) -> list[Target]:
    if isinstance(node.value, str):
        only = Target(subject=as_text(node))
        return [only] if _is_sound(processing, source, only, node, single=True) else []
    entries = node.value if isinstance(node.value, list) else [node]
    total: dict[str, int] = {}
    found: list[Target] = []
    for each in entries:
        if not isinstance(each.value, dict):
            text = "Expected an entry for the mapping destination"
            processing.error(each, text, suggestion='write a subject, or {destination: "x", weight: 50%}')
            continue
        values = processing.block("mapping", each)
        given = {name.lower() for name in each.value}
        if "destination" not in values:
            continue
        destination: str = values["destination"]
        if "weight" not in given:
            processing.error(node, f"Missing weight for mapping destination {quoted(destination)}")
            continue
        if "weight" not in values:
            continue
        if any(destination == target.subject for target in found):
            processing.error(
                node, f"Error adding mapping for {quoted(source)} : duplicate entry for {quoted(destination)}"
            )
            continue
        target = Target(subject=destination, weight=values["weight"], cluster=values.get("cluster", ""))
        total[target.cluster] = total.get(target.cluster, 0) + target.weight
        found.append(target)
        if total[target.cluster] > 100:
            processing.error(node, f"Error adding mapping for {quoted(source)} : total weight needs to be <= 100")
            continue
        if not _is_sound(processing, source, target, node, single=False):
            found.pop()
    return found


def _is_sound(processing: Processing, source: str, target: Target, node: Node, *, single: bool) -> bool:
    try:
        parse(source, target.subject)
    except TransformError as error:
        what = f"{quoted(source)} to {quoted(target.subject)}" if single else quoted(source)
        processing.error(node, f"Error adding mapping for {what} : {error}")
        return False
    return True


def _weight(processing: Processing, key: str, node: Node) -> int:
    value = node.value
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    number = int(found[1]) if found else value
    if type(number) is not int or not 0 <= number <= 100:
        what = quoted(value) if isinstance(value, str) else shown(node)
        raise Wrong(f"Invalid weight {what} for mapping destination", suggestion="0 to 100, with or without %")
    return number


def _trace(processing: Processing, key: str, node: Node) -> Any:
    name = quoted(key.lower())
    if isinstance(node.value, str):
        return _trace_subject(processing, key, node)
    if not isinstance(node.value, dict):
        text = f"Expected account message trace {name} to be a string or a map/struct, got {node.go_type}"
        raise Wrong(text)
    values = processing.block("msg_trace", node)
    given = {word.lower() for word in node.value}
    if "sampling" in given and "dest" not in given:
        processing.warn(node, "Trace destination sampling ignored since no destination was set")
        return None
    return values


def _trace_subject(processing: Processing, key: str, node: Node) -> str:
    text = as_text(node)
    if text and not is_literal(text):
        raise Wrong(f"Trace destination {quoted(text)} is not valid")
    return text


def _sampling(processing: Processing, key: str, node: Node) -> int:
    value = node.value
    found = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    number = int(found[1]) if found else value
    if type(number) is not int or not 1 <= number <= 100:
        raise Wrong(f"Trace destination sampling value {shown(node)} is invalid, needs to be [1..100]")
    return number


MAPPINGS = Type("map of text or block mapping", _mappings)
MESSAGE_TRACE = Type("subject or block msg_trace", _trace)

BLOCKS = (
    block(
        "mapping",
        "mappings.SUBJECT",
        (
            Row(keys=("destination", "dest"), type=TEXT, doc="Subject the message gets."),
            Row(keys=("weight",), type=Type("percent", _weight), doc="Share of the messages."),
            Row(keys=("cluster",), type=TEXT, doc="Only in this cluster."),
        ),
        unknown="Unknown field {key} for mapping destination",
    ),
    block(
        "msg_trace",
        "accounts.NAME.msg_trace",
        (
            Row(keys=("dest",), type=Type("subject", _trace_subject), doc="Subject for the traces."),
            Row(
                keys=("sampling",), type=Type("percent", _sampling), default="100", doc="Share of the messages traced."
            ),
        ),
        unknown='Unknown field {key} parsing account message trace map/struct "msg_trace"',
    ),
)
