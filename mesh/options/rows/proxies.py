"""Proxies that may vouch for connections (spec configuration section 5.8)."""

from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.language.faults import quoted
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.table import Row, Type, Wrong, block
from gossamer.mesh.options.types import array_of_blocks, as_text


def _proxy_key(processing: Processing, key: str, node: Node) -> str:
    from gossamer.auth.keys import is_public

    text = as_text(node)
    if not is_public(text):
        raise Wrong(f"invalid proxy key {quoted(text)}")
    return text


BLOCKS = (
    block(
        "proxies",
        "proxies",
        (
            Row(
                keys=("trusted",),
                type=array_of_blocks(
                    "proxies.trusted",
                    "expected proxies' trusted field to be an array, got {type}",
                    "expected proxies' trusted entry to be a map/struct, got {type}",
                ),
                doc="The proxies.",
            ),
        ),
    ),
    block(
        "proxies.trusted",
        "proxies.trusted[]",
        (Row(keys=("key", "public_key"), type=Type("nkey", _proxy_key), doc="Public nkey of the proxy, of any kind."),),
    ),
)
