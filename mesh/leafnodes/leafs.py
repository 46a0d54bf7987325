"""The leaf node side of a node: the decisions of acceptor and solicitor, carried out on the engine and the loop.

``LeafNodes`` knows no ``Node``: ``life/leafnodes.py`` stands between. Every event of a leaf link comes to ``on_event``;
``start``, ``change``, ``stop_dialling`` and ``stop`` are its life. Counts, events and monitoring look at ``table`` and
listen as ``watcher``.
"""

from collections import deque
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from gossamer.mesh.accounts.account import Account
from gossamer.mesh.engine.events import Closed, Hello, Opened, PeerError, PeerInfo, Pong
from gossamer.mesh.engine.kinds import CloseReason, LinkKind
from gossamer.mesh.leafnodes import actions as do
from gossamer.mesh.leafnodes.acceptor import ACCOUNT_FULL, Acceptor
from gossamer.mesh.leafnodes.authentication import FindAccount, LeafJudge
from gossamer.mesh.leafnodes.credentials import login_fields
from gossamer.mesh.leafnodes.loops import penalty_of
from gossamer.mesh.leafnodes.members import Members, slim
from gossamer.mesh.leafnodes.negotiation import follow_rtt
from gossamer.mesh.leafnodes.settings import LeafSettings
from gossamer.mesh.leafnodes.solicitor import Solicitor
from gossamer.mesh.leafnodes.table import Leaf, LeafTable, Stage
from gossamer.mesh.leafnodes.voice import LeafVoice
from gossamer.mesh.leafnodes.world import LeafEngine, LeafIdentity, LeafLog, LeafWatcher
from gossamer.mesh.peers.compression import negotiates
from gossamer.mesh.peers.engine_time import EngineTime
from gossamer.mesh.peers.greeting import Placeholders
from gossamer.mesh.peers.judge import Judge
from gossamer.mesh.peers.route_world import Dialer, DialOutcome, Scheduler, Timer
from gossamer.mesh.world import Clock, Disk, Randomness

if TYPE_CHECKING:
    from gossamer.auth.decisions import Admission, Refusal
    from gossamer.mesh.accounts.registry import Accounts
    from gossamer.mesh.leafnodes.protocol import LeafConnect
    from gossamer.mesh.peers.clients import Clients


class Nobody:
    """The watcher while there is none."""

    def joined(self, leaf: Leaf) -> None:
        """See LeafWatcher."""

    def gone(self, leaf: Leaf, event: Closed) -> None:
        """See LeafWatcher."""


class LeafNodes:
    """See the top of the file. ``clients`` and ``accounts`` are asked from ``start`` on only."""

    def __init__(
        self,
        identity: LeafIdentity,
        settings: LeafSettings,
        engine: LeafEngine,
        scheduler: Scheduler,
        dialer: Callable[[int], Dialer],
        *,
        accounts: "Callable[[], Accounts]",
        clients: "Callable[[], Clients]",
        judge: Callable[[], Judge],
        find_account: FindAccount,
        engine_time: EngineTime,
        max_payload: int,
        in_company: bool,
        clock: Clock,
        randomness: Randomness,
        disk: Disk,
        log: LeafLog,
    ) -> None:
        """``dialer`` gives one that gives up after that time (ns). ``find_account`` calls back with a local account by
        its name, at once or when it has been fetched."""
        self.table = LeafTable()
        self.watcher: LeafWatcher = Nobody()
        self.settings = settings
        self.voice = LeafVoice(identity, settings, max_payload)
        self._identity = identity
        self._engine = engine
        self._scheduler = scheduler
        self._dialer = dialer
        self._clients = clients
        self._find_account = find_account
        self._placeholders: Placeholders | None = None
        self._clock = clock
        self._log = log
        self._actions: deque[do.Action] = deque()
        self._applying = False
        self._listener = 0
        self._dials: dict[int, Timer] = {}  # by remote
        self._expected: dict[int, Timer] = {}  # by link
        self._members = Members(engine, randomness, clients, engine_time)
        self._acceptor = Acceptor(settings, self.voice, self.table, self._actions, headers=identity.headers)
        self._solicitor = Solicitor(
            settings,
            self.voice,
            self.table,
            self._actions,
            randomness,
            partial(login_fields, disk=disk),
            system_account=identity.system_account,
            headers=identity.headers,
            in_company=in_company,
        )
        self._judge = LeafJudge(
            settings, judge, accounts, find_account, clock, bound=self._bound, refused=self._refused
        )

    # --- life ---------------------------------------------------------------------------------------------------------
    @property
    def is_listening(self) -> bool:
        return self._listener != 0

    def start(self, *, descriptor: int | None, host: str, port: int, listens: bool, placeholders: Placeholders) -> None:
        """Listen on the bound socket (None: memory links only), reached at ``host:port``, if the node ``listens`` at
        all; and dial the remotes. ``placeholders`` are the engine's marks in INFO."""
        self._placeholders = placeholders
        self.configure_engine()
        self.voice.host, self.voice.port = host, port
        if listens:
            options = self.settings.options
            self._listener = self._engine.listen(
                descriptor,
                kind=LinkKind.LEAF,
                info=self._template(),
                auth_timeout_ns=options.auth_timeout_ns,
                info_first=negotiates(options.compression.mode),
            )
        self._solicitor.start()
        self._apply()

    def change(self, settings: LeafSettings, max_payload: int) -> None:
        """Take over another configuration; host and port of the listener stay."""
        recompressed = settings.options.compression != self.settings.options.compression
        self.settings = self.voice.settings = self._acceptor.settings = settings
        self.voice.max_payload = max_payload
        self.configure_engine()
        self._judge.change(settings)
        for leaf in self.table.joined():
            if not leaf.solicited:
                self._judge.review(leaf, self._reviewed)
        self.refresh()
        self._solicitor.change(settings)
        if recompressed:
            for leaf in self.table.joined():
                if not leaf.solicited:
                    self.close(leaf, CloseReason.CLIENT_CLOSED)
        self._apply()

    def configure_engine(self) -> None:
        options = self.settings.options
        self._engine.configure(
            leaf_ping_interval_ns=options.ping_interval_ns,
            leaf_ping_max=options.ping_max,
            leaf_write_deadline_ns=options.write_deadline_ns,
            leaf_retry_writes=options.write_timeout != "close",
        )

    def refresh(self) -> None:
        """What INFO says has changed: newcomers read it."""
        if self._listener:
            self._engine.set_info(self._listener, self._template())

    def set_other_urls(self, urls: tuple[str, ...]) -> None:
        """The leaf node listeners of the other servers of our cluster: everybody connected is told (spec 3)."""
        if urls == self.voice.other_urls:
            return
        self.voice.other_urls = urls
        self.refresh()
        if self._listener:
            line = self.voice.later()
            for leaf in self.table.joined():
                if not leaf.solicited:
                    self._engine.send(leaf.link, line)

    def renamed(self) -> None:
        """Our cluster has another name: hubs have to know us by it."""
        self.refresh()
        self._solicitor.reconnect()
        self._apply()

    def stop_dialling(self) -> None:
        """Close the listener and give up every dial."""
        if self._listener:
            self._engine.close_listener(self._listener)
            self._listener = 0
        self._solicitor.stop_dialling()
        self._apply()
        for timer in [*self._dials.values(), *self._expected.values()]:
            timer.cancel()
        self._dials.clear()
        self._expected.clear()

    def stop(self) -> None:
        """Close the links. ``stop_dialling`` came before."""
        self._judge.stop()
        for leaf in self.table:
            self.close(leaf, CloseReason.SERVER_SHUTDOWN)

    def close(self, leaf: Leaf, reason: CloseReason, error: str = "") -> None:
        """End a link, for a reason from outside."""
        if leaf.stage is not Stage.CLOSING:
            leaf.stage = Stage.CLOSING
            self._engine.close(leaf.link, reason=reason, error=error.encode())

    def kick(self, link: int) -> bool:
        """Close a link without -ERR, reason Kicked. False: there is none with that number."""
        leaf = self.table.find(link)
        if leaf is None:
            return False
        self.close(leaf, CloseReason.KICKED)
        return True

    def enforce(self, account: Account) -> None:
        """A limit that was lowered, or reached in the cluster as a whole, lies below what is there: our newest go."""
        allowed = account.limits.max_leafnodes
        if 0 <= allowed < account.leafnodes + account.remote_leafnodes:
            here = max(0, allowed - account.remote_leafnodes)
            for leaf in self.table.of_account(account)[here:]:
                self.close(leaf, CloseReason.MAX_ACCOUNT_CONNECTIONS_EXCEEDED, ACCOUNT_FULL)

    def limits_changed(self, account: Account) -> None:
        """Its links get them, and who is too many goes."""
        for leaf in self.table.of_account(account):
            self._members.limit(leaf)
            self._members.regrant(leaf)
        self.enforce(account)

    def rebind(self, leaf: Leaf, admission: "Admission") -> None:
        """A new verdict on a joined leaf of the same account."""
        leaf.admission = slim(admission)
        leaf.granted = admission.permissions
        self._members.limit(leaf)
        self._members.arm(leaf)
        self._members.regrant(leaf)

    # --- events -------------------------------------------------------------------------------------------------------
    def on_event(self, event: Opened | Hello | PeerInfo | PeerError | Pong | Closed) -> None:
        """One event of a leaf link."""
        if isinstance(event, Opened):
            if event.listener and self.table.find(event.link) is None:
                now_ns, wall_ns = self._scheduler.now_ns(), self._clock.wall_ns()
                self._acceptor.opened(event.link, event.host, event.port, now_ns=now_ns, wall_ns=wall_ns)
                self._apply()
            return
        leaf = self.table.find(event.link)
        if leaf is None:
            return
        match event:
            case Hello():
                self._acceptor.hello(leaf, event.connect, event.nonce)
            case PeerInfo() if leaf.solicited:
                self._solicitor.info(leaf, event.info, self._scheduler.now_ns())
            case PeerInfo():
                self._acceptor.info(leaf, event.info, event.nonce, self._scheduler.now_ns())
            case PeerError():
                self._peer_error(leaf, event.text.decode("utf-8", "replace"))
            case Pong():
                self._pong(leaf, event.rtt_ns)
            case Closed():
                self._closed(leaf, event)
        self._apply()

    def _peer_error(self, leaf: Leaf, text: str) -> None:
        self._log.error(f"{leaf.label} - Leafnode Error {text}")
        leaf.penalty_ns = max(leaf.penalty_ns, penalty_of(text, said=False))
        if "Loop detected" in text:
            self.close(leaf, CloseReason.PROTOCOL_VIOLATION)

    def _pong(self, leaf: Leaf, rtt_ns: int) -> None:
        if rtt_ns:
            leaf.rtt_ns = rtt_ns
        own = leaf.remote.options.compression if leaf.remote is not None else self.settings.options.compression
        follow_rtt(leaf, own, self._actions)

    def _closed(self, leaf: Leaf, event: Closed) -> None:
        self._expect(leaf.link, 0)
        self._judge.forget(leaf.link)
        self.table.remove(leaf.link)
        self._members.leave(leaf)
        leaf.stage = Stage.CLOSING
        try:
            reason = CloseReason(event.reason).text
        except ValueError:
            reason = f"reason {event.reason}"
        self._log.info(f"{leaf.label} - Leafnode connection closed: {reason}")
        self.watcher.gone(leaf, event)
        self._solicitor.closed(leaf, event.error.decode("utf-8", "replace"))

    # --- who comes in -------------------------------------------------------------------------------------------------
    def _bound(self, leaf: Leaf, connect: "LeafConnect", account: Account, admission: "Admission | None") -> None:
        leaf.admission = slim(admission) if admission is not None else None
        self._acceptor.bound(leaf, connect, account, admission.permissions if admission is not None else None)
        self._apply()

    def _refused(self, leaf: Leaf, refusal: "Refusal") -> None:
        from gossamer.mesh.peers.denials import RefusedClient

        if leaf.stage is not Stage.JUDGING:
            return
        reason = self._judge.judge.close_reason(refusal)
        self._log.error(f"{leaf.label} - authentication error: {refusal.reason}")
        refused = RefusedClient(
            self._clock.wall_ns(), leaf.link, leaf.host, leaf.port, refusal.account, refusal.user or leaf.claimed_user,
            reason, refusal.error, refusal.reason,
        )  # fmt: skip
        self._clients().refusals.add(refused)
        self.close(leaf, reason, refusal.error)

    def _reviewed(self, leaf: Leaf, verdict: "Admission | Refusal | None") -> None:
        """What the rules of now say of somebody who is in."""
        from gossamer.auth.decisions import Refusal

        if leaf.stage is not Stage.JOINED or leaf.account is None:
            return
        home = self.settings.account if verdict is None else verdict.account
        if isinstance(verdict, Refusal):
            self._log.warning(f"{leaf.label} - not let in any more: {verdict.reason}")
            self.close(leaf, self._judge.judge.close_reason(verdict), verdict.error)
        elif home != leaf.account.name:
            self._log.warning(f"{leaf.label} - belongs to account {home} now")
            self.close(leaf, CloseReason.CLIENT_CLOSED)
        elif verdict is not None:
            self.rebind(leaf, verdict)
        elif leaf.granted is not None:
            leaf.admission = leaf.granted = None
            self._members.regrant(leaf)

    # --- what comes back from the loop --------------------------------------------------------------------------------
    def _dialled(self, number: int, outcome: DialOutcome) -> None:
        self._dials.pop(number, None)
        if outcome.descriptor < 0:
            self._solicitor.dial_failed(number, outcome.error)
        else:
            link = self._engine.adopt(outcome.descriptor, kind=LinkKind.LEAF, host=outcome.host, port=outcome.port)
            self._solicitor.dialled(
                number,
                link,
                outcome.host,
                outcome.port,
                now_ns=self._scheduler.now_ns(),
                wall_ns=self._clock.wall_ns(),
            )
        self._apply()

    def _due(self, number: int) -> None:
        self._dials.pop(number, None)
        self._solicitor.due(number)
        self._apply()

    def _account_found(self, number: int, account: Account | None) -> None:
        self._solicitor.account_found(number, account)
        self._apply()

    def _overdue(self, link: int) -> None:
        self._expected.pop(link, None)
        self._solicitor.overdue(link)
        self._apply()

    # --- carrying out -----------------------------------------------------------------------------------------------
    def _apply(self) -> None:
        """Carry out everything that is wanted. A callback may ask for more meanwhile: that is appended."""
        if self._applying:
            return
        self._applying = True
        try:
            while self._actions:
                self._carry_out(self._actions.popleft())
        finally:
            self._applying = False

    def _carry_out(self, action: do.Action) -> None:
        engine = self._engine
        match action:
            case do.Send():
                engine.send(action.link, action.data)
            case do.Resume():
                engine.resume(action.link)
            case do.Compress():
                engine.compress(action.link, action.level, both=action.both)
            case do.CloseLink():
                engine.close(action.link, reason=action.reason, error=action.error.encode())
            case do.Join():
                self._join(action.leaf)
            case do.Regrant():
                self._members.regrant(action.leaf)
            case do.Authenticate():
                self._judge.authenticate(action.leaf, action.connect, action.nonce)
            case do.FindAccount():
                self._find_account(action.name, partial(self._account_found, action.remote))
            case do.StartDial():
                self._set_dial(
                    action.remote,
                    self._dialer(action.timeout_ns).dial(
                        action.host, action.port, frozenset(), partial(self._dialled, action.remote)
                    ),
                )
            case do.Wake():
                self._set_dial(
                    action.remote, self._scheduler.call_later(action.delay_ns, partial(self._due, action.remote))
                )
            case do.GiveUp():
                self._set_dial(action.remote, None)
            case do.Expect():
                self._expect(action.link, action.delay_ns)
            case do.Say():
                getattr(self._log, action.level)(action.text)

    def _set_dial(self, number: int, timer: Timer | None) -> None:
        before = self._dials.pop(number, None)
        if before is not None:
            before.cancel()
        if timer is not None:
            self._dials[number] = timer

    def _expect(self, link: int, delay_ns: int) -> None:
        before = self._expected.pop(link, None)
        if before is not None:
            before.cancel()
        if delay_ns:
            self._expected[link] = self._scheduler.call_later(delay_ns, partial(self._overdue, link))

    # --- joining ------------------------------------------------------------------------------------------------------
    def _join(self, leaf: Leaf) -> None:
        if leaf.remote is not None and leaf.account is None:
            name = leaf.remote.options.account
            self._find_account(name, partial(self._local_found, leaf))
            return
        self._register(leaf)

    def _local_found(self, leaf: Leaf, account: Account | None) -> None:
        if leaf.stage is not Stage.JOINED or self.table.find(leaf.link) is not leaf:
            return
        if account is None:
            self.close(leaf, CloseReason.MISSING_ACCOUNT)
        elif self._solicitor.may_join(leaf, account):
            leaf.account = account
            self._register(leaf)
        self._apply()

    def _register(self, leaf: Leaf) -> None:
        self._members.join(leaf)
        self._log.debug(f"{leaf.label} - bound to its account")
        self.watcher.joined(leaf)

    def _template(self) -> list[bytes | int]:
        assert self._placeholders is not None, "there is a listener only after start"
        return self.voice.template(self._placeholders.link_id, self._placeholders.nonce)
