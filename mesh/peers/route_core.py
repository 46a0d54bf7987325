"""The cluster's control plane without sockets: events in, actions out (spec routes 3 to 10, 13, 16).

A connection that we dialled (we are its solicitor) and one that we accepted go through the same stations:

    accepted:  CONNECT judged -> INFO judged -> registered: interest, then gossip
    solicited: CONNECT sent   -> INFO judged -> own INFO with the slot, registered: interest, PING -> next of the pool

Whoever reads the other's INFO and finds the place taken closes that connection: no ids are compared. Two nodes that
dial each other at the same moment may so lose both connections; the random part of the redial decides the next round.

Time is not kept here: the caller passes it in where it is remembered, and wakes each dial after the delay asked for.
``actions`` is to be emptied, in order, after every call.
"""

from collections import deque
from collections.abc import Callable, Collection
from typing import Final

from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.peers import route_actions as do
from gossamer.mesh.peers import route_protocol as protocol
from gossamer.mesh.peers import route_refusal as refusal
from gossamer.mesh.peers.route_calls import RouteCalls
from gossamer.mesh.peers.route_dials import delay_after_close_ns
from gossamer.mesh.peers.route_gossip import RouteGossip
from gossamer.mesh.peers.route_introductions import RouteIntroductions
from gossamer.mesh.peers.route_name import ClusterName, Verdict
from gossamer.mesh.peers.route_neighbours import Neighbour, RouteNeighbours
from gossamer.mesh.peers.route_protocol import RouteInfo
from gossamer.mesh.peers.route_settings import RouteSettings, RouteUrl, is_literal
from gossamer.mesh.peers.route_table import Connection, Remote, RouteTable, Stage
from gossamer.mesh.peers.route_voice import RouteVoice
from gossamer.mesh.peers.route_world import SECOND_NS, RouteIdentity, RouteRow
from gossamer.mesh.world import Randomness

#: From the full pool to the dials for pinned accounts that nobody has connected yet.
COMPLETION_DELAY_NS: Final = SECOND_NS


class RouteCore:
    """``account_exists`` only chooses between two texts of a refusal."""

    def __init__(
        self,
        identity: RouteIdentity,
        settings: RouteSettings,
        randomness: Randomness,
        account_exists: Callable[[str], bool],
        neighbours: RouteNeighbours,
    ) -> None:
        self.actions: deque[do.Action] = deque()
        self._identity = identity
        self._settings = settings
        self._randomness = randomness
        self._account_exists = account_exists
        self._name = ClusterName(settings.name, randomness)
        self._voice = RouteVoice(identity, settings, self._name, neighbours)
        self._table = RouteTable()
        self._calls = RouteCalls(settings, self.actions)
        self._gossip = RouteGossip(self._table, self._calls, self._name, self.actions)
        self._introductions = RouteIntroductions(self._table, identity.server_name, self._gossip.introduce)
        self._shared_urls: tuple[str, ...] = ()
        #: Where a host name of ours led to ourselves: not to be tried again.
        self.own_addresses: frozenset[tuple[str, int]] = frozenset()
        #: Accounts with a connection of their own: as nats-server does it, the system account.
        self.pinned: frozenset[str] = self._pinned_by(settings)

    # --- state, read ----------------------------------------------------------------------------------------------

    @property
    def cluster_name(self) -> str:
        return self._name.text

    @property
    def remotes(self) -> int:
        return len(self._table.remotes)

    @property
    def client_urls(self) -> tuple[str, ...]:
        return self._shared_urls

    def knows(self, link: int) -> bool:
        return link in self._table.connections

    def rows(self) -> list[RouteRow]:
        return self._table.rows()

    # --- life -----------------------------------------------------------------------------------------------------

    def prepare(self, port: int, client_urls: tuple[str, ...]) -> bytes:
        """The listener's port and our own addresses for clients are known. Returns the listener's INFO line."""
        self._voice.port = port
        self._voice.client_urls = client_urls
        return self._voice.info()

    def start(self) -> None:
        """Dial the configured routes: once for the pool, once for each pinned account, side by side."""
        for url in self._settings.routes:
            self._dial_configured(url)

    def set_client_urls(self, client_urls: tuple[str, ...]) -> None:
        self._voice.client_urls = client_urls
        self.actions.append(do.Announce(self._voice.info()))

    def announce(self) -> None:
        """What we say of ourselves has changed: whom we meet from now on hears it."""
        self.actions.append(do.Announce(self._voice.info()))

    def send(self, server_id: str, line: bytes) -> None:
        """To one neighbour, on one connection."""
        remote = self._table.remotes.get(server_id)
        if remote is not None:
            self.actions.append(do.Send((remote.first or remote.connections[0]).link, line))

    def change(self, settings: RouteSettings) -> None:
        """The configuration has changed: connections that it does not want any more end, and what is new is dialled.
        Everybody has to come back under another cluster name, all pooled connections after another pool size."""
        old, self._settings = self._settings, settings
        self._voice.settings = self._calls.settings = settings
        self.pinned = self._pinned_by(settings)
        gone = set(old.routes) - set(settings.routes)
        self._calls.forget(gone)
        renamed = bool(settings.name) and settings.name != self._name.text
        if renamed:
            self._name.adopt(settings.name, dynamic=False)
            self.actions.append(do.TakeClusterName(settings.name))
        self.actions.append(do.Announce(self._voice.info()))
        for each in list(self._table.connections.values()):
            if each.explicit and each.url in gone:
                each.no_redial = True
                self._close(each, CloseReason.ROUTE_REMOVED)
            elif renamed:
                self._close(each, CloseReason.CLUSTER_NAME_CONFLICT)
            elif settings.pool_size != old.pool_size and (not each.account or not settings.pooled):
                self._close(each, CloseReason.ROUTE_REMOVED)
        for url in settings.routes:
            if url not in old.routes:
                self._dial_configured(url)

    def lame_duck(self) -> None:
        """Tell every remote, on one connection each, to forget our client addresses."""
        line = self._voice.info(lame_duck=True)
        for remote in self._table.remotes.values():
            self.actions.append(do.Send(remote.connections[0].link, line))

    def stop_dialling(self) -> None:
        """From now on nobody is dialled or let in."""
        self._calls.stop()

    def stop(self) -> None:
        for connection in list(self._table.connections.values()):
            self._close(connection, CloseReason.SERVER_SHUTDOWN)

    # --- dialling -------------------------------------------------------------------------------------------------

    def greeting(self, attempt: int) -> bytes:
        """What a new solicited connection sends at once. With a generated cluster name nothing: the remote's INFO may
        make us take its name, and CONNECT with the old one would be refused (spec 3.1)."""
        dial = self._calls.get(attempt)
        return b"" if dial is None or self._name.dynamic else self._voice.connect(dial.url)

    def dialled(self, attempt: int, link: int, host: str, port: int, now_ns: int) -> None:
        """Connected; the engine has the link."""
        dial = self._calls.take(attempt)
        if dial is None:
            self.actions.append(do.CloseLink(link, CloseReason.SERVER_SHUTDOWN))
            return
        connection = Connection(link, host, port, now_ns)
        connection.stage = Stage.INFO
        connection.solicited = True
        connection.explicit = dial.explicit
        connection.account = dial.account
        connection.gossip_mode = dial.gossip_mode
        connection.url = dial.url
        connection.tries = dial.tries
        connection.lost = dial.lost
        connection.greeted = not self._name.dynamic
        self._table.connections[link] = connection

    def dial_failed(self, attempt: int, error: str) -> None:
        dial = self._calls.get(attempt)
        known = dial is not None and (dial.server_id in self._table.remotes or self._table.is_somebody_at(dial.place))
        self._calls.failed(attempt, error, remote_known=known)

    def dial_due(self, attempt: int) -> None:
        """The delay of a ``WakeDial`` is over. Perhaps the place has been taken meanwhile."""
        dial = self._calls.get(attempt)
        remote = self._table.remotes.get(dial.server_id) if dial is not None else None
        if dial is not None and remote is not None and (remote.explicit or not dial.explicit):
            taken = dial.account in remote.dedicated if dial.account else remote.free_slot() < 0
            if taken:
                self._calls.take(attempt)
                return
        self._calls.due(attempt)

    def _dial_configured(self, url: RouteUrl, delay_ns: int = 0) -> None:
        self._calls.dial(url, explicit=True, delay_ns=delay_ns)
        for account in sorted(self.pinned):
            self._calls.dial(url, account=account, explicit=True, delay_ns=delay_ns)

    # --- accepted connections: CONNECT ----------------------------------------------------------------------------

    def opened(self, link: int, host: str, port: int, now_ns: int) -> None:
        """Accepted by our listener, which has sent INFO."""
        connection = Connection(link, host, port, now_ns)
        self._table.connections[link] = connection
        if self._calls.stopped:
            self._close(connection, CloseReason.SERVER_SHUTDOWN)

    def hello(self, link: int, connect: bytes | None, *, again: bool) -> None:
        """CONNECT, or None when the peer began with something else (checked in nats-server's order)."""
        connection = self._table.connections[link]
        if connection.stage is Stage.CLOSING:
            return
        if again or connection.stage is not Stage.CONNECT:
            self.actions.append(do.Resume(link))
            return
        if connect is None:
            self._close(connection, CloseReason.AUTHENTICATION_VIOLATION, refusal.UNAUTHORIZED)
            return
        said = protocol.decode_connect(connect)
        if said is None:
            self._close(connection, CloseReason.PARSE_ERROR)
            return
        connection.said = said
        if not self._settings.auth_required:
            self._judge_connect(connection)
        elif said.user != self._settings.user:
            self._close(connection, CloseReason.AUTHENTICATION_VIOLATION, refusal.UNAUTHORIZED)
        else:
            self.actions.append(do.CheckPassword(link, said.password))

    def password_checked(self, link: int, right: bool) -> None:
        connection = self._table.connections.get(link)
        if connection is None or connection.stage is not Stage.CONNECT:
            return
        if right:
            self._judge_connect(connection)
        else:
            self._close(connection, CloseReason.AUTHENTICATION_VIOLATION, refusal.UNAUTHORIZED)

    def _judge_connect(self, connection: Connection) -> None:
        said = connection.said
        assert said is not None
        if said.lang:
            self._close(connection, CloseReason.WRONG_PORT, refusal.WRONG_PORT)
        elif said.gateway:
            self._close(connection, CloseReason.WRONG_GATEWAY, refusal.gateway_on_route_port(said.gateway))
        else:
            verdict = self._name.judge(said.cluster, theirs_dynamic=said.cluster_dynamic)
            if verdict is Verdict.ADOPT:
                self._adopt(said.cluster, dynamic=said.cluster_dynamic, keep=connection)
            elif verdict is not Verdict.SAME:
                text = refusal.wrong_cluster(said.cluster, self._name.text)
                self._close(connection, CloseReason.CLUSTER_NAME_CONFLICT, text)
                return
            connection.stage = Stage.INFO
            self.actions.append(do.Admit(connection.link))

    # --- INFO -----------------------------------------------------------------------------------------------------

    def info(self, link: int, text: bytes, now_ns: int) -> None:
        """An INFO; the link is parked until something is decided."""
        connection = self._table.connections[link]
        if connection.stage is Stage.CLOSING:
            return
        info = protocol.decode_info(text)
        if info is None:
            self._close(connection, CloseReason.PARSE_ERROR)
        elif connection.stage is Stage.JOINED:
            self._later_info(connection, info, text)
        else:
            connection.start_ns = now_ns
            self._first_info(connection, info)

    def _first_info(self, connection: Connection, info: RouteInfo) -> None:
        if info.server_id == self._identity.server_id:
            self._met_ourselves(connection)
            return
        if not info.server_id:
            self._close(connection, CloseReason.PROTOCOL_VIOLATION)
            return
        if not self._same_cluster(connection, info):
            return
        if info.server_name == self._identity.server_name:
            self._say("error", f"{connection.label} - remote server has our own name {info.server_name!r}")
            self._close(connection, CloseReason.DUPLICATE_SERVER_NAME)
            return
        if connection.solicited:
            why = refusal.refusal_of_solicited(info, self._settings, connection.account)
            connection.no_redial = bool(connection.account) and not (self._settings.pooled and info.pooled)
        else:
            why = refusal.refusal_of_accepted(info, self._settings, self.pinned, self._account_exists)
        if why:
            self._say("error", f"{connection.label} - {why}")
            self._close(connection, CloseReason.PROTOCOL_VIOLATION, why)
            return
        connection.info = info
        try:
            url = info.dial_url(connection.host)
        except ValueError:
            self._close(connection, CloseReason.PROTOCOL_VIOLATION)
            return
        remote = self._table.remote_for(info, url, self._settings.pool_size)
        if connection.solicited:
            self._take_place(connection, remote)
        else:
            connection.account = info.route_account
            self._grant_place(connection, remote, info.route_pool_idx if remote.pooled else 0)

    def _met_ourselves(self, connection: Connection) -> None:
        """A route to ourselves. A host *name* may lead to others too: its address is left out from now on."""
        url = connection.url
        if url is None or is_literal(url.host):
            connection.no_redial = True
        else:
            self.own_addresses |= {(connection.host, connection.port)}
            connection.explicit = True
        self._say("debug", f"{connection.label} - route to ourselves")
        self._close(connection, CloseReason.DUPLICATE_ROUTE)

    def _same_cluster(self, connection: Connection, info: RouteInfo) -> bool:
        """Do we go on with a peer of that cluster name? If so, a CONNECT that was held back is sent."""
        verdict = self._name.judge(info.cluster, theirs_dynamic=info.cluster_dynamic) if info.cluster else Verdict.SAME
        going_on = verdict is Verdict.SAME
        if connection.solicited:
            if verdict is Verdict.ADOPT:
                self._adopt(info.cluster, dynamic=info.cluster_dynamic, keep=connection)
                going_on = not connection.greeted  # else it has been told the old name and refuses us
            elif verdict is Verdict.YIELDS:
                going_on = True  # our CONNECT makes it take our name
        if not going_on:
            if verdict is Verdict.CONFLICT:
                self._say("error", f"{connection.label} - {refusal.wrong_cluster(info.cluster, self._name.text)}")
            self._close(connection, CloseReason.CLUSTER_NAME_CONFLICT)
            return False
        if connection.solicited and not connection.greeted:
            assert connection.url is not None
            connection.greeted = True
            self.actions.append(do.Send(connection.link, self._voice.connect(connection.url)))
        return True

    def _take_place(self, connection: Connection, remote: Remote) -> None:
        """We dialled: choose the slot, say so in our INFO, and join."""
        account = connection.account
        index = remote.free_slot()
        if (account in remote.dedicated) if account else index < 0:
            self._leave_to(connection, remote)
            return
        self.actions.append(
            do.Send(
                connection.link,
                self._voice.info(
                    pool_index=0 if account else index, account=account, gossip_mode=connection.gossip_mode
                ),
            )
        )
        self._register(connection, remote, index)
        if not account:
            connection.chained = True
            self.actions.append(do.Ping(connection.link))

    def _grant_place(self, connection: Connection, remote: Remote, index: int) -> None:
        """We accepted: the remote has chosen its slot."""
        taken = remote.dedicated.get(connection.account) if connection.account else remote.slots.get(index)
        if taken is not None:
            # Either side may have registered the connection that it dialled: then both die, and both must dial again.
            taken.retry = True
            self._close(connection, CloseReason.DUPLICATE_ROUTE)
            return
        self._register(connection, remote, index)

    def _leave_to(self, connection: Connection, remote: Remote) -> None:
        """There is no place left for a connection that we dialled. If that was a configured route, one that serves in
        its place inherits this, so that it is dialled again when that one ends."""
        connection.no_redial = True
        peers = [each for each in remote.connections if each.account == connection.account]
        if peers and connection.explicit and not any(each.explicit and each.solicited for each in peers):
            heir = peers[0]
            heir.solicited = heir.explicit = heir.retry = True
            heir.url = connection.url
        self._close(connection, CloseReason.DUPLICATE_ROUTE)

    def _register(self, connection: Connection, remote: Remote, index: int) -> None:
        info = connection.info
        assert info is not None
        is_new = remote.server_id not in self._table.remotes
        is_first = bool(connection.account) or not remote.slots
        if not connection.account:
            remote.info = info
        self._table.register(connection, remote, index)
        self.actions.append(
            do.Join(
                link=connection.link,
                node=remote.node,
                headers=info.headers,
                leaf_origin=info.lnoc or info.ln,
                leaf_origin_unsubscribe=info.lnocu or info.ln,
                pool_index=max(connection.index, 0),
                pooled=connection.pooled,
                account=connection.account,
                server_id=remote.server_id,
            )
        )
        what = f"account {connection.account}" if connection.account else f"pool index {connection.index}"
        self._say("info", f"{connection.label} - Route connection to {info.server_name!r} registered ({what})")
        if is_new and not self._settings.no_advertise:
            remote.client_urls = info.connect_urls
            self._share_client_urls()
        if is_first:
            self._gossip.tell_others(connection, remote)
        if not connection.account and not remote.met:
            remote.met = True
            self.actions.append(do.Meet(_neighbour(remote, connection.host)))
        if connection.solicited and connection.account and not remote.slots:
            self._complete(connection, remote, ("",))

    def _later_info(self, connection: Connection, info: RouteInfo, text: bytes) -> None:
        """An INFO on a registered connection: what it is about is found in this order (spec 3.4)."""
        remote = connection.remote
        assert remote is not None
        about_sender = info.server_id == remote.server_id
        if info.server_id == self._identity.server_id:
            self._close(connection, CloseReason.DUPLICATE_ROUTE)
            return
        if about_sender and info.cluster and info.cluster != self._name.text:
            if self._name.judge(info.cluster, theirs_dynamic=info.cluster_dynamic) is not Verdict.ADOPT:
                self._close(connection, CloseReason.CLUSTER_NAME_CONFLICT)
                return
            self._adopt(info.cluster, dynamic=info.cluster_dynamic, keep=connection)
        elif info.route_acc_add_reqid:
            if info.route_account:
                self._say(
                    "warning",
                    f"{connection.label} - pinning account {info.route_account!r} to a route of its "
                    "own is not available yet: its messages do not cross to that node",
                )
                self.actions.append(do.Send(connection.link, protocol.account_move_answer(info)))
        elif info.gateway:
            self.actions.append(do.HearOfGateway(remote.server_id, text, connection.label))
        elif not about_sender:
            self._gossip.heard_of(info, self._settings, self.pinned)
        elif info.ldm and remote.client_urls:
            remote.client_urls = ()
            self._share_client_urls()
        self.actions.append(do.Resume(connection.link))

    def has_routes_to(self, server_id: str, names: Collection[str]) -> None:
        """A remote has said whom it is connected to."""
        self._introductions.heard(server_id, names)

    # --- the rest of a connection's life ----------------------------------------------------------------------------

    def pong(self, link: int, rtt_ns: int) -> None:
        """The first answer on a pooled connection that we dialled lets us open the next (spec 4.2)."""
        connection = self._table.connections[link]
        connection.rtt_ns = rtt_ns or connection.rtt_ns
        first, connection.confirmed = not connection.confirmed, True
        remote = connection.remote
        if not first or not connection.chained or remote is None or connection.stage is not Stage.JOINED:
            return
        if remote.free_slot() >= 0 and connection.url is not None:
            self._calls.dial(
                connection.url,
                place=(connection.host, connection.port),
                explicit=connection.explicit,
                gossip_mode=connection.gossip_mode,
                server_id=remote.server_id,
            )
        elif remote.pooled and connection.url is not None:
            self._complete(connection, remote, self.pinned - remote.dedicated.keys())

    def _complete(self, connection: Connection, remote: Remote, accounts: Collection[str]) -> None:
        """See to the connections that belong to one that we dialled: to a full pool those of the pinned accounts, to
        one of these the pool (empty). Usually gossip brings them, but two nodes may hear of each other only once, and
        may have failed to connect then."""
        for account in sorted(accounts):
            if connection.url is None or self._table.is_being_met(connection.url, account):
                continue
            self._calls.dial(
                connection.url,
                place=(connection.host, connection.port),
                account=account,
                explicit=connection.explicit,
                gossip_mode=connection.gossip_mode,
                server_id=remote.server_id,
                delay_ns=COMPLETION_DELAY_NS,
            )

    def peer_error(self, link: int, text: bytes) -> None:
        """The peer said -ERR; the engine closes the link."""
        connection = self._table.connections[link]
        connection.peer_error = text.decode("utf-8", "replace")
        self._say("error", f"{connection.label} - Route error: {connection.peer_error}")
        if "Not possible to have a dedicated route" in connection.peer_error:
            connection.no_redial = True

    def closed(self, link: int, reason: int, error: bytes, now_ns: int) -> None:
        """The link is gone, whoever closed it."""
        connection = self._table.connections[link]
        remote = self._table.remove(connection)
        is_last = remote is not None and remote.server_id not in self._table.remotes
        self._say("info", f"{connection.label} - Route connection closed: {_reason_text(reason)}")
        if is_last and remote is not None:
            self._share_client_urls()
            self.actions.append(do.Lose(remote.server_id))
        if self._calls.stopped or connection.no_redial or not (connection.solicited or connection.retry):
            return
        url = connection.url or (remote.url if remote is not None else None)
        if url is None:
            return
        tries = 0 if connection.confirmed else connection.tries + 1
        delay_ns = delay_after_close_ns(
            explicit=connection.explicit,
            refused=bool(connection.account and connection.peer_error and not connection.confirmed),
            tries=tries,
            randomness=self._randomness,
        )
        self._calls.dial(
            url,
            place=(remote.url.host, remote.url.port) if remote is not None and not is_last else None,
            account=connection.account,
            explicit=connection.explicit,
            gossip_mode=connection.gossip_mode,
            server_id=remote.server_id if remote is not None else "",
            tries=tries,
            lost=connection.lost or remote is not None,
            delay_ns=delay_ns,
        )
        if is_last and remote is not None and connection.explicit and not remote.pooled:
            # It may come back with a pool: then the pinned accounts want their own connection again.
            self._dial_configured(url, delay_ns)

    def _adopt(self, name: str, *, dynamic: bool, keep: Connection) -> None:
        """Take the other's cluster name: everybody else has to come back under it (spec 8.2)."""
        self._say("info", f"Cluster name changed to {name!r}")
        self._name.adopt(name, dynamic=dynamic)
        self.actions.append(do.Announce(self._voice.info()))
        self.actions.append(do.TakeClusterName(name))
        for other in list(self._table.connections.values()):
            if other.remote is not None and other.remote is not keep.remote:
                self._close(other, CloseReason.CLUSTER_NAME_CONFLICT)

    def _close(self, connection: Connection, reason: CloseReason, error: str = "") -> None:
        """The place of a registered connection stays taken until the engine reports it closed."""
        if connection.stage is Stage.CLOSING:
            return
        connection.stage = Stage.CLOSING
        self.actions.append(do.CloseLink(connection.link, reason, error))

    def _share_client_urls(self) -> None:
        urls = self._table.client_urls()
        if urls != self._shared_urls:
            self._shared_urls = urls
            self.actions.append(do.ShareClientUrls(urls))

    def _pinned_by(self, settings: RouteSettings) -> frozenset[str]:
        account = self._identity.system_account
        return frozenset({account} if account and settings.pooled else ())

    def _say(self, level: str, text: str) -> None:
        self.actions.append(do.Say(level, text))


def _neighbour(remote: Remote, host: str) -> Neighbour:
    info = remote.info
    return Neighbour(
        server_id=remote.server_id,
        server_name=info.server_name,
        host=host,
        gateway_url=info.gateway_url,
        leafnode_urls=info.leafnode_urls,
    )


def _reason_text(reason: int) -> str:
    try:
        return CloseReason(reason).text
    except ValueError:
        return f"reason {reason}"
