"""Transforms: against what nats-server 2.15.1 said and did (``transforms.json``), against a naive model, against the
engine's numbers."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.auth.subjects import covers, is_literal, matches
from gossamer.auth.transforms import Function, TransformError, fnv1a, parse, parse_import
from gossamer.mesh.engine.kinds import Part

CAPTURED = json.loads(Path(__file__).with_name("transforms.json").read_text())
INDEX = "an index below 1 finds the first token of the source there; it means nothing and is refused"
NEGATIVE = "a negative count is taken for a huge one there; refused"
#: What we refuse and nats-server takes.
STRICTER = {
    "b.$0": INDEX,
    "b.{{wildcard(0)}}": INDEX,
    "b.{{wildcard(-1)}}": INDEX,
    "b.{{partition(10,0)}}": INDEX,
    "b.{{splitFromLeft(0,1)}}": INDEX,
    "b.{{partition(-1,1)}}": NEGATIVE,
    "b.{{random(-3)}}": NEGATIVE,
    "b.{{split(1, )}}": "without a separator every character becomes a token there",
    "": "the message is lost there",
}
LITERAL_PARTITION = ("a", "b.{{partition(10,1)}}")  # a source without wildcards has none to hash


def zero(limit):
    return 0


@pytest.mark.parametrize("case", CAPTURED, ids=lambda case: f"{case['source']} to {case['destination']}")
def test_as_nats_server(case):
    source, destination = case["source"], case["destination"]
    if destination in STRICTER or (source, destination) == LITERAL_PARTITION:
        assert case["error"] is None
        with pytest.raises(TransformError):
            parse(source, destination)
        return
    if case["error"] is not None:
        with pytest.raises(TransformError, match=re.escape(case["error"]) + r"\Z"):
            parse(source, destination)
        return
    transform = parse(source, destination)
    for subject, wanted in case.get("subjects", ()):
        made = transform.apply(subject.encode(), zero).decode()
        # What reaches nobody there is no subject here.
        assert made == wanted if wanted is not None else not is_literal(made)


@pytest.mark.parametrize(
    ("source", "destination", "subject", "made"),
    [
        ("p.*", "p2.{{wildcard(1)}}.{{partition(10,1)}}", "p.foo", "p2.foo.3"),
        ("p.*", "p2.{{wildcard(1)}}.{{partition(10,1)}}", "p.bar", "p2.bar.2"),
        ("pa", "pa2.{{partition(5)}}", "pa", "pa2.4"),
        ("x.*", "y.{{splitFromLeft(1,3)}}", "x.abcdef", "y.abc.def"),
        ("x.*", "y.{{sliceFromLeft(1,2)}}", "x.abcde", "y.ab.cd.e"),
        ("x.*", "y.{{sliceFromRight(1,2)}}", "x.abcde", "y.a.bc.de"),
        ("x.*", "y.{{split(1,-)}}", "x.a-b--c-", "y.a.b.c"),
        ("x.*", "y.{{split(1,-)}}", "x.-a", "y.a"),
    ],
)
def test_vectors_of_the_specification(source, destination, subject, made):
    assert parse(source, destination).apply(subject.encode(), zero).decode() == made


def test_random_numbers_come_from_outside():
    transform = parse("a", "b.{{random(10)}}")
    asked = []

    def below(limit):
        asked.append(limit)
        return 7

    assert transform.apply(b"a", below) == b"b.7"
    assert asked == [10]
    assert parse("a", "b.{{random(0)}}").apply(b"a", below) == b"b.0"


def test_the_hash():
    assert fnv1a(b"") == 0x811C9DC5
    assert fnv1a(b"a") == 0xE40C292C
    assert fnv1a(b"foobar") == 0xBF9CF968


def test_what_does_not_match_is_refused():
    with pytest.raises(ValueError, match="does not match"):
        parse("a.*", "b.$1").apply(b"a.b.c", zero)


def test_functions_are_numbered_as_in_the_engine():
    assert {function.name: int(function) for function in Function} == {part.name: int(part) for part in Part}


def test_programs():
    transform = parse("a.*.*.>", "b.$2.{{partition(9,2,1)}}.{{split(1,-)}}.{{left(2,3)}}.>")
    assert transform.program() == (
        (Part.LITERAL, b"b", ()),
        (Part.WILDCARD, b"", (2,)),
        (Part.PARTITION, b"", (9, 2, 1)),
        (Part.SPLIT, b"-", (1,)),
        (Part.LEFT, b"", (2, 3)),
        (Part.TAIL, b"", ()),
    )


# --- imports ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "local", "pattern", "there", "here"),
    [
        ("a.*.*", "x.$2.$1", "x.*.*", "a.1.2", "x.2.1"),
        ("a.*.*", "x.*.*", "x.*.*", "a.1.2", "x.1.2"),
        ("a.*.*", "x.$2.*", "x.*.*", "a.1.2", "x.2.1"),
        ("a.*.*", "{{wildcard(2)}}.x.{{Wildcard(1)}}", "*.x.*", "a.1.2", "2.x.1"),
        ("a.*.>", "x.$1.>", "x.*.>", "a.1.2.3", "x.1.2.3"),
        ("a.>", "p.a.>", "p.a.>", "a.1", "p.a.1"),
        (">", "p.>", "p.>", "a.1", "p.a.1"),
        ("a.b", "x", "x", "a.b", "x"),
    ],
)
def test_import_both_ways(subject, local, pattern, there, here):
    made = parse_import(subject, local)
    assert made.pattern == pattern
    assert made.to_local.apply(there.encode(), zero).decode() == here
    assert made.to_exporter.apply(here.encode(), zero).decode() == there


@pytest.mark.parametrize(
    ("subject", "local", "error"),
    [
        ("a.*", "x", "invalid mapping destination: not using all of the token wildcard(s) in x"),
        ("a.*.*", "x.$1", "invalid mapping destination: not using all of the token wildcard(s) in x.$1"),
        ("a.*.*", "x.$1.$1", "invalid mapping destination: not using all of the token wildcard(s) in x.$1.$1"),
        ("a.*", "x.$2", "invalid mapping destination: wildcard index out of range in $2: [2]"),
        (
            "a.*",
            "x.{{partition(2,1)}}",
            "invalid mapping destination: the only mapping function allowed for import transforms is {{Wildcard()}} in "
            "{{partition(2,1)}}",
        ),
        ("a.*", "x.>", "invalid subject"),
        ("a.>", "x", "invalid subject"),
        ("a", "x..y", "invalid subject"),
        ("a..b", "x", "invalid subject"),
        ("a.*", "", "invalid subject"),
    ],
)
def test_imports_that_cannot_be(subject, local, error):
    with pytest.raises(TransformError, match=re.escape(error) + r"\Z"):
        parse_import(subject, local)


TOKENS = st.text(alphabet="abc-", min_size=1, max_size=4)


@st.composite
def imports(draw):
    """A subject with wildcards and a local one that uses each of them once."""
    pattern = draw(st.lists(st.one_of(TOKENS, st.just("*")), min_size=1, max_size=5))
    stars = pattern.count("*")
    order = draw(st.permutations(range(1, stars + 1)))
    local = [f"${number}" for number in order]
    for literal in draw(st.lists(TOKENS, min_size=0 if local else 1, max_size=3)):
        local.insert(draw(st.integers(0, len(local))), literal)
    tail = [">"] if draw(st.booleans()) else []
    values = draw(st.lists(TOKENS, min_size=stars, max_size=stars))
    rest = draw(st.lists(TOKENS, min_size=1, max_size=3)) if tail else []
    return pattern + tail, local + tail, values, rest


@given(imports())
def test_what_is_imported_comes_back(drawn):
    pattern, local, values, rest = drawn
    made = parse_import(".".join(pattern), ".".join(local))
    fill = iter(values)
    there = [next(fill) if token == "*" else token for token in pattern if token != ">"] + rest
    here = [values[int(token[1:]) - 1] if token.startswith("$") else token for token in local if token != ">"] + rest
    assert made.to_local.apply(".".join(there).encode(), zero).decode() == ".".join(here)
    assert made.to_exporter.apply(".".join(here).encode(), zero).decode() == ".".join(there)
    assert matches(made.pattern, ".".join(here))
    assert covers(made.pattern, ".".join(here))


@given(st.text(alphabet="a.*>${}()1,-lefts ", max_size=30), st.sampled_from(["a.*", "a", "a.*.*", "a.>", "*.>"]))
def test_any_text_is_parsed_or_refused(destination, source):
    try:
        transform = parse(source, destination)
    except TransformError:
        return
    subject = source.replace("*", "xyz").replace(">", "t.u")
    assert matches(source, subject)
    made = transform.apply(subject.encode(), zero)
    assert len(made.split(b".")) >= len(transform.tokens)


@given(st.binary(min_size=1, max_size=12).map(lambda raw: raw.replace(b".", b"_")), st.integers(0, 14))
def test_cutting_loses_nothing(token, size):
    for name in ("splitFromLeft", "splitFromRight", "sliceFromLeft", "sliceFromRight"):
        parts = parse("a.*", f"b.{{{{{name}(1,{size})}}}}").apply(b"a." + token, zero).split(b".")[1:]
        assert b"".join(parts) == token
        if name.startswith("split"):
            assert len(parts) == (2 if 0 < size < len(token) else 1)
        elif size:
            assert all(len(part) <= size for part in parts)
    left = parse("a.*", f"b.{{{{left(1,{size})}}}}").apply(b"a." + token, zero)[2:]
    right = parse("a.*", f"b.{{{{right(1,{size})}}}}").apply(b"a." + token, zero)[2:]
    assert left == (token[:size] or token)
    assert right == (token[-size:] if size else token)
