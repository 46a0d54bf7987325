"""Operator claims (spec auth section 4.1)."""

from typing import ClassVar

from msgspec import field

from gossamer.auth.claims.envelope import Claims
from gossamer.auth.keys import KeyKind


class OperatorClaims(Claims, frozen=True, kw_only=True):
    """Who may sign accounts, and where the operator's servers are."""

    TYPE: ClassVar[str] = "operator"
    SUBJECTS: ClassVar[tuple[KeyKind, ...]] = (KeyKind.OPERATOR,)
    ISSUERS: ClassVar[tuple[KeyKind, ...]] = (KeyKind.OPERATOR,)
    SUBJECT_ERROR: ClassVar[str] = "expected subject to be an operator public key"

    signing_keys: tuple[str, ...] = field(default=(), name="nats.signing_keys")
    account_server_url: str = field(default="", name="nats.account_server_url")
    operator_service_urls: tuple[str, ...] = field(default=(), name="nats.operator_service_urls")
    system_account: str = field(default="", name="nats.system_account")
    assert_server_version: str = field(default="", name="nats.assert_server_version")
    strict_signing_key_usage: bool = field(default=False, name="nats.strict_signing_key_usage")

    @property
    def trusted_keys(self) -> tuple[str, ...]:
        """Keys whose signature makes an account trusted (section 10.2)."""
        return self.signing_keys if self.strict_signing_key_usage else (self.subject, *self.signing_keys)
