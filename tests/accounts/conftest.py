"""A trust chain for live servers: an operator, its system account, and tenants that every test makes for itself."""

import itertools
import json
import sys
import time
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest
from msgspec import structs

from gossamer.auth.claims import AccountClaims, AccountLimits, GenericClaims, OperatorClaims, UserClaims, UserGrant
from gossamer.auth.jwt import encode, encode_signature
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.mesh.testing.process import ServerProcess
from gossamer.mesh.testing.wire import WireClient

#: Claims of one account are never issued in the same second: each gets the next one, all in the past.
_SECONDS = itertools.count(int(time.time()) - 100_000)
CONNECT = {"lang": "test", "version": "1", "protocol": 0, "headers": True, "no_responders": True}


def key(kind: KeyKind) -> KeyPair:
    return KeyPair.generate(kind)


class User:
    """A key and its JWT."""

    def __init__(self, keys: KeyPair, token: str) -> None:
        self.keys = keys
        self.token = token
        self.public = keys.public


class Tenant:
    """An account with one signing key. ``claims`` are what its JWT says now; ``jwt`` signs them anew."""

    def __init__(self, operator: "Operator", **claims: Any) -> None:
        self.operator = operator
        self.keys = key(KeyKind.ACCOUNT)
        self.signing = key(KeyKind.ACCOUNT)
        self.public = self.keys.public
        made = {"name": "tenant", "limits": AccountLimits.fresh(), "signing_keys": (self.signing.public,)} | claims
        self.claims = AccountClaims(subject=self.public, **made)

    def jwt(self, *, signer: KeyPair | None = None, issued_at: int | None = None, **changes: Any) -> str:
        """The account's JWT with these changes, which stay."""
        self.claims = structs.replace(self.claims, **changes)
        issued_at = next(_SECONDS) if issued_at is None else issued_at
        return encode(self.claims, signer or self.operator.signing, issued_at=issued_at)

    def limits(self, **changes: int | bool) -> AccountLimits:
        return structs.replace(AccountLimits.fresh(), **changes)

    def user(
        self,
        *,
        signer: KeyPair | None = None,
        keys: KeyPair | None = None,
        grant: UserGrant | None = None,
        issued_at: int | None = None,
        **claims: Any,
    ) -> User:
        keys = keys or key(KeyKind.USER)
        signer = signer or self.signing
        if "issuer_account" not in claims and signer is not self.keys:
            claims["issuer_account"] = self.public
        made = UserClaims(
            subject=keys.public, name=claims.pop("name", "alice"), grant=grant or UserGrant.fresh(), **claims
        )
        return User(keys, encode(made, signer, issued_at=next(_SECONDS) if issued_at is None else issued_at))


class Operator:
    """``config`` makes a server that believes it."""

    def __init__(self, **claims: Any) -> None:
        self.keys = key(KeyKind.OPERATOR)
        self.signing = key(KeyKind.OPERATOR)
        self.system = Tenant(self, name="SYS")
        made = {"signing_keys": (self.signing.public,), "system_account": self.system.public} | claims
        self.token = encode(
            OperatorClaims(subject=self.keys.public, name="O", **made), self.keys, issued_at=next(_SECONDS)
        )
        self.system_token = self.system.jwt()
        self.admin = self.system.user(name="admin")

    def config(self, resolver: str = "MEMORY", *preload: Tenant, more: str = "") -> str:
        """``preload``: accounts beside the system's."""
        pairs = {self.system.public: self.system_token} | {tenant.public: tenant.jwt() for tenant in preload}
        listed = "\n".join(f"  {public}: {token}" for public, token in pairs.items())
        listed = "" if resolver.startswith("URL") else f"resolver_preload {{\n{listed}\n}}\n"
        return f"operator: {self.token}\nresolver: {resolver}\n{listed}{more}\n"

    def deletion(self, *publics: str, signer: KeyPair | None = None, subject: str = "") -> str:
        """A request to delete accounts."""
        signer = signer or self.keys
        claims = GenericClaims(subject=subject or signer.public, data={"accounts": list(publics)})
        return encode(claims, signer, issued_at=next(_SECONDS))


FULL = '{ type: full, dir: "jwt", allow_delete: true, interval: "1s", timeout: "300ms" }'


def sign_in(client: WireClient, user: User, **fields: Any) -> None:
    """INFO and CONNECT; what comes back is to be read by the caller."""
    nonce = client.read_info()["nonce"]
    sig = encode_signature(user.keys.sign(nonce.encode()))
    client.connect({**CONNECT, "jwt": user.token, "sig": sig, **fields})


class System(WireClient):
    """A user of the system account."""

    def ask(self, subject: str, body: bytes | str = b"") -> list[bytes]:
        """All answers that have come until a moment later: of one server that is everything."""
        self.publish(subject, body.encode() if isinstance(body, str) else body, reply="_R.1")
        first = self.read_message()
        return [] if b"503" in first.headers else [first.payload]

    def ask_json(self, subject: str, body: bytes | str = b"") -> dict[str, Any]:
        """The one answer, as JSON."""
        (answer,) = self.ask(subject, body)
        found: dict[str, Any] = json.loads(answer)
        return found

    def push(self, token: str) -> dict[str, Any]:
        """Push an account; the answer without the server's part."""
        answer = self.ask_json("$SYS.REQ.CLAIMS.UPDATE", token)
        answer.pop("server")
        return answer

    def pushed(self, token: str) -> None:
        """The same, and it must be taken."""
        answer = self.push(token)
        assert answer.get("data", {}).get("code") == 200, answer


Enter = Callable[..., WireClient]


@pytest.fixture
def enter() -> Iterator[Enter]:
    """Call with a server and a user: a connection that was let in; with ``refused=text`` one that was not."""
    opened: list[WireClient] = []

    def connect(server: ServerProcess, user: User, *, refused: str = "", **fields: Any) -> WireClient:
        client = WireClient(server.address)
        opened.append(client)
        sign_in(client, user, **fields)
        if refused:
            client.send(b"PING\r\n")
            client.expect_error(refused)
            client.expect_close()
        else:
            client.ping()
        return client

    yield connect
    for client in opened:
        client.close()


@pytest.fixture
def system() -> Iterator[Callable[[ServerProcess, Operator], System]]:
    """Call with a server and its operator: a connection in the system account that can ask."""
    opened: list[System] = []

    def connect(server: ServerProcess, operator: Operator) -> System:
        client = System(server.address)
        opened.append(client)
        sign_in(client, operator.admin)
        client.subscribe("_R.*", "r")
        client.ping()
        return client

    yield connect
    for client in opened:
        client.close()


@pytest.fixture(scope="session")
def house() -> ModuleType:
    """This module: test folders are no packages."""
    return sys.modules[__name__]


@pytest.fixture(scope="session")
def operator() -> Operator:
    """The operator of the shared server."""
    return Operator()


@pytest.fixture
def full(shared_server: Callable[..., ServerProcess], operator: Operator) -> ServerProcess:
    """One server with a full resolver, for all tests that push accounts of their own."""
    return shared_server(config=operator.config(FULL))


@pytest.fixture
def admin(full: ServerProcess, operator: Operator, system: Callable[[ServerProcess, Operator], System]) -> System:
    """A user of the system account on that server."""
    return system(full, operator)


@pytest.fixture
def tenant(operator: Operator) -> Callable[..., Tenant]:
    """Call with claims: a new account, not pushed yet."""
    return lambda **claims: Tenant(operator, **claims)
