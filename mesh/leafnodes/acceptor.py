"""Links that others dialled: from the first INFO to the account they are bound to (spec leafnodes 2, 2.6, 11.3).

    accepted -> (INFO of the peer: both sides change to S2, our INFO again) -> CONNECT -> who is it? -> bound, joined

Events in, actions out; no sockets, no clock. The engine has sent the first INFO when a link is reported, closes links
that say nothing in time, and those that say anything but INFO and CONNECT.
"""

from collections import deque
from typing import TYPE_CHECKING

from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.leafnodes import actions as do
from gossamer.mesh.leafnodes import loops, protocol
from gossamer.mesh.leafnodes.negotiation import negotiate
from gossamer.mesh.leafnodes.protocol import LeafConnect
from gossamer.mesh.leafnodes.settings import LeafSettings
from gossamer.mesh.leafnodes.table import Leaf, LeafTable, Stage
from gossamer.mesh.leafnodes.voice import LeafVoice
from gossamer.mesh.peers.compression import LEVELS, NOT_SUPPORTED, UnknownMode, announced_mode, negotiates

if TYPE_CHECKING:
    from gossamer.auth.permissions import Permissions
    from gossamer.mesh.accounts.account import Account

ACCOUNT_FULL = "maximum account active connections exceeded"
AUTHORIZATION_VIOLATION = "Authorization Violation"


class Acceptor:
    """``settings`` follows the configuration."""

    def __init__(
        self, settings: LeafSettings, voice: LeafVoice, table: LeafTable, actions: "deque[do.Action]", *, headers: bool
    ) -> None:
        self.settings = settings
        self._voice = voice
        self._table = table
        self._actions = actions
        self._headers = headers

    def opened(self, link: int, host: str, port: int, *, now_ns: int, wall_ns: int) -> None:
        """Accepted by our listener, which has sent INFO."""
        leaf = Leaf(link, host, port, wall_ns, now_ns, Stage.CONNECT)
        leaf.isolated = self.settings.options.isolate_leafnode_interest
        self._table.add(leaf)
        self._say("info", f"{leaf.label} - Leafnode connection created")

    def info(self, leaf: Leaf, text: bytes, nonce: bytes, now_ns: int) -> None:
        """Before CONNECT: the peer's word about compression. Later ones say nothing that counts here. ``nonce``: the
        one of our first INFO."""
        if leaf.stage is not Stage.CONNECT or leaf.negotiated:
            self._actions.append(do.Resume(leaf.link))
            return
        own = self.settings.options.compression
        info = protocol.decode_info(text)
        if info is None or not negotiates(own.mode):
            self._close(leaf, CloseReason.AUTHENTICATION_VIOLATION, AUTHORIZATION_VIOLATION)
            return
        try:
            compresses = negotiate(leaf, own, info.compression, now_ns)
        except UnknownMode as error:
            self._close(leaf, CloseReason.PROTOCOL_VIOLATION, str(error))
            return
        if compresses:
            mode = leaf.compression
            self._actions.append(do.Compress(leaf.link, LEVELS[mode], both=True))
            line = self._voice.repeated(leaf.link, nonce, announced_mode(own.mode, mode))
            self._actions.append(do.Send(leaf.link, line))
        self._actions.append(do.Resume(leaf.link))

    def hello(self, leaf: Leaf, text: bytes | None, nonce: bytes) -> None:
        """CONNECT: who is it?"""
        if leaf.stage is not Stage.CONNECT:
            self._close(leaf, CloseReason.PROTOCOL_VIOLATION)
            return
        connect = protocol.decode_connect(text) if text is not None else None
        if connect is None:
            self._say("error", f"{leaf.label} - CONNECT is malformed")
            self._close(leaf, CloseReason.PROTOCOL_VIOLATION)
            return
        leaf.stage = Stage.JUDGING
        leaf.version, leaf.name = connect.version, connect.name
        leaf.claimed_user = connect.nkey or connect.user
        self._actions.append(do.Authenticate(leaf, connect, nonce))

    def bound(self, leaf: Leaf, connect: LeafConnect, account: "Account", granted: "Permissions | None") -> None:
        """It is known, and belongs to that account; ``granted`` None: it may do everything."""
        if leaf.stage is not Stage.JUDGING:
            return
        leaf.account, leaf.granted = account, granted
        leaf.cluster, leaf.domain = connect.cluster, connect.domain
        leaf.remote_account = connect.remote_account
        replaced = self._table.duplicate(leaf)
        if account.leafnodes_full and replaced is None:
            self._refuse(leaf, CloseReason.MAX_ACCOUNT_CONNECTIONS_EXCEEDED, ACCOUNT_FULL)
        elif self._is_wrong_peer(leaf, connect):
            return
        elif not self._is_new_enough(leaf, connect):
            wanted = self.settings.options.min_version
            self._actions.append(do.Send(leaf.link, self._voice.confirmation(leaf.link, account.name, granted)))
            self._refuse(leaf, CloseReason.MINIMUM_VERSION_REQUIRED, f'{loops.MINIMUM_VERSION} "{wanted}"')
        else:
            if replaced is not None:
                self._say("warning", f"{leaf.label} - Replacing connection from same server")
                self._close(replaced, CloseReason.DUPLICATE_REMOTE_LEAFNODE, loops.DUPLICATE)
            self._join(leaf, connect)

    def _join(self, leaf: Leaf, connect: LeafConnect) -> None:
        assert leaf.account is not None
        leaf.stage = Stage.JOINED
        leaf.spoke = connect.is_hub
        leaf.headers = connect.headers and self._headers
        leaf.isolated = leaf.isolated or connect.isolate
        leaf.denied_imports = connect.deny_pub
        if not leaf.negotiated:
            leaf.compression = connect.compress_mode or NOT_SUPPORTED
        line = self._voice.confirmation(leaf.link, leaf.account.name, leaf.granted)
        self._actions.append(do.Send(leaf.link, line))
        self._actions.append(do.Join(leaf))

    def _is_wrong_peer(self, leaf: Leaf, connect: LeafConnect) -> bool:
        """Somebody who should not be here; it is told so."""
        own = self._voice.cluster
        if connect.lang:
            self._refuse(leaf, CloseReason.WRONG_PORT, "attempted to connect to leaf node port")
        elif " " in connect.cluster:
            self._refuse(leaf, CloseReason.PROTOCOL_VIOLATION, "cluster name cannot contain spaces")
        elif connect.cluster and connect.cluster == own:
            self._refuse(leaf, CloseReason.CLUSTER_NAMES_IDENTICAL, loops.SAME_CLUSTER)
        elif connect.gateway:
            text = f'Rejecting connection from gateway "{connect.gateway}" on the leafnode port'
            self._refuse(leaf, CloseReason.WRONG_GATEWAY, text)
        else:
            return False
        return True

    def _is_new_enough(self, leaf: Leaf, connect: LeafConnect) -> bool:
        wanted = self.settings.options.min_version
        return not wanted or protocol.version_at_least(connect.version, wanted)

    def _refuse(self, leaf: Leaf, reason: CloseReason, error: str) -> None:
        leaf.account = None
        self._say("error", f"{leaf.label} - {error}")
        self._close(leaf, reason, error)

    def _close(self, leaf: Leaf, reason: CloseReason, error: str = "") -> None:
        if leaf.stage is not Stage.CLOSING:
            leaf.stage = Stage.CLOSING
            self._actions.append(do.CloseLink(leaf.link, reason, error))

    def _say(self, level: str, text: str) -> None:
        self._actions.append(do.Say(level, text))
