"""Passwords and tokens of a configuration, plain or as bcrypt hashes (spec auth section 9.2)."""

import hmac
import re

import bcrypt

_HASH = re.compile(r"\$2[abxy]\$\d{2}\$")

#: bcrypt looks at no more than this; the library refuses longer ones instead of cutting them off.
_BCRYPT_BYTES_MAX = 72


def is_hash(stored: str) -> bool:
    """Is this a bcrypt hash? Comparing with one takes long by design: not on an event loop."""
    return _HASH.match(stored) is not None


def password_matches(stored: str, given: str) -> bool:
    """Compare, in constant time. The text of a hash is not accepted for itself."""
    secret = given.encode(errors="surrogatepass")
    if not is_hash(stored):
        return hmac.compare_digest(stored.encode(errors="surrogatepass"), secret)
    # The four letters differ in history only; the library knows not all of them.
    stored = "$2b$" + stored[4:]
    try:
        return bcrypt.checkpw(secret[:_BCRYPT_BYTES_MAX], stored.encode())
    except ValueError:
        return False
