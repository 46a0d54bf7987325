"""Carrying on with the dials: starting, waiting, giving up (spec routes 13)."""

from collections import deque

from gossamer.mesh.peers import route_actions as do
from gossamer.mesh.peers.route_dials import Dial, Dials, delay_after_failure_ns, is_reported
from gossamer.mesh.peers.route_settings import RouteSettings, RouteUrl


class RouteCalls:
    """Puts what it wants into ``actions``, which it shares with the core."""

    def __init__(self, settings: RouteSettings, actions: deque[do.Action]) -> None:
        self.settings = settings
        self._actions = actions
        self._dials = Dials()
        self.stopped = False

    def dial(
        self,
        url: RouteUrl,
        *,
        place: tuple[str, int] | None = None,
        account: str = "",
        explicit: bool = False,
        gossip_mode: int = 0,
        server_id: str = "",
        tries: int = 0,
        lost: bool = False,
        delay_ns: int = 0,
    ) -> None:
        """Connect to somebody, unless that is under way already. ``place``: not where ``url`` leads, but there.
        ``lost``: to replace a connection that was registered."""
        place = place or (url.host, url.port)
        if self.stopped or not 0 < place[1] < 65536:
            return
        dial = self._dials.add(
            url,
            place,
            account=account,
            explicit=explicit,
            gossip_mode=gossip_mode,
            server_id=server_id,
            tries=tries,
            lost=lost,
        )
        if dial is None:
            return
        if delay_ns:
            self._actions.append(do.WakeDial(dial.attempt, delay_ns))
        else:
            self.due(dial.attempt)

    def get(self, attempt: int) -> Dial | None:
        return self._dials.get(attempt)

    def take(self, attempt: int) -> Dial | None:
        """The dial has become a connection. None: it was given up meanwhile."""
        return self._dials.remove(attempt)

    def due(self, attempt: int) -> None:
        dial = self._dials.get(attempt)
        if dial is not None:
            self._actions.append(do.StartDial(attempt, *dial.place))

    def failed(self, attempt: int, error: str, *, remote_known: bool) -> None:
        """Try again later, or give up."""
        dial = self._dials.get(attempt)
        if dial is None:
            return
        dial.failures += 1
        delay_ns = delay_after_failure_ns(
            dial,
            connect_retries=self.settings.connect_retries,
            backoff=self.settings.connect_backoff,
            remote_known=remote_known,
        )
        said_already = dial.account and self._dials.is_pending(dial.place)
        if (is_reported(dial.failures) or delay_ns is None) and not said_already:
            whose = f" for account {dial.account!r}" if dial.account else ""
            text = f"Error trying to connect to route {dial.url}{whose} (attempt {dial.failures}): {error}"
            self._actions.append(do.Say("error", text))
        if delay_ns is None:
            self._dials.remove(attempt)
        else:
            self._actions.append(do.WakeDial(attempt, delay_ns))

    def forget(self, urls: set[RouteUrl]) -> None:
        """Give up the dials of routes that are configured no longer."""
        for attempt in self._dials.attempts():
            dial = self._dials.get(attempt)
            if dial is not None and dial.explicit and dial.url in urls:
                self._give_up(attempt)

    def stop(self) -> None:
        """Give up every dial, now and from now on."""
        self.stopped = True
        for attempt in self._dials.attempts():
            self._give_up(attempt)

    def _give_up(self, attempt: int) -> None:
        self._dials.remove(attempt)
        self._actions.append(do.CancelDial(attempt))
