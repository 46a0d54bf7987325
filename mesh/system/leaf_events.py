"""Events about leaf links: CONNECT, DISCONNECT, CLIENT.AUTH.ERR and LEAFNODE.CONNECT (spec system-and-monitoring 3).

A leaf node is told of as clients are; a link that was let in by ``leafnodes.authorization`` comes without it, as in
nats-server. Composed only if somebody else than this node would hear it.
"""

import asyncio
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from gossamer.auth.settings import GLOBAL_ACCOUNT
from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.leafnodes.table import Leaf
from gossamer.mesh.monitor.formats import timestamp
from gossamer.mesh.monitor.leafz import leaf_nodes
from gossamer.mesh.system.client_events import CONNECT, DISCONNECT
from gossamer.mesh.system.client_info import ClientInfo
from gossamer.mesh.system.voice import Voice

if TYPE_CHECKING:
    from collections.abc import Callable

    from gossamer.mesh.accounts.account import Account
    from gossamer.mesh.engine.events import Closed
    from gossamer.mesh.node import Node
    from gossamer.mesh.system.account_connections import AccountConnections

_REFUSED = frozenset((CloseReason.AUTHENTICATION_VIOLATION, CloseReason.PROXY_NOT_TRUSTED, CloseReason.PROXY_REQUIRED))


class LeafEvents:
    """A ``LeafWatcher``. ``start`` before the first link joins, ``stop`` tells what is still to be told."""

    def __init__(self, node: "Node", voice: Voice, counts: "AccountConnections") -> None:
        self._node = node
        self._voice = voice
        self._counts = counts
        self._noted: deque[Callable[[], None]] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        leafs = leaf_nodes(self._node)
        if leafs is not None:
            self._loop = asyncio.get_running_loop()
            leafs.watcher = self

    def stop(self) -> None:
        self._loop = None
        self.tell()

    # --- LeafWatcher --------------------------------------------------------------------------------------------------
    def joined(self, leaf: Leaf) -> None:
        """See LeafWatcher."""
        account = leaf.account
        if account is None or not self._voice.may_be_heard:
            return
        self._counts.changed(account)
        event_ns = self._node.world.clock.wall_ns()
        self._note(partial(self._tell_of_coming, leaf, account, event_ns))

    def gone(self, leaf: Leaf, event: "Closed") -> None:
        """See LeafWatcher."""
        if not self._voice.may_be_heard:
            return
        if leaf.account is not None:
            self._counts.changed(leaf.account)
        self._note(partial(self._tell_of_going, leaf, event, self._node.world.clock.wall_ns()))

    def _note(self, telling: "Callable[[], None]") -> None:
        if self._loop is None:
            return
        self._noted.append(telling)
        if len(self._noted) == 1:
            self._loop.call_soon(self.tell)

    def tell(self) -> None:
        """What was noted, in its order."""
        while self._noted:
            self._noted.popleft()()
        self._counts.tell()

    # --- telling ------------------------------------------------------------------------------------------------------
    def _tell_of_coming(self, leaf: Leaf, account: "Account", at_ns: int) -> None:
        self._counts.tell_of(account)
        voice = self._voice
        if not leaf.own_authorization:
            subject = f"$SYS.ACCOUNT.{account.name}.CONNECT".encode()
            if voice.is_heard(subject):
                event = self._begun(CONNECT, at_ns)
                event["client"] = self._info(leaf, account.name)
                voice.say(subject, event)
        if self._node.options.gateway is None or leaf.spoke:
            return
        subject = f"$SYS.ACCOUNT.{account.name}.LEAFNODE.CONNECT".encode()
        if voice.is_heard(subject):
            voice.say(subject, {"server": voice.server_info.take(), "acc": account.name})

    def _tell_of_going(self, leaf: Leaf, closed: "Closed", at_ns: int) -> None:
        account = leaf.account
        if account is not None:
            self._counts.tell_of(account)
        name = account.name if account is not None else GLOBAL_ACCOUNT
        subjects = [f"$SYS.ACCOUNT.{name}.DISCONNECT".encode()]
        if closed.reason in _REFUSED:
            subjects.append(f"$SYS.SERVER.{self._voice.server_id}.CLIENT.AUTH.ERR".encode())
        for subject in subjects:
            if self._voice.is_heard(subject):
                self._voice.say(subject, self._left(leaf, name, closed, at_ns))

    def _left(self, leaf: Leaf, account: str, closed: "Closed", at_ns: int) -> dict[str, Any]:
        event = self._begun(DISCONNECT, at_ns)
        info = self._info(leaf, account)
        event["client"] = msgspec.structs.replace(info, stop=timestamp(at_ns), rtt=closed.rtt_ns)
        event["sent"] = {"msgs": closed.in_messages, "bytes": closed.in_bytes}
        event["received"] = {"msgs": closed.out_messages, "bytes": closed.out_bytes}
        event["reason"] = CloseReason(closed.reason).text
        return event

    def _begun(self, kind: str, at_ns: int) -> dict[str, Any]:
        event = self._voice.typed(kind, at_ns)
        event["server"] = self._voice.server_info.take()
        return event

    def _info(self, leaf: Leaf, account: str) -> ClientInfo:
        found = self._node.accounts.find(account)
        admission = leaf.admission
        jwt = ""
        if admission is not None and not admission.bearer and leaf.attempt is not None:
            jwt = leaf.attempt.connect.jwt
        return ClientInfo(
            start=timestamp(leaf.start_ns),
            host=leaf.host,
            id=leaf.link,
            acc=account,
            user=leaf.user or leaf.claimed_user,
            name=leaf.name,
            ver=leaf.version,
            jwt=jwt,
            issuer_key=admission.issuer if admission is not None else "",
            name_tag=found.label if found is not None else account,
            tags=admission.tags if admission is not None else (),
            kind="Leafnode",
        )
