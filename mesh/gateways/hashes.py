"""The short names of clusters and servers in mapped replies (spec gateways section 9.4)."""

import hashlib
from typing import Final

_LETTERS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
#: Letters of a hash.
HASH_LENGTH: Final = 6


def short_hash(text: str, length: int = HASH_LENGTH) -> bytes:
    """Six letters that stand for the name of a cluster or the id of a server in ``_GR_.<cluster>.<server>.``: the first
    six bytes of its SHA-256, each modulo 62 as a digit or letter. Elsewhere it has another ``length``, at most 32."""
    digest = hashlib.sha256(text.encode()).digest()
    return "".join(_LETTERS[byte % len(_LETTERS)] for byte in digest[:length]).encode()
