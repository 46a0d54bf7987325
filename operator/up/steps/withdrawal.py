"""Interest that ends is withdrawn everywhere: whoever asks then is told at once that nobody is there."""

import time

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from gossamer.operator.up.clients import PATIENCE_S, StepFailed, flushed
from gossamer.operator.up.steps.place import Place, Verified, check
from gossamer.operator.up.topology import WithdrawalStep


async def withdrawal(step: WithdrawalStep, place: Place) -> Verified:
    """Answered, told that nobody is there, answered again."""
    responder = await place.clients.seat(step.responder)
    askers = {seat: await place.clients.seat(seat) for seat in step.askers}

    async def reply(message: Msg) -> None:
        await message.respond(message.data)

    for _ in range(2):
        subscription = await responder.subscribe(step.subject, cb=reply)
        await flushed(responder)
        await place.clients.seats_crossing([step.responder], step.askers)
        for seat, asker in askers.items():
            await _answered(asker, seat, step)
        await subscription.unsubscribe()
        await flushed(responder)
        for seat, asker in askers.items():
            await _nobody(asker, seat, step)
    await place.clients.close(responder, *askers.values())
    text = (
        f"{step.responder} answered on {step.subject} in {len(askers)} places; when it unsubscribed, all of them were "
        "told that nobody is there; and the same again"
    )
    return Verified(text=text)


async def _answered(asker: Client, seat: str, step: WithdrawalStep) -> None:
    try:
        reply = await asker.request(step.subject, seat.encode(), timeout=PATIENCE_S)
    except (NatsError, TimeoutError) as error:
        raise StepFailed(f"{seat} has no answer on {step.subject}: {error or type(error).__name__}") from None
    check(reply.data == seat.encode(), f"{seat} was answered {reply.data!r} on {step.subject}")


async def _nobody(asker: Client, seat: str, step: WithdrawalStep) -> None:
    """Ask until the asker's node itself says that nobody is there: a withdrawal is on its way for a moment, and who
    asks meanwhile hears nothing. Raises StepFailed."""
    begin = time.monotonic()
    while time.monotonic() < begin + PATIENCE_S:
        try:
            await asker.request(step.subject, b"anybody?", timeout=0.25)
        except NoRespondersError:
            return
        except (NatsError, TimeoutError):
            continue
    raise StepFailed(f"{seat} was not told within {PATIENCE_S:.0f} s that nobody is there on {step.subject}")
