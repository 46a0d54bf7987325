"""``$SYS.REQ.CLAIMS`` and its relatives: account JWTs pushed, looked up, listed and deleted (spec auth section 23.1).

Every node answers a push, and follows it at once. Which subjects there are depends on the resolver: MEMORY and URL only
change accounts that are loaded, a cache as well, a full one keeps everything.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.resolver import KnownAccount, ResolverError
from gossamer.auth.settings import ResolverSettings
from gossamer.mesh.accounts.live import LiveAccounts
from gossamer.mesh.engine.events import Message
from gossamer.mesh.resolvers.claims_rules import ClaimsRefused, accounts_to_delete, assessed, decoded
from gossamer.mesh.resolvers.store import DirectoryStore
from gossamer.mesh.system.server_info import ServerInfo

if TYPE_CHECKING:
    from gossamer.mesh.node import Node

_UPDATE = "jwt update"
_CACHE_UPDATE = "jwt update cache"
_SECOND_NS = 1_000_000_000


class ClaimsService:
    """``start`` subscribes; the subscriptions end with the node."""

    def __init__(
        self,
        node: "Node",
        live: LiveAccounts,
        settings: ResolverSettings,
        store: DirectoryStore | None,
        info: ServerInfo,
    ) -> None:
        """``store``: that of a full or cache resolver. ``info``: the node's, since its messages are numbered."""
        self._node = node
        self._live = live
        self._store = store
        self._info = info
        self.settings = settings
        self._what = _CACHE_UPDATE if settings.kind == "cache" else _UPDATE

    def start(self, account: int) -> None:
        """``account``: number of the system account."""

        def serve(subject: str, handler: Callable[[Message], None]) -> None:
            self._node.subscribe(account, subject.encode(), handler)

        serve("$SYS.REQ.ACCOUNT.*.CLAIMS.UPDATE", lambda message: self._updated(message, 3))
        serve("$SYS.ACCOUNT.*.CLAIMS.UPDATE", lambda message: self._updated(message, 2))
        if self._store is None:
            return
        serve("$SYS.REQ.CLAIMS.UPDATE", lambda message: self._updated(message, 0))
        serve("$SYS.REQ.CLAIMS.LIST", self._listed)
        serve("$SYS.REQ.CLAIMS.DELETE", self._deleted)
        if self.settings.kind == "full":
            serve("$SYS.REQ.ACCOUNT.*.CLAIMS.LOOKUP", self._looked_up)

    # --- requests -----------------------------------------------------------------------------------------------
    def _updated(self, message: Message, position: int) -> None:
        """``position``: which token of the subject names the account; 0: none does."""
        key = message.subject.decode("utf-8", "replace").split(".")[position] if position else ""
        try:
            account, said = self._update(_text(message), key)
        except ClaimsRefused as refusal:
            self._node.journal.warning(f"Account push refused: {refusal}")
            self._fail(message, refusal)
            return
        self._answer(message, {"account": account, "code": 200, "message": said})

    def _update(self, text: str, key: str) -> tuple[str, str]:
        """The account and what to say about it. Raises ClaimsRefused."""
        settings, what = self.settings, self._what
        if self._store is None and not text:
            raise ClaimsRefused(key, "jwt update error", "request body is empty")
        full = settings.kind == "full"
        claims = decoded(text, what, "n/a" if full or not key else key)
        key = key or claims.subject
        held = self._live.loaded(key)
        if not full and held is None and claims.subject == key:
            return key, f"{what} skipped"
        account = assessed(claims, text, key, self._live.trust, what=what, accept_untrusted=settings.accept_untrusted)
        self._check_rollback(key, account, held)
        if self._store is not None:
            try:
                self._store.write(key, text)
            except ResolverError as error:
                raise ClaimsRefused(key, f"{what} resulted in error", str(error)) from None
        if claims.issuer in self._live.trust.keys:
            self._live.arrived(key, account)
        return key, "jwt updated cache" if settings.kind == "cache" else "jwt updated"

    def _check_rollback(self, key: str, account: KnownAccount, held: KnownAccount | None) -> None:
        """An older JWT than the one we have takes rights back, or gives them back: always said, refused if so set."""
        rank = held.rank if held is not None else self._store.rank(key) if self._store is not None else None
        if rank is None or account.claims.issued_at >= rank[0]:
            return
        told = f"a JWT issued at {account.claims.issued_at} was pushed, the one before was issued at {rank[0]}"
        if self.settings.refuse_rollback:
            raise ClaimsRefused(key, f"{self._what} resulted in error", f"{told} (refuse_rollback)")
        if held is None:  # else it is said where the account changes
            self._node.journal.warning(f"Account {key} was rolled back: {told}")

    def _looked_up(self, message: Message) -> None:
        if message.link == 0:
            return  # our own question, for others
        key = message.subject.decode("utf-8", "replace").split(".")[3]
        if not message.reply or not is_public(key, KeyKind.ACCOUNT):
            return
        assert self._store is not None, "only a full resolver is asked"
        try:
            found = self._store.read(key)
        except ResolverError as error:
            self._node.journal.warning(str(error))
            found = None
        self._node.engine.publish(message.account, message.reply, (found or "").encode())

    def _listed(self, message: Message) -> None:
        if not message.reply:
            return
        assert self._store is not None, "only a resolver with a directory is asked"
        found = self._store.unexpired(self._node.world.clock.wall_ns() / _SECOND_NS)
        self._publish(message, {"data": found, "server": self._info.take()})

    def _deleted(self, message: Message) -> None:
        assert self._store is not None, "only a resolver with a directory is asked"
        settings = self.settings
        allowed = settings.kind == "cache" or settings.allow_delete
        system = self._node.accounts.system
        try:
            keys = accounts_to_delete(
                _text(message),
                self._live.trust,
                allowed=allowed,
                system_account=system.name if system else "",
                now_s=self._node.world.clock.wall_ns() / _SECOND_NS,
            )
        except ClaimsRefused as refusal:
            self._node.journal.warning(f"Accounts not deleted: {refusal}")
            self._fail(message, refusal)
            return
        failed = []
        for key in keys:
            try:
                self._store.remove(key, keep=settings.kind == "full" and not settings.hard_delete)
            except ResolverError as error:
                failed.append(str(error))
                continue
            self._node.journal.info(f"Account {key} was deleted by request")
            self._live.drop(key)
        said = f"deleted {len(keys) - len(failed)} accounts"
        if failed:
            self._fail(message, ClaimsRefused("", f"{said}, failed for {len(failed)}", "\n".join(failed)))
        else:
            self._answer(message, {"code": 200, "message": said})

    # --- answers ------------------------------------------------------------------------------------------------
    def _answer(self, message: Message, data: Any) -> None:
        self._publish(message, {"server": self._info.take(), "data": data})

    def _fail(self, message: Message, refusal: ClaimsRefused) -> None:
        error: dict[str, Any] = {"account": refusal.account} if refusal.account else {}
        self._publish(
            message, {"server": self._info.take(), "error": error | {"code": 500, "description": str(refusal)}}
        )

    def _publish(self, message: Message, content: Any) -> None:
        if message.reply:
            self._node.engine.publish(message.account, message.reply, msgspec.json.encode(content))


def _text(message: Message) -> str:
    return message.data[message.header_size :].decode("utf-8", "replace").strip()
