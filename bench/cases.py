"""The table of cases: what is run, and what it must reach. The figures are the requirements of the node.

A factor is always "how many times better than the baseline": more messages, or less time, CPU or memory.
"""

from dataclasses import dataclass
from enum import Enum

from topology import CLUSTER, SINGLE, Topology


class Work(Enum):
    """What a case does; ``measure`` has one function for each."""

    FLOOD = "flood"
    REQUESTS = "requests"
    SCATTER = "scatter"
    MEMORY = "memory"
    LATENESS = "lateness"
    ANNOUNCE = "announce"
    PROPAGATION = "propagation"
    MESH_SCATTER = "mesh scatter"


class Crossing(Enum):
    """What a message passes on its way, beside permissions; ``sharing`` has a setting for each."""

    NONE = "none"
    SERVICE = "a service import"
    STREAM = "a stream import"
    MAPPING = "a mapped subject"


@dataclass(frozen=True)
class Metric:
    """A figure of a run: how it is called, shown, and in which direction it is better."""

    name: str
    unit: str
    higher_is_better: bool = False
    digits: int = 2


RATE = Metric("rate", "M msg/s", higher_is_better=True)
REQUEST_RATE = Metric("requests", "k req/s", higher_is_better=True, digits=1)
CPU = Metric("cpu", "CPU us/msg", digits=3)
P50 = Metric("p50", "p50 us", digits=0)
P99 = Metric("p99", "p99 us", digits=0)
ROUND = Metric("round", "ms", digits=1)
MEMORY = Metric("memory", "B/connection", digits=0)
ANNOUNCE = Metric("announced", "announced ms", digits=0)
PROPAGATION_P50 = Metric("propagation_p50", "p50 ms")
PROPAGATION_P99 = Metric("propagation_p99", "p99 ms")
WIRE = Metric("wire", "B/msg on the wire", digits=1)
MESH_MEMORY = Metric("mesh_memory", "MiB, all nodes", digits=0)
CONNECTING = Metric("connecting", "s to connect", digits=1)
LATENESS = Metric("late_p99", "late p99 ms", digits=2)


@dataclass(frozen=True)
class Check:
    """What a figure must reach.

    ``factor``: at least so many times better than the baseline (None: shown, not judged). ``at_most``: absolute, in
    the metric's unit. ``share``: at least this share of the same server's figure without security.
    """

    metric: Metric
    factor: float | None = None
    at_most: float | None = None
    share: float | None = None


@dataclass(frozen=True)
class Case:
    """One row.

    ``size`` is the payload in bytes; ``connections``: those that do nothing by themselves; ``text``: payloads as a
    compressor meets them; ``runs_max``: so many runs are enough.
    """

    name: str
    title: str
    work: Work
    checks: tuple[Check, ...]
    size: int = 16
    subscribers: int = 0
    queue: bool = False
    headers: bool = False
    subjects: int = 1
    requesters: int = 0
    pinned: bool = False
    connections: int = 0
    topology: Topology = SINGLE
    text: bool = False
    runs_max: int = 99
    secured: bool = False
    crossing: Crossing | None = None
    only_subject: bool = False


def _flood(name: str, title: str, factor: float | None, **options: object) -> Case:
    checks = (Check(RATE, factor=factor), Check(CPU, factor=factor))
    return Case(name, title, Work.FLOOD, checks, **options)  # type: ignore[arg-type]


#: A message through an import or a mapping costs at most 1.5 times the CPU of a plain one, and nats-server needs at
#: least three times as long.
_CROSSING_CHECKS = (Check(RATE, factor=3.0), Check(CPU, factor=3.0), Check(CPU, share=1 / 1.5))


def _crossing(crossing: Crossing) -> Case:
    return Case(
        f"{crossing.name.lower()}/128",
        f"through {crossing.value}, 128 B",
        Work.FLOOD,
        _CROSSING_CHECKS,
        size=128,
        subscribers=1,
        crossing=crossing,
    )


NODE_CASES: tuple[Case, ...] = (
    _flood("pub/16", "publish only, 16 B", 4.0),
    _flood("f1/16", "1 publisher, 1 subscriber, 16 B", 6.0, subscribers=1),
    _flood("f1/128", "1 publisher, 1 subscriber, 128 B", 3.5, size=128, subscribers=1),
    _flood("f1/1024", "1 publisher, 1 subscriber, 1 KiB", 2.0, size=1024, subscribers=1),
    _flood("f10/16", "fan-out 10, 16 B", 7.0, subscribers=10),
    _flood("f100/128", "fan-out 100, 128 B", 2.5, size=128, subscribers=100),
    _flood("f100/1024", "fan-out 100, 1 KiB", 1.2, size=1024, subscribers=100),
    _flood("queue4/128", "queue group of 4, 128 B", 4.0, size=128, subscribers=4, queue=True),
    _flood("hdr/128", "headers, 128 B", 4.0, size=128, subscribers=1, headers=True),
    _flood("subj100k/16", "100,000 distinct subjects to a wildcard", 3.5, subscribers=1, subjects=100_000),
    Case(
        "rr100/16",
        "100 synchronous requesters",
        Work.REQUESTS,
        (Check(REQUEST_RATE, factor=2.0), Check(P99, factor=2.0), Check(P50), Check(CPU, factor=2.0)),
        requesters=100,
    ),
    Case(
        "rr1/16",
        "1 requester",
        Work.REQUESTS,
        (Check(P50, factor=1.0), Check(P99, factor=1.0), Check(REQUEST_RATE), Check(CPU, factor=1.0)),
        requesters=1,
    ),
    Case(
        "rr1same/16",
        "1 requester, client and server on one core",
        Work.REQUESTS,
        (Check(P50, factor=1.0), Check(P99, factor=1.0), Check(REQUEST_RATE), Check(CPU, factor=1.0)),
        requesters=1,
        pinned=True,
    ),
    Case(
        "scatter10k",
        "10,000 idle subscribers, one request, 10,000 replies",
        Work.SCATTER,
        (Check(ROUND, factor=1.7), Check(CPU, factor=1.7)),
        connections=10_000,
    ),
    Case(
        "memory10k",
        "process memory for each of 10,000 idle connections",
        Work.MEMORY,
        (Check(MEMORY, at_most=4096),),
        connections=10_000,
    ),
    Case(
        "cluster/128",
        "publisher on node 1, subscriber on node 2, 128 B",
        Work.FLOOD,
        (Check(RATE, factor=3.0), Check(CPU)),
        size=128,
        subscribers=1,
        topology=CLUSTER,
    ),
    Case(
        "cluster-secured/128",
        "the same with operator-mode users, 20 rules each",
        Work.FLOOD,
        (Check(RATE, share=0.85), Check(CPU)),
        size=128,
        subscribers=1,
        topology=CLUSTER,
        secured=True,
    ),
    Case(
        "f1-secured/128",
        "one node: operator-mode users, 20 rules each",
        Work.FLOOD,
        (Check(RATE, share=0.85), Check(CPU)),
        size=128,
        subscribers=1,
        secured=True,
    ),
    *(_crossing(each) for each in (Crossing.SERVICE, Crossing.STREAM, Crossing.MAPPING)),
    Case(
        "service-rr100/16",
        "100 synchronous requesters through a service import",
        Work.REQUESTS,
        (Check(REQUEST_RATE), Check(P99, factor=1.0), Check(CPU, factor=2.0), Check(CPU, share=1 / 1.5)),
        requesters=100,
        crossing=Crossing.SERVICE,
    ),
    Case(
        "timer",
        "lateness of a 2 ms control-plane timer, fan-out 100",
        Work.LATENESS,
        (Check(LATENESS, at_most=10.0),),
        size=128,
        subscribers=100,
        only_subject=True,
    ),
)
