"""A node in step mode with raw server peers of every kind: the test reads and writes their lines."""

from memory_node import MemoryNode

from gossamer.mesh.engine.kinds import LinkKind
from gossamer.mesh.engine.reference import EVERYTHING, Admission, ReferencePermissions

OURS = (b"oooooo", b"ssssss")


class Peers(MemoryNode):
    """Links of leaf nodes and gateways that have joined; ``take`` and ``feed`` are those of ``MemoryNode``."""

    def client(self, account: bytes = b"A") -> int:
        link = self.open_raw(Admission(account=account, headers=True, no_responders=True))
        self.feed(link, b"CONNECT {}\r\n")
        return link

    def _parked_link(self, kind: LinkKind) -> int:
        link = self.engine.open(kind=kind)
        self.engine.feed(link, b"INFO {}\r\n")
        self.settle()
        assert self._parked.pop(link) == b"{}"
        return link

    def leaf(
        self,
        cluster: bytes,
        *,
        account: bytes = b"A",
        hub: bool = False,
        permissions: ReferencePermissions = EVERYTHING,
        isolated: bool = False,
        headers: bool = True,
        max_subscriptions: int = -1,
    ) -> int:
        """A leaf node below, or with ``hub`` our hub. What it was told is still to be taken."""
        link = self._parked_link(LinkKind.LEAF)
        self.engine.join_leaf(
            link,
            account=self.account(account),
            spoke=hub,
            cluster=cluster,
            permissions=self.compiled(permissions),
            isolated=isolated,
            headers=headers,
            remote_account=b"REMOTE",
            max_subscriptions=max_subscriptions,
        )
        self.settle()
        return link

    def open_route_with_origins(self) -> int:
        """A route whose peer knows LS+ with origins."""
        link = self._parked_link(LinkKind.ROUTE)
        self.engine.join_route(
            link,
            node=link,
            headers=True,
            pooled=False,
            leaf_origin=True,
            leaf_origin_unsubscribe=True,
            server_hash=b"rrrrrr",
        )
        self.settle()
        return link

    def identity(self) -> None:
        self.engine.gateway_identity(name=b"O", cluster_hash=OURS[0], server_hash=OURS[1])

    def gateway(self, name: bytes = b"E", *, outbound: bool, headers: bool = True, interest_only: bool = True) -> int:
        link = self._parked_link(LinkKind.GATEWAY)
        self.engine.join_gateway(
            link,
            outbound=outbound,
            name=name,
            cluster_hash=(name * 6)[:6],
            headers=headers,
            interest_only=interest_only,
        )
        self.settle()
        return link
