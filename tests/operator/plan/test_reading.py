"""Faults of a tenants file: all of them, each with its line and a suggestion."""

import pytest

from gossamer.operator.plan.faults import InvalidFile
from gossamer.operator.plan.reading import read_text

HEAD = '[operator]\nname = "A"\n'


def faults(text: str) -> list[tuple[int, str, str]]:
    with pytest.raises(InvalidFile) as caught:
        read_text(text.encode(), "tenants.toml")
    return [(fault.line, fault.where, f"{fault.message} {fault.hint}".strip()) for fault in caught.value.faults]


def test_all_faults_at_once_with_lines_and_suggestions():
    found = faults(
        HEAD
        + """
[accounts.TEAM]
descriptin = "x"
limits = { cnnections = 1 }
exports = [
    { service = "a.b", respns = "single" },
    { stream = "a..b" },
]

[accounts.TEAM.users]
bob = { role = "x", pubs = ["a"] }

[[accounts.OTHER.imports]]
service = "x"
"""
    )
    assert [(line, where) for line, where, _ in found] == [
        (5, "accounts.TEAM.descriptin"),
        (6, "accounts.TEAM.limits.cnnections"),
        (8, "accounts.TEAM.exports[0].respns"),
        (9, "accounts.TEAM.exports[1].stream"),
        (13, "accounts.TEAM.users.bob.pubs"),
        (15, "accounts.OTHER.imports[0].from"),
    ]
    assert "did you mean 'description'?" in found[0][2]
    assert "did you mean 'connections'?" in found[1][2]
    assert "did you mean 'response'?" in found[2][2]


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("accounts = 3", "accounts"),
        ("[operator]", "operator.name"),
        ("[accounts.X]", "file"),
        (HEAD + "strict_signing_keys = true", "operator.strict_signing_keys"),
        (HEAD + 'expires = "soon"', "operator.expires"),
        (HEAD + 'system_account = "SYS"', "operator.system_account"),
        (HEAD + '[accounts."a/b"]', "accounts.a/b"),
        (HEAD + "[accounts.A.limits]\npayload = '3 apples'", "accounts.A.limits.payload"),
        (HEAD + "[accounts.A.limits]\nconnections = -5", "accounts.A.limits.connections"),
        (HEAD + "[accounts.A.roles.r]\npub = ['a b']", "accounts.A.roles.r.pub"),
        (HEAD + "[accounts.A.roles.r]\nkey = 'UABC'", "accounts.A.roles.r.key"),
        (HEAD + "[accounts.A.users]\nu = { role = 'r' }", "accounts.A.users.u.role"),
        (HEAD + "[accounts.A.roles.r]\n[accounts.A.users]\nu = { role = 'r', pub = 'x' }", "accounts.A.users.u"),
        (HEAD + "[accounts.A.users]\nu = { sign_with = 'k' }", "accounts.A.users.u.sign_with"),
        (HEAD + "[accounts.A.users]\nu = { networks = ['x'] }", "accounts.A.users.u.networks"),
        (HEAD + "[accounts.A.users]\nu = { times = [{ start = '8' }] }", "accounts.A.users.u.times[0]"),
        (HEAD + "[accounts.A.users]\nu = { connection_types = ['PIGEON'] }", "accounts.A.users.u.connection_types"),
        (HEAD + "[accounts.A.users]\nu = { rotate_before = '1d' }", "accounts.A.users.u.rotate_before"),
        (HEAD + "[[accounts.A.exports]]\nservice = 'a'\nstream = 'b'", "accounts.A.exports[0]"),
        (HEAD + "[[accounts.A.exports]]\nservice = 'a'\ngrants = ['A']", "accounts.A.exports[0].grants"),
        (HEAD + "[[accounts.A.exports]]\nstream = 'a'\nresponse = 'single'", "accounts.A.exports[0].response"),
        (HEAD + "[[accounts.A.imports]]\nservice = 'a'\nfrom = 'B'", "accounts.A.imports[0].from"),
        (HEAD + "[[accounts.A.revoke]]\nuser = 'x'\nkey = '*'", "accounts.A.revoke[0]"),
        (HEAD + "[accounts.A.mappings]\na = [{ weight = 3 }]", "accounts.A.mappings.a[0].to"),
        (HEAD + "[accounts.A]\nauth_callout = { users = ['x'] }", "accounts.A.auth_callout.users"),
        (HEAD + "[accounts.A]\non_remove = 'burn'", "accounts.A.on_remove"),
        ("version = 2\n" + HEAD, "version"),
        ("x = ", "file"),
    ],
)
def test_each_fault_names_its_place(text, where):
    assert where in [found[1] for found in faults(text)]


def test_lines_of_nested_tables_and_multiline_texts():
    found = faults(
        HEAD
        + 'tags = ["""a\n[not.a.table]\nb = 1""", "c"] # [x]\n'
        + "[accounts.\"odd.name\".users.u]\nsubscriptions = 1\nfoo = 'x'\n"
    )
    assert found == [(8, "accounts.odd.name.users.u.foo", found[0][2])]
