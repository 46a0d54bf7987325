"""Events about clients: CONNECT, DISCONNECT, CLIENT.AUTH.ERR and our own DENIED (spec system-and-monitoring section 3).

Ten thousand clients may come within a second while nobody listens. So what happened is only noted, and that only where
there can be listeners at all; once per turn of the loop it is asked whether anybody but this node would hear it, once
for each subject, and only then is JSON composed.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from gossamer.auth.settings import GLOBAL_ACCOUNT
from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.monitor.reasons import denial_fields, reason_fields
from gossamer.mesh.system.client_info import info_of_closed, info_of_open
from gossamer.mesh.system.voice import Voice

if TYPE_CHECKING:
    from gossamer.auth.decisions import Admission
    from gossamer.mesh.accounts.account import Account
    from gossamer.mesh.node import Node
    from gossamer.mesh.peers.client import Client
    from gossamer.mesh.peers.closed import ClosedClient
    from gossamer.mesh.peers.denials import Denial, RefusedClient
    from gossamer.mesh.system.account_connections import AccountConnections

CONNECT = "io.nats.server.advisory.v1.client_connect"
DISCONNECT = "io.nats.server.advisory.v1.client_disconnect"
DENIED = "io.gossamer.advisory.v1.denied"
#: Published in the account that somebody could not come into (section 3).
AUTHENTICATION_ERROR = b"$SYS.ACCOUNT.CLIENT.AUTH.ERR"
#: What happened and is not told yet; beyond it a slice is told with each new thing that happens.
NOTED_MAX = 5000
#: How long telling may keep the loop before everything else has its turn, and events between two looks at the clock.
SLICE_NS = 3_000_000
_STRIDE = 16

_AUTHENTICATION = frozenset(
    (CloseReason.AUTHENTICATION_VIOLATION, CloseReason.PROXY_NOT_TRUSTED, CloseReason.PROXY_REQUIRED)
)


class Came(Struct, frozen=True, gc=False):
    """A client was let in; what it was then, since it may be gone when this is told."""

    at_ns: int
    client: "Client"
    account: "Account"
    admission: "Admission | None"


class Went(Struct, frozen=True, gc=False):
    """A connection ended. ``refused``: it had never been let in."""

    closed: "ClosedClient"
    label: str
    refused: str | None  # the account that was tried, if that is known


class ClientEvents:
    """A ``ClientWatcher``. ``start`` before the first client, ``stop`` tells what is still to be told."""

    def __init__(self, node: "Node", voice: Voice, counts: "AccountConnections") -> None:
        self._node = node
        self._voice = voice
        self._counts = counts
        self._noted: list[Came | Went | Denial] = []
        self._refused: dict[int, str] = {}  # link -> account: told as gone when the connection is
        self._loop: asyncio.AbstractEventLoop | None = None

    def start(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._node.clients.watcher = self

    def stop(self) -> None:
        self._loop = None
        self.tell()

    # --- ClientWatcher --------------------------------------------------------------------------------------------
    def admitted(self, client: "Client") -> None:
        """See ClientWatcher."""
        if not self._voice.may_be_heard:
            return
        account = client.account
        assert account is not None, "it has just been let in"
        self._note(Came(self._node.world.clock.wall_ns(), client, account, client.admission))
        self._counts.changed(account)

    def gone(self, client: "Client", closed: "ClosedClient") -> None:
        """See ClientWatcher."""
        refused = self._refused.pop(client.link, None) if self._refused else None
        if refused is None and not self._voice.may_be_heard:
            return
        label = client.account.label if client.account is not None else ""
        self._note(Went(closed, label, refused))
        if client.account is not None:
            self._counts.changed(client.account)

    def refused(self, client: "Client", refused: "RefusedClient") -> None:
        """See ClientWatcher."""
        if refused.reason in _AUTHENTICATION:
            callout = refused.because.code.startswith("callout")
            self._refused[client.link] = refused.account if callout else ""

    def denied(self, client: "Client", denial: "Denial") -> None:
        """See ClientWatcher."""
        self._note(denial)

    # --- telling ------------------------------------------------------------------------------------------------
    def _note(self, happened: "Came | Went | Denial") -> None:
        loop = self._loop
        if loop is None:
            return
        self._noted.append(happened)
        if len(self._noted) == 1:
            loop.call_soon(self.tell)
        elif len(self._noted) >= NOTED_MAX:
            self.tell()

    def tell(self) -> None:
        """What was noted, in its order, for one slice of time; the rest has its turn after everything else."""
        noted, self._noted = self._noted, []
        heard: dict[tuple[bytes, int], bool] = {}
        clock = self._node.world.clock
        end_ns = clock.monotonic_ns() + SLICE_NS
        for position, happened in enumerate(noted, 1):
            self._tell_of(heard, happened)
            if position % _STRIDE == 0 and self._loop is not None and clock.monotonic_ns() >= end_ns:
                self._noted = noted[position:]
                if self._noted:
                    self._loop.call_soon(self.tell)
                    return
        self._counts.tell()

    def _tell_of(self, heard: dict[tuple[bytes, int], bool], happened: "Came | Went | Denial") -> None:
        if isinstance(happened, Came):
            self._counts.tell_of(happened.account)
            self._tell(heard, _subject(happened.account.name, b"CONNECT"), partial(self._came, happened))
        elif isinstance(happened, Went):
            self._went(heard, happened)
        else:
            subject = _subject(happened.account or GLOBAL_ACCOUNT, b"GOSSAMER.DENIED")
            self._tell(heard, subject, partial(self._denied, happened))

    def _tell(
        self, heard: dict[tuple[bytes, int], bool], subject: bytes, compose: Callable[[], Any], account: int = 0
    ) -> None:
        key = (subject, account)
        listened = heard.get(key)
        if listened is None:
            listened = heard[key] = self._voice.is_heard(subject, account)
        if listened:
            self._voice.say(subject, compose(), account)

    def _went(self, heard: dict[tuple[bytes, int], bool], went: Went) -> None:
        closed = went.closed
        accounts = self._node.accounts
        if went.refused is not None:
            account = accounts.find(went.refused) if went.refused else accounts.global_account
            if account is not None:
                self._tell(heard, AUTHENTICATION_ERROR, partial(self._kept_out, went), account.number)
            self._tell(
                heard, f"$SYS.SERVER.{self._voice.server_id}.CLIENT.AUTH.ERR".encode(), partial(self._left, went)
            )
        account = accounts.find(closed.account)
        if account is not None:
            self._counts.tell_of(account)
        self._tell(heard, _subject(closed.account or GLOBAL_ACCOUNT, b"DISCONNECT"), partial(self._left, went))

    def _came(self, came: Came) -> dict[str, Any]:
        admission = came.admission
        jwt, issuer, user = "", "", ""
        tags: tuple[str, ...] = ()
        if admission is not None:
            user, issuer, tags = admission.user, admission.issuer, admission.tags
            if not admission.bearer and came.client.attempt is not None:
                jwt = came.client.attempt.connect.jwt
        event = self._voice.typed(CONNECT, came.at_ns)
        event["server"] = self._voice.server_info.take()
        event["client"] = info_of_open(came.client, came.account, user, jwt, issuer, tags)
        return event

    def _left(self, went: Went) -> dict[str, Any]:
        closed = went.closed
        event = self._voice.typed(DISCONNECT, closed.stop_ns)
        event["server"] = self._voice.server_info.take()
        event["client"] = info_of_closed(closed, went.label)
        event["sent"] = {"msgs": closed.in_messages, "bytes": closed.in_bytes}
        event["received"] = {"msgs": closed.out_messages, "bytes": closed.out_bytes}
        event["reason"] = closed.reason.text
        if closed.because is not None:
            event["gossamer_reason"] = reason_fields(closed.because)
        return event

    def _kept_out(self, went: Went) -> dict[str, Any]:
        """For the account that somebody could not come into: the services of an auth callout hear what became of it."""
        event = self._left(went)
        if went.refused:
            event["client"].acc = went.refused
            because = went.closed.because
            event["reason"] = because.text if because is not None else ""
        return event

    def _denied(self, denial: "Denial") -> dict[str, Any]:
        event = self._voice.typed(DENIED, denial.at_ns)
        event["server"] = self._voice.server_info.take()
        return event | denial_fields(denial)


def _subject(account: str, event: bytes) -> bytes:
    return b"$SYS.ACCOUNT.%b.%b" % (account.encode(), event)
