"""Compression of routes: agreed on in the first INFOs, its level by the round-trip time (spec routes 7).

    acceptor                              solicitor
    INFO, the configured word
                                          INFO, the mode chosen; from here on S2 both ways
    S2 both ways; INFO again
                                          INFO again, with the place: as without compression

Where the table says "none" the sequence is that without compression, and the solicitor's INFO says so.
"""

from gossamer.mesh.peers import compression as modes
from gossamer.mesh.peers import route_actions as do
from gossamer.mesh.peers.compression import UnknownMode
from gossamer.mesh.peers.route_protocol import RouteInfo
from gossamer.mesh.peers.route_refusal import unsupported_compression
from gossamer.mesh.peers.route_settings import RouteSettings
from gossamer.mesh.peers.route_state import RouteState
from gossamer.mesh.peers.route_table import Connection, Stage


class RouteCompression:
    """Works on the core's state."""

    def __init__(self, state: RouteState) -> None:
        self._state = state

    def choose(self, connection: Connection, info: RouteInfo) -> str:
        """Decide from the peer's first INFO what our side does. Returns why the peer is refused; empty: it is not."""
        try:
            connection.compression = modes.chosen_mode(self._state.settings.compression, info.compression)
        except UnknownMode:
            return unsupported_compression(info.compression)
        return ""

    def begin(self, connection: Connection, rtt_ns: int) -> bool:
        """Switch if that was chosen, and say so; then the next thing is the peer's second INFO. ``rtt_ns``: since the
        connection began, for want of better. False: nothing is compressed."""
        mode, state = connection.compression, self._state
        if not modes.compresses(mode):
            return False
        info = do.Send(
            connection.link,
            state.voice.info(compression=mode, account=connection.account if connection.solicited else ""),
        )
        connection.level = self._level(connection, rtt_ns)
        switch = do.Compress(connection.link, modes.LEVELS[connection.level], both=True)
        state.actions.extend((info, switch) if connection.solicited else (switch, info))
        state.actions.append(do.Resume(connection.link))
        return True

    def follow_rtt(self, connection: Connection) -> None:
        """A PONG came."""
        if connection.compression == modes.AUTO and connection.level:
            self._write_at(connection, self._level(connection, connection.rtt_ns))

    def change(self, old: RouteSettings, new: RouteSettings) -> list[Connection]:
        """The configured word has changed. Returns the connections that have to be made again for it."""
        word = new.compression
        gone: list[Connection] = []
        if word == old.compression and new.rtt_thresholds_ns == old.rtt_thresholds_ns:
            return gone
        for each in self._state.table.connections.values():
            if each.stage is not Stage.JOINED or each.compression in (modes.NOT_SUPPORTED, word):
                self.follow_rtt(each)
            elif not each.level or word in (modes.OFF, modes.ACCEPT):
                gone.append(each)
            else:
                each.compression = word
                self._write_at(each, self._level(each, each.rtt_ns))
        return gone

    def _level(self, connection: Connection, rtt_ns: int) -> str:
        if connection.compression != modes.AUTO:
            return connection.compression
        return modes.mode_for_rtt(rtt_ns, self._state.settings.rtt_thresholds_ns)

    def _write_at(self, connection: Connection, level: str) -> None:
        if level != connection.level:
            connection.level = level
            self._state.actions.append(do.Compress(connection.link, modes.LEVELS[level], both=False))
