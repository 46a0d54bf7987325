"""Routes that take what they are sent slowly, or not at all (spec routes 14)."""

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest
from route_peer import connect, info
from route_real import until
from route_target import SECOND_NS, Target, both, run

DEADLINE_S = 0.5
TAKEN_AT_ONCE = 1 << 16  # bytes, twelve times in a deadline


class SlowPeer:
    """A route peer that wants more than the sockets between can hold, and takes it by hand."""

    def __init__(self, port: int) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)  # so that it soon makes room again
        self._socket.settimeout(5)
        self._socket.connect(("127.0.0.1", port))
        self._socket.sendall(
            b"\r\n".join((connect(), info(route_pool_size=1, port=1), b"RS+ $G flood", b"PING")) + b"\r\n"
        )
        answered = b""
        while b"PONG" not in answered:
            answered += self._socket.recv(1 << 16)
        self._socket.setblocking(False)

    def take(self) -> bool:
        """What is there; False: the other side has closed."""
        try:
            left = TAKEN_AT_ONCE
            while left:
                taken = len(self._socket.recv(left))
                if not taken:
                    return False
                left -= taken
            return True
        except BlockingIOError:
            return True
        except ConnectionError:
            return False

    def close(self) -> None:
        self._socket.close()


async def met(target: Target, stack: ExitStack) -> SlowPeer:
    peer = await asyncio.to_thread(SlowPeer, target.route_port)
    stack.callback(peer.close)
    return peer


async def flood(target: Target) -> None:
    client = await target.client()
    for _ in range(30):
        await client.publish("flood", b"x" * 900_000)


def has_route(target: Target) -> bool:
    return bool(target.routez()["routes"])


@both
def test_who_reads_nothing_is_closed(tmp_path: Path, kind: str) -> None:
    """With the policy that routes have by default: one deadline in which nothing at all was taken."""

    async def scene(target: Target) -> None:
        with ExitStack() as stack:
            await met(target, stack)
            assert has_route(target)
            await flood(target)
            await until(lambda: not has_route(target), target.routez, 10 * DEADLINE_S + 3)

    run(kind, tmp_path, scene, write_deadline_ns=int(DEADLINE_S * SECOND_NS))


@both
@pytest.mark.parametrize("policy", ["retry", "close"])
def test_who_reads_slowly_is_kept_unless_said_otherwise(tmp_path: Path, kind: str, policy: str) -> None:
    async def scene(target: Target) -> None:
        with ExitStack() as stack:
            peer = await met(target, stack)
            flooding = asyncio.create_task(flood(target))
            end = asyncio.get_running_loop().time() + 5 * DEADLINE_S
            kept = True
            while kept and asyncio.get_running_loop().time() < end:  # about 4 MB of 27
                kept = peer.take()
                await asyncio.sleep(DEADLINE_S / 12)  # what is slow here is the peer
            await flooding
            if policy == "retry":
                assert has_route(target)
            else:
                await until(lambda: not has_route(target), target.routez, 3)

    run(kind, tmp_path, scene, write_deadline_ns=int(DEADLINE_S * SECOND_NS), write_timeout=policy)
