"""Operator mode for the secured cases: a trust chain, two users with 20 permission rules each, and their handshake."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass

from gossamer.auth.claims import AccountClaims, AccountLimits, OperatorClaims, SubjectList, UserClaims, UserGrant
from gossamer.auth.jwt import encode, encode_signature
from gossamer.auth.keys import KeyKind, KeyPair

HANDSHAKE_S = 20.0

CONNECT = {
    "verbose": False,
    "pedantic": False,
    "echo": True,
    "headers": True,
    "no_responders": True,
    "protocol": 1,
    "lang": "bench",
    "version": "1",
    "name": "bench",
}


def connect_line(extra: Mapping[str, str | bool] | None = None) -> bytes:
    """A CONNECT line with its end."""
    return b"CONNECT " + json.dumps(CONNECT | dict(extra or {}), separators=(",", ":")).encode() + b"\r\n"


def rules() -> UserGrant:
    """20 rules, of every kind: the benchmark's subject is allowed by one of them and met by no denial."""
    publish = SubjectList(
        allow=("bench.*", *(f"tenant.{n}.orders.>" for n in range(7))),
        deny=("bench.*.private", "admin.>", "tenant.*.orders.*.delete"),
    )
    subscribe = SubjectList(
        allow=("bench.>", *(f"tenant.{n}.events.*" for n in range(5)), "_INBOX.>"),
        deny=("admin.>", "bench.*.private"),
    )
    grant = UserGrant.fresh()
    found = type(grant)(
        publish=publish,
        subscribe=subscribe,
        subscriptions=grant.subscriptions,
        data=grant.data,
        payload=grant.payload,
    )
    count = sum(len(part) for part in (publish.allow, publish.deny, subscribe.allow, subscribe.deny))
    assert count == 20, count
    return found


@dataclass(frozen=True)
class User:
    """A user's token and key."""

    token: str
    key: KeyPair

    def enter(self, port: int, subscriptions: bytes) -> socket.socket:
        """Connect, sign the server's nonce, subscribe, and wait for PONG; the socket is non-blocking afterwards.

        Raises:
            ConnectionError: refused; the message is the server's.
            TimeoutError: no answer within 20 s.
        """
        connection = socket.create_connection(("127.0.0.1", port), timeout=HANDSHAKE_S)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        info = json.loads(_line(connection).removeprefix(b"INFO "))
        signature = encode_signature(self.key.sign(info["nonce"].encode()))
        connection.sendall(connect_line({"jwt": self.token, "sig": signature}) + subscriptions + b"PING\r\n")
        while (line := _line(connection)) != b"PONG":
            if line.startswith(b"-ERR"):
                raise ConnectionError(line.decode(errors="replace"))
            if line == b"PING":
                connection.sendall(b"PONG\r\n")
        connection.setblocking(False)
        return connection


def _line(connection: socket.socket) -> bytes:
    # Byte by byte: what follows the line belongs to the load generator.
    found = bytearray()
    while not found.endswith(b"\r\n"):
        byte = connection.recv(1)
        if not byte:
            raise ConnectionError(f"the server closed the connection after {bytes(found)!r}")
        found += byte
    return bytes(found[:-2])


class Trust:
    """An operator, a system account, a tenant and two users of it."""

    def __init__(self) -> None:
        operator, system, tenant = (
            KeyPair.generate(kind) for kind in (KeyKind.OPERATOR, KeyKind.ACCOUNT, KeyKind.ACCOUNT)
        )
        self._operator = encode(
            OperatorClaims(name="bench", subject=operator.public, system_account=system.public), operator
        )
        self._accounts = {
            account.public: encode(
                AccountClaims(name=name, subject=account.public, limits=AccountLimits.fresh()), operator
            )
            for name, account in (("SYS", system), ("TENANT", tenant))
        }
        self._system = system.public
        self.publisher, self.subscriber = (self._user(name, tenant) for name in ("publisher", "subscriber"))

    @staticmethod
    def _user(name: str, tenant: KeyPair) -> User:
        key = KeyPair.generate(KeyKind.USER)
        return User(encode(UserClaims(name=name, subject=key.public, grant=rules()), tenant), key)

    @property
    def configuration(self) -> str:
        """The text of a server configuration with the chain preloaded."""
        preload = "".join(f"  {account}: {token}\n" for account, token in self._accounts.items())
        return (
            f"operator: {self._operator}\nsystem_account: {self._system}\nresolver: MEMORY\n"
            f"resolver_preload: {{\n{preload}}}\n"
        )
