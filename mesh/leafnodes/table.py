"""Leaf links: what is known of each, and which of them stand for the same peer (spec leafnodes 11)."""

from collections.abc import Iterator
from enum import Enum, auto
from typing import TYPE_CHECKING

from msgspec import Struct

from gossamer.auth.permissions import Permissions
from gossamer.mesh.leafnodes.world import LeafRow
from gossamer.mesh.world.listening import join_address

if TYPE_CHECKING:
    from gossamer.auth.decisions import Admission, Attempt
    from gossamer.mesh.accounts.account import Account
    from gossamer.mesh.leafnodes.remotes import Remote
    from gossamer.mesh.peers.compiled import CompiledPermissions


class Stage(Enum):
    """Accepted links begin with CONNECT, solicited ones with INFO."""

    CONNECT = auto()  # accepted: CONNECT is awaited, or an INFO that negotiates compression
    JUDGING = auto()
    INFO = auto()  # solicited: the hub's first INFO is awaited, or its repetition in S2
    CONFIRMING = auto()  # solicited: CONNECT is sent, the second INFO is awaited
    JOINED = auto()
    CLOSING = auto()


class Leaf(Struct, eq=False):
    """One link. ``start_ns`` is time of day, ``opened_ns`` on the scheduler's clock. ``name``, ``cluster``, ``domain``,
    ``version`` and ``remote_account`` are the peer's. ``granted`` is what its user may do, from the point of view of
    who dialled (None: everything); ``denied_imports`` and ``denied_exports`` are lists of the remote. ``penalty_ns``:
    so much longer until it is dialled again."""

    link: int
    host: str
    port: int
    start_ns: int
    opened_ns: int
    stage: Stage
    remote: "Remote | None" = None
    account: "Account | None" = None
    spoke: bool = False
    name: str = ""
    cluster: str = ""
    domain: str = ""
    version: str = ""
    remote_account: str = ""
    headers: bool = False
    isolated: bool = False
    compression: str = ""
    negotiated: bool = False
    auto_level: bool = False
    granted: Permissions | None = None
    denied_imports: tuple[str, ...] = ()
    denied_exports: tuple[str, ...] = ()
    permissions: "CompiledPermissions | None" = None
    admission: "Admission | None" = None
    attempt: "Attempt | None" = None
    claimed_user: str = ""
    max_payload: int = -1
    max_subscriptions: int = -1
    rtt_ns: int = 0
    penalty_ns: int = 0
    counted: bool = False
    own_authorization: bool = False  # judged by leafnodes.authorization
    members: dict[str, object] = {}  # of the first INFO or CONNECT, for those who look closely

    @property
    def solicited(self) -> bool:
        return self.remote is not None

    @property
    def origin(self) -> str:
        """What its interest is marked with: a peer without a cluster stands for itself."""
        return self.cluster or self.name

    @property
    def user(self) -> str:
        return self.admission.user if self.admission is not None else ""

    @property
    def label(self) -> str:
        """How log lines begin that are about this link."""
        text = f"{join_address(self.host, self.port)} - lid:{self.link}"
        return f'{text} - "{self.name}"' if self.name else text


class LeafTable:
    """All links by number."""

    __slots__ = ("_leafs",)

    def __init__(self) -> None:
        self._leafs: dict[int, Leaf] = {}

    def __iter__(self) -> Iterator[Leaf]:
        return iter(list(self._leafs.values()))

    def __len__(self) -> int:
        return sum(1 for leaf in self._leafs.values() if leaf.stage is Stage.JOINED)

    def find(self, link: int) -> Leaf | None:
        return self._leafs.get(link)

    def add(self, leaf: Leaf) -> Leaf:
        self._leafs[leaf.link] = leaf
        return leaf

    def remove(self, link: int) -> Leaf | None:
        return self._leafs.pop(link, None)

    def joined(self) -> list[Leaf]:
        """Oldest first."""
        return [leaf for leaf in self._leafs.values() if leaf.stage is Stage.JOINED]

    def of_account(self, account: "Account") -> list[Leaf]:
        return [leaf for leaf in self.joined() if leaf.account is account]

    def duplicate(self, leaf: Leaf) -> Leaf | None:
        """An accepted link that ``leaf`` replaces (spec 11.3)."""
        if not leaf.name or not leaf.remote_account:
            return None
        for other in self.joined():
            if (
                other is not leaf
                and not other.solicited
                and other.account is leaf.account
                and (other.name, other.cluster, other.remote_account) == (leaf.name, leaf.cluster, leaf.remote_account)
            ):
                return other
        return None

    def accepts_from(self, account: "Account", cluster: str) -> bool:
        """Is that cluster a leaf of ours, in this account?"""
        return bool(cluster) and any(
            not leaf.solicited and not leaf.spoke and leaf.cluster == cluster for leaf in self.of_account(account)
        )

    def rows(self) -> list[LeafRow]:
        return [
            LeafRow(
                id=leaf.link,
                name=leaf.name,
                spoke=leaf.spoke,
                isolated=leaf.isolated,
                account=leaf.account.name if leaf.account is not None else "",
                ip=leaf.host,
                port=leaf.port,
                rtt_ns=leaf.rtt_ns,
                start_ns=leaf.start_ns,
                compression=leaf.compression,
                solicited=leaf.solicited,
                cluster=leaf.cluster,
                user=leaf.user,
                proxy=leaf.admission.proxy if leaf.admission is not None else "",
            )
            for leaf in self.joined()
        ]
