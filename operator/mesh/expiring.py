"""Everything that can expire, who signed it, and whether somebody uses it now (spec operator-cli section 10.8)."""

from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from gossamer.auth.claims import AccountClaims, ActivationClaims, Claims, OperatorClaims
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.operator.mesh.answers import Connection
from gossamer.operator.store.workspace import Workspace

DAY_S = 86400

OPERATOR, ACCOUNT, SIGNING_KEY, USER, ACTIVATION = "operator", "account", "signing-key", "user", "activation"
NEVER, FINE, DUE, EXPIRED = "never", "ok", "due", "expired"


class Credential(Struct, frozen=True, kw_only=True):
    """One thing that was issued. Moments in unix seconds; ``expires`` is None where it never does. ``connections``:
    how many live connections depend on it; None where nobody has looked, or nothing can be said. ``name`` says where
    it belongs (``ACME/TEAM/alice``); ``credentials`` is the file that holds it."""

    kind: str
    name: str
    key: str
    state: str
    expires: int | None
    days_left: float | None
    issued: int | None
    signer: str
    revoked: bool = False
    connections: int | None = None
    credentials: str = ""

    @property
    def in_use(self) -> bool | None:
        """Does somebody depend on it now? None: not known."""
        return None if self.connections is None else self.connections > 0


def credentials_of(
    workspace: Workspace, operator: str, *, now: float, within_s: float, live: Sequence[Connection] | None = None
) -> list[Credential]:
    """The operator, its signing keys, accounts, their signing keys, users and the activations that imports hold, in
    this order, account by account. ``due`` is what expires within ``within_s``. Raises Failure for broken claims."""
    reckoning = _Reckoning(workspace, operator, now, within_s, live)
    return list(reckoning.rows())


class _Reckoning:
    def __init__(
        self, workspace: Workspace, operator: str, now: float, within_s: float, live: Sequence[Connection] | None
    ) -> None:
        self.workspace = workspace
        self.operator = operator
        self.now = now
        self.within_s = within_s
        self.live = live

    def rows(self) -> Iterator[Credential]:
        store = self.workspace.store
        claims: OperatorClaims = store.operator(self.operator).claims
        yield self.row(OPERATOR, self.operator, claims, None if self.live is None else len(self.live))
        accounts = {name: store.account(self.operator, name).claims for name in store.accounts(self.operator)}
        for key in claims.signing_keys:
            signed = {account.subject for account in accounts.values() if account.issuer == key}
            count = self.count(lambda one: one.account, signed)
            yield self.key_row(f"{self.operator}/{key}", key, claims.subject, count)
        for name, account in accounts.items():
            yield from self.account_rows(name, account)

    def account_rows(self, name: str, account: AccountClaims) -> Iterator[Credential]:
        store = self.workspace.store
        label = f"{self.operator}/{name}"
        yield self.row(ACCOUNT, label, account, self.count(lambda one: one.account, {account.subject}))
        for key in account.signing_key_texts:
            scope = account.scope(key)
            where = f"{label}/{scope.role or key}" if scope is not None else f"{label}/{key}"
            count = self.count(lambda one: one.issuer, {key})
            yield self.key_row(where, key, account.issuer, count)
        for user in store.users(self.operator, name):
            claims = store.user(self.operator, name, user).claims
            path = self.workspace.keystore.credentials_path(self.operator, name, user)
            count = self.count(lambda one: one.user, {claims.subject})
            held = str(path) if self.workspace.changes.exists(path) else ""
            revoked = account.is_revoked(claims.subject, claims.issued_at)
            yield self.row(USER, f"{label}/{user}", claims, count, revoked=revoked, credentials=held)
        for entry in account.imports:
            try:
                activation = decode_as(ActivationClaims, entry.token) if entry.token else None
            except TokenError:
                continue  # a URL, or something that gossamer validate tells about
            if activation is not None:
                yield self.row(ACTIVATION, f"{label}/{entry.local}", activation, None)

    def row(
        self,
        kind: str,
        name: str,
        claims: Claims,
        connections: int | None,
        *,
        revoked: bool = False,
        credentials: str = "",
    ) -> Credential:
        expires = claims.expires or None
        return Credential(
            kind=kind,
            name=name,
            key=claims.subject,
            state=self.state(expires),
            expires=expires,
            days_left=None if expires is None else round((expires - self.now) / DAY_S, 2),
            issued=claims.issued_at,
            signer=claims.issuer,
            revoked=revoked,
            connections=connections,
            credentials=credentials,
        )

    def key_row(self, name: str, key: str, signer: str, connections: int | None) -> Credential:
        """A signing key: it counts until it is removed."""
        return Credential(
            kind=SIGNING_KEY,
            name=name,
            key=key,
            state=NEVER,
            expires=None,
            days_left=None,
            issued=None,
            signer=signer,
            connections=connections,
        )

    def state(self, expires: int | None) -> str:
        if expires is None:
            return NEVER
        if expires <= self.now:
            return EXPIRED
        return DUE if expires <= self.now + self.within_s else FINE

    def count(self, member: Callable[[Connection], str], keys: set[str]) -> int | None:
        """Live connections with one of these keys there."""
        return None if self.live is None else sum(member(one) in keys for one in self.live)
