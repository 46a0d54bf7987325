"""The compiled engine as a simulated node holds it: whoever asks something of it wakes its driver.

In a process the engine runs by itself and wakes the control plane by a descriptor. Here ``collect`` takes its events
after a tick; the bytes of links in memory go to the network at once, everything else lies in the mailbox until the
control plane has its turn, which may be several ticks later, as it is with two threads.
"""

from collections.abc import Callable, Sequence
from typing import Any

from gossamer.mesh.engine.core import LINK_ID, NONCE, PEER_HOST, Engine
from gossamer.mesh.engine.events import Event, Output

#: Calls that leave work for the next tick.
_CALLS = (
    *(
        "account",
        "admit",
        "compress",
        "gateway_identity",
        "join_gateway",
        "join_leaf",
        "subscribe_loop_detection",
        "admit_route",
        "change",
        "close",
        "close_listener",
        "configure",
        "describe",
        "expire",
        "feed",
    ),
    *(
        "hold",
        "join_route",
        "latency_identity",
        "mapping",
        "open",
        "permissions",
        "ping",
        "publish",
        "remove_account",
        "remove_import",
    ),
    *("remove_permissions", "resume", "send", "service_import", "stream_import", "subscribe", "unsubscribe"),
)
#: A node that is given an engine counts placeholders from 0 (``Node._make_parts``).
_PLACES = (LINK_ID, PEER_HOST, NONCE)


def _nobody() -> None:
    pass


class SteppedEngine(Engine):
    """``wake`` is called whenever a tick is due because somebody asked for something."""

    wake: Callable[[], None] = staticmethod(_nobody)
    mailbox: list[Event]

    def set_info(self, listener: int, info: Sequence[bytes | int]) -> None:
        """``listen`` comes through here as well."""
        self.wake()
        super().set_info(listener, _placed(info))

    def collect(self) -> list[Output]:
        """What memory links have to send; other events go to the mailbox."""
        outputs: list[Output] = []
        for event in super().drain():
            if isinstance(event, Output):
                outputs.append(event)
            else:
                self.mailbox.append(event)
        return outputs

    def drain(self) -> list[Event]:
        """What the control plane has not seen yet."""
        events, self.mailbox = self.mailbox, []
        return events


def make_engine(seed: int | None) -> SteppedEngine:
    engine = SteppedEngine(seed=seed)
    engine.mailbox = []
    return engine


def _placed(info: Sequence[bytes | int]) -> list[bytes | int]:
    return [_PLACES[piece] if isinstance(piece, int) else piece for piece in info]


def _waking(name: str) -> Callable[..., Any]:
    original = getattr(Engine, name)

    def call(self: SteppedEngine, *positional: Any, **named: Any) -> Any:
        self.wake()
        return original(self, *positional, **named)

    call.__name__ = name
    return call


for _name in _CALLS:
    setattr(SteppedEngine, _name, _waking(_name))
