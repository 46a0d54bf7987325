"""Which key signs (spec operator-cli section 3, "signer choice").

Without a wish: the identity key, then the plain signing keys, the first whose seed is stored. With
``strict_signing_key_usage`` only signing keys. A scoped key signs only when it is asked for: what it grants is its
template, and nobody should get that by accident.
"""

from collections.abc import Iterable

from gossamer.auth.claims import AccountClaims, OperatorClaims
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.store.keystore import Keystore, read_key_argument


def operator_identity(keystore: Keystore, operator: OperatorClaims, wish: str = "") -> KeyPair:
    """The key that signs the operator's own claim: always its identity key. Raises Failure if its seed is not there."""
    if wish:
        return _wished(keystore, wish, KeyKind.OPERATOR, [operator.subject], f"operator {operator.name!r}")
    pair = keystore.signer(operator.subject)
    if pair is None:
        where = "is kept offline" if keystore.is_offline(operator.subject) else "is not in the keystore"
        raise _unavailable(f"the identity seed of operator {operator.name!r} ({operator.subject}) {where}")
    return pair


def operator_signer(keystore: Keystore, operator: OperatorClaims, wish: str = "") -> KeyPair:
    """The key that signs accounts. Raises Failure when no allowed seed is there."""
    allowed = operator.trusted_keys
    if wish:
        return _wished(keystore, wish, KeyKind.OPERATOR, allowed, f"operator {operator.name!r}")
    pair = _first(keystore, allowed)
    if pair is None:
        what = "signing key" if operator.strict_signing_key_usage else "key"
        raise _unavailable(f"no seed of a {what} of operator {operator.name!r} is in the keystore")
    return pair


def account_signer(keystore: Keystore, operator: OperatorClaims, account: AccountClaims, wish: str = "") -> KeyPair:
    """The key that signs users; ``wish`` may be the name of a role. Raises Failure when no allowed seed is there."""
    strict = operator.strict_signing_key_usage
    identity = [] if strict else [account.subject]
    plain = [key for key in account.signing_key_texts if account.scope(key) is None]
    if wish:
        allowed = [*identity, *account.signing_key_texts]
        public = role_key(account, wish) or wish
        return _wished(keystore, public, KeyKind.ACCOUNT, allowed, f"account {account.name!r}")
    pair = _first(keystore, [*identity, *plain])
    if pair is None:
        roles = [scope.role for key in account.signing_key_texts if (scope := account.scope(key)) is not None]
        what = "plain signing key" if strict else "identity or plain signing key"
        hint = f"; or sign under a role with -K ({', '.join(roles)})" if roles else ""
        raise _unavailable(f"no seed of a {what} of account {account.name!r} is in the keystore", hint)
    return pair


def role_key(account: AccountClaims, role: str) -> str:
    """The public key of the scoped key with this role; empty if there is none. Raises Failure for two of them."""
    found = [
        key for key in account.signing_key_texts if (scope := account.scope(key)) is not None and scope.role == role
    ]
    if len(found) > 1:
        raise Failure(
            f"account {account.name!r} has {len(found)} signing keys with the role {role!r}",
            code="ambiguous",
            hint=f"name the key itself: {', '.join(found)}",
        )
    return found[0] if found else ""


def _wished(keystore: Keystore, wish: str, kind: KeyKind, allowed: Iterable[str], owner: str) -> KeyPair:
    public, pair = read_key_argument(wish, kind, keystore)
    if public not in allowed:
        raise Failure(
            f"{public} may not sign for {owner}: it is none of its keys that are allowed to",
            code="wrong-signer",
            hint="gossamer key list shows the keys",
        )
    if pair is None:
        raise _unavailable(f"the seed of {public} is not in the keystore")
    return pair


def _first(keystore: Keystore, publics: Iterable[str]) -> KeyPair | None:
    return next((pair for public in publics if (pair := keystore.signer(public)) is not None), None)


def _unavailable(message: str, hint: str = "") -> Failure:
    return Failure(
        message,
        code="no-signer",
        hint=f"put it there, name the file that holds it with -K, or sign elsewhere: gossamer signer request{hint}",
        exit_code=ExitCode.SIGNER_UNAVAILABLE,
    )
