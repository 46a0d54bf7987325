"""A plan beside the live mesh: what the servers have, whom the plan would cut, and giving them what it makes."""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

from msgspec import Struct, structs

from gossamer.auth.claims import AccountClaims
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.operator.failure import ExitCode, Failure
from gossamer.operator.mesh.connection import Mesh
from gossamer.operator.mesh.reaching import Reach, on_mesh
from gossamer.operator.mesh.removal import delete_token
from gossamer.operator.mesh.visitor import Errand
from gossamer.operator.plan.applying import Servers
from gossamer.operator.plan.difference import FieldChange, difference
from gossamer.operator.plan.effects import Struck, struck
from gossamer.operator.plan.summary import Plan
from gossamer.operator.store.stored import Stored
from gossamer.operator.store.workspace import Workspace
from gossamer.operator.tenants.signing import operator_signer

MISSING = "missing"
EXTRA = "extra"
OLDER = "older"
NEWER = "newer"
DIFFERENT = "different"

#: Fields of a difference that are told; the rest is counted.
_FIELDS_MAX = 20


class ServerDifference(Struct, frozen=True, kw_only=True):
    """How one account on one server differs from what it shall be when the plan is carried out."""

    server: str
    account: str
    key: str
    kind: str
    fields: tuple[FieldChange, ...] = ()


class LiveView(Struct, frozen=True, kw_only=True):
    """``servers``: their labels. ``struck``: connections that the plan would close, by name."""

    servers: tuple[str, ...]
    unheard: int
    unseen: tuple[str, ...]  # labels of servers that do not tell what they have
    differences: tuple[ServerDifference, ...]
    struck: tuple[Struck, ...]
    state: str  # a hash of what the servers have, for saved plans


def look(workspace: Workspace, reach: Reach, plan: Plan, wanted: dict[str, AccountClaims], *, now: int) -> LiveView:
    """Ask the mesh. ``wanted``: what each account (by its key) shall say. Raises Failure."""

    async def question(mesh: Mesh) -> LiveView:
        servers = await mesh.servers()
        lists = await mesh.lists()
        labels = {server.id: server.label for server in servers}
        differences: list[ServerDifference] = []
        for server in servers:
            if server.id in lists:
                differences += _by_list(server.label, lists[server.id], wanted)
        copies = await mesh.copies_of([*wanted, *{key for keys in lists.values() for key in keys} - wanted.keys()])
        state = hashlib.sha256()
        for key in sorted(copies):
            state.update(f"{key} {' '.join(sorted(copies[key]))}\n".encode())
            if key in wanted:
                differences += _by_content(wanted[key], copies[key])
        found: list[Struck] = []
        for change in plan.changes:
            for effect in change.effects:
                if effect.cuts:
                    found.extend(struck(effect, await mesh.connections(effect.key)))
        return LiveView(
            servers=tuple(labels.values()),
            unheard=await mesh.unheard(),
            unseen=tuple(label for key, label in labels.items() if key not in lists),
            differences=tuple(differences),
            struck=_once(found),
            state=state.hexdigest(),
        )

    return on_mesh(workspace, reach, [Errand.PULL, Errand.CONNECTIONS], question, now=now)


def _once(found: Sequence[Struck]) -> tuple[Struck, ...]:
    """Each connection once, with all that closes it."""
    by_name: dict[str, Struck] = {}
    for one in found:
        known = by_name.get(one.connection)
        if known is None:
            by_name[one.connection] = one
        elif one.why not in known.why.split(", "):
            by_name[one.connection] = structs.replace(known, why=f"{known.why}, {one.why}")
    return tuple(by_name.values())


def _by_list(server: str, listed: frozenset[str], wanted: dict[str, AccountClaims]) -> list[ServerDifference]:
    found = [
        ServerDifference(server=server, account=claims.name, key=key, kind=MISSING)
        for key, claims in wanted.items()
        if key not in listed
    ]
    found += [
        ServerDifference(server=server, account="", key=key, kind=EXTRA) for key in sorted(listed - wanted.keys())
    ]
    return found


def _by_content(claims: AccountClaims, copies: Sequence[str]) -> list[ServerDifference]:
    """Who answers a look-up with which copy is not told: so many of so many servers."""
    found = []
    for token in dict.fromkeys(copies):
        there = _claims(token)
        fields = () if there is None else difference(there, claims)
        if there is None or not fields:
            continue
        kind = DIFFERENT
        if claims.issued_at and there.issued_at != claims.issued_at:
            kind = OLDER if there.issued_at < claims.issued_at else NEWER
        server = f"{copies.count(token)} of {len(copies)} servers"
        found.append(
            ServerDifference(
                server=server, account=claims.name, key=claims.subject, kind=kind, fields=fields[:_FIELDS_MAX]
            )
        )
    return found


def _claims(token: str) -> AccountClaims | None:
    try:
        return decode_as(AccountClaims, token) if token else None
    except TokenError:
        return None


class MeshServers(Servers):
    """The servers of a live mesh. ``report`` gathers what they said, for the answer of the command."""

    def __init__(self, workspace: Workspace, reach: Reach, *, now: int, progress: Any = None) -> None:
        self._workspace = workspace
        self._reach = reach
        self._now = now
        self._progress = progress
        self.pushed: dict[str, list[str]] = {}
        self.deleted: list[str] = []
        self.unverified: set[str] = set()

    def push(self, accounts: Sequence[Stored[AccountClaims]]) -> None:
        """Every server must take every account, and say so when asked again. Raises Failure (exit code 6)."""
        if not accounts:
            return

        async def question(mesh: Mesh) -> None:
            report = await mesh.push((stored.token for stored in accounts), progress=self._progress)
            if not report.complete:
                raise _partial(_why_incomplete(report.unheard, [one.label for one in report.silent()], report))
            await self._verify(mesh, accounts)
            for stored in accounts:
                self.pushed[stored.claims.name] = [server.label for server in report.servers]

        on_mesh(self._workspace, self._reach, [Errand.PUSH, Errand.PULL], question, now=self._now)

    def bring(self, accounts: Iterable[Stored[AccountClaims]]) -> None:
        """Push what some server has not: left over from an apply without a push, or with one that failed."""
        asked = [stored for stored in accounts if stored.claims.name not in self.pushed]
        if not asked:
            return

        async def question(mesh: Mesh) -> list[Stored[AccountClaims]]:
            stores = len(await mesh.lists())
            copies = await mesh.copies_of(stored.claims.subject for stored in asked)
            return [
                stored
                for stored in asked
                if sum(copy.strip() == stored.token for copy in copies[stored.claims.subject]) < stores
            ]

        self.push(on_mesh(self._workspace, self._reach, [Errand.PULL], question, now=self._now))

    async def _verify(self, mesh: Mesh, accounts: Sequence[Stored[AccountClaims]]) -> None:
        lists = await mesh.lists()
        silent = [server.label for server in await mesh.servers() if server.id not in lists]
        self.unverified.update(silent)  # they said that they took them, and keep no store that could be asked
        copies = await mesh.copies_of(stored.claims.subject for stored in accounts)
        wrong = []
        for stored in accounts:
            there = copies[stored.claims.subject]
            good = sum(copy.strip() == stored.token for copy in there)
            if good < len(lists):
                wrong.append(f"{stored.claims.name} (on {good} of {len(lists)})")
        if wrong:
            shown = ", ".join(wrong[:8]) + (f" and {len(wrong) - 8} more" if len(wrong) > 8 else "")
            raise _partial(f"servers took what they do not have now: {shown}")

    def delete(self, accounts: Sequence[str]) -> None:
        """Every server must delete the accounts. Raises Failure (exit code 6)."""
        operator = self._workspace.operator().claims
        signer = operator_signer(self._workspace.keystore, operator)
        token = delete_token(list(accounts), signer, now=self._now)

        async def question(mesh: Mesh) -> None:
            servers = {server.id: server.label for server in await mesh.servers()}
            rulings = await mesh.delete(token)
            refused = [f"{ruling.server.label}: {ruling.message}" for ruling in rulings if not ruling.accepted]
            silent = [label for key, label in servers.items() if key not in {ruling.server.id for ruling in rulings}]
            if refused or silent:
                raise _partial(
                    "accounts were not removed: " + "; ".join([*refused, *(f"{one}: silent" for one in silent)])
                )
            self.deleted.extend(accounts)

        on_mesh(self._workspace, self._reach, [Errand.DELETE], question, now=self._now)


def _why_incomplete(unheard: int, silent: Sequence[str], report: Any) -> str:
    reasons = [f"{label} did not answer" for label in silent]
    reasons += [
        f"{ruling.server.label} refused {delivery.name}: {ruling.message}" for delivery, ruling in report.refusals()[:8]
    ]
    if unheard:
        reasons.append(f"{unheard} servers of the mesh are silent")
    if report.no_resolver:
        reasons.append("no server takes account JWTs")
    return "; ".join(reasons) or "not every server has every account"


def _partial(message: str) -> Failure:
    return Failure(
        message,
        code="partial-push",
        hint="the store is as planned; try again with: gossamer apply --push, or gossamer push -A",
        exit_code=ExitCode.PARTIAL_PUSH,
    )
