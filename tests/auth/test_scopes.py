"""Templates of scoped signing keys against what a server made of them (spec auth section 12)."""

import json
from pathlib import Path

import pytest
from msgspec import structs

from gossamer.auth.claims import AccountClaims, SubjectList, UserClaims, UserGrant, UserScope
from gossamer.auth.claims.envelope import read_claims
from gossamer.auth.jwt import decode_as, encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.scopes import ENTRIES_MAX, ScopeError, scoped_grant

RECORDED = json.loads((Path(__file__).parent / "vectors" / "scoped_templates.json").read_text())

#: Deliberate differences (spec auth sections 26.10 and 26.11): what we make of the lists instead.
OURS = {
    "function names ignore case, blanks inside braces allowed": {
        "publish": {"allow": ["$SYS.REQ.USER.INFO", "p.bob.x"]},
        "subscribe": {"allow": ["_INBOX.>"]},
    },
    "queue in a sub template": {
        "publish": {"allow": ["$SYS.REQ.USER.INFO"]},
        "subscribe": {"allow": ["_INBOX.>", "s.bob q.bob"]},
    },
}
EMPTIED = "only entry has a missing tag: allow list empties, everything denied"


def template(publish=((), ()), subscribe=((), ())):
    grant = UserGrant.fresh()
    sides = [SubjectList(allow=tuple(allow), deny=tuple(deny)) for allow, deny in (publish, subscribe)]
    return UserScope(template=structs.replace(grant, publish=sides[0], subscribe=sides[1]))


def user(name="bob", tags=()):
    return UserClaims(
        name=name, subject=RECORDED["user_public"], issuer_account=RECORDED["account_public"], tags=tuple(tags)
    )


def listed(lists):
    found = {"allow": sorted(lists.allow), "deny": sorted(lists.deny)}
    return {name: entries for name, entries in found.items() if entries}


@pytest.mark.parametrize("case", RECORDED["cases"], ids=lambda case: case["title"])
def test_recorded_templates(case):
    given = case["template"]
    scope = template(
        (given.get("pub_allow", ()), given.get("pub_deny", ())), (given.get("sub_allow", ()), given.get("sub_deny", ()))
    )
    tags = case["user_tags"]
    if isinstance(tags, str):
        tags = [f"{key}:{number}" for key in "ab" for number in range(65)]
    account = AccountClaims(name=case["account_name"], tags=tuple(case["account_tags"]))
    if not case["connects"]:
        with pytest.raises(ScopeError):
            scoped_grant(scope, user(case["user_name"], tags), account)
        return
    grant = scoped_grant(scope, user(case["user_name"], tags), account)
    if case["title"] == EMPTIED:
        assert listed(grant.publish) == {"deny": [">"]}
        return
    expected = OURS.get(case["title"], case["effective_permissions"])
    for side, lists in (("publish", grant.publish), ("subscribe", grant.subscribe)):
        # The reference repeats an entry when a function stands twice in it.
        assert listed(lists) == {name: sorted(set(entries)) for name, entries in expected[side].items()}
    assert grant.subscriptions == -1


def test_a_scoped_user_brings_nothing_of_its_own():
    scope = template()
    for own in (UserGrant.fresh(), UserGrant(bearer_token=True), UserGrant(source_networks=("10.0.0.0/8",))):
        with pytest.raises(ScopeError, match="scoped users require no permissions or limits set"):
            scoped_grant(scope, structs.replace(user(), grant=own), AccountClaims())
    with pytest.raises(ScopeError, match="issuer_account"):
        scoped_grant(scope, structs.replace(user(), issuer_account=""), AccountClaims())


def test_the_limit_is_a_limit():
    tags = [f"a:{number}" for number in range(ENTRIES_MAX)]
    scope = template((["p.{{tag(a)}}"], ()))
    assert len(scoped_grant(scope, user(tags=tags), AccountClaims()).publish.allow) == ENTRIES_MAX
    with pytest.raises(ScopeError, match="more than 4096"):
        scoped_grant(scope, user(tags=[*tags, "a:x"]), AccountClaims())


def test_a_bad_subject_in_deny_refuses():
    with pytest.raises(ScopeError, match="which is no subject"):
        scoped_grant(template(((), ["p.{{name()}}"])), user("bo b"), AccountClaims())
    with pytest.raises(ScopeError, match="which is no subject"):
        scoped_grant(template(subscribe=((), ["p.{{name()}} q"])), user("bo b"), AccountClaims())
    with pytest.raises(ScopeError, match="unknown function: name"):
        scoped_grant(template((["{{name(x)}}"], ())), user(), AccountClaims())


def test_a_list_without_templates_is_left_alone():
    scope = template(([" odd"], ()), (["x q"], ["y z"]))
    assert scoped_grant(scope, user(), AccountClaims()) == scope.template


def test_a_limit_that_a_template_does_not_name_is_none():
    """nsc leaves limits out of a template that has none; a zero that is meant is written and stays one."""
    raw = {"subs": 0, "pub": {"allow": ["p.>"]}}
    account = KeyPair.generate(KeyKind.ACCOUNT)
    scope = {"kind": "user_scope", "key": account.public, "role": "svc", "template": raw}
    nats = {"signing_keys": [scope], "type": "account", "version": 2}
    claims = read_claims(AccountClaims, {"sub": account.public, "iss": account.public, "nats": nats})
    for read in (claims, decode_as(AccountClaims, encode(claims, account, issued_at=1))):
        found = read.scope(account.public)
        assert found is not None
        assert (found.template.subscriptions, found.template.data, found.template.payload) == (0, -1, -1)
