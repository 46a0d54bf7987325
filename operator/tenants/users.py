"""Users and their credentials: made, changed, removed (spec operator-cli section 4.5)."""

from pathlib import Path

from msgspec import Struct, structs

from gossamer.auth.claims import AccountClaims, OperatorClaims, UserClaims, UserGrant
from gossamer.auth.claims.account import EVERYBODY
from gossamer.auth.credentials import CredentialsError, format_credentials, format_token
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.operator.failure import Failure
from gossamer.operator.store.keystore import read_key_argument
from gossamer.operator.store.names import checked_name
from gossamer.operator.store.stored import AHEAD_S_MAX, refuse_new_faults, same_content, sign
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants import accounts
from gossamer.operator.tenants.edits import ClaimEdit, GrantEdit, edit_grant, edit_tags
from gossamer.operator.tenants.result import Outcome
from gossamer.operator.tenants.signing import account_signer


class UserEdit(Struct, frozen=True, kw_only=True):
    """Changes to a user."""

    claim: ClaimEdit = ClaimEdit()
    grant: GrantEdit = GrantEdit()
    resign: bool = False  # issue anew even if nothing changes

    @property
    def is_empty(self) -> bool:
        """Does it change nothing?"""
        return self == UserEdit()


def create_user(
    workspace: Workspace,
    operator: str,
    account: str,
    name: str,
    *,
    now: int,
    edit: UserEdit | None = None,
    public: str = "",
    wish: str = "",
    exist_ok: bool = False,
) -> Outcome:
    """Make a user, and its credentials file when the seed is at hand.

    ``wish`` is the ``-K`` key or role; under a role the user gets the role's template and may have no permissions of
    its own (Failure, before anything is written). ``public`` uses a key made elsewhere.
    """
    name = checked_name(name, "user")
    edit = edit or UserEdit()
    operator_claims = workspace.store.operator(operator).claims
    account_claims = workspace.store.account(operator, account).claims
    if workspace.store.find_user(operator, account, name) is not None:
        if not exist_ok:
            raise Failure(
                f"user {name!r} exists in account {account!r}",
                code="exists",
                hint="change it with: gossamer user edit, or pass --exist-ok",
            )
        outcome = edit_user(workspace, operator, account, name, edit, now=now, wish=wish)
        if not workspace.changes.exists(credentials_path(workspace, operator, account, name)):
            _put_credentials(workspace, operator, account, name, outcome)
        return outcome
    signer = account_signer(workspace.keystore, operator_claims, account_claims, wish)
    _check_scope(account_claims, signer.public, edit)
    pair: KeyPair | None
    if public:
        key, pair = read_key_argument(public, KeyKind.USER, workspace.keystore)
        if pair is not None:
            workspace.keystore.put(pair)
    else:
        pair = workspace.keystore.generate(KeyKind.USER)
        key = pair.public
    scoped = account_claims.scope(signer.public) is not None
    claims = UserClaims(
        name=name,
        subject=key,
        grant=UserGrant() if scoped else UserGrant.fresh(),
        issuer_account=_issuer_account(account_claims, signer.public),
    )
    claims = _edited(claims, edit)
    refuse_new_faults(claims)
    outcome = Outcome(created=True, changed=True)
    outcome.note(f"created user {name!r} ({key}) in account {account!r}")
    _warn_of_wide_names(account_claims, signer.public, claims, outcome)
    _warn_of_revocation(account_claims, claims, now, outcome)
    workspace.store.put_user(operator, account, sign(claims, signer, now=now))
    _put_credentials(workspace, operator, account, name, outcome)
    return outcome


def edit_user(
    workspace: Workspace,
    operator: str,
    account: str,
    name: str,
    edit: UserEdit,
    *,
    now: int,
    wish: str = "",
) -> Outcome:
    """Change a user; what is so already is not issued again. Credentials in the keystore are renewed with it.

    Without a wish the user keeps its signer, if that key is still the account's and its seed is stored.
    """
    operator_claims = workspace.store.operator(operator).claims
    account_claims = workspace.store.account(operator, account).claims
    before = workspace.store.user(operator, account, name).claims
    outcome = Outcome()
    allowed = _allowed_signers(account_claims, operator_claims)
    if edit.is_empty and not wish and before.issuer in allowed:
        return outcome
    signer = None
    if not wish and before.issuer in allowed:
        signer = workspace.keystore.signer(before.issuer)
    signer = signer or account_signer(workspace.keystore, operator_claims, account_claims, wish)
    _check_scope(account_claims, signer.public, edit)
    base = before
    was_scoped, is_scoped = before.grant.is_empty, account_claims.scope(signer.public) is not None
    if is_scoped and not was_scoped:
        raise _scoped_failure(account_claims, signer.public)
    if was_scoped and not is_scoped:
        if not wish:
            # The role is gone or its seed is not here: a plain key would silently grant more than the role did.
            raise Failure(
                f"the role that signed user {name!r} cannot sign now, and a plain key would grant it everything",
                code="scoped-user",
                hint="say which key or role signs, with -K",
            )
        # Out of the template's hands: without limits of its own such a user could do nothing.
        base = structs.replace(base, grant=UserGrant.fresh())
    base = structs.replace(base, issuer_account=_issuer_account(account_claims, signer.public))
    after = _edited(base, edit)
    if same_content(before, after) and before.issuer == signer.public and not edit.resign:
        outcome.note(f"user {name!r} is so already")
        return outcome
    refuse_new_faults(after, before)
    issued = workspace.store.issued_on_disk(UserClaims, workspace.store.user_path(operator, account, name))
    until = max(account_claims.revocations.get(key, 0) for key in (before.subject, EVERYBODY))
    if until <= now + AHEAD_S_MAX:  # whoever issues anew means it: not in the second of the revocation
        issued = max(issued, until)
    stored = sign(after, signer, now=now, newer_than=issued)
    if account_claims.is_revoked(before.subject, before.issued_at) and not account_claims.is_revoked(
        stored.claims.subject, stored.claims.issued_at
    ):
        outcome.warn(
            "ends-revocation",
            f"user {name!r} was revoked; what is issued now is valid again",
            "delete the user if it should stay out",
        )
    _warn_of_revocation(account_claims, after, stored.claims.issued_at, outcome)
    workspace.store.put_user(operator, account, stored)
    outcome.changed = True
    outcome.note(f"issued user {name!r}")
    _warn_of_wide_names(account_claims, signer.public, after, outcome)
    _put_credentials(workspace, operator, account, name, outcome)
    return outcome


def delete_user(
    workspace: Workspace,
    operator: str,
    account: str,
    name: str,
    *,
    now: int,
    revoke: bool = True,
    remove_key: bool = False,
    remove_credentials: bool = False,
    wish: str = "",
) -> Outcome:
    """Remove a user from the store, and revoke what was issued to it unless told not to."""
    claims = workspace.store.user(operator, account, name).claims
    outcome = Outcome(changed=True)
    if revoke:
        # Until now, and until whatever was issued in the current second.
        moment = max(now, claims.issued_at)
        outcome.include(accounts.revoke_user(workspace, operator, account, claims.subject, now=moment, wish=wish))
    else:
        outcome.warn(
            "still-valid",
            f"the credentials of {name!r} stay valid: it was not revoked",
            "delete without --no-revoke, or let them expire",
        )
    workspace.store.remove_user(operator, account, name)
    if remove_key:
        workspace.keystore.remove(claims.subject)
    if remove_credentials:
        workspace.keystore.remove_credentials(operator, account, name)
    outcome.note(f"removed user {name!r} from account {account!r}")
    return outcome


def credentials_text(workspace: Workspace, operator: str, account: str, name: str, seed_file: str = "") -> str:
    """The decorated credentials of a user: a secret. Raises Failure when the seed is not at hand, or another one's."""
    stored = workspace.store.user(operator, account, name)
    if seed_file:
        public, pair = read_key_argument(seed_file, KeyKind.USER, workspace.keystore)
        if public != stored.claims.subject:
            raise Failure(
                f"the seed given belongs to {public}, user {name!r} is {stored.claims.subject}",
                code="wrong-seed",
                hint="give the seed of that user",
            )
    else:
        pair = workspace.keystore.signer(stored.claims.subject)
    if pair is None:
        if stored.claims.grant.bearer_token:
            return format_token(stored.token)
        raise Failure(
            f"the seed of user {name!r} ({stored.claims.subject}) is not in the keystore",
            code="no-seed",
            hint="name the file that holds it with -K",
        )
    try:
        return format_credentials(stored.token, pair.seed)
    except CredentialsError as error:
        raise Failure(f"no credentials for user {name!r}: {error}", code="wrong-seed") from None


def credentials_path(workspace: Workspace, operator: str, account: str, name: str) -> Path:
    """Where the keystore has the credentials of a user."""
    return workspace.keystore.credentials_path(operator, account, checked_name(name, "user"))


def _edited(claims: UserClaims, edit: UserEdit) -> UserClaims:
    return structs.replace(
        claims,
        tags=edit_tags(claims.tags, edit.claim),
        expires=claims.expires if edit.claim.expires is None else edit.claim.expires,
        not_before=claims.not_before if edit.claim.not_before is None else edit.claim.not_before,
        grant=edit_grant(claims.grant, edit.grant),
    )


def _issuer_account(account: AccountClaims, signer: str) -> str:
    # Named only when somebody else than the account itself signs (spec auth section 4.3).
    return "" if signer == account.subject else account.subject


def _allowed_signers(account: AccountClaims, operator: OperatorClaims) -> tuple[str, ...]:
    keys = account.signing_key_texts
    return keys if operator.strict_signing_key_usage else (account.subject, *keys)


def _check_scope(account: AccountClaims, signer: str, edit: UserEdit) -> None:
    if account.scope(signer) is not None and not edit.grant.is_empty:
        raise _scoped_failure(account, signer)


def _scoped_failure(account: AccountClaims, signer: str) -> Failure:
    scope = account.scope(signer)
    role = scope.role if scope else ""
    return Failure(
        f"a user under the role {role!r} has no permissions or limits of its own",
        code="scoped-user",
        hint="leave those options out, sign with another key (-K), or change the role with signing-key edit",
    )


def _warn_of_wide_names(account: AccountClaims, signer: str, claims: UserClaims, outcome: Outcome) -> None:
    scope = account.scope(signer)
    if scope is None:
        return
    subjects = scope.template.publish.allow + scope.template.subscribe.allow
    values = [claims.name, *(tag.partition(":")[2] for tag in claims.tags)]
    if any("{{" in subject for subject in subjects) and any(_is_wide(value) for value in values):
        outcome.warn(
            "wide-template",
            f"the name or a tag of user {claims.name!r} holds a wildcard or a dot that the role's template will repeat",
            "rename it unless that is meant",
        )


def _is_wide(value: str) -> bool:
    return any(letter in value for letter in "*>. ")


def _warn_of_revocation(account: AccountClaims, claims: UserClaims, issued_at: int, outcome: Outcome) -> None:
    if account.is_revoked(claims.subject, issued_at):
        outcome.warn("revoked", f"account {account.name!r} revokes what is issued to {claims.subject} now")


def _put_credentials(workspace: Workspace, operator: str, account: str, name: str, outcome: Outcome) -> None:
    claims = workspace.store.user(operator, account, name).claims
    if not workspace.keystore.has_seed(claims.subject):
        return
    text = credentials_text(workspace, operator, account, name)
    path = workspace.keystore.write_credentials(operator, account, name, text)
    sealed = workspace.keystore.custodian.described() is not None
    # No client reads a sealed file: whoever needs one has it written elsewhere.
    hint = f"sealed credentials {path} (for clients: gossamer user creds {name} -o FILE)"
    outcome.note(f"wrote {hint if sealed else f'credentials {path}'}")
