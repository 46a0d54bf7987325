"""Following account JWTs that change while they are used (spec auth section 24.1).

``LiveAccounts`` tells of every account that comes, changes or goes; here everybody who is connected is held against it,
and those who share with it are told.
"""

from typing import TYPE_CHECKING

from gossamer.auth.reasons import Reason, ReasonCode
from gossamer.auth.resolver import KnownAccount
from gossamer.auth.sharing.from_claims import of_claims
from gossamer.auth.staying import Departure, deleted, limits_of, staying
from gossamer.mesh.accounts.account import UNLIMITED, Account
from gossamer.mesh.accounts.automatic import with_automatic_exports
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.peers.client import Client
from gossamer.mesh.peers.clients import AUTHORIZATION_VIOLATION
from gossamer.mesh.peers.membership import enforce_connections, members

if TYPE_CHECKING:
    from gossamer.mesh.node import Node

_SECOND_NS = 1_000_000_000


class AccountChanges:
    """Called with an account's key, what it was (None: it comes) and what it is (None: it goes)."""

    def __init__(self, node: "Node") -> None:
        self._node = node

    def __call__(self, key: str, before: KnownAccount | None, now: KnownAccount | None) -> None:
        """Nothing here takes long: imports that need other accounts are completed when those come."""
        place = self._place(key)
        account = self._node.accounts.find(key)
        if now is None:
            self._node.journal.info(f"Account {key} is gone")
            if account is not None:
                account.limits = UNLIMITED
                self._end(account, deleted(key, place))
                self._tell_leafnodes(account, before, now, place)
            self._unshare(key)
            return
        if account is not None:
            account.limits = limits_of(now.claims)
            account.label = now.claims.name or key
            if before is not None:
                self._node.journal.info(
                    f"Account {account.label} ({key}) has changed, issued at {now.claims.issued_at}"
                )
                self._follow(account, before, now, place)
            enforce_connections(self._node.clients, account)
            self._tell_leafnodes(account, before, now, place)
        self._share(key, now, place)

    def _tell_leafnodes(
        self, account: Account, before: KnownAccount | None, now: KnownAccount | None, place: str
    ) -> None:
        leafnodes = self._node.links.of(LinkKind.LEAF)
        if leafnodes is not None:
            from gossamer.mesh.life.leafnodes import LeafLinks  # only who has some loads it

            assert isinstance(leafnodes, LeafLinks)
            leafnodes.follow_account(account, before, now, place)

    def _follow(self, account: Account, before: KnownAccount, now: KnownAccount, place: str) -> None:
        at = self._node.world.clock.wall_ns() / _SECOND_NS
        for client in members(self._node.clients, account):
            try:
                self._hold_against(client, before, now, at, place)
            except Exception as error:  # a bug of ours; nobody stays by it, and everybody else is held against it too
                self._fail(client, account, error)

    def _hold_against(self, client: Client, before: KnownAccount, now: KnownAccount, at: float, place: str) -> None:
        admission = client.admission
        if admission is None:
            return
        outcome = staying(admission, before.claims, now.claims, at, place=place)
        if isinstance(outcome, Departure):
            self._send_away(client, outcome)
        elif outcome != admission:  # else nothing has changed that is held in the engine, or shown
            self._node.clients.rebind(client, outcome)

    def _end(self, account: Account, departure: Departure) -> None:
        for client in members(self._node.clients, account):
            try:
                self._send_away(client, departure)
            except Exception as error:
                self._fail(client, account, error)

    def _send_away(self, client: Client, departure: Departure) -> None:
        self._node.clients.refuse(
            client, departure.error.encode(), CloseReason[departure.close_reason], departure.reason
        )

    def _fail(self, client: Client, account: Account, error: Exception) -> None:
        """It could not be told whether this client may stay: it goes, whatever else does not work about it."""
        journal, text = self._node.journal, f"it could not be held against the account's change: {error!r}"
        journal.error(f"{client.label} - Internal error: {text} ({account.label})")
        try:
            reason = Reason(code=ReasonCode.INTERNAL, text=text, rule="account change")
            self._node.clients.refuse(client, AUTHORIZATION_VIOLATION, CloseReason.AUTHENTICATION_VIOLATION, reason)
        except Exception as trouble:
            journal.error(f"{client.label} - Internal error: it could not be sent away: {trouble!r}")
            self._node.engine.close(client.link, reason=CloseReason.AUTHENTICATION_VIOLATION)

    # --- those who share with it --------------------------------------------------------------------------------
    def _share(self, key: str, now: KnownAccount, place: str) -> None:
        sharing, system = self._node.sharing, self._node.accounts.system
        if sharing is None:
            return
        if system is not None and key == system.name:
            sharing.account_changed(key, with_automatic_exports(of_claims(now.claims, place)))
        else:
            sharing.account_changed(key, now.claims, place=place)

    def _unshare(self, key: str) -> None:
        if self._node.sharing is not None:
            self._node.sharing.account_gone(key)

    def _place(self, key: str) -> str:
        return self._node.resolving.live.place(key) if self._node.resolving is not None else ""
