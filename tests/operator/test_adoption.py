"""Claims, keys and stores that come from elsewhere, and managed stores (spec operator-cli checklist 6, 26, 36, 65)."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gossamer.auth.claims import AccountClaims
from gossamer.auth.jwt import decode_as
from gossamer.operator.testing import Answer, fingerprint, run, run_ok


def codes(answer: Answer) -> list[str]:
    return [remark["code"] for remark in answer.envelope["warnings"]]


@pytest.fixture
def elsewhere(tmp_path: Path) -> list[str]:
    """Flags of another store, with an operator OP, the account A and the user ann."""
    there = tmp_path / "there"
    flags = [f"--config-dir={there}", f"--data-dir={there / 'stores'}", f"--keystore-dir={there / 'keys'}"]
    run_ok("operator", "create", "OP", "--sys", "--generate-signing-key", *flags)
    run_ok("account", "create", "A", *flags)
    run_ok("user", "create", "ann", "-a", "A", *flags)
    return flags


def there(flags: list[str]) -> Path:
    return Path(flags[0].partition("=")[2])


def operator_file(flags: list[str]) -> str:
    return str(there(flags) / "stores" / "OP" / "OP.jwt")


def account_file(flags: list[str]) -> Path:
    return there(flags) / "stores" / "OP" / "accounts" / "A" / "A.jwt"


def test_adopts_the_store_that_nsc_wrote(nsc_store: Path, stores: Path, keys: Path) -> None:
    answer = run_ok("import", "nsc", str(nsc_store), "--json")
    assert answer.data == {"operators": ["ACME"], "changed": True}
    for path in (nsc_store / "stores").rglob("*.jwt"):
        assert (stores / path.relative_to(nsc_store / "stores")).read_bytes() == path.read_bytes()
    for path in (nsc_store / "keys" / "keys").rglob("*.nk"):
        assert (keys / path.relative_to(nsc_store / "keys")).read_bytes() == path.read_bytes()
    assert len(list(keys.rglob("*.creds"))) == len(list((nsc_store / "keys").rglob("*.creds")))
    assert run_ok("account", "list", "--json").data
    assert not run_ok("import", "nsc", str(nsc_store), "--json").data["changed"]


def test_adopts_a_store_in_one_folder(tmp_path: Path, stores: Path) -> None:
    folder = tmp_path / "one"
    run_ok("operator", "create", "OP", "-H", str(folder))
    run_ok("import", "nsc", str(folder))
    assert (stores / "OP" / "OP.jwt").is_file()
    assert run_ok("validate", "--json").data["valid"]


def test_adoption_that_cannot_be(nsc_store: Path, home: Path, stores: Path) -> None:
    assert run("import", "nsc").code == 1
    assert run("import", "nsc", "nowhere").code == 1
    assert run("import", "nsc", str(nsc_store), "--only", "NOBODY").code == 1
    run_ok("operator", "create", "ACME")
    before = fingerprint(home)
    refused = run("import", "nsc", str(nsc_store))
    assert refused.code == 1
    assert "another operator" in refused.err
    assert run("import", "nsc", "--stores", str(stores)).code == 1
    assert fingerprint(home) == before


def test_an_operator_without_its_key_makes_a_managed_store(elsewhere: list[str], stores: Path, home: Path) -> None:
    answer = run_ok("operator", "import", operator_file(elsewhere), "--json")
    assert answer.data["managed"]
    assert '"managed":true' in (stores / "OP" / ".nsc").read_text()
    before = fingerprint(home)
    assert not run_ok("operator", "import", operator_file(elsewhere), "--json").data["changed"]
    assert fingerprint(home) == before
    created = run_ok("account", "create", "T", "--json")
    assert "self-signed" in codes(created)
    claims = decode_as(AccountClaims, (stores / "OP" / "accounts" / "T" / "T.jwt").read_text())
    assert claims.issuer == claims.subject
    assert "self-signed" in codes(run_ok("account", "edit", "T", "--description", "x", "--json"))
    again = run_ok("account", "edit", "T", "--description", "x", "--json")
    assert not again.data["changed"]
    report = run_ok("validate", "--json").data
    assert report["valid"]
    assert any("does not trust" in finding["message"] for finding in report["findings"])
    assert run("operator", "reissue").code == 1


def test_request_and_approval(elsewhere: list[str], stores: Path) -> None:
    run_ok("operator", "import", operator_file(elsewhere))
    run_ok("account", "create", "T")
    mine = stores / "OP" / "accounts" / "T" / "T.jwt"
    # On the operator's side: only when it says so.
    assert run("account", "import", str(mine), *elsewhere).code == 1
    run_ok("account", "import", str(mine), "--force", *elsewhere)
    theirs = there(elsewhere) / "stores" / "OP" / "accounts" / "T" / "T.jwt"
    assert decode_as(AccountClaims, theirs.read_text()).subject == decode_as(AccountClaims, mine.read_text()).subject
    # Back at the tenant's.
    assert run("account", "import", str(theirs)).code == 1
    run_ok("account", "import", str(theirs), "--overwrite")
    assert mine.read_text() == theirs.read_text()
    found = run_ok("validate", "--json").data["findings"]
    assert [finding["object"] for finding in found] == ["OP"]  # whose system account is not here


def test_import_account(elsewhere: list[str], stores: Path, home: Path) -> None:
    run_ok("operator", "import", operator_file(elsewhere))
    path = account_file(elsewhere)
    answer = run_ok("account", "import", str(path), "--json")
    assert answer.data["created"]
    assert (stores / "OP" / "accounts" / "A" / "A.jwt").read_text() == path.read_text()
    before = fingerprint(home)
    assert not run_ok("account", "import", str(path), "--json").data["changed"]
    old = path.read_text()
    run_ok("account", "edit", "A", "--conns", "5", *elsewhere)
    assert run("account", "import", str(path)).code == 1
    assert fingerprint(home) == before
    run_ok("account", "import", str(path), "--overwrite")
    (home / "old.jwt").write_text(old)
    refused = run("account", "import", str(home / "old.jwt"), "--overwrite")
    assert refused.code == 1
    assert "newer" in refused.err
    (home / "junk.jwt").write_text("junk")
    assert run("account", "import", str(home / "junk.jwt")).code == 1
    assert run("account", "import", operator_file(elsewhere)).code == 1


def test_an_account_moves_with_its_users(elsewhere: list[str], stores: Path) -> None:
    """To another operator, as nsc's migrate does."""
    run_ok("operator", "create", "NEW", "--sys")
    assert run("account", "import", str(account_file(elsewhere)), "--users").code == 1
    run_ok("account", "import", str(account_file(elsewhere)), "--users", "--force")
    assert (stores / "NEW" / "accounts" / "A" / "users" / "ann.jwt").is_file()
    assert run_ok("validate", "--json").data["valid"]


@pytest.fixture
def web(elsewhere: list[str]) -> Iterator[str]:
    """A web server with the files of the other store."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given: Any) -> None:
            super().__init__(*given, directory=str(there(elsewhere) / "stores"))

        def log_message(self, *_: object) -> None:
            """Nothing to say."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_urls_are_fetched(web: str) -> None:
    assert run_ok("operator", "import", f"{web}/OP/OP.jwt", "--json").data["managed"]
    run_ok("account", "import", f"{web}/OP/accounts/A/A.jwt")
    assert run_ok("jwt", "describe", f"{web}/OP/accounts/A/A.jwt", "--json").data["name"] == "A"
    refused = run("account", "import", f"{web}/OP/nothing.jwt")
    assert refused.code == 1
    assert "404" in refused.err
    assert run("import", "create", "-a", "A", "--token", f"{web}/OP/OP.jwt").code == 1


def test_an_expired_account_is_taken_only_if_asked(elsewhere: list[str]) -> None:
    run_ok("account", "edit", "A", "--expiry", "2020-01-01", *elsewhere)
    run_ok("operator", "import", operator_file(elsewhere))
    assert run("account", "import", str(account_file(elsewhere))).code == 5
    run_ok("account", "import", str(account_file(elsewhere)), "--skip")


def test_import_user(elsewhere: list[str], stores: Path, keys: Path) -> None:
    credentials = there(elsewhere) / "keys" / "creds" / "OP" / "A" / "ann.creds"
    run_ok("operator", "import", operator_file(elsewhere))
    refused = run("user", "import", str(credentials))
    assert refused.code == 1
    assert "account import" in refused.err
    run_ok("account", "import", str(account_file(elsewhere)))
    answer = run_ok("user", "import", str(credentials), "--json")
    assert (answer.data["name"], answer.data["account"]) == ("ann", "A")
    assert (keys / "keys" / "U" / answer.data["key"][1:3] / f"{answer.data['key']}.nk").is_file()
    assert not run_ok("user", "import", str(credentials), "--json").data["changed"]
    assert run_ok("user", "creds", "ann", "-a", "A", "--show-secrets").out == credentials.read_text()
    run_ok("user", "edit", "ann", "-a", "A", "--allow-pub", "x", *elsewhere)
    bare = there(elsewhere) / "stores" / "OP" / "accounts" / "A" / "users" / "ann.jwt"
    assert run("user", "import", str(bare)).code == 1
    run_ok("user", "import", str(bare), "--overwrite")
    assert run_ok("user", "describe", "ann", "-a", "A", "--json").data["nats"]["pub"] == {"allow": ["x"]}


def test_keys_exported_and_imported(tmp_path: Path, keys: Path, home: Path) -> None:
    run_ok("operator", "create", "OP", "--sys")
    run_ok("user", "create", "u", "-a", "SYS")
    out = tmp_path / "out"
    assert run("key", "export", "--dir", str(out)).code == 64
    answer = run_ok("key", "export", "--dir", str(out), "--users", "--filter", "u", "--json")
    assert len(answer.data["keys"]) == 1
    run_ok("key", "export", "--dir", str(out), "--all", "--include-jwts")
    stored = {path.name: path.read_text() for path in (keys / "keys").rglob("*.nk")}
    assert {path.name: path.read_text() for path in out.glob("*.nk")} == stored
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in out.iterdir())
    assert (out / "OP.jwt").is_file()
    assert (out / "OP_SYS_u.jwt").is_file()
    before = fingerprint(keys)
    run_ok("key", "export", "--dir", str(out), "--all", "--remove")
    assert not list((keys / "keys").rglob("*.nk"))
    assert run("account", "create", "A").code == 7
    run_ok("key", "import", "--dir", str(out))
    assert fingerprint(keys) == before
    assert "--recurse" in run_ok("key", "import", "--dir", str(tmp_path)).err
    assert run("key", "import", "--dir", "nowhere").code == 1
    (out / "broken.nk").write_text("SUxyz")
    assert run("key", "import", "--dir", str(out)).code == 1


def test_a_sealed_keystore(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stores: Path, keys: Path) -> None:
    """What changes objects works on sealed keys; what others would have to read is refused, not written."""
    monkeypatch.setenv("PASSPHRASE", "correct horse")
    run_ok("init", "OP", "--account", "A", "--user", "ann")
    run_ok("keys", "move", "--to", "encrypted", "--new-passphrase-env", "PASSPHRASE")
    with_key = ["--passphrase-env", "PASSPHRASE"]
    assert run("account", "rename", "A", "B").code != 0
    run_ok("account", "rename", "A", "B", *with_key)
    assert run_ok("user", "creds", "ann", "-a", "B", "--show-secrets", *with_key).out.startswith("-----BEGIN")
    assert b"SEED" not in (keys / "creds" / "OP" / "B" / "ann.creds").read_bytes()
    for command in (["profile", "nsc://OP/B/ann"], ["context", "-a", "B", "-u", "ann", "--context", "x"]):
        refused = run("generate", *command, *with_key)
        assert refused.code == 1
        assert "sealed" in refused.err
    elsewhere = ["--data-dir", str(tmp_path / "stores"), "--keystore-dir", str(tmp_path / "keys")]
    refused = run("import", "nsc", "--stores", str(stores), "--keys", str(keys), *elsewhere)
    assert refused.code == 1
    assert "sealed" in refused.err
    run_ok("key", "export", "--dir", str(tmp_path / "out"), "--all", *with_key)
    assert all(path.read_text().startswith("S") for path in (tmp_path / "out").glob("*.nk"))


def test_no_seed_on_the_terminal_while_exporting(tmp_path: Path, keys: Path) -> None:
    run_ok("operator", "create", "OP")
    seeds = [path.read_text() for path in keys.rglob("*.nk")]
    answer = run_ok("key", "export", "--dir", str(tmp_path / "out"), "--all", "--json")
    assert seeds
    assert not any(seed in answer.out + answer.err for seed in seeds)


def test_an_old_keystore_is_migrated(keys: Path, home: Path) -> None:
    run_ok("operator", "create", "OP", "--sys")
    before = fingerprint(keys)
    # What the old layout looked like.
    old = keys / "OP" / "accounts" / "SYS" / "users"
    old.mkdir(parents=True)
    for number, path in enumerate(sorted((keys / "keys").rglob("*.nk"))):
        shutil.move(path, keys / "OP" / f"key{number}.nk")
    shutil.move(keys / "creds" / "OP" / "SYS" / "sys.creds", old / "sys.creds")
    refused = run("account", "create", "A")
    assert refused.code == 1
    assert "gossamer key migrate" in refused.err
    run_ok("key", "migrate")
    assert fingerprint(keys) == before
    assert run_ok("validate", "--json").data["valid"]
    assert not run_ok("key", "migrate", "--json").data["changed"]


def test_an_old_claim_is_refused_with_the_remedy(stores: Path, home: Path) -> None:
    run_ok("operator", "create", "OP")
    vectors = Path(__file__).parents[1] / "auth" / "vectors" / "jwt"
    (stores / "OP" / "OP.jwt").write_text((vectors / "v1_operator.jwt").read_text())
    answer = run("operator", "describe", "OP")
    assert answer.code == 1
    assert "upgrade-jwt" in answer.err
    assert "version 1" in answer.err


def test_a_store_from_loose_files(tmp_path: Path, elsewhere: list[str]) -> None:
    heap = tmp_path / "heap" / "deep"
    heap.mkdir(parents=True)
    for number, path in enumerate(sorted(there(elsewhere).rglob("*"))):
        if path.suffix in (".jwt", ".nk"):
            shutil.copy(path, heap / f"{number}{path.suffix}")
    shutil.copy(account_file(elsewhere), heap / "older.jwt")
    run_ok("account", "edit", "A", "--conns", "7", *elsewhere)
    shutil.copy(account_file(elsewhere), heap / "newer.jwt")
    (heap / "junk.jwt").write_text("junk")
    out = tmp_path / "out"
    answer = run_ok("fix", "--in", str(tmp_path / "heap"), "--out", str(out), "--json")
    assert codes(answer) == ["unread"]
    flags = ["--data-dir", str(out / "stores"), "--keystore-dir", str(out / "keys")]
    assert run_ok("account", "describe", "A", "--json", *flags).data["nats"]["limits"]["conn"] == 7
    assert run_ok("validate", "--json", *flags).data["valid"]
    assert [entry["name"] for entry in run_ok("user", "list", "-a", "A", "--json", *flags).data] == ["ann"]
    assert (out / "keys" / "creds" / "OP" / "A" / "ann.creds").is_file()
    assert run("fix", "--in", str(heap), "--out", str(out)).code == 1
    (tmp_path / "empty").mkdir()
    assert run("fix", "--in", str(tmp_path / "empty"), "--out", str(tmp_path / "other")).code == 1


def test_a_store_from_credentials_and_what_belongs_to_nobody(tmp_path: Path, elsewhere: list[str]) -> None:
    heap = tmp_path / "heap"
    heap.mkdir()
    shutil.copy(operator_file(elsewhere), heap / "op.jwt")
    shutil.copy(there(elsewhere) / "keys" / "creds" / "OP" / "A" / "ann.creds", heap)
    answer = run_ok("fix", "--in", str(heap), "--out", str(tmp_path / "out"), "--creds", "--json")
    assert codes(answer) == ["orphan"]


def test_unknown_members_survive_every_change(stores: Path, keys: Path) -> None:
    """A claim of a newer tool: what we do not know stays (checklist 7)."""
    import msgspec

    from gossamer.auth.jwt import encode
    from gossamer.auth.keys import KeyPair

    run_ok("operator", "create", "OP")
    run_ok("account", "create", "A")
    run_ok("export", "create", "q", "-a", "A")
    path = stores / "OP" / "accounts" / "A" / "A.jwt"
    claims = decode_as(AccountClaims, path.read_text())
    (export,) = claims.exports
    future = msgspec.structs.replace(
        claims,
        unknown={"nats.future": {"a": 1}, "top": [1]},
        exports=(msgspec.structs.replace(export, unknown={"shade": "blue"}),),
    )
    signer = KeyPair.from_seed(next((keys / "keys" / "O").rglob("*.nk")).read_text())
    path.write_text(encode(future, signer, issued_at=claims.issued_at + 1))
    run_ok("export", "edit", "q", "-a", "A", "--description", "x")
    run_ok("mapping", "create", "-a", "A", "-f", "o", "-t", "n")
    run_ok("revocation", "create", "*", "-a", "A")
    run_ok("account", "rename", "A", "B")
    run_ok("account", "close", "B")
    after = run_ok("account", "describe", "B", "--json").data
    assert after["nats"]["future"] == {"a": 1}
    assert after["top"] == [1]
    assert after["nats"]["exports"][0]["shade"] == "blue"
    times = [claims.issued_at, decode_as(AccountClaims, (stores / "OP/accounts/B/B.jwt").read_text()).issued_at]
    assert times[1] >= times[0] + 6, "each version is a second later than the one before (checklist 50)"
