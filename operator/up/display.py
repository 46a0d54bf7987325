"""What ``gossamer up`` shows: lines, and on a terminal a live table of the nodes below them.

Nothing is shown here for ``--json``: programs get one document at the end of the tour.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Protocol

import aiohttp
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from gossamer.operator.up.node_process import NodeProcess
from gossamer.operator.up.running_mesh import RunningMesh
from gossamer.operator.up.tour import StepResult

_REFRESH_S = 1.0
_JOINTS = ("routes", "gateways", "hubs")
_MARKS = {"ok": ("[ OK ] ", "green"), "fail": ("[FAIL] ", "bold red"), "info": ("[INFO] ", "cyan"), "": ("       ", "")}


class Display(Protocol):
    """Where lines and the state of the mesh go."""

    def line(self, mark: str, text: str) -> None:
        """One line; ``mark`` is ``ok``, ``fail``, ``info`` or empty for a line that belongs to the one above."""

    def watching(self, mesh: RunningMesh) -> contextlib.AbstractAsyncContextManager[None]:
        """While inside, the state of the mesh is shown."""


class Silent:
    """Shows nothing."""

    def line(self, mark: str, text: str) -> None:
        """Drop it."""

    @contextlib.asynccontextmanager
    async def watching(self, mesh: RunningMesh) -> AsyncIterator[None]:
        """Show nothing."""
        yield


class Lines:
    """Plain lines, for pipes and files; each is flushed, so that whoever follows sees it at once."""

    def line(self, mark: str, text: str) -> None:
        """Print it."""
        print(f"{_MARKS[mark][0]}{text}", flush=True)

    @contextlib.asynccontextmanager
    async def watching(self, mesh: RunningMesh) -> AsyncIterator[None]:
        """Nothing lives in a pipe."""
        yield


class Terminal:
    """Lines with colours, and a table of the nodes that stays below them."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)

    def line(self, mark: str, text: str) -> None:
        """Print it above the table."""
        self._console.print(Text.assemble(_MARKS[mark], text), soft_wrap=True)

    @contextlib.asynccontextmanager
    async def watching(self, mesh: RunningMesh) -> AsyncIterator[None]:
        """Refresh the table every second."""
        with Live(console=self._console, auto_refresh=False, transient=True) as live:
            task = asyncio.create_task(_refresh(live, mesh))
            try:
                yield
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


async def _refresh(live: Live, mesh: RunningMesh) -> None:
    while True:
        live.update(await table(mesh), refresh=True)
        await asyncio.sleep(_REFRESH_S)


async def table(mesh: RunningMesh) -> Table:
    """The nodes as they are now, one row each."""
    found = Table(title=mesh.topology.description, title_justify="left", title_style="")
    for column in ("node", "kind", "pid", "clients at", "monitoring", *_JOINTS, "connections", "in", "out"):
        found.add_column(column, justify="left" if column in {"node", "kind", "clients at", "monitoring"} else "right")
    for cells in await asyncio.gather(*(_row(mesh, node) for node in mesh.nodes.values())):
        found.add_row(*cells)
    return found


async def _row(mesh: RunningMesh, node: NodeProcess) -> list[str]:
    head = [node.name, node.kind, str(node.pid or ""), node.address.client_url, node.address.monitor_url]
    if not node.running:
        return [*head, "down", *[""] * 5]
    try:
        varz = await node.page("/varz")
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return [*head, "no answer", *[""] * 5]
    cluster = mesh.topology.cluster_of(node.name)
    mates = {plan.name for plan in cluster.nodes} - {node.name}
    seen = mates & set(await node.routes())
    peers = {peer.name for peer in mesh.topology.gateway_peers(cluster)}
    reached = peers & await node.gateways() if peers else peers
    links = await node.hubs() if cluster.remotes else 0
    numbers = [str(varz.get(key, "")) for key in ("connections", "in_msgs", "out_msgs")]
    joined = [(len(seen), len(mates)), (len(reached), len(peers)), (links, len(cluster.remotes))]
    return [*head, *(f"{here} of {wanted}" if wanted else "" for here, wanted in joined), *numbers]


def show_step(display: Display, result: StepResult) -> None:
    """A step's line and its notes."""
    display.line("ok" if result.held else "fail", f"{result.step}: {result.text}")
    for note in result.notes:
        display.line("", note)
