"""The directory of account JWTs against a naive model (spec auth 22.1, 22.3)."""

import hashlib
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gossamer.auth.claims import AccountClaims
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.resolver import ResolverError, rank_of
from gossamer.mesh.resolvers.store import DirectoryStore, StoreFull
from gossamer.mesh.world import SystemDisk

OPERATOR = KeyPair.generate(KeyKind.OPERATOR)
KEYS = [KeyPair.generate(KeyKind.ACCOUNT).public for _ in range(4)]
TOKENS = {
    (number, issued_at): encode(AccountClaims(subject=key, expires=1000 + issued_at), OPERATOR, issued_at=issued_at)
    for number, key in enumerate(KEYS)
    for issued_at in (10, 20, 30)
}
TWINS = [encode(AccountClaims(subject=KEYS[0], name=name), OPERATOR, issued_at=50) for name in ("a", "b")]


class Clock:
    def __init__(self):
        self.now_ns = 1

    def monotonic_ns(self):
        self.now_ns += 1
        return self.now_ns

    def wall_ns(self):
        return self.now_ns


class MemoryDisk:
    """Files in a dict."""

    def __init__(self):
        self.files = {}

    def read(self, path):
        if path not in self.files:
            raise FileNotFoundError(2, "no such file", path)
        return self.files[path]

    def write(self, path, data, *, mode=0o644):
        self.files[path] = data

    def remove(self, path):
        self.read(path)
        del self.files[path]

    def rename(self, old, new):
        self.files[new] = self.read(old)
        del self.files[old]

    def names(self, directory):
        return sorted(path.rpartition("/")[2] for path in self.files)

    def make_directory(self, path):
        pass


def digest_of(texts):
    found = 0
    for text in texts:
        found ^= int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    return found.to_bytes(32, "big")


def surveyed(store):
    while not store.survey(2):
        pass
    return store


steps = st.lists(
    st.tuples(
        st.sampled_from(["write", "newer", "remove", "read", "behind", "lost", "scan", "survey"]),
        st.integers(0, 3),
        st.sampled_from([10, 20, 30]),
    ),
    max_size=25,
)


@given(steps)
def test_the_digest_is_that_of_the_files(taken):
    """Whatever happens, also behind the store's back: after a scan and a survey it is the XOR of what is there."""
    disk = MemoryDisk()
    store, model = DirectoryStore(disk, Clock(), "d"), {}
    for verb, number, issued_at in taken:
        key, token = KEYS[number], TOKENS[number, issued_at]
        if verb == "write":
            store.write(key, token)
            model[key] = token
        elif verb == "newer":
            rank = rank_of(issued_at, token)
            held = model.get(key)
            newer = held is None or rank > rank_of(_issued(held), held)
            assert store.write_newer(key, token, rank) == newer
            if newer:
                model[key] = token
        elif verb == "remove":
            present = key in store
            assert store.remove(key, keep=issued_at == 10) == present
            model.pop(key, None)
            disk.files.pop(f"d/{key}.jwt", None)
        elif verb == "read":
            assert store.read(key) == model.get(key)
        elif verb == "behind":
            disk.files[f"d/{key}.jwt"] = token.encode() + b"\n"
            model[key] = token
        elif verb == "lost":
            disk.files.pop(f"d/{key}.jwt", None)
            model.pop(key, None)
        elif verb == "scan":
            store.scan()
        else:
            store.survey(1)
    store.scan()
    surveyed(store)
    assert store.keys() == sorted(model)
    assert dict(store.pairs()) == model
    assert store.digest == digest_of(model.values())
    assert surveyed(DirectoryStore(disk, Clock(), "d")).digest == store.digest


def _issued(token):
    return next(issued_at for (_number, issued_at), text in TOKENS.items() if text == token)


def test_of_two_of_one_second_all_keep_the_same():
    """Section 26.2: the greater hash."""
    newest = max(TWINS, key=lambda text: hashlib.sha256(text.encode()).digest())
    for order in (TWINS, TWINS[::-1]):
        store = DirectoryStore(MemoryDisk(), Clock(), "d")
        for text in order:
            store.write_newer(KEYS[0], text, rank_of(50, text))
        assert store.read(KEYS[0]) == newest


def test_limits():
    store = DirectoryStore(MemoryDisk(), Clock(), "d", limit=2)
    for number in (0, 1):
        store.write(KEYS[number], TOKENS[number, 10])
    store.write(KEYS[0], TOKENS[0, 20])
    with pytest.raises(StoreFull, match="jwt store is full"):
        store.write(KEYS[2], TOKENS[2, 10])
    store.remove(KEYS[1], keep=False)
    store.write(KEYS[2], TOKENS[2, 10])


def test_a_cache_drops_what_was_not_used_for_longest():
    store = DirectoryStore(MemoryDisk(), Clock(), "d", limit=2, evicts=True)
    store.write(KEYS[0], TOKENS[0, 10])
    store.write(KEYS[1], TOKENS[1, 10])
    store.read(KEYS[0])
    store.write(KEYS[2], TOKENS[2, 10])
    assert store.keys() == sorted([KEYS[0], KEYS[2]])
    assert store.digest == digest_of([TOKENS[0, 10], TOKENS[2, 10]])


def test_what_is_too_old_is_removed():
    store = DirectoryStore(MemoryDisk(), Clock(), "d")
    store.write(KEYS[0], TOKENS[0, 10])  # expires at 1010
    store.write(KEYS[1], TOKENS[1, 20])
    store.write(KEYS[2], TWINS[0])  # never
    assert store.unexpired(1010) == sorted(KEYS[1:3])
    assert store.expire(1010) == [KEYS[0]]
    assert store.expire(5000) == [KEYS[1]]
    assert store.keys() == [KEYS[2]]
    clock = Clock()
    cache = DirectoryStore(MemoryDisk(), clock, "d", evicts=True, ttl_ns=1000)
    cache.write(KEYS[0], TOKENS[0, 10])
    cache.write(KEYS[1], TOKENS[1, 10])
    clock.now_ns += 900
    cache.read(KEYS[0])
    clock.now_ns += 500
    assert cache.expire(0) == [KEYS[1]]
    assert cache.keys() == [KEYS[0]]


def test_real_files(tmp_path):
    home = tmp_path / "a" / "jwt"
    store = DirectoryStore(SystemDisk(), Clock(), str(home))
    store.write(KEYS[0], TOKENS[0, 10])
    assert (home / f"{KEYS[0]}.jwt").read_text() == TOKENS[0, 10]
    assert os.listdir(home) == [f"{KEYS[0]}.jwt"]
    store.remove(KEYS[0], keep=True)
    assert os.listdir(home) == [f"{KEYS[0]}.jwt.deleted"]
    assert store.read(KEYS[0]) is None
    assert len(DirectoryStore(SystemDisk(), Clock(), str(home))) == 0
    for name in ("notes.jwt", "../x.jwt", f"{KEYS[1][:-1]}.jwt"):
        (home / name.replace("/", "_")).write_text("x")
    assert len(DirectoryStore(SystemDisk(), Clock(), str(home))) == 0
    with pytest.raises(ResolverError, match="not a public account key"):
        store.write("../evil", "x")
    (tmp_path / "file").write_text("")
    with pytest.raises(ResolverError, match="make it a directory"):
        DirectoryStore(SystemDisk(), Clock(), str(tmp_path / "file"))


def test_damaged_files(tmp_path):
    path = tmp_path / f"{KEYS[0]}.jwt"
    for content in (b"\xff\xfe", b"x.y", b"a.b.c", b"e30.e30.e30", b"..", b'{"exp":1}'):
        path.write_bytes(content)
        store = surveyed(DirectoryStore(SystemDisk(), Clock(), str(tmp_path)))
        assert store.write_newer(KEYS[0], TOKENS[0, 10], rank_of(10, TOKENS[0, 10]))
        assert store.digest == digest_of([TOKENS[0, 10]])


def test_a_full_disk_is_left_as_it_was():
    class FullDisk(MemoryDisk):
        def write(self, path, data, *, mode=0o644):
            super().write(path, data[:10])
            raise OSError(28, "No space left on device")

    disk = FullDisk()
    store = DirectoryStore(disk, Clock(), "d")
    with pytest.raises(ResolverError, match=r"No space left on device; make room on its disk"):
        store.write(KEYS[0], TOKENS[0, 10])
    assert (disk.files, len(store), store.digest) == ({}, 0, bytes(32))
