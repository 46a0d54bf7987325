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
_WILD = ("*", ">")
_ANY = ""  # no subject begins with an empty token
_Rank = tuple[int, str, int]


class _Edge(Struct, frozen=True, kw_only=True):
    """An import that is allowed, cycles not looked at."""

    rank: _Rank
    found: EffectiveImport


class _Decided:
    """The imports of one account, decided one by one, cycles not looked at. What depends on nothing that has changed is
    not decided again: an account may import from ten thousand others, each of which may change."""

    __slots__ = ("_by_token", "edges", "exporters", "of", "verdicts")

    def __init__(self, of: AccountSharing) -> None:
        self.of = of
        self.exporters: list[AccountSharing | None] = []
        self.verdicts: list[_Edge | RefusedImport] = []
        self.edges: dict[_Rank, _Edge] = {}
        self._by_token: dict[tuple[str, str], list[_Edge]] = {}

    def add(self, exporter: AccountSharing | None, verdict: "_Edge | RefusedImport") -> None:
        """One more, in the order in which they are written."""
        self.exporters.append(exporter)
        self.verdicts.append(verdict)
        if isinstance(verdict, _Edge):
            self.edges[verdict.rank] = verdict
            first = verdict.found.transform.pattern.partition(".")[0]
            self._by_token.setdefault((verdict.found.entry.kind, _ANY if first in _WILD else first), []).append(verdict)

    def taking(self, kind: str, subject: str) -> Iterator["_Edge"]:
        """The imports whose local subject overlaps."""
        first = subject.partition(".")[0]
        for token in (
            [key for key in self._by_token if key[0] == kind] if first in _WILD else ((kind, first), (kind, _ANY))
        ):
            for each in self._by_token.get(token, ()):
                if overlaps(subject, each.found.transform.pattern):
                    yield each


class Resolution:
    """Holds the accounts. All times are unix seconds, passed in."""

    def __init__(self) -> None:
        """Nobody is known yet."""
        self._accounts: dict[str, AccountSharing] = {}
        self._position: dict[str, int] = {}
        self._importers: dict[str, dict[str, None]] = {}
        self._decided: dict[str, _Decided] = {}
        self._ways: dict[_Rank, list[_Edge]] = {}  # of the imports that are refused for a cycle
        self._effective: dict[str, Effective] = {}
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
        return self._resolve(self.take(accounts), now)

    def take(self, accounts: Iterable[AccountSharing]) -> dict[str, None]:
        """Take the accounts over and decide nothing yet. Returns whose imports have to be decided anew: ``decide`` all
        of them, in as many parts as is convenient; in the end it is as if it had been done at once."""
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
        return touched

    def remove(self, name: str, now: float) -> dict[str, Effective]:
        """An account is gone. Returns as ``put``; its own entry is empty."""
        return self._resolve(self.drop(name), now)

    def drop(self, name: str) -> dict[str, None]:
        """Forget an account and decide nothing yet. Returns as ``take``."""
        if name not in self._accounts:
            return {}
        self._forget_importer(name)
        del self._accounts[name], self._position[name]
        return {name: None, **self._importers.get(name, {})}

    def decide(self, names: Iterable[str], now: float) -> dict[str, Effective]:
        """Some of what ``take`` or ``drop`` returned. Returns as ``put``."""
        return self._resolve(names, now)

    def recheck(self, now: float) -> dict[str, Effective]:
        """Follow the time: activations that ended or began. Returns as ``put``."""
        return self._resolve([name for name, due in self._changes.items() if due <= now], now, afresh=True)

    def _forget_importer(self, name: str) -> None:
        before = self._accounts.get(name)
        for entry in before.imports if before is not None else ():
            others = self._importers.get(entry.exporter, {})
            others.pop(name, None)
            if not others:
                self._importers.pop(entry.exporter, None)

    # --- working it out -----------------------------------------------------------------------------------------
    def _resolve(self, touched: Iterable[str], now: float, *, afresh: bool = False) -> dict[str, Effective]:
        """``afresh``: the time has changed something, not the accounts."""
        touched = dict.fromkeys(touched)
        gone: list[_Edge] = []
        new: list[_Edge] = []
        looped: dict[str, None] = {}
        decided = {name: self._decide_all(name, now, afresh=afresh) for name in touched}
        for name, after in decided.items():
            before = self._edges(name)
            edges = after.edges if after is not None else {}
            gone += [edge for rank, edge in before.items() if edges.get(rank) is not edge]
            new += [edge for rank, edge in edges.items() if before.get(rank) is not edge]
        # An import can only win or lose by another one that shares a cycle with it: one that was, or one that is.
        for edge in gone:
            looped |= self._in_cycle(edge)
            self._ways.pop(edge.rank, None)
        for name, after in decided.items():
            if after is not None:
                self._decided[name] = after
            else:
                self._decided.pop(name, None)
        for edge in new:
            looped |= self._in_cycle(edge)
        for edge in (*new, *(edge for name in looped for edge in self._edges(name).values())):
            way = self._way_back(edge)
            if way is None:
                self._ways.pop(edge.rank, None)
            else:
                self._ways[edge.rank] = way
        changed = {}
        for name in touched | looped:
            before_, after_ = self._effective.get(name, NOTHING), self._settle(name)
            if after_ != before_:
                changed[name] = after_
            self._keep(name, after_)
        return changed

    def _keep(self, name: str, effective: Effective) -> None:
        if name in self._accounts:
            self._effective[name] = effective
        else:
            self._effective.pop(name, None)
        if effective.next_change:
            self._changes[name] = effective.next_change
        else:
            self._changes.pop(name, None)

    def _edges(self, name: str) -> dict[_Rank, _Edge]:
        decided = self._decided.get(name)
        return decided.edges if decided is not None else {}

    def _decide_all(self, name: str, now: float, *, afresh: bool) -> _Decided | None:
        """The imports of one account that are allowed, and those that are not."""
        sharing = self._accounts.get(name)
        if sharing is None:
            return None
        known = self._decided.get(name)
        if known is not None and (known.of is not sharing or afresh):
            known = None
        found = _Decided(sharing)
        taken: dict[tuple[str, str, str], Import] = {}
        for number, entry in enumerate(sharing.imports):
            exporter = self._accounts.get(entry.exporter)
            if known is not None and known.exporters[number] is exporter:
                found.add(exporter, known.verdicts[number])
                continue
            verdict = self._decide(name, entry, taken, now)
            if isinstance(verdict, RefusedImport):
                found.add(exporter, verdict)
            else:
                rank = (sharing.issued_at, name if sharing.issued_at else f"{self._position[name]:08}", number)
                found.add(exporter, _Edge(rank=rank, found=verdict))
        return found

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
        decided = self._decided.get(name)
        if decided is None:
            return NOTHING
        kept: list[EffectiveImport] = []
        refused: list[RefusedImport] = []
        for verdict in decided.verdicts:
            if isinstance(verdict, RefusedImport):
                refused.append(verdict)
            elif verdict.rank in self._ways:
                refused.append(_cyclic(verdict.found, self._ways[verdict.rank]))
            else:
                kept.append(verdict.found)
        return Effective(
            services=tuple(each for each in kept if each.entry.kind == SERVICE),
            streams=tuple(each for each in kept if each.entry.kind == STREAM),
            mappings=decided.of.mappings,
            refusals=tuple(refused),
        )

    # --- cycles -------------------------------------------------------------------------------------------------
    def _way_back(self, start: _Edge) -> list[_Edge] | None:
        """The imports, all older than ``start``, that lead from its exporter back to its importer, so that ``start`` is
        the one to be refused; None: there are none."""
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
            if edge.rank in seen or edge.rank >= start.rank:
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
        decided = self._decided.get(entry.exporter)
        if decided is None or entry.exporter == edge.found.importer:
            return iter(())
        return decided.taking(entry.kind, entry.subject)

    def _in_cycle(self, start: _Edge) -> dict[str, None]:
        """The accounts that may share a cycle with an import: all that it leads to, if it leads back."""
        home, back = start.found.importer, False
        seen: dict[_Rank, _Edge] = {}
        waiting = list(self._following(start))
        while waiting:
            edge = waiting.pop()
            if edge.rank in seen:
                continue
            seen[edge.rank] = edge
            back = back or edge.found.entry.exporter == home
            waiting.extend(self._following(edge))
        return {edge.found.importer: None for edge in seen.values()} if back else {}


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
