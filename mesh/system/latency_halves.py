"""The two halves of a service's latency, when requestor and responder are at different servers (spec
system-and-monitoring section 8.4).

The requestor's server knows when the request went out and the answer came back; the responder's server, who answered
and how long that took, and tells it on ``$SYS.LATENCY.M2.<hash of the requestor's server>``. Which one is known first
is chance. A sample whose other half does not come within two seconds goes out without it; nats-server would never tell
of it.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

#: How long either half is kept for the other one.
PATIENCE_S = 2.0
#: Of each kind; beyond it the oldest has to go.
KEPT_MAX = 10_000

Key = tuple[str, str]


class Half(Struct, frozen=True, kw_only=True):
    """What the responder's server measured. ``responder`` is the JSON of its ClientInfo, None when it told none."""

    service_ns: int
    rtt_ns: int
    responder: Any


class _Responder(Struct):
    rtt: int = 0


class _Measured(Struct):
    service: int = 0
    responder: Raw = Raw(b"null")


class _Told(Struct):
    account: str
    req_id: str
    m2: _Measured


_decode = msgspec.json.Decoder(_Told).decode
_decode_responder = msgspec.json.Decoder(_Responder).decode
_GATEWAY_PREFIX, _GATEWAY_PREFIX_SIZE = "_GR_.", 19


def read_half(text: bytes) -> tuple[Key, Half]:
    """What a server told: the account and reply that it is about, and its half. Raises msgspec.DecodeError (its
    subclass ValidationError when fields are not what they should be)."""
    told = _decode(text)
    name, responder, rtt_ns = told.req_id, None, 0
    if name.startswith(_GATEWAY_PREFIX):
        name = name[_GATEWAY_PREFIX_SIZE:]
    if bytes(told.m2.responder) != b"null":
        responder = told.m2.responder.copy()  # its own bytes: it may be kept for a while
        rtt_ns = max(0, _decode_responder(responder).rtt)
    return (told.account, name), Half(service_ns=max(0, told.m2.service), rtt_ns=rtt_ns, responder=responder)


def write_half(key: Key, half: Half, start: str) -> dict[str, Any]:
    """The same as nats-server says it; ``start`` is when the responder was given the request, as text."""
    return {
        "account": key[0],
        "req_id": key[1],
        "m2": {
            "type": "",
            "id": "",
            "timestamp": "0001-01-01T00:00:00Z",
            "status": 200,
            "responder": half.responder,
            "start": start,
            "service": half.service_ns,
            "system": 0,
            "total": half.service_ns + half.rtt_ns,
        },
    }


class LatencyHalves:
    """``sample`` and ``half`` as they come, in any order; ``stop`` when the node ends."""

    def __init__(self) -> None:
        self._samples: dict[Key, tuple[float, Callable[[Half | None], None]]] = {}
        self._early: dict[Key, tuple[float, Half]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def sample(self, key: Key, finish: Callable[[Half | None], None]) -> None:
        """An answer has come: ``finish`` is called with the other half, or with None if that does not come."""
        early = self._early.pop(key, None)
        if early is not None:
            finish(early[1])
            return
        if len(self._samples) >= KEPT_MAX:
            self._give_up(next(iter(self._samples)))
        self._samples[key] = (self._due_s(), finish)
        self._arm()

    def half(self, key: Key, half: Half) -> None:
        """A server told its half."""
        waiting = self._samples.pop(key, None)
        if waiting is not None:
            waiting[1](half)
            return
        if len(self._early) >= KEPT_MAX:
            del self._early[next(iter(self._early))]
        self._early[key] = (self._due_s(), half)
        self._arm()

    def stop(self) -> None:
        """Nothing is waited for any more."""
        self._samples.clear()
        self._early.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self, key: Key) -> None:
        self._samples.pop(key)[1](None)

    def _due_s(self) -> float:
        return asyncio.get_running_loop().time() + PATIENCE_S

    def _arm(self) -> None:
        """One timer, for what is due first."""
        if self._timer is not None:
            return
        first = [next(iter(kept.values()))[0] for kept in (self._samples, self._early) if kept]
        if first:
            self._timer = asyncio.get_running_loop().call_at(min(first), self._look)

    def _look(self) -> None:
        self._timer = None
        now_s = asyncio.get_running_loop().time()
        for key in _past(self._samples, now_s):
            self._give_up(key)
        for key in _past(self._early, now_s):
            del self._early[key]
        self._arm()


def _past(kept: dict[Key, tuple[float, Any]], now_s: float) -> list[Key]:
    """They lie in the order in which they came."""
    found = []
    for key, (due_s, _) in kept.items():
        if due_s > now_s:
            break
        found.append(key)
    return found
