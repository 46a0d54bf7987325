"""Operators: made and changed (spec operator-cli sections 4.1 and 4.2)."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from msgspec import Struct, structs

from gossamer.auth.claims import Export, OperatorClaims
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.operator.failure import Failure, usage
from gossamer.operator.store.keystore import read_key_argument
from gossamer.operator.store.names import checked_name
from gossamer.operator.store.stored import refuse_new_faults, same_content, sign
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants import accounts, users
from gossamer.operator.tenants.edits import ClaimEdit, added, edit_tags
from gossamer.operator.tenants.result import Outcome
from gossamer.operator.tenants.signing import operator_identity

SYSTEM_ACCOUNT_NAME = "SYS"
SYSTEM_USER_NAME = "sys"
GENERATE = "generate"
_RESERVED = {"keys", "creds"}

#: What every system account offers to the others (spec operator-cli checklist 9).
SYSTEM_EXPORTS = (
    Export(
        name="account-monitoring-streams",
        subject="$SYS.ACCOUNT.*.>",
        type="stream",
        account_token_position=3,
        description="Events about the importing account",
    ),
    Export(
        name="account-monitoring-services",
        subject="$SYS.REQ.ACCOUNT.*.*",
        type="service",
        response_type="Stream",
        account_token_position=4,
        description="Monitoring of the importing account: SUBSZ, CONNZ, LEAFZ, JSZ, INFO",
    ),
)


class OperatorEdit(Struct, frozen=True, kw_only=True):
    """Changes to an operator. ``signing_keys`` are public keys, seeds, paths or the word ``generate``."""

    claim: ClaimEdit = ClaimEdit()
    account_server_url: str | None = None  # empty: remove it
    service_urls: tuple[str, ...] = ()
    remove_service_urls: tuple[str, ...] = ()
    system_account: str = ""  # name or public key
    signing_keys: tuple[str, ...] = ()
    remove_signing_keys: tuple[str, ...] = ()
    require_signing_keys: bool | None = None

    @property
    def is_empty(self) -> bool:
        """Does it change nothing?"""
        return self == OperatorEdit()


def create_operator(
    workspace: Workspace,
    name: str,
    *,
    now: int,
    edit: OperatorEdit | None = None,
    system: bool = False,
    exist_ok: bool = False,
) -> Outcome:
    """Make an operator; with ``system`` a system account SYS, its user ``sys`` and its credentials too.

    An operator that exists is a Failure, or with ``exist_ok`` brought to what is asked. The first operator of a
    context becomes the chosen one.
    """
    name = checked_name(name, "operator")
    edit = edit or OperatorEdit()
    if workspace.store.root == workspace.keystore.root and name in _RESERVED:
        raise Failure(
            f"an operator cannot be called {name!r} here", code="bad-name", hint="the keystore uses that folder"
        )
    outcome = Outcome()
    existing = workspace.store.find_operator(name)
    if existing is not None and not exist_ok:
        raise Failure(
            f"operator {name!r} exists",
            code="exists",
            hint="change it with: gossamer operator edit, or pass --exist-ok",
        )
    if existing is None:
        pair = workspace.keystore.generate(KeyKind.OPERATOR)
        claims = OperatorClaims(name=name, subject=pair.public)
        workspace.store.put_operator(sign(claims, pair, now=now))
        outcome.created = outcome.changed = True
        outcome.note(f"created operator {name!r} ({pair.public})")
    elif not workspace.store.is_operator(name):
        # A machine that died while it was made left the claim without the mark of its folder.
        workspace.store.put_operator(existing)
        outcome.changed = True
        outcome.note(f"completed operator {name!r}")
    claims = workspace.store.operator(name).claims
    # Signing keys come first, so that the system account is signed by one of them.
    outcome.include(edit_operator(workspace, name, _once(workspace, claims, edit), now=now))
    if system:
        outcome.include(_create_system_account(workspace, name, now))
    if outcome.created and not workspace.context.text("operator"):
        root = str(workspace.store.root)
        if workspace.context.update(store_root=root, operator=name, account=""):
            outcome.note(f"chose operator {name!r}")
    return outcome


def edit_operator(workspace: Workspace, name: str, edit: OperatorEdit, *, now: int, wish: str = "") -> Outcome:
    """Change an operator; what is so already is not signed again. ``wish`` is the ``-K`` key."""
    stored = workspace.store.operator(name)
    outcome = Outcome()
    if edit.is_empty:
        return outcome
    before = stored.claims
    # The signer is asked for before a key is made: a failure must leave no key behind.
    after = _edited(workspace, before, edit, outcome)
    if same_content(before, after):
        outcome.done.clear()
        outcome.note(f"operator {name!r} is so already")
        return outcome
    signer = operator_identity(workspace.keystore, before, wish)
    refuse_new_faults(after, before)
    managed = workspace.store.is_managed(name)
    issued = workspace.store.issued_on_disk(OperatorClaims, workspace.store.operator_path(name))
    workspace.store.put_operator(sign(after, signer, now=now, newer_than=issued), managed=managed)
    outcome.changed = True
    outcome.note(f"signed operator {name!r}")
    _warn_of_orphans(workspace, name, before, after, outcome)
    return outcome


def delete_operator(workspace: Workspace, name: str, *, remove_keys: bool, remove_credentials: bool) -> Outcome:
    """Remove an operator with all its accounts and users from the store."""
    outcome = Outcome(changed=True)
    stored = workspace.store.operator(name)
    for account in workspace.store.accounts(name):
        outcome.include(
            accounts.forget_account(
                workspace, name, account, remove_keys=remove_keys, remove_credentials=remove_credentials
            )
        )
    if remove_keys:
        for public in (stored.claims.subject, *stored.claims.signing_keys):
            workspace.keystore.remove(public)
    workspace.store.remove_operator(name)
    if workspace.context.text("operator") == name:
        workspace.context.update(operator="", account="")
    outcome.note(f"removed operator {name!r}")
    return outcome


def _edited(workspace: Workspace, claims: OperatorClaims, edit: OperatorEdit, outcome: Outcome) -> OperatorClaims:
    if edit.account_server_url:
        _check_url(edit.account_server_url, ("http", "https", "nats", "tls", "ws", "wss"))
    for url in edit.service_urls:
        _check_url(url, ("nats", "tls", "ws", "wss"), bare=True)
    system_account = claims.system_account
    if edit.system_account:
        system_account = _account_key(workspace, claims.name, edit.system_account)
    strict = claims.strict_signing_key_usage if edit.require_signing_keys is None else edit.require_signing_keys
    removed = tuple(_signing_key_to_remove(workspace, claims, text) for text in edit.remove_signing_keys)
    fresh = _signing_keys(workspace, edit.signing_keys, outcome)
    after = structs.replace(
        claims,
        tags=edit_tags(claims.tags, edit.claim),
        expires=claims.expires if edit.claim.expires is None else edit.claim.expires,
        not_before=claims.not_before if edit.claim.not_before is None else edit.claim.not_before,
        account_server_url=claims.account_server_url if edit.account_server_url is None else edit.account_server_url,
        operator_service_urls=added(claims.operator_service_urls, edit.service_urls, edit.remove_service_urls),
        system_account=system_account,
        signing_keys=added(claims.signing_keys, fresh, removed),
        strict_signing_key_usage=strict,
    )
    if strict and not after.signing_keys:
        raise Failure(
            f"operator {claims.name!r} would need signing keys but has none",
            code="no-signing-key",
            hint="add one in the same command: --sk generate",
        )
    return after


def _signing_keys(workspace: Workspace, wishes: Iterable[str], outcome: Outcome) -> list[str]:
    found = []
    for wish in wishes:
        if wish == GENERATE:
            pair: KeyPair | None = workspace.keystore.generate(KeyKind.OPERATOR)
            assert pair is not None
            public = pair.public
        else:
            public, pair = read_key_argument(wish, KeyKind.OPERATOR, workspace.keystore)
            if pair is not None:
                workspace.keystore.put(pair)
        outcome.note(f"added signing key {public}")
        found.append(public)
    return found


def _signing_key_to_remove(workspace: Workspace, claims: OperatorClaims, text: str) -> str:
    public, _ = read_key_argument(text, KeyKind.OPERATOR, workspace.keystore)
    if public not in claims.signing_keys:
        raise Failure(f"{public} is no signing key of operator {claims.name!r}", code="not-found")
    return public


def _once(workspace: Workspace, claims: OperatorClaims, edit: OperatorEdit) -> OperatorEdit:
    """For ``create --exist-ok``: ``generate`` asks for a signing key to be there, not for one more each time."""
    missing = edit.signing_keys.count(GENERATE) - len(claims.signing_keys)
    others = tuple(text for text in edit.signing_keys if text != GENERATE)
    return structs.replace(edit, signing_keys=others + (GENERATE,) * max(0, missing))


def _create_system_account(workspace: Workspace, operator: str, now: int) -> Outcome:
    outcome = Outcome()
    claims = workspace.store.operator(operator).claims
    name = workspace.system_account_name(operator) or SYSTEM_ACCOUNT_NAME
    if claims.system_account and not workspace.system_account_name(operator):
        raise Failure(
            f"the system account {claims.system_account} of operator {operator!r} is not in the store",
            code="not-found",
            hint="restore its file from a backup",
        )
    edit = accounts.AccountEdit(signing_keys=(GENERATE,))
    # A signing key, if there is one: the identity seed may be offline from now on.
    signer = next((key for key in claims.signing_keys if workspace.keystore.has_seed(key)), "")
    outcome.include(
        accounts.create_account(
            workspace,
            operator,
            name,
            now=now,
            edit=edit,
            exports=SYSTEM_EXPORTS,
            wish=signer,
            exist_ok=True,
            choose=False,
        )
    )
    outcome.include(edit_operator(workspace, operator, OperatorEdit(system_account=name), now=now))
    key = next(iter(workspace.store.account(operator, name).claims.signing_key_texts), "")
    outcome.include(users.create_user(workspace, operator, name, SYSTEM_USER_NAME, now=now, wish=key, exist_ok=True))
    return outcome


def _account_key(workspace: Workspace, operator: str, text: str) -> str:
    stored = workspace.store.account_by_key(operator, text) or workspace.store.account(operator, text)
    return stored.claims.subject


def _check_url(url: str, schemes: tuple[str, ...], *, bare: bool = False) -> None:
    try:
        parts = urlsplit(url)
        fits = parts.scheme in schemes and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        fits = False
    if not fits:
        raise usage(f"{url!r} is not a URL of a server", f"it must begin with {', '.join(f'{s}://' for s in schemes)}")
    if bare and (parts.path.strip("/") or parts.username or parts.password):
        raise usage(f"{url!r} has a path or credentials", "a service URL names the server only")


def _warn_of_orphans(
    workspace: Workspace, name: str, before: OperatorClaims, after: OperatorClaims, outcome: Outcome
) -> None:
    lost = set(before.trusted_keys) - set(after.trusted_keys)
    if lost:
        orphans = [
            account
            for account in workspace.store.accounts(name)
            if workspace.store.account(name, account).claims.issuer in lost
        ]
        if orphans:
            outcome.warn(
                "signed-by-removed-key",
                f"accounts signed by a key that is no longer trusted: {', '.join(orphans)}",
                "sign them anew with: gossamer account edit NAME --resign",
            )
    if before.trusted_keys != after.trusted_keys or before.system_account != after.system_account:
        outcome.warn(
            "restart-needed", "servers read the operator's claim at start only", "restart them with the new one"
        )
