"""Proxies that may vouch for connections (spec configuration section 5.8)."""

from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.table import Reload, Row, Type, Wrong, block
from gossamer.mesh.options.types import array_of_blocks, as_text


def _proxy_key(processing: Processing, key: str, node: Node) -> str:
    from gossamer.auth.keys import is_public

    text = as_text(node)
    if not is_public(text):
        raise Wrong(f"invalid proxy key {quoted(text)}")
    return text


_ENTRIES = array_of_blocks(
    "proxies.trusted",
    "expected proxies' trusted field to be an array, got {type}",
    "expected proxies' trusted entry to be a map/struct, got {type}",
)


def _trusted(processing: Processing, key: str, node: Node) -> tuple[str, ...]:
    entries = _ENTRIES.convert(processing, key, node)
    return tuple(dict.fromkeys(entry["key"] for entry in entries if "key" in entry))


BLOCKS = (
    block(
        "proxies",
        "proxies",
        (
            Row(
                keys=("trusted",),
                type=Type(_ENTRIES.name, _trusted),
                fields=("authorization.trusted_proxies",),
                doc="The proxies. Connections of one that is removed are closed.",
                reload=Reload.YES,
            ),
        ),
    ),
    block(
        "proxies.trusted",
        "proxies.trusted[]",
        (Row(keys=("key", "public_key"), type=Type("nkey", _proxy_key), doc="Public nkey of the proxy, of any kind."),),
    ),
)
