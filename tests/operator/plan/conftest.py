"""A home of its own for every test, and commands on a store in it."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from gossamer.operator.store.workspace import Workspace
from gossamer.operator.testing import Answer, run

TENANTS = """
[operator]
name = "ACME"
signing_keys = ["online"]
service_urls = ["nats://localhost:4222"]
system_account = "SYS"

[accounts.SYS]
users = { sys = {} }

[accounts.TEAM]
tags = ["region:eu"]
description = "payments"
signing_keys = ["issuer"]
limits = { connections = 100, payload = "1MiB", storage = { R1 = { disk = "1GiB", streams = 10 } } }
exports = [
    { service = "q.*", name = "Q", private = true, grants = ["CONS"], response = "single", threshold = "5s" },
    { stream = "pub.>" },
]
mappings = { "old.*" = [{ to = "new.$1", weight = 50 }, { to = "newer.$1", weight = 50 }] }
default_permissions = { pub = { deny = ["admin.>"] } }
auth_callout = { users = ["gate"], allowed_accounts = ["CONS"], xkey = "generate" }

[accounts.TEAM.roles.svc]
pub = ["p.{{name()}}.>"]
sub = ["_INBOX.>", "work.> workers"]
responses = { max = 1, ttl = "2m" }
connection_types = ["STANDARD"]

[accounts.TEAM.users]
alice = { sign_with = "issuer", pub = ["a.>"], expires = "90d", rotate_before = "14d" }
gate = {}
svc1 = { role = "svc", tags = ["dept:x"] }

[accounts.CONS]
imports = [{ service = "q.x", from = "TEAM", as = "other.q" }, { stream = "pub.>", from = "TEAM" }]
users = { bob = { subscriptions = 10, networks = ["10.0.0.0/8"] } }
"""


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder that is the working folder too; no waiting for the disk."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(folder))
    entries = [entry for entry in os.environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(str(Path(entry).absolute()) for entry in entries))
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "NSC_HOME", "NKEYS_PATH", "NSC_CWD_ONLY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.setattr(os, "sync", lambda: None)
    return folder


class Tenants:
    """One tenants file and the store that it is applied to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "store"
        self.file = folder / "tenants.toml"
        self.write(TENANTS)

    def write(self, text: str) -> None:
        """Replace the file."""
        self.file.write_text(text)

    def replace(self, old: str, new: str) -> None:
        """Change the file: ``old`` must be there."""
        text = self.file.read_text()
        assert old in text, old
        self.write(text.replace(old, new))

    def run(self, *arguments: str) -> Answer:
        """Run a command on the store."""
        return run(*arguments, "-H", str(self.folder))

    def plan(self, *arguments: str) -> Answer:
        """``gossamer plan --json``."""
        return self.run("plan", "-f", str(self.file), "--json", *arguments)

    def changes(self, *arguments: str) -> list[tuple[str, str, str]]:
        """Action, kind and name of everything the plan would do."""
        answer = self.plan(*arguments)
        assert answer.code in (0, 2), answer.err
        found = [(one["action"], one["kind"], one["name"]) for one in answer.data["plan"]["changes"]]
        assert (answer.code == 2) == bool(found)
        return found

    def fields(self, name: str) -> dict[str, tuple[object, object]]:
        """Old and new values of the fields that the plan would change in one object."""
        for one in self.plan().data["plan"]["changes"]:
            if one["name"] == name:
                return {field["path"]: (field["old"], field["new"]) for field in one["fields"]}
        return {}

    def apply(self, *arguments: str) -> Answer:
        """``gossamer apply --json``; must succeed."""
        answer = self.run("apply", "-f", str(self.file), "--json", *arguments)
        assert answer.code == 0, answer.out + answer.err
        return answer

    @property
    def workspace(self) -> Workspace:
        """The store as it is on disk now."""
        return Workspace.at(self.folder)


@pytest.fixture
def tenants(tmp_path: Path) -> Tenants:
    """The file above, and no store yet."""
    return Tenants(tmp_path)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Set the time of the commands, in unix seconds."""

    def set_to(seconds: int) -> None:
        for module in ("plan", "apply"):
            monkeypatch.setattr(f"gossamer.operator.commands.{module}.now_seconds", lambda: seconds)

    return set_to
