"""What every rotation works with, and the running of its steps."""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeVar

from msgspec import Struct, field

from gossamer.auth.claims import AccountClaims
from gossamer.operator.failure import usage
from gossamer.operator.mesh.answers import Connection
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.reaching import Reach, on_mesh
from gossamer.operator.mesh.rotation.journal import Journal, remove_journal, write_journal
from gossamer.operator.mesh.visitor import Errand
from gossamer.operator.store.stored import Stored
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.result import Outcome

_PAUSE_S = 0.25

Value = TypeVar("Value")


class Waiting(Exception):
    """A step cannot be done yet; the text says what it waits for, ``hint`` what a person can do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Stage(Struct, kw_only=True):
    """``commit`` makes the pending changes durable. ``wait_s``: how long a step may wait for servers and clients;
    ``overlap_s``: after so long old credentials are not waited for any longer (None: until nobody uses them).
    ``force`` goes on without waiting."""

    workspace: Workspace
    operator: str
    reach: Reach
    commit: Callable[[], None]
    clock: Callable[[], int]
    wish: str = ""
    wait_s: float = 0.0
    overlap_s: float | None = None
    force: bool = False
    outcome: Outcome = field(default_factory=Outcome)

    def ask(self, errands: Iterable[Errand], question: Callable[[Mesh], Awaitable[Value]]) -> Value:
        """Over a new connection."""
        return on_mesh(self.workspace, self.reach, errands, question, now=self.clock())

    def wait_until(
        self, errands: Iterable[Errand], question: Callable[[Mesh], Awaitable[list[str]]], hint: str
    ) -> None:
        """Ask until ``question`` finds no obstacles. Raises Waiting with them after ``wait_s``; with ``force`` they
        become a warning."""
        deadline = time.monotonic() + self.wait_s
        while obstacles := self.ask(errands, question):
            if self.force:
                self.outcome.warn("forced", f"went on although {'; '.join(obstacles)}")
                return
            if time.monotonic() >= deadline:
                raise Waiting("; ".join(obstacles), hint)
            time.sleep(_PAUSE_S)

    def deliver(self, accounts: Sequence[Stored[AccountClaims]]) -> None:
        """Push accounts and look them up: every server must have exactly these. Raises Waiting."""

        async def question(mesh: Mesh) -> list[str]:
            return await undelivered(mesh, accounts)

        hint = "run the command again when all servers are up"
        self.wait_until((Errand.PUSH, Errand.PULL), question, hint)
        self.outcome.note(
            f"all servers have {', '.join(repr(stored.claims.name) for stored in accounts[:8])}"
            + (f" and {len(accounts) - 8} more" if len(accounts) > 8 else "")
        )

    def connections(self, account: str) -> list[Connection]:
        """Who is connected to an account, by its public key."""
        return self.ask([Errand.CONNECTIONS], lambda mesh: mesh.connections(account))


async def undelivered(mesh: Mesh, accounts: Sequence[Stored[AccountClaims]]) -> list[str]:
    """Push accounts, look them up on every server, and say in words what is not as it should be; [] if all is."""
    report = await mesh.push(stored.token for stored in accounts)
    if not report.complete:
        found = [f"server {server.label} does not answer" for server in report.silent()]
        found += [f"server {r.server.label} refuses {d.name!r}: {r.message}" for d, r in report.refusals()[:5]]
        if report.unheard:
            found.append(f"{report.unheard} servers of the mesh do not answer")
        return found or ["no server takes account JWTs"]
    copies = await mesh.copies_of(stored.claims.subject for stored in accounts)
    strays = [
        stored.claims.name
        for stored in accounts
        if any(token != stored.token for token in copies[stored.claims.subject])
    ]
    return [f"a server still has another {', '.join(map(repr, strays[:8]))}"] if strays else []


class Step(Struct, frozen=True):
    """One step: what holds when it is done, and how to get there."""

    text: str
    act: Callable[[Journal], None]


class Progress(Struct, kw_only=True):
    """How far a rotation has come. ``waiting`` says what for, when it stands."""

    journal: Journal
    steps: tuple[str, ...]
    finished: bool = False
    waiting: str = ""
    hint: str = ""


def run_steps(stage: Stage, journal: Journal, steps: Sequence[Step], to_step: int = 0) -> Progress:
    """Do the steps that are not done, up to ``to_step`` (0: all). Each is durable before the next begins.

    A step must do nothing when it finds its work done, as it is begun again after a crash. Raises Failure.
    """
    if not 0 <= to_step <= len(steps):
        raise usage(f"there is no step {to_step}", f"the steps are 1 to {len(steps)}")
    progress = Progress(journal=journal, steps=tuple(step.text for step in steps))
    for number, step in enumerate(steps[: to_step or len(steps)], 1):
        if number <= journal.step:
            continue
        try:
            step.act(journal)
        except Waiting as waiting:
            progress.waiting, progress.hint = str(waiting), waiting.hint
            return progress
        journal.step, journal.reached = number, stage.clock()
        progress.finished = number == len(steps)
        if progress.finished:
            remove_journal(stage.workspace, stage.operator, journal)
        else:
            write_journal(stage.workspace, stage.operator, journal)
        stage.commit()
        stage.outcome.note(f"step {number} of {len(steps)} is done: {step.text}")
    return progress
