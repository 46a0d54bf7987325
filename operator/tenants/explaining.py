"""Which rule lets a user publish or subscribe, or refuses it: offline, from the store, credentials or a configuration.

The rules themselves are those of ``gossamer.auth``; here the user is found, taken to be who it says it is (a password
or a signature cannot be asked for offline), and the answer put into words. ``gossamer.operator.tenants.journey`` says
what happens behind the permission: mappings, imports, who can receive it.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from msgspec import Struct, structs

from gossamer.auth.authenticator import Admission, Attempt, Authenticator, Refusal
from gossamer.auth.claims import AccountClaims, UserClaims
from gossamer.auth.credentials import CredentialsError, load_credentials
from gossamer.auth.decisions import ConnectOptions
from gossamer.auth.jwt import TokenError
from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.permissions import Permissions
from gossamer.auth.policy import Verdict, filters_delivery, may_publish, may_subscribe
from gossamer.auth.resolver import AccountSource, DirectoryResolver, MemoryResolver, ResolverError, checked_account
from gossamer.auth.scopes import ScopeError, scoped_grant
from gossamer.auth.settings import AuthSettings, UserSettings
from gossamer.auth.sharing.from_claims import of_claims
from gossamer.auth.sharing.from_settings import of_settings
from gossamer.auth.soundness import sound
from gossamer.auth.subjects import has_wildcards, is_valid
from gossamer.auth.validation import blocking, validate
from gossamer.operator.failure import Failure, usage
from gossamer.operator.store.changes import existing_file
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.journey import Arrival, Journey, Map, Step

PUBLISH = "pub"
SUBSCRIBE = "sub"
REQUEST = "request"
_INBOX = "_INBOX.>"
_PROOF = "taken as proven"


class Standing(Struct, frozen=True, kw_only=True):
    """What a user may do, and where that stands. ``refusal`` is set instead when it may not even connect."""

    user: str
    account: str = ""
    account_key: str = ""  # as servers call it
    permissions: Permissions | None = None
    source: str = "none"  # user, role, account-default, configuration, none
    place: str = ""
    signer: str = ""
    refusal: str = ""
    literal_wildcards: bool = False  # of the configuration: ``gossamer.auth.policy``


class Explanation(Struct, frozen=True, kw_only=True):
    """The answer. ``rule`` is the entry that decided, or why none did; ``place`` the claim or the line it stands in."""

    allowed: bool
    action: str
    subject: str
    queue: str
    user: str
    account: str
    rule: str
    source: str
    place: str
    signer: str
    connects: bool
    notes: Sequence[str] = ()
    account_key: str = ""
    path: Sequence[Step] = ()
    arrivals: Sequence[Arrival] = ()


def explain(standing: Standing, action: str, subject: str, queue: str = "", accounts: Map | None = None) -> Explanation:
    """May the user ``pub``, ``sub`` or ``request`` this subject, and with ``accounts``, where does it go from there?

    Raises Failure for a subject that nobody could use.
    """
    check_question(action, subject, queue)
    notes: list[str] = []
    if standing.refusal:
        allowed, rule = False, standing.refusal
    elif action != SUBSCRIBE:
        verdict = _publishing(standing, subject, accounts, notes)
        allowed, rule = verdict.allowed, verdict.rule
        if verdict.response_may_allow:
            notes.append("allowed all the same as the reply to a request that it was given (allow_responses)")
        if action == REQUEST and not may_subscribe(standing.permissions, _INBOX).allowed:
            notes.append(f"it may not subscribe to {_INBOX}: where clients wait for answers, unless told otherwise")
    else:
        literal = standing.literal_wildcards
        verdict = may_subscribe(standing.permissions, subject, queue, literal_wildcards=literal)
        allowed, rule = verdict.allowed, verdict.rule
        if allowed and filters_delivery(standing.permissions, subject, queue):
            notes.append("messages on subjects that a deny entry matches are not delivered to it")
        if not allowed and may_subscribe(standing.permissions, subject, queue, literal_wildcards=True).allowed:
            notes.append("nats-server would allow it: it takes the wildcards of a subscription for plain tokens")
    journey = Journey()
    if allowed and accounts is not None:
        if action == SUBSCRIBE:
            journey = accounts.subscribed(standing.account_key, subject)
        else:
            journey = accounts.published(
                standing.account_key,
                subject,
                lambda made: "" if (verdict := may_publish(standing.permissions, made)) else verdict.rule,
            )
    return Explanation(
        allowed=allowed,
        action=action,
        subject=subject,
        queue=queue,
        user=standing.user,
        account=standing.account,
        rule=rule,
        source=standing.source,
        place=standing.place,
        signer=standing.signer,
        connects=not standing.refusal,
        notes=tuple(notes),
        account_key=standing.account_key,
        path=tuple(journey.steps),
        arrivals=tuple(journey.arrivals),
    )


def _publishing(standing: Standing, subject: str, accounts: Map | None, notes: list[str]) -> Verdict:
    """The verdict about what the account's mappings make of the subject: servers map first and judge then.

    With several targets it counts if one of them is allowed; the journey tells where the others stop.
    """
    made = [subject] if accounts is None else accounts.mapped(standing.account_key, subject)
    if made != [subject]:
        notes.append(f"mapped to {', '.join(map(repr, made)) or 'nothing'} first: that is what permissions are about")
    verdicts = [may_publish(standing.permissions, each) for each in made]
    return next(
        (verdict for verdict in verdicts if verdict.allowed),
        verdicts[0] if verdicts else Verdict(allowed=False, rule="its mapping leaves nothing of it"),
    )


def check_question(action: str, subject: str, queue: str) -> None:
    """Raises Failure (usage) for a subject or a queue that no client could send."""
    if not is_valid(subject):
        raise usage(f"{subject!r} is not a subject", "tokens between dots must not be empty, and > comes last")
    if action != SUBSCRIBE and has_wildcards(subject):
        raise usage(f"{subject!r} cannot be published to: it has wildcards", "name one subject")
    if queue and (action != SUBSCRIBE or any(letter.isspace() for letter in queue)):
        raise usage(
            f"the queue group {queue!r} makes no sense here", "queue groups are for subscriptions, without blanks"
        )


def standing_in_store(workspace: Workspace, user: str, account: str, now: float) -> Standing:
    """A user of the store (``NAME``, ``ACCOUNT/NAME``, a public key) or of a credentials file, trusted by the store's
    operator. Raises Failure when there is no such user."""
    operator = workspace.operator()
    claims = find_user(workspace, user, account)
    stored = workspace.store.account_by_key(operator.claims.name, claims.account)
    resolver = MemoryResolver([] if stored is None else [(stored.claims.subject, stored.token)])
    settings = AuthSettings(operators=(operator.token,), system_account=operator.claims.system_account)
    return _by_claims(settings, resolver, claims, now)


def standing_in_configuration(
    settings: AuthSettings, workspace: Workspace, user: str, account: str, now: float
) -> Standing:
    """A user of a server's configuration: by name or nkey, or in operator mode like ``standing_in_store``."""
    if settings.operator_mode:
        standing = _by_claims(settings, _resolver(settings), find_user(workspace, user, account), now)
    else:
        proven, attempt = _as_if_proven(settings, user)
        decision = Authenticator(proven).decide(attempt, now)
        if isinstance(decision, Refusal):
            place = decision.reason.place
            return Standing(user=user, refusal=str(decision.reason), source="configuration", place=place)
        standing = _admitted(decision, user)
    return structs.replace(standing, literal_wildcards=settings.literal_wildcards)


def map_of_store(workspace: Workspace, now: float) -> Map:
    """All accounts of the operator, and what they share. Raises Failure."""
    operator = workspace.operator().claims.name
    names = workspace.store.accounts(operator)
    return Map.of((of_claims(workspace.store.account(operator, name).claims) for name in names), now)


def map_of_configuration(settings: AuthSettings, now: float, cluster: str = "") -> Map:
    """All accounts that a configuration names, preloads or has in its directory. Raises Failure."""
    accounts = list(of_settings(settings))
    if settings.operator_mode:
        resolver = _resolver(settings)
        keys = [key for key, _ in settings.resolver_preload]
        configured = settings.resolver
        if configured is not None and configured.directory and Path(configured.directory).is_dir():
            keys += DirectoryResolver(configured.directory).keys()
        for key in dict.fromkeys(keys):
            token = resolver.account_jwt(key)
            try:
                if token is not None:
                    accounts.append(of_claims(checked_account(key, token), resolver.place(key)))
            except ResolverError as error:
                raise Failure(str(error), code="broken-file") from None
    return Map.of(accounts, now, cluster)


def find_user(workspace: Workspace, user: str, account: str) -> UserClaims:
    """The claims of a user: from a credentials file, or from the store. Raises Failure."""
    path = existing_file(user) if user.endswith(".creds") or "/" in user else None
    if path is not None:
        try:
            return load_credentials(path).claims
        except CredentialsError as error:
            raise Failure(str(error), code="broken-file", path=str(path)) from None
    operator = workspace.operator().claims.name
    store = workspace.store
    if is_public(user, KeyKind.USER):
        names = store.accounts(operator)
        for owner in names:
            for name in store.users(operator, owner):
                claims = store.user(operator, owner, name).claims
                if claims.subject == user:
                    return claims
        raise Failure(
            f"no user of operator {operator!r} has the key {user}", code="not-found", hint="give its .creds file"
        )
    owner, slash, name = user.partition("/")
    if slash:
        return store.user(operator, owner, name).claims
    return store.user(operator, workspace.account(account).claims.name, user).claims


def _by_claims(settings: AuthSettings, accounts: AccountSource, user: UserClaims, now: float) -> Standing:
    base = Standing(user=user.name or user.subject, account=user.account, account_key=user.account, signer=user.issuer)
    issues = blocking(validate(user, now), times=True)
    if issues:
        return structs.replace(base, refusal=f"cannot connect: {'; '.join(issues)}", place="the user's claim")
    try:
        judged = Authenticator(settings, accounts).account_claims(user, now)
    except TokenError as error:
        raise Failure(str(error), code="broken-file") from None
    if isinstance(judged, Refusal):
        reason = judged.reason
        return structs.replace(base, refusal=f"cannot connect: {reason.text}", place=reason.place, signer=reason.signer)
    base = structs.replace(base, account=judged.name or judged.subject)
    if judged.is_revoked(user.subject, user.issued_at):
        place = f"revocations of account {judged.name!r} ({judged.subject})"
        return structs.replace(base, refusal="cannot connect: the user is revoked", place=place, signer=judged.issuer)
    return _granted(base, user, judged)


def _granted(base: Standing, user: UserClaims, account: AccountClaims) -> Standing:
    scope = account.scope(user.issuer)
    named = f"account {account.name!r} ({account.subject})"
    if scope is not None:
        place = f"template of role {scope.role!r} of {named}"
        try:
            permissions = scoped_grant(scope, user, account).permissions
        except ScopeError as error:
            return structs.replace(base, refusal=f"cannot connect: {error}", place=place, signer=account.issuer)
        base = structs.replace(base, source="role", place=place, signer=account.issuer)
    elif user.grant.permissions is not None:
        permissions = user.grant.permissions
        base = structs.replace(base, source="user", place=f"claim of user {user.name!r} ({user.subject})")
    else:
        permissions = account.default_permissions.permissions
        if permissions is not None:
            place = f"default permissions of {named}"
            base = structs.replace(base, source="account-default", place=place, signer=account.issuer)
    permissions, bad = sound(permissions)
    if bad:
        return structs.replace(base, refusal=f'cannot connect: the deny entry "{bad}" is no subject')
    return structs.replace(base, permissions=permissions)


def _admitted(admission: Admission, user: str) -> Standing:
    restricted = admission.permissions is not None
    return Standing(
        user=user,
        account=admission.account_name or admission.account,
        account_key=admission.account,
        permissions=admission.permissions,
        source="configuration" if restricted else "none",
        place=admission.permissions_place,
    )


def _as_if_proven(settings: AuthSettings, user: str) -> tuple[AuthSettings, Attempt]:
    """The configuration with a password that we know, and the attempt that gives it."""
    if not settings.users:
        if settings.token:
            return structs.replace(settings, token=_PROOF), Attempt(connect=ConnectOptions(auth_token=_PROOF))
        return (
            structs.replace(settings, password=_PROOF),
            Attempt(connect=ConnectOptions(user=user, password=_PROOF)),
        )
    users = tuple(
        _with_known_password(entry) if user in (entry.name, entry.nkey) else entry for entry in settings.users
    )
    found = next((entry for entry in users if entry.name == user), None)
    kind = found.connection_types[0] if found and found.connection_types else "STANDARD"
    attempt = Attempt(connect=ConnectOptions(user=user, password=_PROOF), connection_type=kind)
    return structs.replace(settings, users=users, proxy_required=False), attempt


def _with_known_password(entry: UserSettings) -> UserSettings:
    return structs.replace(entry, name=entry.name or entry.nkey, nkey="", password=_PROOF, proxy_required=False)


def _resolver(settings: AuthSettings) -> AccountSource:
    configured = settings.resolver
    directory = Path(configured.directory) if configured is not None and configured.directory else None
    return _ReadOnly(directory if directory is not None and directory.is_dir() else None, settings.resolver_preload)


class _ReadOnly:
    """What a node would know of its accounts, without writing what it would: preloads, and its directory's files."""

    def __init__(self, directory: Path | None, preload: Iterable[tuple[str, str]]) -> None:
        self._preload = MemoryResolver(preload)
        self._directory = None if directory is None else DirectoryResolver(directory)

    def account_jwt(self, key: str) -> str | None:
        """The newer one of the file and the preload."""
        preload = self._preload.account_jwt(key)
        file = None if self._directory is None else self._directory.account_jwt(key)
        if preload is None or file is None:
            return preload or file
        try:
            return max(preload, file, key=lambda token: checked_account(key, token).issued_at)
        except ResolverError:
            return file

    def place(self, key: str) -> str:
        """Where the account would be found."""
        return self._preload.place(key) if self._directory is None else self._directory.place(key)
