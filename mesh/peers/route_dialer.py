"""Dialer and scheduler for a real event loop (see ``route_world.py``)."""

import asyncio
import contextlib
import hmac
import os
import socket
from collections.abc import Callable, Coroutine
from typing import Any, Final

import bcrypt

from gossamer.mesh.peers.route_settings import is_hash
from gossamer.mesh.peers.route_world import DialOutcome, Timer
from gossamer.mesh.world import Randomness

#: A connect that takes longer counts as failed (spec routes 13).
CONNECT_TIMEOUT_SECONDS: Final = 1.0


class LoopScheduler:
    """Time and timers of an event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop

    def now_ns(self) -> int:
        return int(self._loop.time() * 1_000_000_000)

    def call_later(self, delay_ns: int, callback: Callable[[], None]) -> Timer:
        return self._loop.call_later(delay_ns / 1_000_000_000, callback)


class LoopDialer:
    """Connects by the loop, resolves and hashes in its threads. ``timeout_seconds`` is for tests."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        randomness: Randomness,
        *,
        timeout_seconds: float = CONNECT_TIMEOUT_SECONDS,
    ) -> None:
        self._loop = loop
        self._randomness = randomness
        self._timeout_seconds = timeout_seconds
        self._tasks: set[asyncio.Task[None]] = set()

    def dial(
        self, host: str, port: int, excluded: frozenset[tuple[str, int]], done: Callable[[DialOutcome], None]
    ) -> Timer:
        return self._start(self._dial(host, port, excluded, done))

    def verify_password(self, given: str, expected: str, done: Callable[[bool], None]) -> Timer:
        return self._start(self._verify(given, expected, done))

    def _start(self, work: Coroutine[Any, Any, None]) -> Timer:
        task = self._loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return _TaskTimer(task)

    async def _dial(
        self, host: str, port: int, excluded: frozenset[tuple[str, int]], done: Callable[[DialOutcome], None]
    ) -> None:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                family, address = await self._resolve(host, port, excluded)
                descriptor = await self._connect(family, address)
        except TimeoutError:
            outcome = DialOutcome(-1, host, port, "connect timed out")
        except OSError as error:
            outcome = DialOutcome(-1, host, port, _reason(error))
        except ValueError as error:  # a host that no name can look like (the codec's UnicodeError is one too)
            outcome = DialOutcome(-1, host, port, f"not a host: {error}")
        else:
            outcome = DialOutcome(descriptor, str(address[0]), int(address[1]))
        done(outcome)

    async def _resolve(self, host: str, port: int, excluded: frozenset[tuple[str, int]]) -> tuple[int, tuple[Any, ...]]:
        """One of the host's addresses at random: a name may stand for many nodes."""
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        usable = [(family, address) for family, _, _, _, address in found if (address[0], port) not in excluded]
        if not usable:
            raise OSError("the name leads only to this node")
        return usable[self._randomness.below(len(usable))]

    async def _connect(self, family: int, address: tuple[Any, ...]) -> int:
        made = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await self._loop.sock_connect(made, address)
        except BaseException:  # cancellation included: nobody else knows of the socket
            made.close()
            raise
        return made.detach()

    async def _verify(self, given: str, expected: str, done: Callable[[bool], None]) -> None:
        if is_hash(expected):
            right = await self._loop.run_in_executor(None, _matches_hash, given, expected)
        else:
            await asyncio.sleep(0)  # never from inside the call
            right = hmac.compare_digest(given.encode(), expected.encode())
        done(right)


class _TaskTimer:
    """Cancels a task. A descriptor that it had in hand is closed by it."""

    def __init__(self, task: asyncio.Task[None]) -> None:
        self._task = task

    def cancel(self) -> None:
        self._task.cancel()


def _matches_hash(given: str, expected: str) -> bool:
    with contextlib.suppress(ValueError):
        return bcrypt.checkpw(given.encode()[:72], expected.encode())
    return False


def _reason(error: OSError) -> str:
    if isinstance(error, socket.gaierror):
        return f"cannot resolve: {error.strerror}"
    return os.strerror(error.errno) if error.errno else str(error)
