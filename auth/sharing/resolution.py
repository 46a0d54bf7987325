"""All accounts together: which imports are in force, and which are not and why, kept up to date change by change.

Every change names the accounts whose imports it touched: the account itself, those that import from it, and those in a
cycle with it. What is in force depends on the accounts only, never on the order in which they became known: of an
import cycle the youngest import is refused (spec auth section 17.5), the age of an import being that of its account's
JWT, and in a configuration the order of the file.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from gossamer.auth.reasons import Reason, ReasonCode
from gossamer.auth.sharing.authorisation import Denial, authorise
from gossamer.auth.sharing.values import SERVICE, STREAM, AccountSharing, Export, Import, Mapping
from gossamer.auth.subjects import overlaps
from gossamer.auth.transforms import ImportTransform, TransformError, parse_import

#: An account that imports from more than this in a row is taken for a cycle (the depth limit of nats-server).
DEPTH_MAX = 1024


class EffectiveImport(Struct, frozen=True, kw_only=True):
    """An import in force, a stream's or a service's (``entry.kind``). ``expires_at``: unix seconds; 0: never."""

    importer: str
    entry: Import
    export: Export
    transform: ImportTransform
    expires_at: int = 0


class RefusedImport(Struct, frozen=True, kw_only=True):
    """An import that is not in force. ``error`` is what nats-server says of it; ``pending``: its exporter is not known
    (yet); ``retry_at``: unix seconds at which it comes into force by itself; 0: it does not."""

    importer: str
    entry: Import
    reason: Reason
    error: str
    pending: bool = False
    retry_at: int = 0


class Effective(Struct, frozen=True, kw_only=True):
    """What one account sees of others, and what it maps, in the order in which it was written."""

    services: tuple[EffectiveImport, ...] = ()
    streams: tuple[EffectiveImport, ...] = ()
    mappings: tuple[Mapping, ...] = ()
    refusals: tuple[RefusedImport, ...] = ()

    @property
    def next_change(self) -> int:
        """Unix seconds at which time alone changes something; 0: never."""
        moments = [each.expires_at for each in (*self.services, *self.streams)]
        moments += [each.retry_at for each in self.refusals]
        return min((moment for moment in moments if moment), default=0)


NOTHING = Effective()
_Rank = tuple[int, str, int]


class _Edge(Struct, frozen=True, kw_only=True):
    """An import that is allowed, cycles not looked at."""

    rank: _Rank
    found: EffectiveImport


class Resolution:
    """Holds the accounts. All times are unix seconds, passed in."""

    def __init__(self) -> None:
        """Nobody is known yet."""
        self._accounts: dict[str, AccountSharing] = {}
        self._position: dict[str, int] = {}
        self._importers: dict[str, dict[str, None]] = {}
        self._edges: dict[str, tuple[_Edge, ...]] = {}
        self._refused: dict[str, tuple[RefusedImport, ...]] = {}
        self._effective: dict[str, Effective] = {}
        self._cyclic: set[str] = set()
        self._changes: dict[str, int] = {}

    def __iter__(self) -> Iterator[str]:
        """The accounts that are known."""
        return iter(self._accounts)

    def account(self, name: str) -> AccountSharing | None:
        """What was told of an account."""
        return self._accounts.get(name)

    def effective(self, name: str) -> Effective:
        """What is in force for it."""
        return self._effective.get(name, NOTHING)

    def importers(self, name: str) -> tuple[str, ...]:
        """The known accounts that have an import from it, in force or not."""
        return tuple(self._importers.get(name, ()))

    @property
    def next_change(self) -> int:
        """Unix seconds at which ``recheck`` is due; 0: never."""
        return min(self._changes.values(), default=0)

    def missing(self, name: str) -> tuple[str, ...]:
        """The exporters that imports of this account wait for."""
        found = {each.entry.exporter: None for each in self.effective(name).refusals if each.pending}
        return tuple(found)

    def put(self, sharing: AccountSharing, now: float) -> dict[str, Effective]:
        """An account is new or has changed. Returns what is in force now for each account for which that differs."""
        return self.put_all((sharing,), now)

    def put_all(self, accounts: Iterable[AccountSharing], now: float) -> dict[str, Effective]:
        """Several at once, as if they had always been known together."""
        touched: dict[str, None] = {}
        for sharing in accounts:
            self._forget_importer(sharing.account)
            self._position.setdefault(sharing.account, len(self._position))
            self._accounts[sharing.account] = sharing
            for entry in sharing.imports:
                self._importers.setdefault(entry.exporter, {})[sharing.account] = None
            touched[sharing.account] = None
        for name in list(touched):
            touched |= self._importers.get(name, {})
        return self._resolve(touched, now)

    def remove(self, name: str, now: float) -> dict[str, Effective]:
        """An account is gone. Returns as ``put``; its own entry is empty."""
        if name not in self._accounts:
            return {}
        self._forget_importer(name)
        del self._accounts[name], self._position[name]
        return self._resolve({name: None, **self._importers.get(name, {})}, now)

    def recheck(self, now: float) -> dict[str, Effective]:
        """Follow the time: activations that ended or began. Returns as ``put``."""
        return self._resolve({name: None for name, due in self._changes.items() if due <= now}, now)

    def _forget_importer(self, name: str) -> None:
        before = self._accounts.get(name)
        for entry in before.imports if before is not None else ():
            others = self._importers.get(entry.exporter, {})
            others.pop(name, None)
            if not others:
                self._importers.pop(entry.exporter, None)

    # --- working it out -----------------------------------------------------------------------------------------
    def _resolve(self, touched: dict[str, None], now: float) -> dict[str, Effective]:
        around: dict[str, None] = {**touched, **dict.fromkeys(sorted(self._cyclic))}
        # Cycles that were and cycles that are: of both the other accounts may win or lose an import.
        for name in touched:
            around |= self._in_cycles(name)
            self._authorise(name, now)
            around |= self._in_cycles(name)
        changed = {}
        for name in around:
            before, after = self._effective.get(name, NOTHING), self._settle(name)
            if after != before:
                changed[name] = after
            if name in self._accounts:
                self._effective[name] = after
            else:
                self._effective.pop(name, None)
            if after.next_change:
                self._changes[name] = after.next_change
            else:
                self._changes.pop(name, None)
        return changed

    def _authorise(self, name: str, now: float) -> None:
        """The imports of one account that are allowed, and those that are not."""
        sharing = self._accounts.get(name)
        self._edges.pop(name, None)
        self._refused.pop(name, None)
        if sharing is None:
            return
        edges: list[_Edge] = []
        refused: list[RefusedImport] = []
        taken: dict[tuple[str, str, str], Import] = {}
        for number, entry in enumerate(sharing.imports):
            found = self._decide(name, entry, taken, now)
            if isinstance(found, RefusedImport):
                refused.append(found)
            else:
                rank = (sharing.issued_at, name if sharing.issued_at else f"{self._position[name]:08}", number)
                edges.append(_Edge(rank=rank, found=found))
        self._edges[name] = tuple(edges)
        self._refused[name] = tuple(refused)

    def _decide(
        self, name: str, entry: Import, taken: dict[tuple[str, str, str], Import], now: float
    ) -> EffectiveImport | RefusedImport:
        exporter = self._accounts.get(entry.exporter)
        unauthorised = f"{entry.kind} import not authorized"
        if exporter is None:
            reason = Reason(
                code=ReasonCode.EXPORTER_UNKNOWN, text=f"account {entry.exporter} is not known", place=entry.place
            )
            return RefusedImport(importer=name, entry=entry, reason=reason, error=unauthorised, pending=True)
        verdict = authorise(entry, name, exporter, now)
        if isinstance(verdict, Denial):
            invalid = verdict.reason.code is ReasonCode.IMPORT_SUBJECT
            return RefusedImport(
                importer=name,
                entry=entry,
                reason=verdict.reason,
                error="sublist: invalid subject" if invalid else unauthorised,
                retry_at=verdict.retry_at,
            )
        try:
            transform = parse_import(entry.subject, entry.local)
        except TransformError as error:
            return _untransformable(name, entry, str(error))
        local = transform.pattern if entry.kind == SERVICE else entry.subject
        other = taken.setdefault((entry.kind, entry.exporter, local), entry)
        if other is not entry:
            twice = (
                "stream import already exists"
                if entry.kind == STREAM
                else f'duplicate service import subject "{local}"'
            )
            reason = Reason(
                code=ReasonCode.IMPORT_DUPLICATE,
                text=f'"{local}" is imported from account {entry.exporter} twice',
                rule=f"first by {other.place}" if other.place else "",
                place=entry.place,
            )
            return RefusedImport(importer=name, entry=entry, reason=reason, error=twice)
        return EffectiveImport(
            importer=name, entry=entry, export=verdict.export, transform=transform, expires_at=verdict.expires_at
        )

    def _settle(self, name: str) -> Effective:
        """What is in force for an account, cycles cut."""
        sharing = self._accounts.get(name)
        if sharing is None:
            self._cyclic.discard(name)
            return NOTHING
        kept: list[EffectiveImport] = []
        refused = list(self._refused.get(name, ()))
        before = len(refused)
        for edge in self._edges.get(name, ()):
            way = self._way_back(edge, older=True)
            if way is None:
                kept.append(edge.found)
            else:
                refused.append(_cyclic(edge.found, way))
        if len(refused) > before:
            self._cyclic.add(name)
        else:
            self._cyclic.discard(name)
        return Effective(
            services=tuple(each for each in kept if each.entry.kind == SERVICE),
            streams=tuple(each for each in kept if each.entry.kind == STREAM),
            mappings=sharing.mappings,
            refusals=tuple(refused),
        )

    # --- cycles -------------------------------------------------------------------------------------------------
    def _way_back(self, start: _Edge, *, older: bool) -> list[_Edge] | None:
        """The imports that lead from the exporter of ``start`` back to its importer; None: there are none.

        ``older``: only by imports that are older than ``start``, which therefore is the one to be refused."""
        home = start.found.importer
        if home == start.found.entry.exporter and overlaps(start.found.transform.pattern, start.found.entry.subject):
            return []
        trail: list[_Edge] = [start]
        seen = {start.rank}
        branches = [self._following(start)]
        while branches:
            edge = next(branches[-1], None)
            if edge is None:
                branches.pop()
                trail.pop()
                continue
            if edge.rank in seen or (older and edge.rank >= start.rank):
                continue
            seen.add(edge.rank)
            if edge.found.entry.exporter == home or len(trail) >= DEPTH_MAX:
                return [*trail[1:], edge]
            trail.append(edge)
            branches.append(self._following(edge))
        return None

    def _following(self, edge: _Edge) -> Iterator[_Edge]:
        """The imports of an import's exporter that take on what arrives there."""
        entry = edge.found.entry
        if entry.exporter == edge.found.importer:
            return
        for each in self._edges.get(entry.exporter, ()):
            if each.found.entry.kind == entry.kind and overlaps(entry.subject, each.found.transform.pattern):
                yield each

    def _in_cycles(self, name: str) -> dict[str, None]:
        """The accounts that may share a cycle with an import of this one: all that it leads to, if it leads back."""
        found: dict[str, None] = {}
        for start in self._edges.get(name, ()):
            seen: dict[_Rank, _Edge] = {}
            waiting = list(self._following(start))
            back = False
            while waiting:
                edge = waiting.pop()
                if edge.rank in seen:
                    continue
                seen[edge.rank] = edge
                back = back or edge.found.entry.exporter == name
                waiting.extend(self._following(edge))
            if back:
                found |= {edge.found.importer: None for edge in seen.values()}
        return found


def _untransformable(name: str, entry: Import, error: str) -> RefusedImport:
    sides = (entry.local, entry.subject) if entry.kind == SERVICE else (entry.subject, entry.local)
    text = (
        f'failed to create mapping transform for {entry.kind} import subject from "{sides[0]}" to "{sides[1]}": {error}'
    )
    reason = Reason(
        code=ReasonCode.IMPORT_SUBJECT,
        text=f'"{entry.subject}" cannot be imported as "{entry.local}": {error}',
        place=entry.place,
    )
    bare = error == "invalid subject" and "*" not in entry.subject and not entry.subject.endswith(">")
    return RefusedImport(importer=name, entry=entry, reason=reason, error="sublist: invalid subject" if bare else text)


def _cyclic(found: EffectiveImport, way: list[_Edge]) -> RefusedImport:
    path = " -> ".join([found.importer, found.entry.exporter, *(each.found.entry.exporter for each in way)])
    reason = Reason(
        code=ReasonCode.IMPORT_CYCLE,
        text=f'the {found.entry.kind} import of "{found.entry.subject}" leads back to where it began: {path}',
        rule="; ".join(each.found.entry.place for each in way if each.found.entry.place),
        place=found.entry.place,
    )
    return RefusedImport(importer=found.importer, entry=found.entry, reason=reason, error="import forms a cycle")
