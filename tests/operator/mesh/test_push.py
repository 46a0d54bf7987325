"""``gossamer push``, ``pull``, ``prune`` and ``status`` on a live mesh (spec operator-cli checklist 30 to 34)."""

import os
import signal

from gossamer.operator.failure import ExitCode
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.testing import Live
from gossamer.operator.testing import fingerprint


def test_push_reports_every_server_and_account(live: Live) -> None:
    live.run_ok("account", "create", "R1")
    live.run_ok("account", "create", "R2")
    answer = live.run_ok("push", "-a", "R1", "-a", "R2", "--url", live.url, "--json")
    assert answer.data["complete"]
    assert [(entry["name"], entry["accepted"], entry["answered"]) for entry in answer.data["servers"]] == [
        ("n1", 2, True),
        ("n2", 2, True),
    ]
    assert {entry["name"]: entry["servers"] for entry in answer.data["accounts"]} == {
        "R1": {"n1": "jwt updated", "n2": "jwt updated"},
        "R2": {"n1": "jwt updated", "n2": "jwt updated"},
    }


def test_pushing_what_is_unchanged_succeeds_and_changes_nothing(live: Live) -> None:
    live.run_ok("push", "-a", "TEAM", "--url", live.url)
    before, files = live.token("TEAM"), fingerprint(live.folder / "stores")
    answer = live.run_ok("push", "-a", "TEAM", "--url", live.url, "--json")
    assert answer.data["complete"]
    assert live.token("TEAM") == before
    assert fingerprint(live.folder / "stores") == files

    async def ask(mesh: Mesh) -> list[str]:
        return await mesh.copies(live.key("TEAM"))

    assert live.ask(ask) == [before, before]


def test_a_dry_run_tells_the_servers_nothing(live: Live) -> None:
    live.run_ok("account", "create", "UNSAID")
    answer = live.run_ok("push", "-a", "UNSAID", "--url", live.url, "--dry-run", "--json")
    assert answer.envelope["done"][0].startswith("would: push 'UNSAID'")
    assert live.ask(lambda mesh: mesh.lookup(live.key("UNSAID"))) == ""


def test_a_server_that_does_not_answer_makes_it_partial(own_live: Live) -> None:
    live = own_live
    live.run_ok("push", "-A", "--url", live.url)
    # Both servers must have heard of each other before one falls silent.
    while live.ask(_active) < 2:
        pass
    frozen = live.cluster.nodes[1]
    os.kill(frozen.pid, signal.SIGSTOP)
    try:
        answer = live.run("push", "-A", "--url", live.url, "--timeout", "1", "--json")
    finally:
        os.kill(frozen.pid, signal.SIGCONT)
    assert answer.code == ExitCode.PARTIAL_PUSH
    assert not answer.data["complete"]
    assert answer.data["unheard"] == 1
    assert answer.envelope["errors"][0]["code"] == "unheard-server"
    assert live.run("push", "-A", "--url", live.url, "--wait-all").code == 0


async def _active(mesh: Mesh) -> int:
    return len(await mesh.servers()) + await mesh.unheard()


def test_what_servers_could_not_use_is_not_pushed(live: Live) -> None:
    live.run_ok("account", "create", "LATE", "--expiry", "2020-01-01")
    answer = live.run("push", "-a", "LATE", "--url", live.url)
    assert answer.code == ExitCode.INVALID
    assert "expired" in answer.err
    assert live.ask(lambda mesh: mesh.lookup(live.key("LATE"))) == ""


def test_pull_takes_what_is_newer_and_refuses_what_is_older(live: Live) -> None:
    live.run_ok("account", "create", "PULLED")
    old = live.token("PULLED")
    live.run_ok("account", "edit", "PULLED", "--conns", "7")
    new = live.token("PULLED")
    live.run_ok("push", "-a", "PULLED", "--url", live.url)
    path = live.workspace.store.account_path("DEMO", "PULLED")
    path.write_text(old)
    answer = live.run_ok("pull", "-a", "PULLED", "--url", live.url, "--json")
    assert [entry["result"] for entry in answer.data["accounts"]] == ["updated"]
    assert live.token("PULLED") == new
    assert live.run_ok("pull", "-a", "PULLED", "--url", live.url, "--json").data["accounts"][0]["result"] == "same"
    live.run_ok("account", "edit", "PULLED", "--conns", "9")
    newest = live.token("PULLED")
    answer = live.run("pull", "-a", "PULLED", "--url", live.url)
    assert answer.code == ExitCode.FAILURE
    assert "newer in the store" in answer.err
    assert live.token("PULLED") == newest
    live.run_ok("pull", "-a", "PULLED", "--url", live.url, "--overwrite-newer")
    assert live.token("PULLED") == new


def test_pull_of_all_takes_accounts_the_store_does_not_have(live: Live) -> None:
    live.run_ok("account", "create", "FOUND")
    live.run_ok("push", "-a", "FOUND", "--url", live.url)
    token = live.token("FOUND")
    live.run_ok("account", "delete", "FOUND")
    answer = live.run("pull", "-A", "--url", live.url, "--json")
    assert "added" in {entry["result"] for entry in answer.data["accounts"] if entry["name"] == "FOUND"}
    assert live.token("FOUND") == token


def test_prune_removes_what_the_store_has_not(own_live: Live) -> None:
    live = own_live
    live.run_ok("account", "create", "GONE")
    live.run_ok("push", "-A", "--url", live.url)
    key = live.key("GONE")
    live.run_ok("account", "delete", "GONE")
    dry = live.run_ok("prune", "--url", live.url, "--dry-run", "--json")
    assert dry.data["pruned"] == [{"key": key, "name": "GONE"}]
    assert live.ask(lambda mesh: mesh.lookup(key)) != ""
    answer = live.run_ok("prune", "--url", live.url, "--json")
    assert {(entry["server"], entry["message"]) for entry in answer.data["rulings"]} == {
        ("n1", "deleted 1 accounts"),
        ("n2", "deleted 1 accounts"),
    }
    assert live.ask(lambda mesh: mesh.copies(key)) == ["", ""]
    assert live.run_ok("prune", "--url", live.url).out == "[ OK ] nothing to prune\n"


def test_prune_with_a_grace_shuts_the_account_first(own_live: Live) -> None:
    live = own_live
    live.run_ok("account", "create", "GOING")
    live.run_ok("push", "-A", "--url", live.url)
    live.run_ok("account", "delete", "GOING")
    answer = live.run_ok("prune", "--url", live.url, "--grace", "300ms", "--json")
    assert len(answer.data["shut"]) == 1
    assert len(answer.data["rulings"]) == 2


def test_the_system_account_is_never_removed(live: Live) -> None:
    answer = live.run("prune", "-a", "SYS", "--url", live.url, "--force")
    assert answer.code == ExitCode.FAILURE
    assert "system account" in answer.err
    assert live.ask(lambda mesh: mesh.lookup(live.key("SYS"))) == live.token("SYS")


def test_an_account_of_the_store_is_removed_only_by_force(live: Live) -> None:
    live.run_ok("account", "create", "KEPT")
    live.run_ok("push", "-a", "KEPT", "--url", live.url)
    assert "is in the store" in live.run("prune", "-a", "KEPT", "--url", live.url).err
    live.run_ok("prune", "-a", "KEPT", "--url", live.url, "--force")
    assert live.ask(lambda mesh: mesh.copies(live.key("KEPT"))) == ["", ""]


def test_status_shows_servers_and_their_operator(own_live: Live) -> None:
    live = own_live
    assert live.run("status", "--url", live.url).code == ExitCode.DRIFT  # TEAM is not there yet
    live.run_ok("push", "-A", "--url", live.url)
    answer = live.run_ok("status", "--url", live.url, "--json")
    assert [(entry["name"], entry["accounts"], entry["operator"]) for entry in answer.data["servers"]] == [
        ("n1", 2, "current"),
        ("n2", 2, "current"),
    ]
    live.run_ok("operator", "edit", "--sk", "generate")
    answer = live.run("status", "--url", live.url, "--json")
    assert answer.code == ExitCode.DRIFT
    assert {entry["operator"] for entry in answer.data["servers"]} == {"older"}


def test_a_push_without_a_mesh_says_so(live: Live) -> None:
    answer = live.run("push", "-A", "--url", "nats://127.0.0.1:1", "--json")
    assert answer.code == ExitCode.FAILURE
    assert answer.envelope["errors"][0]["code"] == "unreachable"


def test_credentials_of_a_system_user_do_as_well(live: Live) -> None:
    live.run_ok("account", "create", "BYSYS")
    creds = str(live.credentials("SYS", "sys"))
    live.run_ok("push", "-a", "BYSYS", "--url", live.url, "--system-user", creds)
    answer = live.run("push", "-a", "BYSYS", "--url", live.url, "--system-user", str(live.credentials("TEAM", "alice")))
    assert answer.code == ExitCode.FAILURE
    assert "system" in answer.err
