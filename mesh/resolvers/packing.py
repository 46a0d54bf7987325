"""Keeping the stores of full resolvers equal (spec auth section 22.3): PACK, asked and answered.

Every interval a node tells the hash of its store to one other; that one answers with nothing if it has the same, else
with all it has. Of each account the newer JWT wins on both sides, so that after an interval of each all are equal.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from gossamer.auth.keys import KeyKind, is_public
from gossamer.auth.resolver import KnownAccount, ResolverError, rank_of, read_account
from gossamer.mesh.engine.events import Message
from gossamer.mesh.resolvers.asking import Inbox
from gossamer.mesh.resolvers.slices import Slices

if TYPE_CHECKING:
    from gossamer.mesh.node import Node
    from gossamer.mesh.resolvers.directory import DirectoryResolver

SUBJECT = "$SYS.REQ.CLAIMS.PACK"
_QUEUE = b"responder"
_SECOND_NS = 1_000_000_000
#: Lines of other nodes waiting to be merged; more are left to the next interval.
_LINES_MAX = 1_000_000
#: The first time soon after the start: nodes that come back have missed something.
_FIRST_S = 1.0

Learned = Callable[[str, KnownAccount], None]


class Packing:
    """``learned`` is told of every account that was taken over."""

    def __init__(
        self,
        node: "Node",
        inbox: Inbox,
        resolver: "DirectoryResolver",
        slices: Slices,
        learned: Learned,
        *,
        interval_ns: int,
        trusted: frozenset[str],
    ) -> None:
        """``trusted``: keys of operators whose accounts are taken over."""
        self._node = node
        self._inbox = inbox
        self._resolver = resolver
        self._store = resolver.store
        self._slices = slices
        self._learned = learned
        self.interval_ns = interval_ns
        self._trusted = trusted
        self._lines: deque[str] = deque()
        self._merging = False
        self._timer: asyncio.TimerHandle | None = None
        self._question = ""
        self._responder = 0
        self._account = 0

    def start(self, account: int) -> None:
        """Answer, and ask every interval; ``account``: number of the system account."""
        self._account = account
        self._answer_others()
        delay_s = min(self.interval_ns / _SECOND_NS, _FIRST_S)
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._ask)

    def stop(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- asking -------------------------------------------------------------------------------------------------
    def _ask(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self.interval_ns / _SECOND_NS, self._ask)
        if self._node.routes is None or not self._node.routes.remotes:
            return
        if self._merging or not self._store.surveyed:
            return  # what we have is about to change
        if self._question:
            self._inbox.close(self._question)
        # We are of the group that answers, and a message of ours would be ours to answer: step aside for it.
        self._node.unsubscribe(self._responder)
        self._question = self._inbox.ask(SUBJECT, self._store.digest, self._packed)
        self._answer_others()

    def _packed(self, body: bytes) -> None:
        if not body:
            self._inbox.close(self._question)
            self._question = ""
            return
        for line in body.decode("ascii", "replace").split("\n"):
            if len(self._lines) < _LINES_MAX:
                self._lines.append(line)
        if not self._merging:
            self._merging = True
            self._slices.begin(self._merge(), self._merged)

    def _merge(self) -> Iterator[None]:
        while self._lines:
            key, bar, token = self._lines.popleft().strip().partition("|")
            if bar and is_public(key, KeyKind.ACCOUNT):
                self._take(key, token.strip())
            yield

    def _merged(self) -> None:
        self._merging = False

    def _take(self, key: str, token: str) -> None:
        present = self._store.rank(key)
        if present is not None and present[1] == rank_of(0, token)[1]:
            return
        journal = self._node.journal
        try:
            account = read_account(key, token)
            if account.claims.issuer not in self._trusted:
                journal.warning(f"Another node has account {key}, signed by {account.claims.issuer}: not trusted")
            elif account.blocked:
                journal.warning(f"Another node has account {key}, which is not valid: {'; '.join(account.blocked)}")
            elif self._resolver.keep_newer(key, account):
                journal.debug(f"Learned account {key} from another node")
                self._learned(key, account)
        except ResolverError as error:
            journal.warning(f"Account {key} of another node was not taken: {error}")

    # --- answering ----------------------------------------------------------------------------------------------
    def _answer_others(self) -> None:
        self._responder = self._node.subscribe(self._account, SUBJECT.encode(), self._asked, _QUEUE)

    def _asked(self, request: Message) -> None:
        if request.reply:
            theirs = request.data[request.header_size :]
            self._slices.begin(self._pack(request.reply, theirs))

    def _pack(self, reply: bytes, theirs: bytes) -> Iterator[None]:
        if theirs:
            while not self._store.survey(1):
                yield
        publish = self._node.engine.publish
        if theirs != self._store.digest:
            for key, token in self._store.pairs():
                publish(self._account, reply, f"{key}|{token}".encode())
                yield
        publish(self._account, reply, b"")
