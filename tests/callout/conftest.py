"""A callout service played by hand: a raw client that reads requests and answers what a test wants."""

import base64
import json
import os
from dataclasses import dataclass, field

import pytest
from msgspec import structs
from nacl.public import Box, PrivateKey, PublicKey

from gossamer.auth.claims import AuthorizationResponse, UserClaims, UserGrant
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair, decode_public, decode_seed
from gossamer.auth.xkeys import CurveKeyPair
from gossamer.mesh.testing.wire import WireClient

SUBJECT = "$SYS.REQ.USER.AUTH"


@dataclass
class Request:
    """One request as it came: the header block, the body, and what its token says."""

    reply: str
    headers: bytes
    body: bytes
    token: str
    claims: dict = field(default_factory=dict)

    @property
    def nats(self):
        return self.claims["nats"]


@dataclass
class Keys:
    """The service's keys; every test run has its own."""

    issuer: KeyPair = field(default_factory=lambda: KeyPair.generate(KeyKind.ACCOUNT))
    stranger: KeyPair = field(default_factory=lambda: KeyPair.generate(KeyKind.ACCOUNT))
    curve: CurveKeyPair = field(default_factory=CurveKeyPair.generate)

    @property
    def box_key(self):
        return PrivateKey(decode_seed(self.curve.seed)[1])


def seal(private, public_text, message):
    """As ``xkv1`` wants it, by NaCl alone."""
    nonce = os.urandom(24)
    return b"xkv1" + nonce + Box(private, PublicKey(decode_public(public_text)[1])).encrypt(message, nonce).ciphertext


def unseal(private, public_text, message):
    assert message[:4] == b"xkv1"
    return Box(private, PublicKey(decode_public(public_text)[1])).decrypt(message[28:], message[4:28])


class Service:
    """``ask`` reads a request, ``grant`` lets in, ``answer`` says anything else."""

    def __init__(self, wire, keys):
        self.wire = wire
        self.keys = keys
        wire.subscribe(SUBJECT, 1)
        wire.ping()

    def ask(self):
        message = self.wire.read_message()
        assert message.subject == SUBJECT.encode()
        headers, body = message.headers, message.payload
        token = body
        if headers:
            server = headers.decode().split("Nats-Server-Xkey: ")[1].split("\r\n")[0]
            token = unseal(self.keys.box_key, server, body)
        raw = token.decode().split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(raw + "=" * (-len(raw) % 4)))
        return Request(message.reply.decode(), headers, body, token.decode(), claims)

    def seal(self, xkey, message):
        return seal(self.keys.box_key, xkey, message)

    def answer(self, request, payload):
        self.wire.publish(request.reply, payload if isinstance(payload, bytes) else payload.encode())

    def user(self, request, *, signer=None, grant=None, **claims):
        made = UserClaims(
            **{
                "subject": request.nats["user_nkey"],
                "audience": "APP",
                "grant": structs.replace(UserGrant.fresh(), **(grant or {})),
                **claims,
            }
        )
        return encode(made, signer or self.keys.issuer)

    def response(self, request, *, signer=None, **claims):
        made = AuthorizationResponse(
            **{
                "subject": request.nats["user_nkey"],
                "audience": request.nats["server_id"]["id"],
                **claims,
            }
        )
        return encode(made, signer or self.keys.issuer)

    def grant(self, request, **user):
        self.answer(request, self.response(request, jwt=self.user(request, **user)))


@pytest.fixture(scope="session")
def keys():
    return Keys()


@pytest.fixture
def service_of(keys):
    """Call with a connected client that shall be the service."""
    return lambda wire: Service(wire, keys)


@pytest.fixture
def serve(join, keys):
    """Call with a server and the CONNECT fields of the service."""

    def start(server, **fields):
        return Service(join(server, headers=True, **fields), keys)

    return start


class Visitor(WireClient):
    """A client that waits to be judged, or has been."""

    def knock(self, **fields):
        self.info = self.read_info()
        self.connect(**fields)
        self.send(b"PING\r\n")
        self.protocol = fields.get("protocol", 0)

    def admitted(self):
        self.expect(b"PONG\r\n")
        if self.protocol:
            self.info = self.read_info()
        return self

    def refused(self, error="Authorization Violation"):
        self.expect_error(error)
        self.expect_close()

    def identity(self):
        """What the server says of an admitted client."""
        self.subscribe("_INBOX.identity", 99)
        self.publish("$SYS.REQ.USER.INFO", reply="_INBOX.identity")
        return json.loads(self.read_message().payload)["data"]


@pytest.fixture
def visit():
    """Call with a server and CONNECT fields: a client that waits to be judged."""
    opened = []

    def come(server, **fields):
        visitor = Visitor(server.address)
        opened.append(visitor)
        visitor.knock(**fields)
        return visitor

    yield come
    for visitor in opened:
        visitor.close()
