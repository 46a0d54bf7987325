"""Another cluster that takes its messages slowly (spec gateways 10, routes 14)."""

import socket
import time
from typing import Any

import pytest
from gateway_site import CONFIG, Cluster

DEADLINE_S = 0.5


@pytest.mark.parametrize("policy", ["retry", "close"])
def test_who_reads_slowly_is_kept_unless_said_otherwise(start_site: Any, policy: str) -> None:
    how = f'write_deadline: "{int(DEADLINE_S * 1000)}ms", write_timeout: {policy} }}'
    site = start_site(CONFIG.rstrip().removesuffix("}") + ", " + how)
    cluster, client = Cluster(site), site.client()
    cluster.dial()
    cluster.taken = cluster.take()
    cluster.wants("A", "flood")
    for _ in range(30):
        client.publish("flood", b"x" * 900_000)
    end = time.monotonic() + 5 * DEADLINE_S
    kept = True
    cluster.taken.socket.setblocking(False)
    while kept and time.monotonic() < end:  # some megabytes of 27
        kept = _take(cluster.taken.socket)
        time.sleep(DEADLINE_S / 12)  # what is slow here is the peer
    cluster.door.shut()
    if policy == "retry":
        assert kept
        assert site.outbound(cluster.name) is not None
        return
    deadline = time.monotonic() + 5
    while site.outbound(cluster.name) is not None:
        assert time.monotonic() < deadline


def _take(connection: socket.socket) -> bool:
    """What is there; False: the other side has closed."""
    try:
        return bool(connection.recv(1 << 18))
    except BlockingIOError:
        return True
    except ConnectionError:
        return False
