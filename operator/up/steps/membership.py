"""A node, of whatever kind, is a full member: everything works from it and towards it."""

from nats.aio.msg import Msg

from gossamer.operator.up.clients import collect, flushed
from gossamer.operator.up.steps.headers import CASES, pass_headers
from gossamer.operator.up.steps.place import Place, Verified, check, listed, shares
from gossamer.operator.up.steps.queue import share
from gossamer.operator.up.steps.request import ask
from gossamer.operator.up.topology import MembershipStep, tenant_of


async def membership(step: MembershipStep, place: Place) -> Verified:
    """Between the node and each other one, both ways: messages in order, headers, requests; then a queue group with
    members on both sides."""
    node = place.mesh.nodes[step.node]
    others = place.mesh.others(step.node)
    notes = []
    for other in others:
        for publisher, subscriber in ((step.node, other), (other, step.node)):
            await _messages(step, place, publisher, subscriber)
            await pass_headers(place, step.user, f"{step.subject}.headers", publisher, subscriber)
            await _requests(step, place, publisher, subscriber)
        notes.append(
            f"{step.node} and {other}, both ways: {step.messages} messages in order, {len(CASES)} with headers, "
            f"{step.messages} requests answered"
        )
    everybody = [step.node, *others]
    for publisher in everybody:
        group = f"packers-{publisher}"
        counts = await share(
            place, step.user, f"{step.subject}.work", group, everybody, [publisher], max(step.messages, 150)
        )
        notes.append(f"queue group over all nodes, work from {publisher}: each message once ({shares(counts)})")
    kinds = f"{step.node} ({node.kind}) is a full member: messages, headers, requests and queue groups pass both ways"
    return Verified(text=f"{kinds} between it and {listed(others)}", notes=tuple(notes))


async def _messages(step: MembershipStep, place: Place, publisher: str, subscriber: str) -> None:
    clients = place.clients
    listener = await clients.connect(step.user, subscriber)
    subscription = await listener.subscribe(step.subject)
    await flushed(listener)
    await clients.crossing(tenant_of(step.user), subscriber, publisher)
    speaker = await clients.connect(step.user, publisher)
    sent = [f"{publisher} {number}".encode() for number in range(step.messages)]
    for payload in sent:
        await speaker.publish(step.subject, payload)
    await flushed(speaker)
    came = await collect(subscription, len(sent), f"messages from {publisher} to {subscriber}")
    check([message.data for message in came] == sent, f"messages from {publisher} to {subscriber} arrived out of order")
    await clients.close(listener, speaker)


async def _requests(step: MembershipStep, place: Place, customer_node: str, service_node: str) -> None:
    """A responder on one node, a requester on the other."""
    clients = place.clients
    subject = f"{step.subject}.ask"
    responder = await clients.connect(step.user, service_node)

    async def reply(message: Msg) -> None:
        await message.respond(f"{service_node} #1: ".encode() + message.data)

    await responder.subscribe(subject, cb=reply)
    await flushed(responder)
    await clients.crossing(tenant_of(step.user), service_node, customer_node)
    customer = await clients.connect(step.user, customer_node)
    for number in range(step.messages):
        await ask(customer, service_node, subject, f"{customer_node} asks {number}")
    await clients.close(responder, customer)
