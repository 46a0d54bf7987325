"""A whole cluster dies. Others answer in its place; it comes back, and the mesh heals."""

import asyncio
import time

from gossamer.operator.up.clients import awaited, flushed
from gossamer.operator.up.steps.nearest import all_by, answered_by, by_distance, told
from gossamer.operator.up.steps.place import Place, Verified, check
from gossamer.operator.up.topology import CloudLossStep

_REQUESTS = 10


async def cloud_loss(step: CloudLossStep, place: Place) -> Verified:
    """Ask from outside, before the death, during it and after the return."""
    mesh, topology = place.mesh, place.mesh.topology
    names = [plan.name for plan in topology.cluster_named(step.cluster).nodes]
    ranked = by_distance(topology, step.subject, step.asker)
    near = ranked[0]
    check(near.node in names, f"{near.name!r} is nearest to {step.asker}, and not in cluster {step.cluster}")
    far = next(plan for plan in ranked if plan.node not in names)
    moving = [service for service in place.services.values() if service.plan.node in names]
    customer = await place.clients.seat(step.asker)
    await answered_by(customer, step.subject, near.name, step.asker)
    near_ms = await all_by(customer, step.subject, near.name, _REQUESTS, step.asker)

    for service in moving:
        service.voices.reconnected.clear()
    await asyncio.gather(*(mesh.nodes[name].kill() for name in names))
    until_s = await answered_by(customer, step.subject, far.name, step.asker)
    far_ms = await all_by(customer, step.subject, far.name, _REQUESTS, step.asker)

    begin = time.monotonic()
    await mesh.start(names)
    await mesh.whole()
    healed_s = time.monotonic() - begin
    for service in moving:
        await awaited(service.voices.reconnected, f"service {service.plan.name!r} comes back to {step.cluster}")
        await flushed(service.client)
    await answered_by(customer, step.subject, near.name, step.asker)
    again_ms = await all_by(customer, step.subject, near.name, _REQUESTS, step.asker)
    await place.clients.close(customer)
    text = (
        f"all {len(names)} nodes of {step.cluster} were killed: {told(far, far_ms)} answered {step.asker} after "
        f"{until_s * 1000:.0f} ms, where {told(near, near_ms)} had; {step.cluster} came back, the mesh was whole after "
        f"{healed_s:.1f} s, and {near.name!r} answers again ({again_ms:.1f} ms)"
    )
    return Verified(text=text)
