"""What the gateway core wants done: small values, carried out in order (``gateway_manager.py``)."""

from msgspec import Struct

from gossamer.mesh.peers.link_actions import Admit as Admit
from gossamer.mesh.peers.link_actions import Announce as Announce
from gossamer.mesh.peers.link_actions import CancelDial as CancelDial
from gossamer.mesh.peers.link_actions import CheckPassword as CheckPassword
from gossamer.mesh.peers.link_actions import CloseLink as CloseLink
from gossamer.mesh.peers.link_actions import Resume as Resume
from gossamer.mesh.peers.link_actions import Say as Say
from gossamer.mesh.peers.link_actions import Send as Send
from gossamer.mesh.peers.link_actions import StartDial as StartDial
from gossamer.mesh.peers.link_actions import WakeDial as WakeDial


class Join(Struct, frozen=True, gc=False):
    """``name`` is that of the remote cluster."""

    link: int
    outbound: bool
    name: str
    headers: bool
    interest_only: bool


class TellNodes(Struct, frozen=True, gc=False):
    """A line for every other node of the own cluster, on one route connection each."""

    line: bytes


class TellNode(Struct, frozen=True, gc=False):
    """The same for one node."""

    server_id: str
    line: bytes


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
