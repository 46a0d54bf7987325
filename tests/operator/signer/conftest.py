"""A trust chain, and a signing service beside it."""

import datetime
import ipaddress
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from msgspec import Struct

from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.operator.signer.client import Connection, SignerClient
from gossamer.operator.signer.policy import parse_policy
from gossamer.operator.signer.server import SignerServer, Tls
from gossamer.operator.signer.service import Signer
from gossamer.operator.store.places import PlaceFlags
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.testing import run_ok

NOW = 1_800_000_000


class Running(Struct, kw_only=True):
    """A service and what a test needs to know of it."""

    server: SignerServer
    signer: Signer
    clock: list[float]
    keys: dict[str, KeyPair]
    workspace: Workspace

    def client(self, name: str) -> SignerClient:
        """A client of that name."""
        return SignerClient(Connection(address=self.server.address, key=self.keys[name]))

    def account_key(self, role: str = "", account: str = "TEAM") -> str:
        """A key of the account: that of a role, or the plain one."""
        claims = self.workspace.reopened().store.account("DEMO", account).claims
        for key in claims.signing_key_texts:
            scope = claims.scope(key)
            if (scope.role if scope else "") == role:
                return key
        raise AssertionError(role)


@pytest.fixture
def chain(home: Path) -> Path:
    """An operator with a signing key, accounts TEAM and OTHER, roles and a plain signing key."""
    run_ok("init", "DEMO", "--account", "TEAM", "--user", "alice")
    run_ok("operator", "edit", "--sk", "generate")
    run_ok("account", "create", "OTHER")
    for role, subject in ("svc", "p.{{name()}}.>"), ("admin", ">"):
        run_ok("account", "signing-key", "create", "-a", "TEAM", "--role", role, "--allow-pub", subject)
    run_ok("account", "edit", "TEAM", "--sk", "generate")
    return home


POLICY = """
name = "test"
session = "5m"

[[client]]
name = "ci"
nkey = "@ci@"
operations = ["list", "issue", "sign"]
[[client.rule]]
accounts = ["TEAM"]
roles = ["svc"]
names = ["ci-*"]
tags = ["dept:*"]
expiry_max = "1h"
per_minute = 5

[[client]]
name = "portal"
nkey = "@portal@"
operations = ["list", "issue", "sign", "submit"]
[[client.rule]]
accounts = ["TEAM"]
keys = ["plain"]
require_scope = false
expiry_max = "1d"
publish = ["portal.>"]
subscribe = ["portal.>", "_INBOX.>"]
ceilings = { subs = 10, payload = 1000 }
[[client.rule]]
kinds = ["account"]
accounts = ["TEAM", "NEW*"]
keys = ["plain"]
names = ["TEAM", "NEW*"]
expiry_max = "0"
ceilings = { conn = 100, leaf = 0, disk_storage = 1000000 }
[[client.rule]]
kinds = ["operator"]
keys = ["identity"]
names = ["DEMO"]
expiry_max = "0"

[[client]]
name = "boss"
nkey = "@boss@"
operations = ["approve", "watch"]

[[client]]
name = "second"
nkey = "@second@"
operations = ["submit", "approve"]
"""


@pytest.fixture
def start(chain: Path, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts services; they are stopped at the end."""
    started: list[SignerServer] = []

    def begin(policy: str = POLICY, tls: Tls | None = None, extra: str = "") -> Running:
        policy += extra
        keys = {name: KeyPair.generate(KeyKind.USER) for name in ("ci", "portal", "boss", "second", "stranger")}
        for name, pair in keys.items():
            policy = policy.replace(f"@{name}@", pair.public)
        workspace = Workspace.open(PlaceFlags(), os.environ, None)
        clock = [float(NOW)]
        signer = Signer(workspace.reopened, "DEMO", parse_policy(policy), tmp_path / "state", lambda: clock[0])
        server = SignerServer(signer, "127.0.0.1:0", lambda: clock[0], tls)
        server.start()
        started.append(server)
        return Running(server=server, signer=signer, clock=clock, keys=keys, workspace=workspace)

    yield begin
    for server in started:
        server.stop(0)


@pytest.fixture
def running(start: Callable[..., Running]) -> Running:
    """A service with the usual policy, without TLS."""
    return start()


class Authority:
    """Makes certificates in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test authority")])
        self.path = self._write("authority", self._certificate(self._name, self._key, authority=True), self._key)[0]

    def issue(self, name: str, uri: str = "") -> tuple[str, str]:
        """Paths of a certificate and its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name(
            [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
        )
        return self._write(name, self._certificate(subject, key, uri=uri), key)

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePrivateKey, authority: bool = False, uri: str = ""
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        names: list[x509.GeneralName] = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName("localhost")]
        if uri:
            names.append(x509.UniformResourceIdentifier(uri))
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(hours=1))
            .not_valid_after(now + datetime.timedelta(hours=1))
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName(names), critical=False)
            .sign(self._key, hashes.SHA256())
        )

    def _write(self, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> tuple[str, str]:
        paths = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        paths[1].write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return str(paths[0]), str(paths[1])


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """A certificate authority of this test's own."""
    return Authority(tmp_path)
