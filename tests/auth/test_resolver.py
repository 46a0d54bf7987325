"""Resolvers without a network (spec auth section 22.1)."""

import os

import pytest

from gossamer.auth.claims import AccountClaims
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.resolver import DirectoryResolver, MemoryResolver, ResolverError, resolver_of
from gossamer.auth.settings import ResolverSettings

OPERATOR = KeyPair.generate(KeyKind.OPERATOR)
ACCOUNT = KeyPair.generate(KeyKind.ACCOUNT).public
OTHER = KeyPair.generate(KeyKind.ACCOUNT).public


def token(issued_at=100, subject=ACCOUNT, **claims):
    return encode(AccountClaims(subject=subject, **claims), OPERATOR, issued_at=issued_at)


def test_memory():
    resolver = MemoryResolver([(ACCOUNT, token() + "\n")])
    assert resolver.account_jwt(ACCOUNT) == token()
    assert resolver.account_jwt(OTHER) is None
    assert resolver.keys() == [ACCOUNT]
    assert ACCOUNT in resolver.place(ACCOUNT)
    resolver.store(ACCOUNT, token(50))
    assert resolver.account_jwt(ACCOUNT) == token(50)


def test_preloads_must_belong_to_their_key(tmp_path):
    for key, text in ((OTHER, token()), ("ABC", token()), (ACCOUNT, "a.b.c")):
        with pytest.raises(ResolverError, match="invalid account JWT"):
            MemoryResolver([(key, text)])
        with pytest.raises(ResolverError, match="invalid account JWT"):
            DirectoryResolver(tmp_path, [(key, text)])
    assert list(tmp_path.iterdir()) == []


def test_a_directory(tmp_path):
    home = tmp_path / "a" / "store"
    resolver = DirectoryResolver(home, [(ACCOUNT, token())])
    assert resolver.account_jwt(ACCOUNT) == token()
    assert (home / f"{ACCOUNT}.jwt").read_text() == token()
    assert resolver.place(ACCOUNT) == str(home / f"{ACCOUNT}.jwt")
    assert resolver.account_jwt(OTHER) is None
    (home / f"{OTHER}.jwt").write_text(token(subject=OTHER) + "\n")
    (home / "notes.jwt").write_text("x")
    assert resolver.keys() == sorted([ACCOUNT, OTHER])
    assert resolver.account_jwt(OTHER) == token(subject=OTHER)
    assert sorted(path.name for path in home.iterdir()) == sorted([f"{ACCOUNT}.jwt", f"{OTHER}.jwt", "notes.jwt"])


def test_preloads_do_not_replace_what_is_newer(tmp_path):
    DirectoryResolver(tmp_path, [(ACCOUNT, token(100))])
    assert DirectoryResolver(tmp_path, [(ACCOUNT, token(99))]).account_jwt(ACCOUNT) == token(100)
    assert DirectoryResolver(tmp_path, [(ACCOUNT, token(101))]).account_jwt(ACCOUNT) == token(101)


def test_of_two_edits_in_one_second_all_nodes_choose_the_same(tmp_path):
    one, two = token(100), token(100, tags=("x",))
    for place, order in (("a", (one, two)), ("b", (two, one))):
        resolver = DirectoryResolver(tmp_path / place)
        for text in order:
            resolver.store_newer(ACCOUNT, text)
    assert (tmp_path / "a" / f"{ACCOUNT}.jwt").read_text() == (tmp_path / "b" / f"{ACCOUNT}.jwt").read_text()
    assert not resolver.store_newer(ACCOUNT, one)


def test_a_damaged_file_is_replaced_by_a_preload(tmp_path):
    (tmp_path / f"{ACCOUNT}.jwt").write_text("damaged")
    assert DirectoryResolver(tmp_path).account_jwt(ACCOUNT) == "damaged"
    assert DirectoryResolver(tmp_path, [(ACCOUNT, token())]).account_jwt(ACCOUNT) == token()
    (tmp_path / f"{ACCOUNT}.jwt").write_bytes(b"")
    assert DirectoryResolver(tmp_path).account_jwt(ACCOUNT) is None


def test_names_from_outside_are_no_paths(tmp_path):
    (tmp_path / "secret.jwt").write_text("x")
    resolver = DirectoryResolver(tmp_path / "store")
    for key in ("../secret", "secret", "", "\0"):
        assert resolver.account_jwt(key) is None


def test_faults_name_the_file_and_the_remedy(tmp_path):
    resolver = DirectoryResolver(tmp_path)
    path = tmp_path / f"{ACCOUNT}.jwt"
    path.write_bytes(b"\xff")
    with pytest.raises(ResolverError, match=rf"account file .*{ACCOUNT}\.jwt: not a JWT; make it readable"):
        resolver.account_jwt(ACCOUNT)
    path.unlink()
    path.mkdir()
    with pytest.raises(ResolverError, match="make it readable"):
        resolver.account_jwt(ACCOUNT)
    with pytest.raises(ResolverError, match=r"cannot write account file .*; make the directory writable"):
        resolver.store(ACCOUNT, token())
    assert os.listdir(tmp_path) == [path.name]
    (tmp_path / "file").write_text("")
    with pytest.raises(ResolverError, match=r"resolver directory .*file: .*make it a directory"):
        DirectoryResolver(tmp_path / "file")
    path.rmdir()
    (tmp_path / "file").unlink()
    tmp_path.rmdir()
    with pytest.raises(ResolverError, match="make it readable"):
        resolver.keys()


def test_the_resolver_of_a_configuration(tmp_path):
    preload = [(ACCOUNT, token())]
    assert isinstance(resolver_of(ResolverSettings(kind="memory"), preload), MemoryResolver)
    for kind in ("full", "cache"):
        resolver = resolver_of(ResolverSettings(kind=kind, directory=str(tmp_path / kind)), preload)
        assert resolver.keys() == [ACCOUNT]
    with pytest.raises(ResolverError, match="dir has no value"):
        resolver_of(ResolverSettings(kind="full"))
    with pytest.raises(ResolverError, match=r"URL\(http://x\) can only be asked by a running node"):
        resolver_of(ResolverSettings(kind="url", url="http://x"))
    with pytest.raises(ResolverError, match="not known"):
        resolver_of(ResolverSettings(kind="tape"))
