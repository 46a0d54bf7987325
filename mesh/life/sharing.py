"""What accounts share, through a node's life: begun when first somebody shares; told by a configuration or by JWTs."""

from typing import TYPE_CHECKING

from gossamer.auth.sharing.from_settings import of_settings
from gossamer.mesh.accounts.sharing import Sharing
from gossamer.mesh.engine import events
from gossamer.mesh.system.requestors import Requestors
from gossamer.mesh.system.service_latency import ServiceLatency

if TYPE_CHECKING:
    from gossamer.auth.settings import AuthSettings
    from gossamer.mesh.node import Node


def begin(node: "Node") -> Sharing:
    """The node's accounts may share from now on. Call it before clients come."""
    sharing = Sharing(
        node.engine, node.accounts, clock=node.world.clock, log=node.journal, cluster_name=node.cluster_name
    )
    node.sharing = sharing
    # Services may learn who asks, and how long they take.
    requestors = Requestors(node)
    node.clients.before_admission = requestors.entering
    sharing.telling_began = requestors.telling_began
    latency = ServiceLatency(node)
    node.pump.handle(events.Latency, latency.measured)
    node.pump.handle(events.Served, latency.served)
    latency.start()
    sharing.ended = latency.stop
    if node.resolving is not None:
        live = node.resolving.live
        sharing.missing = live.want
        for key in live:
            found = live.loaded(key)
            if found is not None:
                sharing.account_changed(key, found.claims, place=live.place(key))
    return sharing


def follow(node: "Node", settings: "AuthSettings") -> None:
    """Have the accounts share what a configuration says, at the start and after a reload, when ``node.accounts``
    follows it already. Nothing is made as long as nobody shares anything."""
    accounts = of_settings(settings)
    if node.sharing is None:
        if not any(each.exports or each.imports or each.mappings for each in accounts):
            return
        begin(node)
    assert node.sharing is not None, "it has just been made"
    node.sharing.apply(accounts)
