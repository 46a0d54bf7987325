"""Applying a tenants file: what it makes, that it is made once, in which order, and how things leave
(spec operator-cli sections 10.2 and 10.4, checklist 44 to 51)."""

import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gossamer.auth.claims import ActivationClaims
from gossamer.auth.credentials import load_credentials
from gossamer.auth.jwt import decode_as
from gossamer.operator.plan.ledger import Ledgers
from gossamer.operator.store.lock import locked
from gossamer.operator.testing import fingerprint, run, run_ok


def files(folder: Path) -> dict[str, str]:
    """All files but the audit log."""
    return {name: text for name, text in fingerprint(folder).items() if ".gossamer-audit" not in name}


def account(tenants, name):
    return tenants.workspace.store.account("ACME", name).claims


def user(tenants, account_name, name):
    return tenants.workspace.store.user("ACME", account_name, name).claims


def test_everything_declared_is_made(tenants):
    tenants.apply()
    operator = tenants.workspace.store.operator("ACME").claims
    team, cons = account(tenants, "TEAM"), account(tenants, "CONS")
    assert operator.system_account == account(tenants, "SYS").subject
    assert len(operator.signing_keys) == 1
    assert len(account(tenants, "SYS").exports) == 2  # the standard ones
    assert team.tags == ("region:eu",)
    assert team.limits.connections == 100
    assert team.limits.payload == 2**20
    assert team.limits.tiered["R1"].disk_storage == 2**30
    assert [target.weight for target in team.mappings["old.*"]] == [50, 50]
    assert team.default_permissions.publish.deny == ("admin.>",)
    assert team.authorization.auth_users == (user(tenants, "TEAM", "gate").subject,)
    assert team.authorization.allowed_accounts == (cons.subject,)
    assert tenants.workspace.keystore.has_seed(team.authorization.xkey)
    (role,) = [entry for entry in team.signing_keys if not isinstance(entry, str)]
    assert (role.role, role.template.publish.allow) == ("svc", ("p.{{name()}}.>",))
    svc1 = user(tenants, "TEAM", "svc1")
    assert svc1.issuer == role.key
    assert svc1.grant.is_empty
    alice = user(tenants, "TEAM", "alice")
    assert alice.expires - alice.issued_at == 90 * 86_400
    assert user(tenants, "CONS", "bob").grant.source_networks == ("10.0.0.0/8",)
    private, public = sorted(cons.imports, key=lambda entry: entry.type)
    token = decode_as(ActivationClaims, private.token)
    assert (token.subject, token.import_subject, token.issuer) == (cons.subject, "q.x", team.subject)
    assert private.local_subject == "other.q"
    assert public.token == ""
    credentials = load_credentials(tenants.workspace.keystore.credentials_path("ACME", "TEAM", "alice"))
    assert credentials.claims == alice
    answer = tenants.run("validate")
    assert answer.code == 0, answer.err


def test_applying_twice_changes_no_file(tenants):
    tenants.apply()
    before = files(tenants.folder)
    assert tenants.changes() == []
    answer = tenants.apply()
    assert answer.envelope["done"] == ["everything is so already"]
    assert files(tenants.folder) == before


def test_plan_and_dry_run_write_nothing(tenants):
    assert ("create", "account", "TEAM") in tenants.changes()
    assert not tenants.folder.exists() or files(tenants.folder) == {}
    tenants.apply()
    before = files(tenants.folder)
    tenants.replace("connections = 100", "connections = 7")
    assert tenants.changes() == [("change", "account", "TEAM")]
    assert tenants.apply("--dry-run").code == 0
    assert files(tenants.folder) == before


def test_plan_shows_old_and_new_values(tenants):
    tenants.apply()
    tenants.replace("connections = 100", "connections = 7")
    tenants.replace('pub = ["a.>"]', 'pub = ["a.>", "b"]')
    assert tenants.fields("TEAM") == {"limits.conn": (100, 7)}
    assert tenants.fields("TEAM/alice") == {"pub.allow": (["a.>"], ["a.>", "b"])}
    text = tenants.run("plan", "-f", str(tenants.file)).out
    assert "limits.conn: 100 -> 7" in text


def test_only_what_changes_is_signed_and_its_time_of_issue_grows(tenants, clock):
    clock(1_900_000_000)
    tenants.apply()
    before = files(tenants.folder)
    first = account(tenants, "TEAM")
    tenants.replace("connections = 100", "connections = 7")
    tenants.apply()
    second = account(tenants, "TEAM")
    assert (first.issued_at, second.issued_at) == (1_900_000_000, 1_900_000_001)
    after = files(tenants.folder)
    assert [name for name in after if after[name] != before.get(name)] == ["ACME/accounts/TEAM/TEAM.jwt"]


def test_a_spec_of_a_store_plans_nothing(tenants):
    tenants.apply()
    spec = tenants.run("spec").out
    tenants.write(spec)
    assert tenants.changes() == []
    before = files(tenants.folder)
    tenants.apply()
    assert files(tenants.folder) == before
    assert tenants.run("spec").out == spec


def test_a_spec_of_a_store_made_by_commands_plans_nothing_and_can_be_applied(tenants):
    for arguments in (
        ["init", "ACME", "--account", "TEAM", "--user", "alice"],
        ["account", "edit", "TEAM", "--conns", "10", "--sk", "generate", "--tag", "a:b"],
        ["account", "signing-key", "create", "-a", "TEAM", "--role", "svc", "--allow-pub", "x.>"],
        ["user", "create", "svc", "-a", "TEAM", "-K", "svc"],
    ):
        run_ok(*arguments, "-H", str(tenants.folder))
    before = files(tenants.folder)
    tenants.write(tenants.run("spec").out)
    assert tenants.changes() == []
    tenants.apply()  # takes the names under management
    after = files(tenants.folder)
    assert {name: after[name] for name in before} == before
    assert all(".gossamer/" in name for name in after.keys() - before.keys())


def test_saved_plan_is_carried_out_or_refused(tenants, tmp_path):
    tenants.apply()
    saved = str(tmp_path / "plan.json")
    tenants.replace("connections = 100", "connections = 7")
    assert tenants.plan("--out", saved).code == 2
    text = Path(saved).read_text()
    assert "eyJ" not in text
    tenants.apply("--plan", saved)
    assert account(tenants, "TEAM").limits.connections == 7
    stale = tenants.run("apply", "-f", str(tenants.file), "--plan", saved, "--json")
    assert stale.code == 1
    assert stale.envelope["errors"][0]["code"] == "stale-plan"
    assert "store" in stale.err


def test_saved_plan_is_refused_when_the_file_has_changed(tenants, tmp_path):
    tenants.apply()
    saved = str(tmp_path / "plan.json")
    tenants.replace("connections = 100", "connections = 7")
    tenants.plan("--out", saved)
    tenants.replace("connections = 7", "connections = 8")
    before = files(tenants.folder)
    assert tenants.run("apply", "-f", str(tenants.file), "--plan", saved).code == 1
    assert files(tenants.folder) == before


def test_a_user_taken_out_of_the_file_is_revoked_and_gone(tenants):
    tenants.apply()
    gone = user(tenants, "TEAM", "svc1")
    tenants.replace('svc1 = { role = "svc", tags = ["dept:x"] }', "")
    assert tenants.changes() == [("change", "account", "TEAM"), ("revoke", "user", "TEAM/svc1")]
    effects = tenants.plan().data["plan"]["changes"][0]["effects"]
    assert [effect["kind"] for effect in effects] == ["revoked"]
    tenants.apply()
    team = account(tenants, "TEAM")
    assert team.is_revoked(gone.subject, gone.issued_at)
    workspace = tenants.workspace
    assert workspace.store.find_user("ACME", "TEAM", "svc1") is None
    assert not workspace.keystore.credentials_path("ACME", "TEAM", "svc1").exists()
    ledger = Ledgers(workspace, "ACME").account("TEAM")
    assert ledger is not None
    assert ledger.former == {"svc1": gone.subject}
    assert tenants.changes() == []


def test_on_remove_keep_leaves_a_user_alone(tenants):
    tenants.apply()
    tenants.replace('description = "payments"', 'description = "payments"\non_remove = "keep"')
    tenants.replace('svc1 = { role = "svc", tags = ["dept:x"] }', "")
    tenants.apply()
    assert user(tenants, "TEAM", "svc1").name == "svc1"
    assert account(tenants, "TEAM").revocations == {}


def test_what_was_never_in_the_file_is_left_alone_unless_pruned(tenants):
    tenants.apply()
    for arguments in (
        ["account", "create", "OTHER"],
        ["user", "create", "x", "-a", "OTHER"],
        ["user", "create", "y", "-a", "TEAM"],
        ["account", "edit", "TEAM", "--sk", "generate"],
    ):
        run_ok(*arguments, "--operator", "ACME", "-H", str(tenants.folder))
    assert tenants.changes() == []
    tenants.write("prune = true\n" + tenants.file.read_text())
    found = tenants.changes()
    assert ("shut", "account", "OTHER") in found
    assert ("revoke", "user", "TEAM/y") in found
    assert any("signing_keys" in path for path in tenants.fields("TEAM"))


def test_an_account_leaves_in_two_phases(tenants, clock):
    start = int(time.time())
    clock(start)
    tenants.apply()
    text = tenants.file.read_text()
    tenants.write(
        'removal_grace = "1h"\n'
        + text[: text.index("[accounts.CONS]")]
        .replace(', grants = ["CONS"]', "")
        .replace('allowed_accounts = ["CONS"], ', "")
    )
    assert ("shut", "account", "CONS") in tenants.changes()
    tenants.apply()
    shut = account(tenants, "CONS")
    assert (shut.limits.connections, shut.limits.leafnodes) == (0, 0)
    assert shut.revocations["*"] >= start
    clock(start + 3000)
    assert tenants.changes() == []
    assert tenants.plan().data["plan"]["waiting"] == [{"account": "CONS", "due": start + 3600}]
    tenants.apply()
    assert account(tenants, "CONS") == shut
    clock(start + 3601)
    assert tenants.changes() == [("remove", "account", "CONS")]
    tenants.apply()
    assert tenants.workspace.store.accounts("ACME") == ["SYS", "TEAM"]
    assert tenants.changes() == []


def test_an_account_that_comes_back_into_the_file_is_opened_again(tenants, clock):
    clock(int(time.time()))
    tenants.apply()
    text = tenants.file.read_text()
    tenants.replace("\n[accounts.CONS]\n", "\n[accounts.X]\n")
    tenants.replace('grants = ["CONS"]', 'grants = ["X"]')
    tenants.replace('allowed_accounts = ["CONS"]', 'allowed_accounts = ["X"]')
    tenants.apply()
    assert account(tenants, "CONS").limits.connections == 0
    tenants.write(text)
    tenants.apply()
    cons = account(tenants, "CONS")
    assert cons.limits.connections == -1
    assert cons.revocations == {}


def test_force_removes_at_once(tenants):
    tenants.apply()
    tenants.replace("\n[accounts.CONS]\n", "\n[accounts.X]\n")
    tenants.replace('grants = ["CONS"]', 'grants = ["X"]')
    tenants.replace('allowed_accounts = ["CONS"]', 'allowed_accounts = ["X"]')
    tenants.apply("--force")
    assert tenants.workspace.store.accounts("ACME") == ["SYS", "TEAM", "X"]


def test_the_system_account_stays(tenants):
    tenants.apply()
    tenants.replace('system_account = "SYS"', f'system_account = "{account(tenants, "SYS").subject}"')
    tenants.replace("[accounts.SYS]\nusers = { sys = {} }\n", "")
    answer = tenants.plan("--force")
    assert answer.code == 0
    assert [remark["code"] for remark in answer.envelope["warnings"]] == ["system-account"]


def test_two_applies_at_once(tenants, monkeypatch):
    monkeypatch.setattr("gossamer.operator.store.lock.WAIT_S", 0.1)
    with locked(tenants.folder):
        answer = tenants.run("apply", "-f", str(tenants.file), "--json")
    assert answer.code == 1
    assert answer.envelope["errors"][0]["code"] == "locked"


def test_revocations_of_the_file_are_entered_once(tenants, clock):
    clock(2_000_000_000)
    tenants.apply()
    alice = user(tenants, "TEAM", "alice")
    tenants.replace(
        "[accounts.TEAM.roles.svc]", '[[accounts.TEAM.revoke]]\nuser = "alice"\n\n[accounts.TEAM.roles.svc]'
    )
    clock(2_000_000_100)
    tenants.apply()
    assert account(tenants, "TEAM").revocations == {alice.subject: 2_000_000_100}
    clock(2_000_000_200)
    assert tenants.changes() == []


def test_users_are_issued_anew_before_they_end(tenants, clock):
    clock(2_000_000_000)
    tenants.apply()
    clock(2_000_000_000 + 60 * 86_400)
    assert tenants.changes() == []
    clock(2_000_000_000 + 77 * 86_400)
    assert tenants.changes() == [("sign", "user", "TEAM/alice")]
    tenants.apply()
    assert user(tenants, "TEAM", "alice").expires == 2_000_000_000 + 167 * 86_400
    assert tenants.changes() == []


def test_members_of_a_claim_that_we_do_not_know_are_kept(tenants):
    from msgspec import structs

    tenants.apply()
    workspace = tenants.workspace
    from gossamer.operator.store.stored import sign
    from gossamer.operator.tenants.signing import operator_signer

    stored = workspace.store.account("ACME", "TEAM").claims
    later = structs.replace(stored, unknown={"nats.future": {"x": 1}})
    signer = operator_signer(workspace.keystore, workspace.store.operator("ACME").claims)
    workspace.store.put_account("ACME", sign(later, signer, now=1))
    workspace.changes.commit()
    assert tenants.changes() == []
    tenants.replace("connections = 100", "connections = 7")
    tenants.apply()
    assert account(tenants, "TEAM").unknown == {"nats.future": {"x": 1}}


def test_a_withdrawn_grant_is_a_fault_as_long_as_it_is_imported(tenants):
    tenants.apply()
    tenants.replace(', grants = ["CONS"]', "")
    answer = tenants.plan()
    assert answer.code == 5
    assert "does not grant" in answer.err


def test_an_import_of_what_nobody_exports_is_a_fault(tenants):
    tenants.replace('service = "q.x"', 'service = "z.x"')
    answer = tenants.plan()
    assert answer.code == 5
    assert "exports nothing that covers it" in answer.err


def test_pinned_keys_are_used_and_cannot_change(tenants):
    from gossamer.auth.keys import KeyKind, KeyPair

    first, second = (KeyPair.generate(KeyKind.ACCOUNT).public for _ in range(2))
    tenants.replace("[accounts.CONS]", f'[accounts.CONS]\nkey = "{first}"')
    before = files(tenants.folder) if tenants.folder.exists() else {}
    unsigned = tenants.run("apply", "-f", str(tenants.file))
    assert unsigned.code == 7  # nothing there may sign bob
    assert (files(tenants.folder) if tenants.folder.exists() else {}) == before
    tenants.replace(f'key = "{first}"', f'key = "{first}"\nsigning_keys = ["here"]')
    tenants.apply()
    assert account(tenants, "CONS").subject == first
    tenants.replace(first, second)
    answer = tenants.plan()
    assert answer.code == 5
    assert answer.envelope["errors"][0]["code"] == "other-key"


KILLED = """
import os, signal, sys
from gossamer.operator.plan import journal
from gossamer.operator.testing import run
seen = 0
def point(name):
    global seen
    seen += 1
    if seen == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
journal.point = point
answer = run("apply", "-f", sys.argv[2], "-H", sys.argv[3], "--processes", "1")
print(answer.out, answer.err, file=sys.stderr)
print(seen)
sys.exit(answer.code)
"""


def killed(tenants, at: int) -> "subprocess.CompletedProcess[str]":
    arguments = [sys.executable, "-c", KILLED, str(at), str(tenants.file), str(tenants.folder)]
    return subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3, 0.5, 0.7, 0.85, 1.0])
def test_killed_apply_leaves_a_store_that_opens_and_is_finished_by_the_next(tenants, tmp_path, share):
    tenants.apply()
    tenants.replace("connections = 100", "connections = 7")
    tenants.replace('signing_keys = ["issuer"]', 'signing_keys = ["other"]')
    tenants.replace('sign_with = "issuer"', 'sign_with = "other"')
    tenants.replace('svc1 = { role = "svc", tags = ["dept:x"] }', "carol = {}")
    copy = tmp_path / "count"
    subprocess.run(["cp", "-a", str(tenants.folder), str(copy)], check=True)
    counted = subprocess.run(
        [sys.executable, "-c", KILLED, "0", str(tenants.file), str(copy)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    points = int(counted.stdout.split()[-1])
    assert points > 10
    done = killed(tenants, 1 + round(share * (points - 1)))
    assert done.returncode == -9, done.stderr
    workspace = tenants.workspace
    for name in workspace.store.accounts("ACME"):
        workspace.store.account("ACME", name)
        for each in workspace.store.users("ACME", name):
            workspace.store.user("ACME", name, each)
    tenants.plan()
    tenants.apply()
    assert tenants.changes() == []
    assert account(tenants, "TEAM").limits.connections == 7
    assert tenants.workspace.store.users("ACME", "TEAM") == ["alice", "carol", "gate"]
    issuers = {user(tenants, "TEAM", "alice").issuer}
    assert issuers <= set(account(tenants, "TEAM").signing_key_texts)
    assert len([key for key in account(tenants, "TEAM").signing_keys if isinstance(key, str)]) == 1
    left = [path for path in tenants.folder.rglob("*") if "journal" in path.name or path.suffix == ".tmp"]
    assert left == []
    assert run("validate", "-H", str(tenants.folder)).code == 0


def test_many_users_are_issued_by_several_processes(tenants, monkeypatch):
    monkeypatch.setattr("gossamer.operator.plan.issuing._WORTH_A_PROCESS", 1)
    monkeypatch.setattr("gossamer.operator.plan.issuing._PORTION", 1)
    answer = tenants.apply("--processes", "2")
    assert answer.data["issued_users"] == 5
    assert tenants.changes() == []
    assert run("validate", "-H", str(tenants.folder)).code == 0
    assert run("audit", "verify", "--operator", "ACME", "-H", str(tenants.folder)).code == 0


def test_a_spec_of_a_store_that_nsc_wrote_plans_nothing(tmp_path):
    folder = tmp_path / "nsc"
    shutil.copytree(Path(__file__).parents[1] / "vectors", folder)
    (folder / "stores" / "ACME" / "dot-nsc").rename(folder / "stores" / "ACME" / ".nsc")
    (folder / "keys" / "dot-gitignore").rename(folder / "keys" / ".gitignore")
    context = folder / "nsc.json"
    context.write_text(context.read_text().replace("@STORES@", str(folder / "stores")))
    flags = [f"--config-dir={folder}", f"--data-dir={folder / 'stores'}", f"--keystore-dir={folder / 'keys'}"]
    spec = tmp_path / "tenants.toml"
    spec.write_text(run_ok("spec", *flags).out)
    before = fingerprint(folder)
    answer = run("plan", "-f", str(spec), "--json", *flags)
    assert (answer.code, answer.data["plan"]["changes"]) == (0, [])
    assert fingerprint(folder) == before


def test_what_is_not_said_of_the_operator_stays(tenants):
    """A file that only names the operator must not take away by what servers are found; an empty value does."""
    tenants.apply()
    before = tenants.workspace.store.operator("ACME").claims
    tenants.replace('service_urls = ["nats://localhost:4222"]\nsystem_account = "SYS"\n', "")
    tenants.apply()
    assert tenants.workspace.store.operator("ACME").claims == before
    tenants.replace('name = "ACME"\n', 'name = "ACME"\nservice_urls = []\nsystem_account = ""\n')
    tenants.apply()
    after = tenants.workspace.store.operator("ACME").claims
    assert (after.operator_service_urls, after.system_account) == ((), "")
