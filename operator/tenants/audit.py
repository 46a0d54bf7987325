"""Is a store whole and sound: every claim by itself, and the chain that ties them (spec operator-cli section 4.6)."""

from collections.abc import Callable
from typing import TypeVar

from msgspec import Struct

from gossamer.auth.claims import AccountClaims, Claims, OperatorClaims, UserClaims
from gossamer.auth.credentials import CredentialsError, parse_credentials
from gossamer.auth.validation import Level, validate
from gossamer.operator.failure import Failure
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.sharing import refusals

Opened = TypeVar("Opened", bound=Claims)

ERROR = "error"
WARNING = "warning"


class Finding(Struct, frozen=True, kw_only=True):
    """One thing to look at. ``level`` is ``error`` or ``warning``; ``object`` names the claim (``ACME/TEAM/alice``)."""

    level: str
    object: str
    message: str


class Report(Struct, kw_only=True):
    """What was looked at, and what was found."""

    objects: list[str]
    findings: list[Finding]

    @property
    def sound(self) -> bool:
        """No errors?"""
        return not any(finding.level == ERROR for finding in self.findings)


def audit_claims(claims: Claims, name: str, now: float) -> list[Finding]:
    """A claim by itself. A time issue is an error: the claim does not work now."""
    return [
        Finding(level=WARNING if issue.level is Level.WARNING else ERROR, object=name, message=issue.description)
        for issue in validate(claims, now)
    ]


def audit_store(workspace: Workspace, operator: str, now: float, *, account: str = "") -> Report:
    """An operator with its accounts (or one of them), their users, their keys and credentials. Never raises Failure:
    what cannot be read is a finding."""
    audit = _Audit(workspace, operator, now)
    audit.run(account)
    return Report(objects=audit.objects, findings=audit.findings)


class _Audit:
    def __init__(self, workspace: Workspace, operator: str, now: float) -> None:
        self.workspace = workspace
        self.operator = operator
        self.now = now
        self.objects: list[str] = []
        self.findings: list[Finding] = []

    def run(self, account: str) -> None:
        store = self.workspace.store
        claims = self._open(self.operator, lambda: store.operator(self.operator).claims)
        if claims is None:
            return
        if claims.name != self.operator:
            self._error(self.operator, f"its folder is named {self.operator!r}, the claim {claims.name!r}")
        if claims.issuer != claims.subject:
            self._error(self.operator, f"it is signed by {claims.issuer}, not by itself")
        names = store.accounts(self.operator)
        keys: dict[str, str] = {}
        for name in names:
            if not account or name == account:
                self._account(claims, name, keys)
        for refused in refusals(self.workspace, self.operator, self.now, account=account):
            message = f"servers leave out its import of {refused.subject!r}: {refused.text}"
            self._warn(f"{self.operator}/{refused.account}", message)
        if claims.system_account and not account and claims.system_account not in keys:
            # A tenant's store has the tenant's accounts only.
            tell = self._warn if store.is_managed(self.operator) else self._error
            tell(self.operator, f"its system account {claims.system_account} is not in the store")
        if not claims.system_account:
            self._warn(self.operator, "it has no system account")
        self._keys(self.operator, [claims.subject, *claims.signing_keys])

    def _account(self, operator: OperatorClaims, name: str, keys: dict[str, str]) -> None:
        store = self.workspace.store
        label = f"{self.operator}/{name}"
        claims = self._open(label, lambda: store.account(self.operator, name).claims)
        if claims is None:
            return
        if claims.name != name:
            self._error(label, f"its folder is named {name!r}, the claim {claims.name!r}")
        if claims.subject in keys:
            self._error(label, f"it has the same key as account {keys[claims.subject]!r}")
        keys[claims.subject] = name
        if claims.issuer not in operator.trusted_keys:
            managed = store.is_managed(self.operator) and claims.issuer == claims.subject
            message = f"it is signed by {claims.issuer}, which the operator does not trust"
            (self._warn if managed else self._error)(label, message)
        self._keys(label, [claims.subject, *claims.signing_key_texts])
        for user in store.users(self.operator, name):
            self._user(operator, claims, name, user)

    def _user(self, operator: OperatorClaims, account: AccountClaims, account_name: str, name: str) -> None:
        store = self.workspace.store
        label = f"{self.operator}/{account_name}/{name}"
        claims = self._open(label, lambda: store.user(self.operator, account_name, name).claims)
        if claims is None:
            return
        if claims.name != name:
            self._error(label, f"its file is named {name!r}, the claim {claims.name!r}")
        if claims.account != account.subject:
            self._error(label, f"it belongs to account {claims.account}")
        elif claims.issuer != account.subject and not account.has_signing_key(claims.issuer):
            self._error(label, f"it is signed by {claims.issuer}, which is no key of its account")
        elif operator.strict_signing_key_usage and claims.issuer == account.subject:
            self._error(label, "it is signed by the account's identity key, but signing keys are required")
        if account.scope(claims.issuer) is not None and not claims.grant.is_empty:
            self._error(label, "scoped users require no permissions or limits set")
        if account.is_revoked(claims.subject, claims.issued_at):
            self._warn(label, "it is revoked")
        if claims.grant.bearer_token and account.limits.disallow_bearer:
            self._error(label, "it is a bearer token, which its account does not allow")
        self._keys(label, [claims.subject])
        self._credentials(label, claims, account_name, name)

    def _credentials(self, label: str, claims: UserClaims, account: str, name: str) -> None:
        path = self.workspace.keystore.credentials_path(self.operator, account, name)
        try:
            text = self.workspace.keystore.read_credentials(self.operator, account, name)
            if text is None:
                return
            held = parse_credentials(text).claims
        except Failure as error:
            if error.code != "locked-keystore":
                self._error(label, f"its credentials {path} are broken: {error}")
            return
        except CredentialsError as error:
            self._error(label, f"its credentials {path} are broken: {error}")
            return
        if held.subject != claims.subject:
            self._error(label, f"its credentials {path} are those of {held.subject}")
        elif held.issued_at < claims.issued_at:
            self._warn(label, f"its credentials {path} are older than its claim")

    def _keys(self, label: str, publics: list[str]) -> None:
        for public in publics:
            try:
                self.workspace.keystore.seed(public)
            except Failure as failure:
                if failure.code != "locked-keystore":
                    self._error(label, failure.message)
                elif not any(finding.message == failure.message for finding in self.findings):
                    self._warn(self.operator, failure.message)

    def _open(self, label: str, read: Callable[[], Opened]) -> Opened | None:
        self.objects.append(label)
        try:
            claims = read()
        except Failure as failure:
            self._error(label, failure.message)
            return None
        self.findings.extend(audit_claims(claims, label, self.now))
        return claims

    def _error(self, label: str, message: str) -> None:
        self.findings.append(Finding(level=ERROR, object=label, message=message))

    def _warn(self, label: str, message: str) -> None:
        self.findings.append(Finding(level=WARNING, object=label, message=message))
