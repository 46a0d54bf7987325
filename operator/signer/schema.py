"""The protobuf description of the service, made from ``messages``: for reflection, for the wire, and as a ``.proto``
text for clients in other languages (``python -m gossamer.operator.signer.schema > signer.proto``).
"""

import sys
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory  # type: ignore[import-untyped]
from msgspec import structs

from gossamer.operator.signer.messages import MESSAGES, METHODS, PACKAGE, Message

FILE_NAME = "gossamer/signer/v1/signer.proto"
_SCALARS = {str: "string", int: "int64", bool: "bool"}


def _field_type(hint: Any) -> tuple[Any, bool]:
    """The element's type, and whether it is repeated."""
    return (get_args(hint)[0], True) if get_origin(hint) is tuple else (hint, False)


def _fields(kind: type[Message]) -> list[tuple[str, Any, bool]]:
    hints = get_type_hints(kind)
    return [(info.name, *_field_type(hints[info.name])) for info in structs.fields(kind)]


def proto_text() -> str:
    """The ``.proto`` file."""
    lines = [
        "// Made by: python -m gossamer.operator.signer.schema",
        "// Times are unix seconds, 0 for none. ..._json is JSON text: a decoded claim or a part of one.",
        'syntax = "proto3";',
        "",
        f"package {PACKAGE};",
        "",
        "service Signer {",
    ]
    for name, method in METHODS.items():
        stream = "stream " if method.streams else ""
        lines.append(f"  rpc {name}({method.request.__name__}) returns ({stream}{method.response.__name__});")
    lines.append("}")
    for kind in MESSAGES:
        fields = _fields(kind)
        lines += ["", f"// {' '.join((kind.__doc__ or '').split())}"]
        lines.append(f"message {kind.__name__} {{" + ("}" if not fields else ""))
        for number, (name, hint, repeated) in enumerate(fields, 1):
            word = "repeated " if repeated else ""
            lines.append(f"  {word}{_SCALARS.get(hint, getattr(hint, '__name__', ''))} {name} = {number};")
        if fields:
            lines.append("}")
    return "\n".join(lines) + "\n"


def _descriptor() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name=FILE_NAME, package=PACKAGE, syntax="proto3")
    scalar = descriptor_pb2.FieldDescriptorProto
    types = {str: scalar.TYPE_STRING, int: scalar.TYPE_INT64, bool: scalar.TYPE_BOOL}
    for kind in MESSAGES:
        message = file.message_type.add(name=kind.__name__)
        for number, (name, hint, repeated) in enumerate(_fields(kind), 1):
            field = message.field.add(name=name, number=number)
            field.label = scalar.LABEL_REPEATED if repeated else scalar.LABEL_OPTIONAL
            field.type = types.get(hint, scalar.TYPE_MESSAGE)
            if hint not in types:
                field.type_name = f".{PACKAGE}.{hint.__name__}"
    service = file.service.add(name="Signer")
    for name, method in METHODS.items():
        service.method.add(
            name=name,
            input_type=f".{PACKAGE}.{method.request.__name__}",
            output_type=f".{PACKAGE}.{method.response.__name__}",
            server_streaming=method.streams,
        )
    return file


#: A pool with everything in it, for reflection.
POOL: Any = descriptor_pool.Default()
POOL.Add(_descriptor())
_CLASSES = {
    kind: message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"{PACKAGE}.{kind.__name__}")) for kind in MESSAGES
}


def to_wire(message: Message) -> bytes:
    """The protobuf bytes of a message."""
    return bytes(_filled(message).SerializeToString())


def from_wire(kind: type[Message], data: bytes) -> Message:
    """A message from protobuf bytes. Raises ValueError."""
    try:
        return _read(kind, _CLASSES[kind].FromString(data))
    except Exception as error:  # protobuf's own error class differs between its implementations
        raise ValueError(f"not a {kind.__name__}: {type(error).__name__}") from None


def _filled(message: Message) -> Any:
    found = _CLASSES[type(message)]()
    for name, hint, repeated in _fields(type(message)):
        value = getattr(message, name)
        if repeated:
            getattr(found, name).extend([value_ if hint in _SCALARS else _filled(value_) for value_ in value])
        else:
            setattr(found, name, value)
    return found


def _read(kind: type[Message], found: Any) -> Message:
    values: dict[str, Any] = {}
    for name, hint, repeated in _fields(kind):
        value = getattr(found, name)
        if repeated:
            values[name] = tuple(item if hint in _SCALARS else _read(hint, item) for item in value)
        else:
            values[name] = value
    return msgspec.convert(values, kind)


if __name__ == "__main__":
    sys.stdout.write(proto_text())
