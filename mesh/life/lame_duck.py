"""Leaving slowly: clients are sent elsewhere, a few at a time (spec client-protocol section 19)."""

import asyncio
from typing import TYPE_CHECKING

from gossamer.mesh.engine.kinds import CloseReason

if TYPE_CHECKING:
    from gossamer.mesh.node import Node

#: Between two clients at most.
_INTERVAL_MAX_S = 1.0
#: Clients closed between two pauses, when there are so many that pauses would be shorter than timers can be.
_PAUSE_MIN_S = 0.001


async def leave(node: "Node") -> None:
    """Take nobody any more, tell everybody, wait, close the clients one by one. The node still has to be stopped."""
    if node.lame_duck:
        return
    node.lame_duck = True
    node.journal.info("Entering lame duck mode, stop accepting new clients")
    node.listener.close()
    node.clients.leaving = True
    if not len(node.clients):
        return
    node.links.lame_duck()
    if node.system is not None:
        node.system.lame_duck()
    node.announce_lame_duck()
    options = node.options.lame_duck
    await asyncio.sleep(options.grace_period_ns / 1e9)
    node.journal.info("Closing existing clients")
    links = [client.link for client in node.clients]
    if not links:
        return
    interval_s = min(_INTERVAL_MAX_S, max(0, options.duration_ns - options.grace_period_ns) / 1e9 / len(links))
    owed_s = 0.0
    for link in links:
        if node.clients.find(link) is None:
            continue
        node.engine.close(link, reason=CloseReason.SERVER_SHUTDOWN)
        owed_s += interval_s * node.world.randomness.uniform(0.5, 1.0)
        if owed_s >= _PAUSE_MIN_S:
            await asyncio.sleep(owed_s)
            owed_s = 0.0
