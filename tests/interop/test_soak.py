"""Item 60 of the gateways' checklist: a mixed cluster and a real one, requests and queue groups for as long as asked.

``SOAK_S=600 make interop ARGS="-k soak -s"`` runs it for ten minutes; the figures are printed as JSON.
"""

import asyncio
import json
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import nats
import pytest
from meshes import Mesh
from nats.aio.msg import Msg
from pairings import superclusters
from traffic import Crowd, all_hear, until

SOAK_S = float(os.environ.get("SOAK_S", "0"))

pytestmark = [
    pytest.mark.skipif(not SOAK_S, reason="SOAK_S=600 runs it for ten minutes"),
    pytest.mark.timeout(SOAK_S + 120),
]


@dataclass
class Figures:
    """Of a run. ``lost``: no answer in ten seconds, or work that nobody took; ``doubled``: a request or work that was
    heard twice; ``strayed``: work that left a cluster with members."""

    requests: int = 0
    answers: int = 0
    work: int = 0
    taken: int = 0
    lost: int = 0
    doubled: int = 0
    strayed: int = 0
    slowest_ms: float = 0.0
    seconds: float = 0.0


async def test_60_soak(tmp_path: Path) -> None:
    """Services and workers on every node; everybody asks the other cluster, by new and by old connections."""
    mesh = Mesh(tmp_path, superclusters("OR", "RR"))
    figures = Figures()
    try:
        await asyncio.to_thread(mesh.start)
        async with Crowd(mesh) as crowd:
            await _soak(mesh, crowd, figures)
    finally:
        mesh.stop()
    print(json.dumps(asdict(figures)))
    assert figures.requests > 100
    assert figures.work > 100
    assert (figures.lost, figures.doubled, figures.strayed) == (0, 0, 0)
    assert (figures.answers, figures.taken) == (figures.requests, figures.work)


async def _soak(mesh: Mesh, crowd: Crowd, figures: Figures) -> None:
    clients = await crowd.everywhere()
    taken: Counter[bytes] = Counter()
    asked: Counter[bytes] = Counter()
    for name, client in clients.items():
        home = mesh.nodes[name].home

        async def answer(message: Msg) -> None:
            asked[message.data] += 1
            await message.respond(message.data)

        async def take(message: Msg, home: str = home) -> None:
            taken[message.data] += 1
            if not message.data.startswith(home.encode()):
                figures.strayed += 1

        await client.subscribe(f"ask.{home}", "services", cb=answer)
        await client.subscribe("jobs.near", "workers", cb=take)
        await client.subscribe(f"jobs.{home}", "workers", cb=_counter(taken))
    await all_hear(crowd, clients)
    began = time.monotonic()
    end = began + SOAK_S
    await asyncio.gather(
        *(_ask(mesh, crowd, clients, name, end, figures) for name in clients),
        *(_work(mesh, client, name, end, figures) for name, client in clients.items()),
    )
    await all_hear(crowd, clients, "end")
    await until(lambda: sum(taken.values()) >= figures.work, lambda: (sum(taken.values()), figures.work))
    figures.taken = sum(taken.values())
    figures.doubled += sum(1 for count in taken.values() if count > 1) + sum(1 for n in asked.values() if n > 1)
    figures.lost += figures.work - len(taken)
    figures.seconds = round(time.monotonic() - began, 1)


def _counter(taken: Counter[bytes]) -> Callable[[Msg], Awaitable[None]]:
    async def take(message: Msg) -> None:
        taken[message.data] += 1

    return take


async def _ask(
    mesh: Mesh, crowd: Crowd, clients: dict[str, nats.NATS], name: str, end: float, figures: Figures
) -> None:
    """Requests to the other cluster, to the own one, and now and then by a connection of a moment."""
    own = mesh.nodes[name].home
    other = next(home for home in mesh.pairing.homes if home != own)
    number = 0
    while time.monotonic() < end:
        number += 1
        brief = await _connect(mesh, name) if number % 50 == 0 else None
        client = brief or clients[name]
        data = f"{name} {number}".encode()
        figures.requests += 1
        sent = time.monotonic()
        try:
            answer = await client.request(f"ask.{own if number % 5 == 0 else other}", data, timeout=10)
            assert answer.data == data
            figures.answers += 1
            figures.slowest_ms = max(figures.slowest_ms, round((time.monotonic() - sent) * 1000, 1))
        except nats.errors.Error as error:
            print(f"{time.monotonic() - end + SOAK_S:.1f} s: {name} {number}: {error!r}")
            figures.lost += 1
        if brief is not None:
            await brief.close()
        await asyncio.sleep(0.005)


async def _connect(mesh: Mesh, name: str) -> nats.NATS:
    return await nats.connect(mesh.nodes[name].url("a"), allow_reconnect=False, connect_timeout=10)


async def _work(mesh: Mesh, client: nats.NATS, name: str, end: float, figures: Figures) -> None:
    """Work that stays in the own cluster, and work that only the other one does, both of a group of the same name."""
    own = mesh.nodes[name].home
    other = next(home for home in mesh.pairing.homes if home != own)
    number = 0
    while time.monotonic() < end:
        for subject in ("jobs.near", f"jobs.{other}"):
            number += 1
            await client.publish(subject, f"{own} {name} {number}".encode())
            figures.work += 1
        await client.flush()
        await asyncio.sleep(0.005)
