"""INFO: fields, their order, what is left out (spec client-protocol section 4.1)."""

import json
from typing import Any

import pytest

from gossamer.mesh.peers.greeting import Greeting, Placeholders, fill

PLACES = Placeholders(10, 11, 12)
ORDER = [
    "server_id", "server_name", "version", "proto", "go", "host", "port", "headers", "auth_required", "max_payload",
    "client_id", "client_ip", "nonce", "cluster", "connect_urls", "ldm", "connect_info", "remote_account",
    "acc_is_sys", "api_lvl", "xkey",
]  # fmt: skip


def greeting(**fields: Any) -> Greeting:
    usual: dict[str, Any] = {
        "server_id": "NID",
        "server_name": "n1",
        "host": "0.0.0.0",
        "port": 4222,
        "headers": True,
        "auth_required": False,
        "max_payload": 1048576,
        "nonces": False,
    }
    return Greeting(**(usual | fields))


def rendered(pieces: list[bytes | int]) -> bytes:
    values = {10: b"7", 11: b"10.0.0.9", 12: b"abcdefghijklmno"}
    return b"".join(values[piece] if isinstance(piece, int) else piece for piece in pieces)


def parsed(line: bytes) -> dict[str, Any]:
    assert line.startswith(b"INFO {")
    assert line.endswith(b"} \r\n")
    found: dict[str, Any] = json.loads(line[5:])
    assert [name for name in ORDER if name in found] == list(found)
    return found


def test_the_plain_first_info() -> None:
    found = parsed(rendered(greeting().template(PLACES)))
    assert found["client_id"] == 7
    assert found["client_ip"] == "10.0.0.9"
    assert found["proto"] == 1
    assert found["headers"] is True
    absent = {"auth_required", "nonce", "cluster", "connect_urls", "ldm", "connect_info", "remote_account", "xkey"}
    assert not absent & set(found)


def test_the_full_first_info() -> None:
    made = greeting(auth_required=True, nonces=True, cluster="c", connect_urls=("a:1", "[::1]:2"), xkey="XK")
    found = parsed(rendered(made.template(PLACES)))
    assert found["nonce"] == "abcdefghijklmno"
    assert found["auth_required"] is True
    assert found["connect_urls"] == ["a:1", "[::1]:2"]
    assert found["cluster"] == "c"
    assert found["xkey"] == "XK"


@pytest.mark.parametrize("system", [False, True])
def test_the_connect_info(system: bool) -> None:
    made = greeting(auth_required=True, nonces=True, cluster="c")
    found = parsed(fill(made.frame(max_payload=99, account="A", system=system), 8, "::1"))
    assert found["connect_info"] is True
    assert found["remote_account"] == "A"
    assert found.get("acc_is_sys", False) is system
    assert found["max_payload"] == 99
    assert found["client_id"] == 8
    assert found["client_ip"] == "::1"
    assert "nonce" not in found


def test_the_lame_duck_info() -> None:
    found = parsed(fill(greeting(connect_urls=("b:1",)).frame(max_payload=1, lame_duck=True), 8, "h"))
    assert found["ldm"] is True
    assert "connect_info" not in found


def test_names_are_escaped() -> None:
    assert parsed(rendered(greeting(server_name='a "b" \\ \n').template(PLACES)))["server_name"] == 'a "b" \\ \n'
