"""What the cores of leaf nodes want done: small values that ``LeafNodes`` carries out in order."""

from typing import TYPE_CHECKING

from msgspec import Struct

from gossamer.mesh.peers.link_actions import CloseLink as CloseLink
from gossamer.mesh.peers.link_actions import Compress as Compress
from gossamer.mesh.peers.link_actions import Resume as Resume
from gossamer.mesh.peers.link_actions import Say as Say
from gossamer.mesh.peers.link_actions import Send as Send

if TYPE_CHECKING:
    from gossamer.mesh.leafnodes.protocol import LeafConnect
    from gossamer.mesh.leafnodes.table import Leaf


class FindAccount(Struct, frozen=True, gc=False):
    """The local account of a remote that is to be dialled; the answer goes to ``Solicitor.account_found``."""

    remote: int
    name: str


class StartDial(Struct, frozen=True, gc=False):
    """Connect to ``host:port`` within the time; the outcome goes to ``dialled`` or ``dial_failed``."""

    remote: int
    host: str
    port: int
    timeout_ns: int


class Wake(Struct, frozen=True, gc=False):
    """Call ``Solicitor.due(remote)`` after the delay."""

    remote: int
    delay_ns: int


class GiveUp(Struct, frozen=True, gc=False):
    """Forget the remote's dial and its timer."""

    remote: int


class Expect(Struct, frozen=True, gc=False):
    """Call ``Solicitor.overdue(link)`` after the delay; an earlier one of the link is void. 0: nothing is expected."""

    link: int
    delay_ns: int


class Authenticate(Struct, frozen=True):
    """Find out who that is, and its account; the answer goes to ``Acceptor.bound`` or closes the link."""

    leaf: "Leaf"
    connect: "LeafConnect"
    nonce: bytes


class Join(Struct, frozen=True):
    """All that is needed stands in the record. Its account counts it from now on."""

    leaf: "Leaf"


class Regrant(Struct, frozen=True):
    """The permissions of a link that has joined have changed."""

    leaf: "Leaf"


Action = (
    FindAccount
    | StartDial
    | Wake
    | GiveUp
    | Expect
    | Authenticate
    | Join
    | Regrant
    | Resume
    | Send
    | Compress
    | CloseLink
    | Say
)
