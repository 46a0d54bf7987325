"""A platform that issues tokens, with keys of every kind, and rules that believe it."""

import json

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from gossamer.auth.exchange import Exchange, Needed, parse_rules
from gossamer.auth.keys import KeyKind, KeyPair

NOW = 1_800_000_000
URL = "https://issuer.example"
RULES = f"""
[answer]
signer = "issuer.nk"

[[issuer]]
name = "platform"
url = "{URL}"
audience = ["nats", "mesh"]
jwks_url = "{URL}/keys"

[[rule]]
name = "ci"
issuer = "platform"
where = {{ sub = "ci:*", team = ["red", "blue"] }}
account = "APP"
user = "{{sub}}"
tags = ["team:{{team}}"]
publish = ["build.{{team}}.>"]
subscribe = {{ allow = ["_INBOX.>"], deny = ["secret.>"] }}
lifetime = "10m"
"""


class Platform:
    """Issues tokens. ``keys`` by key id: private key and algorithm."""

    def __init__(self):
        self.keys = {
            "rsa": (rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256"),
            "ec": (ec.generate_private_key(ec.SECP256R1()), "ES256"),
            "ed": (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
        }
        self.published = ["rsa", "ec", "ed"]
        self.fetched = []

    def claims(self, **changed):
        claims = {"iss": URL, "aud": "nats", "sub": "ci:42", "team": "red", "iat": NOW, "exp": NOW + 300, **changed}
        return {name: value for name, value in claims.items() if value is not None}

    def token(self, key="rsa", headers=None, **changed):
        private, algorithm = self.keys[key]
        return jwt.encode(self.claims(**changed), private, algorithm, headers={"kid": key, **(headers or {})})

    def key_set(self):
        found = []
        for name in self.published:
            private, algorithm = self.keys[name]
            kind = jwt.get_algorithm_by_name(algorithm)
            found.append({**kind.to_jwk(private.public_key(), as_dict=True), "kid": name, "use": "sig"})
        return json.dumps({"keys": found}).encode()

    def documents(self):
        return {
            f"{URL}/keys": self.key_set(),
            f"{URL}/.well-known/openid-configuration": json.dumps({"issuer": URL, "jwks_uri": f"{URL}/keys"}).encode(),
        }

    def examine(self, exchange, token, now=NOW):
        """Drive the exchange, as a program would that fetches."""
        for _ in range(5):
            outcome = exchange.examine(token, now)
            if not isinstance(outcome, Needed):
                return outcome
            self.fetched.append(outcome.url)
            body = self.documents().get(outcome.url)
            if body is None:
                exchange.keys.failed(outcome, "404", now)
            else:
                exchange.keys.learned(outcome, body, now)
        raise AssertionError("it goes on asking")


@pytest.fixture(scope="session")
def platform_keys():
    return Platform().keys


@pytest.fixture
def platform(platform_keys):
    made = Platform.__new__(Platform)
    made.keys, made.published, made.fetched = dict(platform_keys), ["rsa", "ec", "ed"], []
    return made


@pytest.fixture
def signer(tmp_path):
    pair = KeyPair.generate(KeyKind.ACCOUNT)
    (tmp_path / "issuer.nk").write_text(pair.seed + "\n")
    return pair


@pytest.fixture
def read(tmp_path, signer):
    """Call with the text of rules."""
    return lambda text=RULES: parse_rules(text, name="rules.toml", folder=tmp_path)


@pytest.fixture
def exchange(read):
    return Exchange(read())


@pytest.fixture
def rules_text():
    return RULES
