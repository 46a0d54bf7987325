"""nsc itself and our command line on one store (spec operator-cli checklist 4, 5, 6, 26, 65).

nsc is a Go program: these tests run where it is on the path, and are skipped with the reason elsewhere.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from gossamer.operator.testing import run_ok

NSC = shutil.which("nsc")

pytestmark = [
    pytest.mark.foreign,
    pytest.mark.skipif(NSC is None, reason="nsc is not on the PATH (it is a Go program: github.com/nats-io/nsc/v2)"),
]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder that both programs use."""
    for name in [name for name in os.environ if name.startswith(("XDG_", "NSC_", "NKEYS_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def nsc(*arguments: str) -> str:
    """Run nsc; both its streams, as its tables go to either. It must succeed."""
    assert NSC is not None
    done = subprocess.run([NSC, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (arguments, done.stdout, done.stderr)
    return done.stdout + done.stderr


def our_keys() -> set[str]:
    return {entry["key"] for entry in run_ok("key", "list", "--json").data}


def test_nsc_reads_what_we_write(home: Path) -> None:
    run_ok("init", "DEMO", "--account", "TEAM", "--user", "alice")
    run_ok("operator", "edit", "--require-signing-keys")
    run_ok("account", "edit", "SYS", "--resign")
    run_ok("account", "edit", "TEAM", "--resign", "--sk", "generate", "--conns", "5", "--js-disk-storage", "1G")
    run_ok("user", "edit", "alice", "--allow-pub", "a.>", "--resign")
    run_ok("account", "signing-key", "create", "--role", "svc", "--allow-pub", "p.{{name()}}.>")
    run_ok("user", "create", "svc1", "-K", "svc")
    nsc("validate", "--all-accounts")
    listed = nsc("list", "keys", "--all")
    assert all(key in listed for key in our_keys())
    described = json.loads(nsc("describe", "account", "-n", "TEAM", "-J"))
    assert described == run_ok("account", "describe", "TEAM", "--json").data
    credentials = nsc("generate", "creds", "-a", "TEAM", "-n", "alice")
    assert credentials.strip() == run_ok("user", "creds", "alice", "--show-secrets").out.strip()


def test_nsc_edits_what_we_wrote_and_we_what_it_edited(home: Path) -> None:
    run_ok("init", "DEMO", "--account", "TEAM", "--user", "alice")
    nsc("edit", "account", "-n", "TEAM", "--conns", "7")
    nsc("add", "user", "-a", "TEAM", "-n", "bob", "--allow-pub", "b.>")
    assert run_ok("account", "describe", "TEAM", "--json").data["nats"]["limits"]["conn"] == 7
    run_ok("user", "edit", "bob", "--deny-pub", "b.no")
    described = json.loads(nsc("describe", "user", "-a", "TEAM", "-n", "bob", "-J"))
    assert described["nats"]["pub"] == {"allow": ["b.>"], "deny": ["b.no"]}
    assert run_ok("validate", "--json").data["valid"]
    nsc("validate", "--all-accounts")


def test_we_read_what_nsc_writes(home: Path) -> None:
    nsc("add", "operator", "-n", "ACME", "--sys", "--generate-signing-key")
    nsc("add", "account", "-n", "TEAM")
    nsc("edit", "signing-key", "-a", "TEAM", "--sk", "generate", "--role", "svc", "--allow-pub", "p.>")
    nsc("add", "user", "-a", "TEAM", "-n", "svc1", "-K", "svc")
    assert run_ok("validate", "--json").data["valid"]
    listed = nsc("list", "keys", "--all")
    assert all(key in listed for key in our_keys())
    ours = run_ok("generate", "config", "--mem-resolver").out
    theirs = nsc("generate", "config", "--mem-resolver")
    assert _words(ours) == _words(theirs)


def _words(text: str) -> list[str]:
    lines = [line for line in text.splitlines() if not line.strip().startswith(("#", "//"))]
    return [word.rstrip(",") for line in lines for word in line.split()]
