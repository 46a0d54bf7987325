"""The engine's subject functions against the reference, and the reference's sets against counting."""

import itertools

from hypothesis import given
from hypothesis import strategies as st
from operations import literals, patterns, wild

from gossamer.mesh.engine import core, reference

subjects = st.one_of(wild, patterns(), literals, st.just(b""), st.binary(max_size=12).filter(lambda s: b" " not in s))
#: Every literal subject of up to four tokens over an alphabet with one letter more than the patterns use.
UNIVERSE = [
    b".".join(tokens) for length in range(1, 5) for tokens in itertools.product((b"a", b"b", b"c", b"z"), repeat=length)
]
short_patterns = patterns().filter(lambda pattern: pattern.count(b".") < 3)


@given(subjects)
def test_validity(subject: bytes) -> None:
    assert core.subject_is_valid(subject) == reference.subject_is_valid(subject)
    assert core.subject_is_literal(subject) == reference.subject_is_literal(subject)


@given(subjects, subjects)
def test_matching_covering_and_overlapping(one: bytes, other: bytes) -> None:
    if reference.subject_is_valid(one) and reference.subject_is_literal(other):
        assert core.subject_matches(one, other) == reference.subject_matches(one, other)
    if reference.subject_is_valid(one) and reference.subject_is_valid(other):
        assert core.subject_covers(one, other) == reference.subject_covers(one, other)
        assert core.subjects_overlap(one, other) == reference.subjects_overlap(one, other)
    else:  # whatever they answer, they come back
        core.subject_matches(one, other)
        core.subject_covers(one, other)
        core.subjects_overlap(one, other)


@given(patterns(), patterns(), literals)
def test_matching_valid_subjects(one: bytes, other: bytes, literal: bytes) -> None:
    assert core.subject_matches(one, literal) == reference.subject_matches(one, literal)
    assert core.subject_covers(one, other) == reference.subject_covers(one, other)
    assert core.subjects_overlap(one, other) == reference.subjects_overlap(one, other)


@given(short_patterns, short_patterns)
def test_the_reference_means_sets(one: bytes, other: bytes) -> None:
    first = {subject for subject in UNIVERSE if reference.subject_matches(one, subject)}
    second = {subject for subject in UNIVERSE if reference.subject_matches(other, subject)}
    assert reference.subject_covers(one, other) == (second <= first)
    assert reference.subjects_overlap(one, other) == bool(first & second)


def test_very_deep_subjects() -> None:
    for depth in (1, 2, 63, 64, 65, 1000, 20_000):
        literal = b".".join([b"a"] * depth)
        assert core.subject_is_valid(literal)
        assert core.subject_is_literal(literal)
        assert core.subject_matches(b">", literal)
        assert core.subject_matches(literal, literal)
        assert core.subject_matches(b".".join([b"*"] * depth), literal)
        assert not core.subject_matches(b".".join([b"*"] * (depth + 1)), literal)
        assert core.subject_covers(b".".join([b"*"] * depth), literal)
        assert core.subjects_overlap(literal, b".".join([b"*"] * depth))
