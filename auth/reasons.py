"""Why somebody was not let in: a value that names the rule, where it stands and who signed it.

The client only ever sees ``Authorization Violation``; the reason is for the log, events, monitoring and ``explain``.
Texts never hold a secret.
"""

from enum import StrEnum

from msgspec import Struct


class ReasonCode(StrEnum):
    """What was wrong, one word for each rule of spec auth sections 8 to 13, 14 and 25, and for each forced close."""

    PROXY_NOT_TRUSTED = "proxy_not_trusted"
    PROXY_REQUIRED = "proxy_required"
    ACCOUNT_NAMED = "account_named"
    CREDENTIALS_MISSING = "credentials_missing"
    USER_UNKNOWN = "user_unknown"
    NKEY_UNKNOWN = "nkey_unknown"
    PASSWORD_WRONG = "password_wrong"
    TOKEN_WRONG = "token_wrong"
    SIGNATURE_MISSING = "signature_missing"
    SIGNATURE_WRONG = "signature_wrong"
    CONNECTION_TYPE = "connection_type"
    JWT_MISSING = "jwt_missing"
    JWT_MALFORMED = "jwt_malformed"
    JWT_INVALID = "jwt_invalid"
    JWT_EXPIRED = "jwt_expired"
    JWT_NOT_YET_VALID = "jwt_not_yet_valid"
    ACCOUNT_NOT_PINNED = "account_not_pinned"
    ACCOUNT_UNKNOWN = "account_unknown"
    ACCOUNT_UNAVAILABLE = "account_unavailable"
    ACCOUNT_INVALID = "account_invalid"
    ACCOUNT_NOT_TRUSTED = "account_not_trusted"
    ACCOUNT_EXPIRED = "account_expired"
    ISSUER_UNKNOWN = "issuer_unknown"
    ISSUER_NOT_A_SIGNING_KEY = "issuer_not_a_signing_key"
    SCOPE = "scope"
    BEARER_DISALLOWED = "bearer_disallowed"
    REVOKED = "revoked"
    SOURCE_NETWORK = "source_network"
    OUTSIDE_TIMES = "outside_times"
    PERMISSIONS_UNSOUND = "permissions_unsound"
    CALLOUT_UNAVAILABLE = "callout_unavailable"
    CALLOUT_SILENT = "callout_silent"
    CALLOUT_DENIED = "callout_denied"
    CALLOUT_VIOLATION = "callout_violation"
    # What ends or refuses a connection although its credentials are good.
    CONNECT_EXPECTED = "connect_expected"
    CONNECT_MALFORMED = "connect_malformed"
    PROTOCOL_VERSION = "protocol_version"
    HEADERS_NEEDED = "headers_needed"
    ACCOUNT_GONE = "account_gone"
    ACCOUNT_FULL = "account_full"
    SERVER_FULL = "server_full"
    USER_EXPIRED = "user_expired"
    USER_REMOVED = "user_removed"
    AUTHENTICATION_TIMEOUT = "authentication_timeout"
    LIMIT_EXCEEDED = "limit_exceeded"
    SLOW_CONSUMER = "slow_consumer"
    STALE = "stale"
    KICKED = "kicked"
    INTERNAL = "internal"
    # Why an import is not in force (section 17).
    EXPORTER_UNKNOWN = "exporter_unknown"
    NOT_EXPORTED = "not_exported"
    IMPORTER_NOT_LISTED = "importer_not_listed"
    TOKEN_POSITION = "token_position"
    ACTIVATION_MISSING = "activation_missing"
    ACTIVATION_INVALID = "activation_invalid"
    ACTIVATION_EXPIRED = "activation_expired"
    ACTIVATION_REVOKED = "activation_revoked"
    IMPORT_SUBJECT = "import_subject"
    IMPORT_DUPLICATE = "import_duplicate"
    IMPORT_CYCLE = "import_cycle"
    MAPPING_SUBJECT = "mapping_subject"


class Reason(Struct, frozen=True, kw_only=True):
    """``text`` is a sentence for people; ``rule`` the claim or option that decided; ``place`` where it stands
    (``file:line:column``, a file, or a claim); ``signer`` the key that signed it. The last three may be empty."""

    code: ReasonCode
    text: str
    rule: str = ""
    place: str = ""
    signer: str = ""

    def __str__(self) -> str:
        """One line for a log."""
        parts = [self.text]
        if self.rule:
            parts.append(f"rule: {self.rule}")
        if self.place:
            parts.append(f"at {self.place}")
        if self.signer:
            parts.append(f"signed by {self.signer}")
        return "; ".join(parts)
