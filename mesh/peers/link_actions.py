"""What the cores of routes, gateways and leaf nodes alike want done: values that are carried out in order."""

from msgspec import Struct


class StartDial(Struct, frozen=True, gc=False):
    """Connect to ``host:port``; ``attempt`` comes back with the outcome."""

    attempt: int
    host: str
    port: int


class CancelDial(Struct, frozen=True, gc=False):
    """Forget the dial and its timer."""

    attempt: int


class WakeDial(Struct, frozen=True, gc=False):
    """Call ``dial_due(attempt)`` after the delay."""

    attempt: int
    delay_ns: int


class CheckPassword(Struct, frozen=True, gc=False):
    """Compare with the configured one (``expected`` may be a bcrypt hash); the answer goes to ``password_checked``."""

    link: int
    given: str
    expected: str


class Admit(Struct, frozen=True, gc=False):
    """Its CONNECT was fine: its INFO is awaited."""

    link: int


class Compress(Struct, frozen=True, gc=False):
    """What is sent from here on is compressed at that level of the engine; ``both``: what comes, too."""

    link: int
    level: int
    both: bool


class Resume(Struct, frozen=True, gc=False):
    """Its INFO was read: go on."""

    link: int


class Send(Struct, frozen=True, gc=False):
    """Queue the bytes."""

    link: int
    data: bytes


class CloseLink(Struct, frozen=True, gc=False):
    """``error`` empty: without -ERR."""

    link: int
    reason: int
    error: str = ""


class Announce(Struct, frozen=True, gc=False):
    """The listener's INFO line from now on."""

    line: bytes


class Say(Struct, frozen=True, gc=False):
    """A log line; ``level`` is debug, info, warning or error."""

    level: str
    text: str
