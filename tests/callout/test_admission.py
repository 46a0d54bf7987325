"""Items of the security checklist about coming in that stand nowhere else (spec auth 29: 15 to 25)."""

import base64

import pytest

from gossamer.auth.jwt import encode_signature
from gossamer.auth.keys import KeyKind, KeyPair

PAIR = KeyPair.generate(KeyKind.USER)
HASH = "$2a$04$OOoHuhEaCCrGwm47fysEru07jRvVGGEPMBqTgBwErXvs6uKIEMVX6"  # of "hashed", at the lowest cost


def refused(client):
    client.expect_error("Authorization Violation")
    client.expect_close()


@pytest.fixture
def server(shared_server):
    return shared_server(
        config=f"""
        authorization {{
          users: [
            {{user: a, password: p}}, {{user: hashed, password: "{HASH}"}}, {{nkey: {PAIR.public}}}
          ]
        }}
        """
    )


def test_the_text_of_a_hash_is_no_password(server, join, dial):
    join(server, user="hashed", **{"pass": "hashed"})
    client = dial(server)
    client.read_info()
    client.connect(user="hashed", **{"pass": HASH})
    refused(client)


@pytest.mark.parametrize("named", [{"account": "X"}, {"account": "$G"}, {"new_account": True}])
def test_nobody_chooses_an_account(server, dial, named):
    client = dial(server)
    client.read_info()
    client.connect(user="a", **{"pass": "p"}, **named)
    refused(client)


def standard(signature):
    return base64.b64encode(signature).decode()


@pytest.mark.parametrize("write", [encode_signature, standard], ids=["base64url", "padded base64"])
def test_spellings_of_a_signature(server, dial, write):
    client = dial(server)
    nonce = client.read_info()["nonce"]
    client.connect(nkey=PAIR.public, sig=write(PAIR.sign(nonce.encode())))
    client.ping()


@pytest.mark.parametrize("fields", [{"sig": ""}, {"sig": "AAAA"}, {"sig": "!"}, {}])
def test_an_nkey_without_its_signature(server, dial, fields):
    client = dial(server)
    client.read_info()
    client.connect(nkey=PAIR.public, **fields)
    refused(client)


def test_unknown_connection_types_in_a_configuration(server_kind, tmp_path):
    path = tmp_path / "x.conf"
    path.write_text('authorization { users: [{user: a, password: p, allowed_connection_types: ["FOO"]}] }')
    told = server_kind.run("-t", "-c", str(path))
    assert told.returncode == 1
    assert 'invalid connection types ["FOO"]' in told.stderr


@pytest.mark.parametrize(("types", "wanted"), [(["STANDARD"], True), (["STANDARD", "MQTT"], True), (["MQTT"], False)])
def test_connection_types_of_a_configuration(start_server, dial, types, wanted):
    listed = ", ".join(types)
    server = start_server(
        config=f"authorization {{ users: [{{user: a, password: p, allowed_connection_types: [{listed}]}}] }}"
    )
    client = dial(server)
    client.read_info()
    client.connect(user="a", **{"pass": "p"})
    if wanted:
        client.ping()
    else:
        refused(client)
