"""Plan and apply beside a live mesh of two servers, ours and nats-server: what is told, what is cut, who stays."""

import asyncio
import contextlib
from pathlib import Path

import pytest

from gossamer.mesh.testing.process import GossamerProcess, NatsServerProcess, ServerProcess
from gossamer.operator.mesh.testing import Live, start_mesh


@pytest.fixture(params=[GossamerProcess, NatsServerProcess], ids=["gossamer", "nats-server"])
def live(request: pytest.FixtureRequest, tmp_path: Path):
    """A mesh that trusts operator DEMO, with accounts SYS and TEAM (user alice)."""
    kind: type[ServerProcess] = request.param
    mesh = start_mesh(tmp_path, kind)
    try:
        yield mesh
    finally:
        mesh.cluster.stop()


class Declared:
    """A tenants file for that mesh."""

    def __init__(self, live: Live, folder: Path) -> None:
        self.live = live
        self.file = folder / "tenants.toml"
        self.file.write_text(live.run_ok("spec").out)

    def append(self, text: str) -> None:
        self.file.write_text(self.file.read_text() + text)

    def replace(self, old: str, new: str) -> None:
        text = self.file.read_text()
        assert old in text, text
        self.file.write_text(text.replace(old, new))

    def plan(self, *arguments: str):
        answer = self.live.run("plan", "-f", str(self.file), "--live", "--url", self.live.url, "--json", *arguments)
        assert answer.code in (0, 2), answer.err
        return answer

    def apply(self, *arguments: str):
        answer = self.live.run("apply", "-f", str(self.file), "--push", "--url", self.live.url, "--json", *arguments)
        assert answer.code == 0, answer.err
        return answer


async def closed(client) -> None:
    async with asyncio.timeout(10):
        while not client.is_closed:  # noqa: ASYNC110 - the client has no event for it
            await asyncio.sleep(0.01)


def test_a_role_that_changes_names_whom_it_cuts_and_spares_the_others(live, tmp_path):
    declared = Declared(live, tmp_path)
    declared.append(
        """
[accounts.SHOP]
signing_keys = ["plain"]
exports = [{ service = "ask.*", private = true, grants = ["TEAM"] }]
[accounts.SHOP.roles.desk]
pub = ["desk.>"]
[accounts.SHOP.users]
dan = { role = "desk" }
pia = { sign_with = "plain" }
"""
    )
    first = declared.plan()
    assert first.code == 2
    missing = {(one["account"], one["kind"]) for one in first.data["live"]["differences"]}
    assert ("SHOP", "missing") in missing
    done = declared.apply()
    assert len(done.data["pushed"]["SHOP"]) == 2
    second = declared.plan()
    assert [one for one in second.data["live"]["differences"] if one["account"] == "SHOP"] == []

    async def main() -> None:
        async with live.client("SHOP", "dan", name="till-1") as dan, live.client("SHOP", "pia", node=1) as pia:
            declared.replace('pub = ["desk.>"]', 'pub = ["desk.>", "more.>"]')
            told = await asyncio.to_thread(declared.plan)
            (cut,) = told.data["live"]["struck"]
            assert cut["user"] == "dan"
            assert "till-1" in cut["connection"]
            assert cut["why"] == "signing-key"
            await asyncio.to_thread(declared.apply)
            await closed(dan)
            await pia.flush()
            assert pia.is_connected
        async with live.client("SHOP", "dan") as dan:
            await dan.publish("more.x", b"")
            await dan.flush()

    asyncio.run(main())


def test_a_key_goes_without_locking_out_whoever_is_issued_anew(live, tmp_path):
    """Checklist 52: at every moment the credentials on disk are let in by both servers."""
    declared = Declared(live, tmp_path)
    declared.append('\n[accounts.SHOP]\nsigning_keys = ["old"]\n[accounts.SHOP.users]\npia = { sign_with = "old" }\n')
    declared.apply()
    stop = False
    entered = 0

    async def keep_coming() -> None:
        nonlocal entered
        while not stop:
            for node in range(2):
                async with live.client("SHOP", "pia", node=node) as client:
                    # A client that came in by the old credentials may be cut; nobody may be kept out.
                    with contextlib.suppress(Exception):
                        await client.flush()
                    entered += 1

    async def main() -> None:
        nonlocal stop
        coming = asyncio.create_task(keep_coming())
        declared.replace('"old"]', '"new"]')
        declared.replace('sign_with = "old"', 'sign_with = "new"')
        await asyncio.to_thread(declared.apply)
        stop = True
        await coming

    asyncio.run(main())
    assert entered > 2
    claims = live.workspace.store.account("DEMO", "SHOP").claims
    user = live.workspace.store.user("DEMO", "SHOP", "pia").claims
    assert claims.signing_key_texts == (user.issuer,)


def test_a_removed_user_is_cut_and_a_removed_account_leaves_every_server(live, tmp_path):
    declared = Declared(live, tmp_path)
    declared.append("\n[accounts.SHOP.users]\npia = {}\nsam = {}\n")
    declared.apply()
    key = live.key("SHOP")

    async def main() -> None:
        async with live.client("SHOP", "pia") as pia, live.client("SHOP", "sam") as sam:
            declared.replace("sam = {}\n", "")
            told = await asyncio.to_thread(declared.plan)
            assert [one["user"] for one in told.data["live"]["struck"]] == ["sam"]
            await asyncio.to_thread(declared.apply)
            await closed(sam)
            assert pia.is_connected
            declared.replace("\n[accounts.SHOP.users]\npia = {}\n", "")
            told = await asyncio.to_thread(declared.plan)
            assert [one["user"] for one in told.data["live"]["struck"]] == ["pia"]
            await asyncio.to_thread(declared.apply)  # shut: nobody may connect, the account is still there
            await closed(pia)

    asyncio.run(main())
    declared.apply("--force")

    async def listed(mesh):
        return await mesh.lists()

    lists = live.ask(listed)
    assert len(lists) == 2
    assert all(key not in keys for keys in lists.values())
    assert "SHOP" not in live.workspace.store.accounts("DEMO")


def test_what_servers_lack_is_pushed_though_nothing_changes(live, tmp_path):
    declared = Declared(live, tmp_path)
    kinds = {(one["account"], one["kind"]) for one in declared.plan().data["live"]["differences"]}
    assert kinds == {("TEAM", "missing")}
    assert list(declared.apply().data["pushed"]) == ["TEAM"]
    told = declared.plan()
    assert (told.code, told.data["live"]["differences"]) == (0, [])
    assert declared.apply().data["pushed"] == {}


def test_a_saved_plan_is_refused_when_the_servers_have_changed(live, tmp_path):
    declared = Declared(live, tmp_path)
    declared.append("\n[accounts.SHOP]\n")
    saved = str(tmp_path / "plan.json")
    declared.plan("--out", saved)
    live.run_ok("push", "-a", "TEAM", "--url", live.url)
    answer = live.run("apply", "-f", str(declared.file), "--push", "--url", live.url, "--plan", saved, "--json")
    assert answer.code == 1
    assert "servers" in answer.err


def test_explain_names_who_has_subscribed(live, tmp_path):
    declared = Declared(live, tmp_path)
    declared.append(
        """
[accounts.PAY]
exports = [{ service = "charge" }]
users = { pay = {} }
[accounts.SHOP]
imports = [{ service = "charge", from = "PAY", as = "buy" }]
users = { shop = {} }
"""
    )
    declared.apply()

    def ask():
        arguments = ["explain", "request", "SHOP/shop", "buy", "--live", "--url", live.url, "--json"]
        return live.run_ok(*arguments).data["receivers"]

    async def main() -> None:
        assert await asyncio.to_thread(ask) == []
        async with live.client("PAY", "pay", node=1, name="cashier") as client:

            async def answer(message) -> None:
                await message.respond(b"")

            await client.subscribe("charge", queue="desk", cb=answer)
            await client.flush()
            (found,) = await asyncio.to_thread(ask)
            assert (found["account"], found["subject"], found["queue"]) == ("PAY", "charge", "desk")
            assert "cashier" in found["connection"]

    asyncio.run(main())
