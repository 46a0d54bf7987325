"""Decorated files: credentials (a user JWT and its seed), tokens and seeds between dashed lines, and plain ``.nk``
files (spec auth section 7).

Writing uses LF and exactly the reference's labels: some clients read nothing else. Reading takes any label, LF or CRLF,
and text around the blocks; what is read must then hold together: a token that verifies, a seed that belongs to it.
"""

import base64
import re
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct

from gossamer.auth.claims import UserClaims
from gossamer.auth.jwt import TokenError, decode, decode_as
from gossamer.auth.keys import KeyKind, KeyPair, NkeyError

_CONTENT = re.compile(r"[A-Za-z0-9_.=-]+\Z")
_SEED_STARTS = ("SO", "SA", "SU")
_SEED_KINDS = (KeyKind.OPERATOR, KeyKind.ACCOUNT, KeyKind.USER)

_TOKEN_TEXT = """\
-----BEGIN NATS {label} JWT-----
{token}
------END NATS {label} JWT------

"""
_SEED_TEXT = """\
************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.
NKEYs are sensitive and should be treated as secrets.

-----BEGIN {label} NKEY SEED-----
{seed}
------END {label} NKEY SEED------

*************************************************************
"""


class CredentialsError(ValueError):
    """A file that should hold a key or credentials does not. The text says what is wrong and what to do."""


class Credentials(Struct, frozen=True, kw_only=True):
    """What a client needs to come in. ``seed`` is empty where a bearer token stands alone."""

    jwt: str
    claims: UserClaims
    seed: str = ""

    def __repr__(self) -> str:
        """Without the secret."""
        return f"<Credentials of {self.claims.name or self.claims.subject}>"

    @property
    def key(self) -> KeyPair:
        """The user's key pair. Raises CredentialsError for a bearer token without one."""
        if not self.seed:
            raise CredentialsError("these credentials hold no seed: a bearer token needs none, but cannot sign")
        return KeyPair.from_seed(self.seed)

    def client_options(self) -> dict[str, Callable[..., bytes]]:
        """Options for ``nats.connect(**options)``: they do what ``user_credentials`` does there, without the file and
        without another library for keys."""

        def token() -> bytes:
            return self.jwt.encode()

        def sign(nonce: str) -> bytes:
            # nats-py sends no JWT without a signature: for a bearer token an empty one will do.
            return base64.b64encode(self.key.sign(nonce.encode())) if self.seed else b""

        return {"user_jwt_cb": token, "signature_cb": sign}


def format_token(token: str) -> str:
    """A decorated JWT; the label follows from its type. Raises TokenError."""
    return _TOKEN_TEXT.format(label=decode(token).TYPE.upper(), token=token)


def format_seed(seed: str) -> str:
    """A decorated seed. Raises NkeyError, also for kinds that are never decorated."""
    kind = KeyPair.from_seed(seed).kind
    if kind not in _SEED_KINDS:
        raise NkeyError(f"a {kind.word} seed is not written as a decorated file")
    return _SEED_TEXT.format(label=kind.name, seed=seed)


def format_credentials(token: str, seed: str) -> str:
    """The text of a ``.creds`` file. Raises TokenError, NkeyError, or CredentialsError when the two do not belong
    together."""
    claims = decode_as(UserClaims, token)
    _check_pair(claims, KeyPair.from_seed(seed))
    return format_signed(token, seed)


def format_signed(token: str, seed: str) -> str:
    """The same for whoever has just signed the token for that very user seed: nothing is checked."""
    user = KeyKind.USER.name
    return _TOKEN_TEXT.format(label=user, token=token) + _SEED_TEXT.format(label=user, seed=seed)


def find_token(text: str) -> str:
    """The first block's text, or the whole text where nothing is decorated. Nothing is verified.

    Raises CredentialsError when that cannot be a JWT.
    """
    blocks = _blocks(text)
    token = blocks[0] if blocks else text.strip()
    if not token.startswith("eyJ"):
        raise CredentialsError("holds no JWT")
    return token


def find_seed(text: str) -> str:
    """The second block's text; else the first line that begins like a seed.

    Raises CredentialsError when there is none, or when it is not the seed of an operator, account or user.
    """
    blocks = _blocks(text)
    candidates = blocks[1:2] or [line for line in text.splitlines() if line.startswith(_SEED_STARTS)]
    if not candidates:
        raise CredentialsError("doesn't contain a seed nkey")
    try:
        return KeyPair.from_seed(candidates[0].rstrip()).seed
    except NkeyError as error:
        raise CredentialsError(f"its seed is damaged: {error}") from None


def parse_key(text: str) -> KeyPair:
    """The key of an ``.nk`` file: a seed (decorated or not) or a public key, alone. Raises CredentialsError."""
    bare = text.strip()
    try:
        if len(bare.split()) == 1 and not bare.startswith("S"):
            return KeyPair.from_public(bare)
        if len(bare.split()) == 1:
            return KeyPair.from_seed(bare)
    except NkeyError as error:
        raise CredentialsError(f"not a key: {error}") from None
    return KeyPair.from_seed(find_seed(text))


def parse_credentials(text: str) -> Credentials:
    """Read a ``.creds`` file. The JWT must verify and the seed must be its user's; times are not looked at.

    Raises CredentialsError.
    """
    token = find_token(text)
    try:
        claims = decode_as(UserClaims, token)
    except TokenError as error:
        raise CredentialsError(f"its JWT is damaged: {error}") from None
    try:
        seed = find_seed(text)
    except CredentialsError:
        if claims.grant.bearer_token and len(_blocks(text)) < 2:
            return Credentials(jwt=token, claims=claims)
        raise
    _check_pair(claims, KeyPair.from_seed(seed))
    return Credentials(jwt=token, claims=claims, seed=seed)


def load_credentials(path: str | Path) -> Credentials:
    """Read a ``.creds`` file from disk. Raises CredentialsError naming the file and the remedy."""
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CredentialsError(f"cannot read credentials {path}: {error}") from None
    try:
        return parse_credentials(text)
    except CredentialsError as error:
        raise CredentialsError(f"{path}: {error}; generate the credentials again") from None


def _check_pair(claims: UserClaims, key: KeyPair) -> None:
    if key.public != claims.subject:
        raise CredentialsError(f"the seed belongs to {key.public}, the JWT to {claims.subject}")


def _blocks(text: str) -> list[str]:
    """What stands alone between two dashed lines, in order."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    found = []
    place = 0
    while place + 2 < len(lines):
        if _is_dashed(lines[place]) and _CONTENT.match(lines[place + 1]) and _is_dashed(lines[place + 2]):
            found.append(lines[place + 1])
            place += 3
        else:
            place += 1
    return found


def _is_dashed(line: str) -> bool:
    return len(line) >= 6 and line.startswith("---") and line.endswith("---")
