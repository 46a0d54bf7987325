"""All nodes of a topology together: started, awaited until each sees all others, ended."""

import asyncio
from collections.abc import Mapping
from pathlib import Path

import aiohttp

from gossamer.operator.failure import Failure
from gossamer.operator.up.addresses import Address
from gossamer.operator.up.node_process import NodeProcess
from gossamer.operator.up.topology import Kind, Topology

_WHOLE_TIMEOUT_S = 30.0
_POLL_S = 0.03
_PAGE_TIMEOUT_S = 5.0


class RunningMesh:
    """Use as an asynchronous context manager: whatever happens inside, no process is left behind."""

    def __init__(
        self,
        topology: Topology,
        addresses: Mapping[str, Address],
        configurations: Mapping[str, Path],
        *,
        kind: Kind | None = None,
    ) -> None:
        self.topology = topology
        self.nodes: dict[str, NodeProcess] = {}
        self._addresses = addresses
        self._configurations = configurations
        self._kind: Kind | None = kind
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> "RunningMesh":
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_PAGE_TIMEOUT_S))
        for plan in self.topology.nodes:
            kind = self._kind or plan.kind
            address, path = self._addresses[plan.name], self._configurations[plan.name]
            self.nodes[plan.name] = NodeProcess(plan, kind, address, path, self._session)
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await asyncio.gather(*(node.stop() for node in self.nodes.values()))
        finally:
            await self._session.close()

    async def start(self) -> None:
        """Start all nodes, those that others have routes to first, and wait until each is healthy. Raises Failure."""
        seeds = [plan.name for plan in self.topology.nodes if not plan.routes]
        followers = [plan.name for plan in self.topology.nodes if plan.routes]
        for names in (seeds, followers):
            for name in names:
                await self.nodes[name].launch()
            for name in names:
                await self.nodes[name].ready()

    async def whole(self) -> None:
        """Wait until every node has routes to all others, as many as these have to it. Raises Failure."""
        try:
            async with asyncio.timeout(_WHOLE_TIMEOUT_S):
                while await self.gaps():  # noqa: ASYNC110 - other processes: only asking tells
                    await asyncio.sleep(_POLL_S)
        except TimeoutError:
            raise Failure(
                f"the mesh is not whole after {_WHOLE_TIMEOUT_S:.0f} s: {'; '.join(await self.gaps())}",
                code="not-whole",
                hint="keep the logs with --directory DIR and read them",
            ) from None

    async def gaps(self) -> list[str]:
        """What is missing for a whole mesh, in words."""
        names = list(self.nodes)
        seen = dict(zip(names, await asyncio.gather(*(self.nodes[name].routes() for name in names)), strict=True))
        found = [f"{one} does not see {other}" for one in names for other in self.others(one) if other not in seen[one]]
        found += [
            f"{one} has {seen[one][other]} routes to {other}, which has {seen[other][one]} to it"
            for one in names
            for other in names
            if one < other and other in seen[one] and one in seen[other] and seen[one][other] != seen[other][one]
        ]
        return found

    def others(self, name: str) -> list[str]:
        """All nodes but this one, in the order of the file."""
        return [other for other in self.nodes if other != name]
