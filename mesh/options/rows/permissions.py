"""Permissions in a file: the forms of spec configuration section 5.3 as ``gossamer.auth.permissions`` values.

``publish: []`` restricts nothing (spec auth section 15.1), like a direction that is left out.
"""

from collections.abc import Callable
from typing import Any

from gossamer.auth.permissions import (
    RESPONSE_MESSAGES_DEFAULT,
    RESPONSE_TTL_DEFAULT_NS,
    Permissions,
    ResponsePermissions,
    SubjectPermissions,
)
from gossamer.auth.subjects import is_valid
from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.table import Row, Type, Wrong, block
from gossamer.mesh.options.types import as_integer, as_text, shown
from gossamer.mesh.options.units import parse_duration


def _permissions(processing: Processing, key: str, node: Node) -> Permissions:
    if not isinstance(node.value, dict):
        raise Wrong(f"Expected permissions to be a map/struct, got {shown(node)}")
    values = processing.block("permissions", node)
    publish: SubjectPermissions = values.get("publish", SubjectPermissions())
    responses: ResponsePermissions | None = values.get("allow_responses")
    if responses is not None and publish.allow is None:
        publish = SubjectPermissions(allow=(), deny=publish.deny)  # nothing but answers may be published
    return Permissions(publish=publish, subscribe=values.get("subscribe", SubjectPermissions()), responses=responses)


PERMISSIONS = Type("permissions", _permissions)


def _direction(*, queues: bool) -> Callable[[Processing, str, Node], SubjectPermissions]:
    def convert(processing: Processing, key: str, node: Node) -> SubjectPermissions:
        if not isinstance(node.value, dict):
            try:
                return SubjectPermissions(allow=_subjects(node, queues) or None)
            except Wrong as wrong:  # this style is reported without a position
                raise Wrong(str(wrong), node=node, bare=not isinstance(wrong.node, Node)) from None
        name = "permissions.subscribe" if queues else "permissions.publish"
        values = processing.block(name, node)
        return SubjectPermissions(allow=values.get("allow") or None, deny=values.get("deny", ()))

    return convert


def subject_list(*, queues: bool) -> Type:
    return Type("subject or [subject]", lambda processing, key, node: _subjects(node, queues))


def _subjects(node: Node, queues: bool) -> tuple[str, ...]:
    if isinstance(node.value, str):
        return (_subject(as_text(node), queues),)
    if isinstance(node.value, list):
        found = []
        for each in node.value:
            if not isinstance(each.value, str):
                raise Wrong("Subject in permissions array cannot be cast to string", node=each)
            found.append(_subject(as_text(each), queues))
        return tuple(found)
    raise Wrong(f"Expected subject permissions to be a subject, or array of subjects, got {node.go_type}")


def _subject(text: str, queues: bool) -> str:
    """One entry, its blanks made single. Raises Wrong."""
    parts = text.split()
    if queues and len(parts) == 2:
        if not is_valid(parts[0]):
            raise Wrong(f"subject {quoted(parts[0])} is not a valid subject")
        if not is_valid(parts[1]):
            raise Wrong(f"queue {quoted(parts[1])} is not a valid queue")
        return " ".join(parts)
    if queues and len(parts) == 1:
        text = parts[0]
    if not is_valid(text):
        raise Wrong(f"subject {quoted(text)} is not a valid subject")
    return text


def _responses(processing: Processing, key: str, node: Node) -> ResponsePermissions | None:
    if isinstance(node.value, bool):
        return ResponsePermissions() if node.value else None
    if not isinstance(node.value, dict):
        raise Wrong("error parsing response permissions, expected a boolean or a map")
    values = processing.block("permissions.allow_responses", node)
    return ResponsePermissions(
        max_messages=values.get("max") or RESPONSE_MESSAGES_DEFAULT,
        ttl_ns=values.get("expires") or RESPONSE_TTL_DEFAULT_NS,
    )


def _expires(processing: Processing, key: str, node: Node) -> int:
    if not isinstance(node.value, str):
        raise Wrong("error parsing expires, not a duration string", suggestion='write a duration like "2m"')
    try:
        return parse_duration(as_text(node))
    except ValueError as error:
        raise Wrong(f"error parsing expires: {error}") from None


def _max_messages(processing: Processing, key: str, node: Node) -> Any:
    return as_integer(node)


BLOCKS = (
    block(
        "permissions",
        "permissions",
        (
            Row(
                keys=("publish", "pub", "import"),
                type=Type("subjects or block permissions.publish", _direction(queues=False)),
                doc="What may be published: a subject, a list, or `{allow, deny}`.",
            ),
            Row(
                keys=("subscribe", "sub", "export"),
                type=Type("subjects or block permissions.subscribe", _direction(queues=True)),
                doc='What may be subscribed to; an entry may name a queue too: "subject queue".',
            ),
            Row(
                keys=("allow_responses", "publish_allow_responses"),
                type=Type("boolean or block permissions.allow_responses", _responses),
                default="false",
                doc="May answer on the reply subject of a message that was received.",
            ),
        ),
        unknown="Unknown field {key} parsing permissions",
    ),
    *(
        block(
            name,
            name,
            (
                Row(keys=("allow",), type=subject_list(queues=queues), doc="Allowed subjects; none given: all."),
                Row(keys=("deny",), type=subject_list(queues=queues), doc="Denied subjects; they win."),
            ),
            unknown="Unknown field name {key} parsing subject permissions, only 'allow' or 'deny' are permitted",
        )
        for name, queues in (("permissions.publish", False), ("permissions.subscribe", True))
    ),
    block(
        "permissions.allow_responses",
        "permissions.allow_responses",
        (
            Row(
                keys=("max", "max_msgs", "max_messages", "max_responses"),
                type=Type("integer", _max_messages),
                default="1",
                doc="Answers to one message; negative is unlimited.",
            ),
            Row(
                keys=("expires", "expiration", "ttl"),
                type=Type("duration string", _expires),
                default="2m",
                doc="How long an answer may take; negative is unlimited.",
            ),
        ),
        unknown="Unknown field {key} parsing permissions",
    ),
)
