"""Who a node is: made anew at each start (spec client-protocol section 4.1)."""

from msgspec import Struct

from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.xkeys import CurveKeyPair
from gossamer.mesh.world import Randomness

_LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


class Identity(Struct, frozen=True, kw_only=True):
    """``server_id`` is a public server nkey, ``xkey`` a public curve key; ``signer`` and ``curve`` are the pairs they
    belong to."""

    server_id: str
    server_name: str
    xkey: str
    signer: KeyPair
    curve: CurveKeyPair


def make_identity(server_name: str, randomness: Randomness) -> Identity:
    """An empty ``server_name`` becomes the id."""
    signer = KeyPair.generate(KeyKind.SERVER, randomness.token)
    curve = CurveKeyPair.generate(randomness.token)
    return Identity(
        server_id=signer.public,
        server_name=server_name or signer.public,
        xkey=curve.public,
        signer=signer,
        curve=curve,
    )


def unique_name(randomness: Randomness) -> str:
    """22 characters that nobody else will choose: ids of events."""
    return "".join(_LETTERS[byte % 62] for byte in randomness.token(22))
