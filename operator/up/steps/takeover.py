"""The nearest service ends, and another takes over."""

from gossamer.operator.up.clients import flushed
from gossamer.operator.up.steps.nearest import all_by, answered_by, by_distance, told
from gossamer.operator.up.steps.place import Place, Verified
from gossamer.operator.up.topology import TakeoverStep


async def takeover(step: TakeoverStep, place: Place) -> Verified:
    """Ask near, far, and near again."""
    near, far, *_ = by_distance(place.mesh.topology, step.subject, step.asker)
    customer = await place.clients.seat(step.asker)
    await answered_by(customer, step.subject, near.name, step.asker)
    near_ms = await all_by(customer, step.subject, near.name, step.requests, step.asker)

    service = place.services[near.name]
    await service.stop(place.clients)
    until_s = await answered_by(customer, step.subject, far.name, step.asker)
    far_ms = await all_by(customer, step.subject, far.name, step.requests, step.asker)

    await service.start(place.clients)
    await flushed(service.client)
    await answered_by(customer, step.subject, near.name, step.asker)
    again_ms = await all_by(customer, step.subject, near.name, step.requests, step.asker)
    await place.clients.close(customer)
    text = (
        f"{near.name!r} ended: {told(far, far_ms)} answered {step.asker} after {until_s * 1000:.0f} ms, "
        f"where {told(near, near_ms)} had; {near.name!r} came back and answers again ({again_ms:.1f} ms)"
    )
    return Verified(text=text)
