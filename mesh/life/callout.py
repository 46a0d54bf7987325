"""The desk where a callout service is asked about those who come in (spec auth section 25)."""

from typing import TYPE_CHECKING

from gossamer.mesh.version import NATS_VERSION

if TYPE_CHECKING:
    from gossamer.mesh.node import Node
    from gossamer.mesh.peers.callout import CalloutDesk


def make_desk(node: "Node") -> "CalloutDesk | None":
    """None where no service can have to decide about anybody."""
    settings = node.options.authorization
    if settings.callout is None and not settings.operator_mode:
        return None
    from gossamer.auth.claims.callout import ServerIdentity
    from gossamer.mesh.peers.callout import CalloutDesk, unknown_parts

    for text in unknown_parts(settings):
        node.journal.error(text)

    def server() -> ServerIdentity:
        return ServerIdentity(
            name=node.name,
            host=node.options.host,
            id=node.identity.server_id,
            version=NATS_VERSION,
            cluster=node.cluster_name,
            tags=node.options.server_tags,
        )

    return CalloutDesk(
        node.engine,
        node.accounts,
        node.subscribe,
        signer=node.identity.signer,
        curve=node.identity.curve,
        server=server,
        clock=node.world.clock,
        randomness=node.world.randomness,
        log=node.journal,
    )
