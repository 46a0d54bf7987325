"""``gossamer credentials expiring`` (spec operator-cli checklist 39) and ``gossamer revoke`` on a live mesh."""

import asyncio

from gossamer.operator.failure import ExitCode
from gossamer.operator.mesh.testing import Live


def rows(live: Live, *arguments: str) -> dict[tuple[str, str], dict[str, object]]:
    answer = live.run("credentials", "expiring", "--json", *arguments)
    return {(entry["kind"], entry["name"]): entry for entry in answer.data["credentials"]}


def test_what_never_expires_has_no_date(live: Live) -> None:
    answer = live.run("credentials", "expiring", "--json")
    assert answer.code == 0
    kinds = {entry["kind"] for entry in answer.data["credentials"]}
    assert kinds == {"operator", "account", "signing-key", "user"}
    for entry in answer.data["credentials"]:
        assert entry["expires"] is None
        assert entry["days_left"] is None
        assert entry["state"] == "never"
        assert entry["in_use"] is None
    assert "1970" not in answer.out


def test_what_is_due_ends_with_its_exit_code(live: Live) -> None:
    live.run_ok("user", "create", "soon", "-a", "TEAM", "--expiry", "3d")
    live.run_ok("user", "create", "later", "-a", "TEAM", "--expiry", "90d")
    answer = live.run("credentials", "expiring", "--within", "7d", "--json")
    assert answer.code == ExitCode.EXPIRY_DUE
    found = rows(live, "--within", "7d")
    assert found["user", "DEMO/TEAM/soon"]["state"] == "due"
    assert found["user", "DEMO/TEAM/later"]["state"] == "ok"
    assert found["user", "DEMO/TEAM/soon"]["signer"] == live.key("TEAM")
    assert str(found["user", "DEMO/TEAM/soon"]["credentials"]).endswith("soon.creds")
    assert list(rows(live, "--within", "7d", "--due")) == [("user", "DEMO/TEAM/soon")]
    assert live.run("credentials", "expiring", "--within", "1d").code == 0


def test_as_gauges(live: Live) -> None:
    live.run_ok("user", "create", "soon", "-a", "TEAM", "--expiry", "2030-01-01")
    out = live.run_ok("credentials", "expiring", "--format", "prometheus").out
    key = live.workspace.store.user("DEMO", "TEAM", "soon").claims.subject
    name = "gossamer_credential_expiry_timestamp_seconds"
    assert f'{name}{{key="{key}",kind="user",name="DEMO/TEAM/soon"}} 1.8934560e+09'.replace("560e", "56e") in out
    assert f'{name}{{key="{live.key("TEAM")}",kind="account",name="DEMO/TEAM"}} +Inf' in out


def test_what_is_in_use_is_known_from_live_connections(live: Live) -> None:
    live.run_ok("account", "create", "USED", "--sk", "generate")
    (key,) = live.workspace.store.account("DEMO", "USED").claims.signing_key_texts
    live.run_ok("user", "create", "here", "-a", "USED", "-K", key)
    live.run_ok("user", "create", "away", "-a", "USED", "-K", key)
    live.run_ok("push", "-a", "USED", "--url", live.url)

    async def life() -> dict[tuple[str, str], dict[str, object]]:
        async with live.client("USED", "here", node=1) as client:
            await client.flush()
            return await asyncio.to_thread(rows, live, "--live", "--url", live.url)

    found = asyncio.run(life())
    assert found["user", "DEMO/USED/here"]["in_use"] is True
    assert found["user", "DEMO/USED/away"]["in_use"] is False
    assert found["signing-key", f"DEMO/USED/{key}"]["connections"] == 1
    assert found["account", "DEMO/USED"]["connections"] == 1


def test_a_revocation_names_whom_it_cuts_and_cuts_them(live: Live) -> None:
    live.run_ok("account", "create", "CUT")
    live.run_ok("user", "create", "mallory", "-a", "CUT")
    live.run_ok("user", "create", "honest", "-a", "CUT")
    live.run_ok("push", "-a", "CUT", "--url", live.url)

    async def life() -> None:
        async with live.client("CUT", "mallory", node=1, name="loot") as bad, live.client("CUT", "honest") as good:
            await bad.flush()
            await good.flush()
            closed = asyncio.Event()

            async def on_closed() -> None:
                closed.set()

            bad._closed_cb = on_closed
            arguments = ("revoke", "mallory", "-a", "CUT", "--push", "--url", live.url, "--json")
            dry = await asyncio.to_thread(live.run_ok, *arguments, "--dry-run")
            assert [(entry["user"], entry["server"]) for entry in dry.data["connections"]] == [("mallory", "n2")]
            assert "(loot)" in dry.data["connections"][0]["connection"]
            assert bad.is_connected
            assert live.workspace.store.account("DEMO", "CUT").claims.revocations == {}
            done = await asyncio.to_thread(live.run_ok, *arguments)
            assert done.data["push"]["complete"]
            await asyncio.wait_for(closed.wait(), 5)
            await good.flush()

    asyncio.run(life())
