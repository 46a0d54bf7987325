"""Lame duck mode (spec: client-protocol section 19; checklist item 41)."""

import signal
import socket
import time

import pytest

from gossamer.mesh.testing.plugin import Dial, Join, StartServer

CONFIG = 'lame_duck_grace_period: "1s"\nlame_duck_duration: "30s"\n'


def test_lame_duck(start_server: StartServer, dial: Dial, join: Join) -> None:
    """Item 41: INFO with ldm once, new connections refused, traffic goes on, close after the grace period, exit 0."""
    server = start_server(config=CONFIG)
    modern, old = dial(server), join(server, protocol=0)
    first = modern.handshake(protocol=1)
    address = server.address
    server.signal(signal.SIGUSR2)
    start = time.monotonic()
    info = modern.read_info()
    assert info["ldm"] is True
    assert info["client_id"] == first["client_id"]
    assert "connect_urls" not in info
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=5)
    modern.send(b"SUB duck.a 1\r\n")
    modern.ping()
    old.publish("duck.a", b"quack")
    old.ping()
    modern.expect(b"MSG duck.a 1 5\r\nquack\r\n")
    modern.expect_close()
    assert time.monotonic() - start > 0.9
    old.expect_close()
    assert server.wait() == 0
    assert "Entering lame duck mode, stop accepting new clients" in server.log
    assert "Closing existing clients" in server.log


def test_no_info_before_the_first_pong(start_server: StartServer, dial: Dial) -> None:
    """Section 4.3: a client that has not had its first PONG is not told."""
    server = start_server(config=CONFIG)
    early, through = dial(server), dial(server)
    early.read_info()
    early.connect(protocol=1)
    through.handshake(protocol=1)
    server.signal(signal.SIGUSR2)
    assert through.read_info()["ldm"] is True
    early.expect_close()


def test_term_is_ignored_int_is_not(start_server: StartServer, join: Join) -> None:
    """Section 19, step 7."""
    server = start_server(config='lame_duck_grace_period: "20s"\nlame_duck_duration: "30s"\n')
    client = join(server, protocol=1)
    server.signal(signal.SIGUSR2)
    assert client.read_info()["ldm"] is True
    server.signal(signal.SIGTERM)
    server.wait_for_log('Trapped "terminated" signal')
    client.ping()
    server.signal(signal.SIGINT)
    client.expect_close()
    assert server.wait() == 0
