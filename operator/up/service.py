"""The services of a topology: small programs that answer requests, so that there is something to talk to."""

from nats.aio.client import Client
from nats.aio.msg import Msg

from gossamer.operator.up.clients import Clients, Voices, flushed
from gossamer.operator.up.topology import ServicePlan


class RunningService:
    """Answers every request with the service's name, its number, and what was asked."""

    def __init__(self, plan: ServicePlan) -> None:
        self.plan = plan
        self.voices = Voices()
        self.answered = 0
        self.client: Client

    async def start(self, clients: Clients) -> None:
        """Connect to the planned node and subscribe. Raises StepFailed."""
        self.client = await clients.connect(self.plan.user, self.plan.node, voices=self.voices, reconnect=True)
        await self.client.subscribe(self.plan.subject, queue=self.plan.group, cb=self._answer)
        await flushed(self.client)

    async def stop(self, clients: Clients) -> None:
        """End it, as a program that dies."""
        await clients.close(self.client)

    async def _answer(self, request: Msg) -> None:
        if request.reply:
            self.answered += 1
            await request.respond(answer(self.plan.name, self.answered, request.data))


def answer(name: str, number: int, asked: bytes) -> bytes:
    """What a service says to its ``number``-th request."""
    return f"{name} #{number}: ".encode() + asked
