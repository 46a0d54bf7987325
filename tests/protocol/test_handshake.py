"""From the first INFO to the first PONG (spec: client-protocol sections 1, 3-5; items 1-4, 26, 27, 66, 67)."""

import re

import pytest

from gossamer.mesh.testing.plugin import Dial, Join, StartServer
from gossamer.mesh.testing.process import ServerProcess

SEMVER = re.compile(r"\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?")


def test_first_info_has_the_mandatory_fields(server: ServerProcess, dial: Dial) -> None:
    """Item 1."""
    client = dial(server)
    info = client.read_info()
    assert re.fullmatch(r"N[A-Z2-7]{55}", info["server_id"])
    assert info["server_name"] == info["server_id"]
    assert SEMVER.fullmatch(info["version"])
    assert info["proto"] == 1
    assert isinstance(info["go"], str)
    assert info["go"]
    assert info["host"] == "127.0.0.1"
    assert info["port"] == server.port
    assert info["headers"] is True
    assert info["max_payload"] == 1_048_576
    assert info["client_ip"] == "127.0.0.1"
    assert isinstance(info["client_id"], int)
    assert info["client_id"] > 0
    assert re.fullmatch(r"X[A-Z2-7]{55}", info["xkey"])


@pytest.mark.parametrize(
    "field",
    [
        *("auth_required", "tls_required", "tls_verify", "tls_available", "jetstream", "nonce", "cluster", "domain"),
        *("connect_urls", "ldm", "connect_info", "remote_account", "acc_is_sys", "ip", "ws_connect_urls"),
        *("cluster_dynamic", "compression", "import", "export"),
    ],
)
def test_first_info_leaves_out_what_is_not_so(server: ServerProcess, dial: Dial, field: str) -> None:
    """Item 1: fields that are false or empty are absent, and none is null."""
    info = dial(server).read_info()
    assert field not in info
    assert None not in info.values()


def test_info_fields_come_in_the_order_of_the_table(server: ServerProcess, dial: Dial) -> None:
    """Item 1: section 4.1 lists them in order."""
    order = ["server_id", "server_name", "version", "proto", "git_commit", "go", "host", "port", "headers"]
    order += ["max_payload", "client_id", "client_ip", "api_lvl", "xkey"]
    seen = [name for name in dial(server).read_info() if name in order]
    assert seen == [name for name in order if name in seen]


def test_nothing_precedes_or_follows_info(server: ServerProcess, dial: Dial) -> None:
    """Item 1: compact JSON, a space, CR LF, and then silence."""
    client = dial(server)
    line = client.expect_match(rb"INFO \{.*\} ").group()
    assert b'": ' not in line
    client.ping()


def test_client_ids_rise(server: ServerProcess, dial: Dial) -> None:
    """Item 1: each connection has a higher id than the one before."""
    ids = [dial(server).read_info()["client_id"] for _ in range(3)]
    assert ids == sorted(set(ids))


def test_protocol_0_gets_pong_only(server: ServerProcess, dial: Dial) -> None:
    """Item 2."""
    client = dial(server)
    client.read_info()
    client.send(b'CONNECT {"verbose":false,"pedantic":false}\r\nPING\r\n')
    client.expect(b"PONG\r\n")
    client.ping()


def test_protocol_1_gets_info_after_the_first_pong(server: ServerProcess, dial: Dial) -> None:
    """Item 3."""
    client = dial(server)
    first = client.read_info()
    client.send(b'CONNECT {"verbose":false,"pedantic":false,"protocol":1}\r\nPING\r\n')
    client.expect(b"PONG\r\n")
    second = client.read_info()
    assert second["connect_info"] is True
    assert second["remote_account"] == "$G"
    assert {**first, "connect_info": True, "remote_account": "$G"} == second


def test_second_ping_gets_pong_only(server: ServerProcess, join: Join) -> None:
    """Item 4."""
    client = join(server, protocol=1)
    client.send(b"PING\r\nPING\r\n")
    client.expect(b"PONG\r\nPONG\r\n")
    client.ping()


def test_ping_before_connect_does_not_use_up_the_connect_info(server: ServerProcess, dial: Dial) -> None:
    """Item 3: the first PING that follows CONNECT counts."""
    client = dial(server)
    client.read_info()
    client.ping()
    client.connect(protocol=1)
    client.ping()
    assert client.read_info()["connect_info"] is True


def test_without_connect_a_client_is_verbose_pedantic_and_hears_itself(server: ServerProcess, dial: Dial) -> None:
    """Item 26."""
    client = dial(server)
    client.read_info()
    client.send(b"SUB handshake.* 1\r\nPUB handshake.a 2\r\nhi\r\nPUB handshake.* 0\r\n\r\nPING\r\n")
    client.expect(
        b"+OK\r\n+OK\r\nMSG handshake.a 1 2\r\nhi\r\n",
        b"-ERR 'Invalid Publish Subject'\r\n+OK\r\nMSG handshake.* 1 0\r\n\r\nPONG\r\n",
    )


def test_empty_connect_is_verbose(server: ServerProcess, dial: Dial) -> None:
    """Item 27."""
    client = dial(server)
    client.read_info()
    client.send(b"CONNECT {}\r\n")
    client.expect(b"+OK\r\n")
    client.send(b"PUB > 0\r\n\r\n")
    client.expect(b"-ERR 'Invalid Publish Subject'\r\n+OK\r\n")


@pytest.mark.parametrize(
    "text",
    [
        b'{"VERBOSE":false,"Pedantic":false}',
        b'{"verbose":false,"pedantic":false,"colour":"blue","nested":{"a":[1,null]}}',
        b'{"verbose":true,"verbose":false}',
        b'{"verbose":false,"echo":null,"name":null}',
        b' {"verbose" : false}  \t ',
        b'{"verbose":false,"tls_required":true}',
        b'{"verbose":false,"user":"nobody","pass":"nothing","auth_token":"t","jwt":"x","nkey":"U","sig":"s"}',
        b'{"verbose":false,"lang":"python","version":"1","name":"a \\u00e9 \xc3\xa9"}',
        b'{"verbose":false,"protocol":0}',
        b'{"verbose":false,"account":"","new_account":false}',
        b'{"verbose":false,"proxy_sig":"x"}',
    ],
    ids=[
        *("upper case", "unknown keys", "last of duplicates", "null", "spaces", "tls_required"),
        *("credentials nobody asked for", "names", "protocol 0", "empty account", "proxy signature"),
    ],
)
def test_connect_accepts(server: ServerProcess, dial: Dial, text: bytes) -> None:
    """Item 67."""
    client = dial(server)
    client.read_info()
    client.send(b"CONNECT " + text + b"\r\nPING\r\n")
    client.expect(b"PONG\r\n")


@pytest.mark.parametrize(
    "text",
    [
        *(b'{"verbose":"yes"}', b'{"verbose":1}', b'{"user":7}', b'{"protocol":"1"}', b'{"protocol":1.5}'),
        *(b'{"protocol":1.0}', b'{"name":{}}', b"{", b"verbose", b"[]", b'"text"', b"1", b"", b'{"verbose":false}}'),
    ],
)
def test_connect_of_the_wrong_type_closes_silently(server: ServerProcess, dial: Dial, text: bytes) -> None:
    """Items 22, 67: no -ERR."""
    client = dial(server)
    client.read_info()
    client.send(b"CONNECT " + text + b"\r\nPING\r\n")
    client.expect_close()


@pytest.mark.parametrize("number", [2, 3, -1, 99])
def test_unknown_protocol_number(server: ServerProcess, dial: Dial, number: int) -> None:
    """Section 3."""
    client = dial(server)
    client.read_info()
    client.connect(protocol=number)
    client.expect_error("invalid client protocol")
    client.expect_close()


@pytest.mark.parametrize("fields", [{"account": "A"}, {"new_account": True}, {"account": "A", "new_account": True}])
def test_connect_must_not_name_an_account(server: ServerProcess, dial: Dial, fields: dict[str, object]) -> None:
    """Section 5.1."""
    client = dial(server)
    client.read_info()
    client.connect(fields)
    client.expect_error("Authorization Violation")
    client.expect_close()


def test_no_responders_needs_headers(server: ServerProcess, dial: Dial) -> None:
    """Section 5.1."""
    client = dial(server)
    client.read_info()
    client.connect(no_responders=True)
    client.expect_error("no responders requires headers support")
    client.expect_close()


def test_second_connect_changes_options_and_drops_subscriptions(server: ServerProcess, join: Join) -> None:
    """Item 66: silently."""
    client = join(server)
    client.send(b"SUB handshake.second 1\r\nPUB handshake.second 1\r\na\r\n")
    client.expect(b"MSG handshake.second 1 1\r\na\r\n")
    client.connect(verbose=True)
    client.expect(b"+OK\r\n")
    client.send(b"PUB handshake.second 1\r\nb\r\nSUB handshake.second 1\r\nPUB handshake.second 1\r\nc\r\nPING\r\n")
    client.expect(b"+OK\r\n+OK\r\n+OK\r\nMSG handshake.second 1 1\r\nc\r\nPONG\r\n")


def test_second_connect_keeps_options_it_does_not_name(server: ServerProcess, join: Join) -> None:
    """Item 66: absent fields stay as the first CONNECT had them."""
    client = join(server, echo=False)
    client.send(b"CONNECT {}\r\nSUB handshake.kept 1\r\nPUB handshake.kept 0\r\n\r\nPUB handshake.* 0\r\n\r\nPING\r\n")
    client.expect(b"PONG\r\n")


def test_connect_info_comes_once(server: ServerProcess, join: Join) -> None:
    """Items 3, 66: a second CONNECT is not followed by another one."""
    client = join(server, protocol=1)
    client.connect(protocol=1)
    client.send(b"PING\r\nPING\r\n")
    client.expect(b"PONG\r\nPONG\r\n")
    client.ping()


def test_info_says_what_is_configured(shared_server: StartServer, dial: Dial) -> None:
    """Item 1: server_name, max_payload, auth_required, cluster."""
    config = "server_name: chosen\nmax_payload: 4096\nauthorization { token: t }\n"
    config += "cluster { name: cloud, listen: 127.0.0.1:-1 }\n"
    info = dial(shared_server(config=config)).read_info()
    assert info["server_name"] == "chosen"
    assert info["server_id"] != "chosen"
    assert info["max_payload"] == 4096
    assert info["auth_required"] is True
    assert info["cluster"] == "cloud"


def test_generated_cluster_name(shared_server: StartServer, dial: Dial) -> None:
    """Item 1: 22 characters when clustering is on without a name."""
    info = dial(shared_server(config="cluster { listen: 127.0.0.1:-1 }\n")).read_info()
    assert re.fullmatch(r"[0-9A-Za-z]{22}", info["cluster"])


def test_server_id_is_new_at_each_start(start_server: StartServer, dial: Dial) -> None:
    """Item 1."""
    server = start_server()
    before = dial(server).read_info()
    server.stop()
    server.restart()
    after = dial(server).read_info()
    assert before["server_id"] != after["server_id"]
    assert before["xkey"] != after["xkey"]
