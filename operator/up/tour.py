"""The tour: the steps of a topology, one after the other, each with a line about what was verified."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, get_args

from msgspec import Struct

from gossamer.operator.failure import Failure
from gossamer.operator.up import topology
from gossamer.operator.up.clients import StepFailed
from gossamer.operator.up.steps.cloud_loss import cloud_loss
from gossamer.operator.up.steps.denied import denied
from gossamer.operator.up.steps.events import events
from gossamer.operator.up.steps.failover import failover
from gossamer.operator.up.steps.headers import headers
from gossamer.operator.up.steps.island import island
from gossamer.operator.up.steps.isolation import isolation
from gossamer.operator.up.steps.membership import membership
from gossamer.operator.up.steps.nearest import nearest
from gossamer.operator.up.steps.place import Place, Verified
from gossamer.operator.up.steps.queue import queue
from gossamer.operator.up.steps.request import request
from gossamer.operator.up.steps.survival import survival
from gossamer.operator.up.steps.takeover import takeover
from gossamer.operator.up.steps.withdrawal import withdrawal

#: No step may hang: this ends it, and it has not held.
STEP_TIMEOUT_S = 60.0

_STEPS: dict[type, Callable[[Any, Place], Awaitable[Verified]]] = {
    topology.RequestStep: request,
    topology.QueueStep: queue,
    topology.HeadersStep: headers,
    topology.IsolationStep: isolation,
    topology.DeniedStep: denied,
    topology.FailoverStep: failover,
    topology.MembershipStep: membership,
    topology.SurvivalStep: survival,
    topology.NearestStep: nearest,
    topology.TakeoverStep: takeover,
    topology.CloudLossStep: cloud_loss,
    topology.EventsStep: events,
    topology.IslandStep: island,
    topology.WithdrawalStep: withdrawal,
}
assert set(_STEPS) == set(get_args(topology.Step)), "every kind of step is carried out by a function"


class StepResult(Struct, frozen=True, kw_only=True):
    """How a step went. ``text`` says what was verified, or what was seen instead; ``notes`` are lines about it."""

    step: str
    held: bool
    text: str
    notes: tuple[str, ...] = ()
    seconds: float


async def walk(steps: Iterable[topology.Step], place: Place, show: Callable[[StepResult], None]) -> list[StepResult]:
    """Carry the steps out and show each as it ends. After one that did not hold, the others still run."""
    results = []
    for step in steps:
        result = await _carry_out(step, place)
        show(result)
        results.append(result)
    return results


async def _carry_out(step: topology.Step, place: Place) -> StepResult:
    name = str(step.__struct_config__.tag)
    begin = time.monotonic()
    notes: tuple[str, ...] = ()
    try:
        async with asyncio.timeout(STEP_TIMEOUT_S):
            verified = await _STEPS[type(step)](step, place)
        held, text, notes = True, verified.text, verified.notes
    except TimeoutError:
        held, text = False, f"did not end within {STEP_TIMEOUT_S:.0f} s"
    except (StepFailed, Failure) as error:
        held, text = False, str(error)
    except Exception as raised:
        cause = _innermost(raised)
        # A step talks to servers through a library: whatever goes wrong there, the step has not held, and the rest of
        # the tour is still worth seeing.
        held, text = False, str(cause) if isinstance(cause, StepFailed) else f"{type(cause).__name__}: {cause}"
    return StepResult(step=name, held=held, text=text, notes=notes, seconds=round(time.monotonic() - begin, 3))


def _innermost(error: Exception) -> Exception:
    """What happened, without the groups around it."""
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
