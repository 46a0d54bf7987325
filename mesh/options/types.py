"""How single values are read: nats-server's coercions and its texts for what does not fit (spec configuration 2, 4)."""

from collections.abc import Callable
from typing import Any

from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.suggestions import duration_for
from gossamer.mesh.options.table import Type, Wrong
from gossamer.mesh.options.units import parse_duration, parse_store_size

_SECOND_NS = 1_000_000_000
_INT32_MAX = 2**31 - 1


def mismatch(node: Node, wanted: str) -> Wrong:
    """The text Go's type assertion gives."""
    return Wrong(f"interface conversion: interface {{}} is {node.go_type}, not {wanted}", node=node)


def as_text(node: Node) -> str:
    """A string. Bytes that are no UTF-8 are refused: they could not be shown or sent as JSON."""
    if not isinstance(node.value, str):
        raise mismatch(node, "string")
    try:
        node.value.encode()
    except UnicodeEncodeError:
        raise Wrong("text is not valid UTF-8", node=node) from None
    return node.value


def as_integer(node: Node) -> int:
    """An integer; a boolean is none."""
    if type(node.value) is not int:
        raise mismatch(node, "int64")
    return node.value


def as_boolean(node: Node) -> bool:
    """One of the bare words."""
    if not isinstance(node.value, bool):
        raise mismatch(node, "bool")
    return node.value


def as_map(node: Node) -> dict[str, Node]:
    """A map, as the generic type error has it."""
    if not isinstance(node.value, dict):
        raise mismatch(node, "map[string]interface {}")
    return node.value


def as_array(node: Node) -> list[Node]:
    """An array, as the generic type error has it."""
    if not isinstance(node.value, list):
        raise mismatch(node, "[]interface {}")
    return node.value


def shown(node: Node) -> str:
    """A value as Go's ``%v`` prints it, for the texts that do."""
    value = node.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{key}:{shown(value[key])}" for key in sorted(value)) + "]"
    if isinstance(value, list):
        return "[" + " ".join(shown(each) for each in value) + "]"
    return str(value)


def _simple(reader: Callable[[Node], Any]) -> Callable[[Processing, str, Node], Any]:
    return lambda processing, key, node: reader(node)


BOOLEAN = Type("boolean", _simple(as_boolean))
INTEGER = Type("integer", _simple(as_integer))
SIZE = Type("size", _simple(as_integer))
TEXT = Type("text", _simple(as_text))


def _int32(processing: Processing, key: str, node: Node) -> int:
    value = as_integer(node)
    if value > _INT32_MAX:
        raise Wrong(f"{key.lower()} value is too big", suggestion="the largest is 2147483647")
    return value


SIZE_31 = Type("size", _int32)


def duration_text(processing: Processing, key: str, node: Node) -> int:
    """Nanoseconds of a string, with the key in the text of the error."""
    try:
        return parse_duration(as_text(node))
    except ValueError as error:
        raise Wrong(f"error parsing {key.lower()}: {error}") from None


def plain_duration(processing: Processing, key: str, node: Node) -> int:
    """Nanoseconds of a string; the error has Go's text alone."""
    try:
        return parse_duration(as_text(node))
    except ValueError as error:
        raise Wrong(str(error)) from None


def _duration(processing: Processing, key: str, node: Node) -> int:
    if isinstance(node.value, str):
        return duration_text(processing, key, node)
    lowered = key.lower()
    processing.warn(
        node,
        f"invalid use of field {quoted(lowered)}: {lowered} should be converted to a duration",
        suggestion=duration_for(node.value) if type(node.value) is int else "",
    )
    return _in_range(as_integer(node) * _SECOND_NS, key)


def _in_range(duration_ns: int, key: str) -> int:
    if not -(2**63) <= duration_ns < 2**63:
        raise Wrong(f"{key.lower()} value is too big")
    return duration_ns


DURATION = Type("duration", _duration)
DURATION_TEXT = Type("duration string", duration_text)
DURATION_PLAIN = Type("duration string", plain_duration)


def seconds(what: str) -> Type:
    """Seconds as a number or a duration; ``what`` begins the error: ``error parsing tls config, 'timeout'``."""

    def convert(processing: Processing, key: str, node: Node) -> int:
        value = node.value
        if isinstance(value, str):
            try:
                return parse_duration(as_text(node))
            except ValueError as error:
                raise Wrong(f"{what} {error}") from None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise Wrong(f"{what} wrong type")
        return _in_range(int(value * _SECOND_NS), key)

    return Type("seconds", convert)


def _texts(processing: Processing, key: str, node: Node, what: str) -> tuple[str, ...]:
    if isinstance(node.value, str):
        return (as_text(node),)
    if isinstance(node.value, list):
        found = []
        for each in node.value:
            if not isinstance(each.value, str):
                raise Wrong(f"error parsing {what}: unsupported type in array {each.go_type}", node=each)
            found.append(as_text(each))
        return tuple(found)
    raise Wrong(f"error parsing {what}: unsupported type {node.go_type}")


def texts(what: str) -> Type:
    """A string or an array of strings; ``what`` names it in errors."""
    return Type("text or [text]", lambda processing, key, node: _texts(processing, key, node, what))


def _array_of_texts(processing: Processing, key: str, node: Node) -> tuple[str, ...]:
    return tuple(as_text(each) for each in as_array(node))


ARRAY_OF_TEXT = Type("[text]", _array_of_texts)


def choice(text: str, *words: str) -> Type:
    """One of some words, exactly; else ``text``."""

    def convert(processing: Processing, key: str, node: Node) -> str:
        value = as_text(node)
        if value not in words:
            raise Wrong(text.format(key=key.lower(), value=value))
        return value

    return Type(" | ".join(words), convert)


WRITE_TIMEOUT = choice("{key} must be 'default', 'close' or 'retry'", "default", "close", "retry")


def _listen(processing: Processing, key: str, node: Node) -> tuple[str, int]:
    value = node.value
    if type(value) is int:
        return "", value
    if not isinstance(value, str):
        raise Wrong(f"expected port or host:port, got {node.go_type}")
    text = as_text(node)
    host, separator, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host or "[" in host or "]" in host:
        separator = ""
    if not separator:
        raise Wrong(f"could not parse address string {quoted(text)}", suggestion='write a port, or "host:port"')
    digits = port[1:] if port[:1] in "+-" else port
    if not (digits.isascii() and digits.isdigit()) or len(digits) > 18:
        raise Wrong(f"could not parse port {quoted(port)}")
    return host, int(port)


LISTEN = Type("port or host:port", _listen)


def _map_of_texts(what: str) -> Callable[[Processing, str, Node], tuple[tuple[str, str], ...]]:
    def convert(processing: Processing, key: str, node: Node) -> tuple[tuple[str, str], ...]:
        if not isinstance(node.value, dict):
            raise Wrong(what.format(type=node.go_type))
        return tuple((name, as_text(child)) for name, child in node.value.items())

    return convert


def map_of_texts(what: str) -> Type:
    """A map whose keys are data; ``what`` is the text for anything but a map."""
    return Type("map of text", _map_of_texts(what))


def _no_spaces(text: str) -> Callable[[Processing, str, Node], str]:
    def convert(processing: Processing, key: str, node: Node) -> str:
        value = as_text(node)
        if " " in value:
            raise Wrong(text)
        return value

    return convert


def name(text: str) -> Type:
    """A name without blanks; ``text`` is the error."""
    return Type("text without spaces", _no_spaces(text))


def _store_size(label: str) -> Callable[[Processing, str, Node], int]:
    def convert(processing: Processing, key: str, node: Node) -> int:
        if isinstance(node.value, str):
            try:
                return parse_store_size(as_text(node))
            except ValueError as error:
                raise Wrong(f"{label or key.lower()} {error}", suggestion='write 10G or "10G"') from None
        return as_integer(node)

    return convert


def store_size(label: str = "") -> Type:
    """A size in the jetstream block: an integer, or a quoted one whose units are powers of 1024."""
    return Type("store size", _store_size(label))


def map_block(block: str, text: str = "") -> Type:
    """A map of the rows of ``block``, as a dict by canonical key. ``text``: the error for anything but a map, in which
    ``{type}`` and ``{value}`` may stand; without it the generic one."""

    def convert(processing: Processing, key: str, node: Node) -> dict[str, Any]:
        if not isinstance(node.value, dict):
            if text:
                raise Wrong(text.format(type=node.go_type, value=shown(node), key=key))
            as_map(node)
        return processing.block(block, node)

    return Type(f"block {block}", convert)


def array_of_blocks(block: str, outer: str, inner: str) -> Type:
    """An array of such maps; ``outer`` and ``inner`` are the errors for anything but an array, anything but a map."""

    def convert(processing: Processing, key: str, node: Node) -> list[dict[str, Any]]:
        if not isinstance(node.value, list):
            raise Wrong(outer.format(type=node.go_type, value=shown(node)))
        found = []
        for each in node.value:
            if not isinstance(each.value, dict):
                text = inner.format(type=each.go_type, value=shown(each))
                processing.error(each, text)
                continue
            found.append(processing.block(block, each))
        return found

    return Type(f"[block {block}]", convert)
