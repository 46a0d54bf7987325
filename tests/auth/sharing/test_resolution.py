"""All accounts together: what is in force after any row of changes is what is in force if all is known at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gossamer.auth.claims import ActivationClaims
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.reasons import ReasonCode
from gossamer.auth.sharing.resolution import NOTHING, Resolution
from gossamer.auth.sharing.values import SERVICE, STREAM, AccountSharing, Export, Import, Mapping, Target
from gossamer.auth.subjects import covers, overlaps

NOW = 1_800_000_000


def account(name, exports=(), imports=(), **fields):
    """``exports``: (kind, subject) pairs; ``imports``: (kind, exporter, subject, local)."""
    return AccountSharing(
        account=name,
        name=name,
        exports=tuple(Export(kind=kind, subject=subject) for kind, subject in exports),
        imports=tuple(
            Import(kind=kind, exporter=exporter, subject=subject, local=local)
            for kind, exporter, subject, local in imports
        ),
        **fields,
    )


def in_force(resolution, name):
    effective = resolution.effective(name)
    return [(e.entry.kind, e.entry.exporter, e.entry.subject) for e in (*effective.streams, *effective.services)]


def refused(resolution, name):
    return [refusal.error for refusal in resolution.effective(name).refusals]


def together(*accounts):
    resolution = Resolution()
    resolution.put_all(accounts, NOW)
    return resolution


A = account("A", [(SERVICE, "q.*"), (STREAM, "ev.>")])
B = account("B", imports=[(SERVICE, "A", "q.*", "ask.*"), (STREAM, "A", "ev.>", "in.>")])


def test_an_exporter_that_comes_later():
    resolution = Resolution()
    changed = resolution.put(B, NOW)
    assert list(changed) == ["B"]
    assert [refusal.pending for refusal in changed["B"].refusals] == [True, True]
    assert changed["B"].refusals[0].reason.code is ReasonCode.EXPORTER_UNKNOWN
    assert resolution.missing("B") == ("A",)
    changed = resolution.put(A, NOW)
    assert list(changed) == ["B"]
    assert in_force(resolution, "B") == [(STREAM, "A", "ev.>"), (SERVICE, "A", "q.*")]
    assert resolution.missing("B") == ()
    assert resolution.put(A, NOW) == {}
    changed = resolution.remove("A", NOW)
    assert list(changed) == ["B"]
    assert in_force(resolution, "B") == []


def test_only_who_is_touched_is_told_of():
    resolution = together(A, B, account("C", imports=[(SERVICE, "D", "x", "x")]), account("D", [(SERVICE, "x")]))
    changed = resolution.put(account("A", [(SERVICE, "q.*")]), NOW)
    assert list(changed) == ["B"]
    assert in_force(resolution, "B") == [(SERVICE, "A", "q.*")]
    assert refused(resolution, "B") == ["stream import not authorized"]


def test_an_account_that_goes_has_nothing():
    resolution = together(A, B)
    assert resolution.remove("B", NOW) == {"B": NOTHING}
    assert resolution.importers("A") == ()
    assert resolution.remove("B", NOW) == {}


def test_mappings_are_told_of():
    mapping = Mapping(source="a", targets=(Target(subject="b"),))
    changed = Resolution().put(account("A", mappings=(mapping,)), NOW)
    assert changed["A"].mappings == (mapping,)


@pytest.mark.parametrize(
    ("entries", "errors"),
    [
        ([(SERVICE, "A", "q.a", "x"), (SERVICE, "A", "q.b", "x")], ['duplicate service import subject "x"']),
        ([(SERVICE, "A", "q.*", "x.$1"), (SERVICE, "A", "q.*", "x.*")], ['duplicate service import subject "x.*"']),
        ([(STREAM, "A", "ev.a", "x"), (STREAM, "A", "ev.a", "y")], ["stream import already exists"]),
        ([(SERVICE, "A", "q.a", "x"), (SERVICE, "C", "q.a", "x")], []),
        ([(STREAM, "A", "ev.a", "x"), (STREAM, "A", "ev.b", "x")], []),
        (
            [(SERVICE, "A", "q.*", "x")],
            [
                'failed to create mapping transform for service import subject from "x" to "q.*": invalid mapping '
                "destination: not using all of the token wildcard(s) in x"
            ],
        ),
        ([(SERVICE, "A", "q.a", "x..y")], ["sublist: invalid subject"]),
    ],
)
def test_imports_that_cannot_be_beside_each_other(entries, errors):
    resolution = together(A, account("C", [(SERVICE, "q.*")]), account("B", imports=entries))
    assert refused(resolution, "B") == errors
    assert len(in_force(resolution, "B")) == len(entries) - len(errors)


# --- time -------------------------------------------------------------------------------------------------------------

EXPORTER, IMPORTER = (KeyPair.generate(KeyKind.ACCOUNT) for _ in range(2))


def with_token(**times):
    claims = ActivationClaims(subject=IMPORTER.public, import_subject="q", kind=SERVICE, **times)
    text = encode(claims, EXPORTER, issued_at=NOW - 100)
    exporter = AccountSharing(
        account=EXPORTER.public,
        exports=(Export(kind=SERVICE, subject="q", token_required=True),),
        keys=frozenset((EXPORTER.public,)),
    )
    entry = Import(kind=SERVICE, exporter=EXPORTER.public, subject="q", local="renamed", token=text)
    return together(exporter, AccountSharing(account=IMPORTER.public, imports=(entry,)))


def test_an_activation_ends_on_time():
    resolution = with_token(expires=NOW + 10)
    assert len(in_force(resolution, IMPORTER.public)) == 1
    assert resolution.next_change == NOW + 10
    assert resolution.recheck(NOW + 5) == {}
    assert list(resolution.recheck(NOW + 10.5)) == [IMPORTER.public]
    assert in_force(resolution, IMPORTER.public) == []
    assert resolution.next_change == 0


def test_an_activation_begins_on_time():
    resolution = with_token(not_before=NOW + 10, expires=NOW + 20)
    assert in_force(resolution, IMPORTER.public) == []
    assert resolution.next_change == NOW + 10
    resolution.recheck(NOW + 10)
    assert len(in_force(resolution, IMPORTER.public)) == 1
    assert resolution.next_change == NOW + 20


# --- cycles -----------------------------------------------------------------------------------------------------------


def ring(size, kind=SERVICE, ages=None):
    """Everybody imports from the next, all under one name."""
    names = [f"N{number}" for number in range(size)]
    return [
        account(
            name,
            [(kind, "s.>")],
            [(kind, names[(place + 1) % size], "s.>", "s.>")],
            issued_at=ages[place] if ages else 0,
        )
        for place, name in enumerate(names)
    ]


@pytest.mark.parametrize("kind", [SERVICE, STREAM])
@pytest.mark.parametrize("size", [2, 3, 5])
def test_the_last_of_a_ring_is_refused(size, kind):
    resolution = together(*ring(size, kind))
    for name in range(size - 1):
        assert refused(resolution, f"N{name}") == []
    assert refused(resolution, f"N{size - 1}") == ["import forms a cycle"]
    (refusal,) = resolution.effective(f"N{size - 1}").refusals
    assert refusal.reason.code is ReasonCode.IMPORT_CYCLE
    assert " -> ".join(["N0", "N1"][:size]) in refusal.reason.text


def test_the_youngest_is_refused_whoever_is_known_first():
    accounts = ring(4, ages=[5, 9, 7, 6])
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]):
        resolution = Resolution()
        for place in order:
            resolution.put(accounts[place], NOW)
        assert [bool(refused(resolution, f"N{number}")) for number in range(4)] == [False, True, False, False]


def test_a_ring_that_opens_lets_everybody_import():
    accounts = ring(3)
    resolution = together(*accounts)
    changed = resolution.put(account("N0", [(SERVICE, "s.>")]), NOW)
    assert set(changed) == {"N0", "N2"}
    assert refused(resolution, "N2") == []
    resolution.put(accounts[0], NOW)
    assert refused(resolution, "N2") == ["import forms a cycle"]


def test_other_subjects_are_no_cycle():
    resolution = together(
        account("A", [(SERVICE, "a.*")], [(SERVICE, "B", "b.*", "b.*")]),
        account("B", [(SERVICE, "b.*")], [(SERVICE, "A", "a.*", "a.*")]),
    )
    assert refused(resolution, "A") + refused(resolution, "B") == []


def test_an_account_may_import_from_itself_under_another_name_only():
    entries = [(SERVICE, "A", "q", "other"), (SERVICE, "A", "q", "q")]
    resolution = together(account("A", [(SERVICE, "q")], entries))
    assert refused(resolution, "A") == ["import forms a cycle"]
    assert in_force(resolution, "A") == [(SERVICE, "A", "q")]


# --- against a naive model --------------------------------------------------------------------------------------------

NAMES = ("A", "B", "C", "D")
SUBJECTS = ("x", "x.y", "x.*", "x.>", "y", "*.y")
EXPORTS = st.builds(
    lambda kind, subject, listed: Export(kind=kind, subject=subject, accounts=listed),
    st.sampled_from([SERVICE, STREAM]),
    st.sampled_from(SUBJECTS),
    st.one_of(st.none(), st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True).map(tuple)),
)
IMPORTS = st.builds(
    lambda kind, exporter, subject: Import(kind=kind, exporter=exporter, subject=subject, local=subject),
    st.sampled_from([SERVICE, STREAM]),
    st.sampled_from(NAMES),
    st.sampled_from(SUBJECTS),
)
ACCOUNTS = st.builds(
    lambda name, exports, imports, age: AccountSharing(
        account=name, exports=tuple(exports), imports=tuple(imports), issued_at=age
    ),
    st.sampled_from(NAMES),
    st.lists(EXPORTS, max_size=4),
    st.lists(IMPORTS, max_size=4),
    st.integers(1, 3),
)


def model(accounts):
    """What is in force, worked out from the beginning: (importer, number of the import) of each."""
    edges = {}
    for sharing in accounts.values():
        taken = set()
        for number, entry in enumerate(sharing.imports):
            exporter = accounts.get(entry.exporter)
            if exporter is None:
                continue
            fitting = [e for e in exporter.exports if e.kind == entry.kind and covers(e.subject, entry.subject)]
            same = [e for e in fitting if e.subject == entry.subject]
            narrow = [
                e for e in fitting if not any(covers(e.subject, o.subject) and o.subject != e.subject for o in fitting)
            ]
            narrow.sort(key=lambda e: (-sum(token not in "*>" for token in e.subject.split(".")), e.subject))
            last = {e.subject: e for e in fitting}
            chosen = same[-1] if same else last[narrow[0].subject] if narrow else None
            if chosen is None or (chosen.accounts is not None and sharing.account not in chosen.accounts):
                continue
            if (entry.kind, entry.exporter, entry.subject) in taken:
                continue
            taken.add((entry.kind, entry.exporter, entry.subject))
            edges[sharing.issued_at, sharing.account, number] = entry
    kept = set()
    for rank, entry in edges.items():
        home = rank[1]
        if entry.exporter == home:  # the local name is the exporter's here
            continue
        reached, waiting, back = set(), [entry], False
        while waiting:
            at = waiting.pop()
            for other, following in edges.items():
                if (
                    other < rank
                    and other[1] == at.exporter
                    and following.exporter != other[1]
                    and following.kind == at.kind
                    and overlaps(at.subject, following.local)
                    and other not in reached
                ):
                    reached.add(other)
                    waiting.append(following)
                    back = back or following.exporter == home
        if not back:
            kept.add(rank[1:])
    return kept


def state(resolution, accounts):
    found = set()
    for name, sharing in accounts.items():
        effective = resolution.effective(name)
        live = {id(each.entry) for each in (*effective.services, *effective.streams)}
        found |= {(name, number) for number, entry in enumerate(sharing.imports) if id(entry) in live}
        assert len(live) + len(effective.refusals) == len(sharing.imports)
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(ACCOUNTS, st.sampled_from(NAMES)), max_size=8))
def test_any_row_of_changes_ends_as_if_all_were_known_at_once(changes):
    resolution, accounts = Resolution(), {}
    for change in changes:
        before = {name: resolution.effective(name) for name in NAMES}
        if isinstance(change, str):
            accounts.pop(change, None)
            told = resolution.remove(change, NOW)
        else:
            accounts[change.account] = change
            told = resolution.put(change, NOW)
        after = {name: resolution.effective(name) for name in NAMES}
        assert told == {name: after[name] for name in NAMES if after[name] != before[name]}
        assert state(resolution, accounts) == model(accounts)
    assert state(together(*accounts.values()), accounts) == model(accounts)


@given(
    st.lists(st.one_of(ACCOUNTS, st.sampled_from(NAMES)), max_size=8),
    st.lists(st.integers(0, 3), min_size=8, max_size=8),
)
def test_decided_in_parts_it_ends_as_if_at_once(changes, parts):
    """What is yet to be decided about may wait while other accounts change."""
    resolution, accounts, waiting = Resolution(), {}, {}
    for change, count in zip(changes, parts, strict=False):
        if isinstance(change, str):
            accounts.pop(change, None)
            waiting |= resolution.drop(change)
        else:
            accounts[change.account] = change
            waiting |= resolution.take((change,))
        for name in list(waiting)[:count]:
            del waiting[name]
            resolution.decide((name,), NOW)
    for name in list(waiting):
        resolution.decide((name,), NOW)
    assert state(resolution, accounts) == model(accounts)
