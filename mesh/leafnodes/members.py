"""Leaf links in their accounts: joining and leaving, what they may do there, how much, and until when."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import structs

from gossamer.auth.permissions import Permissions
from gossamer.mesh.accounts.account import smallest
from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.leafnodes.denies import StreamDomain, link_permissions
from gossamer.mesh.leafnodes.loops import LoopDetection
from gossamer.mesh.leafnodes.table import Leaf
from gossamer.mesh.leafnodes.world import LeafEngine
from gossamer.mesh.peers.engine_time import EngineTime
from gossamer.mesh.world import Randomness

if TYPE_CHECKING:
    from gossamer.auth.decisions import Admission
    from gossamer.mesh.peers.clients import Clients

_SECOND_NS = 1_000_000_000


class Members:
    """``stream_domain``: what this node is to JetStream."""

    def __init__(
        self, engine: LeafEngine, randomness: Randomness, clients: "Callable[[], Clients]", engine_time: EngineTime
    ) -> None:
        """``clients`` has the compiled permissions and the limits that hold for everybody."""
        self.stream_domain = StreamDomain()
        self._engine = engine
        self._clients = clients
        self._engine_time = engine_time
        self._loops = LoopDetection(engine, randomness)

    def join(self, leaf: Leaf) -> None:
        """Its record says everything; from here on it counts."""
        account = leaf.account
        assert account is not None, "who joins has an account"
        self._loops.begin(account)
        self.limit(leaf)
        leaf.permissions = self._clients().permissions.take(self._permissions_of(leaf))
        account.leafnodes += 1
        leaf.counted = True
        self._engine.join_leaf(
            leaf.link,
            account=account.number,
            spoke=leaf.spoke,
            cluster=leaf.origin.encode(),
            headers=leaf.headers,
            permissions=leaf.permissions.number if leaf.permissions is not None else 0,
            isolated=leaf.isolated,
            remote_account=leaf.remote_account.encode(),
            max_payload=leaf.max_payload,
            max_subscriptions=leaf.max_subscriptions,
        )
        self.arm(leaf)

    def leave(self, leaf: Leaf) -> None:
        """The link is gone, or going."""
        if leaf.counted and leaf.account is not None:
            leaf.counted = False
            leaf.account.leafnodes -= 1
        self._clients().permissions.release(leaf.permissions)
        leaf.permissions = None

    def regrant(self, leaf: Leaf) -> None:
        """What it may do, or how much, has changed."""
        table = self._clients().permissions
        before = leaf.permissions
        leaf.permissions = table.take(self._permissions_of(leaf))
        self._engine.change(
            leaf.link,
            permissions=leaf.permissions.number if leaf.permissions is not None else 0,
            max_payload=leaf.max_payload,
            max_subscriptions=leaf.max_subscriptions,
        )
        table.release(before)

    def limit(self, leaf: Leaf) -> None:
        """The smallest of account, user and server."""
        assert leaf.account is not None
        limits, admission, of_all = leaf.account.limits, leaf.admission, self._clients().limits
        payload, subscriptions = limits.max_payload, limits.max_subscriptions
        if admission is not None and not leaf.own_authorization:
            payload = smallest(payload, admission.max_payload)
            subscriptions = smallest(subscriptions, admission.max_subscriptions)
        if of_all.max_subscriptions > 0:
            subscriptions = smallest(subscriptions, of_all.max_subscriptions)
        leaf.max_payload = -1 if payload < 0 or payload >= of_all.max_payload else payload
        leaf.max_subscriptions = subscriptions

    def arm(self, leaf: Leaf) -> None:
        """Let the engine end the link when its credentials or its account end, whichever is first."""
        admission, ends = leaf.admission, []
        if admission is None:
            return
        if admission.expires_at is not None:
            ends.append((admission.expires_at, b"User Authentication Expired"))
        if admission.account_expires_at is not None:
            ends.append((admission.account_expires_at, b"Account Authentication Expired"))
        at_s, error = min(ends, default=(0, b""))
        self._engine.expire(
            leaf.link,
            at_ns=self._engine_time.of_wall(at_s * _SECOND_NS) if ends else 0,
            reason=CloseReason.AUTHENTICATION_EXPIRED,
            error=error,
        )

    def _permissions_of(self, leaf: Leaf) -> Permissions:
        assert leaf.account is not None
        return link_permissions(
            leaf.granted,
            spoke=leaf.spoke,
            solicited=leaf.solicited,
            domain=self.stream_domain,
            account=leaf.account.name,
            peer_domain=leaf.domain,
            system=leaf.account.system,
            deny_imports=leaf.denied_imports,
            deny_exports=leaf.denied_exports,
        )


def slim(admission: "Admission") -> "Admission":
    """Without what is kilobytes: no decoded claims."""
    if admission.claims is None and admission.account_claims is None:
        return admission
    return structs.replace(admission, claims=None, account_claims=None)
