"""Store against servers, by content (spec operator-cli section 10.5).

Each server is asked over a connection of its own for its pack, with the hash of what it should hold: where they are
equal that one small exchange is all. Where they differ the pack itself says how, account by account and field by field.
A server that cannot be reached by itself, or keeps no full store, is judged by what it says over the mesh.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from msgspec import Struct

from gossamer.auth.claims import AccountClaims, OperatorClaims
from gossamer.auth.jwt import TokenError, decode_as
from gossamer.operator.mesh.answers import Server
from gossamer.operator.mesh.connection import Incomplete, Mesh
from gossamer.operator.mesh.differences import FieldDifference, field_differences
from gossamer.operator.mesh.packing import pack_hash
from gossamer.operator.mesh.wire import NoResponders
from gossamer.operator.store.stored import Stored

MISSING, EXTRA, OLDER, NEWER = "missing", "extra", "older", "newer"
DIFFERENT, UNTRUSTED, EXPIRED, INCOMPLETE = "different", "untrusted", "expired", "incomplete"
UNREADABLE, SILENT = "unreadable", "silent"

_PARALLEL = 32

Item = TypeVar("Item")
Found = TypeVar("Found")


class Finding(Struct, frozen=True, kw_only=True):
    """One way in which a server differs from the store. ``fields`` says what, where both sides can be read."""

    server: str
    kind: str
    account: str = ""
    name: str = ""
    message: str = ""
    fields: tuple[FieldDifference, ...] = ()


class ServerState(Struct, frozen=True, kw_only=True):
    """A server and how it was looked at: ``pack`` (everything), ``lookup`` (over the mesh), ``loaded`` (only the
    accounts it has loaded, as it keeps no store) or ``silent``."""

    server: Server
    looked_at: str
    accounts: int | None = None
    equal: bool = False


class DriftReport(Struct, frozen=True, kw_only=True):
    """What was found; no findings: every server has exactly what the store has."""

    states: tuple[ServerState, ...]
    findings: tuple[Finding, ...]
    unheard: int = 0


class Desired(Struct, frozen=True, kw_only=True):
    """What servers should hold: the accounts by public key, and the operator who vouches for them."""

    operator: OperatorClaims
    accounts: dict[str, Stored[AccountClaims]]

    @property
    def hash(self) -> bytes:
        """By which a server's pack is compared."""
        return pack_hash(stored.token for stored in self.accounts.values())


async def find_drift(mesh: Mesh, desired: Desired, *, now: float, incomplete: bool = True) -> DriftReport:
    """Compare. ``now`` in unix seconds; ``incomplete`` also asks what servers make of accounts that import."""
    states: list[ServerState] = []
    findings: list[Finding] = []
    indirect: list[Server] = []
    reachable: dict[str, dict[str, str]] = {}
    wanted_hash = desired.hash
    for server in await mesh.servers():
        try:
            held = await mesh.pack(server=server, equal_to=wanted_hash)
        except (LookupError, NoResponders):
            indirect.append(server)
            continue
        except Incomplete as error:
            states.append(ServerState(server=server, looked_at="silent"))
            findings.append(Finding(server=server.label, kind=SILENT, message=str(error)))
            continue
        equal = held is None
        held = {key: stored.token for key, stored in desired.accounts.items()} if held is None else held
        reachable[server.id] = held
        states.append(ServerState(server=server, looked_at="pack", accounts=len(held), equal=equal))
        findings += compare(server.label, desired, held, now)
    if indirect:
        found_states, found = await _indirect(mesh, desired, indirect, reachable, now)
        states += found_states
        findings += found
    if incomplete:
        findings += await _incomplete(mesh, desired)
    unheard = await mesh.unheard()
    if unheard:
        text = f"{unheard} servers belong to the mesh and do not answer"
        findings.append(Finding(server="", kind=SILENT, message=text))
    states.sort(key=lambda state: (state.server.label, state.server.id))
    return DriftReport(states=tuple(states), findings=tuple(findings), unheard=unheard)


def compare(server: str, desired: Desired, held: Mapping[str, str], now: float) -> list[Finding]:
    """The findings about one server that holds these tokens, by account."""
    found: list[Finding] = []
    for key, stored in sorted(desired.accounts.items(), key=lambda item: item[1].claims.name):
        token = held.get(key)
        if token is None:
            found.append(Finding(server=server, kind=MISSING, account=key, name=stored.claims.name))
        else:
            found += _compare_one(server, desired.operator, stored, token, now)
    for key in sorted(held.keys() - desired.accounts.keys()):
        name, message = "", ""
        try:
            name = decode_as(AccountClaims, held[key]).name
        except TokenError as error:
            message = str(error)
        found.append(Finding(server=server, kind=EXTRA, account=key, name=name, message=message))
    return found


def _compare_one(
    server: str, operator: OperatorClaims, stored: Stored[AccountClaims], token: str, now: float
) -> list[Finding]:
    key, name = stored.claims.subject, stored.claims.name
    if token == stored.token:
        there = stored.claims
        found = []
    else:
        try:
            there = decode_as(AccountClaims, token)
        except TokenError as error:
            return [Finding(server=server, kind=UNREADABLE, account=key, name=name, message=str(error))]
        kind = DIFFERENT
        if there.issued_at != stored.claims.issued_at:
            kind = OLDER if there.issued_at < stored.claims.issued_at else NEWER
        fields = field_differences(stored.claims, there)
        message = "" if fields else "the content is the same"
        found = [Finding(server=server, kind=kind, account=key, name=name, fields=fields, message=message)]
        if fields and kind != DIFFERENT:
            found.append(Finding(server=server, kind=DIFFERENT, account=key, name=name, fields=fields))
    if there.issuer not in operator.trusted_keys:
        text = f"signed by {there.issuer}, which the operator does not trust"
        found.append(Finding(server=server, kind=UNTRUSTED, account=key, name=name, message=text))
    if there.expires and there.expires <= now:
        found.append(Finding(server=server, kind=EXPIRED, account=key, name=name, message="it has expired there"))
    return found


async def _indirect(
    mesh: Mesh, desired: Desired, servers: Sequence[Server], reachable: Mapping[str, Mapping[str, str]], now: float
) -> tuple[list[ServerState], list[Finding]]:
    """Servers that cannot be asked alone. Who holds what is told by LIST; what the tokens are only for all together."""
    lists = await mesh.lists()
    storing = [server for server in servers if server.id in lists]
    loading = [server for server in servers if server.id not in lists]
    states: list[ServerState] = []
    found: list[Finding] = []
    if storing:
        copies = dict(await _each(list(desired.accounts), lambda key: _copies(mesh, key)))
        for server in storing:
            held = {
                key: _copy_of(server, key, desired, copies.get(key, []), reachable, storing, lists)
                for key in lists[server.id]
            }
            states.append(ServerState(server=server, looked_at="lookup", accounts=len(held)))
            found += compare(server.label, desired, held, now)
    if loading:
        details = dict(await _each(list(desired.accounts), lambda key: _states(mesh, key)))
        for server in loading:
            held = {
                key: str(states_of[server.id].get("jwt") or "")
                for key, states_of in details.items()
                if server.id in states_of
            }
            held = {key: token for key, token in held.items() if token}
            states.append(ServerState(server=server, looked_at="loaded", accounts=len(held)))
            # It need not have what nobody has asked it for.
            found += [finding for finding in compare(server.label, desired, held, now) if finding.kind != MISSING]
    return states, found


def _copy_of(
    server: Server,
    key: str,
    desired: Desired,
    copies: Sequence[str],
    reachable: Mapping[str, Mapping[str, str]],
    storing: Sequence[Server],
    lists: Mapping[str, frozenset[str]],
) -> str:
    """The token of an account on a server that is known to list it. Where copies differ and several servers might hold
    the strange one, each of them is taken to."""
    left = [token for token in copies if token]
    for held in reachable.values():
        if held.get(key) in left:
            left.remove(held[key])
    stored = desired.accounts.get(key)
    strange = [token for token in left if stored is None or token != stored.token]
    if strange:
        return strange[0]
    return stored.token if stored is not None and left else ""


async def _copies(mesh: Mesh, key: str) -> list[str]:
    return await mesh.copies(key)


async def _states(mesh: Mesh, key: str) -> dict[str, dict[str, Any]]:
    return await mesh.account_state(key)


async def _incomplete(mesh: Mesh, desired: Desired) -> list[Finding]:
    """Accounts that a server could not put together: an import it refuses, an exporter it does not know."""
    importing = [key for key, stored in desired.accounts.items() if stored.claims.imports]
    if not importing:
        return []
    labels = {server.id: server.label for server in await mesh.servers()}
    found = []
    for key, states in await _each(importing, lambda key: _states(mesh, key)):
        for server, detail in sorted(states.items()):
            invalid = [
                str(entry.get("local_subject") or entry.get("subject"))
                for entry in detail.get("imports") or []
                if isinstance(entry, dict) and entry.get("invalid")
            ]
            if invalid or detail.get("complete") is False:
                text = (
                    f"imports it cannot use: {', '.join(invalid)}" if invalid else "the server could not build it whole"
                )
                name = desired.accounts[key].claims.name
                label = labels.get(server, server)
                found.append(Finding(server=label, kind=INCOMPLETE, account=key, name=name, message=text))
    return found


async def _each(items: Iterable[Item], ask: Callable[[Item], Awaitable[Found]]) -> list[tuple[Item, Found]]:
    """Ask about many things, a few at a time; answers in order."""
    gate = asyncio.Semaphore(_PARALLEL)

    async def one(item: Item) -> tuple[Item, Found]:
        async with gate:
            return item, await ask(item)

    return list(await asyncio.gather(*(one(item) for item in items)))
