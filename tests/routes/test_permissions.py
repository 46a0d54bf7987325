"""``cluster { permissions { import, export } }``: what interest crosses a route (spec routes 15).

Both servers, each with a peer driven by hand; then one of ours in a cluster with a nats-server.
"""

from pathlib import Path

import pytest
from route_peer import info
from route_real import until
from route_target import Target, both, run, settle

from gossamer.auth.permissions import Permissions, SubjectPermissions

EVERYTHING = Permissions()


def permissions(*, imports: tuple[str, ...] = (), exports: tuple[str, ...] = ()) -> Permissions:
    """Allow lists; one that is empty allows everything."""
    return Permissions(
        publish=SubjectPermissions(allow=imports or None), subscribe=SubjectPermissions(allow=exports or None)
    )


RESTRICTED = permissions(imports=("imp.>", "both.>"), exports=("exp.>", "both.>"))


@both
def test_info_says_them(tmp_path: Path, kind: str) -> None:
    """In the listener's INFO, in the form that was captured from nats-server."""

    async def scene(target: Target) -> None:
        peer = await target.visit()
        await until(lambda: bool(peer.infos), lambda: peer.lines)
        said = peer.infos[0]
        assert said["import"] == {"allow": ["imp.>", "both.>"]}
        assert said["export"] == {"allow": ["exp.>", "both.>"]}
        assert target.routez()["import"] == {"allow": ["imp.>", "both.>"]}
        assert target.routez()["export"] == {"allow": ["exp.>", "both.>"]}

    run(kind, tmp_path, scene, permissions=RESTRICTED)


@both
def test_info_does_not_speak_of_what_is_not_restricted(tmp_path: Path, kind: str) -> None:
    async def scene(target: Target) -> None:
        peer = await target.visit()
        await until(lambda: bool(peer.infos), lambda: peer.lines)
        assert "import" not in peer.infos[0]
        assert peer.infos[0]["export"] == {"deny": ["x"]}

    run(kind, tmp_path, scene, permissions=Permissions(subscribe=SubjectPermissions(deny=("x",))))


@both
def test_only_what_may_be_imported_is_told(tmp_path: Path, kind: str) -> None:
    """At registration, and when somebody subscribes later."""

    async def scene(target: Target) -> None:
        client = await target.client()
        for subject in ("imp.x", "exp.x", "both.x", "other.x"):
            await client.subscribe(subject)
        await client.flush()
        peer = await target.join()
        assert set(peer.interest) == {b"RS+ $G imp.x", b"RS+ $G both.x"}
        await client.subscribe("imp.*", queue="q")
        late = await client.subscribe("other.*")
        await client.subscribe(">")
        await settle(client, peer)
        assert peer.interest == [b"RS+ $G imp.* q 1"]
        await late.unsubscribe()
        await settle(client, peer)
        assert peer.interest == []

    run(kind, tmp_path, scene, permissions=RESTRICTED)


@both
def test_only_what_may_be_exported_is_kept(tmp_path: Path, kind: str) -> None:
    """Messages are not looked at when they come: what arrives is delivered."""

    async def scene(target: Target) -> None:
        client, peer = await target.client(), await target.join()
        heard = await client.subscribe("other.y")
        await client.flush()
        peer.say(*(b"RS+ $G %s" % each for each in (b"imp.x", b"exp.x", b"both.x", b"other.x", b">")))
        peer.say(b"RS+ $G other.q q 1", b"RMSG $G other.y 2", b"hi")
        await peer.sync()
        assert (await heard.next_msg(timeout=5)).data == b"hi"
        for subject in ("imp.x", "exp.x", "both.x", "other.x", "other.q"):
            await client.publish(subject, b"1")
        await settle(client, peer)
        assert sorted(peer.messages) == [(b"RMSG $G both.x 1", b"1"), (b"RMSG $G exp.x 1", b"1")]

    run(kind, tmp_path, scene, permissions=RESTRICTED)


@both
def test_the_others_may_export_more_than_before(tmp_path: Path, kind: str) -> None:
    """A peer throws away what it may not export: when its INFO says something else, it is told again."""

    async def scene(target: Target) -> None:
        client = await target.client()
        await client.subscribe("a.x")
        await client.subscribe("b.x")
        await client.flush()
        whoami: dict[str, object] = {"server_id": "NPEER", "server_name": "peer", "route_pool_size": 1, "port": 1}
        peer = await target.join(export={"allow": ["a.>"]})
        assert set(peer.interest) == {b"RS+ $G a.x", b"RS+ $G b.x"}  # a sender does not judge for the receiver
        row = target.routez()["routes"][0]
        assert row["export"] == {"allow": ["a.>"]}
        assert "import" not in row
        peer.say(info(**whoami, export={"allow": ["a.>", "b.>"]}))
        await peer.sync()
        await until(lambda: b"RS+ $G b.x" in [line for line, _ in peer.lines], lambda: peer.lines)
        assert target.routez()["routes"][0]["export"] == {"allow": ["a.>", "b.>"]}
        peer.say(info(**whoami, **{"import": {"deny": ["c"]}}))
        await peer.sync()
        row = target.routez()["routes"][0]
        assert row["import"] == {"deny": ["c"]}
        assert "export" not in row

    run(kind, tmp_path, scene)


@both
def test_other_permissions_by_a_reload(tmp_path: Path, kind: str) -> None:
    """The route stays; what may cross no longer is withdrawn and forgotten, what may cross now is told."""

    async def scene(target: Target) -> None:
        client, peer = await target.client(), await target.join()
        await client.subscribe("a.x")
        await client.subscribe("b.x")
        peer.say(b"RS+ $G a.y", b"RS+ $G b.y")
        await settle(client, peer)
        assert set(peer.interest) == {b"RS+ $G a.x", b"RS+ $G b.x"}
        before = len(peer.infos)
        await target.reload(permissions=permissions(imports=("a.>",), exports=("a.>",)))
        await until(lambda: len(peer.infos) > before, lambda: peer.lines)
        await settle(client, peer)
        assert peer.infos[-1]["import"] == peer.infos[-1]["export"] == {"allow": ["a.>"]}
        assert b"RS- $G b.x" in (told := peer.interest)
        assert b"RS- $G a.x" not in told
        for subject in ("a.y", "b.y"):
            await client.publish(subject, b"1")
        await settle(client, peer)
        assert peer.messages == [(b"RMSG $G a.y 1", b"1")]

        before = len(peer.infos)
        await target.reload(permissions=EVERYTHING)
        await until(lambda: len(peer.infos) > before, lambda: peer.lines)
        await settle(client, peer)
        assert "import" not in peer.infos[-1]
        assert b"RS+ $G b.x" in peer.interest
        peer.say(b"RS+ $G b.y")  # a peer says it again, since we may export it now
        await peer.sync()
        await client.publish("b.y", b"2")
        await settle(client, peer)
        assert peer.messages == [(b"RMSG $G b.y 1", b"2")]
        assert not peer.closed

    run(kind, tmp_path, scene)


@pytest.mark.parametrize("restricted", ["ours", "real"])
def test_in_a_cluster_with_nats_server(tmp_path: Path, restricted: str) -> None:
    """One member is restricted, the other is not, as captured between two nats-servers; then the restriction goes."""

    async def scene(ours: Target) -> None:
        async with Target("real", tmp_path, dials=(ours.route_port,), name="T") as real:
            targets = {"ours": ours, "real": real}
            tied, free = targets[restricted], targets["real" if restricted == "ours" else "ours"]
            await tied.reload(permissions=RESTRICTED)
            await until(lambda: len(ours.routez()["routes"]) == 2 == len(real.routez()["routes"]), real.routez)
            subjects = ("imp.x", "exp.x", "both.x", "other.x")
            heard: dict[str, list[tuple[str, bytes]]] = {"tied": [], "free": []}
            clients = {"tied": await tied.client(), "free": await free.client()}

            async def listen(name: str) -> None:
                async def hear(message: object) -> None:
                    heard[name].append((message.subject, message.data))  # type: ignore[attr-defined]

                for subject in (*subjects, f"imp.{name}", f"exp.{name}"):
                    await clients[name].subscribe(subject, cb=hear)
                await clients[name].flush()

            async def cross(round_: bytes, from_tied: set[str], from_free: set[str]) -> None:
                """Each side publishes everything; the other hears just that."""

                async def once() -> bool:
                    for each in heard.values():
                        each.clear()
                    for name, client in clients.items():
                        for subject in subjects:
                            await client.publish(subject, name.encode() + round_)
                        await client.flush()
                    # The last word of each, on a subject that crosses the restriction: all before it has come.
                    await clients["tied"].publish("exp.free", round_)
                    await clients["free"].publish("imp.tied", round_)
                    for name, subject in (("tied", "imp.tied"), ("free", "exp.free")):
                        await until(lambda name=name, subject=subject: (subject, round_) in heard[name], lambda: heard)
                    return {subject for subject, data in heard["free"] if data == b"tied" + round_} == from_tied and {
                        subject for subject, data in heard["tied"] if data == b"free" + round_
                    } == from_free

                for _ in range(100):
                    if await once():
                        return
                raise AssertionError(heard)

            for name in clients:
                await listen(name)
            await reached(clients["tied"], "exp.free", heard["free"])
            await reached(clients["free"], "imp.tied", heard["tied"])
            await cross(b"1", {"exp.x", "both.x"}, {"imp.x", "both.x"})
            await tied.reload(permissions=EVERYTHING)
            await cross(b"2", set(subjects), set(subjects))
            assert len(ours.routez()["routes"]) == 2

    run("ours", tmp_path, scene)


async def reached(client: object, subject: str, heard: list[tuple[str, bytes]]) -> None:
    """Interest has come so far."""
    for _ in range(500):
        if (subject, b"first") in heard:
            return
        await client.publish(subject, b"first")  # type: ignore[attr-defined]
        await client.flush()  # type: ignore[attr-defined]
    raise AssertionError(f"{subject} is not heard")
