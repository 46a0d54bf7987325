"""Accounts known by JWTs only: keys by name, claims signed anew, a configuration that preloads them."""

import time

from gossamer.auth.claims import AccountClaims, AccountLimits, ActivationClaims, OperatorClaims, UserClaims, UserGrant
from gossamer.auth.jwt import encode, encode_signature
from gossamer.auth.keys import KeyKind, KeyPair


class Tenants:
    """An operator and its accounts. ``define`` says or changes what an account is; ``configuration`` is the file."""

    def __init__(self):
        self.operator = KeyPair.generate(KeyKind.OPERATOR)
        self.keys = {}
        self.users = {}
        self.tokens = {}
        self.define("SYS")
        claims = OperatorClaims(subject=self.operator.public, name="O", system_account=self.account("SYS"))
        self._operator_jwt = encode(claims, self.operator)  # once: an operator cannot be reloaded

    def account(self, name):
        """The public key of an account."""
        return self._account(name).public

    def signing(self, name):
        """A signing key of that name."""
        return self.keys.setdefault(f"signing {name}", KeyPair.generate(KeyKind.ACCOUNT))

    def define(self, account, **claims):
        """Sign an account. Each signing is a second younger than the one before."""
        key = self._account(account)
        made = AccountClaims(subject=key.public, name=account, **{"limits": AccountLimits.fresh(), **claims})
        self.tokens[account] = encode(made, self.operator, issued_at=int(time.time()) - 10_000 + len(self.users))
        return self.tokens[account]

    def credentials(self, user, nonce):
        """What CONNECT says of a user, named like its account: ``A`` or ``A.second``."""
        key = self.users.setdefault(user, KeyPair.generate(KeyKind.USER))
        account = self._account(user.partition(".")[0])
        claims = UserClaims(subject=key.public, name=user, grant=UserGrant.fresh())
        return {"jwt": encode(claims, account), "sig": encode_signature(key.sign(nonce.encode()))}

    def activation(self, exporter, importer, kind, subject, *, signer=None, issued_at=None, expires=0):
        """The permission for an import, signed by the exporter or by ``signer``, a key of its own."""
        claims = ActivationClaims(
            subject=self.account(importer),
            import_subject=subject,
            kind=kind,
            expires=expires,
            issuer_account=self.account(exporter) if signer is not None else "",
        )
        return encode(claims, signer or self._account(exporter), issued_at=issued_at or int(time.time()) - 5000)

    def configuration(self, *known, resolver="MEMORY"):
        """With these accounts preloaded (none named: all), and the system account."""
        system = self.account("SYS")
        chosen = {name: self.tokens[name] for name in ("SYS", *(known or self.tokens))}
        lines = [
            f"operator: {self._operator_jwt}",
            f"system_account: {system}",
            f"resolver: {resolver}",
            "resolver_preload {",
        ]
        lines += [f"  {self.account(name)}: {token}" for name, token in chosen.items()]
        return "\n".join([*lines, "}", ""])

    def _account(self, name):
        return self.keys.setdefault(name, KeyPair.generate(KeyKind.ACCOUNT))
