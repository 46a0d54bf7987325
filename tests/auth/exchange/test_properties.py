"""Changed tokens let nobody in, changed rules are read or refused, and nothing crashes."""

import random

import pytest
from hypothesis import HealthCheck, given, settings, strategies

from gossamer.auth.exchange import Denied, Granted, Rules, RulesError
from gossamer.auth.exchange.rules import fits

NOW = 1_800_000_000
often = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@often
@given(strategies.data())
def test_a_changed_token(exchange, platform, data):
    token = data.draw(strategies.sampled_from([platform.token(key) for key in ("rsa", "ec", "ed")]))
    assert isinstance(platform.examine(exchange, token), Granted)
    place = data.draw(strategies.integers(0, len(token) - 1))
    letter = data.draw(strategies.sampled_from("ABCdef019-_.=\n é"))
    changed = token[:place] + letter + token[place + 1 :]
    if changed != token:
        assert isinstance(platform.examine(exchange, changed), Denied)


@often
@given(strategies.text(max_size=200))
def test_any_text(exchange, text):
    assert isinstance(exchange.examine(text, NOW), Denied)


@often
@given(strategies.data())
def test_a_changed_rules_file(read, rules_text, data):
    lines = rules_text.splitlines()
    values = [
        "7",
        "true",
        "[]",
        "{}",
        '""',
        '"*"',
        '"{"',
        '"{}"',
        "[1]",
        '{ a = "b" }',
        '["a", "b"]',
        "1979-05-27",
        '"http://[::"',
    ]
    for _ in range(data.draw(strategies.integers(1, 4))):
        place = data.draw(strategies.integers(0, len(lines) - 1))
        key, equals, _ = lines[place].partition("=")
        if equals:
            lines[place] = f"{key}= {data.draw(strategies.sampled_from(values))}"
        else:
            lines[place] = data.draw(strategies.sampled_from(["", "[rule]", "[[answer]]", "[x]", "issuer = 1", "]"]))
    text = "\n".join(lines)
    try:
        assert isinstance(read(text), Rules)
    except RulesError as error:
        for fault in error.faults:
            assert fault.remedy
            assert 1 <= int(fault.place.rpartition(":")[2]) <= len(lines) + 1


def naive(pattern, text):
    """By trying every split."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return any(naive(pattern[1:], text[place:]) for place in range(len(text) + 1))
    return bool(text) and text[0] == pattern[0] and naive(pattern[1:], text[1:])


@pytest.mark.parametrize("seed", range(5))
def test_patterns_as_a_naive_model_sees_them(seed):
    chance = random.Random(seed)
    for _ in range(400):
        pattern = "".join(chance.choices("ab*", k=chance.randrange(6)))
        text = "".join(chance.choices("ab", k=chance.randrange(8)))
        assert fits(pattern, text) == naive(pattern, text), (pattern, text)
