"""A trust chain made for one test: operator, account, signing key, user; and the real server."""

import re
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from msgspec import structs

from gossamer.auth.authenticator import Authenticator
from gossamer.auth.claims import AccountClaims, AccountLimits, OperatorClaims, UserClaims, UserGrant
from gossamer.auth.decisions import Attempt, ConnectOptions
from gossamer.auth.jwt import encode, encode_signature
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.resolver import MemoryResolver
from gossamer.auth.settings import AuthSettings, ResolverSettings

NOW = 1_800_000_000
NONCE = b"C4EkQaPU8VTa0tA"
SERVER = Path(sys.executable).parent / "nats-server"
READY = re.compile(rb"Listening for client connections on 127\.0\.0\.1:(\d+)")


@dataclass
class Chain:
    """Keys of one operator, one account and one user; every method signs anew."""

    operator: KeyPair = field(default_factory=lambda: KeyPair.generate(KeyKind.OPERATOR))
    operator_signing: KeyPair = field(default_factory=lambda: KeyPair.generate(KeyKind.OPERATOR))
    account: KeyPair = field(default_factory=lambda: KeyPair.generate(KeyKind.ACCOUNT))
    signing: KeyPair = field(default_factory=lambda: KeyPair.generate(KeyKind.ACCOUNT))
    user: KeyPair = field(default_factory=lambda: KeyPair.generate(KeyKind.USER))
    resolver: MemoryResolver = field(default_factory=MemoryResolver)

    def operator_jwt(self, **claims):
        claims = OperatorClaims(
            **{"subject": self.operator.public, "signing_keys": (self.operator_signing.public,), **claims}
        )
        return encode(claims, self.operator, issued_at=NOW)

    def account_jwt(self, signer=None, **claims):
        claims = AccountClaims(
            **{
                "subject": self.account.public,
                "name": "tenant",
                "limits": AccountLimits.fresh(),
                "signing_keys": (self.signing.public,),
                **claims,
            }
        )
        return encode(claims, signer or self.operator_signing, issued_at=NOW)

    def user_jwt(self, signer=None, issued_at=NOW, grant=None, **claims):
        signer = signer or self.signing
        issuer_account = "" if signer is self.account else self.account.public
        grant = structs.replace(UserGrant.fresh(), **grant) if isinstance(grant, dict) else grant or UserGrant.fresh()
        claims = UserClaims(
            **{
                "subject": self.user.public,
                "name": "alice",
                "issuer_account": issuer_account,
                "grant": grant,
                **claims,
            }
        )
        return encode(claims, signer, issued_at=issued_at)

    def authenticator(self, operator=None, account=None, **settings):
        self.resolver.store(self.account.public, account or self.account_jwt())
        settings = AuthSettings(
            operators=(operator or self.operator_jwt(),), resolver=ResolverSettings(kind="memory"), **settings
        )
        return Authenticator(settings, self.resolver)

    def attempt(self, token, **fields):
        connect = {"jwt": token, "sig": encode_signature(self.user.sign(NONCE)), **fields.pop("connect", {})}
        return Attempt(**{"connect": ConnectOptions(**connect), "nonce": NONCE, "client_host": "192.0.2.7", **fields})


@pytest.fixture
def chain():
    return Chain()


@contextmanager
def _running(config):
    process = subprocess.Popen([SERVER, "-c", config], stderr=subprocess.PIPE)
    reader = None
    try:
        lines = []
        for line in process.stderr:
            lines.append(line)
            if b"Server is ready" in line:
                break
        ports = [found[1] for found in map(READY.search, lines) if found]
        assert ports, b"".join(lines).decode()
        # Somebody must go on reading, or the server stops when the pipe is full of its log.
        reader = threading.Thread(target=process.stderr.read)
        reader.start()
        yield int(ports[0])
    finally:
        process.terminate()
        process.wait()
        if reader is not None:
            reader.join()
        process.stderr.close()


@pytest.fixture(scope="module")
def real_server():
    """``with real_server(path of a configuration) as port``: nats-server itself, on a free port of the loopback."""
    return _running
