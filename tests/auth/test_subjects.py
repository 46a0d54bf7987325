"""Subjects: small examples, and the functions against sets of subjects written out."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.auth.subjects import covers, has_wildcards, is_literal, is_valid, matches, overlaps

UNIVERSE = [".".join(words) for n in range(1, 5) for words in itertools.product("ab", repeat=n)]


def members(pattern):
    text = re.sub(r"(^|\\\.)>$", r"\1.+", re.escape(pattern).replace(r"\*", "[^.]+"))
    return {subject for subject in UNIVERSE if re.fullmatch(text, subject)}


words = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3)
patterns = st.builds(lambda head, tail: ".".join([*head, *tail]), words, st.sampled_from([[], [">"]])) | st.just(">")


@pytest.mark.parametrize("subject", ["a", "a.b", "*", ">", "a.*.>", "a*", "a>.b", "$SYS.x", "é.世"])
def test_valid(subject):
    assert is_valid(subject)


@pytest.mark.parametrize("subject", ["", ".", "a.", ".a", "a..b", "a b", "a\tb", ">.a", "a.>.b", "a\r", "a\n"])
def test_invalid(subject):
    assert not is_valid(subject)
    assert not is_literal(subject)


def test_wildcards_stand_alone():
    assert is_literal("a*.b>")
    assert has_wildcards("a.*")
    assert has_wildcards(">")
    assert not is_literal("a.>")
    assert matches("a*", "a*")
    assert not matches("a*", "ab")


def test_matching_takes_the_subject_as_text():
    assert matches("a.*", "a.>")
    assert not covers("a.*", "a.>")
    assert not matches("a.>", "a")
    assert matches(">", "a.b.c")


@given(patterns, st.sampled_from(UNIVERSE))
def test_matching_is_membership(pattern, subject):
    assert matches(pattern, subject) == (subject in members(pattern))


@given(patterns, patterns)
def test_covering_is_inclusion(pattern, subject):
    assert covers(pattern, subject) == (members(subject) <= members(pattern))


@given(patterns, patterns)
def test_overlap_is_a_common_member(one, other):
    assert overlaps(one, other) == overlaps(other, one) == bool(members(one) & members(other))
