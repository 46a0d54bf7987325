"""A node is killed. Its clients move on; it comes back; the mesh heals."""

from nats.aio.client import Client

from gossamer.operator.failure import Failure
from gossamer.operator.up.clients import Voices, awaited, collect, flushed
from gossamer.operator.up.steps.place import Place, Verified, check, listed
from gossamer.operator.up.steps.request import ask
from gossamer.operator.up.topology import GUIDE, FailoverStep, tenant_of


async def failover(step: FailoverStep, place: Place) -> Verified:
    """Follow one client, its guide, and a service through the life of a node."""
    clients, mesh, tenant = place.clients, place.mesh, tenant_of(step.user)
    node, others = mesh.nodes[step.node], mesh.others(step.node)
    voices, guide_voices = Voices(), Voices()
    follower = await clients.connect(step.user, step.node, voices=voices, reconnect=True)
    guide = await clients.connect(f"{tenant}/{GUIDE}", step.node, voices=guide_voices, reconnect=True)
    subscription = await follower.subscribe(step.subject)
    await flushed(follower)
    await clients.crossing(tenant, step.node, others[0])
    speakers = {name: await clients.connect(step.user, name) for name in others}
    await speakers[others[0]].publish(step.subject, b"before")
    (came,) = await collect(subscription, 1, f"{step.user} on {step.node} before the kill")
    check(came.data == b"before", f"{step.user} heard {came.data!r}, not what was sent")
    service = place.services.get(step.service)
    moved = (
        service is not None and service.client.connected_url is not None and on_node(place, service.client) == step.node
    )
    if service is not None:
        service.voices.reconnected.clear()

    pid = node.pid
    await node.kill()
    await awaited(voices.reconnected, f"{step.user} finds another node after {step.node} was killed")
    await awaited(guide_voices.reconnected, f"a second client finds another node after {step.node} was killed")
    if service is not None and moved:
        await awaited(service.voices.reconnected, f"service {step.service!r} finds another node")
        await flushed(service.client)
    home = on_node(place, follower)
    check(home in others, f"{step.user} says it is connected to {home}, which was killed")
    await flushed(follower)
    for name in others:
        # Everything of this tenant that has moved to another node is known on all that live.
        for origin in others:
            if origin != name:
                await clients.crossing(tenant, origin, name)
        await speakers[name].publish(step.subject, f"from {name}".encode())
        (came,) = await collect(subscription, 1, f"{step.user} on {home}, from {name} after the kill")
        check(came.data == f"from {name}".encode(), f"{step.user} heard {came.data!r}, not what {name} sent")
    if service is not None:
        await ask(speakers[others[-1]], step.service, service.plan.subject, "are you still there?")

    await node.start()
    await mesh.whole()
    await _crosses_again(step, place, tenant, others)
    # The one that moved is told by the node that came back.
    await clients.crossing(tenant, home, step.node)
    returned = await clients.connect(step.user, step.node)
    await returned.publish(step.subject, b"back")
    (came,) = await collect(subscription, 1, f"{step.user} on {home}, from {step.node} after its return")
    check(came.data == b"back", f"{step.user} heard {came.data!r}, not what {step.node} sent after its return")
    if service is not None:
        await ask(returned, step.service, service.plan.subject, "and from here?")
    await clients.close(follower, guide, returned, *speakers.values())
    served = (
        f"; service {step.service!r} {'moved too and answers again' if moved else 'still answers'}" if service else ""
    )
    text = (
        f"{step.node} (pid {pid}) was killed: {step.user} moved to {home} and went on hearing {listed(others)}"
        f"{served}; {step.node} came back (pid {node.pid}), the mesh is whole, messages cross it both ways"
    )
    return Verified(text=text)


async def _crosses_again(step: FailoverStep, place: Place, tenant: str, others: list[str]) -> None:
    """What is sent on the others is heard on the node that came back."""
    clients = place.clients
    listener = await clients.connect(step.user, step.node)
    subscription = await listener.subscribe(step.subject + ".returned")
    await flushed(listener)
    for name in others:
        await clients.crossing(tenant, step.node, name)
        speaker = await clients.connect(step.user, name)
        await speaker.publish(step.subject + ".returned", name.encode())
        (came,) = await collect(subscription, 1, f"{step.user} on {step.node} after its return, from {name}")
        check(came.data == name.encode(), f"{step.node} heard {came.data!r} after its return, not what {name} sent")
        await clients.close(speaker)
    await clients.close(listener)


def on_node(place: Place, client: Client) -> str:
    """The node that a client is connected to. Raises Failure if it is none of the mesh."""
    url = client.connected_url
    for node in place.mesh.nodes.values():
        if url is not None and url.port == node.address.client_port:
            return node.name
    raise Failure(f"a client is connected to {url}, which is no node of the mesh")
