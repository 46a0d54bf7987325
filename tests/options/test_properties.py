"""Whatever the text, reading it ends with a document or our own error; JSON goes in and comes out the same."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gossamer.mesh.options.flags import Flags
from gossamer.mesh.options.language import ConfigurationError, digest, parse_text
from gossamer.mesh.options.loading import Loaded, assess
from gossamer.mesh.options.table import rows

PIECES = [
    *("{", "}", "[", "]", "(", ")", "\n)\n", ":", "=", " ", "\n", ",", ";", "#", "//", '"', "'", "\\", "$", "\r\n"),
    *("include ", "include x.conf", "$a", "$A", "$E", "$2a$", "a", "b", "true", "1", "-1", "1k", "1.5", "1.2.3.4"),
    *("2016-05-04T18:53:41Z", "10s", "\\x41", "\\xff", "é", "\u2003", "\udcff", "\0"),
]
WORDS = [key for row in rows() for key in row.keys]
TEXT = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=3)), max_size=40).map("".join)
CONFIGURATION = st.lists(
    st.one_of(st.sampled_from(WORDS).map(lambda word: f" {word} "), st.sampled_from(PIECES)), max_size=40
).map("".join)
ENVIRONMENT = {"E": "{a: $A}", "A": "[1, $E]"}


def reader(path):
    raise FileNotFoundError(2, "No such file or directory", path)


@given(TEXT)
@settings(max_examples=400, deadline=None)
def test_any_text_is_a_document_or_an_error(text):
    try:
        document = parse_text(text, "f.conf", reader=reader, environment=ENVIRONMENT)
    except ConfigurationError as error:
        told = str(error)
    else:
        told = digest(document)
    assert told


@given(CONFIGURATION)
@settings(max_examples=400, deadline=None)
def test_any_configuration_is_assessed(text):
    data = text.encode("utf-8", "surrogateescape")
    loaded = assess(Flags(config="f.conf"), reader=lambda path: data, environment=ENVIRONMENT)
    assert isinstance(loaded, Loaded)
    for fault in (*loaded.faults, *loaded.warnings):
        assert fault.text


KEYS = st.text(max_size=6).filter(lambda key: '"' not in key)
VALUES = st.recursive(
    st.one_of(
        st.booleans(),
        st.integers(min_value=-(2**63), max_value=2**63 - 1),
        st.text(),
        st.floats(allow_nan=False, allow_infinity=False).filter(lambda number: "e" not in repr(number)),
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)


def as_json(value):
    """JSON whose escapes are those the language knows: strings have ``\\xHH``, keys have none."""
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{key}": {as_json(child)}' for key, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_json(child) for child in value) + "]"
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return json.dumps(value)


@given(st.dictionaries(KEYS, VALUES, min_size=1, max_size=5))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_json_goes_in_and_comes_out(document):
    text = as_json(document)
    assert parse_text(text, "f.conf", reader=reader, environment={}).plain == document


@pytest.mark.parametrize("text", ["a" * 200_000, "[" * 200_000, '"' * 99_999, "(\n" * 50_000, "a:1\n" * 5_000])
def test_long_texts_end(text):
    try:
        told = digest(parse_text(text, "f.conf", reader=reader, environment={}))
    except ConfigurationError as error:
        told = str(error)
    assert told
