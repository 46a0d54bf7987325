"""A request crosses the mesh, and so does its answer."""

from nats.aio.client import Client
from nats.errors import Error as NatsError

from gossamer.operator.up.clients import PATIENCE_S, StepFailed
from gossamer.operator.up.steps.place import Place, Verified, check
from gossamer.operator.up.topology import RequestStep, tenant_of


async def request(step: RequestStep, place: Place) -> Verified:
    """Ask several times, each time something else."""
    service = place.services[step.service].plan
    await place.clients.crossing(tenant_of(step.user), service.node, step.node)
    customer = await place.clients.connect(step.user, step.node)
    for number in range(step.requests):
        await ask(customer, step.service, service.subject, f"{step.user} asks {number}")
    await place.clients.close(customer)
    asked = f"{step.requests} requests of {step.user} on {step.node}"
    return Verified(text=f"service {step.service!r} of {service.user} on {service.node} answered {asked}, each its own")


async def ask(customer: Client, service: str, subject: str, question: str) -> None:
    """One request, whose answer must name the service and repeat the question. Raises StepFailed."""
    try:
        reply = await customer.request(subject, question.encode(), timeout=PATIENCE_S)
    except (NatsError, TimeoutError) as error:
        raise StepFailed(f"no answer to {question!r} on {subject}: {error or type(error).__name__}") from None
    name, _, asked = reply.data.decode().partition(": ")
    check(
        name.startswith(f"{service} #") and asked == question,
        f"the answer to {question!r} is {reply.data!r}, not one of service {service!r}",
    )
