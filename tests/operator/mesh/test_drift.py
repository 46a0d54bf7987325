"""``gossamer drift``: every class of difference, on the server that has it (spec operator-cli checklist 53, 54)."""

import time
from pathlib import Path
from typing import Any

from msgspec import structs

from gossamer.auth.claims import AccountClaims, Import
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.mesh.testing.process import ServerProcess
from gossamer.operator.commands.drift import desired_accounts
from gossamer.operator.failure import ExitCode
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.drift import DriftReport, compare_token, find_drift
from gossamer.operator.mesh.testing import Live, start_mesh

ACCOUNTS = ("SAME", "MISSING", "OLDER", "NEWER", "DIFFERENT", "UNTRUSTED", "SHORT")


def signed(live: Live, account: str, *, issued_at: int, signer: KeyPair | None = None, **changes: Any) -> str:
    """Another version of an account of the store."""
    claims = structs.replace(live.workspace.store.account("DEMO", account).claims, **changes)
    return encode(claims, signer or operator_key(live), issued_at=issued_at)


def operator_key(live: Live) -> KeyPair:
    workspace = live.workspace
    pair = workspace.keystore.signer(workspace.store.operator("DEMO").claims.subject)
    assert pair is not None
    return pair


def put(live: Live, account: str, token: str) -> None:
    live.workspace.store.account_path("DEMO", account).write_text(token)


def issued(live: Live, account: str) -> int:
    return live.workspace.store.account("DEMO", account).claims.issued_at


def test_nothing_differs_and_only_hashes_are_exchanged(own_live: Live) -> None:
    live = own_live
    live.run_ok("push", "-A", "--url", live.url)
    answer = live.run_ok("drift", "--url", live.url, "--json")
    assert answer.data["drift"] is False
    assert [entry["looked_at"] for entry in answer.data["servers"]] == ["hash", "hash"]

    async def ask(mesh: Mesh) -> list[str]:
        await find_drift(mesh, desired_accounts(live.workspace), now=time.time())
        return mesh.asked

    assert set(live.ask(ask)) == {"$SYS.REQ.CLAIMS.PACK", "$SYS.REQ.SERVER.PING"}
    thorough = live.run_ok("drift", "--url", live.url, "--json", "--thorough")
    assert [entry["looked_at"] for entry in thorough.data["servers"]] == ["lookup", "lookup"]


def test_with_one_server_it_is_one_exchange(server_kind: type[ServerProcess], tmp_path: Path) -> None:
    live = start_mesh(tmp_path, server_kind, size=1)
    try:
        live.run_ok("push", "-A", "--url", live.url)

        async def ask(mesh: Mesh) -> list[str]:
            await find_drift(mesh, desired_accounts(live.workspace), now=time.time())
            return mesh.asked

        assert live.ask(ask) == ["$SYS.REQ.SERVER.PING", "$SYS.REQ.CLAIMS.PACK"]
    finally:
        live.cluster.stop()


def test_every_class_is_found_on_the_server_that_has_it(own_live: Live) -> None:
    live = own_live
    for name in ACCOUNTS:
        live.run_ok("account", "create", name, "--conns", "5")
    live.run_ok("push", "-A", "--url", live.url)
    tokens = {name: live.token(name) for name in (*ACCOUNTS, "TEAM", "SYS")}
    stranger = KeyPair.generate(KeyKind.OPERATOR)
    extra = KeyPair.generate(KeyKind.ACCOUNT)
    second = live.cluster.nodes[1]
    second.stop()
    folder = second.folder / "jwt"
    path = {name: folder / f"{live.key(name)}.jwt" for name in ACCOUNTS}
    assert all(entry.is_file() for entry in path.values())
    path["MISSING"].unlink()
    path["OLDER"].write_text(signed(live, "OLDER", issued_at=issued(live, "OLDER") - 5, description="old"))
    path["NEWER"].write_text(signed(live, "NEWER", issued_at=issued(live, "NEWER") + 5))
    limits = structs.replace(live.workspace.store.account("DEMO", "DIFFERENT").claims.limits, connections=6)
    path["DIFFERENT"].write_text(signed(live, "DIFFERENT", issued_at=issued(live, "DIFFERENT"), limits=limits))
    path["UNTRUSTED"].write_text(signed(live, "UNTRUSTED", issued_at=issued(live, "UNTRUSTED"), signer=stranger))
    (folder / f"{extra.public}.jwt").write_text(
        encode(AccountClaims(name="EXTRA", subject=extra.public), operator_key(live), issued_at=int(time.time()))
    )
    second.restart()
    live.cluster.wait_until_whole()
    answer = live.run("drift", "--url", live.url, "--json")
    assert answer.code == ExitCode.DRIFT
    found = {(entry["kind"], entry["name"]): entry for entry in answer.data["findings"]}
    assert found.keys() == {
        ("missing", "MISSING"),
        ("extra", "EXTRA"),
        ("older", "OLDER"),
        ("different", "OLDER"),
        ("newer", "NEWER"),
        ("different", "DIFFERENT"),
        ("different", "UNTRUSTED"),
        ("untrusted", "UNTRUSTED"),
    }
    for kind in (("missing", "MISSING"), ("extra", "EXTRA")):
        assert (found[kind]["servers"], found[kind]["certain"]) == (["n2"], True)
    # Nobody has loaded these: that one of the two has another token is all that servers tell.
    assert (found["older", "OLDER"]["servers"], found["older", "OLDER"]["certain"]) == (["n1", "n2"], False)
    fields = {entry["name"]: entry["fields"] for entry in answer.data["findings"] if entry["kind"] == "different"}
    assert fields["DIFFERENT"] == [{"path": "nats.limits.conn", "store": 5, "server": 6}]
    assert fields["OLDER"] == [{"path": "nats.description", "store": None, "server": "old"}]
    live.run_ok("user", "create", "probe", "-a", "DIFFERENT")

    async def ask(mesh: Mesh) -> DriftReport:
        async with live.client("DIFFERENT", "probe", node=1) as client:
            await client.flush()
            return await find_drift(mesh, desired_accounts(live.workspace), now=time.time())

    report = live.ask(ask)
    (different,) = [entry for entry in report.findings if entry.name == "DIFFERENT" and entry.kind == "different"]
    assert (different.place, different.certain) == ("n2", True)
    assert tokens["SAME"] == path["SAME"].read_text()


def test_expired_accounts_are_found(live: Live) -> None:
    live.run_ok("account", "create", "SHORT", "--expiry", "1h")
    live.run_ok("push", "-a", "SHORT", "--url", live.url)

    async def ask(mesh: Mesh) -> DriftReport:
        return await find_drift(mesh, desired_accounts(live.workspace), now=time.time() + 7200, incomplete=False)

    report = live.ask(ask)
    assert {(entry.servers, entry.name) for entry in report.findings if entry.kind == "expired"} == {
        (("n1", "n2"), "SHORT")
    }


def test_accounts_that_a_server_cannot_build_are_found(own_live: Live) -> None:
    live = own_live
    nobody = KeyPair.generate(KeyKind.ACCOUNT).public
    wanted = Import(name="lost", subject="lost.>", account=nobody, type="stream")
    put(live, "TEAM", signed(live, "TEAM", issued_at=issued(live, "TEAM") + 1, imports=(wanted,)))
    live.run_ok("push", "-A", "--url", live.url)

    async def ask(mesh: Mesh) -> DriftReport:
        async with live.client("TEAM", "alice") as client:
            await client.flush()
            return await find_drift(mesh, desired_accounts(live.workspace), now=time.time())

    report = live.ask(ask)
    assert ("n1", "incomplete", "TEAM") in {(entry.place, entry.kind, entry.name) for entry in report.findings}


def test_an_edit_that_was_not_pushed_is_older_everywhere(own_live: Live) -> None:
    live = own_live
    live.run_ok("account", "create", "SEEN")
    live.run_ok("push", "-A", "--url", live.url)
    live.run_ok("account", "edit", "SEEN", "--conns", "3")
    live.run_ok("account", "create", "UNSEEN")
    answer = live.run("drift", "--url", live.url, "--json")
    found = {(*entry["servers"], entry["kind"], entry["name"], entry["certain"]) for entry in answer.data["findings"]}
    assert found == {
        ("n1", "n2", "older", "SEEN", True),
        ("n1", "n2", "different", "SEEN", True),
        ("n1", "n2", "missing", "UNSEEN", True),
    }


def test_watching_looks_again(own_live: Live) -> None:
    live = own_live
    live.run_ok("push", "-A", "--url", live.url)
    answer = live.run_ok("drift", "--url", live.url, "--watch", "0.05", "--rounds", "3")
    assert answer.out.count("2 servers have what the store has") == 3


def test_a_token_that_cannot_be_read_is_a_finding(live: Live) -> None:
    desired = desired_accounts(live.workspace)
    stored = desired.accounts[live.key("TEAM")]
    assert compare_token(("x",), True, desired.operator, stored, stored.token, 0) == []
    (found,) = compare_token(("x",), True, desired.operator, stored, "no.token.here", 0)
    assert (found.kind, found.name) == ("unreadable", "TEAM")
