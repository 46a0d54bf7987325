"""What the operating system knows about this process: memory and processor time."""

import os
import resource

from gossamer.mesh.world import Disk

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident_bytes(disk: Disk) -> int:
    """Memory in RAM; 0 where the system does not say."""
    try:
        return int(disk.read("/proc/self/statm").split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return 0


def cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0))


def processor_s() -> float:
    """Processor seconds used so far, all threads, user and system."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


class ProcessorShare:
    """Percent of one core, over the time since the last question (at least a second)."""

    __slots__ = ("_at_ns", "_percent", "_used_s")

    def __init__(self, now_ns: int) -> None:
        self._at_ns = now_ns
        self._used_s = processor_s()
        self._percent = 0.0

    def percent(self, now_ns: int) -> float:
        passed_s = (now_ns - self._at_ns) / 1e9
        if passed_s >= 1:
            used_s = processor_s()
            self._percent = round(max(0.0, (used_s - self._used_s) / passed_s * 100), 1)
            self._at_ns, self._used_s = now_ns, used_s
        return self._percent
