"""How many connections each account has, here and on all other servers (spec system-and-monitoring section 4.2).

Every server tells the others whenever its number changes, and every 30 s while it is not 0; whoever hears it adds the
numbers up, so that an account's limits hold for the cluster. Numbers replace older ones, so a lost one heals by itself.
A server that is gone is forgotten with all it had said. Changes of one turn of the loop are told as one.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from gossamer.auth.settings import GLOBAL_ACCOUNT
from gossamer.mesh.monitor.accstatz import account_stat
from gossamer.mesh.monitor.leafz import leaf_nodes
from gossamer.mesh.peers.membership import enforce_connections
from gossamer.mesh.system.account_statistics import AccountFigures
from gossamer.mesh.system.voice import Voice

if TYPE_CHECKING:
    from gossamer.mesh.accounts.account import Account
    from gossamer.mesh.engine.events import Message
    from gossamer.mesh.node import Node

CONNECTIONS = "io.nats.server.advisory.v1.account_connections"
BEAT_S = 30.0
#: How often it is looked whose beat is due.
_STEP_S = 1.0
_SECOND_NS = 1_000_000_000


class _Sender(Struct, frozen=True):
    id: str


class _Counts(Struct, frozen=True):
    """What we take from the event of another server."""

    server: _Sender
    acc: str
    conns: int = 0
    leafnodes: int = 0


_decode = msgspec.json.Decoder(_Counts).decode


class AccountConnections:
    """``start`` subscribes; ``changed`` and ``tell`` come from the client events, ``forget`` when a server is gone."""

    def __init__(self, node: "Node", voice: Voice, figures: AccountFigures) -> None:
        self._node = node
        self._voice = voice
        self._figures = figures
        self._changed: dict[str, Account] = {}
        self._told_ns: dict[str, int] = {}  # account -> when its number was told last, oldest first
        self._remote: dict[str, dict[str, tuple[int, int]]] = {}  # account -> server -> clients, leaf nodes
        self._timer: asyncio.TimerHandle | None = None
        self._quiet = True
        self.heard_from: Callable[[str], None] = lambda server: None

    def start(self) -> None:
        number, subscribe = self._voice.account.number, self._node.subscribe
        subscribe(number, b"$SYS.SERVER.ACCOUNT.*.CONNS", self._heard)
        subscribe(number, f"$SYS._INBOX_.{self._voice.server_id}".encode(), self._heard)
        subscribe(number, b"$SYS.REQ.ACCOUNT.*.CONNS", self._asked)
        self._timer = asyncio.get_running_loop().call_later(_STEP_S, self._beat)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    # --- our own numbers ----------------------------------------------------------------------------------------
    def changed(self, account: "Account") -> None:
        """A client or leaf node of the account came or went: to be told with the next ``tell``."""
        if account.name != GLOBAL_ACCOUNT:
            self._changed[account.name] = account
            if account.connections == 1 and account.name not in self._told_ns:
                self._ask_about(account)

    def tell_of(self, account: "Account") -> None:
        """Now, if it has changed: the number comes before the event about the client."""
        if self._changed.pop(account.name, None) is not None:
            self._publish(account)

    def tell(self) -> None:
        """All that changed."""
        changed, self._changed = self._changed, {}
        for account in changed.values():
            self._publish(account)

    def _publish(self, account: "Account") -> None:
        self._told_ns.pop(account.name, None)
        if account.connections:
            self._told_ns[account.name] = self._node.world.clock.monotonic_ns()
        voice, name = self._voice, account.name.encode()
        event: dict[str, Any] | None = None
        for subject in (b"$SYS.SERVER.ACCOUNT.%b.CONNS" % name, b"$SYS.ACCOUNT.%b.SERVER.CONNS" % name):
            if voice.is_heard(subject):
                if event is None:
                    event = self._event(account)
                else:
                    event["server"] = voice.server_info.take()
                voice.say(subject, event)

    def _event(self, account: "Account") -> dict[str, Any]:
        event = self._voice.typed(CONNECTIONS, self._node.world.clock.wall_ns())
        event["server"] = self._voice.server_info.take()
        return event | account_stat(account, self._figures.of(account))

    def _beat(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(_STEP_S, self._beat)
        self.repeat()

    def repeat(self) -> None:
        """Tell again what was told long ago; the oldest stand first."""
        if not self._voice.may_be_heard:
            self._quiet = True
            return
        if self._quiet:
            self._quiet = False
            self._catch_up()
        due_ns = self._node.world.clock.monotonic_ns() - int(BEAT_S * _SECOND_NS)
        while self._told_ns:
            name, told_ns = next(iter(self._told_ns.items()))
            if told_ns > due_ns:
                return
            account = self._node.accounts.find(name)
            if account is None:
                del self._told_ns[name]
            else:
                self._publish(account)

    def _catch_up(self) -> None:
        """Nobody could listen for a while, so nobody was told: everybody who is here is told of now."""
        for account in self._node.accounts:
            if account.connections and account.name != GLOBAL_ACCOUNT and account.name not in self._told_ns:
                self._publish(account)

    def _asked(self, request: "Message") -> None:
        """Another server has its first client of the account and wants to know about ours."""
        account = self._node.accounts.find(_name_in(request.subject))
        if account is not None and account.connections and request.link:
            self._voice.answer(request, self._event(account))

    # --- those of others ----------------------------------------------------------------------------------------
    def ask_again(self) -> None:
        """A server is new to us: what has it of the accounts that are limited here?"""
        for account in self._node.accounts:
            limited = account.limits.max_connections >= 0 or account.limits.max_leafnodes >= 0
            if account.connections and limited and account.name != GLOBAL_ACCOUNT:
                self._ask_about(account)

    def _ask_about(self, account: "Account") -> None:
        voice = self._voice
        subject = b"$SYS.REQ.ACCOUNT.%b.CONNS" % account.name.encode()
        if voice.is_heard_elsewhere(subject):
            content = msgspec.json.encode({"server": voice.server_info.take(), "acc": account.name})
            reply = f"$SYS._INBOX_.{voice.server_id}".encode()
            self._node.engine.publish(voice.account.number, subject, content, reply=reply)

    def _heard(self, message: "Message") -> None:
        if not message.link:
            return  # our own
        try:
            said = _decode(message.data[message.header_size :])
        except msgspec.DecodeError:
            return
        account = self._node.accounts.find(said.acc)
        if account is None or said.server.id == self._voice.server_id:
            return
        self._set(account, said.server.id, max(0, said.conns), max(0, said.leafnodes))
        self.heard_from(said.server.id)
        enforce_connections(self._node.clients, account)
        leafs = leaf_nodes(self._node)
        if leafs is not None:
            leafs.enforce(account)

    def _set(self, account: "Account", server: str, clients: int, leafnodes: int) -> None:
        servers = self._remote.setdefault(account.name, {})
        before = servers.pop(server, (0, 0))
        if clients or leafnodes:
            servers[server] = (clients, leafnodes)
        elif not servers:
            del self._remote[account.name]
        account.remote_clients += clients - before[0]
        account.remote_leafnodes += leafnodes - before[1]

    def servers_with(self, account: str) -> int:
        """How many other servers have connections of the account."""
        return len(self._remote.get(account, ()))

    def forget(self, server: str) -> None:
        """The server is gone, and its clients with it."""
        for name in [name for name, servers in self._remote.items() if server in servers]:
            account = self._node.accounts.find(name)
            if account is not None:
                self._set(account, server, 0, 0)
            else:
                del self._remote[name]


def _name_in(subject: bytes) -> str:
    """The account in ``$SYS.REQ.ACCOUNT.<account>.X``."""
    return subject.split(b".")[3].decode("utf-8", "replace")
