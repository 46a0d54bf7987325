"""User claims (spec auth section 4.3)."""

from typing import Any, ClassVar

from msgspec import field

from gossamer.auth.claims.envelope import Claims
from gossamer.auth.claims.grant import GRANT_MEMBERS, UserGrant, shaped_grant
from gossamer.auth.keys import KeyKind

_GRANT = "(grant)"


class UserClaims(Claims, frozen=True, kw_only=True):
    """Who may come in, to which account, and what for."""

    TYPE: ClassVar[str] = "user"
    SUBJECTS: ClassVar[tuple[KeyKind, ...]] = (KeyKind.USER,)
    ISSUERS: ClassVar[tuple[KeyKind, ...]] = (KeyKind.ACCOUNT,)
    SUBJECT_ERROR: ClassVar[str] = "expected subject to be user public key"

    grant: UserGrant = field(default_factory=UserGrant, name="nats.(grant)")
    issuer_account: str = field(default="", name="nats.issuer_account")

    @property
    def account(self) -> str:
        """The key of the account the user belongs to."""
        return self.issuer_account or self.issuer

    def body(self) -> dict[str, Any]:
        """The grant's members stand directly in ``nats``."""
        found = super().body()
        return {**found.pop(_GRANT), **found}

    @classmethod
    def shaped(cls, nats: dict[str, Any]) -> dict[str, Any]:
        """The grant's members are read as one Part."""
        rest = {name: value for name, value in nats.items() if name not in GRANT_MEMBERS}
        rest[_GRANT] = shaped_grant({name: value for name, value in nats.items() if name in GRANT_MEMBERS})
        return rest
