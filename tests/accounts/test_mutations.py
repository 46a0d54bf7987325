"""Nothing that was tampered with is ever taken over, and nothing of it breaks anything (issue: property tests)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.auth.claims import AccountClaims, AccountLimits, GenericClaims, OperatorClaims
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.settings import AuthSettings
from gossamer.auth.trust import trust_of
from gossamer.mesh.resolvers.claims_rules import ClaimsRefused, accounts_to_delete, assessed, decoded

OPERATOR, SIGNING = (KeyPair.generate(KeyKind.OPERATOR) for _ in range(2))
ACCOUNT = KeyPair.generate(KeyKind.ACCOUNT)
TRUST = trust_of(
    AuthSettings(
        operators=(
            encode(OperatorClaims(subject=OPERATOR.public, signing_keys=(SIGNING.public,)), OPERATOR, issued_at=1),
        )
    )
)
TOKEN = encode(AccountClaims(subject=ACCOUNT.public, limits=AccountLimits.fresh()), SIGNING, issued_at=100)
DELETION = encode(GenericClaims(subject=OPERATOR.public, data={"accounts": [ACCOUNT.public]}), OPERATOR, issued_at=100)
NOW_S = 1_000.0


@st.composite
def mutated(draw, token):
    """A few characters exchanged, put in, taken out; chunks swapped; never the token itself."""
    text = token
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(text)))
        piece = draw(st.text(st.sampled_from("abcXYZ019-_=.+/\n \u00e9"), max_size=3))
        cut = draw(st.integers(0, 3))
        text = text[:at] + piece + text[at + cut :]
    if draw(st.booleans()):
        chunks = text.split(".")
        text = ".".join(draw(st.permutations(chunks)))
    return text if text.strip() != token else "x" + token


def taken(text):
    return assessed(decoded(text, "jwt update"), text, ACCOUNT.public, TRUST, what="jwt update", accept_untrusted=False)


def test_the_tokens_are_good():
    assert taken(TOKEN).claims.subject == ACCOUNT.public
    assert accounts_to_delete(DELETION, TRUST, allowed=True, system_account="", now_s=NOW_S) == [ACCOUNT.public]


@given(mutated(TOKEN))
def test_a_mutated_account_is_refused(text):
    with pytest.raises(ClaimsRefused) as refused:
        taken(text)
    assert " - " in str(refused.value)


@given(mutated(DELETION))
def test_a_mutated_deletion_is_refused(text):
    with pytest.raises(ClaimsRefused, match=r"delete accounts request by .* failed - "):
        accounts_to_delete(text, TRUST, allowed=True, system_account="", now_s=NOW_S)


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda data: data.decode("utf-8", "replace"))))
def test_any_text_is_refused(text):
    with pytest.raises(ClaimsRefused):
        taken(text)
    with pytest.raises(ClaimsRefused):
        accounts_to_delete(text, TRUST, allowed=True, system_account="", now_s=NOW_S)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    )
)
def test_a_deletion_that_says_something_else(value):
    request = encode(GenericClaims(subject=OPERATOR.public, data={"accounts": value}), OPERATOR, issued_at=1)
    if value == []:
        assert accounts_to_delete(request, TRUST, allowed=True, system_account="", now_s=NOW_S) == []
        return
    with pytest.raises(ClaimsRefused, match="malformed request"):
        accounts_to_delete(request, TRUST, allowed=True, system_account="", now_s=NOW_S)


@pytest.mark.parametrize(
    ("times", "fits"), [({"expires": 1000}, True), ({"expires": 999}, False), ({"not_before": 1001}, False)]
)
def test_an_old_deletion_is_not_obeyed_again(times, fits):
    claims = GenericClaims(subject=OPERATOR.public, data={"accounts": [ACCOUNT.public]}, **times)
    request = encode(claims, OPERATOR, issued_at=1)
    if fits:
        assert accounts_to_delete(request, TRUST, allowed=True, system_account="", now_s=NOW_S) == [ACCOUNT.public]
        return
    with pytest.raises(ClaimsRefused, match="out of date"):
        accounts_to_delete(request, TRUST, allowed=True, system_account="", now_s=NOW_S)
