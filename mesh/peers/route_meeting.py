"""Meeting another node: from the first byte of a connection to its place in the table (spec routes 3 to 5, 7, 8, 10).

    accepted:  CONNECT judged -> INFO judged -> registered: interest, then gossip
    solicited: CONNECT sent   -> INFO judged -> own INFO with the slot, registered: interest, PING -> next of the pool

Compressed connections have one more INFO each way before the second station (``route_compression.py``).

Whoever reads the other's INFO and finds the place taken closes that connection: no ids are compared. Two nodes that
dial each other at the same moment may so lose both connections; the random part of the redial decides the next round.
"""

from collections.abc import Collection
from typing import Final

from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.peers import route_actions as do
from gossamer.mesh.peers import route_protocol as protocol
from gossamer.mesh.peers import route_refusal as refusal
from gossamer.mesh.peers.route_compression import RouteCompression
from gossamer.mesh.peers.route_name import Verdict
from gossamer.mesh.peers.route_neighbours import Neighbour
from gossamer.mesh.peers.route_protocol import RouteInfo
from gossamer.mesh.peers.route_settings import is_literal
from gossamer.mesh.peers.route_state import RouteState
from gossamer.mesh.peers.route_table import Connection, Remote, Stage
from gossamer.mesh.peers.route_world import SECOND_NS

#: From the full pool to the dials for pinned accounts that nobody has connected yet.
COMPLETION_DELAY_NS: Final = SECOND_NS


class RouteMeeting:
    """Works on the core's state."""

    def __init__(self, state: RouteState, compression: RouteCompression) -> None:
        self._state = state
        self._compression = compression

    # --- accepted connections: CONNECT ------------------------------------------------------------------------------

    def opened(self, link: int, host: str, port: int, now_ns: int) -> None:
        """Accepted by our listener, which has sent INFO."""
        state = self._state
        connection = Connection(link, host, port, now_ns)
        state.table.connections[link] = connection
        if state.calls.stopped:
            state.close(connection, CloseReason.SERVER_SHUTDOWN)

    def hello(self, link: int, connect: bytes | None, *, again: bool) -> None:
        """CONNECT, or None when the peer began with something else (checked in nats-server's order)."""
        state = self._state
        connection = state.table.connections[link]
        if connection.stage is Stage.CLOSING:
            return
        if again or connection.stage is not Stage.CONNECT:
            state.actions.append(do.Resume(link))
            return
        if connect is None:
            state.close(connection, CloseReason.AUTHENTICATION_VIOLATION, refusal.UNAUTHORIZED)
            return
        said = protocol.decode_connect(connect)
        if said is None:
            state.close(connection, CloseReason.PARSE_ERROR)
            return
        connection.said = said
        if not state.settings.auth_required:
            self._judge_connect(connection)
        elif said.user != state.settings.user:
            state.close(connection, CloseReason.AUTHENTICATION_VIOLATION, refusal.UNAUTHORIZED)
        else:
            state.actions.append(do.CheckPassword(link, said.password, state.settings.password))

    def password_checked(self, link: int, right: bool) -> None:
        state = self._state
        connection = state.table.connections.get(link)
        if connection is None or connection.stage is not Stage.CONNECT:
            return
        if right:
            self._judge_connect(connection)
        else:
            state.close(connection, CloseReason.AUTHENTICATION_VIOLATION, refusal.UNAUTHORIZED)

    def _judge_connect(self, connection: Connection) -> None:
        state = self._state
        said = connection.said
        assert said is not None
        if said.lang:
            state.close(connection, CloseReason.WRONG_PORT, refusal.WRONG_PORT)
        elif said.gateway:
            state.close(connection, CloseReason.WRONG_GATEWAY, refusal.gateway_on_route_port(said.gateway))
        else:
            verdict = state.name.judge(said.cluster, theirs_dynamic=said.cluster_dynamic)
            if verdict is Verdict.ADOPT:
                state.adopt(said.cluster, dynamic=said.cluster_dynamic, keep=connection)
            elif verdict is not Verdict.SAME:
                text = refusal.wrong_cluster(said.cluster, state.name.text)
                state.close(connection, CloseReason.CLUSTER_NAME_CONFLICT, text)
                return
            connection.stage = Stage.INFO
            state.actions.append(do.Admit(connection.link))

    # --- the first INFO ---------------------------------------------------------------------------------------------

    def first_info(self, connection: Connection, info: RouteInfo, now_ns: int) -> None:
        """Of a connection that is not registered; where it is compressed, the first two."""
        state = self._state
        if info.server_id == state.identity.server_id:
            self._met_ourselves(connection)
            return
        if not info.server_id:
            state.close(connection, CloseReason.PROTOCOL_VIOLATION)
            return
        if not self._same_cluster(connection, info):
            return
        if info.server_name == state.identity.server_name:
            state.say("error", f"{connection.label} - remote server has our own name {info.server_name!r}")
            state.close(connection, CloseReason.DUPLICATE_SERVER_NAME)
            return
        if connection.solicited:
            connection.no_redial = bool(connection.account) and not (state.settings.pooled and info.pooled)
            if self._is_refused(connection, refusal.refusal_of_solicited(info, state.settings, connection.account)):
                return
        if not connection.compression:
            if self._is_refused(connection, self._compression.choose(connection, info)):
                return
            if self._compression.begin(connection, now_ns - connection.start_ns):
                return
        if not connection.solicited:
            why = refusal.refusal_of_accepted(info, state.settings, state.pinned, state.account_exists)
            if self._is_refused(connection, why):
                return
        connection.start_ns = now_ns
        connection.info = info
        try:
            url = info.dial_url(connection.host)
        except ValueError:
            state.close(connection, CloseReason.PROTOCOL_VIOLATION)
            return
        remote = state.table.remote_for(info, url, state.settings.pool_size)
        if connection.solicited:
            self._take_place(connection, remote)
        else:
            connection.account = info.route_account
            self._grant_place(connection, remote, info.route_pool_idx if remote.pooled else 0)

    def _is_refused(self, connection: Connection, why: str) -> bool:
        """Is there a reason? Then the connection ends with it."""
        if why:
            self._state.say("error", f"{connection.label} - {why}")
            self._state.close(connection, CloseReason.PROTOCOL_VIOLATION, why)
        return bool(why)

    def _met_ourselves(self, connection: Connection) -> None:
        """A route to ourselves. A host *name* may lead to others too: its address is left out from now on."""
        state = self._state
        url = connection.url
        if url is None or is_literal(url.host):
            connection.no_redial = True
        else:
            state.own_addresses |= {(connection.host, connection.port)}
            connection.explicit = True
        state.say("debug", f"{connection.label} - route to ourselves")
        state.close(connection, CloseReason.DUPLICATE_ROUTE)

    def _same_cluster(self, connection: Connection, info: RouteInfo) -> bool:
        """Do we go on with a peer of that cluster name? If so, a CONNECT that was held back is sent."""
        state = self._state
        verdict = state.name.judge(info.cluster, theirs_dynamic=info.cluster_dynamic) if info.cluster else Verdict.SAME
        going_on = verdict is Verdict.SAME
        if connection.solicited:
            if verdict is Verdict.ADOPT:
                state.adopt(info.cluster, dynamic=info.cluster_dynamic, keep=connection)
                going_on = not connection.greeted  # else it has been told the old name and refuses us
            elif verdict is Verdict.YIELDS:
                going_on = True  # our CONNECT makes it take our name
        if not going_on:
            if verdict is Verdict.CONFLICT:
                state.say("error", f"{connection.label} - {refusal.wrong_cluster(info.cluster, state.name.text)}")
            state.close(connection, CloseReason.CLUSTER_NAME_CONFLICT)
            return False
        if connection.solicited and not connection.greeted:
            assert connection.url is not None
            connection.greeted = True
            state.actions.append(do.Send(connection.link, state.voice.connect(connection.url)))
        return True

    def _take_place(self, connection: Connection, remote: Remote) -> None:
        """We dialled: choose the slot, say so in our INFO, and join."""
        state = self._state
        account = connection.account
        index = remote.free_slot()
        if (account in remote.dedicated) if account else index < 0:
            self._leave_to(connection, remote)
            return
        state.actions.append(
            do.Send(
                connection.link,
                state.voice.info(
                    pool_index=0 if account else index,
                    account=account,
                    gossip_mode=connection.gossip_mode,
                    compression=connection.compression,
                ),
            )
        )
        self._register(connection, remote, index)
        if not account:
            connection.chained = True
            state.actions.append(do.Ping(connection.link))

    def _grant_place(self, connection: Connection, remote: Remote, index: int) -> None:
        """We accepted: the remote has chosen its slot."""
        state = self._state
        taken = remote.dedicated.get(connection.account) if connection.account else remote.slots.get(index)
        if taken is not None:
            # Either side may have registered the connection that it dialled: then both die, and both must dial again.
            taken.retry = True
            state.close(connection, CloseReason.DUPLICATE_ROUTE)
            return
        self._register(connection, remote, index)

    def _leave_to(self, connection: Connection, remote: Remote) -> None:
        """There is no place left for a connection that we dialled. If that was a configured route, one that serves in
        its place inherits this, so that it is dialled again when that one ends."""
        state = self._state
        connection.no_redial = True
        peers = [each for each in remote.connections if each.account == connection.account]
        if peers and connection.explicit and not any(each.explicit and each.solicited for each in peers):
            heir = peers[0]
            heir.solicited = heir.explicit = heir.retry = True
            heir.url = connection.url
        state.close(connection, CloseReason.DUPLICATE_ROUTE)

    def _register(self, connection: Connection, remote: Remote, index: int) -> None:
        state = self._state
        info = connection.info
        assert info is not None
        is_new = remote.server_id not in state.table.remotes
        is_first = bool(connection.account) or not remote.slots
        if not connection.account:
            remote.info = info
        state.table.register(connection, remote, index)
        state.join(connection, remote, info)
        what = f"account {connection.account}" if connection.account else f"pool index {connection.index}"
        state.say("info", f"{connection.label} - Route connection to {info.server_name!r} registered ({what})")
        if is_new and not state.settings.no_advertise:
            remote.client_urls = info.connect_urls
            state.share_client_urls()
        if is_first:
            state.gossip.tell_others(connection, remote)
        if not connection.account and not remote.met:
            remote.met = True
            state.actions.append(do.Meet(_neighbour(remote, connection.host)))
        if connection.solicited and connection.account and not remote.slots:
            self.complete(connection, remote, ("",))

    def complete(self, connection: Connection, remote: Remote, accounts: Collection[str]) -> None:
        """See to the connections that belong to one that we dialled: to a full pool those of the pinned accounts, to
        one of these the pool (empty). Usually gossip brings them, but two nodes may hear of each other only once, and
        may have failed to connect then."""
        state = self._state
        for account in sorted(accounts):
            if connection.url is None or state.table.is_being_met(connection.url, account):
                continue
            state.calls.dial(
                connection.url,
                place=(connection.host, connection.port),
                account=account,
                explicit=connection.explicit,
                gossip_mode=connection.gossip_mode,
                server_id=remote.server_id,
                delay_ns=COMPLETION_DELAY_NS,
            )


def _neighbour(remote: Remote, host: str) -> Neighbour:
    info = remote.info
    return Neighbour(
        server_id=remote.server_id,
        server_name=info.server_name,
        host=host,
        gateway_url=info.gateway_url,
        leafnode_urls=info.leafnode_urls,
    )
