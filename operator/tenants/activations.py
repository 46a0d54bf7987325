"""Activations: tokens with which an account lets another one import a private export (spec auth section 17.4).

A store keeps no list of the tokens that were issued; those that imports of its accounts hold can be seen.
"""

from msgspec import Struct, structs

from gossamer.auth.claims import AccountClaims, ActivationClaims, Export
from gossamer.auth.claims.account import EVERYBODY
from gossamer.auth.credentials import CredentialsError, find_token
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.subjects import covers
from gossamer.auth.validation import blocking, validate
from gossamer.operator.failure import Failure, usage
from gossamer.operator.store.changes import existing_file
from gossamer.operator.store.stored import sign
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.amendment import amend
from gossamer.operator.tenants.exports import checked_subject, export_for, find_export, users_of
from gossamer.operator.tenants.result import Outcome
from gossamer.operator.tenants.signing import account_signer
from gossamer.operator.tenants.sources import is_url, read_source


class Grant(Struct, frozen=True, kw_only=True):
    """An activation that an import of the store holds. ``problem`` says why it does not count; empty: it does."""

    account: str  # the importer's name
    key: str
    subject: str
    kind: str
    export: str
    issued: int
    expires: int
    problem: str = ""


def issue_activation(
    workspace: Workspace,
    operator: str,
    account: str,
    subject: str,
    target: str,
    *,
    now: int,
    kind: str = "",
    expires: int = 0,
    not_before: int = 0,
    wish: str = "",
) -> str:
    """A token that lets ``target`` (name or public key) import ``subject`` of a private export of ``account``.

    ``subject`` may be narrower than the export. Signed by the account's identity key or a signing key; ``wish`` names
    another one, also a role's. Raises Failure when there is no such private export, or no seed.
    """
    subject = checked_subject(subject)
    claims = workspace.store.account(operator, account).claims
    export = export_for(claims, subject, kind)
    if export is None:
        export = find_export(claims, subject, kind)  # which says what there is
    if not export.token_required:
        raise Failure(
            f"the {export.type} {export.subject!r} of account {account!r} is public: it needs no activation",
            code="public-export",
            hint="import it directly, or make it private with: gossamer export edit --private",
        )
    importer = account_key(workspace, operator, target)
    signer = account_signer(workspace.keystore, workspace.store.operator(operator).claims, claims, wish)
    activation = ActivationClaims(
        name=subject,
        subject=importer,
        import_subject=subject,
        kind=export.type,
        issuer_account="" if signer.public == claims.subject else claims.subject,
        expires=expires,
        not_before=not_before,
    )
    return sign(activation, signer, now=now).token


def read_activation(text: str) -> tuple[str, ActivationClaims]:
    """The token, and what it says, of a token or of a file with one, decorated or not. Raises Failure."""
    path, content = "what was given", text
    if is_url(text) or existing_file(text) is not None:
        path, content = read_source(text)
    try:
        token = find_token(content)
        return token, decode_as(ActivationClaims, token)
    except (CredentialsError, TokenError) as error:
        raise Failure(
            f"{path} is no activation: {error}",
            code="bad-token",
            hint="give the file that the exporter made with: gossamer activation issue",
        ) from None


def account_key(workspace: Workspace, operator: str, text: str) -> str:
    """The public key of an account: of a name in the store, or the key itself. Raises Failure."""
    if is_public(text, KeyKind.ACCOUNT):
        return text
    if is_public(text):
        raise usage(f"{text} is not the key of an account", "account keys begin with A")
    return workspace.store.account(operator, text).claims.subject


def grants(workspace: Workspace, operator: str, account: str, now: float) -> list[Grant]:
    """The activations of an account's exports that imports of the store hold."""
    claims = workspace.store.account(operator, account).claims
    found = []
    for export in claims.exports:
        for user in users_of(workspace, operator, account, export):
            if not user.entry.token:
                continue
            importer = workspace.store.account(operator, user.account).claims
            try:
                token = decode_as(ActivationClaims, user.entry.token)
            except TokenError as error:
                found.append(_broken(user.account, importer, export, str(error)))
                continue
            found.append(
                Grant(
                    account=user.account,
                    key=importer.subject,
                    subject=token.import_subject,
                    kind=token.kind,
                    export=export.subject,
                    issued=token.issued_at,
                    expires=token.expires,
                    problem=activation_problem(token, claims, export, importer.subject, user.entry.subject, now),
                )
            )
    return found


def activation_problem(
    token: ActivationClaims, exporter: AccountClaims, export: Export, importer: str, subject: str, now: float
) -> str:
    """Why a server would not take this token for an import of ``subject`` now; empty when it would."""
    issues = blocking(validate(token, now), times=True)
    if issues:
        return "; ".join(issues)
    if token.account != exporter.subject:
        return f"it is of account {token.account}"
    if token.issuer != exporter.subject and not exporter.has_signing_key(token.issuer):
        return f"it is signed by {token.issuer}, which is no key of its account"
    if token.subject != importer:
        return f"it is for account {token.subject}"
    if token.kind != export.type or not covers(token.import_subject, subject):
        return f"it is for the {token.kind} {token.import_subject!r}"
    if any(export.revocations.get(key, -1) >= token.issued_at for key in (importer, EVERYBODY)):
        return "it is revoked"
    return ""


def revoke_activation(
    workspace: Workspace,
    operator: str,
    account: str,
    subject: str,
    target: str,
    *,
    now: int,
    kind: str = "",
    at: int = 0,
    wish: str = "",
) -> Outcome:
    """Void what was granted to ``target`` (a name, a public key, or ``*``) for an export until ``at`` (0: now).

    As with users an entry never moves to an earlier time.
    """
    claims = workspace.store.account(operator, account).claims
    export = find_export(claims, subject, kind)
    key = EVERYBODY if target == EVERYBODY else account_key(workspace, operator, target)
    # Grants that follow a revocation closely run ahead of the clock: without a moment of its own it covers them too.
    held = [g.issued for g in grants(workspace, operator, account, now) if g.export == subject and key in ("*", g.key)]
    moment = max(at or max([now, *held]), export.revocations.get(key, 0))
    outcome = Outcome()
    outcome.note(f"revoked what {target} was granted of the {export.type} {subject!r}")
    _put_revocations(workspace, operator, account, export, export.revocations | {key: moment}, outcome, now, wish)
    if not export.token_required:
        outcome.warn(
            "public-export",
            f"the {export.type} {subject!r} is public: everybody may import it all the same",
            "make it private with: gossamer export edit --private",
        )
    elif at and moment > at:
        outcome.warn("never-earlier", f"{target} is revoked until a later time already: that stays")
    return outcome


def unrevoke_activation(
    workspace: Workspace,
    operator: str,
    account: str,
    subject: str,
    target: str,
    *,
    now: int,
    kind: str = "",
    wish: str = "",
) -> Outcome:
    """Remove such an entry: tokens that it made void count again."""
    claims = workspace.store.account(operator, account).claims
    export = find_export(claims, subject, kind)
    key = EVERYBODY if target == EVERYBODY else account_key(workspace, operator, target)
    if key not in export.revocations:
        raise Failure(
            f"nothing is revoked for {target} of the {export.type} {subject!r}",
            code="not-found",
            hint="gossamer activation list shows what is",
        )
    kept = {name: moment for name, moment in export.revocations.items() if name != key}
    outcome = Outcome()
    outcome.note(f"removed the revocation for {target} of the {export.type} {subject!r}")
    _put_revocations(workspace, operator, account, export, kept, outcome, now, wish)
    return outcome


def _put_revocations(
    workspace: Workspace,
    operator: str,
    account: str,
    export: Export,
    revocations: dict[str, int],
    outcome: Outcome,
    now: int,
    wish: str,
) -> None:
    after = structs.replace(export, revocations=revocations)
    amend(
        workspace,
        operator,
        account,
        lambda before: structs.replace(
            before, exports=tuple(after if entry == export else entry for entry in before.exports)
        ),
        outcome,
        now=now,
        wish=wish,
    )


def _broken(account: str, importer: AccountClaims, export: Export, problem: str) -> Grant:
    return Grant(
        account=account,
        key=importer.subject,
        subject="",
        kind=export.type,
        export=export.subject,
        issued=0,
        expires=0,
        problem=problem,
    )
