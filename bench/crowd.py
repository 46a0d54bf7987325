"""A scatter over a mesh with more subscribers than one process may hold connections: several generators.

python crowd.py PORT COUNT FIRST SIZE       one of them: connects, says how long it took, answers until its input ends
"""

import statistics
import subprocess
import sys
import time
from pathlib import Path
from select import select

BENCH = Path(__file__).resolve().parent
sys.path[:0] = [str(BENCH.parent / "build" / "bench"), str(BENCH.parent / "build" / "tree")]

from cases import CONNECTING, CPU, MESH_MEMORY, ROUND, Case  # noqa: E402
from load import Load  # noqa: E402
from machine import Watch  # noqa: E402
from target import Target  # noqa: E402
from trust import connect_line  # noqa: E402

ROUNDS = 5
READY_S = 120.0
TURN_S = 0.5


class CrowdError(ConnectionError):
    """A part of the generator ended or did not connect in time."""


class Part:
    """A process that holds some of the connections, all to one node."""

    def __init__(self, port: int, count: int, first: int, size: int) -> None:
        arguments = [str(number) for number in (port, count, first, size)]
        self.process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait(self) -> float:
        """Until it is connected: the seconds that took. Raises CrowdError."""
        assert self.process.stdout is not None
        if not select([self.process.stdout], [], [], READY_S)[0]:
            raise CrowdError(f"a part of the generator was not connected after {READY_S:.0f} s")
        line = self.process.stdout.readline()
        if not line:
            raise CrowdError(f"a part of the generator ended: {self.words()}")
        return float(line)

    def words(self) -> str:
        """What it complained of, once it has ended."""
        assert self.process.stderr is not None
        return self.process.stderr.read().decode(errors="replace").strip().rpartition("\n")[2]

    def stop(self) -> str:
        """End it; what it complained of, if it ended before."""
        ended = self.process.poll() is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        try:
            self.process.wait(20.0)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(5.0)
        words = self.words() if ended else ""
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        return words


def scatter(case: Case, target: Target, seconds: float) -> dict[str, float]:
    """One request to subscribers spread over all nodes, a reply from each; the median of rounds after the first."""
    ports = [server.port for server in target.servers]
    shares = [case.connections * n // len(ports) for n in range(len(ports) + 1)]
    before = _resident(target)
    begun = time.monotonic()
    parts = [Part(port, shares[n + 1] - shares[n], shares[n], case.size) for n, port in enumerate(ports)]
    load = Load(links_max=1, size=case.size, subjects=[b"bench.ask"], pids=target.pids)
    try:
        for part in parts:
            part.wait()
        connected = time.monotonic() - begun
        resident = _resident(target)
        load.connect("collector", 1, port=ports[0], hello=connect_line())
        load.scatter(case.connections)
        watch = Watch([*target.pids, *(part.process.pid for part in parts)])
        rounds = [load.scatter(case.connections) for _ in range(ROUNDS)]
        others = watch.others()
    finally:
        load.close()
        words = " ".join(filter(None, [part.stop() for part in parts]))
    if words:
        raise CrowdError(words)
    took = [found["seconds"] * 1e3 for found in rounds]
    return {
        ROUND.name: statistics.median(took),
        "round_max": max(took),
        CPU.name: statistics.median(found["server_cpu_s"] / case.connections * 1e6 for found in rounds),
        MESH_MEMORY.name: resident / 2**20,
        "memory_before": before / 2**20,
        CONNECTING.name: connected,
        "others_share": others,
    }


def _resident(target: Target) -> int:
    return sum(server.resident_bytes() for server in target.servers)


def main(port: int, count: int, first: int, size: int) -> None:
    """Be a part."""
    load = Load(links_max=count, size=size, subjects=[b"bench.ask"])
    try:
        hello = connect_line() + b"SUB bench.ask 1\r\n"
        print(load.connect("scattered", count, port=port, hello=hello, first=first, deadline_s=READY_S), flush=True)
        while not select([sys.stdin], [], [], 0)[0]:
            load.serve(TURN_S)
    finally:
        load.close()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]))
