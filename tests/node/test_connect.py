"""CONNECT is decoded with the tolerance of spec client-protocol section 5.1."""

import pytest

from gossamer.mesh.peers.connect import SILENT, Connect, SharedTexts, decode_connect


def test_what_a_usual_client_sends() -> None:
    text = (
        b'{"verbose":false,"pedantic":false,"lang":"python3","version":"2.9.0","protocol":1,"headers":true,'
        b'"no_responders":true,"echo":true,"user":"a","pass":"b","tls_required":false}'
    )
    assert decode_connect(text) == Connect(
        verbose=False,
        pedantic=False,
        lang="python3",
        version="2.9.0",
        protocol=1,
        headers=True,
        no_responders=True,
        user="a",
        password="b",
    )


def test_absent_fields_have_their_defaults() -> None:
    connect = decode_connect(b"{}")
    assert connect == SILENT
    assert connect.verbose
    assert connect.pedantic
    assert connect.echo
    assert not connect.headers
    assert connect.protocol == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b'{"VERBOSE":false,"User":"u","pASS":"p"}', Connect(verbose=False, user="u", password="p")),
        (b'{"unknown":{"deep":[1,2]},"name":"n"}', Connect(name="n")),
        (b'{"name":"a","name":"b"}', Connect(name="b")),
        (b'{"name":"a","NAME":"b","name":"c"}', Connect(name="c")),
        (b'{"NAME":"b","name":null}', Connect(name="b")),
        (b'{"verbose":null,"protocol":null}', SILENT),
        (b'{"name":"n"}  \t', Connect(name="n")),
        (b'{"name":"\xff"}', Connect(name="\ufffd")),
        (b'{"name":"\\ud800"}', Connect(name="?")),
        (b"null", SILENT),
    ],
)
def test_tolerance(text: bytes, expected: Connect) -> None:
    assert decode_connect(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"nonsense",
        b"[]",
        b"7",
        b'{"verbose":"yes"}',
        b'{"verbose":1}',
        b'{"protocol":1.0}',
        b'{"protocol":"1"}',
        b'{"protocol":true}',
        b'{"PROTOCOL":1.0}',
        b'{"protocol":99999999999999999999}',
        b'{"name":7}',
        b'{"USER":["a"]}',
        b'{"name":"a",}',
        b'{"name":"a"} x',
        b'{"x":NaN}',
        b'{"x":' + b"[" * 4000,
    ],
)
def test_malformed(text: bytes) -> None:
    assert decode_connect(text) is None


def test_shared_texts_are_one_object_and_bounded() -> None:
    texts = SharedTexts(limit=2)
    first = texts.one("".join(["go", "-client"]))
    assert texts.one("".join(["go-", "client"])) is first
    for number in range(10):
        assert texts.one(f"name {number}") == f"name {number}"
