"""Permissions against the recorded matrix and against a naive model (spec auth section 15)."""

import itertools
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.auth.permissions import Permissions, ResponsePermissions, SubjectPermissions
from gossamer.auth.policy import (
    EMPTY_ALLOW,
    NOT_ALLOWED,
    ONLY_RESPONSES,
    filters_delivery,
    may_deliver,
    may_publish,
    may_subscribe,
)

BLOCKS = json.loads((Path(__file__).parent / "vectors" / "permissions.json").read_text())


def lists(allow=None, deny=()):
    return SubjectPermissions(allow=allow, deny=tuple(deny))


def written(text):
    """The permissions of a recorded configuration: its small language is JSON but for unquoted keys."""
    block = json.loads(re.sub(r"(\w+):", r'"\1":', text))
    sides = {}
    for side in ("publish", "subscribe"):
        value = block.get(side, {})
        value = value if isinstance(value, dict) else {"allow": value}
        allow, deny = (
            [entries] if isinstance(entries, str) else entries
            for entries in (value.get("allow", []), value.get("deny", []))
        )
        sides[side] = lists(tuple(allow) or None, deny)
    return Permissions(**sides, responses=ResponsePermissions() if block.get("allow_responses") else None)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block["permissions_config"][:50])
def test_the_recorded_matrix(block):
    permissions = written(block["permissions_config"])
    for case in block["publish"]:
        assert may_publish(permissions, case["subject"]).allowed == case["allowed"], case
    for case in block["subscribe"]:
        subject, queue = case["subject"], case["queue"] or ""
        assert may_subscribe(permissions, subject, queue, literal_wildcards=True).allowed == case["allowed"], case
        widened = (subject, tuple(permissions.subscribe.allow or ())) in {("a.>", ("a.*",)), ("c.>", ("b", "c.*"))}
        assert may_subscribe(permissions, subject, queue).allowed == (case["allowed"] and not widened), case


def test_a_wildcard_subscription_must_be_contained_in_an_entry():
    permissions = Permissions(subscribe=lists(("a.*",)))
    assert may_subscribe(permissions, "a.*")
    assert may_subscribe(permissions, "a.>").rule == NOT_ALLOWED
    assert may_subscribe(permissions, "a.>", literal_wildcards=True)


def test_a_reserved_queue_is_not_opened_by_a_wider_subscription():
    permissions = Permissions(subscribe=lists((">", "a.* v1")))
    assert may_subscribe(permissions, "a.b", "v1")
    assert not may_subscribe(permissions, "a.b", "v2")
    assert not may_subscribe(permissions, "a.>", "v2")
    assert not may_subscribe(permissions, "a.>", "v2", literal_wildcards=True)
    assert may_subscribe(permissions, "a.>")


def test_verdicts_name_their_rule():
    permissions = Permissions(publish=lists(("ok.>",), ("ok.no",)), subscribe=lists(("q v1", "s"), ("s bad",)))
    assert may_publish(permissions, "ok.yes").rule == 'allow "ok.>"'
    assert may_publish(permissions, "ok.no").rule == 'deny "ok.no"'
    assert may_publish(permissions, "other").rule == NOT_ALLOWED
    assert may_subscribe(permissions, "q", "v1").rule == 'allow "q v1"'
    assert may_subscribe(permissions, "q", "v2").rule == 'its queue group is not let in by allow "q v1"'
    assert may_subscribe(permissions, "q").rule == 'only in a queue group: allow "q v1"'
    assert may_subscribe(permissions, "s", "bad").rule == 'deny "s bad"'
    assert may_publish(Permissions(publish=lists(())), "x").rule == EMPTY_ALLOW
    assert may_subscribe(Permissions(subscribe=lists(())), "x").rule == EMPTY_ALLOW
    assert may_publish(None, "x")
    assert may_subscribe(None, "x")
    assert may_deliver(None, "x")


def test_responses():
    permissions = Permissions(responses=ResponsePermissions())
    verdict = may_publish(permissions, "x")
    assert not verdict
    assert verdict.rule == ONLY_RESPONSES
    assert verdict.response_may_allow
    assert may_publish(Permissions(publish=lists(("a",)), responses=ResponsePermissions()), "a")
    assert not may_publish(Permissions(publish=lists(("a",))), "b").response_may_allow


def test_the_delivery_filter():
    permissions = Permissions(subscribe=lists(None, ("priv.>", "jobs night")))
    assert filters_delivery(permissions, ">")
    assert filters_delivery(permissions, "*.x")
    assert filters_delivery(permissions, "jobs", "day")
    assert not filters_delivery(permissions, "jobs")
    assert not filters_delivery(permissions, "open.*")
    assert not filters_delivery(None, ">")
    assert may_deliver(permissions, "priv.a").rule == 'deny "priv.>"'
    assert may_deliver(permissions, "jobs")
    assert may_deliver(permissions, "jobs", "day")
    assert not may_deliver(permissions, "jobs", "night")


# The model: subjects over a tiny alphabet, all of them written out, and sets of them.

WORDS = ("a", "b")
DEPTH = 3
UNIVERSE = frozenset(
    ".".join(words) for length in range(1, DEPTH + 2) for words in itertools.product(WORDS, repeat=length)
)


def members(pattern):
    """All subjects of the universe that a pattern stands for, by a regular expression and nothing of ours."""
    text = re.escape(pattern).replace(r"\*", "[^.]+")
    text = re.sub(r"(^|\\\.)>$", r"\1.+", text)
    return frozenset(subject for subject in UNIVERSE if re.fullmatch(text, subject))


tokens = st.sampled_from((*WORDS, "*"))
patterns = st.builds(
    lambda words, tail: ".".join([*words, ">"] if tail else words),
    st.lists(tokens, min_size=1, max_size=DEPTH),
    st.booleans(),
) | st.just(">")
literals = st.sampled_from(sorted(UNIVERSE))
entries = st.lists(patterns, max_size=4).map(tuple)
sides = st.builds(lists, st.none() | entries, entries)
permission_sets = st.builds(
    Permissions, publish=sides, subscribe=sides, responses=st.none() | st.just(ResponsePermissions())
)


@given(permission_sets, literals)
def test_publishing_is_set_membership(permissions, subject):
    allow = permissions.publish.allow
    inside = permissions.responses is None if allow is None else any(subject in members(entry) for entry in allow)
    expected = inside and not any(subject in members(entry) for entry in permissions.publish.deny)
    assert may_publish(permissions, subject).allowed == expected


@given(permission_sets, patterns)
def test_what_a_subscription_brings_in_is_allowed(permissions, subject):
    """A subscription that passes stands for nothing outside some allow entry, and the filter hides what is denied."""
    verdict = may_subscribe(permissions, subject)
    allow = permissions.subscribe.allow
    denied = frozenset().union(*(members(entry) for entry in permissions.subscribe.deny))
    if allow is not None:
        contained = any(members(subject) <= members(entry) for entry in allow)
        assert verdict.allowed <= contained
        if contained and not permissions.subscribe.deny:
            assert verdict.allowed
    if not verdict.allowed:
        return
    for literal in members(subject):
        hidden = filters_delivery(permissions, subject) and not may_deliver(permissions, literal)
        assert (literal not in denied) or hidden
        assert not (hidden and literal not in denied)


@given(sides, literals, st.sampled_from(["", "q", "v1.x"]), st.lists(st.sampled_from(["q", "*.x", "v1.>"]), max_size=3))
def test_queues(side, subject, queue, groups):
    """The table of section 15.3, spelled out once more."""
    permissions = Permissions(subscribe=lists((side.allow or ()) + tuple(f"a.* {group}" for group in groups), ()))
    fits = {"q": {"q"}, "*.x": {"v1.x"}, "v1.>": {"v1.x"}}
    plain = any(subject in members(entry) for entry in side.allow or ())
    queued = [group for group in groups if subject in members("a.*")]
    expected = any(queue in fits[group] for group in queued) if queue and queued else plain
    assert may_subscribe(permissions, subject, queue).allowed == expected
