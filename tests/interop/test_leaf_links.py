"""Leaf links between both kinds of server: how they compress, and what a leaf's user may do."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import nats
import pytest
from meshes import Mesh
from nats.aio.msg import Msg
from pairings import leafs
from traffic import Crowd, Listener, all_hear, headers_and_large_payloads, heard, plain_messages, until

from gossamer.mesh.testing.process import NatsServerProcess

pytestmark = [
    pytest.mark.skipif(not os.environ.get("WHOLE_TOURS"), reason="WHOLE_TOURS=1 (make interop) takes these as well"),
    pytest.mark.skipif(bool(NatsServerProcess.missing()), reason=str(NatsServerProcess.missing())),
]
#: It goes by the round-trip time; with these thresholds it is uncompressed here on the busiest machine.
AUTO = "{mode: s2_auto, rtt_thresholds: [20s, 40s, 60s]}"
#: The hub's word, the leaf's word, and what each does (spec leafnodes 5.1).
MODES = {
    ("off", "off"): ("off", "off"),
    ("off", "s2_best"): ("off", "off"),
    ("s2_auto", "off"): ("off", "off"),
    ("accept", "accept"): ("off", "off"),
    ("accept", "s2_auto"): ("s2_fast", "s2_uncompressed"),
    ("s2_auto", "accept"): ("s2_uncompressed", "s2_fast"),
    ("accept", "s2_better"): ("s2_better", "s2_better"),
    ("s2_best", "accept"): ("s2_best", "s2_best"),
    ("s2_auto", "s2_auto"): ("s2_uncompressed", "s2_uncompressed"),
    ("s2_fast", "s2_fast"): ("s2_fast", "s2_fast"),
    ("s2_fast", "s2_best"): ("s2_fast", "s2_best"),
    ("s2_better", "s2_auto"): ("s2_better", "s2_uncompressed"),
    ("s2_better", "s2_better"): ("s2_better", "s2_better"),
    ("s2_best", "s2_best"): ("s2_best", "s2_best"),
    ("s2_auto", "s2_better"): ("s2_uncompressed", "s2_better"),
}
PERMISSIONS = """, permissions: {
  publish: { allow: ["up.>", "_INBOX.>", "probe.>"], deny: ["up.secret.>"] }
  subscribe: { allow: ["down.>", "_INBOX.>", "probe.>", "wide.*"], deny: ["down.secret.>", "wide.secret"] }
}"""
KINDS = pytest.mark.parametrize("kinds", ["OR", "RO", "OO"])


@contextmanager
def running(folder: Path, kinds: str, **how: Any) -> Iterator[Mesh]:
    """A hub and its leaf."""
    mesh = Mesh(folder, leafs(*kinds), **how)
    try:
        mesh.start()
        yield mesh
    finally:
        mesh.stop()


@KINDS
@pytest.mark.parametrize("words", MODES, ids="-".join)
async def test_compression(tmp_path: Path, kinds: str, words: tuple[str, str]) -> None:
    said = {
        name: f"compression: {AUTO if word == 's2_auto' else word}"
        for name, word in zip(("L1", "L2"), words, strict=True)
    }
    with running(tmp_path, kinds, leaf_words=said) as mesh:
        for name, mode in zip(("L1", "L2"), MODES[words], strict=True):
            rows = mesh.nodes[name].server.monitor("/leafz")["leafs"]
            assert [row["compression"] for row in rows] == [mode, mode], name
        await plain_messages(mesh)
        await headers_and_large_payloads(mesh)


async def pass_on(
    listener: Listener, publisher: nats.NATS, refused: Sequence[str], allowed: Sequence[str], name: str
) -> None:
    """What is refused is not heard, and what is allowed is, though it was published later."""
    for position, subject in enumerate([*refused, *allowed]):
        await publisher.publish(subject, f"{name} {position}".encode())
    await publisher.flush()
    await until(lambda: len(listener.got) >= len(allowed), lambda: listener.got)
    assert [message.subject for message in listener.messages] == list(allowed)


@KINDS
async def test_permissions(tmp_path: Path, kinds: str) -> None:
    """Both sides keep to what the leaf's user may do: interest and messages, up and down, and requests."""
    with running(tmp_path, kinds, permissions=PERMISSIONS) as mesh:
        async with Crowd(mesh) as crowd:
            clients = await crowd.everywhere()
            hub, leaf = clients["L1"], clients["L2"]
            above = {"L1": await Listener().on(hub, ">")}
            await heard(above, {"L2": leaf}, lambda name: "up.probe")
            await pass_on(above["L1"], leaf, ["other.x", "up.secret.x", "down.x"], ["up.x", "up.y.z"], "L2")
            below = {"L2": await Listener().on(leaf, "down.>")}
            closed = [await Listener().on(leaf, each) for each in ("other.>", "down.secret.>", "wide.secret")]
            wide = {"L2": await Listener().on(leaf, "wide.*")}
            await heard(below, {"L1": hub}, lambda name: "down.probe")
            await heard(wide, {"L1": hub}, lambda name: "wide.probe")
            await pass_on(below["L2"], hub, ["other.x", "down.secret.x"], ["down.x", "down.y"], "L1")
            await pass_on(wide["L2"], hub, ["wide.secret"], ["wide.a"], "L1")
            assert [each.got for each in closed] == [[], [], []]
            await hub.subscribe("up.ask", cb=_answer)
            await leaf.subscribe("down.ask", cb=_answer)
            await all_hear(crowd, clients)
            assert (await leaf.request("up.ask", b"", timeout=5)).data == b"answer"
            assert (await hub.request("down.ask", b"", timeout=5)).data == b"answer"


async def _answer(message: Msg) -> None:
    if message.reply:
        await message.respond(b"answer")
