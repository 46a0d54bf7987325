"""One run of one case against running servers: connections made, warmed up, measured, checked, closed."""

import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import crowd
from cases import CPU, LATENESS, MEMORY, P50, P99, RATE, REQUEST_RATE, ROUND, WIRE, Case, Work
from interest import announce, propagation
from load import Load
from servers import STOP_S, Server, ServerError
from target import Target
from text import json_text
from traffic import TEXT_PHASES
from trust import connect_line

HEADER = b"NATS/1.0\r\nBench-Trace: 0123456789abcdef\r\n\r\n"
SCATTER_ROUNDS = 4
MEMORY_FIRST = 16
SPREAD_S = 20.0
Figures = dict[str, float]


def _load(case: Case, target: Target, links: int, **options: object) -> Load:
    return Load(links_max=links, size=case.size, pids=target.pids, **options)


def _cpu(outcome: dict[str, float]) -> Figures:
    count = outcome["delivered"] or outcome["sent"]
    return {
        CPU.name: outcome["server_cpu_s"] / count * 1e6,
        "client_share": outcome["client_cpu_s"] / outcome["seconds"],
        "messages": count,
        "seconds": outcome["seconds"],
    }


def _flooded(case: Case, target: Target, load: Load) -> None:
    if case.subjects > 1:
        subscription = b"SUB bench.*.> 1\r\n"
    else:
        heard = target.setting.heard if target.setting is not None else b"bench.msg"
        subscription = b"SUB %b workers 1\r\n" % heard if case.queue else b"SUB %b 1\r\n" % heard
    topology = case.topology
    publish, subscribe = target.servers[topology.publish_at].port, target.servers[topology.subscribe_at].port
    if target.trust is None:
        if case.subscribers:
            load.connect(
                "subscriber", case.subscribers, port=subscribe, hello=target.hello(publisher=False) + subscription
            )
        load.connect("publisher", 1, port=publish, hello=target.hello(publisher=True))
    else:
        for _ in range(case.subscribers):
            load.adopt("subscriber", target.trust.subscriber.enter(subscribe, subscription).detach())
        load.adopt("publisher", target.trust.publisher.enter(publish, b"").detach())
    if case.subscribers:
        load.probe(SPREAD_S)


def flood(case: Case, target: Target, seconds: float) -> Figures:
    """Publish without pause; the rate counts deliveries, or publishes where nobody subscribes."""
    subjects = (
        [b"bench.%03d.%06d" % (n % 100, n) for n in range(case.subjects)] if case.subjects > 1 else [b"bench.msg"]
    )
    setting = target.setting
    load = _load(
        case,
        target,
        case.subscribers + 1,
        subjects=subjects if setting is None else [setting.published],
        heard=None if setting is None else [setting.heard],
        header=HEADER if case.headers else b"",
        queue=case.queue,
        text=json_text(TEXT_PHASES * case.size) if case.text else b"",
    )
    carried = 0
    try:
        if target.relay is not None and not target.relay.is_open:
            target.relay.open()
            target.relay.opened_ns()
        _flooded(case, target, load)
        load.flood(seconds / 4)
        if target.relay is not None:
            carried -= sum(target.relay.count())
        outcome = load.flood(seconds)
        load.settle()
        if target.relay is not None:
            carried += sum(target.relay.count())
    finally:
        load.close()
    figures = _cpu(outcome)
    figures[RATE.name] = figures["messages"] / figures["seconds"] / 1e6
    if carried:
        figures[WIRE.name] = carried / figures["messages"]
    return figures


@contextmanager
def _on_one_processor(server: Server) -> Iterator[None]:
    before = os.sched_getaffinity(0)
    processor = min(before)
    server.pin(processor)
    os.sched_setaffinity(0, {processor})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def requests(case: Case, target: Target, seconds: float) -> Figures:
    """Each requester waits for its reply before it asks again; each request has a reply subject of its own."""
    setting = target.setting
    asked, heard = (b"bench.echo",) * 2 if setting is None else (setting.published, setting.heard)
    options = {"reply_heard": setting.reply_length} if setting is not None and setting.reply_length else {}
    load = _load(case, target, case.requesters + 1, subjects=[asked], heard=[heard], **options)
    port = target.servers[0].port

    def run() -> dict[str, float]:
        load.connect("responder", 1, port=port, hello=target.hello(publisher=False) + b"SUB %b 1\r\n" % heard)
        load.connect("requester", case.requesters, port=port, hello=target.hello(publisher=True))
        load.requests(seconds / 4)
        found: dict[str, float] = load.requests(seconds)
        load.settle()
        return found

    try:
        if case.pinned:
            with _on_one_processor(target.servers[0]):
                outcome = run()
        else:
            outcome = run()
    finally:
        load.close()
    latencies = sorted(outcome["latencies_ns"])  # type: ignore[call-overload]
    figures = _cpu(outcome)
    figures[REQUEST_RATE.name] = figures["messages"] / figures["seconds"] / 1e3
    for name, share in ((P50.name, 0.5), (P99.name, 0.99), ("p999", 0.999), ("max", 1.0)):
        figures[name] = latencies[min(len(latencies) - 1, int(len(latencies) * share))] / 1e3
    return figures


def scatter(case: Case, target: Target, seconds: float) -> Figures:
    """One request to all, one reply from each; the median of some rounds, the first one thrown away."""
    load = _load(case, target, case.connections + 1, subjects=[b"bench.ask"])
    port = target.servers[0].port
    try:
        hello = connect_line() + b"SUB bench.ask 1\r\n"
        connected = load.connect("scattered", case.connections, port=port, hello=hello)
        load.connect("collector", 1, port=port, hello=connect_line())
        load.scatter()
        rounds = [load.scatter() for _ in range(SCATTER_ROUNDS)]
    finally:
        load.close()
    figures = {name: statistics.median(_cpu(found)[name] for found in rounds) for name in _cpu(rounds[0])}
    figures[ROUND.name] = figures["seconds"] * 1e3
    figures["connect_s"] = connected
    return figures


def memory(case: Case, target: Target, seconds: float) -> Figures:
    """Growth of a fresh server's resident memory for each connection that has sent CONNECT and nothing else."""
    load = _load(case, target, case.connections + MEMORY_FIRST)
    server = target.servers[0]
    try:
        # What a server allocates once, whoever comes first, is not a connection's price.
        load.connect("idle", MEMORY_FIRST, port=server.port, hello=connect_line())
        before = server.resident_bytes()
        connected = load.connect("idle", case.connections, port=server.port, hello=connect_line())
        after = server.resident_bytes()
        load.settle()
    finally:
        load.close()
    return {MEMORY.name: (after - before) / case.connections, "connect_s": connected}


def lateness(case: Case, target: Target, seconds: float) -> Figures:
    """How late a 2 ms timer of the server's own event loop fires during a flood.

    The server writes what it measured as JSON when it ends: lists ``at_s`` (monotonic clock) and ``late_ms``.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        report = Path(folder) / "timer.json"
        with Server(target.kind, environment={"GOSSAMER_TIMER_PROBE": str(report)}) as server:
            inner = Target(target.label, target.kind, target.secured, [server])
            figures = flood(case, inner, seconds)
            # Connecting and warming up are left out: the measured flood's end is known, and how long it took.
            end = time.monotonic()
            begin = end - figures["seconds"]
            server.process.send_signal(signal.SIGTERM)
            server.process.wait(STOP_S)
        try:
            found = json.loads(report.read_text())
        except (OSError, ValueError) as error:
            raise ServerError(f"{target.kind} wrote no timer report (GOSSAMER_TIMER_PROBE): {error}") from None
    late = sorted(late for at, late in zip(found["at_s"], found["late_ms"], strict=True) if begin <= at <= end)
    if not late:
        raise ServerError("the timer did not fire once during the flood")
    return {
        LATENESS.name: late[min(len(late) - 1, int(len(late) * 0.99))],
        "late_p50": late[len(late) // 2],
        "late_max": late[-1],
        "samples": len(late),
        "flood_rate": figures[RATE.name],
    }


RUNS = {
    Work.FLOOD: flood,
    Work.REQUESTS: requests,
    Work.SCATTER: scatter,
    Work.MEMORY: memory,
    Work.LATENESS: lateness,
    Work.ANNOUNCE: announce,
    Work.PROPAGATION: propagation,
    Work.MESH_SCATTER: crowd.scatter,
}
"""What to call for a case: ``(case, target, seconds)``; raises LoadError, ServerError, ConnectionError."""
