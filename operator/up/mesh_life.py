"""The life of a mesh: folder, trust chain, configurations, nodes, services, tour, and an end that leaves nothing."""

import asyncio
import contextlib
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct, to_builtins

from gossamer.operator.failure import ExitCode, Failure, from_os_error
from gossamer.operator.output.document import Document
from gossamer.operator.output.render import envelope
from gossamer.operator.store.changes import REMEDY_WRITE, make_folder
from gossamer.operator.up import addresses
from gossamer.operator.up.clients import Clients, StepFailed
from gossamer.operator.up.display import Display, Lines, Silent, Terminal, show_step
from gossamer.operator.up.node_configuration import file_names, write_all
from gossamer.operator.up.relay import Relay
from gossamer.operator.up.running_mesh import RunningMesh
from gossamer.operator.up.service import RunningService
from gossamer.operator.up.steps.place import Place, listed
from gossamer.operator.up.topology import Kind, Topology
from gossamer.operator.up.tour import StepResult, walk
from gossamer.operator.up.trust import Trust
from gossamer.operator.up.wiring import container_wiring, ports_needed, wire

TRUST_FOLDER = "trust"
_LOOK_S = 0.5


class Wishes(Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    name: str
    once: bool = False
    directory: Path | None = None
    base_port: int | None = None
    kind: Kind | None = None
    as_json: bool = False


class Ending:
    """A signal asks for the end. While the mesh serves it ends by itself; before that it is interrupted."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.serving = False


def prepare(topology: Topology, folder: Path) -> Document:
    """Write trust chain and configurations for containers into ``folder``, unless they are there. Raises Failure."""
    if all((folder / name).is_file() for name in file_names(topology)):
        return Document(data={"folder": str(folder), "changed": False}, done=[f"{folder} is prepared already"])
    make_folder(folder)
    trust = Trust(topology, folder / TRUST_FOLDER)
    done = trust.issue()
    paths = write_all(
        topology,
        addresses.containers(topology.node_names),
        container_wiring(topology),
        trust,
        folder,
        advertise=False,
    )
    done.extend(f"wrote {path}" for path in paths.values())
    return Document(data={"folder": str(folder), "changed": True}, done=done)


async def live(topology: Topology, wishes: Wishes) -> int:
    """Run the mesh to its end and return the exit code. Raises Failure when it cannot be brought up."""
    ending = Ending()
    with _trapped(ending), _folder(wishes.directory) as folder:
        return await _until(ending, _live(topology, wishes, folder, ending))


async def _live(topology: Topology, wishes: Wishes, folder: Path, ending: Ending) -> int:
    display = _display(wishes)
    trust = Trust(topology, folder / TRUST_FOLDER)
    trust.issue()
    tenants = ", ".join(f"{tenant.name} ({len(tenant.users)} users)" for tenant in topology.tenants)
    display.line("info", f"issued operator {topology.operator!r}, its system account, tenants {tenants or '(none)'}")
    names = topology.node_names
    relayed = ports_needed(topology)
    base = wishes.base_port
    places, ports = addresses.free(names, relayed) if base is None else addresses.fixed(names, base, relayed)
    wiring = wire(topology, places, iter(ports))
    configurations = write_all(topology, places, wiring, trust, folder)
    mesh = RunningMesh(topology, places, configurations, wiring=wiring, kind=wishes.kind)
    async with mesh, display.watching(mesh):
        await mesh.start()
        for node in mesh.nodes.values():
            display.line("info", f"{node.name}: {node.kind}, pid {node.pid}, clients at {node.address.client_url}")
        await mesh.whole()
        display.line("ok", f"the mesh is whole: {_wholeness(topology)}")
        async with _clients(trust, mesh) as clients:
            services = await _services(topology, clients)
            place = Place(mesh=mesh, trust=trust, clients=clients, services=services)
            results = await walk(topology.tour, place, lambda result: show_step(display, result))
            held = all(result.held for result in results)
            await clients.dismiss_guides()
            _conclude(display, results)
            if wishes.as_json:
                _print_document(wishes, mesh, trust, results)
            if not wishes.once:
                held = await _serve(display, mesh, trust, ending) and held
    return int(ExitCode.OK if held else ExitCode.FAILURE)


async def relay(topology: Topology) -> int:
    """Be the relay between containers until a signal comes. Raises Failure when there is nothing to relay."""
    wires = container_wiring(topology).wires
    if not wires:
        raise Failure("this mesh has one cluster and needs no relay", code="no-relay")
    ending = Ending()
    with _trapped(ending):
        async with Relay(wires):
            await ending.asked.wait()
    return int(ExitCode.OK)


def _wholeness(topology: Topology) -> str:
    nodes = len(topology.node_names)
    if len(topology.all_clusters) == 1:
        return f"{nodes} nodes, each sees all others"
    parts = [f"{nodes} nodes in {len(topology.all_clusters)} clusters"]
    joined = [cluster.name for cluster in topology.all_clusters if topology.gateway_peers(cluster)]
    parts += [f"gateways between {listed(joined)}"] if joined else []
    parts += [
        f"{cluster.name} is a leaf of {listed(list(dict.fromkeys(remote.hub for remote in cluster.remotes)))}"
        for cluster in topology.all_clusters
        if cluster.is_leaf
    ]
    return ", ".join(parts)


async def _serve(display: Display, mesh: RunningMesh, trust: Trust, ending: Ending) -> bool:
    """Until a signal comes. Returns whether all nodes lived that long."""
    for tenant in mesh.topology.tenants:
        for user in tenant.users:
            name = f"{tenant.name}/{user.name}"
            display.line("info", f"credentials of {name}: {trust.credentials_path(name)}")
    display.line("info", "serving until Ctrl-C")
    ended: set[str] = set()
    ending.serving = True
    while not ending.asked.is_set():
        for node in mesh.nodes.values():
            if node.expected_to_run and not node.running and node.name not in ended:
                ended.add(node.name)
                display.line("fail", f"node {node.name} has ended: {node.log_end()}")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ending.asked.wait(), _LOOK_S)
    display.line("info", "ending")
    return not ended


def _conclude(display: Display, results: list[StepResult]) -> None:
    failed = sum(not result.held for result in results)
    if failed:
        display.line("fail", f"{failed} of {len(results)} steps did not hold")
    else:
        display.line("ok", f"all {len(results)} steps held")


def _print_document(wishes: Wishes, mesh: RunningMesh, trust: Trust, results: list[StepResult]) -> None:
    data: dict[str, Any] = {
        "topology": wishes.name,
        "operator": mesh.topology.operator,
        "nodes": [
            {
                "name": node.name,
                "kind": node.kind,
                "pid": node.pid,
                "client_url": node.address.client_url,
                "monitor_url": node.address.monitor_url,
            }
            for node in mesh.nodes.values()
        ],
        "credentials": {
            f"{tenant.name}/{user.name}": str(trust.credentials_path(f"{tenant.name}/{user.name}"))
            for tenant in mesh.topology.tenants
            for user in tenant.users
        },
        "steps": to_builtins(results),
        "held": all(result.held for result in results),
    }
    code = ExitCode.OK if data["held"] else ExitCode.FAILURE
    print(envelope(Document(data=data, exit_code=int(code)), "up"), flush=True)


def _display(wishes: Wishes) -> Display:
    if wishes.as_json:
        return Silent()
    return Terminal() if sys.stdout.isatty() else Lines()


@contextlib.asynccontextmanager
async def _clients(trust: Trust, mesh: RunningMesh) -> AsyncIterator[Clients]:
    clients = Clients(trust.credentials, lambda name: mesh.nodes[name].address.client_url)
    try:
        yield clients
    finally:
        await clients.close_all()


async def _services(topology: Topology, clients: Clients) -> dict[str, RunningService]:
    services = {}
    for plan in topology.services:
        service = RunningService(plan)
        try:
            await service.start(clients)
        except StepFailed as error:
            raise Failure(f"service {plan.name!r} cannot start: {error}", code="service") from None
        services[plan.name] = service
    return services


@contextlib.contextmanager
def _folder(wish: Path | None) -> Iterator[Path]:
    """The folder asked for, which stays, or one of our own, which goes. Raises Failure."""
    if wish is not None:
        try:
            occupied = wish.exists() and any(wish.iterdir())
        except OSError as error:
            raise from_os_error(error, "use", wish, REMEDY_WRITE) from None
        if occupied:
            raise Failure(f"{wish} is not empty", code="exists", hint="name a new folder with --directory")
        make_folder(wish)
        yield wish
        return
    with tempfile.TemporaryDirectory(prefix="gossamer-up-") as made:
        yield Path(made)


@contextlib.contextmanager
def _trapped(ending: Ending) -> Iterator[None]:
    """While inside, signals that would end the process ask for the end instead."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    for number in numbers:
        loop.add_signal_handler(number, ending.asked.set)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)


async def _until(ending: Ending, life: Coroutine[Any, Any, int]) -> int:
    """Run ``life``. A signal before it serves cancels it: it cleans up, and that is a Failure."""
    running = asyncio.create_task(life)
    asked = asyncio.create_task(ending.asked.wait())
    await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if not ending.serving:
        running.cancel()
    try:
        return await running
    except asyncio.CancelledError:
        raise Failure("interrupted", code="interrupted") from None
