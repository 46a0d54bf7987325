"""Which keys there are, and what each is for."""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from gossamer.operator.store.workspace import Workspace


class KeyUse(Struct, frozen=True, kw_only=True):
    """A key and one thing it is for; ``kind`` is empty for a stored key that no claim refers to."""

    public: str
    stored: bool
    kind: str = ""  # operator, account, user, callout (the key that requests are sealed for)
    name: str = ""
    operator: str = ""
    account: str = ""
    signing: bool = False
    role: str = ""


def inventory(workspace: Workspace, operators: Iterable[str], *, with_unused: bool = False) -> list[KeyUse]:
    """The keys of these operators, in the order operator, accounts, users. Raises Failure for broken claims or keys."""
    found = [use for operator in operators for use in _keys_of(workspace, operator)]
    if with_unused:
        known = {use.public for use in found}
        found += [
            KeyUse(public=public, stored=workspace.keystore.has_seed(public))
            for public in workspace.keystore.publics()
            if public not in known
        ]
    return found


def _keys_of(workspace: Workspace, operator: str) -> Iterator[KeyUse]:
    store, has_seed = workspace.store, workspace.keystore.has_seed
    claims = store.operator(operator).claims
    for public, signing in [(claims.subject, False), *((text, True) for text in claims.signing_keys)]:
        yield KeyUse(
            public=public, stored=has_seed(public), kind="operator", name=operator, operator=operator, signing=signing
        )
    for account in store.accounts(operator):
        account_claims = store.account(operator, account).claims
        for public in (account_claims.subject, *account_claims.signing_key_texts):
            scope = account_claims.scope(public)
            yield KeyUse(
                public=public,
                stored=has_seed(public),
                kind="account",
                name=account,
                operator=operator,
                account=account,
                signing=public != account_claims.subject,
                role="" if scope is None else scope.role,
            )
        if account_claims.authorization.xkey:
            public = account_claims.authorization.xkey
            yield KeyUse(
                public=public, stored=has_seed(public), kind="callout", name=account, operator=operator, account=account
            )
        for user in store.users(operator, account):
            public = store.user(operator, account, user).claims.subject
            yield KeyUse(
                public=public, stored=has_seed(public), kind="user", name=user, operator=operator, account=account
            )
