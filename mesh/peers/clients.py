"""All clients of a node: the engine tells when they come, speak up and go; they are judged here.

The life of a record: ``Opened`` makes it; ``Hello`` has it judged (at once, or later where a hash must be computed or
an account fetched, while the engine keeps the link parked); ``admit`` or ``close`` answers; ``Closed`` moves it to the
ring of closed connections. A verdict that comes after the link is gone is dropped. Order of the checks: spec
client-protocol section 5.2.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from gossamer.auth.reasons import Reason, ReasonCode
from gossamer.mesh.accounts.account import Account, smallest
from gossamer.mesh.accounts.registry import Accounts
from gossamer.mesh.engine.events import Closed, Denied, Hello, Opened
from gossamer.mesh.engine.kinds import Action, CloseReason
from gossamer.mesh.logs.log import Log
from gossamer.mesh.options.options import LimitOptions
from gossamer.mesh.peers.client import Client
from gossamer.mesh.peers.closed import ClosedClient, ClosedRing
from gossamer.mesh.peers.compiled import CompiledPermissions, PermissionTable
from gossamer.mesh.peers.connect import SILENT, Connect, SharedTexts, decode_connect
from gossamer.mesh.peers.denials import Denial, ForcedClose, RefusedClient, Ring
from gossamer.mesh.peers.endings import reason_of_end
from gossamer.mesh.peers.engine_time import EngineTime
from gossamer.mesh.peers.judge import Judge, rule_of_denial
from gossamer.mesh.peers.watching import ClientWatcher, NobodyWatches
from gossamer.mesh.peers.welcome import Welcome
from gossamer.mesh.world import Clock

if TYPE_CHECKING:
    from gossamer.auth.decisions import Admission, Attempt, Refusal
    from gossamer.mesh.engine.core import Engine

AUTHORIZATION_VIOLATION = b"Authorization Violation"
ACCOUNT_FULL = b"maximum account active connections exceeded"
_WRONG_PROTOCOL = b"invalid client protocol"
_NEEDS_HEADERS = b"no responders requires headers support"

_VIOLATIONS = {
    Action.PUBLISH: "Publish Violation",
    Action.REPLY: "Publish Reply Violation",
    Action.SUBSCRIBE: "Subscription Violation",
}

#: Refusals of somebody who was known and only came too late or spoke wrongly.
_KNOWN_ACCOUNT = frozenset((ReasonCode.ACCOUNT_FULL, ReasonCode.PROTOCOL_VERSION, ReasonCode.HEADERS_NEEDED))


class Ending(Struct, frozen=True, gc=False):
    """What is known of a close before it has happened. ``account`` and ``user`` are of a client that was not let in."""

    because: Reason | None = None
    account: str = ""
    user: str = ""


UNORDERED = Ending()


class Clients:
    """The table of clients by link id (cid), and the handlers of their events."""

    def __init__(
        self,
        engine: "Engine",
        *,
        accounts: Accounts,
        judge: Judge,
        welcome: Welcome,
        limits: LimitOptions,
        engine_time: EngineTime,
        clock: Clock,
        log: Log,
        headers: bool = True,
    ) -> None:
        self._engine = engine
        self.accounts = accounts
        self.judge = judge
        self.welcome = welcome
        self.limits = limits
        self.permissions = PermissionTable(engine)
        self.closed = ClosedRing(limits.max_closed_clients)
        self.denials: Ring[Denial] = Ring()
        self.refusals: Ring[RefusedClient] = Ring()
        self.forced: Ring[ForcedClose] = Ring()
        self.watcher: ClientWatcher = NobodyWatches()
        #: Told of a client that is let in, before the engine hears of it: what its first request needs.
        self.before_admission: Callable[[Client], None] | None = None
        self.total = 0  # clients since the start
        self.closed_by_reason: Counter[CloseReason] = Counter()
        self.leaving = False  # lame duck: handshakes are no longer answered
        self._clock = clock
        self._log = log
        self._headers = headers
        self._engine_time = engine_time
        self._texts = SharedTexts()
        self._table: dict[int, Client] = {}
        self._judging: dict[int, asyncio.Future[Admission | Refusal]] = {}
        self._endings: dict[int, Ending] = {}  # links that were told to close, until they are gone

    def __iter__(self) -> Iterator[Client]:
        return iter(self._table.values())

    def __len__(self) -> int:
        return len(self._table)

    @property
    def pending(self) -> "list[asyncio.Future[Admission | Refusal]]":
        """The verdicts that are waited for."""
        return list(self._judging.values())

    def find(self, link: int) -> Client | None:
        return self._table.get(link)

    # --- events of the engine -----------------------------------------------------------------------------------
    def opened(self, event: Opened) -> None:
        client = Client(event.link, self._texts.one(event.host), event.port, self._clock.wall_ns())
        self._table[event.link] = client
        self.total += 1
        if self._log.debugging:
            self._log.debug(f"{client.label} - Client connection created")

    def hello(self, event: Hello) -> None:
        client = self._table.get(event.link)
        if client is None or self.leaving:
            return
        if event.connect is None:
            if self.judge.required and not self.judge.anonymous:
                self._refuse(
                    client,
                    AUTHORIZATION_VIOLATION,
                    CloseReason.AUTHENTICATION_VIOLATION,
                    Reason(code=ReasonCode.CONNECT_EXPECTED, text="CONNECT must come first"),
                )
                return
            connect = SILENT
        else:
            decoded = decode_connect(event.connect, client.connect if event.again else None)
            if decoded is None:
                malformed = Reason(code=ReasonCode.CONNECT_MALFORMED, text="CONNECT is malformed")
                self._refuse(client, b"", CloseReason.PROTOCOL_VIOLATION, malformed)
                return
            connect = decoded
        self._release(client)
        one = self._texts.one
        client.name, client.lang, client.version = one(connect.name), one(connect.lang), one(connect.version)
        client.remember(connect)
        if not self.judge.required:
            if connect.user or connect.nkey or connect.auth_token or connect.jwt:
                client.attempt = self.judge.attempt(client, connect, event.nonce)
            self._settle(client, connect, None, event.again)
            return
        self._judge(client, connect, self.judge.attempt(client, connect, event.nonce), event.again)

    def ended(self, event: Closed) -> None:
        client = self._table.pop(event.link, None)
        if client is None:
            return
        waiting = self._judging.pop(event.link, None)
        if waiting is not None:
            waiting.cancel()
        reason = CloseReason(event.reason)
        self.closed_by_reason[reason] += 1
        ending = self._endings.pop(event.link, UNORDERED)
        because = ending.because or reason_of_end(reason, event.error, client, self.limits)
        account = client.account.name if client.account is not None else ending.account
        admission = client.admission
        closed = ClosedClient(
            client.link,
            client.host,
            client.port,
            client.start_ns,
            self._clock.wall_ns(),
            reason,
            event.error.decode("utf-8", "replace"),
            account,
            client.user or ending.user,
            client.name,
            client.lang,
            client.version,
            event.in_messages,
            event.out_messages,
            event.in_bytes,
            event.out_bytes,
            event.subscriptions,
            event.rtt_ns,
            event.pending_bytes,
            because,
            told_jwt(client),
            admission.issuer if admission is not None else "",
            admission.tags if admission is not None else (),
        )
        self.closed.add(closed)
        if because is not None and (client.account is not None or ending is UNORDERED):
            self._note_forced(client, closed, because)
        if self._log.debugging:
            self._log.debug(f"{client.label} - Client connection closed: {reason.text}")
        self.watcher.gone(client, closed)
        self._release(client)

    def denied(self, event: Denied) -> None:
        client = self._table.get(event.link)
        if client is None:
            return
        action = Action(event.action)
        subject, queue = event.subject.decode("utf-8", "replace"), event.queue.decode("utf-8", "replace")
        value = client.permissions.value if client.permissions is not None else None
        literal = self.judge.settings.literal_wildcards
        rule = rule_of_denial(value, action, subject, queue, literal_wildcards=literal)
        account = client.account.name if client.account is not None else ""
        denial = Denial(self._clock.wall_ns(), client.link, account, client.user, action, subject, queue, rule)
        self.denials.add(denial, event.skipped)
        self.watcher.denied(client, denial)
        told = f'{client.label} - {_VIOLATIONS[action]} - User "{client.user}", Subject "{subject}"'
        if queue:
            told += f', Queue "{queue}"'
        self._log.error(f"{told}: {rule}" if rule else told)
        if event.skipped:
            self._log.error(f"{event.skipped} more permissions violations were not reported one by one")

    # --- deeds --------------------------------------------------------------------------------------------------
    def kick(self, link: int) -> bool:
        """Close a client without -ERR, reason Kicked. False: there is none with that id."""
        client = self._table.get(link)
        if client is None:
            return False
        self.refuse(client, b"", CloseReason.KICKED, Reason(code=ReasonCode.KICKED, text="an operator asked for it"))
        return True

    def announce(self, *, lame_duck: bool = False) -> None:
        """Send an INFO to every client that can take one (protocol 1, first PONG sent: spec section 4.3)."""
        for client in self._table.values():
            self.announce_to(client, lame_duck=lame_duck)

    def announce_to(self, client: Client, *, lame_duck: bool = False) -> bool:
        """The same to one client; False if it cannot take one."""
        if client.protocol < 1 or client.account is None:
            return False
        info = self.welcome.later(client, lame_duck=lame_duck)
        self._engine.send(client.link, info, after_pong=True)
        return True

    def refuse(self, client: Client, error: bytes, reason: CloseReason, because: Reason | None = None) -> None:
        """Close a live client with an -ERR (empty: none); ``because`` reaches the log, monitoring and events."""
        if client.link not in self._table:
            return
        self._endings.setdefault(client.link, Ending(because))
        self._engine.close(client.link, reason=reason, error=error)

    def is_ending(self, client: Client) -> bool:
        """Was it told to close already?"""
        return client.link in self._endings

    def rebind(self, client: Client, admission: "Admission") -> None:
        """A new verdict on a live client of the same account: permissions, expiry, identity."""
        taken = self.permissions.take(admission.permissions)
        client.admission = slim(admission, taken)
        before, client.permissions = client.permissions, taken
        if client.account is not None:
            max_payload, max_subscriptions = self._limit(client, client.account, admission)
            self._engine.change(
                client.link,
                permissions=taken.number if taken is not None else 0,
                max_payload=max_payload,
                max_subscriptions=max_subscriptions,
            )
        self.permissions.release(before)
        self._arm(client, admission, again=True)

    def unbind(self, client: Client) -> None:
        """Nobody is asked any more: what was restricted is free."""
        before, client.permissions = client.permissions, None
        client.admission = None
        if before is not None:
            self._engine.change(client.link, permissions=0)
            self.permissions.release(before)
        self._engine.expire(client.link, at_ns=0, reason=CloseReason.AUTHENTICATION_EXPIRED, error=b"")

    # --- judging ------------------------------------------------------------------------------------------------
    def _judge(self, client: Client, connect: Connect, attempt: "Attempt", again: bool) -> None:
        """By the rules of this moment."""
        if not self.judge.required:
            client.attempt = attempt
            self._settle(client, connect, None, again)
            return
        verdict = self.judge.verdict(attempt)
        if isinstance(verdict, asyncio.Future):
            self._await_verdict(client, connect, attempt, verdict, again)
        else:
            self._conclude(client, connect, attempt, verdict, again)

    def _await_verdict(
        self,
        client: Client,
        connect: Connect,
        attempt: "Attempt",
        future: "asyncio.Future[Admission | Refusal]",
        again: bool,
    ) -> None:
        earlier = self._judging.pop(client.link, None)
        if earlier is not None:
            earlier.cancel()
        self._judging[client.link] = future
        judge = self.judge

        def concluded(done: "asyncio.Future[Admission | Refusal]") -> None:
            error = None if done.cancelled() else done.exception()
            replaced = self.judge is not judge
            if self._judging.get(client.link) is not done or (done.cancelled() and not replaced):
                return
            del self._judging[client.link]
            if error is not None and not replaced:
                broken = Reason(code=ReasonCode.INTERNAL, text=repr(error))
                self._refuse(client, AUTHORIZATION_VIOLATION, CloseReason.AUTHENTICATION_VIOLATION, broken)
            elif replaced or not judge.stands(done.result()):
                # A reload, a push or a revocation came first: nobody gets in by what was true before.
                self._judge(client, connect, attempt, again)
            else:
                self._conclude(client, connect, attempt, done.result(), again)

        future.add_done_callback(concluded)

    def _conclude(
        self, client: Client, connect: Connect, attempt: "Attempt", verdict: "Admission | Refusal", again: bool
    ) -> None:
        if client.link not in self._table:
            return
        from gossamer.auth.decisions import Refusal

        client.attempt = attempt
        if isinstance(verdict, Refusal):
            self._refuse(
                client, verdict.error.encode(), self.judge.close_reason(verdict), verdict.reason,
                account=verdict.account, user=verdict.user,
            )  # fmt: skip
            return
        self._settle(client, connect, verdict, again)

    def _settle(self, client: Client, connect: Connect, admission: "Admission | None", again: bool) -> None:
        """Everything after authentication (spec section 5.2, steps 8 to 12)."""
        if connect.account or connect.new_account:
            named = Reason(code=ReasonCode.ACCOUNT_NAMED, text="account in CONNECT", rule="account")
            self._refuse(client, AUTHORIZATION_VIOLATION, CloseReason.AUTHENTICATION_VIOLATION, named)
            return
        account = self.accounts.admitted(admission)
        if account is None:
            gone = Reason(code=ReasonCode.ACCOUNT_GONE, text="its account is gone")
            self._refuse(client, AUTHORIZATION_VIOLATION, CloseReason.AUTHENTICATION_VIOLATION, gone)
            return
        headers = connect.headers and self._headers
        if account.full:
            error, close, because = ACCOUNT_FULL, CloseReason.MAX_ACCOUNT_CONNECTIONS_EXCEEDED, full(account)
        elif connect.protocol not in (0, 1):
            error, close = _WRONG_PROTOCOL, CloseReason.BAD_CLIENT_PROTOCOL_VERSION
            because = Reason(code=ReasonCode.PROTOCOL_VERSION, text=f"it speaks protocol {connect.protocol}")
        elif connect.no_responders and not headers:
            error, close = _NEEDS_HEADERS, CloseReason.NO_RESPONDERS_REQUIRES_HEADERS
            because = Reason(code=ReasonCode.HEADERS_NEEDED, text="no_responders without headers")
        else:
            self._admit(client, connect, account, admission, headers, again)
            return
        user = admission.user if admission is not None else ""
        self._refuse(client, error, close, because, account=account.name, user=user)

    def _admit(
        self,
        client: Client,
        connect: Connect,
        account: Account,
        admission: "Admission | None",
        headers: bool,
        again: bool,
    ) -> None:
        client.account = account
        account.clients += 1
        account.clients_ever += 1
        if account.members is not None:
            account.members[client.link] = None
        permissions = 0
        if admission is not None:
            client.permissions = self.permissions.take(admission.permissions)
            client.admission = slim(admission, client.permissions)
            permissions = client.permissions.number if client.permissions is not None else 0
        max_payload, max_subscriptions = self._limit(client, account, admission)
        if self.before_admission is not None:
            self.before_admission(client)
        self._engine.admit(
            client.link,
            account=account.number,
            permissions=permissions,
            verbose=connect.verbose,
            pedantic=connect.pedantic,
            echo=connect.echo,
            headers=headers,
            no_responders=connect.no_responders,
            max_payload=max_payload,
            max_subscriptions=max_subscriptions,
            info_after_pong=self.welcome.connected(client) if client.protocol >= 1 else b"",
            reset=again,
        )
        if again:
            self._engine.expire(client.link, at_ns=0, reason=CloseReason.AUTHENTICATION_EXPIRED, error=b"")
        if admission is not None:
            self._arm(client, admission)
        self.watcher.admitted(client)

    def _limit(self, client: Client, account: Account, admission: "Admission | None") -> tuple[int, int]:
        """Payload and subscriptions of one client as the engine wants them: the smallest of server, account, user."""
        max_subscriptions, own_payload = account.limits.max_subscriptions, account.limits.max_payload
        if admission is not None:
            max_subscriptions = smallest(max_subscriptions, admission.max_subscriptions)
            own_payload = smallest(own_payload, admission.max_payload)
        if self.limits.max_subscriptions > 0:
            max_subscriptions = smallest(max_subscriptions, self.limits.max_subscriptions)
        client.max_payload = smallest(own_payload, self.limits.max_payload)
        return -1 if client.max_payload == self.limits.max_payload else client.max_payload, max_subscriptions

    def _arm(self, client: Client, admission: "Admission", *, again: bool = False) -> None:
        """Let the engine end the client when its credentials or its account end, whichever is first; ``again``: an
        earlier order is void."""
        ends = []
        if admission.expires_at is not None:
            ends.append((admission.expires_at, b"User Authentication Expired"))
        if admission.account_expires_at is not None:
            ends.append((admission.account_expires_at, b"Account Authentication Expired"))
        if ends:
            at_s, error = min(ends)
            self._engine.expire(
                client.link,
                at_ns=self._engine_time.of_wall(at_s * 1_000_000_000),
                reason=CloseReason.AUTHENTICATION_EXPIRED,
                error=error,
            )
        elif again:
            self._engine.expire(client.link, at_ns=0, reason=CloseReason.AUTHENTICATION_EXPIRED, error=b"")

    def _refuse(
        self,
        client: Client,
        error: bytes,
        reason: CloseReason,
        because: Reason,
        *,
        account: str = "",
        user: str = "",
    ) -> None:
        """Not let in: told in short to the client, in full to the log and to those who ask later."""
        said = error.decode()
        head = "authentication error" if error == AUTHORIZATION_VIOLATION else said or reason.text
        who = f' - User "{user}"' if user else ""
        self._log.error(f"{client.label} - {head}{who}: {because}")
        refused = RefusedClient(
            self._clock.wall_ns(), client.link, client.host, client.port, account, user, reason, said, because
        )
        self.refusals.add(refused)
        # Whom it shows as belonging to: an account only where it got as far as being counted there.
        counted = account if because.code in _KNOWN_ACCOUNT else ""
        self._endings.setdefault(client.link, Ending(because, counted, user or client.claimed_user))
        self.watcher.refused(client, refused)
        self._engine.close(client.link, reason=reason, error=error)

    def _note_forced(self, client: Client, closed: ClosedClient, because: Reason) -> None:
        """A client that had been let in, or had not yet said who it is, was cut off."""
        self.forced.add(
            ForcedClose(
                closed.stop_ns, closed.link, closed.host, closed.port, closed.account, closed.user, closed.reason,
                closed.error, because,
            )
        )  # fmt: skip
        self._log.warning(f"{client.label} - {closed.error or closed.reason.text}: {because}")

    def _release(self, client: Client) -> None:
        """Take back what an admission had taken."""
        if client.account is None:
            return
        client.account.clients -= 1
        if client.account.members is not None:
            client.account.members.pop(client.link, None)
        client.account = None
        self.permissions.release(client.permissions)
        client.permissions = None
        client.admission = None


def full(account: Account) -> Reason:
    """Why nobody else may come."""
    text = f"account {account.label} is full"
    return Reason(code=ReasonCode.ACCOUNT_FULL, text=text, rule=f"connections {account.limits.max_connections}")


def told_jwt(client: Client) -> str:
    """The user JWT as others may see it: that of a bearer is as good as a password."""
    if client.attempt is None or client.admission is None or client.admission.bearer:
        return ""
    return client.attempt.connect.jwt


def slim(admission: "Admission", compiled: CompiledPermissions | None) -> "Admission":
    """Without what is kilobytes, since each client keeps its admission: no decoded claims, shared permissions."""
    permissions = compiled.value if compiled is not None else None
    if admission.claims is None and admission.permissions is permissions:
        return admission
    return msgspec.structs.replace(admission, claims=None, account_claims=None, permissions=permissions)
