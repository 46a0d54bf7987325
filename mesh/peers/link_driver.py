"""What is between a core that decides about links to other servers and the world: engine, timers, sockets.

A core (``RouteCore``, ``GatewayCore``) has neither sockets nor time. The driver tells it what happened and then empties
its ``actions``, in order, by a table of what each kind of action comes to. What all cores want alike stands here
(``link_actions.py``); what only one kind of links knows is added by its owner.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Protocol

from gossamer.mesh.engine.events import Closed, Event, Hello, Opened, PeerError, PeerInfo, Pong
from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.peers import link_actions as do
from gossamer.mesh.peers.route_world import Dialer, DialOutcome, LinkEngine, RouteLog, Scheduler, Timer


class LinkCore(Protocol):
    """What a core is told. Links are the engine's numbers; ``attempt`` is the number of a dial; times are those of the
    scheduler (ns)."""

    actions: deque[Any]

    @property
    def own_addresses(self) -> frozenset[tuple[str, int]]:
        """Not to be dialled: they lead to this node."""
        ...

    def knows(self, link: int) -> bool: ...
    def opened(self, link: int, host: str, port: int, now_ns: int) -> None: ...
    def hello(self, link: int, connect: bytes | None, *, again: bool) -> None: ...
    def password_checked(self, link: int, right: bool) -> None: ...
    def info(self, link: int, text: bytes, now_ns: int) -> None: ...
    def peer_error(self, link: int, text: bytes) -> None: ...
    def pong(self, link: int, rtt_ns: int) -> None: ...
    def closed(self, link: int, reason: int, now_ns: int) -> None: ...
    def greeting(self, attempt: int) -> bytes:
        """What is sent at once to somebody whom we have reached."""
        ...

    def dialled(self, attempt: int, link: int, host: str, port: int, now_ns: int) -> None: ...
    def dial_failed(self, attempt: int, error: str) -> None: ...
    def dial_due(self, attempt: int) -> None: ...
    def overdue(self, link: int) -> None:
        """Somebody whom we dialled has not said INFO within ``patience_ns``."""
        ...

    def stop_dialling(self) -> None: ...
    def stop(self) -> None: ...


class LinkDriver:
    """Of the links of one ``kind``. ``more``: what the actions that only this kind knows come to, by their class.
    ``patience_ns`` is to be set before somebody is dialled."""

    def __init__(
        self,
        core: LinkCore,
        kind: LinkKind,
        engine: LinkEngine,
        scheduler: Scheduler,
        dialer: Dialer,
        log: RouteLog,
        more: Mapping[type, Callable[[Any], None]],
    ) -> None:
        self.patience_ns = 0
        self._core = core
        self._kind = kind
        self._engine = engine
        self._scheduler = scheduler
        self._dialer = dialer
        self._log = log
        self._listener = 0
        self._dials: dict[int, Timer] = {}  # under way or waiting, by attempt
        self._checks: dict[int, Timer] = {}  # of passwords, by link
        self._waits: dict[int, Timer] = {}  # for the INFO of those that we dialled, by link
        self._applying = False
        self._hands: dict[type, Callable[[Any], None]] = {
            do.Send: lambda action: engine.send(action.link, action.data),
            do.Resume: lambda action: engine.resume(action.link),
            do.Admit: lambda action: engine.admit_route(action.link),
            do.CloseLink: lambda action: engine.close(action.link, reason=action.reason, error=action.error.encode()),
            do.CheckPassword: self._check,
            do.StartDial: self._dial,
            do.WakeDial: self._wake,
            do.CancelDial: self._cancel,
            do.Announce: self._announce,
            do.Say: lambda action: getattr(log, action.level)(action.text),
        } | dict(more)

    # --- life -----------------------------------------------------------------------------------------------------

    def listen(self, descriptor: int | None, info: Sequence[bytes | int], *, auth_timeout_ns: int) -> None:
        """On the bound socket; None: memory links only. ``info`` is what everybody is greeted with."""
        self._listener = self._engine.listen(descriptor, kind=self._kind, info=info, auth_timeout_ns=auth_timeout_ns)

    def stop_accepting(self) -> None:
        """Close the listener and give up every dial, so that nobody is dialled or let in while we leave."""
        if self._listener:
            self._engine.close_listener(self._listener)
            self._listener = 0
        self._core.stop_dialling()
        self.apply()
        _cancel_all(self._waits)

    def stop(self) -> None:
        """Close all links. The ``Closed`` events may still be offered afterwards."""
        self.stop_accepting()
        self._core.stop()
        self.apply()
        _cancel_all(self._dials)
        _cancel_all(self._checks)

    def on_event(self, event: Event) -> bool:
        """Take one event of the engine. False: it is not about one of these links."""
        core = self._core
        match event:
            case Opened() if event.listener and event.listener == self._listener and event.kind == self._kind:
                core.opened(event.link, event.host, event.port, self._scheduler.now_ns())
            case Opened() | Hello() | PeerInfo() | PeerError() | Pong() | Closed() if not core.knows(event.link):
                return False
            case Hello():
                core.hello(event.link, event.connect, again=event.again)
            case PeerInfo():
                core.info(event.link, event.info, self._scheduler.now_ns())
            case PeerError():
                core.peer_error(event.link, event.text)
            case Pong():
                core.pong(event.link, event.rtt_ns)
            case Closed():
                for timers in (self._checks, self._waits):
                    timer = timers.pop(event.link, None)
                    if timer is not None:
                        timer.cancel()
                core.closed(event.link, event.reason, self._scheduler.now_ns())
            case Opened():
                return True  # of a link that we dialled: known since ``adopt``
            case _:
                return False
        self.apply()
        return True

    def apply(self) -> None:
        """Carry out everything the core wants. A callback may ask for more meanwhile: that is appended."""
        if self._applying:
            return
        self._applying = True
        try:
            actions = self._core.actions
            while actions:
                action = actions.popleft()
                self._hands[type(action)](action)
        finally:
            self._applying = False

    # --- actions, and what comes back of them -----------------------------------------------------------------------

    def _announce(self, action: do.Announce) -> None:
        if self._listener:
            self._engine.set_info(self._listener, [action.line])

    def _check(self, action: do.CheckPassword) -> None:
        self._checks[action.link] = self._dialer.verify_password(
            action.given, action.expected, partial(self._checked, action.link)
        )

    def _checked(self, link: int, right: bool) -> None:
        self._checks.pop(link, None)
        self._core.password_checked(link, right)
        self.apply()

    def _dial(self, action: do.StartDial) -> None:
        self._dials[action.attempt] = self._dialer.dial(
            action.host, action.port, self._core.own_addresses, partial(self._dialled, action.attempt)
        )

    def _dialled(self, attempt: int, outcome: DialOutcome) -> None:
        self._dials.pop(attempt, None)
        if outcome.descriptor < 0:
            self._core.dial_failed(attempt, outcome.error)
        else:
            link = self._engine.adopt(
                outcome.descriptor,
                kind=self._kind,
                greeting=self._core.greeting(attempt),
                host=outcome.host,
                port=outcome.port,
            )
            self._waits[link] = self._scheduler.call_later(self.patience_ns, partial(self._overdue, link))
            self._core.dialled(attempt, link, outcome.host, outcome.port, self._scheduler.now_ns())
        self.apply()

    def _overdue(self, link: int) -> None:
        self._waits.pop(link, None)
        self._core.overdue(link)
        self.apply()

    def _wake(self, action: do.WakeDial) -> None:
        self._dials[action.attempt] = self._scheduler.call_later(action.delay_ns, partial(self._due, action.attempt))

    def _due(self, attempt: int) -> None:
        self._dials.pop(attempt, None)
        self._core.dial_due(attempt)
        self.apply()

    def _cancel(self, action: do.CancelDial) -> None:
        timer = self._dials.pop(action.attempt, None)
        if timer is not None:
            timer.cancel()


def _cancel_all(timers: dict[int, Timer]) -> None:
    for timer in timers.values():
        timer.cancel()
    timers.clear()
