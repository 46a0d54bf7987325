"""Who asks the servers: a user of the system account, made for the occasion, or one that exists (spec 6).

The temporary user lives two minutes, is known to nobody but this process, and may say only what its errand needs.
"""

import secrets
from collections.abc import Callable, Iterable
from enum import Enum

from msgspec import Struct

from gossamer.auth.claims import AccountClaims, OperatorClaims, SubjectList, UserClaims, UserGrant
from gossamer.auth.credentials import Credentials, CredentialsError, load_credentials
from gossamer.auth.jwt import decode_as, encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.operator.failure import Failure
from gossamer.operator.store.keystore import Keystore
from gossamer.operator.tenants.signing import account_signer

LIFETIME_S = 120
NAME = "gossamer temporary system user"


class Errand(Enum):
    """What a visitor is there for; the value lists the subjects it may publish to."""

    #: Which servers there are: always needed, as every answer is counted against them.
    SERVERS = ("$SYS.REQ.SERVER.PING", "$SYS.REQ.SERVER.PING.IDZ")
    PUSH = ("$SYS.REQ.CLAIMS.UPDATE",)
    PULL = ("$SYS.REQ.CLAIMS.PACK", "$SYS.REQ.CLAIMS.LIST", "$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP")
    DELETE = ("$SYS.REQ.CLAIMS.LIST", "$SYS.REQ.CLAIMS.DELETE")
    ACCOUNTS = ("$SYS.REQ.SERVER.PING.ACCOUNTZ", "$SYS.REQ.SERVER.*.ACCOUNTZ")
    CONNECTIONS = ("$SYS.REQ.SERVER.PING.CONNZ", "$SYS.REQ.SERVER.*.CONNZ")
    OPERATORS = ("$SYS.REQ.SERVER.PING.VARZ", "$SYS.REQ.SERVER.*.VARZ")


ALL_ERRANDS = tuple(Errand)


class Visitor(Struct, frozen=True, kw_only=True):
    """Credentials, and the prefix of the only inboxes they may listen on (empty: no such limit)."""

    credentials: Credentials
    inbox_prefix: str


def temporary_visitor(
    keystore: Keystore,
    operator: OperatorClaims,
    system: AccountClaims,
    errands: Iterable[Errand] = ALL_ERRANDS,
    *,
    now: int,
    wish: str = "",
    random: Callable[[int], str] = secrets.token_hex,
) -> Visitor:
    """A fresh user, signed by a stored key of the system account: a signing key where the operator is strict.

    ``now`` in unix seconds. Raises Failure (exit code 7) when no such seed is stored; ``wish`` names the key to use.
    """
    signer = account_signer(keystore, operator, system, wish)
    pair = KeyPair.generate(KeyKind.USER)
    prefix = f"_INBOX.{random(8)}"
    subjects = tuple(dict.fromkeys(subject for errand in (Errand.SERVERS, *errands) for subject in errand.value))
    scoped = system.scope(signer.public) is not None
    grant = UserGrant(
        publish=SubjectList(allow=subjects),
        subscribe=SubjectList(allow=(f"{prefix}.>",)),
        subscriptions=-1,
        data=-1,
        payload=-1,
    )
    claims = UserClaims(
        name=NAME,
        subject=pair.public,
        # Under a role the template says what the user may do, and nothing else may be said.
        grant=UserGrant() if scoped else grant,
        issuer_account="" if signer.public == system.subject else system.subject,
        expires=now + LIFETIME_S,
    )
    token = encode(claims, signer, issued_at=now)
    return Visitor(
        credentials=Credentials(jwt=token, claims=decode_as(UserClaims, token), seed=pair.seed), inbox_prefix=prefix
    )


def standing_visitor(path: str) -> Visitor:
    """A user of the system account that exists, by its credentials file. Raises Failure."""
    try:
        credentials = load_credentials(path)
    except CredentialsError as error:
        raise Failure(str(error), code="bad-credentials", path=path, hint="name another file") from None
    return Visitor(credentials=credentials, inbox_prefix=f"_INBOX.{secrets.token_hex(8)}")
