"""What a configuration file says, before anybody knows what the keys mean: a tree of typed values with places."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from gossamer.mesh.options.language.faults import Place

#: Go's names of the types, which nats-server prints when a value is of the wrong one (spec configuration section 2.8).
_GO_TYPES: dict[type, str] = {
    str: "string",
    int: "int64",
    float: "float64",
    bool: "bool",
    dict: "map[string]interface {}",
    list: "[]interface {}",
    datetime: "time.Time",
}


class Node:
    """A value. ``value`` is str, int, float, bool, datetime, a dict of nodes by key, or a list of nodes.

    ``place`` is that of the key if there is one, else of the value. ``used``: some ``$NAME`` refers to it, so its key
    may be unknown. ``weight`` counts the values below it with every reference written out.
    """

    __slots__ = ("place", "used", "value", "weight")

    def __init__(self, value: Any, place: Place, weight: int = 1) -> None:
        self.value = value
        self.place = place
        self.used = False
        self.weight = weight

    def __repr__(self) -> str:
        return f"Node({self.value!r}, {str(self.place)!r})"

    @property
    def go_type(self) -> str:
        """The type as Go names it, for texts."""
        return _GO_TYPES[type(self.value)]

    @property
    def plain(self) -> Any:
        """The value without places: dicts and lists all the way down."""
        if isinstance(self.value, dict):
            return {key: node.plain for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain for node in self.value]
        return self.value

    def __getitem__(self, key: str | int) -> "Node":
        node: Node = self.value[key]
        return node

    def __iter__(self) -> Iterator[Any]:
        return iter(self.value)


class Document(Node):
    """A whole file: a node whose value is a dict. ``name`` is the file as it was given."""

    __slots__ = ("name",)

    value: dict[str, Node]

    def __init__(self, value: dict[str, Node], name: str, weight: int = 1) -> None:
        super().__init__(value, Place(name, 1, 0), weight)
        self.name = name
