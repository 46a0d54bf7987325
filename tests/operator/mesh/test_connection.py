"""The connection to a live mesh: who is there, accounts pushed and read back, who is connected."""

import pytest

from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.packing import pack_hash
from gossamer.operator.mesh.testing import Live
from gossamer.operator.mesh.visitor import LIFETIME_S, Errand, temporary_visitor


def test_servers_are_those_that_are_there(live: Live) -> None:
    servers = live.ask(lambda mesh: mesh.servers(), Errand.SERVERS)
    assert [server.name for server in servers] == ["n1", "n2"]
    assert {server.cluster for server in servers} == {"mesh"}


def test_pushed_accounts_are_on_every_server(live: Live) -> None:
    for name in ("P1", "P2", "P3"):
        live.run_ok("account", "create", name)
    store = live.workspace.store
    tokens = {
        store.account("DEMO", name).claims.subject: store.account("DEMO", name).token for name in ("P1", "P2", "P3")
    }

    async def ask(mesh: Mesh) -> None:
        report = await mesh.push(tokens.values())
        assert report.complete
        assert [set(delivery.rulings) for delivery in report.deliveries] == [
            {server.id for server in await mesh.servers()}
        ] * 3
        for server in await mesh.servers():
            assert (await mesh.listed(server) or frozenset()) >= set(tokens)
        contents = await mesh.pack() or {}
        assert tokens.items() <= contents.items()
        assert await mesh.pack(equal_to=pack_hash(contents.values())) is None
        assert await mesh.pack(equal_to=pack_hash(["other"])) == contents
        for account, token in tokens.items():
            assert await mesh.copies(account) == [token, token]

    live.ask(ask)


def test_a_server_refuses_what_is_no_account(live: Live) -> None:
    async def ask(mesh: Mesh) -> None:
        report = await mesh.push(["no.token"])
        assert not report.complete
        assert len(report.refusals()) == 2
        assert "expected 3 chunks" in report.refusals()[0][1].message

    live.ask(ask, Errand.PUSH)


def test_connections_are_shown_with_their_users(live: Live) -> None:
    async def ask(mesh: Mesh) -> None:
        store = live.workspace.store
        team = store.account("DEMO", "TEAM").claims.subject
        assert (await mesh.push([store.account("DEMO", "TEAM").token])).complete
        async with live.client("TEAM", "alice", node=1, name="shop") as connected:
            await connected.flush()
            (found,) = await mesh.connections(team)
            assert (found.user_name, found.name, found.server.name) == ("alice", "shop", "n2")
            assert found.user == store.user("DEMO", "TEAM", "alice").claims.subject
            assert found.issuer == store.user("DEMO", "TEAM", "alice").claims.issuer

    live.ask(ask)


def test_the_temporary_user_may_only_do_its_errand(live: Live) -> None:
    async def ask(mesh: Mesh) -> None:
        mesh.timeout_s = 1.0
        await mesh.pack()

    with pytest.raises(Failure, match=r"(?i)permissions violation"):
        live.ask(ask, Errand.PUSH)


def test_the_temporary_user_is_short_lived_and_signed_as_the_operator_wants(live: Live) -> None:
    workspace = live.workspace
    operator = workspace.store.operator("DEMO").claims
    system = workspace.store.account("DEMO", "SYS").claims
    claims = temporary_visitor(workspace.keystore, operator, system, [Errand.PUSH], now=1000).credentials.claims
    assert (claims.issued_at, claims.expires) == (1000, 1000 + LIFETIME_S)
    assert LIFETIME_S <= 120
    assert "$SYS.REQ.CLAIMS.UPDATE" in claims.grant.publish.allow
    assert not any(subject.startswith("$SYS.REQ.CLAIMS.DELETE") for subject in claims.grant.publish.allow)
    (inbox,) = claims.grant.subscribe.allow
    assert inbox.startswith("_INBOX.")
    assert inbox != "_INBOX.>"
    assert claims.issuer == system.subject
    live.run_ok("operator", "edit", "--require-signing-keys")
    strict = live.workspace.store.operator("DEMO").claims
    claims = temporary_visitor(workspace.keystore, strict, system, [Errand.PUSH], now=1000).credentials.claims
    assert claims.issuer in system.signing_key_texts
    assert claims.issuer_account == system.subject


def test_no_mesh_there(live: Live) -> None:
    async def ask(mesh: Mesh) -> None:
        raise AssertionError("connected to nothing")

    with pytest.raises(Failure, match="cannot reach") as caught:
        live.ask(ask, url="nats://127.0.0.1:1")
    assert caught.value.exit_code is ExitCode.FAILURE
