"""Any sequence of changes to what accounts share and revoke: claims stay sound, time only goes on, a failure leaves no
trace, and saying the same again changes nothing."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gossamer.auth.claims import AccountClaims
from gossamer.auth.keys import KeyKind, encode_public
from gossamer.auth.validation import blocking, validate
from gossamer.operator.failure import Failure
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants import accounts, activations, exports, imports, mappings, operators, revocations
from gossamer.operator.tenants.exports import ExportEdit
from gossamer.operator.tenants.imports import ImportEdit
from gossamer.operator.testing import fingerprint

OP, NAMES = "OP", ("A", "B", "C")
KEY = encode_public(KeyKind.USER, bytes(32))
NOW = 1_800_000_000

subjects = st.sampled_from(["q", "q.*", "q.x", "r.*.x", "a..b"])
locals_ = st.sampled_from([None, None, "m.*", "x"])
kinds = st.sampled_from(["stream", "service"])
names = st.sampled_from(NAMES)
flags = st.one_of(st.none(), st.booleans())
positions = st.sampled_from([None, None, 0, 1, 2])
Operation = tuple[str, Callable[[Workspace, int], Any]]


@st.composite
def operations(draw: st.DrawFn) -> Operation:
    """One change, as its name and what does it."""
    account, other, subject, kind = draw(names), draw(names), draw(subjects), draw(kinds)
    local, private, position = draw(locals_), draw(flags), draw(positions)
    weight, at = draw(st.sampled_from([10, 60, 100])), draw(st.integers(1, NOW - 1))
    edit = ExportEdit(private=private, account_token_position=position)
    key = draw(st.sampled_from(["*", KEY]))
    target = draw(st.sampled_from([other, "*"]))
    choices: dict[str, Callable[[Workspace, int], Any]] = {
        "export": lambda w, now: exports.create_export(w, OP, account, subject, kind, edit, now=now, exist_ok=True),
        "edit export": lambda w, now: exports.edit_export(w, OP, account, subject, kind, edit, now=now),
        "delete export": lambda w, now: exports.delete_export(w, OP, account, subject, now=now),
        "import": lambda w, now: imports.create_import(
            w, OP, account, source=other, subject=subject, edit=ImportEdit(local_subject=local), now=now, exist_ok=True
        ),
        "delete import": lambda w, now: imports.delete_import(w, OP, account, subject, now=now),
        "map": lambda w, now: mappings.create_mapping(w, OP, account, subject, local or "n", weight=weight, now=now),
        "unmap": lambda w, now: mappings.delete_mapping(w, OP, account, subject, now=now),
        "revoke": lambda w, now: revocations.revoke(w, OP, account, [key], at=at, now=now),
        "compact": lambda w, now: revocations.compact(w, OP, account, now=now),
        "revoke activation": lambda w, now: activations.revoke_activation(
            w, OP, account, subject, target, at=at, now=now
        ),
        "limit": lambda w, now: accounts.edit_account(
            w, OP, account, accounts.AccountEdit(description=f"{weight}"), now=now
        ),
    }
    name = draw(st.sampled_from(sorted(choices)))
    return name, choices[name]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with the three accounts and what they export, to be copied."""
    folder = tmp_path_factory.mktemp("template")
    workspace = Workspace.at(folder)
    operators.create_operator(workspace, OP, now=NOW)
    for name in NAMES:
        accounts.create_account(workspace, OP, name, now=NOW)
        exports.create_export(workspace, OP, name, "q.*", "service", ExportEdit(private=True), now=NOW)
        exports.create_export(workspace, OP, name, "q", "stream", ExportEdit(), now=NOW)
    workspace.changes.commit()
    return folder


def claims_of(workspace: Workspace) -> dict[str, AccountClaims]:
    return {name: workspace.store.account(OP, name).claims for name in NAMES}


@given(st.lists(operations(), min_size=5, max_size=20))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_sequence(template: Path, steps: list[Operation]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder) / "home"
        _copy(template, home)
        for name, step in steps:
            before, files = claims_of(Workspace.at(home)), fingerprint(home)
            workspace = Workspace.at(home)
            try:
                step(workspace, NOW)
            except Failure:
                assert fingerprint(home) == files, name
                continue
            workspace.changes.commit()
            after = claims_of(Workspace.at(home))
            for account, claims in after.items():
                assert blocking(validate(claims, NOW), times=False) == [], name
                if claims != before[account]:
                    assert claims.issued_at > before[account].issued_at, name
                _check_revocations(name, before[account], claims)
            if name not in ("delete export", "delete import", "unmap"):
                files = fingerprint(home)
                again = Workspace.at(home)
                step(again, NOW)
                again.changes.commit()
                assert fingerprint(home) == files, f"{name} changed something the second time"


def _check_revocations(name: str, before: AccountClaims, after: AccountClaims) -> None:
    """No entry moves to an earlier time; one that is gone is covered by that of everybody."""
    for key, moment in before.revocations.items():
        if key in after.revocations:
            assert after.revocations[key] >= moment, name
        else:
            assert after.revocations["*"] >= moment, name
    for export in before.exports:
        for other in after.exports:
            if (other.subject, other.type) == (export.subject, export.type):
                assert all(other.revocations[key] >= moment for key, moment in export.revocations.items()), name


def _copy(source: Path, target: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            os.link(path, place)
