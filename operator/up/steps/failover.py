"""A node is killed. Its clients move on; it comes back; the mesh heals."""

from nats.aio.client import Client
from nats.aio.subscription import Subscription

from gossamer.operator.up.clients import StepFailed, Voices, awaited, collect, flushed
from gossamer.operator.up.steps.place import Place, Verified, check, listed
from gossamer.operator.up.steps.request import ask
from gossamer.operator.up.topology import FailoverStep, tenant_of


async def failover(step: FailoverStep, place: Place) -> Verified:
    """Follow a client, and a service, through the death and the return of their node."""
    clients, mesh, tenant = place.clients, place.mesh, tenant_of(step.user)
    node, others = mesh.nodes[step.node], mesh.others(step.node)
    voices = Voices()
    follower = await clients.connect(step.user, step.node, voices=voices, reconnect=True)
    subscription = await follower.subscribe(step.subject)
    await flushed(follower)
    speakers = {name: await clients.connect(step.user, name) for name in others}
    for name, speaker in speakers.items():
        await clients.crossing(tenant, step.node, name)
        await _hears(subscription, speaker, f"from {name}", f"{step.user} on {step.node}")

    first_pid = node.pid
    service_moved = await _kill(step, place, voices)
    await flushed(follower)
    home = on_node(place, follower)
    check(home in others, f"{step.user} says it is connected to {home}, which was killed")
    for name, speaker in speakers.items():
        # Whatever has moved to another node is known on all that live.
        for origin in others:
            await clients.crossing(tenant, origin, name)
        await _hears(subscription, speaker, f"from {name} after the kill", f"{step.user}, now on {home},")
    served = ""
    if step.service:
        for speaker in speakers.values():
            await _answers(step, place, speaker, "are you still there?")
        served = f"; service {step.service!r} {'moved too and answers again' if service_moved else 'still answers'}"

    await node.start()
    await mesh.whole()
    await _crosses_again(step, place, home, subscription)
    await clients.close(follower, *speakers.values())
    text = (
        f"{step.node} (pid {first_pid}) was killed: {step.user} moved to {home} and went on hearing {listed(others)}"
        f"{served}; {step.node} came back (pid {node.pid}), the mesh is whole, messages cross it both ways"
    )
    return Verified(text=text)


async def _kill(step: FailoverStep, place: Place, follower: Voices) -> bool:
    """Kill the node and wait until those on it have found another; returns whether the service was one of them."""
    service = place.services.get(step.service)
    moves = service is not None and on_node(place, service.client) == step.node
    if service is not None:
        service.voices.reconnected.clear()
    await place.mesh.nodes[step.node].kill()
    await awaited(follower.reconnected, f"{step.user} finds another node after {step.node} was killed")
    if service is not None and moves:
        await awaited(service.voices.reconnected, f"service {step.service!r} finds another node")
        await flushed(service.client)
    return moves


async def _crosses_again(step: FailoverStep, place: Place, home: str, subscription: Subscription) -> None:
    """What the returned node says is heard on another; what the others say is heard on it."""
    clients, tenant = place.clients, tenant_of(step.user)
    returned = await clients.connect(step.user, step.node)
    await clients.crossing(tenant, home, step.node)
    await _hears(subscription, returned, "back again", f"{step.user} on {home}")
    own = await returned.subscribe(f"{step.subject}.returned")
    await flushed(returned)
    for name in place.mesh.others(step.node):
        await clients.crossing(tenant, step.node, name)
        speaker = await clients.connect(step.user, name)
        await speaker.publish(f"{step.subject}.returned", name.encode())
        (came,) = await collect(own, 1, f"{step.user} on {step.node} after its return, from {name}")
        check(came.data == name.encode(), f"{step.node} heard {came.data!r} after its return, not what {name} sent")
        await clients.close(speaker)
    if step.service:
        for origin in place.mesh.others(step.node):
            await clients.crossing(tenant, origin, step.node)
        await _answers(step, place, returned, "and from here?")
    await clients.close(returned)


async def _hears(subscription: Subscription, speaker: Client, words: str, who: str) -> None:
    """One message, which must arrive as it is and as the next one. Raises StepFailed."""
    await speaker.publish(subscription.subject, words.encode())
    (came,) = await collect(subscription, 1, f"{who}, {words!r}")
    check(came.data == words.encode(), f"{who} heard {came.data!r}, not {words!r}")


async def _answers(step: FailoverStep, place: Place, customer: Client, question: str) -> None:
    await ask(customer, step.service, place.services[step.service].plan.subject, question)


def on_node(place: Place, client: Client) -> str:
    """The node that a client is connected to. Raises StepFailed if it is none of the mesh."""
    url = client.connected_url
    for node in place.mesh.nodes.values():
        if url is not None and url.port == node.address.client_port:
            return node.name
    raise StepFailed(f"a client is connected to {url}, which is no node of the mesh")
