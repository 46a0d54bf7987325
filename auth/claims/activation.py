"""Activation claims: the permission to import a private export (spec auth section 4.5)."""

from typing import ClassVar

from msgspec import field

from gossamer.auth.claims.envelope import Claims, padded_base32_sha256
from gossamer.auth.keys import KeyKind


class ActivationClaims(Claims, frozen=True, kw_only=True):
    """``subject`` is the importing account; ``import_subject`` what it may import; ``kind`` stream or service."""

    TYPE: ClassVar[str] = "activation"
    SUBJECTS: ClassVar[tuple[KeyKind, ...]] = (KeyKind.ACCOUNT,)
    ISSUERS: ClassVar[tuple[KeyKind, ...]] = (KeyKind.ACCOUNT, KeyKind.OPERATOR)
    SUBJECT_ERROR: ClassVar[str] = "expected subject to be an account public key"

    import_subject: str = field(default="", name="nats.subject")
    kind: str = field(default="", name="nats.kind")
    issuer_account: str = field(default="", name="nats.issuer_account")

    @property
    def account(self) -> str:
        """The key of the exporting account."""
        return self.issuer_account or self.issuer

    @property
    def hash_id(self) -> str:
        """The identity of the token: who let whom import what, up to the first wildcard."""
        tokens = self.import_subject.split(".")
        first_wildcard = next((place for place, token in enumerate(tokens) if token in ("*", ">")), len(tokens))
        head = ".".join(tokens[:first_wildcard]) or "_"
        return padded_base32_sha256(f"{self.issuer}.{self.subject}.{head}")
