"""A user without the right: the node refuses, nobody hears it, and the command line says which rule it was."""

import asyncio
import sys

from gossamer.operator.up.clients import StepFailed, Voices, collect, flushed
from gossamer.operator.up.node_process import environment
from gossamer.operator.up.steps.place import Place, Verified, check
from gossamer.operator.up.topology import DeniedStep

#: How long a refusal may take after the server has answered what was sent behind the attempt.
REFUSAL_S = 3.0

_VERBS = {"pub": "publish", "sub": "subscription"}


async def denied(step: DeniedStep, place: Place) -> Verified:
    """Try it, with somebody listening who would hear it (``pub``) or speaking to whom it would listen (``sub``)."""
    violation = await (_refused_publish if step.action == "pub" else _refused_subscribe)(step, place)
    found = place.trust.explain(step.action, step.user, step.subject)
    check(not found.allowed, f"the node refuses {step.user} {step.action} {step.subject}, explain allows it")
    words = await _explained(step, place)
    deed = "publish to" if step.action == "pub" else "subscribe to"
    text = f"{step.user} on {step.node} may not {deed} {step.subject}: the node says {violation!r}, nothing got through"
    return Verified(text=text, notes=words)


async def _refused_publish(step: DeniedStep, place: Place) -> str:
    voices = Voices()
    witness = await place.clients.connect(step.witness, step.node)
    subscription = await witness.subscribe(step.subject)
    await flushed(witness)
    user = await place.clients.connect(step.user, step.node, voices=voices)
    await user.publish(step.subject, b"forbidden")
    await flushed(user)
    violation = await _violation(voices, step)
    await witness.publish(step.subject, b"allowed")
    (heard,) = await collect(subscription, 1, f"{step.witness} on its own message")
    check(heard.data == b"allowed", f"{step.witness} heard {heard.data!r}, which {step.user} may not publish")
    await place.clients.close(witness, user)
    return violation


async def _refused_subscribe(step: DeniedStep, place: Place) -> str:
    voices = Voices()
    user = await place.clients.connect(step.user, step.node, voices=voices)
    subscription = await user.subscribe(step.subject)
    await flushed(user)
    violation = await _violation(voices, step)
    # Something that the subscription would match, from one who may; then the user's server has had its say.
    subject = step.subject.replace("*", "token").replace(">", "token")
    witness = await place.clients.connect(step.witness, step.node)
    beside = await witness.subscribe(subject)
    await flushed(witness)
    await witness.publish(subject, b"for others")
    await collect(beside, 1, f"{step.witness} on its own message")
    await flushed(user)
    check(subscription.pending_msgs == 0, f"{step.user} heard {subject} in spite of the refusal")
    await place.clients.close(witness, user)
    return violation


async def _violation(voices: Voices, step: DeniedStep) -> str:
    try:
        text = await asyncio.wait_for(voices.errors.get(), REFUSAL_S)
    except TimeoutError:
        raise StepFailed(f"{step.user} was not refused {step.action} {step.subject} on {step.node}") from None
    text = text.removeprefix("nats: ")
    lower = text.lower()
    fits = "permissions violation" in lower and _VERBS[step.action] in lower and step.subject in text
    check(fits, f"{step.user} expected a permissions violation for {step.subject}, the node said {text!r}")
    return text


async def _explained(step: DeniedStep, place: Place) -> tuple[str, ...]:
    """The words of ``gossamer explain``, run as a person would."""
    arguments = ["explain", step.action, step.user, step.subject, "-H", str(place.trust.folder)]
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gossamer.operator.cli",
        *arguments,
        "--output",
        "plain",
        cwd=place.trust.folder,
        env=environment(),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    check(process.returncode == 0, f"gossamer explain failed: {err.decode().strip()}")
    lines = dict(line.split("\t", 1) for line in out.decode().splitlines() if "\t" in line)
    may_not = lines.get("answer", "")
    check("may not" in may_not and "rule" in lines, f"gossamer explain names no rule: {out.decode()!r}")
    command = f"gossamer {' '.join(arguments)}"
    return (command, *(f"  {label}: {value}" for label, value in lines.items()))
