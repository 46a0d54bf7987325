"""Two nodes that both know us and not each other are introduced.

Gossip tells of a new node once, when it is met. When several meet at the same time, or when two could not reach
each other at that moment, a pair can be left over that nobody will ever tell of each other. But every node says in its
heartbeat (STATSZ, spec system-and-monitoring 3.1) whom it has routes to: who lacks one of our other remotes in two
heartbeats in a row gets the gossip once more.

Of all who could introduce a pair the one with the lowest name does it at once, the others one heartbeat later each, in
case it cannot (nats-server does not). As long as it is in vain it is tried ever less often.
"""

from collections.abc import Callable, Collection

from gossamer.mesh.peers.route_table import Remote, RouteTable

#: Heartbeats in a row that lack a node before anything is done.
PATIENCE = 2
#: The pause between two tries stops growing here; heartbeats.
PAUSE_MAX = 32


class RouteIntroductions:
    """``tell(to, about)`` sends the gossip."""

    def __init__(self, table: RouteTable, own_name: str, tell: Callable[[Remote, Remote], None]) -> None:
        self._table = table
        self._own_name = own_name
        self._tell = tell
        self._names: dict[str, frozenset[str]] = {}  # whom a remote has routes to, by its id
        self._lacking: dict[tuple[str, str], int] = {}  # heartbeats in a row in which the first lacks the second

    def heard(self, server_id: str, names: Collection[str]) -> None:
        """A remote says that it has routes to the servers of these names."""
        remotes = self._table.remotes
        remote = remotes.get(server_id)
        if remote is None:
            return
        self._names = {each: known for each, known in self._names.items() if each in remotes}
        self._names[server_id] = frozenset(names)
        for other in list(remotes.values()):
            if other is remote or other.info.server_name in names:
                self._lacking.pop((server_id, other.server_id), None)
            elif self._names.get(other.server_id):
                self._lack(remote, other)
        for pair in [pair for pair in self._lacking if pair[0] not in remotes or pair[1] not in remotes]:
            del self._lacking[pair]

    def _lack(self, remote: Remote, other: Remote) -> None:
        pair = remote.server_id, other.server_id
        count = self._lacking[pair] = self._lacking.get(pair, 0) + 1
        both = self._names[remote.server_id] & self._names[other.server_id]
        late = count - PATIENCE - sum(1 for name in both if name < self._own_name)
        if _is_due(late):
            self._tell(remote, other)


def _is_due(count: int) -> bool:
    """At 0, 1, 3, 7, 15, 31, and then every ``PAUSE_MAX`` times."""
    if count < 0:
        return False
    following = count + 1
    return following % PAUSE_MAX == 0 or (following < PAUSE_MAX and following & (following - 1) == 0)
