"""Links that we dial: hubs, how they are reached, and what is said until a link is bound (spec leafnodes 2, 7, 13).

    account found -> dialled -> INFO (-> our INFO, both sides change to S2, INFO again) -> CONNECT -> INFO -> joined

Events in, actions out; no sockets, no clock. After a link has ended, whatever it was, its hub is dialled again: after
the configured pause, and a penalty for what would only happen again.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.leafnodes import actions as do
from gossamer.mesh.leafnodes import loops, protocol
from gossamer.mesh.leafnodes.negotiation import negotiate
from gossamer.mesh.leafnodes.protocol import LeafInfo
from gossamer.mesh.leafnodes.remotes import Remote, Remotes, is_reported
from gossamer.mesh.leafnodes.settings import LeafSettings, RemoteSettings
from gossamer.mesh.leafnodes.table import Leaf, LeafTable, Stage
from gossamer.mesh.leafnodes.urls import LeafUrl, UrlList
from gossamer.mesh.leafnodes.voice import LeafVoice
from gossamer.mesh.leafnodes.world import MILLISECOND_NS, SECOND_NS
from gossamer.mesh.options.options import LeafRemoteOptions
from gossamer.mesh.peers.compression import LEVELS, UnknownMode, announced_mode
from gossamer.mesh.world import Randomness

if TYPE_CHECKING:
    from gossamer.mesh.accounts.account import Account

#: From our CONNECT to the INFO that answers it.
CONFIRMATION_NS: Final = 2 * SECOND_NS
#: Before the first dial of a remote that shares the system account, where others are around us.
SHARED_SYSTEM_DELAY_NS: Final = 250 * MILLISECOND_NS
ACCOUNT_FULL: Final = "maximum account active connections exceeded"

#: Fields of CONNECT that say who we are: remote, its URLs, the present one, the nonce. Raises CredentialsTrouble.
Login = Callable[[LeafRemoteOptions, UrlList, LeafUrl, str], dict[str, object]]


class Solicitor:
    """``settings`` follows the configuration by ``change``. ``in_company``: this node has others around it, of which it
    should know before it shares its system account."""

    def __init__(
        self,
        settings: LeafSettings,
        voice: LeafVoice,
        table: LeafTable,
        actions: "deque[do.Action]",
        randomness: Randomness,
        login: Login,
        *,
        system_account: str,
        headers: bool,
        in_company: bool,
    ) -> None:
        self._settings = settings
        self._voice = voice
        self._table = table
        self._actions = actions
        self._randomness = randomness
        self._login = login
        self._system_account = system_account
        self._headers = headers
        self._in_company = in_company
        self._remotes = Remotes(randomness)
        self._stopped = False

    def __iter__(self) -> Iterator[Remote]:
        return iter(self._remotes)

    # --- whom to dial -----------------------------------------------------------------------------------------------
    def start(self) -> None:
        for settings in self._settings.remotes:
            if not settings.options.disabled:
                self._begin(settings)

    def change(self, settings: LeafSettings) -> None:
        """Remotes come and go, are disabled and enabled; who compresses otherwise comes back."""
        self._settings = settings
        wanted = {each.identity: each for each in settings.remotes if not each.options.disabled}
        for remote in self._remotes:
            now = wanted.pop(remote.settings.identity, None)
            if now is None:
                self._end(remote)
            elif now != remote.settings:
                recompressed = now.options.compression != remote.options.compression
                remote.settings = now
                if recompressed and remote.link:
                    self._close_link(remote.link, CloseReason.CLIENT_CLOSED)
        for new in wanted.values():
            self._begin(new)

    def reconnect(self) -> None:
        """Our name has changed: hubs have to hear of it."""
        for remote in self._remotes:
            if remote.link:
                self._close_link(remote.link, CloseReason.CLUSTER_NAME_CONFLICT)

    def stop_dialling(self) -> None:
        self._stopped = True
        for remote in self._remotes:
            self._actions.append(do.GiveUp(remote.number))

    def _begin(self, settings: RemoteSettings) -> None:
        remote = self._remotes.add(settings)
        if settings.options.account == self._system_account and self._in_company:
            self._actions.append(do.Wake(remote.number, SHARED_SYSTEM_DELAY_NS))
        else:
            self.due(remote.number)

    def _end(self, remote: Remote) -> None:
        self._say("info", f"Leafnode remote {remote.options.label} is not wanted any more")
        self._remotes.remove(remote)
        self._actions.append(do.GiveUp(remote.number))
        if remote.link:
            self._close_link(remote.link, CloseReason.CLIENT_CLOSED)

    # --- dialling ---------------------------------------------------------------------------------------------------
    def due(self, number: int) -> None:
        """It is time to dial."""
        remote = self._remotes.find(number)
        if remote is not None and not self._stopped and not remote.link:
            self._actions.append(do.FindAccount(number, remote.options.account))

    def account_found(self, number: int, account: "Account | None") -> None:
        """The account that the remote is bound to here; None: nobody knows it now."""
        remote = self._remotes.find(number)
        if remote is None or self._stopped or remote.link:
            return
        if account is None:
            name = remote.options.account
            self._say("error", f"Unable to lookup account {name} for solicited leafnode connection")
            self._later(remote)
            return
        remote.url = remote.urls.next()
        timeout_ns = remote.options.dial_timeout_ns or self._settings.options.dial_timeout_ns
        self._actions.append(do.StartDial(number, remote.url.host, remote.url.port, timeout_ns))

    def dial_failed(self, number: int, error: str) -> None:
        remote = self._remotes.find(number)
        if remote is None:
            return
        remote.failures += 1
        level = "error" if is_reported(remote.failures) else "debug"
        text = f'"{remote.label}" (attempt {remote.failures}): {error}'
        self._say(level, f"Error trying to connect as leafnode to remote server {text}")
        if not self._stopped:
            self._later(remote, jitter=True)

    def dialled(self, number: int, link: int, host: str, port: int, *, now_ns: int, wall_ns: int) -> None:
        """Connected; the engine has the link."""
        remote = self._remotes.find(number)
        if remote is None or self._stopped:
            self._actions.append(do.CloseLink(link, CloseReason.CLIENT_CLOSED))
            return
        remote.failures = 0
        remote.link = link
        leaf = self._table.add(Leaf(link, host, port, wall_ns, now_ns, Stage.INFO))
        leaf.remote = remote
        leaf.spoke = not remote.options.hub
        leaf.isolated = self._settings.options.isolate_leafnode_interest or remote.options.isolate_leafnode_interest
        leaf.denied_imports, leaf.denied_exports = remote.options.deny_imports, remote.options.deny_exports
        self._say("info", f"{leaf.label} - Leafnode connection created for account: {remote.options.account}")
        self._actions.append(do.Expect(link, remote.options.first_info_timeout_ns))

    def closed(self, leaf: Leaf, error: str) -> None:
        """The link is gone; ``error`` is the -ERR that went out, if any."""
        remote = leaf.remote
        if remote is None or remote.link != leaf.link:
            return
        remote.link = 0
        if remote.gone or self._stopped:
            return
        penalty_ns = max(leaf.penalty_ns, loops.penalty_of(error, said=True))
        self._later(remote, penalty_ns)

    def _later(self, remote: Remote, penalty_ns: int = 0, *, jitter: bool = False) -> None:
        pause_ns = self._settings.options.reconnect_ns
        spread_ns = int(self._randomness.uniform(0, pause_ns)) if jitter else 0
        self._actions.append(do.Wake(remote.number, pause_ns + spread_ns + penalty_ns))

    # --- the hub speaks ---------------------------------------------------------------------------------------------
    def info(self, leaf: Leaf, text: bytes, now_ns: int) -> None:
        remote = leaf.remote
        assert remote is not None
        info = protocol.decode_info(text)
        if info is None:
            self._fail(leaf, CloseReason.PARSE_ERROR, "its INFO is malformed")
        elif leaf.stage is Stage.INFO:
            self._first_info(leaf, remote, info, now_ns)
        elif leaf.stage is Stage.CONFIRMING or leaf.stage is Stage.JOINED:
            self._later_info(leaf, remote, info)
        else:
            self._actions.append(do.Resume(leaf.link))

    def _first_info(self, leaf: Leaf, remote: Remote, info: LeafInfo, now_ns: int) -> None:
        if not leaf.negotiated:
            if info.client_id == 0 or info.leafnode_urls is None:
                self._fail(leaf, CloseReason.WRONG_PORT, "attempted to connect to wrong port")
                return
            if info.tls_required:
                self._fail(leaf, CloseReason.TLS_HANDSHAKE_ERROR, "the hub requires TLS, which is not available yet")
                return
            if self._negotiates(leaf, remote, info, now_ns) or leaf.stage is Stage.CLOSING:
                return
        if " " in info.cluster:
            self._fail(leaf, CloseReason.PROTOCOL_VIOLATION, "cluster name cannot contain spaces", tell=True)
            return
        leaf.headers = self._headers and info.headers
        leaf.name, leaf.cluster = info.server_name or info.server_id, info.cluster
        leaf.domain, leaf.version = info.domain, info.version
        self._discover(remote, info)
        self._connect(leaf, remote, info)

    def _negotiates(self, leaf: Leaf, remote: Remote, info: LeafInfo, now_ns: int) -> bool:
        """Is the link about to become S2? Then the hub says its INFO again."""
        own = remote.options.compression
        try:
            compresses = negotiate(leaf, own, info.compression, now_ns)
        except UnknownMode as error:
            self._fail(leaf, CloseReason.PROTOCOL_VIOLATION, str(error), tell=True)
            return False
        if not compresses:
            return False
        mode = leaf.compression
        line = protocol.reply_info_line(leaf.link, announced_mode(own.mode, mode))
        self._actions.append(do.Send(leaf.link, line))
        self._actions.append(do.Compress(leaf.link, LEVELS[mode], both=True))
        self._actions.append(do.Resume(leaf.link))
        return True

    def _connect(self, leaf: Leaf, remote: Remote, info: LeafInfo) -> None:
        from gossamer.mesh.leafnodes.credentials import CredentialsTrouble

        options = remote.options
        assert remote.url is not None
        try:
            login = self._login(options, remote.urls, remote.url, info.nonce)
        except CredentialsTrouble as trouble:
            self._fail(leaf, CloseReason.AUTHENTICATION_VIOLATION, str(trouble))
            return
        line = self._voice.connect(
            login=login,
            is_hub=options.hub,
            headers=leaf.headers,
            deny_pub=options.deny_imports,
            isolate=options.request_isolation,
            compression=leaf.compression,
            account=options.account,
        )
        self._actions.append(do.Send(leaf.link, line))
        if info.info_on_connect:
            leaf.stage = Stage.CONFIRMING
            self._actions.append(do.Expect(leaf.link, CONFIRMATION_NS))
            self._actions.append(do.Resume(leaf.link))
        else:
            self._confirmed(leaf, info)

    def _later_info(self, leaf: Leaf, remote: Remote, info: LeafInfo) -> None:
        self._discover(remote, info)
        granted = info.permissions
        if leaf.stage is Stage.CONFIRMING and info.connect_info:
            leaf.granted = granted
            self._confirmed(leaf, info)
            return
        if granted is not None and granted != leaf.granted:
            leaf.granted = granted
            if leaf.stage is Stage.JOINED:
                self._actions.append(do.Regrant(leaf))
        self._actions.append(do.Resume(leaf.link))

    def _confirmed(self, leaf: Leaf, info: LeafInfo) -> None:
        self._actions.append(do.Expect(leaf.link, 0))
        leaf.remote_account = info.remote_account
        leaf.stage = Stage.JOINED
        self._actions.append(do.Join(leaf))

    def may_join(self, leaf: Leaf, account: "Account") -> bool:
        """The last look before a link is registered; False: it is being closed."""
        if self._table.accepts_from(account, leaf.cluster):
            self._fail(leaf, CloseReason.PROTOCOL_VIOLATION, loops.loop_text(account.name), tell=True)
        elif account.leafnodes_full:
            self._fail(leaf, CloseReason.MAX_ACCOUNT_CONNECTIONS_EXCEEDED, ACCOUNT_FULL, tell=True)
        else:
            return True
        return False

    def _discover(self, remote: Remote, info: LeafInfo) -> None:
        if info.leafnode_urls and not remote.options.ignore_discovered_servers:
            remote.urls.discovered(info.leafnode_urls)

    # --- what goes wrong --------------------------------------------------------------------------------------------
    def overdue(self, link: int) -> None:
        """What was expected of the hub has not come."""
        leaf = self._table.find(link)
        if leaf is None:
            return
        if leaf.stage is Stage.INFO:
            self._fail(leaf, CloseReason.READ_ERROR, "no INFO came in time")
        elif leaf.stage is Stage.CONFIRMING:
            text = "Stale Leaf Node Connection - Closing"
            self._fail(leaf, CloseReason.STALE_CONNECTION, text, tell=True)

    def _fail(self, leaf: Leaf, reason: CloseReason, text: str, *, tell: bool = False) -> None:
        if leaf.stage is Stage.CLOSING:
            return
        leaf.stage = Stage.CLOSING
        self._say("error", f"{leaf.label} - {text}")
        self._actions.append(do.Expect(leaf.link, 0))
        self._actions.append(do.CloseLink(leaf.link, reason, text if tell else ""))

    def _close_link(self, link: int, reason: CloseReason) -> None:
        leaf = self._table.find(link)
        if leaf is None or leaf.stage is Stage.CLOSING:
            return
        leaf.stage = Stage.CLOSING
        self._actions.append(do.Expect(link, 0))
        self._actions.append(do.CloseLink(link, reason))

    def _say(self, level: str, text: str) -> None:
        self._actions.append(do.Say(level, text))
