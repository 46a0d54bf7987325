"""What the route core wants done: small values that ``RouteManager`` carries out in order."""

from msgspec import Struct

from gossamer.mesh.peers.route_neighbours import Neighbour


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
    """Compare with the configured one (maybe bcrypt); the answer goes to ``password_checked``."""

    link: int
    given: str


class Admit(Struct, frozen=True, gc=False):
    link: int


class Join(Struct, frozen=True, gc=False):
    """``account`` empty: a pooled connection."""

    link: int
    node: int
    headers: bool
    leaf_origin: bool
    leaf_origin_unsubscribe: bool
    leaf_origin_always: bool
    pool_index: int
    pooled: bool
    account: str
    server_id: str


class Compress(Struct, frozen=True, gc=False):
    """What is sent from here on is compressed at that level of the engine; ``both``: what comes, too."""

    link: int
    level: int
    both: bool


class Resume(Struct, frozen=True, gc=False):
    link: int


class Ping(Struct, frozen=True, gc=False):
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


class ShareClientUrls(Struct, frozen=True, gc=False):
    """Where clients reach the other nodes: all of them, sorted."""

    urls: tuple[str, ...]


class TakeClusterName(Struct, frozen=True, gc=False):
    name: str


class Meet(Struct, frozen=True, gc=False):
    """A neighbour has come."""

    neighbour: Neighbour


class Lose(Struct, frozen=True, gc=False):
    """A neighbour has gone."""

    server_id: str


class HearOfGateway(Struct, frozen=True, gc=False):
    """An INFO about a gateway, from that neighbour; ``text`` is its JSON."""

    server_id: str
    text: bytes
    label: str


class Say(Struct, frozen=True, gc=False):
    """A log line; ``level`` is debug, info, warning or error."""

    level: str
    text: str


Action = (
    StartDial
    | CancelDial
    | WakeDial
    | CheckPassword
    | Admit
    | Join
    | Compress
    | Resume
    | Ping
    | Send
    | CloseLink
    | Announce
    | ShareClientUrls
    | TakeClusterName
    | Meet
    | Lose
    | HearOfGateway
    | Say
)
