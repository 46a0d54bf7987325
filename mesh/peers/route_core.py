"""The cluster's control plane without sockets: events in, actions out (spec routes 3 to 10, 13, 16).

Here: a node's life as others see it, dialling, and what happens to a connection once it is registered. How it comes so
far: ``route_meeting.py``. What both share: ``route_state.py``.

Time is not kept here: the caller passes it in where it is remembered, and wakes each dial after the delay asked for.
``actions`` is to be emptied, in order, after every call.
"""

from collections.abc import Callable, Collection

import msgspec

from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.peers import route_actions as do
from gossamer.mesh.peers import route_protocol as protocol
from gossamer.mesh.peers.route_compression import RouteCompression
from gossamer.mesh.peers.route_dials import delay_after_close_ns
from gossamer.mesh.peers.route_introductions import RouteIntroductions
from gossamer.mesh.peers.route_meeting import RouteMeeting
from gossamer.mesh.peers.route_name import Verdict
from gossamer.mesh.peers.route_neighbours import RouteNeighbours
from gossamer.mesh.peers.route_protocol import RouteInfo
from gossamer.mesh.peers.route_settings import RouteSettings, RouteUrl
from gossamer.mesh.peers.route_state import RouteState
from gossamer.mesh.peers.route_table import Connection, Remote, Stage
from gossamer.mesh.peers.route_world import RouteIdentity, RouteRow
from gossamer.mesh.world import Randomness


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
        self._state = state = RouteState(identity, settings, randomness, account_exists, neighbours)
        self.actions = state.actions
        self._name = state.name
        self._voice = state.voice
        self._table = state.table
        self._calls = state.calls
        self._compression = RouteCompression(state)
        self._meeting = RouteMeeting(state, self._compression)
        self._introductions = RouteIntroductions(state.table, identity.server_name, state.gossip.introduce)
        # Accepted connections are met there from their first byte on.
        self.opened = self._meeting.opened
        self.hello = self._meeting.hello
        self.password_checked = self._meeting.password_checked

    # --- state, read ----------------------------------------------------------------------------------------------

    @property
    def cluster_name(self) -> str:
        return self._name.text

    @property
    def remotes(self) -> int:
        return len(self._table.remotes)

    @property
    def client_urls(self) -> tuple[str, ...]:
        return self._state.shared_urls

    @property
    def pinned(self) -> frozenset[str]:
        """Accounts with a connection of their own."""
        return self._state.pinned

    @property
    def own_addresses(self) -> frozenset[tuple[str, int]]:
        """Not to be dialled."""
        return self._state.own_addresses

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
        for url in self._state.settings.routes:
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
        Everybody has to come back under another cluster name, all pooled connections after another pool size or with
        other pinned accounts: so all interest is learned anew, where it belongs."""
        state, old, pinned = self._state, self._state.settings, self._state.pinned
        state.follow(settings)
        gone = set(old.routes) - set(settings.routes)
        self._calls.forget(gone)
        renamed = bool(settings.name) and settings.name != self._name.text
        if renamed:
            self._name.adopt(settings.name, dynamic=False)
            self.actions.append(do.TakeClusterName(settings.name))
        self.actions.append(do.Announce(self._voice.info()))
        recompressed = self._compression.change(old, settings)
        remade = settings.pool_size != old.pool_size or state.pinned != pinned
        for each in list(self._table.connections.values()):
            if each.explicit and each.url in gone:
                each.no_redial = True
                state.close(each, CloseReason.ROUTE_REMOVED)
            elif renamed:
                state.close(each, CloseReason.CLUSTER_NAME_CONFLICT)
            elif each.account and each.account not in state.pinned:
                each.no_redial = True
                state.close(each, CloseReason.ROUTE_REMOVED)
            elif each in recompressed:
                state.close(each, CloseReason.CLIENT_CLOSED)
            elif remade and not each.account:
                state.close(each, CloseReason.ROUTE_REMOVED)
            elif settings.permissions != old.permissions and each.stage is Stage.JOINED:
                assert each.remote is not None
                assert each.info is not None
                state.join(each, each.remote, each.info)
                self.actions.append(do.Send(each.link, self._voice.info()))
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
            self._state.close(connection, CloseReason.SERVER_SHUTDOWN)

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

    def overdue(self, link: int) -> None:
        """Whoever we dialled should have said INFO long ago. After CONNECT nothing is sent to it before, so nothing
        else would tell that it has gone."""
        connection = self._table.connections.get(link)
        if connection is not None and connection.solicited and connection.stage is Stage.INFO:
            self._state.say("error", f"{connection.label} - No INFO came")
            self._state.close(connection, CloseReason.STALE_CONNECTION)

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

    # --- INFO -----------------------------------------------------------------------------------------------------

    def info(self, link: int, text: bytes, now_ns: int) -> None:
        """An INFO; the link is parked until something is decided."""
        connection = self._table.connections[link]
        if connection.stage is Stage.CLOSING:
            return
        info = protocol.decode_info(text)
        if info is None:
            self._state.close(connection, CloseReason.PARSE_ERROR)
        elif connection.stage is Stage.JOINED:
            self._later_info(connection, info, text)
        else:
            self._meeting.first_info(connection, info, now_ns)

    def _later_info(self, connection: Connection, info: RouteInfo, text: bytes) -> None:
        """An INFO on a registered connection: what it is about is found in this order (spec 3.4)."""
        remote = connection.remote
        assert remote is not None
        about_sender = info.server_id == remote.server_id
        if info.server_id == self._state.identity.server_id:
            self._state.close(connection, CloseReason.DUPLICATE_ROUTE)
            return
        if about_sender and info.cluster and info.cluster != self._name.text:
            if self._name.judge(info.cluster, theirs_dynamic=info.cluster_dynamic) is not Verdict.ADOPT:
                self._state.close(connection, CloseReason.CLUSTER_NAME_CONFLICT)
                return
            self._state.adopt(info.cluster, dynamic=info.cluster_dynamic, keep=connection)
        elif info.route_acc_add_reqid:
            if info.route_account:
                if info.route_account not in self.pinned:
                    self._state.say(
                        "warning",
                        f"{connection.label} - account {info.route_account!r} has a route of its own there: it crosses "
                        "again once cluster.accounts has it here, too",
                    )
                self.actions.append(do.Send(connection.link, protocol.account_move_answer(info)))
        elif info.gateway:
            self.actions.append(do.HearOfGateway(remote.server_id, text, connection.label))
        elif not about_sender:
            self._state.gossip.heard_of(info, self._state.settings, self.pinned)
        elif info.ldm and remote.client_urls:
            remote.client_urls = ()
            self._state.share_client_urls()
        else:
            self._follow_permissions(connection, remote, info)
        self.actions.append(do.Resume(connection.link))

    def _follow_permissions(self, connection: Connection, remote: Remote, said: RouteInfo) -> None:
        """The sender may import and export something else than before. What it may export now it has to be told of:
        it has thrown that away (spec routes 15)."""
        before = connection.info
        assert before is not None
        if (said.imports, said.exports) == (before.imports, before.exports):
            return
        connection.info = msgspec.structs.replace(before, imports=said.imports, exports=said.exports)
        if said.exports != before.exports:
            self._state.join(connection, remote, before)

    def has_routes_to(self, server_id: str, names: Collection[str]) -> None:
        """A remote has said whom it is connected to."""
        self._introductions.heard(server_id, names)

    # --- the rest of a connection's life ----------------------------------------------------------------------------

    def pong(self, link: int, rtt_ns: int) -> None:
        """The first answer on a pooled connection that we dialled lets us open the next (spec 4.2)."""
        connection = self._table.connections[link]
        connection.rtt_ns = rtt_ns or connection.rtt_ns
        self._compression.follow_rtt(connection)
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
            self._meeting.complete(connection, remote, self.pinned - remote.dedicated.keys())

    def peer_error(self, link: int, text: bytes) -> None:
        """The peer said -ERR; the engine closes the link."""
        connection = self._table.connections[link]
        connection.peer_error = text.decode("utf-8", "replace")
        self._state.say("error", f"{connection.label} - Route error: {connection.peer_error}")
        if "Not possible to have a dedicated route" in connection.peer_error:
            connection.no_redial = True

    def closed(self, link: int, reason: int, now_ns: int) -> None:
        """The link is gone, whoever closed it."""
        connection = self._table.connections[link]
        remote = self._table.remove(connection)
        is_last = remote is not None and remote.server_id not in self._table.remotes
        self._state.say("info", f"{connection.label} - Route connection closed: {_reason_text(reason)}")
        if is_last and remote is not None:
            self._state.share_client_urls()
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
            randomness=self._state.randomness,
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


def _reason_text(reason: int) -> str:
    try:
        return CloseReason(reason).text
    except ValueError:
        return f"reason {reason}"
