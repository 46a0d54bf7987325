"""Names become file names: none may leave the folder of the store (spec operator-cli checklist 8)."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gossamer.operator.failure import Failure
from gossamer.operator.store.changes import ChangeSet
from gossamer.operator.store.keystore import Keystore
from gossamer.operator.store.names import checked_name
from gossamer.operator.store.store import Store
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.bootstrap import bootstrap

NASTY = ["", " ", ".", "..", "../x", "a/b", "/etc", "a\\b", "a\0b", "a\nb", "..\\x", "x" * 300, "a/../b", "\ud800"]


@pytest.mark.parametrize("name", NASTY)
def test_nasty_names_are_refused(name: str) -> None:
    with pytest.raises(Failure) as caught:
        checked_name(name, "account")
    assert caught.value.code == "bad-name"


@pytest.mark.parametrize("name", ["A B", "ümläut", "日本", "a.b", "-x", "*", "'\"", "$(x)", ".hidden"])
def test_odd_names_are_fine(name: str) -> None:
    assert checked_name(name, "account") == name


pieces = st.sampled_from(["..", "/", ".", "a", "\\", " ", "\0", "~", "%2e", "ö", "\n", "-", "*"])
names = st.one_of(st.text(max_size=20), st.lists(pieces, max_size=8).map("".join))


@given(operator=names, account=names, user=names)
def test_no_path_leaves_the_store(operator: str, account: str, user: str) -> None:
    store = Store(Path("/base/stores"), ChangeSet())
    try:
        path = store.user_path(operator, account, user)
    except Failure:
        return
    assert ".." not in path.parts
    parts = path.relative_to("/base/stores").parts
    assert len(parts) == 5
    assert (parts[1], parts[3]) == ("accounts", "users")


@given(st.one_of(st.text(max_size=60), names))
def test_only_public_keys_make_key_paths(text: str) -> None:
    keystore = Keystore(Path("/base/keys"), ChangeSet(), {})
    with pytest.raises(Failure):
        keystore.key_path(text)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(operator=names, account=names, user=names)
def test_a_whole_life_stays_inside(
    tmp_path_factory: pytest.TempPathFactory, operator: str, account: str, user: str
) -> None:
    top = tmp_path_factory.mktemp("names")
    workspace = Workspace.at(top / "inside")
    try:
        bootstrap(workspace, operator, account=account, user=user, now=1_700_000_000)
    except Failure:
        return
    workspace.changes.commit()
    assert [path.name for path in top.iterdir()] == ["inside"]
    found = Workspace.at(top / "inside")
    assert found.store.operators() == [operator.strip()]
    assert account.strip() in found.store.accounts(operator)
    assert found.store.users(operator, account) == [user.strip()]
