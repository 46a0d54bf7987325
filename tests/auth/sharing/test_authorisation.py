"""One import against its exporter: who may, and the reason when not (spec auth sections 17.2 and 17.4)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.auth.claims import AccountClaims, AccountLimits, ActivationClaims, MappingTarget, ServiceLatency
from gossamer.auth.claims import Export as ExportClaim
from gossamer.auth.claims import Import as ImportClaim
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.reasons import ReasonCode
from gossamer.auth.sharing.authorisation import Denial, Grant, authorise, find_export
from gossamer.auth.sharing.from_claims import of_claims
from gossamer.auth.sharing.values import (
    SERVICE,
    SINGLETON,
    STREAM,
    STREAMED,
    AccountSharing,
    Export,
    Import,
    Latency,
    Mapping,
    Target,
)
from gossamer.auth.subjects import covers

NOW = 1_800_000_000
EXPORTER, IMPORTER, STRANGER, SIGNING = (KeyPair.generate(KeyKind.ACCOUNT) for _ in range(4))
OPERATOR = KeyPair.generate(KeyKind.OPERATOR)


def export(subject, kind=SERVICE, **fields):
    return Export(kind=kind, subject=subject, **fields)


def importing(subject, kind=SERVICE, **fields):
    return Import(
        **{"kind": kind, "exporter": "A", "subject": subject, "local": subject, "place": "f.conf:9:1", **fields}
    )


def account(*exports, **fields):
    return AccountSharing(**{"account": "A", "name": "A", "exports": exports, "place": "f.conf:1:1", **fields})


def code_of(verdict):
    assert isinstance(verdict, Denial)
    return verdict.reason.code


# --- public and listed ------------------------------------------------------------------------------------------------


def test_public():
    found = export("q.*")
    assert authorise(importing("q.x"), "B", account(found), NOW) == Grant(export=found)


@pytest.mark.parametrize("entry", [importing("q"), importing("q.x.y"), importing("q.>"), importing("q.x", STREAM)])
def test_not_exported(entry):
    verdict = authorise(entry, "B", account(export("q.*")), NOW)
    assert code_of(verdict) is ReasonCode.NOT_EXPORTED
    assert verdict.reason.place == "f.conf:9:1; f.conf:1:1"
    assert entry.subject in verdict.reason.text


def test_listed():
    found = account(export("q.*", accounts=("B", "C"), place="f.conf:2:3"))
    assert isinstance(authorise(importing("q.x"), "B", found, NOW), Grant)
    verdict = authorise(importing("q.x"), "D", found, NOW)
    assert code_of(verdict) is ReasonCode.IMPORTER_NOT_LISTED
    assert verdict.reason.rule == "accounts B, C"
    assert verdict.reason.place == "f.conf:9:1; f.conf:2:3"


@pytest.mark.parametrize(
    ("subject", "allowed"), [("q.B.x", True), ("q.C.x", False), ("q.*.x", False), ("q.b.x", False)]
)
def test_token_position(subject, allowed):
    verdict = authorise(importing(subject), "B", account(export("q.*.x", token_position=2, accounts=("C",))), NOW)
    assert isinstance(verdict, Grant) is allowed
    assert allowed or code_of(verdict) is ReasonCode.TOKEN_POSITION


def test_a_subject_that_is_none():
    assert code_of(authorise(importing("q..x"), "B", account(export(">")), NOW)) is ReasonCode.IMPORT_SUBJECT


# --- which export -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subjects", "wanted", "found"),
    [
        (["a.>", "a.*", "a.b"], "a.b", "a.b"),
        (["a.>", "a.*"], "a.b", "a.*"),
        (["a.*.c", "a.b.*"], "a.b.c", "a.*.c"),
        (["a.b.*", "a.*.c"], "a.b.c", "a.*.c"),
        ([">", "*.b", "a.*", "a.>"], "a.b", "*.b"),
        (["a.*"], "a.>", None),
        ([">"], "a.>", ">"),
    ],
)
def test_the_most_specific_export(subjects, wanted, found):
    chosen = find_export([export(subject) for subject in subjects], SERVICE, wanted)
    assert (chosen.subject if chosen else None) == found


def test_of_equal_exports_the_last_counts():
    assert find_export([export("a", threshold_ns=1), export("a", threshold_ns=2)], SERVICE, "a").threshold_ns == 2


PATTERNS = st.lists(st.sampled_from(["a", "b", "*"]), min_size=1, max_size=3).flatmap(
    lambda tokens: st.sampled_from([".".join(tokens), ".".join([*tokens, ">"])])
)


@given(st.lists(PATTERNS, max_size=6), PATTERNS, st.randoms())
def test_the_choice_does_not_depend_on_the_order(subjects, wanted, random):
    exports = [export(subject) for subject in subjects]
    chosen = find_export(exports, SERVICE, wanted)
    candidates = [subject for subject in subjects if covers(subject, wanted)]
    assert (chosen is None) == (not candidates)
    if chosen is None:
        return
    assert not any(covers(chosen.subject, other) and not covers(other, chosen.subject) for other in candidates)
    random.shuffle(exports)
    assert find_export(exports, SERVICE, wanted) == chosen


# --- activations ------------------------------------------------------------------------------------------------------


def token(signer=EXPORTER, subject=IMPORTER.public, covered="q.*", kind=SERVICE, issued_at=NOW - 100, **claims):
    made = ActivationClaims(subject=subject, import_subject=covered, kind=kind, **claims)
    return encode(made, signer, issued_at=issued_at)


def private(*, revocations=(), keys=()):
    return AccountSharing(
        account=EXPORTER.public,
        name="exporter",
        exports=(export("q.*", token_required=True, revocations=revocations, place="q of exporter"),),
        keys=frozenset((EXPORTER.public, *keys)),
        signer="OPERATOR",
        place="exporter.jwt",
    )


def verdict_on(text, *, subject="q.x", now=NOW, **exporter):
    return authorise(importing(subject, token=text), IMPORTER.public, private(**exporter), now)


def test_a_good_token():
    assert verdict_on(token()).expires_at == 0
    assert verdict_on(token(expires=NOW + 5)).expires_at == NOW + 5
    assert isinstance(verdict_on(token(covered=">")), Grant)
    assert isinstance(verdict_on(token(covered="q.x")), Grant)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", ReasonCode.ACTIVATION_MISSING),
        ("no.token.atall", ReasonCode.ACTIVATION_INVALID),
        (token()[:-4] + "AAAA", ReasonCode.ACTIVATION_INVALID),
        (token(signer=STRANGER), ReasonCode.ACTIVATION_INVALID),
        (token(signer=STRANGER, issuer_account=EXPORTER.public), ReasonCode.ACTIVATION_INVALID),
        (token(signer=EXPORTER, issuer_account=STRANGER.public), ReasonCode.ACTIVATION_INVALID),
        (token(subject=STRANGER.public), ReasonCode.ACTIVATION_INVALID),
        (token(kind=STREAM), ReasonCode.ACTIVATION_INVALID),
        (token(covered="q.y"), ReasonCode.ACTIVATION_INVALID),
        (token(covered="other.*"), ReasonCode.ACTIVATION_INVALID),
        (token(expires=NOW - 1), ReasonCode.ACTIVATION_EXPIRED),
        (token(not_before=NOW + 10), ReasonCode.ACTIVATION_EXPIRED),
    ],
    ids=["none", "nonsense", "mutated", "stranger", "no-key", "other-account", "not-mine", "kind", "narrower", "else",
         "expired", "early"],
)  # fmt: skip
def test_a_bad_token(text, code):
    verdict = verdict_on(text)
    assert code_of(verdict) is code
    assert verdict.reason.place.startswith("f.conf:9:1")


def test_a_token_that_is_not_yet_valid_is_tried_again():
    assert verdict_on(token(not_before=NOW + 10)).retry_at == NOW + 10
    assert isinstance(verdict_on(token(not_before=NOW + 10), now=NOW + 10), Grant)


def test_signing_keys_count_while_they_are_some():
    text = token(signer=SIGNING, issuer_account=EXPORTER.public)
    assert isinstance(verdict_on(text, keys=(SIGNING.public,)), Grant)
    verdict = verdict_on(text)
    assert code_of(verdict) is ReasonCode.ACTIVATION_INVALID
    assert verdict.reason.signer == SIGNING.public
    assert "no key of account" in verdict.reason.text


@pytest.mark.parametrize(
    ("revocations", "revoked"),
    [
        (((IMPORTER.public, NOW - 100),), True),
        (((IMPORTER.public, NOW - 101),), False),
        ((("*", NOW),), True),
        ((("*", NOW - 200),), False),
        (((STRANGER.public, NOW),), False),
        (((IMPORTER.public, NOW - 200), ("*", NOW)), True),
    ],
)
def test_revocations(revocations, revoked):
    verdict = verdict_on(token(), revocations=revocations)
    assert isinstance(verdict, Denial) is revoked
    if revoked:
        assert verdict.reason.code is ReasonCode.ACTIVATION_REVOKED
        assert verdict.reason.place.endswith("q of exporter")
        assert verdict.reason.signer == "OPERATOR"


# --- values from claims -----------------------------------------------------------------------------------------------


def test_values_of_claims():
    claims = AccountClaims(
        subject=EXPORTER.public,
        name="exporter",
        limits=AccountLimits.fresh(),
        signing_keys=(SIGNING.public,),
        exports=(
            ExportClaim(
                subject="q.*",
                type=SERVICE,
                token_required=True,
                revocations={"*": 5},
                response_threshold_ns=7,
                service_latency=ServiceLatency(sampling="headers", results="lat"),
            ),
            ExportClaim(subject="st", type=SERVICE, response_type=STREAMED),
        ),
        imports=(
            ImportClaim(subject="s", account=STRANGER.public, type=STREAM, to="pre"),
            ImportClaim(subject="local", account=STRANGER.public, type=SERVICE, to="theirs", share=True),
            ImportClaim(subject="t.*", account=STRANGER.public, type=SERVICE, local_subject="u.$1"),
        ),
        mappings={"m": (MappingTarget(subject="n"), MappingTarget(subject="o", weight=5, cluster="c"))},
    )
    made = of_claims(claims, "there")
    first, second = made.exports
    assert (first.token_required, first.revocations, first.threshold_ns) == (True, (("*", 5),), 7)
    assert (first.latency, first.response) == (Latency(subject="lat", sampling=0), SINGLETON)
    assert (second.response, second.latency) == (STREAMED, None)
    assert [(entry.subject, entry.local, entry.share) for entry in made.imports] == [
        ("s", "pre.s", False),
        ("theirs", "local", True),
        ("t.*", "u.$1", False),
    ]
    assert made.keys == {EXPORTER.public, SIGNING.public}
    targets = (Target(subject="n", weight=100), Target(subject="o", weight=5, cluster="c"))
    assert made.mappings == (Mapping(source="m", targets=targets, place='there, mapping "m"'),)
