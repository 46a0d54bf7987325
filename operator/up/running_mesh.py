"""All nodes of a topology together, and the relay between its clusters: started, awaited until whole, ended."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp

from gossamer.operator.failure import Failure
from gossamer.operator.up.addresses import Address
from gossamer.operator.up.node_process import NodeProcess
from gossamer.operator.up.relay import Relay
from gossamer.operator.up.topology import ClusterPlan, Kind, Topology
from gossamer.operator.up.wiring import Wiring

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
        wiring: Wiring | None = None,
        kind: Kind | None = None,
    ) -> None:
        self.topology = topology
        self.nodes: dict[str, NodeProcess] = {}
        self.wiring = wiring or Wiring()
        self.relay = Relay(self.wiring.wires)
        self._addresses = addresses
        self._configurations = configurations
        self._kind: Kind | None = kind
        self._session: aiohttp.ClientSession
        self._stack: contextlib.AsyncExitStack

    async def __aenter__(self) -> "RunningMesh":
        async with contextlib.AsyncExitStack() as stack:
            timeout = aiohttp.ClientTimeout(total=_PAGE_TIMEOUT_S)
            self._session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout))
            await stack.enter_async_context(self.relay)
            for plan in self.topology.all_nodes:
                kind = self._kind or plan.kind
                address, path = self._addresses[plan.name], self._configurations[plan.name]
                self.nodes[plan.name] = NodeProcess(plan, kind, address, path, self._session)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        async with self._stack:
            await asyncio.gather(*(node.stop() for node in self.nodes.values()))

    async def start(self, names: Sequence[str] = ()) -> None:
        """Start all nodes, or those named, first those that others have routes to, and wait until each is healthy.
        Raises Failure."""
        plans = [plan for plan in self.topology.all_nodes if not names or plan.name in names]
        seeds = [plan.name for plan in plans if not plan.routes]
        followers = [plan.name for plan in plans if plan.routes]
        for together in (seeds, followers):
            for name in together:
                await self.nodes[name].launch()
            await asyncio.gather(*(self.nodes[name].ready() for name in together))

    async def whole(self) -> None:
        """Wait until every node has routes to all others of its cluster, as many as these have to it, gateways to all
        clusters it should have them to, and its leaf links. Raises Failure."""
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
        found = await asyncio.gather(*(self._cluster_gaps(cluster) for cluster in self.topology.all_clusters))
        return [gap for gaps in found for gap in gaps]

    def others(self, name: str) -> list[str]:
        """All nodes but this one, in the order of the file."""
        return [other for other in self.nodes if other != name]

    async def _cluster_gaps(self, cluster: ClusterPlan) -> list[str]:
        names = [plan.name for plan in cluster.nodes]
        seen = dict(zip(names, await asyncio.gather(*(self.nodes[name].routes() for name in names)), strict=True))
        pairs = [(one, other) for one in names for other in names if one != other]
        found = [f"{one} does not see {other}" for one, other in pairs if other not in seen[one]]
        found += [
            f"{one} has {seen[one][other]} routes to {other}, which has {seen[other][one]} to it"
            for one, other in pairs
            if one < other and other in seen[one] and one in seen[other] and seen[one][other] != seen[other][one]
        ]
        if found:
            return found
        peers = {peer.name for peer in self.topology.gateway_peers(cluster)}
        for name in names if peers else ():
            missing = peers - await self.nodes[name].gateways()
            found += [f"{name} has no gateway to {peer}" for peer in sorted(missing)]
        for name in names if cluster.remotes else ():
            links = await self.nodes[name].hubs()
            if links != len(cluster.remotes):
                found.append(f"{name} has {links} of {len(cluster.remotes)} leaf links")
        return found
