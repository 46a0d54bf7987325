"""Where a message goes: over mappings, service imports and stream imports of all accounts, offline.

A message is published in an account. Its mappings come first, once; the publisher must be allowed what they make. That
reaches whoever subscribes to it in the account; an account that imports that stream, under its local name; through a
service import the exporting account, under the exporter's subject, whose mappings are applied again and whose own
service imports lead on. What came in as a request is not exported as a stream again (spec auth sections 17 to 21).
"""

from collections.abc import Callable, Iterable

from msgspec import Struct, field

from gossamer.auth.sharing.resolution import EffectiveImport, RefusedImport, Resolution
from gossamer.auth.sharing.values import STREAM, AccountSharing, Mapping, Target
from gossamer.auth.subjects import has_wildcards, is_literal, matches, overlaps
from gossamer.auth.transforms import Function, Transform, TransformError, parse, parse_import

STEPS_MAX = 1000
_DEPTH_MAX = 32


class Step(Struct, frozen=True, kw_only=True):
    """One thing that happens to the message, or why something does not (``stops``). ``account`` and ``subject`` are
    where it is afterwards; ``place`` is the claim or the configuration line that says so."""

    kind: str
    account: str
    subject: str
    text: str
    depth: int = 0
    place: str = ""
    stops: bool = False


class Arrival(Struct, frozen=True, kw_only=True):
    """An account and a subject under which the message can be received there. ``key`` is the account as servers call
    it; ``share`` how many percent of the messages come; ``how``: own, service or stream."""

    account: str
    key: str
    subject: str
    how: str
    share: int = 100


class Journey(Struct, kw_only=True):
    """All that happens, in order, and where it ends."""

    steps: list[Step] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)

    def step(self, step: Step) -> None:
        """Note a step; beyond so many they are left out."""
        if len(self.steps) < STEPS_MAX:
            self.steps.append(step)


class Map(Struct, frozen=True):
    """All accounts as far as they are known. ``cluster``: the cluster in which the message is published, for mappings
    that are bound to one."""

    accounts: Resolution
    cluster: str = ""

    @classmethod
    def of(cls, accounts: Iterable[AccountSharing], now: float, cluster: str = "") -> "Map":
        """``now``: unix seconds, for activations that end."""
        resolution = Resolution()
        resolution.put_all(accounts, now)
        return cls(resolution, cluster)

    def label(self, key: str) -> str:
        """The name of an account for people."""
        known = self.accounts.account(key)
        return known.name or key if known is not None else key

    def mapped(self, account: str, subject: str) -> list[str]:
        """What the mappings of an account make of a subject: itself, where there are none."""
        return [made for _, made in self._mapped(Journey(), account, subject, 0)]

    def published(self, account: str, subject: str, refusal: Callable[[str], str] = lambda _: "") -> Journey:
        """The journey of a message that somebody of ``account`` (as servers call it) publishes.

        ``refusal`` says why the publisher may not publish to a subject; empty: it may. It is asked about what the
        mappings of its account have made of the subject: that is what servers judge.
        """
        journey = Journey()
        for share, made in self._mapped(journey, account, subject, 0):
            why = refusal(made)
            if why:
                text = f"the user may not publish to {made!r}: {why}"
                journey.step(_stop("permission", self.label(account), made, text, 0, ""))
            else:
                self._arrive(journey, account, made, 0, share, requested=False, passed=frozenset())
        return journey

    def subscribed(self, account: str, subject: str) -> Journey:
        """What a subscription can receive, and from where: publications, imported streams, requests of importers."""
        journey = Journey()
        name = self.label(account)
        text = f"whatever is published in account {name!r} on subjects that it matches"
        journey.step(Step(kind="publications", account=name, subject=subject, text=text))
        journey.arrivals.append(Arrival(account=name, key=account, subject=subject, how="own"))
        self._mapped_away(journey, account, subject)
        effective = self.accounts.effective(account)
        for found in effective.streams:
            if overlaps(found.transform.pattern, subject):
                exporter = self.label(found.entry.exporter)
                text = f"imports the stream {found.entry.subject!r} of account {exporter!r} as {found.entry.local!r}"
                place = found.entry.place
                journey.step(Step(kind="stream-import", account=name, subject=subject, text=text, place=place))
                journey.arrivals.append(
                    Arrival(account=exporter, key=found.entry.exporter, subject=found.entry.subject, how="stream")
                )
        for refused in effective.refusals:
            if refused.entry.kind == STREAM and _may_concern(refused, subject):
                journey.step(self._refused(refused, subject, 0))
        self._requests(journey, account, subject)
        return journey

    # --- publishing -----------------------------------------------------------------------------------------------
    def _travel(
        self,
        journey: Journey,
        account: str,
        subject: str,
        depth: int,
        share: int,
        *,
        requested: bool,
        passed: frozenset[tuple[str, str]],
    ) -> None:
        if depth > _DEPTH_MAX or len(journey.steps) >= STEPS_MAX:
            return
        for part, made in self._mapped(journey, account, subject, depth):
            self._arrive(journey, account, made, depth, share * part // 100, requested=requested, passed=passed)

    def _mapped(self, journey: Journey, account: str, subject: str, depth: int) -> list[tuple[int, str]]:
        """Percentages and subjects after the account's mappings."""
        mapping = _mapping_of(self.accounts.effective(account).mappings, subject)
        if mapping is None:
            return [(100, subject)]
        name = self.label(account)
        found: list[tuple[int, str]] = []
        targets = _targets(mapping, self.cluster)
        for target in targets:
            try:
                transform = parse(mapping.source, target.subject)
                made = transform.apply(subject.encode(), lambda _: 0).decode("utf-8", "replace")
            except (TransformError, ValueError) as error:
                text = f"the mapping {mapping.source!r} to {target.subject!r} makes no subject: {error}"
                journey.step(_stop("mapping", name, subject, text, depth, mapping.place))
                continue
            chance = any(token.function is Function.RANDOM for token in transform.tokens)
            text = f"mapping {mapping.source!r} to {target.subject!r} makes {made!r} of it"
            text += f", for {target.weight}% of the messages" if target.weight != 100 else ""
            text += " (0 stands for a random number)" if chance else ""
            if is_literal(made):
                journey.step(
                    Step(kind="mapping", account=name, subject=made, text=text, depth=depth, place=mapping.place)
                )
                found.append((target.weight, made))
            else:
                text += ": no subject, it reaches nobody"
                journey.step(_stop("mapping", name, made, text, depth, mapping.place))
        rest = 100 - sum(target.weight for target in targets)
        if rest > 0:
            if any(target.subject == mapping.source for target in targets):
                text = f"{rest}% of the messages are dropped by mapping {mapping.source!r}"
                journey.step(_stop("mapping", name, subject, text, depth, mapping.place))
            else:
                text = f"{rest}% of the messages keep their subject"
                journey.step(
                    Step(kind="mapping", account=name, subject=subject, text=text, depth=depth, place=mapping.place)
                )
                found.append((rest, subject))
        return found

    def _arrive(
        self,
        journey: Journey,
        account: str,
        subject: str,
        depth: int,
        share: int,
        *,
        requested: bool,
        passed: frozenset[tuple[str, str]],
    ) -> None:
        name = self.label(account)
        text = f"subscribers of {subject!r} in account {name!r} get it"
        journey.step(Step(kind="subscribers", account=name, subject=subject, text=text, depth=depth))
        how = "service" if requested else "own"
        journey.arrivals.append(Arrival(account=name, key=account, subject=subject, how=how, share=share))
        if not requested:
            self._as_stream(journey, account, subject, depth, share)
        effective = self.accounts.effective(account)
        for found in effective.services:
            if matches(found.transform.pattern, subject):
                self._as_request(journey, found, subject, depth, share, passed)
        for refused in effective.refusals:
            if refused.entry.kind != STREAM and _may_concern(refused, subject):
                journey.step(self._refused(refused, subject, depth))

    def _as_stream(self, journey: Journey, account: str, subject: str, depth: int, share: int) -> None:
        for importer in self.accounts.importers(account):
            effective = self.accounts.effective(importer)
            name = self.label(importer)
            for found in effective.streams:
                if found.entry.exporter != account or not matches(found.entry.subject, subject):
                    continue
                local = _applied(found.transform.to_local, subject)
                text = f"account {name!r} imports the stream {found.entry.subject!r}: seen there as {local!r}"
                place = found.entry.place
                journey.step(
                    Step(kind="stream-import", account=name, subject=local, text=text, depth=depth, place=place)
                )
                journey.arrivals.append(Arrival(account=name, key=importer, subject=local, how="stream", share=share))
            for refused in effective.refusals:
                mine = refused.entry.kind == STREAM and refused.entry.exporter == account
                if mine and matches(refused.entry.subject, subject):
                    journey.step(self._refused(refused, subject, depth))

    def _as_request(
        self,
        journey: Journey,
        found: EffectiveImport,
        subject: str,
        depth: int,
        share: int,
        passed: frozenset[tuple[str, str]],
    ) -> None:
        exporter = found.entry.exporter
        there = _applied(found.transform.to_exporter, subject)
        name = self.label(exporter)
        export = (exporter, found.export.subject)
        if export in passed:
            text = f"it has passed the export {found.export.subject!r} of account {name!r} already"
            journey.step(_stop("service-import", name, there, text, depth + 1, found.entry.place))
            return
        text = f"the service import {found.entry.local!r} leads to account {name!r}, as {there!r}"
        journey.step(
            Step(
                kind="service-import",
                account=name,
                subject=there,
                text=text,
                depth=depth + 1,
                place=f"{found.entry.place}; {found.export.place}",
            )
        )
        self._travel(journey, exporter, there, depth + 1, share, requested=True, passed=passed | {export})

    # --- subscribing ----------------------------------------------------------------------------------------------
    def _mapped_away(self, journey: Journey, account: str, subject: str) -> None:
        name = self.label(account)
        for mapping in self.accounts.effective(account).mappings:
            if overlaps(mapping.source, subject):
                targets = ", ".join(repr(target.subject) for target in _targets(mapping, self.cluster))
                text = f"what is published on {mapping.source!r} goes to {targets} instead"
                journey.step(Step(kind="mapping", account=name, subject=subject, text=text, place=mapping.place))

    def _requests(self, journey: Journey, account: str, subject: str) -> None:
        for importer in self.accounts.importers(account):
            for found in self.accounts.effective(importer).services:
                if found.entry.exporter == account and overlaps(found.entry.subject, subject):
                    name = self.label(importer)
                    text = f"requests of account {name!r} to {found.entry.local!r} arrive as {found.entry.subject!r}"
                    place = found.entry.place
                    journey.step(Step(kind="requests", account=name, subject=subject, text=text, place=place))
                    journey.arrivals.append(
                        Arrival(account=name, key=importer, subject=found.transform.pattern, how="service")
                    )

    def _refused(self, refused: RefusedImport, subject: str, depth: int) -> Step:
        reason = refused.reason
        name = self.label(refused.importer)
        what = f"the {refused.entry.kind} import {refused.entry.local!r} of account {name!r}"
        text = f"{what} is not in force: {reason.text}"
        place = reason.place or refused.entry.place
        return _stop(f"{refused.entry.kind}-import", name, subject, text, depth, place)


def _mapping_of(mappings: Iterable[Mapping], subject: str) -> Mapping | None:
    """The literal source, else the first pattern that contains the subject."""
    first = None
    for mapping in mappings:
        if mapping.source == subject and not has_wildcards(mapping.source):
            return mapping
        if first is None and matches(mapping.source, subject):
            first = mapping
    return first


def _targets(mapping: Mapping, cluster: str) -> list[Target]:
    own = [target for target in mapping.targets if target.cluster and target.cluster == cluster]
    return own or [target for target in mapping.targets if not target.cluster]


def _may_concern(refused: RefusedImport, subject: str) -> bool:
    try:
        return overlaps(parse_import(refused.entry.subject, refused.entry.local).pattern, subject)
    except TransformError:
        return refused.entry.local == subject


def _applied(transform: Transform, subject: str) -> str:
    return transform.apply(subject.encode(), lambda _: 0).decode("utf-8", "replace")


def _stop(kind: str, account: str, subject: str, text: str, depth: int, place: str) -> Step:
    return Step(kind=kind, account=account, subject=subject, text=text, depth=depth, place=place, stops=True)
