"""What the details of an account say of its exports, imports and mappings: the same rows from both servers."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gossamer.mesh.testing.process import GossamerProcess, NatsServerProcess, ServerProcess

CONFIG = """
accounts {
  A: {
    users: [{user: ann, password: pa}]
    mappings: {
      "map.in": "map.out"
      "split.>": [{destination: "s1.>", weight: 60%}, {destination: "s2.>", weight: 40%}]
    }
    exports: [
      {stream: "pubs.>"}
      {stream: "private.>", accounts: [B]}
      {service: "svc.one", latency: {sampling: 100%, subject: "lat.one"}}
      {service: "svc.many", response_type: stream}
    ]
  }
  B: {
    users: [{user: bob, password: pb}]
    imports: [
      {stream: {account: A, subject: "pubs.>"}, prefix: "fromA"}
      {stream: {account: A, subject: "private.>"}, to: "mine.>"}
      {service: {account: A, subject: "svc.one"}}
      {service: {account: A, subject: "svc.many"}, to: "all", share: true}
    ]
  }
  SYS: { users: [{user: sys, password: ps}] }
}
system_account: SYS
"""


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ServerProcess]]:
    reason = NatsServerProcess.missing()
    if reason is not None:
        pytest.skip(reason)
    kinds: tuple[type[ServerProcess], ...] = (GossamerProcess, NatsServerProcess)
    running: list[ServerProcess] = []
    try:
        for kind in kinds:
            server = kind(tmp_path_factory.mktemp(kind.kind), config=CONFIG, monitor=True)
            running.append(server)
            server.start()
        yield running
    finally:
        for server in running:
            server.stop()


@pytest.mark.parametrize("account", ["A", "B", "SYS"])
@pytest.mark.parametrize("part", ["exports", "imports", "mappings"])
def test_same_rows(both: list[ServerProcess], account: str, part: str) -> None:
    rows = []
    for server in both:
        detail = server.monitor(f"/accountz?acc={account}")["account_detail"]
        rows.append(_sorted(detail.get(part)))
    assert rows[0] == rows[1]


def _sorted(value: Any) -> Any:
    """Rows come in any order; of a mapping's shares only the weights add up in the order in which they stand."""
    if isinstance(value, list):
        return sorted(json.dumps(row, sort_keys=True) for row in value)
    if isinstance(value, dict):
        return {source: sorted(target["subject"] for target in targets) for source, targets in value.items()}
    return value


def test_weights_add_up(both: list[ServerProcess]) -> None:
    for server in both:
        mappings = server.monitor("/accountz?acc=A")["account_detail"]["mappings"]
        assert [target["weight"] for target in mappings["split.>"]][-1] == 100
        assert mappings["map.in"] == [{"subject": "map.out", "weight": 100}]
