"""When keys are fetched, and when not."""

import json
import warnings

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from gossamer.auth.exchange import Cause, Denied, Exchange, Granted, Needed
from gossamer.auth.exchange.keysets import FRESH_S, RETRY_S, STALE_S

NOW = 1_800_000_000
URL = "https://issuer.example"


def test_once_for_many_tokens(exchange, platform):
    for key in ("rsa", "ec", "ed", "rsa"):
        assert isinstance(platform.examine(exchange, platform.token(key)), Granted)
    assert platform.fetched == [f"{URL}/keys"]


def test_again_for_an_unknown_key_but_not_often(exchange, platform):
    platform.published = ["ec"]
    assert isinstance(platform.examine(exchange, platform.token("ec")), Granted)
    platform.published = ["ec", "rsa"]  # the issuer has a new key
    for _ in range(3):
        outcome = platform.examine(exchange, platform.token("rsa"), NOW + RETRY_S - 1)
        assert outcome.cause is Cause.KEY_UNKNOWN
    assert len(platform.fetched) == 1
    assert isinstance(platform.examine(exchange, platform.token("rsa"), NOW + RETRY_S), Granted)
    assert len(platform.fetched) == 2


def test_invented_key_ids_do_not_flood_the_issuer(exchange, platform):
    for number in range(50):
        platform.examine(exchange, platform.token(headers={"kid": f"invented-{number}"}), NOW + number / 10)
    assert len(platform.fetched) == 1


def test_now_and_then_anyway(exchange, platform):
    platform.examine(exchange, platform.token())
    assert isinstance(platform.examine(exchange, platform.token(exp=NOW + 9000), NOW + FRESH_S), Granted)
    assert len(platform.fetched) == 2


def test_a_key_that_was_withdrawn_is_no_longer_believed(exchange, platform):
    platform.examine(exchange, platform.token())
    platform.published = ["ec"]
    outcome = platform.examine(exchange, platform.token(exp=NOW + 9000), NOW + FRESH_S)
    assert outcome.cause is Cause.KEY_UNKNOWN


def test_an_issuer_out_of_reach(exchange, platform, monkeypatch):
    platform.examine(exchange, platform.token())
    monkeypatch.setattr(platform, "documents", dict)
    late = NOW + STALE_S
    assert isinstance(platform.examine(exchange, platform.token(exp=late + 999), late), Granted)  # known keys go on
    outcome = platform.examine(exchange, platform.token(exp=late + 999), late + 1)
    assert outcome.cause is Cause.KEYS_UNAVAILABLE
    assert "404" in outcome.text


def test_an_issuer_that_was_never_reached(exchange, platform, monkeypatch):
    monkeypatch.setattr(platform, "documents", dict)
    for _ in range(3):
        assert platform.examine(exchange, platform.token()).cause is Cause.KEYS_UNAVAILABLE
    assert len(platform.fetched) == 1
    monkeypatch.undo()
    assert isinstance(platform.examine(exchange, platform.token(), NOW + RETRY_S), Granted)


def discovering(rules_text):
    return rules_text.replace(f'jwks_url = "{URL}/keys"', "")


def test_the_keys_are_found_by_discovery(read, rules_text, platform):
    exchange = Exchange(read(discovering(rules_text)))
    assert isinstance(platform.examine(exchange, platform.token()), Granted)
    assert platform.fetched == [f"{URL}/.well-known/openid-configuration", f"{URL}/keys"]


@pytest.mark.parametrize(
    "document",
    [
        b"", b"[]", b"{}", b"\xff",
        json.dumps({"issuer": "https://other.example", "jwks_uri": f"{URL}/keys"}).encode(),
        json.dumps({"issuer": URL, "jwks_uri": "http://issuer.example/keys"}).encode(),
        json.dumps({"issuer": URL, "jwks_uri": "file:///etc/passwd"}).encode(),
        json.dumps({"issuer": URL, "jwks_uri": 7}).encode(),
    ],
    ids=["empty", "list", "nothing", "binary", "of another", "not https", "a file", "a number"],
)  # fmt: skip
def test_a_discovery_that_is_not_to_be_followed(read, rules_text, platform, document, monkeypatch):
    exchange = Exchange(read(discovering(rules_text)))
    monkeypatch.setattr(platform, "documents", lambda: {f"{URL}/.well-known/openid-configuration": document})
    assert platform.examine(exchange, platform.token()).cause is Cause.KEYS_UNAVAILABLE
    assert len(platform.fetched) == 1


def test_a_file_of_keys(read, rules_text, platform, tmp_path):
    (tmp_path / "keys.json").write_bytes(platform.key_set())
    exchange = Exchange(read(rules_text.replace(f'jwks_url = "{URL}/keys"', 'jwks_file = "keys.json"')))
    assert isinstance(exchange.examine(platform.token(), NOW), Granted)
    platform.published = ["ec"]
    (tmp_path / "keys.json").write_bytes(platform.key_set())
    assert isinstance(exchange.examine(platform.token(), NOW + 1), Granted)
    assert isinstance(exchange.examine(platform.token(exp=NOW + 9000), NOW + FRESH_S), Denied)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"keys": 1}', b"[" * 100_000, b'{"keys": []}' + b" " * 1_048_576])
def test_what_is_no_key_set(exchange, platform, body):
    needed = exchange.examine(platform.token(), NOW)
    assert isinstance(needed, Needed)
    assert exchange.keys.learned(needed, body, NOW)
    assert exchange.examine(platform.token(), NOW).cause is Cause.KEYS_UNAVAILABLE


@pytest.mark.parametrize(
    "key",
    [
        7, {}, {"kty": "oct", "k": "AAAA", "kid": "rsa"}, {"kty": "RSA", "kid": "rsa"},
        {"kty": "RSA", "kid": "rsa", "n": "AQAB", "e": "AQAB"}, {"kty": "RSA", "kid": 7},
        {"kty": "RSA", "kid": "rsa", "use": "enc", "n": "AQAB", "e": "AQAB"},
    ],
    ids=["number", "empty", "secret", "without numbers", "tiny", "bad id", "for sealing"],
)  # fmt: skip
def test_keys_that_cannot_be_used(exchange, platform, key):
    needed = exchange.examine(platform.token(), NOW)
    assert exchange.keys.learned(needed, json.dumps({"keys": [key]}).encode(), NOW) == ""
    assert exchange.examine(platform.token(), NOW).cause in (Cause.KEY_UNKNOWN, Cause.SIGNATURE_WRONG)


def test_a_weak_key_is_not_believed(exchange, platform):
    platform.keys["rsa"] = (rsa.generate_private_key(public_exponent=65537, key_size=1024), "RS256")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the key is weak is what this is about
        token = platform.token()
    outcome = platform.examine(exchange, token)
    assert outcome.cause is Cause.SIGNATURE_WRONG
    assert "1024 bits" in outcome.text
