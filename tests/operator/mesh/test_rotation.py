"""``gossamer rotate``: keys replaced while clients are connected (spec operator-cli checklist 52 and 62)."""

import asyncio
from pathlib import Path

from nats.aio.client import Client
from nats.aio.subscription import Subscription

from gossamer.auth.credentials import load_credentials
from gossamer.operator.failure import ExitCode
from gossamer.operator.mesh.testing import Live
from gossamer.operator.testing import fingerprint


def restart_with_new_operator(live: Live) -> None:
    """What a person does between the steps: new configuration, one server after the other."""
    config = live.run_ok("generate", "config", "--nats-resolver").out.replace(
        "allow_delete: false", "allow_delete: true"
    )
    for number, node in enumerate(live.cluster.nodes):
        old = node.config_path.read_text()
        cluster = old[old.index("cluster {") :]
        if number:
            first = live.cluster.nodes[0].cluster_port
            cluster = "\n".join(
                f" routes: [nats://127.0.0.1:{first}]" if line.strip().startswith("routes:") else line
                for line in cluster.splitlines()
            )
        node.stop()
        node._config = f"server_name: n{number + 1}\n{config}\n{cluster}"
        node.restart()
    live.cluster.wait_until_whole()


def journals(live: Live) -> list[Path]:
    return list((live.folder / "stores" / "DEMO").glob(".rotation-*"))


def operator_keys(live: Live) -> tuple[str, ...]:
    return live.workspace.store.operator("DEMO").claims.signing_keys


def test_an_operator_key_is_replaced_step_by_step(own_live: Live) -> None:
    live = own_live
    live.run_ok("operator", "edit", "--require-signing-keys")
    live.run_ok("account", "edit", "SYS", "--resign")
    live.run_ok("account", "edit", "TEAM", "--resign", "--sk", "generate")
    live.run_ok("user", "edit", "alice", "-a", "TEAM", "--resign")
    restart_with_new_operator(live)
    live.run_ok("push", "-A", "--url", live.url)
    (old,) = operator_keys(live)
    # Step 1 waits for the restart, and changes nothing else meanwhile.
    answer = live.run("rotate", "operator-key", "--url", live.url, "--json")
    assert answer.code == ExitCode.PLAN_HAS_CHANGES
    assert "does not trust" in answer.data["waiting"]
    new = answer.data["new"]
    assert set(operator_keys(live)) == {old, new}
    assert live.run("rotate", "operator-key", "--url", live.url).code == ExitCode.PLAN_HAS_CHANGES
    assert set(operator_keys(live)) == {old, new}
    restart_with_new_operator(live)
    for step in (1, 2, 3):
        answer = live.run_ok("rotate", "operator-key", "--url", live.url, "--to-step", str(step), "--json")
        assert (answer.data["step"], answer.data["new"], answer.data["finished"]) == (step, new, False)
        assert set(operator_keys(live)) == {old, new}
    answer = live.run_ok("rotate", "operator-key", "--url", live.url, "--json")
    assert answer.data["finished"]
    assert operator_keys(live) == (new,)
    assert journals(live) == []
    for account in ("SYS", "TEAM"):
        assert live.workspace.store.account("DEMO", account).claims.issuer == new
        assert live.ask(lambda mesh, account=account: mesh.copies(live.key(account))) == [live.token(account)] * 2
    restart_with_new_operator(live)
    live.run_ok("status", "--url", live.url)
    asyncio.run(_greet(live))


async def _greet(live: Live) -> None:
    async with live.client("TEAM", "alice") as one, live.client("TEAM", "alice", node=1) as other:
        heard = await one.subscribe("hello")
        await one.flush()
        await _until_heard(other, heard)


async def _until_heard(client: Client, heard: Subscription) -> None:
    for _ in range(200):
        await client.publish("hello", b"x")
        await client.flush()
        try:
            await heard.next_msg(0.05)
        except TimeoutError:
            continue
        return
    raise AssertionError("nothing was heard")


def test_an_account_that_only_a_server_knows_holds_up_the_removal(own_live: Live) -> None:
    live = own_live
    (old,) = operator_keys(live)
    live.run_ok("account", "create", "LOST", "-K", old)
    for account in ("SYS", "TEAM"):
        live.run_ok("account", "edit", account, "--resign", "-K", old)
    live.run_ok("push", "-A", "--url", live.url)
    live.run_ok("account", "delete", "LOST")
    live.run("rotate", "operator-key", old, "--url", live.url)
    restart_with_new_operator(live)
    answer = live.run("rotate", "operator-key", old, "--url", live.url, "--json")
    assert answer.code == ExitCode.PLAN_HAS_CHANGES
    assert "LOST" in answer.data["waiting"]
    assert answer.data["step"] == 2
    live.run_ok("prune", "--url", live.url)
    assert live.run_ok("rotate", "operator-key", old, "--url", live.url, "--json").data["finished"]


def test_an_account_key_is_replaced_without_locking_anybody_out(live: Live) -> None:
    live.run_ok("account", "create", "ROLL", "--sk", "generate")
    (old,) = live.workspace.store.account("DEMO", "ROLL").claims.signing_key_texts
    live.run_ok("user", "create", "worker", "-a", "ROLL", "-K", old)
    live.run_ok("push", "-a", "ROLL", "--url", live.url)

    async def life() -> None:
        async with live.client("ROLL", "worker", name="busy") as client:
            await client.flush()
            # In a thread: the command has an event loop of its own.
            answer = await asyncio.to_thread(
                live.run, "rotate", "account-key", "-a", "ROLL", "--url", live.url, "--json"
            )
            assert answer.code == ExitCode.PLAN_HAS_CHANGES, answer
            assert "worker (busy)" in answer.data["waiting"]
            assert answer.data["step"] == 2
            assert client.is_connected
            async with live.client("ROLL", "worker", node=1) as renewed:  # with the new credentials
                await renewed.flush()
                claims = load_credentials(live.credentials("ROLL", "worker")).claims
                assert claims.issuer == answer.data["new"]

    asyncio.run(life())
    answer = live.run_ok("rotate", "account-key", "-a", "ROLL", "--url", live.url, "--wait", "5s", "--json")
    assert answer.data["finished"]
    assert live.workspace.store.account("DEMO", "ROLL").claims.signing_key_texts == (answer.data["new"],)
    assert journals(live) == []
    assert live.ask(lambda mesh: mesh.copies(live.key("ROLL"))) == [live.token("ROLL")] * 2


def test_a_role_keeps_its_template_under_the_new_key(live: Live) -> None:
    live.run_ok("account", "create", "ROLES")
    live.run_ok("account", "signing-key", "create", "-a", "ROLES", "--role", "svc", "--allow-pub", "p.>")
    live.run_ok("user", "create", "svc1", "-a", "ROLES", "-K", "svc")
    live.run_ok("push", "-a", "ROLES", "--url", live.url)
    before = live.workspace.store.account("DEMO", "ROLES").claims
    (old,) = before.signing_key_texts
    answer = live.run_ok("rotate", "account-key", "svc", "-a", "ROLES", "--url", live.url, "--json")
    after = live.workspace.store.account("DEMO", "ROLES").claims
    assert after.signing_key_texts == (answer.data["new"],)
    was, now = before.scope(old), after.scope(answer.data["new"])
    assert was is not None
    assert now is not None
    assert (now.role, now.template) == (was.role, was.template)
    assert live.workspace.store.user("DEMO", "ROLES", "svc1").claims.issuer == answer.data["new"]


def test_a_revoked_user_is_not_let_in_again_by_a_rotation(live: Live) -> None:
    live.run_ok("account", "create", "KEEPOUT", "--sk", "generate")
    (old,) = live.workspace.store.account("DEMO", "KEEPOUT").claims.signing_key_texts
    live.run_ok("user", "create", "leaked", "-a", "KEEPOUT", "-K", old)
    live.run_ok("revoke", "leaked", "-a", "KEEPOUT")
    answer = live.run_ok("rotate", "account-key", "-a", "KEEPOUT", "--url", live.url, "--json")
    assert answer.data["finished"]
    claims = live.workspace.store.user("DEMO", "KEEPOUT", "leaked").claims
    assert claims.issuer == old
    assert live.workspace.store.account("DEMO", "KEEPOUT").claims.is_revoked(claims.subject, claims.issued_at)


def test_a_user_gets_a_new_key_and_the_old_one_is_revoked(live: Live) -> None:
    live.run_ok("account", "create", "PEOPLE")
    live.run_ok("user", "create", "bob", "-a", "PEOPLE", "--allow-pub", "a.>")
    live.run_ok("push", "-a", "PEOPLE", "--url", live.url)
    before = live.workspace.store.user("DEMO", "PEOPLE", "bob").claims
    assert live.run_ok("rotate", "user", "bob", "-a", "PEOPLE", "--url", live.url, "--to-step", "1").code == 0
    after = live.workspace.store.user("DEMO", "PEOPLE", "bob").claims
    assert after.subject != before.subject
    assert after.grant == before.grant
    assert load_credentials(live.credentials("PEOPLE", "bob")).claims.subject == after.subject
    answer = live.run_ok("rotate", "user", "bob", "-a", "PEOPLE", "--url", live.url, "--json")
    assert answer.data["finished"]
    account = live.workspace.store.account("DEMO", "PEOPLE").claims
    assert account.is_revoked(before.subject, before.issued_at)
    assert not account.is_revoked(after.subject, after.issued_at)
    assert live.ask(lambda mesh: mesh.copies(live.key("PEOPLE"))) == [live.token("PEOPLE")] * 2


def test_an_overlap_ends_the_waiting(live: Live) -> None:
    live.run_ok("account", "create", "OVER")
    live.run_ok("user", "create", "eve", "-a", "OVER")
    live.run_ok("push", "-a", "OVER", "--url", live.url)

    async def life() -> None:
        async with live.client("OVER", "eve", name="old") as client:
            await client.flush()
            arguments = ("rotate", "user", "eve", "-a", "OVER", "--url", live.url)
            assert (await asyncio.to_thread(live.run, *arguments)).code == ExitCode.PLAN_HAS_CHANGES
            closed = asyncio.Event()

            async def on_closed() -> None:
                closed.set()

            client._closed_cb = on_closed
            await asyncio.to_thread(live.run_ok, *arguments, "--overlap", "0")
            await asyncio.wait_for(closed.wait(), 5)

    asyncio.run(life())


def test_a_dry_run_changes_nothing(live: Live) -> None:
    live.run_ok("account", "create", "DRY", "--sk", "generate")
    before = fingerprint(live.folder)
    answer = live.run_ok("rotate", "account-key", "-a", "DRY", "--url", live.url, "--dry-run", "--json")
    assert len(answer.envelope["done"]) == 4
    assert fingerprint(live.folder) == before


def test_which_key_must_be_said_when_there_are_several(live: Live) -> None:
    live.run_ok("account", "create", "TWO", "--sk", "generate", "--sk", "generate")
    answer = live.run("rotate", "account-key", "-a", "TWO", "--url", live.url)
    assert answer.code == ExitCode.FAILURE
    assert "which key" in answer.err
