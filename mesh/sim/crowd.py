"""Programs that use a mesh: publishers, subscribers, workers, services and those who ask them, in every account.

``begin`` lets them talk at random moments until ``stop``; ``probe`` makes each of them say everything once.
"""

import asyncio
from collections.abc import Sequence

from gossamer.mesh.sim.chance import Chance
from gossamer.mesh.sim.client import Client
from gossamer.mesh.sim.mesh import Mesh

_TOPICS = 4


class Crowd:
    """One client of each account at each of the given members."""

    def __init__(self, mesh: Mesh, accounts: Sequence[str] = ("A", "B"), at: Sequence[str] = ()) -> None:
        self._mesh = mesh
        self._chance: Chance = mesh.chance.fork("crowd")
        self._task: asyncio.Task[None] | None = None
        self.clients: list[Client] = []
        for name in at or list(mesh.members):
            for account in accounts:
                client = mesh.client(account, name)
                self.clients.append(client)
                self._give_ears(client)

    def _give_ears(self, client: Client) -> None:
        chance = self._chance
        client.subscribe(chance.choose(["t.>", "t.*", f"t.{chance.below(_TOPICS)}", ">"]))
        if chance.happens(0.6):
            client.subscribe("t.*", "workers")
        if chance.happens(0.5):
            client.subscribe("svc.echo", "servers", answers=True)
        client.subscribe(f"{client.inbox}.>")

    def begin(self, *, pause_s: float = 0.01) -> None:
        """Somebody says something about every ``pause_s`` seconds."""
        self._task = asyncio.get_running_loop().create_task(self._talk(pause_s))

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def probe(self, rounds: int = 2) -> None:
        """Everybody says everything."""
        for _ in range(rounds):
            for client in self.clients:
                for topic in range(_TOPICS):
                    client.publish(f"t.{topic}")
                client.request("svc.echo")
            await self._mesh.sleep(0.05)

    async def _talk(self, pause_s: float) -> None:
        chance = self._chance
        while True:
            await asyncio.sleep(chance.uniform(0, 2 * pause_s))
            client = chance.choose(self.clients)
            if chance.happens(0.2):
                client.request("svc.echo")
                continue
            topic = f"t.{chance.below(_TOPICS)}"
            for _ in range(chance.between(1, 5)):
                client.publish(topic, size=chance.choose([0, 16, 300, 4000]))
