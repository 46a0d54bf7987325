"""The rules file: what is wrong with it is told all at once, with lines and remedies."""

import pytest

from gossamer.auth.exchange import RulesError, read_rules
from gossamer.auth.exchange.rules import fits
from gossamer.auth.keys import KeyKind, KeyPair

BAD = """\
[answer]
signer = "missing.nk"
leeway = "soon"
colour = "red"

[[issuer]]
name = "one"
url = "http://issuer.example"
algorithms = ["HS256", "none"]

[[issuer]]
name = "one"
url = "https://other.example"
audience = "nats"
jwks_url = "https://a/"
jwks_file = "b"

[[rule]]
isuer = "one"
account = "APP"
user = "{"
publish = ["a..b"]
subscribe = []
where = { sub = 7 }

[[rule]]
issuer = "nobody"
where = {}
source_networks = ["everywhere"]
connection_types = ["pigeon"]
allow_responses = "yes"
lifetime = "0s"
"""


def told(read, text):
    with pytest.raises(RulesError) as raised:
        read(text)
    return raised.value.faults


def test_all_faults_at_once_with_their_lines(read):
    found = [(fault.place, fault.text) for fault in told(read, BAD)]
    lines = [place for place, _ in found]
    assert lines == sorted(lines, key=lambda place: int(place.split(":")[1]))
    for line, words in (
        (2, "missing.nk cannot be read"),
        (3, "leeway is no duration"),
        (4, "'colour' is not known here"),
        (6, "audience is missing"),
        (8, "could be anybody's"),
        (9, "'HS256' is not to be trusted"),
        (9, "'none' is not to be trusted"),
        (11, "issuer 'one' is declared twice"),
        (16, "both jwks_url and jwks_file"),
        (16, "there is no file"),
        (19, "'isuer' is not known here"),
        (21, "'{' is no template"),
        (22, "'a..b' is no subject"),
        (23, "an empty list would allow everything"),
        (24, "compared with no text"),
        (27, "there is no issuer 'nobody'"),
        (28, "where names no claim"),
        (29, "'everywhere' is no network"),
        (30, "no connection type 'PIGEON'"),
        (31, "neither true nor false"),
        (32, "a lifetime of nothing"),
        (26, "account is missing"),
    ):
        assert any(place == f"rules.toml:{line}" and words in text for place, text in found), (line, words, found)
    assert all(fault.remedy for fault in told(read, BAD))
    assert "do you mean 'issuer'?" in "".join(fault.remedy for fault in told(read, BAD))


@pytest.mark.parametrize(
    ("text", "line"), [("[answer\n", 1), ("\n\nx = = 1\n", 3), ("a = 1\na = 2\n", 2)], ids=["header", "value", "twice"]
)
def test_what_is_no_toml(read, text, line):
    (fault,) = told(read, text)
    assert fault.place == f"rules.toml:{line}"


def test_an_empty_file(read):
    texts = [fault.text for fault in told(read, "")]
    assert any("signer is missing" in text for text in texts)
    assert any("no [[issuer]]" in text for text in texts)
    assert any("no [[rule]]" in text for text in texts)


def test_a_seed_in_the_file_is_refused_and_not_repeated(read, rules_text):
    seed = KeyPair.generate(KeyKind.ACCOUNT).seed
    (fault,) = told(read, rules_text.replace("issuer.nk", seed))
    assert "holds a seed itself" in fault.text
    assert seed not in str(fault)


def test_the_seed_of_another_kind_of_key(read, rules_text, tmp_path):
    (tmp_path / "issuer.nk").write_text(KeyPair.generate(KeyKind.USER).seed)
    (fault,) = told(read, rules_text)
    assert fault.place == "rules.toml:3"
    assert "seed of a user" in fault.text


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(RulesError) as raised:
        read_rules(tmp_path / "none.toml")
    assert "none.toml: cannot be read" in str(raised.value)


def test_accounts_are_for_operator_mode(read, rules_text):
    (fault,) = told(read, rules_text + '\n[[account]]\nname = "X"\nkey = "A"\n')
    assert "for operator mode" in fault.text


def test_what_is_good_is_read(read):
    rules = read()
    assert [issuer.name for issuer in rules.issuers] == ["platform"]
    (rule,) = rules.rules
    assert (rule.lifetime_s, rule.scoped, rule.target.name) == (600, False, "APP")
    assert rule.grant.subscriptions == -1


@pytest.mark.parametrize(
    ("pattern", "text", "fitting"),
    [
        ("a", "a", True), ("a", "b", False), ("*", "", True), ("a*", "a", True), ("a*", "ba", False),
        ("*a", "ba", True), ("a*a", "a", False), ("a*a", "aa", True), ("a*b*c", "a-b-c", True),
        ("a*b*c", "a-c-b", False), ("repo:acme/*:ref", "repo:acme/x:ref", True), ("a.c", "abc", False),
    ],
)  # fmt: skip
def test_patterns(pattern, text, fitting):
    assert fits(pattern, text) is fitting
