"""What the gateway core wants done: small values that ``GatewayManager`` carries out in order."""

from msgspec import Struct


class StartDial(Struct, frozen=True, gc=False):
    """Connect to ``host:port``; ``attempt`` comes back with the outcome."""

    attempt: int
    host: str
    port: int


class WakeDial(Struct, frozen=True, gc=False):
    """Call ``dial_due(attempt)`` after the delay."""

    attempt: int
    delay_ns: int


class CancelDial(Struct, frozen=True, gc=False):
    """Forget the attempt and its timer."""

    attempt: int


class CheckPassword(Struct, frozen=True, gc=False):
    """Compare with the configured one (maybe bcrypt); the answer goes to ``password_checked``."""

    link: int
    given: str


class Admit(Struct, frozen=True, gc=False):
    """Its CONNECT was fine: its INFO is awaited."""

    link: int


class Join(Struct, frozen=True, gc=False):
    """``name`` is that of the remote cluster."""

    link: int
    outbound: bool
    name: str
    headers: bool
    interest_only: bool


class Resume(Struct, frozen=True, gc=False):
    link: int


class Send(Struct, frozen=True, gc=False):
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


class TellNodes(Struct, frozen=True, gc=False):
    """A line for every other node of the own cluster, on one route connection each."""

    line: bytes


class TellNode(Struct, frozen=True, gc=False):
    """The same for one node."""

    server_id: str
    line: bytes


class Say(Struct, frozen=True, gc=False):
    """A log line; ``level`` is debug, info, warning or error."""

    level: str
    text: str


Action = (
    StartDial
    | WakeDial
    | CancelDial
    | CheckPassword
    | Admit
    | Join
    | Resume
    | Send
    | CloseLink
    | Announce
    | TellNodes
    | TellNode
    | Say
)
