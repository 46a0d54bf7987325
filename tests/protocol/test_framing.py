"""Bytes into protocol lines (spec: client-protocol section 2; checklist items 21, 22, 28-30, 76)."""

import pytest

from gossamer.mesh.testing.plugin import Dial, Join
from gossamer.mesh.testing.process import ServerProcess

UNKNOWN = b"-ERR 'Unknown Protocol Operation'\r\n"
HEADERS = b"NATS/1.0\r\nA: b\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        pytest.param(b"ping\r\n", b"PONG\r\n", id="lower case"),
        pytest.param(b"PiNg\n", b"PONG\r\n", id="mixed case, bare LF"),
        pytest.param(b"PINGxyz abc\r\n", b"PONG\r\n", id="anything after PING"),
        pytest.param(b"PING\t\r\n", b"PONG\r\n", id="tab after PING"),
        pytest.param(b"PONG\r\n", b"", id="unsolicited PONG"),
        pytest.param(b"PONGxyz abc\r\n", b"", id="anything after PONG"),
        pytest.param(b"+OK\r\n", b"", id="+OK is ignored"),
        pytest.param(b"+ok whatever\r\n", b"", id="+ok with a tail"),
        pytest.param(b'INFO {"a":1} \r\n', b"", id="INFO is ignored"),
        pytest.param(b"sub f.lower 1\r\npub f.lower 2\r\nhi\r\n", b"MSG f.lower 1 2\r\nhi\r\n", id="lower case verbs"),
        pytest.param(b"SuB f.mixed 1\r\npUb f.mixed 0\r\n\r\n", b"MSG f.mixed 1 0\r\n\r\n", id="mixed case verbs"),
        pytest.param(b"SUB\tf.tab\t1\r\nPUB\tf.tab\t2\r\nhi\r\n", b"MSG f.tab 1 2\r\nhi\r\n", id="tabs"),
        pytest.param(
            b"SUB  \t f.run \t 1  \r\nPUB  f.run   r \t 2 \r\nhi\r\n", b"MSG f.run 1 r 2\r\nhi\r\n", id="runs of blanks"
        ),
        pytest.param(b"SUB f.lf 1\nPUB f.lf 2\nhi\r\n", b"MSG f.lf 1 2\r\nhi\r\n", id="bare LF ends a control line"),
        pytest.param(b"SUB f.cr 1\r\nPUB f.cr 4\r\na\r\nb\r\n", b"MSG f.cr 1 4\r\na\r\nb\r\n", id="CR LF in a payload"),
        pytest.param(
            b"SUB f.\xff\xfe\x01 s\x02\r\nPUB f.\xff\xfe\x01 r\x80 1\r\nx\r\n",
            b"MSG f.\xff\xfe\x01 s\x02 r\x80 1\r\nx\r\n",
            id="invalid UTF-8 and control bytes",
        ),
        pytest.param(b"unsub 1\r\nUnsub\t1\t5 \r\n", b"", id="UNSUB"),
        pytest.param(
            b"SUB f.h 1\r\nhpub f.h 18 20\r\n" + HEADERS + b"hi\r\n",
            b"HMSG f.h 1 18 20\r\n" + HEADERS + b"hi\r\n",
            id="lower case HPUB",
        ),
        pytest.param(b"PUB f.size 0\r\n\r\n", b"", id="empty payload"),
    ],
)
def test_accepted(server: ServerProcess, join: Join, sent: bytes, expected: bytes) -> None:
    """Section 2: the connection goes on."""
    client = join(server, headers=True)
    client.send(sent)
    client.expect(expected)
    client.ping()


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"\r\n", id="blank line"),
        pytest.param(b"\n", id="LF alone"),
        pytest.param(b" PING\r\n", id="leading space"),
        pytest.param(b"\tPING\r\n", id="leading tab"),
        pytest.param(b"GET / HTTP/1.1\r\n", id="HTTP"),
        pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", id="TLS hello"),
        pytest.param(b"FOO\r\n", id="unknown verb"),
        pytest.param(b"PIXG\r\n", id="almost PING"),
        pytest.param(b"PUB\r\n", id="PUB without a blank"),
        pytest.param(b"SUB\r\n", id="SUB without a blank"),
        pytest.param(b"UNSUB\r\n", id="UNSUB without a blank"),
        pytest.param(b"HPUB\r\n", id="HPUB without a blank"),
        pytest.param(b"PUBX a 0\r\n", id="letters after PUB"),
        pytest.param(b"MSG a 1 0\r\n\r\n", id="MSG from a client"),
        pytest.param(b"HMSG a 1 12 12\r\nNATS/1.0\r\n\r\n\r\n", id="HMSG from a client"),
        pytest.param(b"RMSG $G a 0\r\n\r\n", id="RMSG from a client"),
        pytest.param(b"RS+ $G a\r\n", id="RS+ from a client"),
        pytest.param(b"RS- $G a\r\n", id="RS- from a client"),
        pytest.param(b"LS+ a\r\n", id="LS+ from a client"),
        pytest.param(b"LS- a\r\n", id="LS- from a client"),
        pytest.param(b"LMSG a 0\r\n\r\n", id="LMSG from a client"),
        pytest.param(b"A+ A\r\n", id="A+ from a client"),
        pytest.param(b"A- A\r\n", id="A- from a client"),
        pytest.param(b"PUB f 2\r\nhi\n", id="bare LF ends the payload"),
        pytest.param(b"PUB f 2\r\nhiXX", id="payload longer than declared"),
        pytest.param(b"PUB f 2\r\nhi\rX", id="CR without LF after the payload"),
        pytest.param(b"PUB f 5\r\nhi\r\nPING\r\n", id="payload shorter than declared"),
        pytest.param(b"PUB f 0\r\nx\r\n", id="payload where none was declared"),
    ],
)
def test_unknown_protocol_operation(server: ServerProcess, join: Join, sent: bytes) -> None:
    """Item 21."""
    client = join(server, headers=True)
    client.send(sent)
    client.expect(UNKNOWN)
    client.expect_close()


@pytest.mark.parametrize(
    "sent",
    [
        *(b"PUB foo\r\n", b"PUB a b c 2\r\n", b"PUB foo xx\r\n", b"PUB foo -1\r\n", b"PUB foo +1\r\n"),
        *(b"PUB foo 0000000002\r\n", b"PUB foo 1000000000\r\n", b"PUB foo 1.0\r\n", b"PUB \r\n", b"PUB 5\r\n"),
        *(b"SUB foo\r\n", b"SUB a b c d\r\n", b"SUB \r\n", b"UNSUB 1 2 3\r\n", b"UNSUB \r\n"),
        *(b"HPUB foo\r\n", b"HPUB foo 12\r\n", b"HPUB a b c 1 2\r\n", b"HPUB foo 20 12\r\n", b"HPUB foo x 12\r\n"),
        *(b"HPUB foo 12 x\r\n", b"HPUB foo -1 12\r\n", b"HPUB foo 12 0000000012\r\n"),
        *(b"CONNECT {\r\n", b"CONNECT \r\n", b"CONNECT []\r\n", b"INFO x\r\n"),
    ],
)
def test_argument_errors_close_silently(server: ServerProcess, join: Join, sent: bytes) -> None:
    """Item 22."""
    client = join(server, headers=True)
    client.send(sent)
    client.expect_close()


def test_hpub_without_headers_closes_silently(server: ServerProcess, join: Join) -> None:
    """Item 22: headers were not negotiated."""
    client = join(server)
    client.send(b"HPUB foo 12 12\r\nNATS/1.0\r\n\r\n\r\n")
    client.expect_close()


def test_error_from_a_client_closes(server: ServerProcess, join: Join) -> None:
    """Item 76: the close reason is in test_closed_connections."""
    client = join(server)
    client.send(b"-ERR 'I give up'\r\n")
    client.expect_close()


def test_size_may_have_leading_zeros(server: ServerProcess, join: Join) -> None:
    """Section 2: up to 9 digits. (nats-server repeats the digits as they came; any number is right.)"""
    client = join(server)
    client.send(b"SUB f.zero 1\r\nPUB f.zero 000000002\r\nhi\r\n")
    assert client.read_message().payload == b"hi"
    client.ping()


def test_what_came_before_an_error_is_answered(server: ServerProcess, join: Join) -> None:
    """Item 30: the close comes after the flush of what is queued."""
    client = join(server)
    client.send(b"SUB f.before 1\r\nPUB f.before 2\r\nhi\r\nPING\r\nNONSENSE\r\nPING\r\n")
    client.expect(b"MSG f.before 1 2\r\nhi\r\nPONG\r\n", UNKNOWN)
    client.expect_close()


@pytest.mark.parametrize("verb", ["PUB", "SUB", "UNSUB", "CONNECT"])
def test_control_line_of_4096_passes(server: ServerProcess, join: Join, verb: str) -> None:
    """Item 28: the limit is on the argument, without verb, separators and CR LF."""
    client = join(server)
    client.send(long_line(verb, 4096))
    client.ping()


@pytest.mark.parametrize("verb", ["PUB", "SUB", "UNSUB", "CONNECT", "INFO"])
def test_control_line_of_4097_fails(server: ServerProcess, join: Join, verb: str) -> None:
    """Item 28."""
    client = join(server)
    client.send(long_line(verb, 4097))
    client.expect_error("maximum control line exceeded")
    client.expect_close()


@pytest.mark.parametrize("verb", ["PUB", "SUB", "UNSUB", "HPUB", "CONNECT", "-ERR"])
def test_endless_control_line_fails_before_its_end(server: ServerProcess, join: Join, verb: str) -> None:
    """Item 28: without waiting for the end of the line."""
    client = join(server, headers=True)
    client.send(verb.encode() + b" " + b"a" * 5000)
    client.expect_error("maximum control line exceeded")
    client.expect_close()


def test_control_line_limit_is_an_option(shared_server: Dial, join: Join) -> None:
    """Item 28: max_control_line."""
    server = shared_server(config="max_control_line: 1024\n")
    client = join(server)
    client.send(long_line("SUB", 1024))
    client.ping()
    client.send(long_line("SUB", 1025))
    client.expect_error("maximum control line exceeded")
    client.expect_close()


def long_line(verb: str, size: int) -> bytes:
    """A line whose argument part has this size."""
    start, end = {
        "PUB": ("f.", " 0\r\n"),
        "SUB": ("f.", " 9"),
        "UNSUB": ("", ""),
        "CONNECT": ('{"verbose":false,"name":"', '"}'),
        "INFO": ('{"a":"', '"}'),
    }[verb]
    argument_end = end.split("\r\n")[0]
    line = f"{verb} {start}{'x' * (size - len(start) - len(argument_end))}{end}\r\n"
    return line.encode()


SCRIPTS = {
    "publish": b"SUB split.a 1\r\nPUB split.a 5\r\nhe\r\no\r\nPUB split.a r 0\r\n\r\nUNSUB 1\r\nPUB split.a 0\r\n\r\n",
    "headers": b"SUB split.h 1\r\nHPUB split.h 18 20\r\n"
    + HEADERS
    + b"hi\r\nHPUB split.h r 12 12\r\nNATS/1.0\r\n\r\n\r\n",
    "pings": b"PING\r\nPONG\r\nPINGxyz\r\nping\n+OK\r\n",
    "blanks": b"SUB \t split.b  q \t 7 \r\nPUB\tsplit.b \t 3 \r\nabc\r\nUNSUB  7  9 \r\nUNSUB 7\r\n",
    "bad subjects": b"SUB foo..bar 1\r\nSUB a. 2\r\nPING\r\n",
    "connect": b'CONNECT {"verbose":true,"pedantic":true,"headers":true}\r\nSUB split.* 1\r\nPUB split.c 2\r\nhi\r\n',
    "info": b'INFO {"x":[1,2]}\r\nSUB split.i 1\r\nPUB split.i 1\r\ny\r\n',
}
END = b"SUB end.split 99\r\nPUB end.split 3\r\nEND\r\n"
BAD_SCRIPTS = {
    "unknown verb": b"SUB split.e 1\r\nPUB split.e 1\r\nx\r\nZ",
    "payload end": b"SUB split.f 1\r\nPUB split.f 1\r\nx\ry",
    "bad size": b"SUB split.g 1\r\nPING\r\nPUB split.g x\r\n",
    "too many": b"SUB split.j 1\r\nPING\r\nSUB a b c d\r\n",
    "client error": b"PING\r\n-ERR 'no'\r\n",
}


@pytest.mark.parametrize("step", [1, 2, 3, 7])
@pytest.mark.parametrize("name", SCRIPTS)
def test_split_writes_change_nothing(server: ServerProcess, join: Join, name: str, step: int) -> None:
    """Item 29."""
    whole, split = join(server, headers=True), join(server, headers=True)
    whole.send(SCRIPTS[name])
    whole.send(END)
    expected = whole.read_until(b"END\r\n")
    whole.send(b'CONNECT {"verbose":true}\r\n')  # its subscriptions go, so that the second run is alone
    whole.expect(b"+OK\r\n")
    split.send_bytewise(SCRIPTS[name], step=step)
    split.send(END)
    assert split.read_until(b"END\r\n") == expected


@pytest.mark.parametrize("step", [1, 2, 5])
@pytest.mark.parametrize("name", BAD_SCRIPTS)
def test_split_writes_change_no_error(server: ServerProcess, join: Join, name: str, step: int) -> None:
    """Item 29, for lines that end the connection."""
    whole, split = join(server), join(server)
    whole.send(BAD_SCRIPTS[name])
    expected = whole.read_to_end()
    split.send_bytewise(BAD_SCRIPTS[name], step=step)
    assert split.read_to_end() == expected


@pytest.mark.only_server("gossamer", reason="nats-server 2.15.1 repeats the error when line and payload come apart")
def test_split_pedantic_publish_is_refused_once(server: ServerProcess, join: Join) -> None:
    """Items 24, 29."""
    client = join(server, pedantic=True)
    client.send(b"PUB split.* 2\r\n")
    client.send(b"hi\r\nPING\r\n")
    client.expect(b"-ERR 'Invalid Publish Subject'\r\nPONG\r\n")


def test_every_split_of_one_message(server: ServerProcess, join: Join) -> None:
    """Item 29: the two writes meet at each byte in turn."""
    client = join(server, headers=True)
    text = (
        b"SUB split.k 1\r\nHPUB split.k r 18 22\r\n" + HEADERS + b"a\r\nb\r\nPUB split.k 2\r\nhi\r\nUNSUB 1\r\nPING\r\n"
    )
    expected = b"HMSG split.k 1 r 18 22\r\n" + HEADERS + b"a\r\nb\r\nMSG split.k 1 2\r\nhi\r\nPONG\r\n"
    for cut in range(1, len(text)):
        client.send(text[:cut])
        client.send(text[cut:])
        client.expect(expected)


def test_many_commands_in_one_write(server: ServerProcess, join: Join) -> None:
    """Item 30."""
    client = join(server)
    lines = [b"SUB many.%d %d\r\nPUB many.%d 3\r\n%03d\r\nPING\r\n" % (n, n, n, n) for n in range(1000)]
    client.send(b"".join(lines))
    for n in range(1000):
        client.expect(b"MSG many.%d %d 3\r\n%03d\r\nPONG\r\n" % (n, n, n))
