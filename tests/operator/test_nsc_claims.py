"""Claims as nsc writes them for the same options, and both tools on one store
(spec operator-cli checklist 9, 25, 26, 65).

nsc is a Go program: these tests run where it is on the path, and are skipped with the reason elsewhere.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gossamer.auth.claims import ActivationClaims
from gossamer.auth.jwt import decode_as
from gossamer.operator.testing import run_ok

NSC = shutil.which("nsc")

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.skipif(NSC is None, reason="nsc is not on the PATH (it is a Go program: github.com/nats-io/nsc/v2)"),
]

#: Counts that nsc writes without storage, where they mean nothing.
STORAGE_COUNTS = ("streams", "consumer", "max_ack_pending", "mem_max_stream_bytes", "disk_max_stream_bytes")

CURVE = "XDWTYMPYAVUMWGSX3XGVQ6XGJ7GX5DBWGUABXZGIQCYKTBJHYTDHSBZZ"


def nsc(*arguments: str) -> str:
    """Run nsc; both its streams, as its tables go to either. It must succeed."""
    assert NSC is not None
    done = subprocess.run([NSC, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr


@pytest.fixture(autouse=True)
def chain(home: Path) -> None:
    """One store for both, with the accounts OURS and THEIRS, and E, which exports."""
    assert os.environ["HOME"] == str(home)
    run_ok("operator", "create", "OP", "--sys", "--generate-signing-key", "--service-url", "nats://localhost:4222")
    for name in ("E", "OURS", "THEIRS"):
        run_ok("account", "create", name)
    run_ok("export", "create", "q.*", "-a", "E", "--service", "--private")
    run_ok("export", "create", "pub.>", "-a", "E")


def described(name: str) -> dict[str, Any]:
    """The members of an account's claim, without what cannot be the same."""
    found: dict[str, Any] = run_ok("account", "describe", name, "--json").data["nats"]
    limits = found["limits"]
    found["tags"] = sorted(found.get("tags", ()))  # nsc sorts them, we keep their order
    if not limits.get("mem_storage") and not limits.get("disk_storage"):
        found["limits"] = {key: value for key, value in limits.items() if key not in STORAGE_COUNTS}
    for entry in found.get("imports", ()):
        if "token" in entry:
            token = decode_as(ActivationClaims, entry["token"])
            entry["token"] = [token.import_subject, token.kind, token.issuer, token.name]
    for entry in found.get("signing_keys", ()):
        if isinstance(entry, dict):
            entry["key"] = "its key"
            # Servers do not enforce it; nsc forgets it when another limit is given.
            entry["template"].pop("data", None)
    return found


def key_of(account: str) -> str:
    key: str = run_ok("account", "describe", account, "--json").data["sub"]
    return key


EXPORTS = {
    "service": (["s", "--service"], ["-s", "s", "--service"]),
    "stream": (["t.>", "--name", "T"], ["-s", "t.>", "--name", "T"]),
    "private": (["p.*", "--service", "--private"], ["-s", "p.*", "--service", "--private"]),
    "position": (["acc.*.>", "--account-token-position", "2"], ["-s", "acc.*.>", "--account-token-position", "2"]),
    "everything": (
        *2
        * (
            [
                *("s.x", "--service", "--response-type", "Stream", "--response-threshold", "1500ms"),
                *("--latency", "lat", "--sampling", "25", "--allow-trace", "--name", "S"),
            ],
        ),
    ),
    "header": (*2 * (["h", "--service", "--latency", "lat", "--sampling", "header"],),),
}


@pytest.mark.parametrize("case", list(EXPORTS))
def test_exports(case: str) -> None:
    ours, theirs = EXPORTS[case]
    run_ok("export", "create", *ours, "-a", "OURS")
    nsc("add", "export", *(theirs if theirs[0] == "-s" else ["-s", *theirs]), "-a", "THEIRS")
    assert described("OURS") == described("THEIRS")


def test_exports_edited_and_deleted() -> None:
    for name in ("OURS", "THEIRS"):
        run_ok("export", "create", "t.>", "-a", name)
        run_ok("export", "create", "u.>", "-a", name)
    run_ok("export", "edit", "t.>", "-a", "OURS", "--description", "D", "--info-url", "https://e.org", "--private")
    nsc("edit", "export", "-s", "t.>", "-a", "THEIRS", "--description", "D", "--info-url", "https://e.org", "--private")
    run_ok("export", "delete", "u.>", "-a", "OURS")
    nsc("delete", "export", "-s", "u.>", "-a", "THEIRS")
    assert described("OURS") == described("THEIRS")


@pytest.mark.parametrize("local", [[], ["--local-subject", "from.e.>"]], ids=["same", "renamed"])
def test_public_imports(local: list[str]) -> None:
    run_ok("import", "create", "-a", "OURS", "--src-account", key_of("E"), "--remote-subject", "pub.>", *local)
    nsc("add", "import", "-a", "THEIRS", "--src-account", key_of("E"), "--remote-subject", "pub.>", *local)
    ours, theirs = described("OURS"), described("THEIRS")
    assert ours == theirs


def test_private_imports_and_activations_of_either_tool(home: Path) -> None:
    run_ok("activation", "issue", "-a", "E", "-s", "q.x", "-t", "THEIRS", "-o", "ours.jwt")
    nsc("generate", "activation", "-a", "E", "-s", "q.x", "-t", key_of("OURS"), "-o", str(home / "theirs.jwt"))
    run_ok("import", "create", "-a", "OURS", "--token", "theirs.jwt", "--local-subject", "my.q", "--share")
    nsc("add", "import", "-a", "THEIRS", "-u", str(home / "ours.jwt"), "--local-subject", "my.q", "--share")
    assert described("OURS") == described("THEIRS")
    nsc("validate", "--all-accounts")
    assert run_ok("validate", "--json").data["findings"] == []


def test_a_grant_that_we_made_is_good_for_nsc() -> None:
    run_ok("import", "create", "-a", "OURS", "--from", "E", "--subject", "q.x")
    nsc("validate", "--all-accounts")


def test_mappings() -> None:
    for source, target, more in (
        ("old.*", "new.$1", []),
        ("w", "w1", ["--weight", "30", "--cluster", "east"]),
        ("w", "w2", ["--weight", "30"]),
    ):
        run_ok("mapping", "create", "-a", "OURS", "-f", source, "-t", target, *more)
        nsc("add", "mapping", "-a", "THEIRS", "-f", source, "-t", target, *more)
    assert described("OURS") == described("THEIRS")


def test_revocations() -> None:
    key = run_ok("key", "generate", "user", "--show-secrets", "--json").data["key"]
    for whom in (key, "*"):
        run_ok("revocation", "create", whom, "-a", "OURS", "--at", "2020-01-01T00:00:00Z")
        nsc("revocations", "add-user", "-a", "THEIRS", "-u", whom, "--at", "2020-01-01T00:00:00Z")
    assert described("OURS") == described("THEIRS")
    run_ok("revocation", "delete", key, "-a", "OURS")
    nsc("revocations", "delete-user", "-a", "THEIRS", "-u", key)
    assert described("OURS") == described("THEIRS")


def test_activation_revocations() -> None:
    run_ok("export", "create", "q.*", "-a", "OURS", "--private")
    run_ok("export", "create", "q.*", "-a", "THEIRS", "--private")
    at = ["--at", "2020-01-01T00:00:00Z"]
    run_ok("activation", "revoke", "-a", "OURS", "-s", "q.*", "-t", "E", *at)
    nsc("revocations", "add_activation", "-a", "THEIRS", "-s", "q.*", "-t", key_of("E"), *at)
    assert described("OURS") == described("THEIRS")


def test_callouts() -> None:
    user = run_ok("key", "generate", "user", "--show-secrets", "--json").data["key"]
    curve = run_ok("key", "generate", "curve", "--show-secrets", "--json").data["key"]
    options = ["--auth-user", user, "--allowed-account", "*", "--curve", curve]
    run_ok("account", "callout", "-a", "OURS", *options)
    nsc("edit", "authcallout", "-a", "THEIRS", *options)
    assert described("OURS") == described("THEIRS")
    run_ok("account", "callout", "-a", "OURS", "--disable")
    nsc("edit", "authcallout", "-a", "THEIRS", "--disable")
    assert described("OURS") == described("THEIRS")


ACCOUNT_OPTIONS = {
    "limits": [
        *("--conns", "5", "--leaf-conns", "2", "--subscriptions", "100", "--payload", "1M", "--data", "2G"),
        *("--exports", "3", "--imports", "4", "--disallow-bearer"),
    ],
    "storage": ["--js-mem-storage", "1M", "--js-disk-storage", "1G", "--js-streams", "5", "--js-consumer", "6"],
    "words": ["--description", "D", "--info-url", "https://e.org", "--tag", "Region:EU,b", "--expiry", "2040-01-01"],
    "traces": ["--trace-context-subject", "traces", "--trace-context-sampling", "20"],
    "permissions": ["--allow-pub", "a.>", "--deny-sub", "b.>", "--allow-pub-response=3", "--response-ttl", "5s"],
}


@pytest.mark.parametrize("case", list(ACCOUNT_OPTIONS))
def test_account_options(case: str) -> None:
    options = ACCOUNT_OPTIONS[case]
    run_ok("account", "edit", "OURS", *options)
    nsc("edit", "account", "-n", "THEIRS", *options)
    assert described("OURS") == described("THEIRS")


def test_roles_and_their_users() -> None:
    options = [
        *("--role", "svc", "--description", "Services", "--allow-pub", "p.{{name()}}.>", "--allow-sub", "_INBOX.>"),
        *("--deny-pub", "no", "--allow-pub-response=2", "--response-ttl", "1m", "--subs", "5", "--payload", "10k"),
        *("--bearer", "--conn-type", "STANDARD", "--source-network", "10.0.0.0/8", "--time", "08:00:00-17:00:00"),
    ]
    run_ok("account", "signing-key", "create", "-a", "OURS", *options)
    nsc("edit", "signing-key", "-a", "THEIRS", "--sk", "generate", *options)
    assert described("OURS") == described("THEIRS")
    run_ok("user", "create", "u", "-a", "OURS", "-K", "svc")
    nsc("add", "user", "-a", "THEIRS", "-n", "u", "-K", "svc")
    assert user_members("OURS", "u") == user_members("THEIRS", "u")
    assert run_ok("validate", "--json").data["valid"]


def user_members(account: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = run_ok("user", "describe", name, "-a", account, "--json").data["nats"]
    if "issuer_account" in found:
        assert found.pop("issuer_account") == key_of(account)
    return found


USER_OPTIONS = {
    "nothing": [],
    "permissions": [
        *("--allow-pub", "a.>", "--allow-sub", "b.>,c q", "--allow-pubsub", "d", "--deny-pub", "a.no"),
        *("--allow-pub-response=5", "--response-ttl", "2m"),
    ],
    "places": ["--source-network", "10.0.0.0/8,192.0.2.1/32", "--bearer", "--tag", "Team:X"],
    "times": ["--expiry", "2040-01-01", "--start", "2020-01-01"],
}


@pytest.mark.parametrize("case", list(USER_OPTIONS))
def test_user_options(case: str) -> None:
    run_ok("user", "create", "u", "-a", "OURS", *USER_OPTIONS[case])
    nsc("add", "user", "-n", "u", "-a", "THEIRS", *USER_OPTIONS[case])
    ours = run_ok("user", "describe", "u", "-a", "OURS", "--json").data
    theirs = run_ok("user", "describe", "u", "-a", "THEIRS", "--json").data
    assert ours["nats"] == theirs["nats"]
    assert [ours.get(name) for name in ("exp", "nbf", "name")] == [theirs.get(name) for name in ("exp", "nbf", "name")]


def test_system_accounts(home: Path) -> None:
    nsc("add", "operator", "-n", "THEIRS", "--sys", "--generate-signing-key")
    ours = run_ok("account", "describe", "SYS", "--operator", "OP", "--json").data["nats"]
    theirs = run_ok("account", "describe", "SYS", "--operator", "THEIRS", "--json").data["nats"]
    for account in (ours, theirs):
        for entry in account["exports"]:
            entry.pop("description", None)
            entry.pop("info_url", None)
        assert len(account.pop("signing_keys")) == 1
        account["limits"] = {name: v for name, v in account["limits"].items() if name not in STORAGE_COUNTS}
        account.pop("description", None)
        account.pop("info_url", None)
    assert ours == theirs


def test_contexts_name_the_same_place(home: Path) -> None:
    run_ok("user", "create", "u", "-a", "OURS")
    run_ok("generate", "context", "-a", "OURS", "-u", "u", "--context", "ours")
    nsc("generate", "context", "-a", "OURS", "-u", "u", "--context", "theirs")
    folder = home / ".config" / "nats" / "context"
    ours, theirs = (json.loads((folder / f"{name}.json").read_text()) for name in ("ours", "theirs"))
    assert ours == {name: theirs[name] for name in ("url", "creds")}


@pytest.mark.parametrize("query", ["", "?names", "?keys", "?seeds", "?seeds&keys&names", "?userKey&accountName"])
def test_profiles(query: str) -> None:
    run_ok("user", "create", "u", "-a", "OURS")
    url = f"nsc://OP/OURS/u{query}"
    assert json.loads(run_ok("generate", "profile", url, "--show-secrets").out) == json.loads(
        nsc("generate", "profile", url)
    )


def test_nsc_goes_on_where_we_left_off() -> None:
    run_ok("account", "rename", "OURS", "TEAM")
    run_ok("user", "create", "u", "-a", "TEAM")
    run_ok("operator", "reissue", "--convert-to-signing-key")
    run_ok("operator", "reissue")
    run_ok("revocation", "create", "u", "-a", "TEAM")
    nsc("validate", "--all-accounts")
    nsc("rename", "account", "TEAM", "AGAIN", "--OK")
    nsc("reissue", "operator", "--name", "OP")
    nsc("delete", "user", "-a", "AGAIN", "-n", "u", "--revoke")
    nsc("edit", "account", "-n", "AGAIN", "--conns", "3")
    assert run_ok("validate", "--json").data["valid"]
    run_ok("account", "close", "AGAIN")
    run_ok("account", "delete", "AGAIN", "-D", "-C")
    nsc("validate", "--all-accounts")


def test_keys_travel_both_ways(home: Path, keys: Path) -> None:
    run_ok("key", "export", "--dir", "ours", "--all")
    nsc("export", "keys", "--all", "--dir", str(home / "theirs"))
    ours = {path.name: path.read_text() for path in (home / "ours").iterdir()}
    theirs = {path.name: path.read_text().strip() for path in (home / "theirs").iterdir()}
    assert ours == theirs
    for path in (keys / "keys").rglob("*.nk"):
        path.unlink()
    nsc("import", "keys", "--dir", str(home / "ours"))
    assert {path.name: path.read_text() for path in (keys / "keys").rglob("*.nk")} == ours


def test_nsc_mends_what_we_exported_and_we_what_it_did(home: Path) -> None:
    run_ok("user", "create", "u", "-a", "OURS")
    run_ok("key", "export", "--dir", "ours", "--all", "--include-jwts")
    nsc("fix", "--in", str(home / "ours"), "--out", str(home / "fixed"))
    nsc("export", "keys", "--all", "--include-jwts", "--dir", str(home / "theirs"))
    run_ok("fix", "--in", str(home / "theirs"), "--out", str(home / "mended"))
    flags = ["--data-dir", str(home / "mended" / "stores"), "--keystore-dir", str(home / "mended" / "keys")]
    assert run_ok("validate", "--operator", "OP", "--json", *flags).data["valid"]
    names = [entry["name"] for entry in run_ok("account", "list", "--operator", "OP", "--json", *flags).data]
    assert names == ["E", "OURS", "SYS", "THEIRS"]
