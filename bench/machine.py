"""What the numbers were measured on, and whether something else was using it meanwhile."""

import os
import platform
import subprocess
import time
from pathlib import Path

from servers import ROOT, ServerError, command, cpu_seconds

DISTURBED = 0.15
"""Share of a core other processes may take before a run is repeated."""


def describe() -> dict[str, str | int | float]:
    """Cores, CPU model, memory, kernel, Python and versions; no names of hosts, users or folders."""
    model, memory = "unknown", 0
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            memory = round(int(line.split()[1]) / 1024 / 1024)
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": memory,
        "kernel": f"{platform.system()} {platform.release().partition('-')[0]}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "nats_server": _nats_server_version(),
        "gossamer": _gossamer_version(),
    }


def _nats_server_version() -> str:
    try:
        shown = subprocess.run([*command("nats-server"), "--version"], capture_output=True, text=True, timeout=10)
    except (OSError, ServerError, subprocess.TimeoutExpired):
        return "not there"
    return shown.stdout.strip().rpartition(" ")[2].removeprefix("v")


def _gossamer_version() -> str:
    for line in (ROOT / "mesh" / "version.py").read_text().splitlines():
        if line.startswith("VERSION"):
            version = line.split('"')[1]
            break
    else:
        version = "unknown"
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        commit = ""
    return f"{version} ({commit})" if commit else version


class Watch:
    """Measures what the rest of the machine does from its creation on.

    ``pids`` are the processes that belong to the benchmark, beside this one.
    """

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self._start = time.monotonic()
        self._busy, self._softirq = _machine_seconds()
        self._ours = self._own_seconds()

    def _own_seconds(self) -> float:
        return time.process_time() + sum(cpu_seconds(pid) for pid in self._pids)

    def others(self) -> float:
        """Share of one core that other processes (or, as steal, other machines) took; resolution 10 ms."""
        busy, _ = _machine_seconds()
        elapsed = max(time.monotonic() - self._start, 0.01)
        return max(0.0, (busy - self._busy) - (self._own_seconds() - self._ours)) / elapsed

    def softirq_seconds(self) -> float:
        """Time in soft interrupts (TCP receive processing, both sides), which belongs to no process's account."""
        return _machine_seconds()[1] - self._softirq


def _machine_seconds() -> tuple[float, float]:
    with open("/proc/stat") as lines:
        user, nice, system, _idle, _wait, _irq, softirq, steal, *_ = map(int, lines.readline().split()[1:])
    tick = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + steal) / tick, softirq / tick


def wait_until_quiet(pids: list[int], deadline_s: float) -> bool:
    """Wait for 0.3 s in which others take little; False when the deadline came first."""
    deadline = time.monotonic() + deadline_s
    while time.monotonic() < deadline:
        watch = Watch(pids)
        time.sleep(0.3)
        if watch.others() <= DISTURBED:
            return True
    return False
