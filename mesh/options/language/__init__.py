"""The configuration language of nats-server: text to a tree of values with places (spec configuration section 2)."""

from gossamer.mesh.options.language.digest import digest
from gossamer.mesh.options.language.document import Document, Node
from gossamer.mesh.options.language.faults import ConfigurationError, Fault, Place
from gossamer.mesh.options.language.reading import Reader, parse_file, parse_text, read_from_disk

__all__ = [
    "ConfigurationError",
    "Document",
    "Fault",
    "Node",
    "Place",
    "Reader",
    "digest",
    "parse_file",
    "parse_text",
    "read_from_disk",
]
