"""Who may come in: the authenticator's decisions, asked for at once or, where they take long, in a thread.

On an open server nothing of ``gossamer.auth`` but the settings is even imported.
"""

import asyncio
from typing import TYPE_CHECKING

from gossamer.auth.settings import AuthSettings
from gossamer.mesh.accounts.account import Account
from gossamer.mesh.accounts.registry import Accounts
from gossamer.mesh.engine.kinds import Action, CloseReason
from gossamer.mesh.peers.connect import Connect
from gossamer.mesh.world import Clock

if TYPE_CHECKING:
    from concurrent.futures import ThreadPoolExecutor

    from gossamer.auth.authenticator import Authenticator
    from gossamer.auth.decisions import Admission, Attempt, Refusal
    from gossamer.auth.permissions import Permissions
    from gossamer.auth.resolver import AccountSource
    from gossamer.mesh.peers.client import Client

#: Password hashes computed at the same time; one takes about 50 ms of a core.
HASHING_THREADS = 2
_DEFAULT_TIMEOUT_NS = 2_000_000_000
_SECOND_NS = 1_000_000_000


class Judge:
    """Made from the settings of the moment; a reload makes a new one.

    ``required``: must clients authenticate? ``anonymous``: is there a user for those who bring nothing?
    ``hides_requirement``: INFO does not say so (``no_auth_user`` configured). ``timeout_ns``: for the listener, 0 none.
    """

    def __init__(self, settings: AuthSettings, accounts: Accounts, clock: Clock) -> None:
        """Raises ValueError for settings that the authenticator cannot work with, ResolverError for a resolver."""
        self.settings = settings
        self._accounts = accounts
        self._clock = clock
        self._pool: ThreadPoolExecutor | None = None
        self.required = is_required(settings)
        self.hides_requirement = bool(settings.no_auth_user)
        self.anonymous = self.hides_requirement or is_implicitly_anonymous(settings)
        self.wants_nonce = (
            settings.operator_mode or bool(settings.trusted_proxies) or any(user.nkey for user in settings.users)
        )
        self.timeout_ns = 0
        if self.required and not self.hides_requirement:
            self.timeout_ns = settings.timeout_ns or _DEFAULT_TIMEOUT_NS
        self.source: AccountSource | None = None
        self._authenticator: Authenticator | None = None
        self._hashed_users: frozenset[str] = frozenset()
        self._hashed_token = False
        if self.required:
            self._prepare()

    def _prepare(self) -> None:
        from gossamer.auth.authenticator import Authenticator
        from gossamer.auth.passwords import is_hash
        from gossamer.auth.resolver import resolver_of

        settings = self.settings
        if settings.resolver is not None:
            self.source = resolver_of(settings.resolver, settings.resolver_preload)
        self._authenticator = Authenticator(settings, self.source)
        hashed = [user.name for user in settings.users if is_hash(user.password)]
        if settings.user and is_hash(settings.password):
            hashed.append(settings.user)
        self._hashed_users = frozenset(hashed)
        self._hashed_token = is_hash(settings.token)

    # --- deciding -----------------------------------------------------------------------------------------------
    def attempt(self, client: "Client", connect: Connect, nonce: bytes) -> "Attempt":
        """What the client brings, for ``decide``; it can be kept and judged again."""
        from gossamer.auth.decisions import Attempt, ConnectOptions

        return Attempt(
            connect=ConnectOptions(
                user=connect.user,
                password=connect.password,
                auth_token=connect.auth_token,
                jwt=connect.jwt if self.settings.operator_mode else "",
                nkey=connect.nkey,
                sig=connect.sig,
                proxy_sig=connect.proxy_sig,
                account=connect.account,
                new_account=connect.new_account,
                name=client.name,
                lang=client.lang,
                version=client.version,
            ),
            client_host=client.host,
            nonce=nonce,
        )

    def is_slow(self, attempt: "Attempt") -> bool:
        """Would ``decide`` compute a password hash?"""
        connect = attempt.connect
        user = connect.user
        if not user and not connect.auth_token and not connect.nkey:
            user = self.settings.no_auth_user
        return user in self._hashed_users or (self._hashed_token and bool(connect.auth_token))

    def decide(self, attempt: "Attempt") -> "Admission | Refusal":
        """The verdict of this moment."""
        assert self._authenticator is not None, "an open server has nothing to decide"
        return self._authenticator.decide(attempt, self._clock.wall_ns() / _SECOND_NS)

    def decide_aside(self, attempt: "Attempt") -> "asyncio.Future[Admission | Refusal]":
        """The same in a thread, a few at a time, in the order of asking."""
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(HASHING_THREADS, thread_name_prefix="gossamer-hash")
        return asyncio.get_running_loop().run_in_executor(self._pool, self.decide, attempt)

    def stop(self) -> None:
        """Verdicts still being thought about are dropped."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    # --- what follows from a verdict ------------------------------------------------------------------------------
    def account_of(self, admission: "Admission | None") -> Account | None:
        """Where the client belongs; None admission: the open server's global account. None: there is no such."""
        if admission is None:
            return self._accounts.global_account
        if self.settings.operator_mode:
            return self._accounts.bring(
                admission.account,
                limits=admission.account_limits,
                label=admission.account_name,
                expires_ns=(admission.account_expires_at or 0) * _SECOND_NS,
            )
        return self._accounts.find(admission.account)

    def close_reason(self, refusal: "Refusal") -> CloseReason:
        """The engine's number for the refusal's reason."""
        return CloseReason[refusal.close_reason]

    def knows_user(self, attempt: "Attempt") -> bool:
        """Is there (still) an entry for whom the client said it was? JWT users have none."""
        connect, settings = attempt.connect, self.settings
        if connect.nkey:
            return any(user.nkey == connect.nkey for user in settings.users)
        if connect.user:
            return connect.user == settings.user or any(user.name == connect.user for user in settings.users)
        return True


def is_required(settings: AuthSettings) -> bool:
    """Does anything in the settings make clients authenticate? (spec auth section 8.1)"""
    return bool(settings.user or settings.token or settings.users or settings.operator_mode)


def is_implicitly_anonymous(settings: AuthSettings) -> bool:
    """Clients without credentials go to the global account although users exist: only the system account has any
    (spec client-protocol section 17.3)."""
    if not settings.system_account or settings.operator_mode or settings.no_auth_user:
        return False
    if settings.user or settings.token:
        return False
    names = {account.name for account in settings.accounts}
    system = settings.system_account
    return names <= {system} and all(user.account == system for user in settings.users)


def rule_of_denial(value: "Permissions | None", action: Action, subject: str, queue: str) -> str:
    """Which entry decided, in words; empty when the permissions say nothing about it (reserved subjects, limits)."""
    if value is None:
        return ""
    from gossamer.auth.policy import may_publish, may_subscribe

    verdict = may_subscribe(value, subject, queue) if action == Action.SUBSCRIBE else may_publish(value, subject)
    return "" if verdict.allowed else verdict.rule
