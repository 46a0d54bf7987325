"""Bytes that arrive together with, or right behind, what has to be judged first (spec: client-protocol 1, 5).

A server may ask somebody else about a CONNECT; what the client sent in the meantime must wait, and must not be lost.
"""

import pytest

from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.process import ServerProcess

USERS = "authorization { users: [ {user: u, password: p}, {user: v, password: p, permissions: {publish: x}} ] }\n"
LOGIN = b'CONNECT {"verbose":false,"pedantic":false,"user":"u","pass":"p"}\r\n'
RESTRICTED = b'CONNECT {"verbose":false,"user":"v","pass":"p"}\r\n'
WORK = b"SUB pipe.a 1\r\nPUB pipe.a 2\r\nhi\r\nPING\r\n"
DONE = b"MSG pipe.a 1 2\r\nhi\r\nPONG\r\n"


@pytest.mark.parametrize("step", [1, 2, 5, 1000])
def test_one_flight_with_credentials(shared_server: StartServer, dial: Dial, step: int) -> None:
    """Items 29, 30: CONNECT, SUB, PUB, PING without waiting for anything, not even INFO."""
    client = dial(shared_server(config=USERS))
    client.send_bytewise(LOGIN + WORK, step=step)
    client.read_info()
    client.expect(DONE)
    client.ping()


def test_every_split_of_connect_and_work(shared_server: StartServer, dial: Dial) -> None:
    """Item 29: the cut may be anywhere around the end of CONNECT."""
    server = shared_server(config=USERS)
    text = LOGIN + WORK
    for cut in range(len(LOGIN) - 3, len(LOGIN) + 20):
        client = dial(server)
        client.read_info()
        client.send(text[:cut])
        client.send(text[cut:])
        client.expect(DONE)


def test_a_megabyte_behind_connect(shared_server: StartServer, dial: Dial) -> None:
    """Item 30."""
    client = dial(shared_server(config=USERS))
    client.send(LOGIN + b"SUB pipe.b 1\r\n" + b"PUB pipe.b 1000\r\n" + b"x" * 1000 + b"\r\n")
    client.send((b"PUB pipe.b 1000\r\n" + b"y" * 1000 + b"\r\n") * 1000)
    client.read_info()
    assert len(client.read_messages_until_pong()) == 1001


def test_connects_in_a_row(shared_server: StartServer, dial: Dial) -> None:
    """Item 66: each is judged before what follows; options, permissions and subscriptions change in between."""
    client = dial(shared_server(config=USERS))
    client.read_info()
    publish = b"PUB pipe.c 0\r\n\r\n"
    client.send(LOGIN + b"SUB pipe.c 1\r\n" + publish + RESTRICTED + b"SUB pipe.c 2\r\n" + publish + LOGIN)
    client.send(b"SUB pipe.c 3\r\n" + publish + b"PING\r\n")
    client.expect(
        b"MSG pipe.c 1 0\r\n\r\n-ERR 'Permissions Violation for Publish to \"pipe.c\"'\r\n"
        b"MSG pipe.c 3 0\r\n\r\nPONG\r\n"
    )


def test_bad_connect_in_the_middle(shared_server: StartServer, dial: Dial, join: Join) -> None:
    """Item 66: what stands before counts, what stands behind does not."""
    server = shared_server(config=USERS)
    hearer = join(server, user="u", **{"pass": "p"})
    hearer.subscribe("pipe.d", 1)
    hearer.ping()
    client = dial(server)
    client.read_info()
    client.send(
        LOGIN + b"PUB pipe.d 3\r\none\r\n" + b'CONNECT {"user":"u","pass":"x"}\r\n' + b"PUB pipe.d 3\r\ntwo\r\n"
    )
    client.expect(b"-ERR 'Authorization Violation'\r\n")
    client.expect_close()
    hearer.expect(b"MSG pipe.d 1 3\r\none\r\n")
    hearer.ping()


@pytest.mark.parametrize("config", ["", USERS], ids=["open", "users"])
@pytest.mark.parametrize("count", [1, 1000])
def test_publish_and_be_gone(shared_server: StartServer, dial: Dial, join: Join, config: str, count: int) -> None:
    """Everything sent before an orderly end of the stream is delivered."""
    server = shared_server(config=config)
    hearer = join(server, user="u", **{"pass": "p"})
    hearer.subscribe("pipe.e", 1)
    hearer.ping()
    client = dial(server)
    client.send(LOGIN + b"".join(b"PUB pipe.e 4\r\n%04d\r\n" % number for number in range(count)))
    client.finish_sending()
    for number in range(count):
        hearer.expect(b"MSG pipe.e 1 4\r\n%04d\r\n" % number)
    client.read_info()
    client.expect_close()
    hearer.ping()


def test_answers_after_the_end_of_the_stream(server: ServerProcess, join: Join) -> None:
    """Section 1, step 12: what is queued goes out before the close."""
    client = join(server)
    client.send(b"SUB pipe.f 1\r\n" + b"PUB pipe.f 1000\r\n" + b"x" * 1000 + b"\r\nPING\r\n")
    client.finish_sending()
    client.expect(b"MSG pipe.f 1 1000\r\n", b"x" * 1000, b"\r\nPONG\r\n")
    client.expect_close()


def test_no_connect_and_everything_in_one_write(server: ServerProcess, dial: Dial) -> None:
    """Item 26: on an open server the first verb is any verb."""
    client = dial(server)
    client.send(b"PUB pipe.g 1\r\nx\r\nSUB pipe.g 1\r\nPUB pipe.g 1\r\ny\r\nUNSUB 1\r\nPING\r\n")
    client.read_info()
    client.expect(b"+OK\r\n+OK\r\n+OK\r\nMSG pipe.g 1 1\r\ny\r\n+OK\r\nPONG\r\n")


def test_connect_after_work(server: ServerProcess, dial: Dial) -> None:
    """Items 26, 66: a late first CONNECT changes the options; what was subscribed before it stays."""
    client = dial(server)
    client.send(b'SUB pipe.h 1\r\nCONNECT {"verbose":false,"pedantic":false}\r\n')
    client.send(b"PUB pipe.h 0\r\n\r\nPUB > 0\r\n\r\nPING\r\n")
    client.read_info()
    client.expect(b"+OK\r\nMSG pipe.h 1 0\r\n\r\nPONG\r\n")
