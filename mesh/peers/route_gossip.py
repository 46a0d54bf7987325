"""Who is told of whom, and what to do when told (spec routes 9)."""

from collections import deque
from enum import IntEnum

from msgspec import Struct

from gossamer.mesh.peers import route_actions as do
from gossamer.mesh.peers.route_calls import RouteCalls
from gossamer.mesh.peers.route_name import ClusterName
from gossamer.mesh.peers.route_protocol import RouteInfo, gossip_line
from gossamer.mesh.peers.route_settings import RouteSettings, RouteUrl
from gossamer.mesh.peers.route_table import Connection, Remote, RouteTable


class GossipMode(IntEnum):
    """What travels with a gossiped INFO, and is repeated by whoever dials because of it."""

    DEFAULT = 0
    DISABLED = 1  # everybody has been told: the two that meet need not tell again
    OVERRIDE = 2  # two groups may be meeting: tell, although this connection came of gossip itself


class Meeting(Struct, frozen=True, gc=False):
    """A connection at the moment it is registered. ``own_mode``: what we were told when we dialled because of gossip.
    ``their_mode``: what the remote's INFO said."""

    solicited: bool
    explicit: bool
    own_mode: int
    their_mode: int


def is_worth_telling(meeting: Meeting) -> bool:
    """May the others be told about the remote just met?"""
    if meeting.solicited and not meeting.explicit and meeting.own_mode != GossipMode.OVERRIDE:
        return False
    return meeting.their_mode != GossipMode.DISABLED


def mode_for(meeting: Meeting, *, other_explicit: bool) -> GossipMode:
    """The mode that goes to one other remote; ``other_explicit``: our route to that one is a configured one."""
    if meeting.solicited:
        return GossipMode.OVERRIDE if meeting.explicit else GossipMode.DEFAULT
    return GossipMode.OVERRIDE if other_explicit else GossipMode.DISABLED


class RouteGossip:
    """Works on the core's table, dials, name and actions."""

    def __init__(self, table: RouteTable, calls: RouteCalls, name: ClusterName, actions: deque[do.Action]) -> None:
        self._table = table
        self._calls = calls
        self._name = name
        self._actions = actions

    def tell_others(self, connection: Connection, remote: Remote) -> None:
        """Gossip about the remote just met, on one connection to every other (spec 9.1)."""
        info = connection.info
        assert info is not None
        meeting = Meeting(connection.solicited, connection.explicit, connection.gossip_mode, info.gossip_mode)
        if not is_worth_telling(meeting):
            return
        for other in self._table.remotes.values():
            if other is remote:
                continue
            way = other.first
            if connection.account:
                if not other.pooled:
                    continue
                way = other.dedicated.get(connection.account, way)
            if way is None:
                continue
            mode = mode_for(meeting, other_explicit=way.explicit)
            line = gossip_line(info, url=remote.url, cluster=self._name.text, account=connection.account, mode=mode)
            self._actions.append(do.Send(way.link, line))

    def introduce(self, remote: Remote, about: Remote) -> None:
        """Tell one remote of another that it has no route to."""
        way = remote.first
        if way is not None and about.slots:
            line = gossip_line(about.info, url=about.url, cluster=self._name.text, account="", mode=GossipMode.DISABLED)
            self._actions.append(do.Send(way.link, line))

    def heard_of(self, info: RouteInfo, settings: RouteSettings, pinned: frozenset[str]) -> None:
        """Dial a node that we do not have yet, nor have in our configuration (spec 9.2)."""
        account = info.route_account
        if not info.server_id or (info.cluster and info.cluster != self._name.text):
            return
        known = self._table.remotes.get(info.server_id)
        if known is not None and (account in known.dedicated if account else known.slots):
            return
        if account and account not in pinned:
            return
        try:
            place = info.dial_url(info.host)
        except ValueError:
            return
        configured = {(url.host, url.port) for url in settings.routes}
        if (info.host, info.port) in configured or (place.host, info.port) in configured:
            return
        if info.auth_required:
            place = RouteUrl(place.host, place.port, settings.user, settings.password)
        if self._table.is_being_met(place, account):
            return
        self._calls.dial(place, account=account, gossip_mode=info.gossip_mode, server_id=info.server_id)
