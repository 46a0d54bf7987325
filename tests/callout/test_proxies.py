"""Trusted proxies, on both servers (spec auth section 9.6; checklist 26)."""

import re

import pytest

from gossamer.auth.jwt import encode_signature
from gossamer.auth.keys import KeyKind, KeyPair

ALICE = {"user": "alice", "pass": "p"}
BOB = {"user": "bob", "pass": "p"}


@pytest.fixture(scope="session")
def proxies():
    """Any kind of nkey may be a proxy's."""
    return [KeyPair.generate(kind) for kind in (KeyKind.USER, KeyKind.SERVER)]


def configuration(proxies, more=""):
    trusted = ", ".join(f"{{key: {pair.public}}}" for pair in proxies)
    return f"""
    proxies {{ trusted: [ {trusted} ] }}
    authorization {{
      {more}
      users: [ {{user: alice, password: p, proxy_required: true}}, {{user: bob, password: p}} ]
    }}
    """


@pytest.fixture
def server(shared_server, proxies):
    return shared_server(config=configuration(proxies), monitor=True)


@pytest.fixture
def through(dial):
    """Call with a server, a proxy's key pair (None: directly) and CONNECT fields."""

    def come(server, proxy, **fields):
        client = dial(server)
        nonce = client.read_info()["nonce"]
        if proxy is not None:
            fields["proxy_sig"] = encode_signature(proxy.sign(nonce.encode()))
        client.connect(**fields)
        client.send(b"PING\r\n")
        return client

    return come


def refused(client):
    client.expect_error("Authorization Violation")
    client.expect_close()


def last_reason(server):
    closed = server.monitor("/connz?state=closed&sort=stop")["connections"]
    return closed[0]["reason"]


def test_the_nonce_is_offered(server, dial):
    assert re.fullmatch(r"[A-Za-z0-9_-]{15}", dial(server).read_info()["nonce"])


@pytest.mark.parametrize("which", [0, 1], ids=["user key", "server key"])
def test_a_good_signature(server, through, proxies, which):
    through(server, proxies[which], **ALICE).expect(b"PONG\r\n")


def test_without_the_proxy(server, through):
    refused(through(server, None, **ALICE))
    assert last_reason(server) == "Proxy Required"


@pytest.mark.parametrize("fields", [ALICE, BOB], ids=["needed", "not needed"])
def test_a_proxy_that_nobody_trusts(server, through, fields):
    refused(through(server, KeyPair.generate(KeyKind.USER), **fields))
    assert last_reason(server) == "Proxy Not Trusted"


@pytest.mark.parametrize("signature", ["AAAA", "not base64!", "x" * 86])
def test_what_is_no_signature(server, dial, signature):
    client = dial(server)
    client.read_info()
    client.connect(**BOB, proxy_sig=signature)
    refused(client)


def test_who_needs_no_proxy_may_come_either_way(server, through, proxies):
    through(server, None, **BOB).expect(b"PONG\r\n")
    through(server, proxies[0], **BOB).expect(b"PONG\r\n")


def test_for_the_only_user(start_server, through, proxies):
    text = f"proxies {{ trusted: [ {{key: {proxies[0].public}}} ] }}\n"
    server = start_server(config=text + "authorization { user: bob, password: p, proxy_required: true }", monitor=True)
    refused(through(server, None, **BOB))
    assert last_reason(server) == "Proxy Required"
    through(server, proxies[0], **BOB).expect(b"PONG\r\n")


@pytest.mark.only_server("gossamer", reason="nats-server lets users of a list pass who do not say so themselves")
def test_for_everybody(start_server, through, proxies):
    server = start_server(config=configuration(proxies, "proxy_required: true"), monitor=True)
    refused(through(server, None, **BOB))
    assert last_reason(server) == "Proxy Required"
    through(server, proxies[0], **BOB).expect(b"PONG\r\n")


def test_a_proxy_that_is_no_longer_trusted(start_server, through, proxies):
    server = start_server(config=configuration(proxies), monitor=True)
    gone, stays = through(server, proxies[0], **BOB), through(server, proxies[1], **BOB)
    direct = through(server, None, **BOB)
    for client in (gone, stays, direct):
        client.expect(b"PONG\r\n")
    server.reload(configuration(proxies[1:]))
    refused(gone)
    assert last_reason(server) == "Proxy Not Trusted"
    stays.ping()
    direct.ping()
