"""A tour that could not fail would prove nothing: each step is walked where what it promises is not so."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gossamer.auth.credentials import Credentials
from gossamer.operator.failure import Failure
from gossamer.operator.up import addresses, reading
from gossamer.operator.up.clients import Clients, StepFailed
from gossamer.operator.up.node_configuration import write_all
from gossamer.operator.up.running_mesh import RunningMesh
from gossamer.operator.up.service import RunningService
from gossamer.operator.up.steps.denied import denied
from gossamer.operator.up.steps.isolation import isolation
from gossamer.operator.up.steps.place import Place, listed
from gossamer.operator.up.steps.queue import share
from gossamer.operator.up.steps.request import ask, request
from gossamer.operator.up.steps.survival import Stream
from gossamer.operator.up.topology import DeniedStep, IsolationStep, RequestStep, Topology
from gossamer.operator.up.tour import walk
from gossamer.operator.up.trust import Trust
from gossamer.operator.up.wiring import Wiring

TOPOLOGY = """
description = "for tests"
operator = "test"
nodes = [{ name = "n1" }]
tenants = [
    { name = "shop", users = [{ name = "one" }, { name = "two", publish.deny = ["secret"] }] },
    { name = "bank", users = [{ name = "auditor" }] },
]
services = [{ name = "orders", user = "shop/one", node = "n1", subject = "orders" }]
"""


@contextlib.asynccontextmanager
async def a_place(folder: Path, stands_for: dict[str, str] | None = None) -> AsyncIterator[Place]:
    """One node; ``stands_for`` gives users the credentials of others."""
    path = folder / "topology.toml"
    path.write_text(TOPOLOGY)
    topology: Topology = reading.read(path)
    trust = Trust(topology, folder / "trust")
    trust.issue()
    places, _ = addresses.free(topology.node_names)
    async with RunningMesh(topology, places, write_all(topology, places, Wiring(), trust, folder)) as mesh:
        await mesh.start()

        def credentials(user: str) -> Credentials:
            return trust.credentials((stands_for or {}).get(user, user))

        clients = Clients(credentials, lambda name: mesh.nodes[name].address.client_url)
        services = {plan.name: RunningService(plan) for plan in topology.services}
        try:
            for service in services.values():
                await service.start(clients)
            yield Place(mesh=mesh, trust=trust, clients=clients, services=services)
        finally:
            await clients.close_all()


ISOLATION = IsolationStep(user="shop/one", stranger="bank/auditor", subject="news")


def test_isolation_holds_between_tenants_and_fails_within_one(tmp_path: Path) -> None:
    async def tell() -> None:
        async with a_place(tmp_path) as place:
            assert "heard nothing" in (await isolation(ISOLATION, place)).text
            # The stranger comes with credentials of the same tenant.
            within = {"bank/auditor": "shop/two", "bank/tour-guide": "shop/tour-guide"}
            clients = Clients(
                lambda user: place.trust.credentials(within.get(user, user)),
                lambda name: place.mesh.nodes[name].address.client_url,
            )
            broken = Place(mesh=place.mesh, trust=place.trust, clients=clients, services=place.services)
            with pytest.raises(StepFailed, match="heard what is not its tenant's"):
                await isolation(ISOLATION, broken)
            await clients.close_all()

    asyncio.run(tell())


def test_what_is_allowed_is_no_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gossamer.operator.up.steps.denied.REFUSAL_S", 0.2)
    step = DeniedStep(user="shop/one", node="n1", action="pub", subject="secret", witness="shop/one")
    listening = DeniedStep(user="shop/two", node="n1", action="sub", subject="news.*", witness="shop/one")

    async def tell() -> None:
        async with a_place(tmp_path) as place:
            for allowed in (step, listening):
                with pytest.raises(StepFailed, match="was not refused"):
                    await denied(allowed, place)

    asyncio.run(tell())


def test_a_node_and_the_command_line_that_disagree_are_told(tmp_path: Path) -> None:
    step = DeniedStep(user="shop/one", node="n1", action="pub", subject="secret", witness="shop/one")

    async def tell() -> None:
        # What the node refuses is refused to somebody else than the command line is asked about.
        async with a_place(tmp_path) as place:
            first = iter(["shop/one", "shop/two"])
            clients = Clients(
                lambda _: place.trust.credentials(next(first)), lambda name: place.mesh.nodes[name].address.client_url
            )
            broken = Place(mesh=place.mesh, trust=place.trust, clients=clients, services=place.services)
            with pytest.raises(StepFailed, match="explain allows it"):
                await denied(step, broken)
            await clients.close_all()

    asyncio.run(tell())


def test_a_queue_group_that_loses_messages_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gossamer.operator.up.clients.PATIENCE_S", 0.2)

    async def tell() -> None:
        async with a_place(tmp_path) as place:
            thief = await place.clients.connect("shop/one", "n1")
            await thief.subscribe("work", queue="packers")
            await thief.flush()
            with pytest.raises(StepFailed, match=r"missed \d+ of 100 messages"):
                await share(place, "shop/one", "work", "packers", ["n1", "n1"], ["n1"], 100)

    asyncio.run(tell())


def test_messages_that_come_twice_are_told(tmp_path: Path) -> None:
    async def tell() -> None:
        async with a_place(tmp_path) as place:
            echo = await place.clients.connect("shop/one", "n1")
            heard = await echo.subscribe("work")
            await echo.flush()

            async def repeat() -> None:
                await echo.publish("work", (await heard.next_msg(10)).data)

            repeating = asyncio.create_task(repeat())
            with pytest.raises(StepFailed, match=r"more than once|missed"):
                await share(place, "shop/one", "work", "packers", ["n1", "n1"], ["n1"], 100)
            await repeating

    asyncio.run(tell())


def test_answers_must_be_those_of_the_service(tmp_path: Path) -> None:
    async def tell() -> None:
        async with a_place(tmp_path) as place:
            step = RequestStep(service="orders", user="shop/one", node="n1", requests=3)
            assert "answered 3 requests" in (await request(step, place)).text
            customer = await place.clients.connect("shop/one", "n1")
            with pytest.raises(StepFailed, match="not one of service 'parcels'"):
                await ask(customer, "parcels", "orders", "hello")
            with pytest.raises(StepFailed, match="no answer to 'hello' on nobody: nats: no responders"):
                await ask(customer, "parcels", "nobody", "hello")

    asyncio.run(tell())


def test_the_tour_goes_on_after_a_step_that_did_not_hold(tmp_path: Path) -> None:
    good = RequestStep(service="orders", user="shop/one", node="n1", requests=2)
    bad = IsolationStep(user="shop/one", stranger="bank/nobody", subject="news")

    async def tell() -> None:
        shown: list[bool] = []
        async with a_place(tmp_path) as place:
            results = await walk([good, bad, good], place, lambda result: shown.append(result.held))
        assert shown == [True, False, True]
        assert "bank/nobody" in results[1].text or "nobody" in results[1].text

    asyncio.run(tell())


class Numbered:
    """A message that carries its number."""

    def __init__(self, number: int) -> None:
        self.data = str(number).encode()


@pytest.mark.parametrize(
    ("numbers", "says"),
    [
        ([0, 1, 2, 4], r"1 of 5 messages from n1 to n2 while n3 was killed were lost, number \[3\] first"),
        ([0, 1, 1, 2, 3, 4], "came twice or out of order"),
        ([0, 1, 3, 2, 4], "came twice or out of order"),
    ],
)
def test_a_stream_with_a_gap_is_told(numbers: list[int], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gossamer.operator.up.clients.PATIENCE_S", 0.05)

    async def tell() -> None:
        stream = Stream("subject", "n1", "n2", 5)
        for number in numbers:
            await stream.take(Numbered(number))  # type: ignore[arg-type]

        async def judge() -> None:
            await stream.completed("n3")
            stream.verify("n3")

        with pytest.raises(StepFailed, match=says):
            await judge()

    asyncio.run(tell())


def test_a_program_that_is_missing_or_ends_at_once_is_told(tmp_path: Path) -> None:
    async def tell() -> None:
        path = tmp_path / "topology.toml"
        path.write_text(TOPOLOGY)
        topology = reading.read(path)
        broken = tmp_path / "n1.conf"
        broken.write_text("port: [}\n")
        async with RunningMesh(topology, addresses.free(["n1"])[0], {"n1": broken}) as mesh:
            with pytest.raises(Failure, match=r"node n1 ended at its start: .*line 1: ") as caught:
                await mesh.start()
            assert caught.value.hint.endswith(str(broken))

    asyncio.run(tell())


@pytest.mark.parametrize(
    ("names", "says"), [([], "nobody"), (["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")]
)
def test_names_are_listed_as_people_do(names: list[str], says: str) -> None:
    assert listed(names) == says
