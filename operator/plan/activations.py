"""Activation tokens between declared accounts: kept as long as they hold, signed where a grant is new."""

from collections.abc import Mapping

from gossamer.auth.claims import AccountClaims, ActivationClaims, Export, Import, OperatorClaims
from gossamer.auth.claims.account import EVERYBODY
from gossamer.auth.jwt import TokenError, decode_as, encode
from gossamer.auth.subjects import covers
from gossamer.operator.plan.declaration import AccountDeclaration, ImportDeclaration
from gossamer.operator.plan.names import Names
from gossamer.operator.store.keystore import Keystore
from gossamer.operator.tenants.signing import account_signer

#: Stands for an activation that will be signed. No token: it has no dots.
TO_BE_SIGNED = "(new activation)"

#: By account key: how it is declared (None: not in the file), and what its claim will say.
Exporters = Mapping[str, tuple[AccountDeclaration | None, AccountClaims]]


class Activations:
    """Who grants what to whom. ``signing`` False: new tokens are only marked, no seed is needed."""

    def __init__(
        self,
        keystore: Keystore,
        operator: OperatorClaims,
        exporters: Exporters,
        names: Names,
        *,
        now: int,
        signing: bool,
    ) -> None:
        self._keystore = keystore
        self._operator = operator
        self._exporters = exporters
        self._names = names
        self._now = now
        self._signing = signing
        self._refusals: dict[tuple[str, str, str], str] = {}

    def token_for(self, importer: str, wanted: ImportDeclaration, old: str) -> str:
        """The token of an import: the one it has if it holds, a new one, the one that was declared, or none."""
        if wanted.token:
            return wanted.token
        exporter = self._names.account(wanted.account)
        subject = wanted.prefix if wanted.type == "service" and wanted.prefix else wanted.subject
        known = self._exporters.get(exporter)
        if known is None:
            return old
        declared, claims = known
        export = find_export(claims, wanted.type, subject)
        if export is None or not export.token_required:
            return ""
        holds = bool(old) and not self._fault_of(old, importer, wanted.type, subject, claims, export)
        granted = declared is not None and self._granted(declared, export, importer)
        if holds and (granted or declared is None):
            return old
        if not granted:
            self._refusals[(wanted.type, wanted.subject, exporter)] = (
                f"account {claims.name!r} does not grant it: name the importer in grants of that export"
            )
            return old
        if not self._signing:
            return TO_BE_SIGNED
        signer = account_signer(self._keystore, self._operator, claims)
        activation = ActivationClaims(
            name=subject,
            subject=importer,
            import_subject=subject,
            kind=wanted.type,
            issuer_account="" if signer.public == claims.subject else claims.subject,
        )
        # Later than any revocation of the export, else it would be void as soon as it is made.
        newest = max((export.revocations.get(key, 0) for key in (importer, EVERYBODY)), default=0)
        return encode(activation, signer, issued_at=max(self._now, newest + 1))

    def refused(self, entry: Import) -> bool:
        """Is it an import that the exporter's declaration does not grant?"""
        return (entry.type, entry.subject, entry.account) in self._refusals

    def problem(self, entry: Import) -> str:
        """Why servers would leave an import out; empty if nothing is known against it."""
        refusal = self._refusals.get((entry.type, entry.subject, entry.account))
        if refusal:
            return refusal
        known = self._exporters.get(entry.account)
        if known is None:
            return ""
        claims = known[1]
        subject = entry.to if entry.type == "service" and entry.to else entry.subject
        if find_export(claims, entry.type, subject) is None:
            return f"account {claims.name!r} exports nothing that covers it"
        return ""

    def _granted(self, declared: AccountDeclaration, export: Export, importer: str) -> bool:
        for entry in declared.exports or ():
            if (entry.type, entry.subject) == (export.type, export.subject):
                return any(self._names.account(name) == importer for name in entry.grants)
        return False

    def _fault_of(
        self, token: str, importer: str, kind: str, subject: str, exporter: AccountClaims, export: Export
    ) -> str:
        try:
            found = decode_as(ActivationClaims, token)
        except TokenError as error:
            return str(error)
        if found.issuer != exporter.subject and found.issuer not in exporter.signing_key_texts:
            return "signed by a key that is no longer the exporter's"
        if found.subject != importer or found.kind != kind or not covers(found.import_subject, subject):
            return "for something else"
        if 0 < found.expires <= self._now:
            return "expired"
        if any(export.revocations.get(key, -1) >= found.issued_at for key in (importer, EVERYBODY)):
            return "revoked"
        return ""


def find_export(claims: AccountClaims, kind: str, subject: str) -> Export | None:
    """The export with this very subject, else the first that contains it (spec auth section 17.2)."""
    fitting = [entry for entry in claims.exports if entry.type == kind and covers(entry.subject, subject)]
    return next((entry for entry in fitting if entry.subject == subject), fitting[0] if fitting else None)
