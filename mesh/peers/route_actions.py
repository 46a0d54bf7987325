"""What the route core wants done: small values, carried out in order (``link_driver.py``, ``route_manager.py``)."""

from msgspec import Struct

from gossamer.mesh.peers.link_actions import Admit as Admit
from gossamer.mesh.peers.link_actions import Announce as Announce
from gossamer.mesh.peers.link_actions import CancelDial as CancelDial
from gossamer.mesh.peers.link_actions import CheckPassword as CheckPassword
from gossamer.mesh.peers.link_actions import CloseLink as CloseLink
from gossamer.mesh.peers.link_actions import Compress as Compress
from gossamer.mesh.peers.link_actions import Resume as Resume
from gossamer.mesh.peers.link_actions import Say as Say
from gossamer.mesh.peers.link_actions import Send as Send
from gossamer.mesh.peers.link_actions import StartDial as StartDial
from gossamer.mesh.peers.link_actions import WakeDial as WakeDial
from gossamer.mesh.peers.route_neighbours import Neighbour


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


class Ping(Struct, frozen=True, gc=False):
    link: int


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
