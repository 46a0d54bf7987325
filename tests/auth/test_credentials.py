"""Decorated files against the recorded vectors (spec auth section 7)."""

import json
from pathlib import Path

import pytest

from gossamer.auth.claims import UserClaims, UserGrant
from gossamer.auth.credentials import (
    CredentialsError,
    find_seed,
    find_token,
    format_credentials,
    format_seed,
    format_token,
    load_credentials,
    parse_credentials,
    parse_key,
)
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair, NkeyError

VECTORS = Path(__file__).parent / "vectors"
EXPECTED = json.loads((VECTORS / "creds" / "expected.json").read_text())


def read(name):
    return (VECTORS / name).read_bytes().decode()


@pytest.mark.parametrize("case", EXPECTED["files"], ids=lambda case: case["file"])
def test_files_read_as_by_the_reference(case):
    text = read(case["file"])
    if case["jwt_is_expected"]:
        assert find_token(text) == EXPECTED["jwt"]
    else:  # the reference returns the seed as a token, we say that there is none
        with pytest.raises(CredentialsError, match="holds no JWT"):
            find_token(text)
    if case["seed_is_expected"]:
        assert find_seed(text) == EXPECTED["seed"]
    else:
        with pytest.raises(CredentialsError, match=case["seed_error"]):
            find_seed(text)
    if case["jwt_is_expected"] and case["seed_is_expected"]:
        credentials = parse_credentials(text)
        assert (credentials.jwt, credentials.seed) == (EXPECTED["jwt"], EXPECTED["seed"])
        assert credentials.key.public == credentials.claims.subject
        assert EXPECTED["seed"] not in repr(credentials)


def test_written_files_are_those_of_the_reference():
    assert format_credentials(EXPECTED["jwt"], EXPECTED["seed"]) == read("creds/user.creds")
    decorated = read("creds/operator_decorated.txt")
    assert format_token(find_token(decorated)) == decorated
    decorated = read("creds/account_seed_decorated.txt")
    assert format_seed(parse_key(decorated).seed) == decorated


@pytest.mark.parametrize("path", sorted((VECTORS / "nsc-store").rglob("*.creds")), ids=lambda path: path.name)
def test_credentials_of_nsc(path):
    credentials = load_credentials(path)
    assert credentials.claims.name == path.stem
    assert format_credentials(credentials.jwt, credentials.seed) == path.read_text()


def test_key_files():
    for path in (VECTORS / "nsc-store" / "keys" / "keys").rglob("*.nk"):
        assert parse_key(path.read_text()).public == path.stem
    key = KeyPair.generate(KeyKind.SERVER)
    assert parse_key(key.seed + "\r\n").public == key.public
    assert not parse_key(key.public).can_sign
    for bad in ("", "SU", key.seed[:-1], "not a key"):
        with pytest.raises(CredentialsError):
            parse_key(bad)
    with pytest.raises(NkeyError, match="server seed is not written"):
        format_seed(key.seed)


def test_a_seed_of_somebody_else_is_refused():
    other = KeyPair.generate(KeyKind.USER)
    with pytest.raises(CredentialsError, match=f"the seed belongs to {other.public}"):
        format_credentials(EXPECTED["jwt"], other.seed)
    with pytest.raises(CredentialsError, match=f"the seed belongs to {other.public}"):
        parse_credentials(read("creds/user.creds").replace(EXPECTED["seed"], other.seed))


def test_a_bearer_token_may_stand_alone():
    account, user = KeyPair.generate(KeyKind.ACCOUNT), KeyPair.generate(KeyKind.USER)
    bearer = encode(UserClaims(subject=user.public, grant=UserGrant(bearer_token=True)), account)
    plain = encode(UserClaims(subject=user.public), account)
    credentials = parse_credentials(format_token(bearer))
    assert credentials.claims.grant.bearer_token
    with pytest.raises(CredentialsError, match="hold no seed"):
        assert credentials.key
    with pytest.raises(CredentialsError, match="doesn't contain a seed nkey"):
        parse_credentials(plain)


def test_faults_name_the_file(tmp_path):
    with pytest.raises(CredentialsError, match=r"cannot read credentials .*gone\.creds"):
        load_credentials(tmp_path / "gone.creds")
    broken = tmp_path / "broken.creds"
    broken.write_text(read("creds/user.creds").replace("eyJqdGki", "eyJqdGkj"))
    with pytest.raises(
        CredentialsError, match=r"broken\.creds: its JWT is damaged: .*; generate the credentials again"
    ):
        load_credentials(broken)
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(CredentialsError, match="cannot read credentials"):
        load_credentials(broken)
