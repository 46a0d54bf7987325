"""The simulated network and its time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import pytest

from gossamer.mesh.sim.chance import Chance
from gossamer.mesh.sim.clock import EPOCH_NS, SimulatedClock
from gossamer.mesh.sim.disk import SimulatedDisk
from gossamer.mesh.sim.loop import NothingLeft, VirtualLoop
from gossamer.mesh.sim.network import Network
from gossamer.mesh.sim.wire import WINDOW_BYTES, End


class Side:
    """Reads one end."""

    def __init__(self, end: End) -> None:
        self.end = end
        self.heard = bytearray()
        self.at_s: list[float] = []
        self.ended = False
        self.held = False
        end.attach(self._read, self._hold)

    def _read(self, data: bytes, last: bool) -> None:
        self.heard += data
        self.at_s.append(self.end.network.loop.time())
        self.ended = self.ended or last

    def _hold(self, held: bool) -> None:
        self.held = held


class Lab:
    """Hosts ``a`` and ``b`` with one connection."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.loop = loop
        self.network = Network(loop, Chance(1))
        self.errors: list[str] = []
        self.sides: list[Side] = []

    async def connect(self) -> tuple[Side, Side]:
        if ("b", 1) not in self.network._ports:
            self.network.listen("b", 1, lambda end, host: self.sides.append(Side(end)))
        self.sides.clear()
        self.network.connect("a", "b", 1, self._connected)
        await asyncio.sleep(2.5)
        b, a = self.sides
        return a, b

    def _connected(self, end: End | None, error: str) -> None:
        self.errors.append(error)
        if end is not None:
            self.sides.append(Side(end))


@pytest.fixture
def loop() -> Iterator[VirtualLoop]:
    made = VirtualLoop()
    yield made
    made.close()


@pytest.fixture
def lab(loop: VirtualLoop) -> Callable[[Callable[[Lab], Awaitable[None]]], None]:
    def play(test: Callable[[Lab], Awaitable[None]]) -> None:
        async def whole() -> None:
            await test(Lab(loop))

        loop.run_until_complete(whole())

    return play


Play = Callable[[Callable[[Lab], Awaitable[None]]], None]


def test_time_leaps(loop: VirtualLoop) -> None:
    loop.run_until_complete(asyncio.sleep(86_400))
    assert loop.time() == pytest.approx(86_400)


def test_to_wait_for_nothing_is_an_error(loop: VirtualLoop) -> None:
    async def wait() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(NothingLeft):
        loop.run_until_complete(wait())
    for task in asyncio.all_tasks(loop):
        task.cancel()
    loop.run_until_complete(asyncio.sleep(0))


def test_bytes_arrive_in_order_after_the_latency(lab: Play) -> None:
    async def test(lab: Lab) -> None:
        a, b = await lab.connect()
        lab.network.shape("a", "b", latency_ns=50_000_000)
        begun_s = lab.loop.time()
        for number in range(50):
            a.end.send(b"%02d" % number)
        a.end.finish()
        await asyncio.sleep(1)
        assert b.heard == b"".join(b"%02d" % number for number in range(50))
        assert b.ended
        assert all(0.05 <= at_s - begun_s <= 0.0601 for at_s in b.at_s)

    lab(test)


def test_a_thin_line_holds_its_sender(lab: Play) -> None:
    async def test(lab: Lab) -> None:
        a, b = await lab.connect()
        lab.network.shape("a", "b", bytes_per_s=WINDOW_BYTES)
        a.end.send(b"x" * 2 * WINDOW_BYTES)
        assert a.held
        await asyncio.sleep(1)
        assert 0.9 * WINDOW_BYTES < len(b.heard) < 1.1 * WINDOW_BYTES
        await asyncio.sleep(1.1)
        assert len(b.heard) == 2 * WINDOW_BYTES
        assert not a.held

    lab(test)


def test_a_blocked_direction_keeps_what_was_sent(lab: Play) -> None:
    async def test(lab: Lab) -> None:
        a, b = await lab.connect()
        a.end.send(b"1")
        lab.network.block("a", "b")
        a.end.send(b"2")
        b.end.send(b"back")
        await asyncio.sleep(5)
        assert (b.heard, a.heard) == (b"", b"back")
        lab.network.clear("a", "b")
        await asyncio.sleep(1)
        assert b.heard == b"12"

    lab(test)


def test_a_connect_into_nothing(lab: Play) -> None:
    async def test(lab: Lab) -> None:
        lab.network.connect("a", "b", 1, lab._connected)
        await asyncio.sleep(0.1)
        assert lab.errors == ["Connection refused"]
        lab.network.block("b", "a")
        lab.network.connect("a", "b", 1, lab._connected)
        await asyncio.sleep(0.9)
        assert len(lab.errors) == 1
        await asyncio.sleep(0.2)
        assert lab.errors[1] == "connect timed out"

    lab(test)


@pytest.mark.parametrize("dark", [False, True])
def test_a_host_that_dies(lab: Play, dark: bool) -> None:
    async def test(lab: Lab) -> None:
        a, b = await lab.connect()
        lab.network.silence("b", dark=dark)
        await asyncio.sleep(1)
        assert a.ended is not dark
        a.end.send(b"anybody?")
        await asyncio.sleep(1)
        assert a.ended is not dark
        lab.network.listen("b", 2, lambda end, host: None)
        a.end.send(b"anybody?")
        await asyncio.sleep(1)
        assert a.ended  # whoever is there now knows nothing of the connection
        assert b.heard == b""

    lab(test)


def test_half_open(lab: Play) -> None:
    async def test(lab: Lab) -> None:
        a, b = await lab.connect()
        lab.network.halve(b.end)
        await asyncio.sleep(1)
        assert (a.ended, b.ended) == (False, True)
        a.end.send(b"x")
        await asyncio.sleep(0.1)
        assert a.ended

    lab(test)


def test_a_sleeping_host_reads_later(lab: Play) -> None:
    async def test(lab: Lab) -> None:
        a, b = await lab.connect()
        lab.network.sleep("b")
        a.end.send(b"1")
        await asyncio.sleep(1)
        assert b.heard == b""
        lab.network.wake("b")
        assert b.heard == b"1"

    lab(test)


def test_what_was_whole(lab: Play) -> None:
    async def test(lab: Lab) -> None:
        network = lab.network
        await asyncio.sleep(1)
        network.disturb("b", "c")
        await asyncio.sleep(1)
        assert not network.was_whole(("a", "b", "c"), 0, lab.loop.now_ns)
        assert network.was_whole(("a", "b", "d"), 0, lab.loop.now_ns)
        assert network.was_whole(("a", "b", "c"), lab.loop.now_ns, lab.loop.now_ns)
        network.disturb("d")
        assert not network.was_whole(("b", "d"), 0, lab.loop.now_ns)

    lab(test)


def test_a_clock_that_is_wrong(loop: VirtualLoop) -> None:
    clock = SimulatedClock(loop, skew_ns=-5, drift_ppm=100, boot_ns=7)
    loop.run_until_complete(asyncio.sleep(1000))
    assert clock.monotonic_ns() == pytest.approx(7 + 1_000_100_000_000, abs=10)
    assert clock.wall_ns() == pytest.approx(EPOCH_NS - 5 + 1_000_100_000_000, abs=10)


def test_a_disk() -> None:
    disk = SimulatedDisk()
    disk.make_directory("d")
    assert disk.names("d") == []
    file = disk.open_append("d/log")
    file.append(b"ab")
    file.append(b"c")
    assert (disk.read("d/log"), file.size(), disk.names("d")) == (b"abc", 3, ["log"])
    disk.rename("d/log", "d/old")
    disk.remove("d/old")
    for call in (lambda: disk.read("d/log"), lambda: disk.remove("d/old"), lambda: disk.names("e")):
        with pytest.raises(FileNotFoundError):
            call()
