"""Store against servers, by content (spec operator-cli section 10.5).

First the cheap question: what a server's pack hashes to. A mesh has the server of its choice answer it and does not
tell which, so it is put again until a server that differs would have been met but for one chance in a million; the
first pack that differs ends that. Then every server's list says what is missing and extra there, and a look-up of
every account what its servers have.

An answer to a look-up does not say whose it is either. Where the copies of an account differ, servers that have loaded
the account are asked for it by name; what is left over then is told of all servers that may have it.
"""

import asyncio
import math
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
_CHANCE = 1e-6

Item = TypeVar("Item")
Found = TypeVar("Found")


class Finding(Struct, frozen=True, kw_only=True):
    """One way in which a server differs from the store. ``servers`` are the labels of those it is true of, or with
    ``certain`` false of those one of which it is true of. ``fields`` says what, where both sides can be read."""

    servers: tuple[str, ...]
    kind: str
    account: str = ""
    name: str = ""
    message: str = ""
    certain: bool = True
    fields: tuple[FieldDifference, ...] = ()

    @property
    def place(self) -> str:
        """The servers, for people."""
        return (", " if self.certain else " or ").join(self.servers)


class ServerState(Struct, frozen=True, kw_only=True):
    """A server and how it was looked at: ``hash`` (its pack is the store's), ``lookup`` (account by account), or
    ``loaded`` (only the accounts it has loaded, as it keeps no store)."""

    server: Server
    looked_at: str
    accounts: int | None = None


class DriftReport(Struct, frozen=True, kw_only=True):
    """What was found; no findings: every server has exactly what the store has."""

    states: tuple[ServerState, ...]
    findings: tuple[Finding, ...]
    unheard: int = 0

    def concerns(self, server: Server) -> int:
        """How many findings are, or may be, about a server."""
        return sum(server.label in finding.servers for finding in self.findings)


class Desired(Struct, frozen=True, kw_only=True):
    """What servers should hold: the accounts by public key, and the operator who vouches for them."""

    operator: OperatorClaims
    accounts: dict[str, Stored[AccountClaims]]

    @property
    def hash(self) -> bytes:
        """By which a server's pack is compared."""
        return pack_hash(stored.token for stored in self.accounts.values())


async def find_drift(
    mesh: Mesh, desired: Desired, *, now: float, incomplete: bool = True, thorough: bool = False
) -> DriftReport:
    """Compare. ``now`` in unix seconds; ``incomplete`` also asks what servers make of accounts that import;
    ``thorough`` looks at every account of every server even if the hashes are equal."""
    servers = await mesh.servers()
    findings = _times_and_trust(desired, servers, now)
    if not thorough and await _hashes_are_equal(mesh, desired, len(servers)):
        states = [ServerState(server=server, looked_at="hash", accounts=len(desired.accounts)) for server in servers]
    else:
        states, found = await _compare_all(mesh, desired, now)
        findings = found
    if incomplete:
        findings += await _incomplete(mesh, desired)
    unheard = await mesh.unheard()
    if unheard:
        text = f"{unheard} servers belong to the mesh and do not answer"
        findings.append(Finding(servers=(), kind=SILENT, message=text))
    return DriftReport(states=tuple(states), findings=tuple(findings), unheard=unheard)


async def _hashes_are_equal(mesh: Mesh, desired: Desired, servers: int) -> bool:
    """Is every pack the store's? With several servers asked so often that each has been met, but for ``_CHANCE``."""
    expected = desired.hash
    rounds = 1 if servers == 1 else math.ceil(math.log(_CHANCE / servers) / math.log(1 - 1 / servers))
    try:
        for _ in range(rounds):
            if await mesh.pack(equal_to=expected) is not None:
                return False
    except (NoResponders, Incomplete):
        return False
    return True


def _times_and_trust(desired: Desired, servers: Sequence[Server], now: float) -> list[Finding]:
    """What is wrong with the store's own tokens is wrong on every server that has them."""
    labels = tuple(server.label for server in servers)
    found: list[Finding] = []
    for stored in desired.accounts.values():
        found += _soundness(labels, True, desired.operator, stored.claims, now)
    return found


async def _compare_all(mesh: Mesh, desired: Desired, now: float) -> tuple[list[ServerState], list[Finding]]:
    servers = await mesh.servers()
    lists = await mesh.lists()
    storing = [server for server in servers if server.id in lists]
    copies = await mesh.copies_of({*desired.accounts, *(key for keys in lists.values() for key in keys)})
    found: list[Finding] = []
    for key in sorted(copies, key=lambda key: desired.accounts[key].claims.name if key in desired.accounts else key):
        found += await _account(mesh, desired, key, copies[key], storing, lists, now)
    states = []
    loading = [server for server in servers if server.id not in lists]
    details = dict(await _each(list(desired.accounts), mesh.account_state)) if loading else {}
    for server in servers:
        if server.id in lists:
            states.append(ServerState(server=server, looked_at="lookup", accounts=len(lists[server.id])))
            continue
        loaded = {key: str(of[server.id].get("jwt") or "") for key, of in details.items() if server.id in of}
        states.append(ServerState(server=server, looked_at="loaded", accounts=len(loaded)))
        for key, token in loaded.items():
            if token:
                found += compare_token((server.label,), True, desired.operator, desired.accounts[key], token, now)
    return states, found


async def _account(
    mesh: Mesh,
    desired: Desired,
    key: str,
    copies: Sequence[str],
    storing: Sequence[Server],
    lists: Mapping[str, frozenset[str]],
    now: float,
) -> list[Finding]:
    """One account on all servers that keep a store."""
    stored = desired.accounts.get(key)
    holders = [server for server in storing if key in lists[server.id]]
    if stored is None:
        name = _name_in(copies)
        return [Finding(servers=_labels(holders), kind=EXTRA, account=key, name=name)] if holders else []
    found: list[Finding] = []
    tokens = [token for token in copies if token]
    # An expired account is not listed, but looked up all the same: then the list does not tell who has it.
    certain = len(tokens) == len(holders)
    lacking = [server for server in storing if server not in holders]
    if lacking and certain:
        found.append(Finding(servers=_labels(lacking), kind=MISSING, account=key, name=stored.claims.name))
    elif not certain:
        holders = list(storing)
    for token, places, sure in await _attribute(mesh, key, tokens, holders):
        found += compare_token(_labels(places), sure, desired.operator, stored, token, now)
    return found


async def _attribute(
    mesh: Mesh, key: str, tokens: Sequence[str], holders: Sequence[Server]
) -> list[tuple[str, list[Server], bool]]:
    """Which of these servers has which token, and whether that is certain."""
    kinds = dict.fromkeys(tokens)
    if len(kinds) <= 1:
        return [(token, list(holders), len(tokens) == len(holders)) for token in kinds]
    loaded = await mesh.account_state(key)
    known = {server.id: str(loaded.get(server.id, {}).get("jwt") or "") for server in holders}
    left = [server for server in holders if known[server.id] not in kinds]
    counts = {token: tokens.count(token) for token in kinds}
    for server in holders:
        if server not in left:
            counts[known[server.id]] -= 1
    open_kinds = [token for token in kinds if counts[token] > 0]
    found = []
    for token in kinds:
        places = [server for server in holders if known[server.id] == token]
        if token in open_kinds:
            sure = len(open_kinds) == 1 and counts[token] == len(left)
            if not sure and places:
                found.append((token, places, True))
                places = []
            found.append((token, [*places, *left], sure))
        else:
            found.append((token, places, True))
    return found


def compare_token(
    servers: tuple[str, ...],
    certain: bool,
    operator: OperatorClaims,
    stored: Stored[AccountClaims],
    token: str,
    now: float,
) -> list[Finding]:
    """The findings about servers that hold ``token`` where the store has ``stored``. ``now`` in unix seconds."""
    key, name = stored.claims.subject, stored.claims.name
    if token == stored.token:
        return _soundness(servers, certain, operator, stored.claims, now)
    try:
        there = decode_as(AccountClaims, token)
    except TokenError as error:
        text = str(error)
        return [Finding(servers=servers, certain=certain, kind=UNREADABLE, account=key, name=name, message=text)]
    fields = field_differences(stored.claims, there)
    found = []
    if there.issued_at != stored.claims.issued_at:
        kind = OLDER if there.issued_at < stored.claims.issued_at else NEWER
        text = "" if fields else "the content is the same"
        found.append(Finding(servers=servers, certain=certain, kind=kind, account=key, name=name, message=text))
    if fields or not found:
        text = "" if fields else "the content is the same, the signature another"
        found.append(
            Finding(
                servers=servers, certain=certain, kind=DIFFERENT, account=key, name=name, message=text, fields=fields
            )
        )
    return found + _soundness(servers, certain, operator, there, now)


def _soundness(
    servers: tuple[str, ...], certain: bool, operator: OperatorClaims, there: AccountClaims, now: float
) -> list[Finding]:
    found = []
    key, name = there.subject, there.name
    if there.issuer not in operator.trusted_keys:
        text = f"signed by {there.issuer}, which the operator does not trust"
        found.append(Finding(servers=servers, certain=certain, kind=UNTRUSTED, account=key, name=name, message=text))
    if there.expires and there.expires <= now:
        text = "it has expired"
        found.append(Finding(servers=servers, certain=certain, kind=EXPIRED, account=key, name=name, message=text))
    return found


def _labels(servers: Iterable[Server]) -> tuple[str, ...]:
    return tuple(server.label for server in servers)


def _name_in(tokens: Iterable[str]) -> str:
    for token in tokens:
        try:
            return decode_as(AccountClaims, token).name
        except TokenError:
            continue
    return ""


async def _incomplete(mesh: Mesh, desired: Desired) -> list[Finding]:
    """Accounts that a server could not put together: an import it refuses, an exporter it does not know."""
    importing = [key for key, stored in desired.accounts.items() if stored.claims.imports]
    if not importing:
        return []
    labels = {server.id: server.label for server in await mesh.servers()}
    found = []
    for key, states in await _each(importing, mesh.account_state):
        for server, detail in sorted(states.items()):
            text = _why_incomplete(detail)
            if text:
                name, label = desired.accounts[key].claims.name, labels.get(server, server)
                found.append(Finding(servers=(label,), kind=INCOMPLETE, account=key, name=name, message=text))
    return found


def _why_incomplete(detail: Mapping[str, Any]) -> str:
    invalid = [
        str(entry.get("local_subject") or entry.get("subject"))
        for entry in detail.get("imports") or []
        if isinstance(entry, dict) and entry.get("invalid")
    ]
    if invalid:
        return f"imports it cannot use: {', '.join(invalid)}"
    return "the server could not build it whole" if detail.get("complete") is False else ""


async def _each(items: Iterable[Item], ask: Callable[[Item], Awaitable[Found]]) -> list[tuple[Item, Found]]:
    """Ask about many things, a few at a time; answers in order."""
    gate = asyncio.Semaphore(_PARALLEL)

    async def one(item: Item) -> tuple[Item, Found]:
        async with gate:
            return item, await ask(item)

    return list(await asyncio.gather(*(one(item) for item in items)))
