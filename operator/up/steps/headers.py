"""Headers arrive as they were sent."""

from gossamer.operator.up.clients import collect, flushed
from gossamer.operator.up.steps.place import Place, Verified, check
from gossamer.operator.up.topology import HeadersStep, tenant_of

#: Pairs of headers and payload, on the edges of what the form allows.
CASES: tuple[tuple[dict[str, str], bytes], ...] = (
    ({"Content-Type": "text/plain"}, b"with a payload"),
    ({"Trace": "1:2:3", "Colour": "blue, green"}, b""),
    ({"Long": "x" * 2000}, bytes(range(256))),
    ({}, b"without headers"),
)


async def headers(step: HeadersStep, place: Place) -> Verified:
    """Send them all and compare."""
    await pass_headers(place, step.user, step.subject, step.publisher, step.subscriber)
    ways = (
        f"from {step.publisher} to {step.subscriber}" if step.publisher != step.subscriber else f"on {step.publisher}"
    )
    return Verified(text=f"{len(CASES)} messages {ways} arrived with just their headers and payloads, empty ones too")


async def pass_headers(place: Place, user: str, subject: str, publisher: str, subscriber: str) -> None:
    """Send every case from one node to the other. Raises StepFailed if one arrives otherwise."""
    listener = await place.clients.connect(user, subscriber)
    subscription = await listener.subscribe(subject)
    await flushed(listener)
    await place.clients.crossing(tenant_of(user), subscriber, publisher)
    speaker = await place.clients.connect(user, publisher)
    for given, payload in CASES:
        await speaker.publish(subject, payload, headers=given or None)
    await flushed(speaker)
    came = await collect(subscription, len(CASES), f"headers from {publisher} to {subscriber}")
    for (given, payload), message in zip(CASES, came, strict=True):
        seen = dict(message.headers or {})
        check(seen == given, f"headers {given} sent on {publisher} arrived on {subscriber} as {seen}")
        check(message.data == payload, f"payload {payload!r} sent on {publisher} arrived as {message.data!r}")
    await place.clients.close(listener, speaker)
