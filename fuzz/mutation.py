"""Valid inputs to begin from, and the small accidents that make others of them. Everything follows from the seed."""

import json
import random
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
INPUT_SIZE_MAX = 1 << 16

CLIENT_STREAMS = (
    b'CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":true}\r\nPING\r\n',
    b"SUB foo 1\r\nSUB  foo.*   q  2 \r\nPUB foo 2\r\nhi\r\nUNSUB 1\r\nPING\r\n",
    b"CONNECT {}\r\nSUB a.> 1\r\nSUB a.b q 2\r\nUNSUB 1 3\r\n" + b"PUB a.b r.1 5\r\nhello\r\n" * 5,
    b"CONNECT {}\r\nHPUB a.b rep 18 20\r\nNATS/1.0\r\nA: b\r\n\r\nhi\r\nHPUB a.b 0 2\r\nhi\r\n",
    b"CONNECT {}\r\nSUB r.* 1\r\nPUB nobody r.1 0\r\n\r\nPUB b.x r.1 3\r\n\r\n\r\n\r\n",
    b"connect {}\r\npub a.b  3\r\nabc\r\nsub\ta.b\t9\r\nunsub 9 1\r\nping\nPONG\r\n+OK\r\nINFO {}\r\n",
    b"CONNECT {}\r\nCONNECT {}\r\nSUB > 1\r\nPUB mail.x 3\r\nabc\r\nPUB a.b.c.d.e.f.g.h.i.j.k 1\r\nx\r\n-ERR 'x'\r\n",
    b"CONNECT {}\r\n" + b"".join(b"SUB a.%d %d\r\nPUB a.%d 1\r\nx\r\n" % (n, n, n) for n in range(40)),
    b"CONNECT {}\r\nSUB " + b".".join([b"*"] * 100) + b" 1\r\nPUB " + b".".join([b"a"] * 100) + b" 1\r\nx\r\n",
    b"CONNECT {}\r\nSUB a.b 1\r\nPUB a.b 9000\r\n" + b"0123456789" * 900 + b"\r\nPING\r\n",
)
CLIENT_WORDS = (
    b"CONNECT {}\r\n", b"PING\r\n", b"PONG\r\n", b"PUB ", b"HPUB ", b"SUB ", b"UNSUB ", b"INFO ", b"+OK\r\n", b"-ERR ",
    b"\r\n", b"\n", b"\r", b" ", b"\t", b".", b"*", b">", b"a.b", b"mail.x", b"_R_.x", b"$JS.ACK.a", b"_GR_.a",
    b"_sys_", b"0", b"1", b"-1", b"999999999", b"1048576", b"1048577", b"4294967296", b"18446744073709551615", b"00001",
    b"RMSG A a.b 1\r\nx\r\n", b"HMSG A a.b 1 1\r\nx\r\n", b"NATS/1.0\r\n\r\n", b"\x00", b"\xff",
)  # fmt: skip
ROUTE_STREAMS = (
    b'CONNECT {"name":"X","cluster":"C"}\r\nINFO {"server_id":"X"}\r\nPING\r\nRS+ A a.b\r\n',
    b"RS+ A a.b\r\nRS+ A a.b q 3\r\nRS+ B >\r\nRS+ $G a.* q 1\r\nRS- A a.b\r\nRS- A a.b q\r\nPING\r\nPONG\r\n",
    b"RMSG A a.b 2\r\nhi\r\nRMSG A a.b rep 2\r\nhi\r\nRMSG A a.b | q q.x 2\r\nhi\r\nRMSG A a.b + rep q r 2\r\nhi\r\n",
    b"HMSG A a.b 12 14\r\nNATS/1.0\r\n\r\nhi\r\nHMSG A a.b rep 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
    b"HMSG A a.b + rep q 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
    b"LS+ leaf A a.b\r\nLS+ leaf A a.b q 2\r\nLMSG leaf A a.b 0 2\r\nhi\r\nLMSG leaf A a.b | q 0 2\r\nhi\r\n"
    b"LS- leaf A a.b\r\nLS- leaf A a.b q\r\nA+ A\r\nA- A\r\n",
    b"RMSG A a.b $JS.ACK.S1.C1.1.1.1.1795444848927211061.0@s1 7\r\npayload\r\nRMSG NEW a.b 1\r\nx\r\nRS+ NEW a\r\n",
    b"RS+ A f q 2\r\nRMSG A f | q 1\r\nx\r\nRMSG A f + r q 1\r\nx\r\n-ERR 'x'\r\n",
    b"".join(b"RS+ A a.%d q%d %d\r\n" % (n, n, n + 1) for n in range(50)) + b"RMSG A a.1 | q1 q2 q3 q4 q5 1\r\nx\r\n",
    b"RMSG A a.b 9000\r\n" + b"0123456789" * 900 + b"\r\nPING\r\n",
)
ROUTE_WORDS = (
    *CLIENT_WORDS, b"RS+ A ", b"RS- A ", b"LS+ o A ", b"LS- o A ", b"RMSG A ", b"LMSG o A ", b"| ", b"+ ", b" q", b"A ",
    b"$JS.ACK.1.2.3.4.5.6.7@s", b"@", b"LMSG o A a.b 0 1\r\nx\r\n",
)  # fmt: skip
LEAF_STREAMS = (
    b"INFO {}\r\nLS+ a.b\r\nLS+ a.b q 3\r\nLS+ a.* q 1\r\nLS- a.b\r\nLS- a.b q\r\nPING\r\nPONG\r\nINFO {}\r\n",
    b"LMSG a.b 2\r\nhi\r\nLMSG a.b rep 2\r\nhi\r\nLMSG a.b | q q.x 2\r\nhi\r\nLMSG a.b + rep q r 2\r\nhi\r\n",
    b"HMSG a.b 12 14\r\nNATS/1.0\r\n\r\nhi\r\nHMSG a.b rep 12 14\r\nNATS/1.0\r\n\r\nhi\r\n"
    b"HMSG a.b + rep q 12 14\r\nNATS/1.0\r\n\r\nhi\r\n",
    b"LS+ $LDS.other\r\nLS+ _GR_.>\r\nLMSG a.b _GR_.eeeeee.ssssss.r 2\r\nhi\r\nLMSG _GR_.oooooo.ssssss.a.b 1\r\nx\r\n",
    b"LS+ a.b\r\nLMSG _GR_.eeeeee.zzzzzz.r 1\r\nx\r\nLMSG _R_.x 1\r\nx\r\n-ERR 'x'\r\nLS+ $LDS.own\r\n",
    b"".join(b"LS+ a.%d q%d %d\r\n" % (n, n, n + 1) for n in range(50)) + b"LMSG a.1 | q1 q2 q3 q4 q5 1\r\nx\r\n",
    b"LMSG a.b 9000\r\n" + b"0123456789" * 900 + b"\r\nPING\r\n",
)
LEAF_WORDS = (
    *CLIENT_WORDS, b"LS+ ", b"LS- ", b"LMSG ", b"HMSG a.b 1 1\r\nx\r\n", b"| ", b"+ ", b" q", b"$LDS.",
    b"_GR_.oooooo.ssssss.", b"_GR_.eeeeee.ssssss.", b"LMSG a.b 1\r\nx\r\n", b"LS+ >\r\n", b"LS+ * q 9\r\n",
)  # fmt: skip
GATEWAY_STREAMS = (
    b'INFO {}\r\nINFO {"gateway":"E","gateway_cmd":2,"gateway_cmd_payload":"QQ=="}\r\nRS+ A a.b\r\nRS+ A a.b q 1\r\n'
    b'INFO {"gateway":"E","gateway_cmd":3,"gateway_cmd_payload":"QQ=="}\r\nRS- A a.b\r\nRS- A a.b q\r\nPING\r\n',
    b"RS- A a.b\r\nRS- A a.c\r\nRS+ A a.*\r\nA- A\r\nA+ A\r\nRS+ A a.b q 1\r\nA- A\r\n"
    b"RS- A a.b q\r\nA- A\r\nRS- A x\r\n",
    b"RMSG A a.b 2\r\nhi\r\nRMSG A a.b rep 2\r\nhi\r\nRMSG A a.b | q 2\r\nhi\r\nRMSG A a.b + rep q r 2\r\nhi\r\n",
    b"HMSG A a.b 12 14\r\nNATS/1.0\r\n\r\nhi\r\nRMSG A a.b _GR_.eeeeee.zzzzzz.r 1\r\nx\r\n",
    b"RMSG A _GR_.oooooo.ssssss.a.b 1\r\nx\r\nRMSG A _GR_.oooooo.rrrrrr.a.b 1\r\nx\r\n"
    b"RMSG A _GR_.xxxxxx.ssssss.a 1\r\nx\r\n",
    b"".join(b"RS- A a.%d\r\n" % n for n in range(300)) + b"RS+ A a.*\r\nRS+ A >\r\nRS- B x\r\nRS+ NEW a\r\nA- NEW\r\n",
    b'INFO {"gateway_cmd":2}\r\nINFO {"gateway_cmd":1,"gateway":"F"}\r\nINFO {}\r\n-ERR \'x\'\r\n',
)
GATEWAY_WORDS = (
    *ROUTE_WORDS, b"A- A\r\n", b"A+ A\r\n", b'"gateway_cmd":', b'"gateway_cmd_payload":"', b"QQ==", b"Qg==",
    b"_GR_.oooooo.ssssss.", b"_GR_.eeeeee.ssssss.", b'INFO {"gateway_cmd":2,"gateway_cmd_payload":"QQ=="}\r\n',
)  # fmt: skip
CONFIGURATIONS = (
    b'port: 4222\nhost = "127.0.0.1"\nserver_name: s1\n# note\ndebug: true // more\n',
    b'accounts { A { users = [ { user: a, password: "x", permissions { publish: ["a.>", "b"] } } ] }, B {} }\n',
    b"$V = 5\nmax_payload: 1MB\nping_interval: \"2m\"\nx: $V; y: $HOME\nlist: [1, 2.5, -3k, yes]\ninclude 'other'\n",
    b"block (\nraw text\n)\ncluster { name: c, listen: 0.0.0.0:6222, routes: [nats://u:p@h:1, nats://h:2] }\n",
    b'tls { cert_file: "./c.pem" }\nstring: "a\\tb\\x41\\"c"\ntime: 2020-01-01T00:00:00Z\nneg: -1\nf: 1e3\n',
)
CONFIGURATION_WORDS = (
    b"{", b"}", b"[", b"]", b"(", b")", b'"', b"'", b"$", b"include ", b"#", b"//", b"\n", b"\r\n", b":", b"=", b",",
    b";", b"\\x", b"\\", b"true", b"no", b"1k", b"9223372036854775808", b"-", b"2020-01-01T00:00:00Z", b"\xff", b"\x00",
)  # fmt: skip
TOKEN_WORDS = (b".", b"=", b"-", b"_", b"eyJ", b"AAAA", b"e30", b"bnVsbA", b"W10", b"\n", b"\x00", b"\xff", b"A" * 60)
CREDENTIAL_WORDS = (
    *TOKEN_WORDS,
    b"-----BEGIN NATS USER JWT-----\n",
    b"------END NATS USER JWT------\n",
    b"SU",
    b"UA",
    b"---",
)


def with_options(streams: tuple[bytes, ...]) -> list[bytes]:
    """Every stream under several of the option bytes the engine's targets read."""
    options = (b"\x20\x03\x00\x01", b"\x60\x02\x81\x02", b"\x10\x05\x85\x03", b"\x33\x0b\x00\x04", b"\x00\x01\x01\x05")
    return [chosen + stream for stream in streams for chosen in options]


def token_corpus() -> list[bytes]:
    """The JWTs of the test vectors, and texts that are JSON where a token's parts are expected."""
    found = [path.read_bytes().strip() for path in sorted((ROOT / "tests/auth/vectors/jwt").glob("*.jwt"))]
    return [*found, b"eyJ0eXAiOiJKV1QiLCJhbGciOiJlZDI1NTE5LW5rZXkifQ.e30.AAAA", b"..", json.dumps({}).encode()]


def credential_corpus() -> list[bytes]:
    """The decorated files of the test vectors, and bare keys."""
    found = [
        path.read_bytes() for path in sorted((ROOT / "tests/auth/vectors/creds").glob("*")) if path.suffix != ".json"
    ]
    return [*found, b"UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4"]


def _flip(rng: random.Random, data: bytearray, words: tuple[bytes, ...], other: bytes) -> None:
    if data:
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)


def _insert(rng: random.Random, data: bytearray, words: tuple[bytes, ...], other: bytes) -> None:
    place = rng.randrange(len(data) + 1)
    data[place:place] = rng.choice(words)


def _overwrite(rng: random.Random, data: bytearray, words: tuple[bytes, ...], other: bytes) -> None:
    word, place = rng.choice(words), rng.randrange(len(data) + 1)
    data[place : place + len(word)] = word


def _random_bytes(rng: random.Random, data: bytearray, words: tuple[bytes, ...], other: bytes) -> None:
    place = rng.randrange(len(data) + 1)
    data[place:place] = rng.randbytes(rng.randrange(1, 9))


def _cut(rng: random.Random, data: bytearray, words: tuple[bytes, ...], other: bytes) -> None:
    place = rng.randrange(len(data) + 1)
    del data[place : place + rng.choice((1, 2, 8, 64))]


def _repeat(rng: random.Random, data: bytearray, words: tuple[bytes, ...], other: bytes) -> None:
    place = rng.randrange(len(data) + 1)
    part = data[place : place + rng.choice((1, 4, 16, 64))]
    data[place:place] = part * rng.choice((1, 2, 10, 200))


def _splice(rng: random.Random, data: bytearray, words: tuple[bytes, ...], other: bytes) -> None:
    data[rng.randrange(len(data) + 1) :] = other[rng.randrange(len(other) + 1) :]


def _append(rng: random.Random, data: bytearray, words: tuple[bytes, ...], other: bytes) -> None:
    data += other[4:]


def _number(rng: random.Random, data: bytearray, words: tuple[bytes, ...], other: bytes) -> None:
    """Another number in place of one that is there."""
    digits = [place for place, byte in enumerate(data) if 48 <= byte <= 57]
    if digits:
        place = rng.choice(digits)
        data[place : place + 1] = b"%d" % rng.choice((0, 1, 9, 10, 255, 256, 65536, 2**31 - 1, 2**32, 2**63, 10**20))


ACCIDENTS: tuple[Callable[[random.Random, bytearray, tuple[bytes, ...], bytes], None], ...] = (
    _flip, _insert, _insert, _overwrite, _random_bytes, _cut, _repeat, _splice, _append, _number
)  # fmt: skip


def mutated(rng: random.Random, corpus: list[bytes], words: tuple[bytes, ...]) -> bytes:
    """One input of the corpus after a few accidents."""
    data = bytearray(rng.choice(corpus))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 5, 10))):
        rng.choice(ACCIDENTS)(rng, data, words, rng.choice(corpus))
        del data[INPUT_SIZE_MAX:]
    return bytes(data)
