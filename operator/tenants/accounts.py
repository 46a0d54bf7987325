"""Accounts and their signing keys: made, changed, removed (spec operator-cli section 4.3)."""

from collections.abc import Iterable, Sequence
from urllib.parse import urlsplit

from msgspec import Struct, structs

from gossamer.auth.claims import (
    AccountClaims,
    AccountLimits,
    Export,
    MessageTrace,
    UserGrant,
    UserScope,
)
from gossamer.auth.keys import KeyKind
from gossamer.operator.failure import Failure, usage
from gossamer.operator.store.keystore import read_key_argument
from gossamer.operator.store.names import checked_name
from gossamer.operator.store.stored import refuse_new_faults, sign
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.amendment import account_claim_signer, put_amended, trusted_signers
from gossamer.operator.tenants.edits import (
    ClaimEdit,
    GrantEdit,
    LimitEdit,
    PermissionEdit,
    added,
    edit_grant,
    edit_limits,
    edit_permissions,
    edit_tags,
)
from gossamer.operator.tenants.result import Outcome
from gossamer.operator.tenants.signing import role_key

GENERATE = "generate"


class AccountEdit(Struct, frozen=True, kw_only=True):
    """Changes to an account. ``signing_keys`` are public keys, seeds, paths or the word ``generate``."""

    claim: ClaimEdit = ClaimEdit()
    limits: LimitEdit = LimitEdit()
    default_permissions: PermissionEdit = PermissionEdit()
    signing_keys: tuple[str, ...] = ()
    remove_signing_keys: tuple[str, ...] = ()
    description: str | None = None
    info_url: str | None = None
    trace_destination: str | None = None  # empty: remove it
    trace_sampling: int | None = None
    resign: bool = False  # sign anew even if nothing changes

    @property
    def is_empty(self) -> bool:
        """Does it change nothing?"""
        return self == AccountEdit()


def create_account(
    workspace: Workspace,
    operator: str,
    name: str,
    *,
    now: int,
    edit: AccountEdit | None = None,
    exports: Sequence[Export] = (),
    public: str = "",
    wish: str = "",
    exist_ok: bool = False,
    choose: bool = True,
) -> Outcome:
    """Make an account with no limits and no stream storage, then apply ``edit``.

    ``public`` uses a key made elsewhere (a public key, a seed or a path). One that exists is a Failure, or with
    ``exist_ok`` brought to what is asked. The first account of a context becomes the chosen one, if ``choose``.
    """
    name = checked_name(name, "account")
    edit = edit or AccountEdit()
    operator_claims = workspace.store.operator(operator).claims
    outcome = Outcome()
    existing = workspace.store.find_account(operator, name)
    if existing is not None:
        if not exist_ok:
            raise Failure(
                f"account {name!r} exists",
                code="exists",
                hint="change it with: gossamer account edit, or pass --exist-ok",
            )
        outcome.include(edit_account(workspace, operator, name, _once(existing.claims, edit), now=now, wish=wish))
        return outcome
    if public:
        key, pair = read_key_argument(public, KeyKind.ACCOUNT, workspace.keystore)
        if pair is not None:
            workspace.keystore.put(pair)
    else:
        key = workspace.keystore.generate(KeyKind.ACCOUNT).public
    claims = AccountClaims(name=name, subject=key, limits=AccountLimits.fresh(), exports=tuple(exports))
    claims = _edited(workspace, claims, edit, outcome)
    refuse_new_faults(claims)
    signer = account_claim_signer(workspace, operator_claims, claims, outcome, wish)
    workspace.store.put_account(operator, sign(claims, signer, now=now))
    outcome.created = outcome.changed = True
    outcome.done.insert(0, f"created account {name!r} ({key})")
    first = workspace.context.text("operator") == operator and not workspace.context.text("account")
    if choose and first and workspace.context.update(account=name):
        outcome.note(f"chose account {name!r}")
    return outcome


def edit_account(
    workspace: Workspace, operator: str, name: str, edit: AccountEdit, *, now: int, wish: str = ""
) -> Outcome:
    """Change an account; what is so already is not signed again. ``wish`` is the ``-K`` key."""
    operator_claims = workspace.store.operator(operator).claims
    before = workspace.store.account(operator, name).claims
    outcome = Outcome()
    if edit.is_empty and before.issuer in trusted_signers(workspace, operator_claims, before):
        return outcome
    after = _edited(workspace, before, edit, outcome)
    put_amended(workspace, operator, before, after, outcome, now=now, wish=wish, resign=edit.resign)
    lost = set(before.signing_key_texts) - set(after.signing_key_texts)
    if lost:
        _warn_of_orphans(workspace, operator, name, lost, outcome)
    return outcome


def delete_account(
    workspace: Workspace, operator: str, name: str, *, force: bool, remove_keys: bool, remove_credentials: bool
) -> Outcome:
    """Remove an account and its users from the store. Servers that have its JWT keep it until it is pruned there."""
    claims = workspace.store.account(operator, name).claims
    if claims.subject == workspace.store.operator(operator).claims.system_account and not force:
        raise Failure(
            f"{name!r} is the system account: servers do not start without it",
            code="system-account",
            hint="pass --force if you mean it",
        )
    outcome = forget_account(workspace, operator, name, remove_keys=remove_keys, remove_credentials=remove_credentials)
    if workspace.context.text("account") == name and workspace.context.text("operator") == operator:
        workspace.context.update(account="")
    outcome.warn(
        "servers-keep-it",
        f"servers that were given account {name!r} ({claims.subject}) still let its users in",
        "remove it there with: gossamer prune, or from their configuration",
    )
    return outcome


def forget_account(
    workspace: Workspace, operator: str, name: str, *, remove_keys: bool, remove_credentials: bool
) -> Outcome:
    """The removal itself, without a check."""
    claims = workspace.store.account(operator, name).claims
    if remove_keys:
        for user in workspace.store.users(operator, name):
            workspace.keystore.remove(workspace.store.user(operator, name, user).claims.subject)
        for public in (claims.subject, *claims.signing_key_texts):
            workspace.keystore.remove(public)
    if remove_credentials:
        workspace.keystore.remove_credentials(operator, name)
    workspace.store.remove_account(operator, name)
    outcome = Outcome(changed=True)
    outcome.note(f"removed account {name!r}")
    return outcome


def create_scope(
    workspace: Workspace,
    operator: str,
    account: str,
    role: str,
    edit: GrantEdit,
    *,
    now: int,
    key: str = GENERATE,
    description: str = "",
    wish: str = "",
    exist_ok: bool = False,
) -> Outcome:
    """Add a scoped signing key: users that it signs get what the role's template grants (spec auth section 12)."""
    before = workspace.store.account(operator, account).claims
    role = role.strip()
    if not role:
        raise usage("the role is empty", "name it with --role")
    if role_key(before, role):
        if exist_ok:
            return edit_scope(
                workspace, operator, account, role, edit, now=now, description=description or None, wish=wish
            )
        raise Failure(
            f"account {account!r} has a role {role!r}",
            code="exists",
            hint="change it with: gossamer account signing-key edit, or pass --exist-ok",
        )
    outcome = Outcome()
    (public,) = _signing_keys(workspace, (key,), outcome)
    if public in before.signing_key_texts and before.scope(public) is not None:
        raise Failure(f"{public} has a role already", code="exists", hint="take another key, or: --sk generate")
    scope = UserScope(key=public, role=role, description=description, template=edit_grant(UserGrant.fresh(), edit))
    others = tuple(entry for entry in before.signing_keys if entry != public)
    outcome.done[-1:] = [f"added signing key {public} with the role {role!r}"]
    after = structs.replace(before, signing_keys=(*others, scope))
    put_amended(workspace, operator, before, after, outcome, now=now, wish=wish)
    return outcome


def edit_scope(
    workspace: Workspace,
    operator: str,
    account: str,
    role_or_key: str,
    edit: GrantEdit,
    *,
    now: int,
    role: str | None = None,
    description: str | None = None,
    wish: str = "",
) -> Outcome:
    """Change what a role's template grants, its name or its description."""
    before = workspace.store.account(operator, account).claims
    public = role_key(before, role_or_key) or role_or_key
    scope = before.scope(public)
    if scope is None:
        roles = [entry.role for entry in before.signing_keys if isinstance(entry, UserScope)]
        raise Failure(
            f"account {account!r} has no role {role_or_key!r}",
            code="not-found",
            hint=f"there are: {', '.join(roles)}" if roles else "add one with: gossamer account signing-key create",
        )
    if role and role != scope.role and role_key(before, role):
        raise Failure(f"account {account!r} has a role {role!r}", code="exists", hint="choose another name")
    changed = structs.replace(
        scope,
        role=scope.role if role is None else role,
        description=scope.description if description is None else description,
        template=edit_grant(scope.template, edit),
    )
    after = structs.replace(
        before, signing_keys=tuple(changed if entry is scope else entry for entry in before.signing_keys)
    )
    outcome = Outcome()
    put_amended(workspace, operator, before, after, outcome, now=now, wish=wish)
    if outcome.changed:
        outcome.warn(
            "closes-connections", f"connections under the role {scope.role!r} close when servers get this claim"
        )
    return outcome


def revoke_user(workspace: Workspace, operator: str, account: str, public: str, *, now: int, wish: str = "") -> Outcome:
    """Make everything issued to a user key until ``now`` void. An entry is never moved to an earlier time."""
    before = workspace.store.account(operator, account).claims
    outcome = Outcome()
    moment = max(now, before.revocations.get(public, 0))
    after = structs.replace(before, revocations={**before.revocations, public: moment})
    put_amended(workspace, operator, before, after, outcome, now=now, wish=wish)
    outcome.done.insert(0, f"revoked {public}")
    return outcome


def _edited(workspace: Workspace, claims: AccountClaims, edit: AccountEdit, outcome: Outcome) -> AccountClaims:
    if edit.info_url:
        parts = urlsplit(edit.info_url)
        if not (parts.scheme and parts.netloc):
            raise usage(f"{edit.info_url!r} is not a URL", "write https://...")
    default = claims.default_permissions
    publish, subscribe, responses = edit_permissions(
        default.publish, default.subscribe, default.responses, edit.default_permissions
    )
    removed = tuple(_signing_key_to_remove(workspace, claims, text) for text in edit.remove_signing_keys)
    kept = tuple(entry for entry in claims.signing_keys if _text(entry) not in removed)
    limits = edit_limits(claims.limits, edit.limits)
    fresh = tuple(key for key in _signing_keys(workspace, edit.signing_keys, outcome) if key not in map(_text, kept))
    return structs.replace(
        claims,
        tags=edit_tags(claims.tags, edit.claim),
        expires=claims.expires if edit.claim.expires is None else edit.claim.expires,
        not_before=claims.not_before if edit.claim.not_before is None else edit.claim.not_before,
        limits=limits,
        default_permissions=structs.replace(default, publish=publish, subscribe=subscribe, responses=responses),
        signing_keys=added_keys(kept, fresh),
        description=claims.description if edit.description is None else edit.description,
        info_url=claims.info_url if edit.info_url is None else edit.info_url,
        trace=_trace(claims, edit),
    )


def added_keys(kept: tuple[str | UserScope, ...], fresh: Iterable[str]) -> tuple[str | UserScope, ...]:
    """The signing keys with new plain ones, each once."""
    return (*kept, *added((), fresh))


def _trace(claims: AccountClaims, edit: AccountEdit) -> MessageTrace | None:
    if edit.trace_destination is None and edit.trace_sampling is None:
        return claims.trace
    if edit.trace_destination == "":
        return None
    trace = claims.trace or MessageTrace()
    if edit.trace_destination is not None:
        trace = structs.replace(trace, destination=edit.trace_destination)
    if edit.trace_sampling is not None:
        if not 0 <= edit.trace_sampling <= 100:
            raise usage(f"{edit.trace_sampling} is not a percentage", "sampling is 0 to 100")
        trace = structs.replace(trace, sampling=edit.trace_sampling)
    if not trace.destination:
        raise usage("sampling without a subject to send traces to", "give --trace-context-subject as well")
    return trace


def _signing_keys(workspace: Workspace, wishes: Iterable[str], outcome: Outcome) -> list[str]:
    found = []
    for wish in wishes:
        if wish == GENERATE:
            public = workspace.keystore.generate(KeyKind.ACCOUNT).public
        else:
            public, pair = read_key_argument(wish, KeyKind.ACCOUNT, workspace.keystore)
            if pair is not None:
                workspace.keystore.put(pair)
        outcome.note(f"added signing key {public}")
        found.append(public)
    return found


def _signing_key_to_remove(workspace: Workspace, claims: AccountClaims, text: str) -> str:
    public = role_key(claims, text)
    if not public:
        public, _ = read_key_argument(text, KeyKind.ACCOUNT, workspace.keystore)
    if not claims.has_signing_key(public):
        raise Failure(f"{public} is no signing key of account {claims.name!r}", code="not-found")
    return public


def _text(entry: str | UserScope) -> str:
    return entry if isinstance(entry, str) else entry.key


def _once(claims: AccountClaims, edit: AccountEdit) -> AccountEdit:
    """For ``create --exist-ok``: ``generate`` asks for a plain signing key to be there, not for one more each time."""
    plain = [entry for entry in claims.signing_keys if isinstance(entry, str)]
    missing = edit.signing_keys.count(GENERATE) - len(plain)
    others = tuple(text for text in edit.signing_keys if text != GENERATE)
    return structs.replace(edit, signing_keys=others + (GENERATE,) * max(0, missing))


def _warn_of_orphans(workspace: Workspace, operator: str, account: str, lost: set[str], outcome: Outcome) -> None:
    orphans = [
        user
        for user in workspace.store.users(operator, account)
        if workspace.store.user(operator, account, user).claims.issuer in lost
    ]
    if orphans:
        outcome.warn(
            "signed-by-removed-key",
            f"users signed by a removed key cannot connect any more: {', '.join(orphans)}",
            "issue them anew with: gossamer user edit NAME --resign",
        )
