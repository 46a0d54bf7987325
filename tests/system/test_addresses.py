"""Where clients are told to go when a server listens everywhere: the same addresses as nats-server tells."""

import json
import time
import urllib.request
from pathlib import Path

import pytest

from gossamer.mesh.testing.cluster import ClusterProcesses
from gossamer.mesh.testing.process import GossamerProcess, NatsServerProcess, ServerProcess


def test_all_addresses(tmp_path: Path) -> None:
    reason = NatsServerProcess.missing()
    if reason is not None:
        pytest.skip(reason)
    told = []
    kinds: tuple[type[ServerProcess], ...] = (GossamerProcess, NatsServerProcess)
    for kind in kinds:
        cluster = ClusterProcesses(tmp_path / kind.kind, [kind] * 2, host="0.0.0.0", monitor=True, advertised=False)
        try:
            first = cluster.start().nodes[0]
            told.append({url.removesuffix(f":{first.port}") for url in _urls(first) if url.endswith(f":{first.port}")})
        finally:
            cluster.stop()
    assert told[0] == told[1]
    assert told[0]


def _urls(server: ServerProcess) -> list[str]:
    """What clients are told, once there is another server to be told of."""
    deadline = time.monotonic() + 10
    while True:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.monitor_port}/varz", timeout=5) as answer:
            found: list[str] = json.load(answer).get("connect_urls", [])
        if found:
            return found
        assert time.monotonic() < deadline, "the servers do not find each other"
        time.sleep(0.02)
