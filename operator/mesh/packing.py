"""The hash that servers compare their accounts by (spec auth section 22.3), and the lines of a pack."""

import hashlib
from collections.abc import Iterable

HASH_BYTES = 32


def pack_hash(tokens: Iterable[str]) -> bytes:
    """XOR of the SHA-256 of all tokens: 32 bytes, whatever their order; zeros for none."""
    number = 0
    for token in tokens:
        number ^= int.from_bytes(hashlib.sha256(token.encode()).digest(), "big")
    return number.to_bytes(HASH_BYTES, "big")


def read_pack(content: bytes) -> list[tuple[str, str]]:
    """Pairs of account and token in one message of a pack; lines that are none are left out."""
    found = []
    for line in content.decode("utf-8", "replace").split("\n"):
        account, bar, token = line.partition("|")
        if bar and account and token:
            found.append((account, token))
    return found
