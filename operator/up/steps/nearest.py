"""Whoever asks is answered by the nearest service: in its own cluster, else over the shortest way."""

import time
from statistics import median

from nats.aio.client import Client
from nats.errors import Error as NatsError

from gossamer.operator.up.clients import PATIENCE_S, StepFailed
from gossamer.operator.up.steps.place import Place, Verified, check
from gossamer.operator.up.topology import NearestStep, ServicePlan, Topology, seated

#: While somebody is dying, a request may be lost on the way: then the next one is asked soon.
_LOST_S = 0.25


async def nearest(step: NearestStep, place: Place) -> Verified:
    """Ask from every seat, and see who answers and how fast."""
    notes = []
    for seat in step.askers:
        expected = by_distance(place.mesh.topology, step.subject, seat)[0]
        customer = await place.clients.seat(seat)
        await answered_by(customer, step.subject, expected.name, seat)
        took_ms = await all_by(customer, step.subject, expected.name, step.requests, seat)
        await place.clients.close(customer)
        notes.append(f"{seat}: {told(expected, took_ms)} answered all {step.requests}")
    text = f"requests on {step.subject} from {len(step.askers)} places were each answered by the nearest service"
    return Verified(text=text, notes=tuple(notes))


def by_distance(topology: Topology, subject: str, seat: str) -> list[ServicePlan]:
    """The services on ``subject``, the one nearest to a seat first."""
    here = topology.cluster_of(seated(seat)[1]).name

    def distance_ms(service: ServicePlan) -> float:
        return topology.distance_ms(here, topology.cluster_of(service.node).name)

    return sorted((plan for plan in topology.services if plan.subject == subject), key=distance_ms)


def told(service: ServicePlan, took_ms: float) -> str:
    """``'orders-rome' on rome-1 (30.4 ms)``."""
    return f"{service.name!r} on {service.node} ({took_ms:.1f} ms)"


async def answered_by(customer: Client, subject: str, service: str, who: str) -> float:
    """Ask until ``service`` answers: measurements of distance, and interest, need a moment to arrive. Returns how many
    seconds that took. Raises StepFailed with who answered instead."""
    begin = time.monotonic()
    last = "nobody"
    while time.monotonic() < begin + PATIENCE_S:
        try:
            reply = await customer.request(subject, b"who is there?", timeout=_LOST_S)
        except (NatsError, TimeoutError):
            last = "nobody"
            continue
        last = reply.data.decode().partition(" #")[0]
        if last == service:
            return time.monotonic() - begin
    raise StepFailed(f"{who} expected an answer of {service!r} on {subject}; in the end {last!r} answered")


async def all_by(customer: Client, subject: str, service: str, requests: int, who: str) -> float:
    """Ask ``requests`` times; each answer must be this service's. Returns the median time of one, in milliseconds.

    Raises StepFailed."""
    took = []
    for number in range(requests):
        begin = time.perf_counter()
        try:
            reply = await customer.request(subject, str(number).encode(), timeout=PATIENCE_S)
        except (NatsError, TimeoutError) as error:
            raise StepFailed(f"no answer to {who} on {subject}: {error or type(error).__name__}") from None
        took.append(time.perf_counter() - begin)
        name, _, asked = reply.data.decode().partition(": ")
        check(asked == str(number), f"the answer to {number} of {who} is {reply.data!r}")
        check(name.startswith(f"{service} #"), f"{name} answered {who} on {subject}, though {service!r} is nearer")
    return median(took) * 1000
