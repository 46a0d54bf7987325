"""STATSZ, LAMEDUCK and SHUTDOWN, heard from both servers."""

import signal
from collections.abc import Callable
from typing import Any

from gossamer.mesh.testing.plugin import Join, StartServer
from gossamer.mesh.testing.process import ServerProcess

CONFIG = """
accounts { A: { users: [{user: ann, password: pa}] }, SYS: { users: [{user: sys, password: ps}] } }
system_account: SYS
"""


def test_asked_for_without_a_reply(start_server: StartServer, listen: Callable[..., Any]) -> None:
    server = start_server(config=CONFIG)
    listener = listen(server, "sys", "$SYS.SERVER.*.STATSZ")
    listener.next(lambda event: True)  # the first one
    for _ in range(2):
        listener.wire.publish("$SYS.REQ.SERVER.PING")
        beat = listener.next(lambda event: True)
        assert list(beat.body) == ["server", "statsz"]
        assert beat.body["statsz"]["active_servers"] == 1
        assert beat.body["statsz"]["connections"] == 1


def test_nobody_hears_it_alone(start_server: StartServer) -> None:
    with_monitor: ServerProcess = start_server(config=CONFIG, monitor=True)
    assert with_monitor.monitor("/varz")["out_msgs"] == 0


def test_the_end_of_a_server(start_server: StartServer, listen: Callable[..., Any], join: Join) -> None:
    server = start_server(config=CONFIG)
    listener = listen(server, "sys", "$SYS.SERVER.*.LAMEDUCK", "$SYS.SERVER.*.SHUTDOWN")
    identity = listener.info["server_id"]
    join(server, user="ann", **{"pass": "pa"})
    server.signal(signal.SIGUSR2)
    leaving = listener.next(lambda event: True)
    assert leaving.subject == f"$SYS.SERVER.{identity}.LAMEDUCK"
    assert leaving.body["id"] == identity
    assert {"name", "host", "id", "ver", "jetstream", "flags", "seq", "time"} <= set(leaving.body)
    server.kill()  # it would take its time


def test_shutdown_is_said_with_a_bare_server_info(start_server: StartServer, listen: Callable[..., Any]) -> None:
    server = start_server(config=CONFIG)
    listener = listen(server, "sys", "$SYS.SERVER.*.SHUTDOWN")
    server.signal(signal.SIGTERM)
    said = listener.next(lambda event: True)
    assert said.subject == f"$SYS.SERVER.{listener.info['server_id']}.SHUTDOWN"
    assert said.body["id"] == listener.info["server_id"]
    server.wait()
