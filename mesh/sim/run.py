"""One run of one scenario with one seed."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

from gossamer.mesh.sim.loop import VirtualLoop
from gossamer.mesh.sim.mesh import Broken, Mesh

Scenario = Callable[[Mesh], Awaitable[None]]


class Outcome(Struct, frozen=True, kw_only=True):
    """``failure`` is empty if everything held. ``digest`` is over everything that the network carried."""

    scenario: str
    seed: int
    failure: str = ""
    digest: str = ""
    virtual_s: float = 0.0
    real_s: float = 0.0
    published: int = 0
    delivered: int = 0
    figures: dict[str, float] = {}


def run(name: str, scenario: Scenario, seed: int) -> Outcome:
    """Run it to its end or to the first thing that is broken. An exception of another kind is a failure as well."""
    began_s = time.perf_counter()
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    mesh = Mesh(loop, f"{name}/{seed}")
    failure = ""
    try:
        loop.run_until_complete(_whole(mesh, scenario))
    except Broken as error:
        failure = str(error)
    except Exception as error:
        import traceback

        failure = mesh.report("".join(traceback.format_exception(error)))
    finally:
        loop.set_exception_handler(lambda loop, context: None)
        try:
            loop.run_until_complete(mesh.end())
            for task in asyncio.all_tasks(loop):
                task.cancel()
            loop.run_until_complete(asyncio.sleep(0))
        finally:
            asyncio.set_event_loop(None)
            loop.close()
    return Outcome(
        scenario=name,
        seed=seed,
        failure=failure,
        digest=mesh.network.digest,
        virtual_s=loop.time(),
        real_s=time.perf_counter() - began_s,
        published=len(mesh.ledger.publications),
        delivered=mesh.ledger.deliveries,
        figures=mesh.figures,
    )


async def _whole(mesh: Mesh, scenario: Scenario) -> None:
    await scenario(mesh)
    await mesh.finish()
