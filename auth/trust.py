"""Whom a node in operator mode believes (spec auth section 10.2).

An account is trusted when one of the trusted keys signed it. An operator that insists on signing keys is *strict*: its
identity key signs no accounts, and identity keys of accounts that it signed sign no users.
"""

from msgspec import Struct

from gossamer.auth.claims import OperatorClaims
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.auth.settings import AuthSettings


class Trust(Struct, frozen=True, kw_only=True):
    """``keys``: whose signature counts on accounts; ``strict_keys``: those of them that belong to strict operators."""

    operators: tuple[OperatorClaims, ...] = ()
    keys: frozenset[str] = frozenset()
    strict_keys: frozenset[str] = frozenset()
    system_account: str = ""


def trust_of(settings: AuthSettings) -> Trust:
    """The trust that a configuration describes. Raises TokenError for an operator JWT that cannot be read."""
    operators = []
    for token in settings.operators:
        try:
            operators.append(decode_as(OperatorClaims, token))
        except TokenError as error:
            raise TokenError(f"error parsing operator JWT: {error}") from None
    keys = {key for operator in operators for key in operator.trusted_keys}
    strict = {key for operator in operators if operator.strict_signing_key_usage for key in operator.trusted_keys}
    named = operators[0].system_account if len(operators) == 1 else ""
    return Trust(
        operators=tuple(operators),
        keys=frozenset(keys | set(settings.trusted_keys)),
        strict_keys=frozenset(strict),
        system_account=settings.system_account or named,
    )
