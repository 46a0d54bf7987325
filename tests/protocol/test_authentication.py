"""Who may connect (spec: client-protocol section 17; checklist items 14-16, 51-53)."""

import base64
import binascii
import time
from typing import Any

import bcrypt
import nacl.signing
import pytest

from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.wire import WireClient

USERS = """
authorization { users: [
  { user: alice, password: secret }
  { user: bob, password: "with 'quotes' and ä" }
] }
"""
REFUSED = b"-ERR 'Authorization Violation'\r\n"


def assert_refused(client: WireClient) -> None:
    client.expect(REFUSED)
    client.expect_close()


def user_nkey(key: nacl.signing.SigningKey) -> str:
    """The public user nkey (spec: auth section 1): base32 of prefix, key and checksum."""
    data = bytes([20 << 3]) + bytes(key.verify_key)
    return base64.b32encode(data + binascii.crc_hqx(data, 0).to_bytes(2, "little")).decode().rstrip("=")


KEY = nacl.signing.SigningKey(bytes(range(32)))
NKEYS = f"authorization {{ users: [ {{ nkey: {user_nkey(KEY)} }}, {{ user: alice, password: secret }} ] }}\n"


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"user": "alice"},
        {"user": "alice", "pass": "wrong"},
        {"user": "alice", "pass": ""},
        {"user": "alice", "pass": "secret "},
        {"user": "Alice", "pass": "secret"},
        {"user": "nobody", "pass": "secret"},
        {"pass": "secret"},
        {"auth_token": "secret"},
        {"user": "bob", "pass": "secret"},
        {"user": "alice", "pass": "secret", "account": "$G"},
    ],
    ids=repr,
)
def test_wrong_credentials(shared_server: StartServer, dial: Dial, fields: dict[str, str]) -> None:
    """Item 14."""
    client = dial(shared_server(config=USERS))
    assert client.read_info()["auth_required"] is True
    client.connect(fields)
    client.send(b"PING\r\n")
    assert_refused(client)


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "alice", "pass": "secret"},
        {"user": "bob", "pass": "with 'quotes' and ä"},
        {"user": "alice", "pass": "secret", "auth_token": "ignored"},
        {"user": "alice", "pass": "secret", "jwt": "ignored"},
        {"user": "alice", "pass": "secret", "nkey": "ignored", "sig": "ignored"},
    ],
    ids=repr,
)
def test_right_credentials(shared_server: StartServer, join: Join, fields: dict[str, str]) -> None:
    """Item 14."""
    client = join(shared_server(config=USERS), **fields)
    client.send(b"SUB auth.a 1\r\nPUB auth.a 0\r\n\r\n")
    client.expect(b"MSG auth.a 1 0\r\n\r\n")


@pytest.mark.parametrize(
    "sent",
    [b"PING\r\n", b"SUB a 1\r\n", b"PUB a 0\r\n\r\n", b"UNSUB 1\r\n", b"GET / HTTP/1.1\r\n", b"\r\n", b"+OK\r\n"],
)
def test_verb_before_connect(shared_server: StartServer, dial: Dial, sent: bytes) -> None:
    """Item 15."""
    client = dial(shared_server(config=USERS))
    client.read_info()
    client.send(sent)
    assert_refused(client)


def test_nothing_is_done_before_connect(shared_server: StartServer, dial: Dial, join: Join) -> None:
    """Item 15: a message sent in one write with a bad CONNECT goes nowhere."""
    server = shared_server(config=USERS)
    hearer = join(server, user="alice", **{"pass": "secret"})
    hearer.subscribe("intruded.>", 1)
    hearer.ping()
    intruder = dial(server)
    intruder.read_info()
    intruder.send(b'CONNECT {"user":"alice","pass":"x"}\r\nPUB intruded.a 1\r\nx\r\nSUB > 1\r\n')
    assert_refused(intruder)
    hearer.ping()


def test_second_connect_is_judged_again(shared_server: StartServer, join: Join) -> None:
    """Item 66: with wrong credentials it ends the connection."""
    client = join(shared_server(config=USERS), user="alice", **{"pass": "secret"})
    client.connect(user="bob", **{"pass": "with 'quotes' and ä"})
    client.ping()
    client.connect(user="bob", **{"pass": "wrong"})
    assert_refused(client)


def test_timeout_by_default_after_two_seconds(shared_server: StartServer, dial: Dial) -> None:
    """Item 16."""
    client = dial(shared_server(config=USERS))
    client.read_info()
    start = time.monotonic()
    client.expect(b"-ERR 'Authentication Timeout'\r\n")
    assert 1.9 < time.monotonic() - start < 3.5
    client.expect_close()


def test_timeout_as_configured_and_only_before_connect(shared_server: StartServer, dial: Dial, join: Join) -> None:
    """Item 16: a connection that is through stays when the others' time is up."""
    server = shared_server(config="authorization { user: u, password: p, timeout: 0.4 }\n")
    through, silent, half = join(server, user="u", **{"pass": "p"}), dial(server), dial(server)
    silent.read_info()
    half.read_info()
    half.send(b'CONNECT {"user":"u",')
    for client in (silent, half):
        client.expect(b"-ERR 'Authentication Timeout'\r\n")
        client.expect_close()
    through.ping()


def test_no_timeout_on_an_open_server(shared_server: StartServer, dial: Dial) -> None:
    """Item 16: no authentication, no timer. (The server with the short timeout is the clock.)"""
    silent = dial(shared_server())
    silent.read_info()
    clock = dial(shared_server(config=USERS))
    clock.read_info()
    clock.expect(b"-ERR 'Authentication Timeout'\r\n")
    silent.ping()


@pytest.mark.parametrize(
    ("config", "present"),
    [("", False), (USERS, False), ("authorization { token: t }\n", False), (NKEYS, True)],
    ids=["open", "users", "token", "nkeys"],
)
def test_nonce_only_when_needed(shared_server: StartServer, dial: Dial, config: str, present: bool) -> None:
    """Item 51: 15 characters, new for each connection."""
    server = shared_server(config=config)
    infos = [dial(server).read_info() for _ in range(3)]
    nonces = {info["nonce"] for info in infos if "nonce" in info}
    assert len(nonces) == (3 if present else 0)
    for nonce in nonces:
        assert len(nonce) == 15
        assert len(base64.urlsafe_b64decode(nonce + "=")) == 11


@pytest.mark.parametrize("encoding", ["raw url", "padded standard", "raw standard", "padded url"])
def test_nkey_signature(shared_server: StartServer, dial: Dial, encoding: str) -> None:
    """Item 51: base64url without padding; padded standard base64 too."""
    server = shared_server(config=NKEYS)
    client = dial(server)
    while True:  # until the signature has a character in which the two alphabets differ
        client.close()
        client = dial(server)
        signature = KEY.sign(client.read_info()["nonce"].encode()).signature
        if b"+" in base64.b64encode(signature):
            break
    text = (base64.urlsafe_b64encode if "url" in encoding else base64.b64encode)(signature).decode()
    client.connect(nkey=user_nkey(KEY), sig=text.rstrip("=") if "raw" in encoding else text)
    if encoding in ("raw url", "padded standard"):
        client.ping()
    else:
        assert_refused(client)


def signed(nonce: str) -> str:
    return base64.urlsafe_b64encode(KEY.sign(nonce.encode()).signature).decode().rstrip("=")


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param(lambda nonce: {"nkey": user_nkey(KEY)}, id="no signature"),
        pytest.param(lambda nonce: {"nkey": user_nkey(KEY), "sig": ""}, id="empty signature"),
        pytest.param(lambda nonce: {"nkey": user_nkey(KEY), "sig": "!!!"}, id="not base64"),
        pytest.param(lambda nonce: {"nkey": user_nkey(KEY), "sig": signed("x" + nonce[1:])}, id="another nonce"),
        pytest.param(lambda nonce: {"sig": signed(nonce)}, id="no key"),
        pytest.param(
            lambda nonce: {"nkey": user_nkey(nacl.signing.SigningKey(b"x" * 32)), "sig": signed(nonce)},
            id="foreign key",
        ),
        pytest.param(lambda nonce: {"nkey": "Unonsense", "sig": signed(nonce)}, id="not a key"),
        pytest.param(lambda nonce: {"nkey": user_nkey(KEY)[:-1] + "A", "sig": signed(nonce)}, id="bad checksum"),
    ],
)
def test_bad_nkey_credentials(shared_server: StartServer, dial: Dial, fields: Any) -> None:
    """Item 51."""
    client = dial(shared_server(config=NKEYS))
    client.connect(fields(client.read_info()["nonce"]))
    assert_refused(client)


def test_password_beside_nkeys(shared_server: StartServer, join: Join) -> None:
    """Item 51: both kinds of users in one list."""
    join(shared_server(config=NKEYS), user="alice", **{"pass": "secret"}).ping()


NO_AUTH_USER = """
no_auth_user: guest
accounts {
  OPEN { users: [ { user: guest, password: unused, permissions: { publish: { deny: "closed.>" } } } ] }
  OTHER { users: [ { user: alice, password: secret } ] }
}
"""


def test_no_auth_user_without_connect(shared_server: StartServer, dial: Dial) -> None:
    """Item 52: auth_required is absent; any verb may come first, the connection is verbose and pedantic."""
    client = dial(shared_server(config=NO_AUTH_USER))
    assert "auth_required" not in client.read_info()
    client.send(b"SUB noauth.a 1\r\nPUB noauth.a 1\r\nx\r\nPUB closed.x 0\r\n\r\n")
    client.expect(b"+OK\r\n+OK\r\nMSG noauth.a 1 1\r\nx\r\n")
    client.expect(b"-ERR 'Permissions Violation for Publish to \"closed.x\"'\r\n")
    client.ping()


def test_no_auth_user_with_an_empty_connect(shared_server: StartServer, dial: Dial) -> None:
    """Item 52: account and permissions are that user's."""
    client = dial(shared_server(config=NO_AUTH_USER))
    assert client.handshake(protocol=1)["remote_account"] == "OPEN"
    client.send(b"PUB closed.x 0\r\n\r\n")
    client.expect_error('Permissions Violation for Publish to "closed.x"')


def test_no_auth_user_beside_others(shared_server: StartServer, dial: Dial) -> None:
    """Item 52: right credentials count, wrong ones fail."""
    server = shared_server(config=NO_AUTH_USER)
    assert dial(server).handshake(protocol=1, user="alice", **{"pass": "secret"})["remote_account"] == "OTHER"
    for fields in ({"user": "alice", "pass": "wrong"}, {"user": "nobody"}, {"auth_token": "x"}):
        client = dial(server)
        client.read_info()
        client.connect(fields)
        assert_refused(client)


@pytest.mark.parametrize("fields", [{"auth_token": "s3cret"}, {"auth_token": "s3cret", "user": "ignored", "pass": "x"}])
def test_token(shared_server: StartServer, join: Join, fields: dict[str, str]) -> None:
    """Item 53."""
    join(shared_server(config="authorization { token: s3cret }\n"), **fields).ping()


@pytest.mark.parametrize(
    "fields", [{}, {"auth_token": "S3cret"}, {"auth_token": ""}, {"pass": "s3cret"}, {"user": "s3cret"}]
)
def test_wrong_token(shared_server: StartServer, dial: Dial, fields: dict[str, str]) -> None:
    """Item 53: only auth_token is compared."""
    client = dial(shared_server(config="authorization { token: s3cret }\n"))
    assert client.read_info()["auth_required"] is True
    client.connect(fields)
    assert_refused(client)


@pytest.fixture(scope="module")
def hashes() -> dict[str, str]:
    return {version: hashed("s3cret", version) for version in ("$2a$", "$2b$", "$2y$")}


def hashed(password: str, version: str) -> str:
    """A bcrypt hash of the cheapest cost, with this version mark (they differ in nothing else for such passwords)."""
    return version + bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()[4:]


@pytest.mark.parametrize(
    ("form", "version"), [("users", "$2a$"), ("users", "$2b$"), ("users", "$2y$"), ("user", "$2b$"), ("token", "$2a$")]
)
def test_bcrypt(shared_server: StartServer, dial: Dial, hashes: dict[str, str], form: str, version: str) -> None:
    """Item 53: the hash itself is no password."""
    text = hashes[version]
    listed = ", ".join(f'{{ user: "u{mark}", password: "{value}" }}' for mark, value in hashes.items())
    config = {
        "users": f"authorization {{ users: [ {listed} ] }}\n",
        "user": f'authorization {{ user: "u{version}", password: "{text}" }}\n',
        "token": f'authorization {{ token: "{text}" }}\n',
    }[form]
    server = shared_server(config=config)
    for password, right in (("s3cret", True), ("S3cret", False), (text, False), ("", False)):
        client = dial(server)
        client.read_info()
        client.connect({"auth_token": password} if form == "token" else {"user": f"u{version}", "pass": password})
        if right:
            client.ping()
        else:
            assert_refused(client)


def test_flags_for_user_and_token(start_server: StartServer, dial: Dial) -> None:
    """Items 14, 53: --user, --pass; --auth."""
    server = start_server(arguments=["--user", "u", "--pass", "p"])
    dial(server).handshake(user="u", **{"pass": "p"})
    client = dial(server)
    client.read_info()
    client.connect(user="u")
    assert_refused(client)
    dial(start_server(arguments=["--auth", "t"])).handshake(auth_token="t")


def test_accounts_are_isolated(shared_server: StartServer, dial: Dial) -> None:
    """Section 17: same subject, other account: nothing is heard, a request finds nobody."""
    server = shared_server(
        config="accounts { A { users: [ {user: a, password: a} ] }, B { users: [ {user: b, password: b} ] } }\n"
    )
    one, other = dial(server), dial(server)
    fields = {"headers": True, "no_responders": True, "protocol": 1}
    assert one.handshake(user="a", **{"pass": "a"}, **fields)["remote_account"] == "A"
    assert other.handshake(user="b", **{"pass": "b"}, **fields)["remote_account"] == "B"
    other.subscribe(">", 1)
    other.ping()
    one.subscribe("inbox", 1)
    one.publish("shared", b"x", reply="inbox")
    one.expect(b"HMSG inbox 1 38 38\r\nNATS/1.0 503\r\nNats-Subject: shared\r\n\r\n\r\n")
    other.ping()
