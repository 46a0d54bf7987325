"""What accounts share, kept in force in the engine: service imports, stream imports and mapped subjects.

``Sharing`` is told what accounts there are, in either of two ways, and makes the difference on the engine:

* a configuration: ``apply`` with all of them, at the start and after every reload;
* account JWTs: ``account_changed`` whenever one is loaded or replaced, ``account_gone`` when one is deleted. An import
  whose exporter nobody has told of waits; ``missing`` is asked for it, and whenever the exporter comes, the import
  comes into force.

Both may be mixed: ``apply`` only replaces what ``apply`` brought.
"""

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from msgspec import Struct

from gossamer.auth.claims.account import AccountClaims
from gossamer.auth.sharing.from_claims import of_claims
from gossamer.auth.sharing.resolution import NOTHING, Effective, EffectiveImport, Resolution
from gossamer.auth.sharing.values import CHUNKED, SINGLETON, STREAMED, AccountSharing, Mapping
from gossamer.auth.transforms import TransformError, parse_import
from gossamer.mesh.accounts.mapping_programs import destinations
from gossamer.mesh.engine.kinds import Response

if TYPE_CHECKING:
    from gossamer.mesh.accounts.registry import Accounts
    from gossamer.mesh.engine.core import Destination, Engine, Program
    from gossamer.mesh.logs.log import Log
    from gossamer.mesh.world import Clock

_SECOND_NS = 1_000_000_000
#: How long the loop is kept before everything else has its turn.
_TURN_NS = 4_000_000
#: Accounts decided about before the clock is looked at.
_DECIDED_AT_ONCE = 50
#: How long a timer may run: what is due later is looked at again then.
_TIMER_MAX_S = 24 * 3600.0
#: A moment counts as past only after it: look a little later.
_AFTER_S = 0.01

_RESPONSES = {SINGLETON: Response.SINGLETON, STREAMED: Response.STREAM, CHUNKED: Response.CHUNKED}


class _Service(Struct, frozen=True):
    """The arguments of ``Engine.service_import``: equal ones need no second call."""

    account: int
    local: bytes
    exporter: int
    program: "Program"
    response: int
    threshold_ns: int
    share: bool
    sampling: int


class _Stream(Struct, frozen=True):
    """The arguments of ``Engine.stream_import``."""

    account: int
    exporter: int
    subject: bytes
    program: "Program"


class _Applied(Struct):
    """What the engine was told of one account."""

    imports: dict[_Service | _Stream, int]
    mappings: "dict[bytes, tuple[Destination, ...]]"
    account: int = 0


class Sharing:
    """Of one node. ``resolution`` says what is in force and what is not, and why."""

    def __init__(
        self,
        engine: "Engine",
        accounts: "Accounts",
        *,
        clock: "Clock",
        log: "Log",
        cluster_name: str = "",
    ) -> None:
        """``cluster_name``: that of this node, on which mappings may depend; ``cluster_renamed`` when it changes."""
        self._engine = engine
        self._accounts = accounts
        self._clock = clock
        self._log = log
        self._cluster_name = cluster_name
        self.resolution = Resolution()
        #: Called with the key of an account that an import names and nobody has told of.
        self.missing: Callable[[str], None] | None = None
        #: Called with the name of an account whose clients' requests begin to tell who asks.
        self.telling_began: Callable[[str], None] | None = None
        #: Called when the node ends.
        self.ended: Callable[[], None] | None = None
        self._configured: set[str] = set()
        self._applied: dict[str, _Applied] = {}
        self._by_number: dict[int, EffectiveImport] = {}
        self._telling: set[str] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._undecided: dict[str, None] = {}  # accounts whose imports are yet to be decided about anew
        self._waiting: dict[str, None] = {}  # accounts that the engine is yet to be told of
        self._turn: asyncio.Handle | None = None

    # --- being told ---------------------------------------------------------------------------------------------
    def apply(self, accounts: Iterable[AccountSharing]) -> None:
        """Follow a configuration: these accounts and no others of it. Call it after ``Accounts.apply``."""
        wanted = {each.account: each for each in accounts}
        now = self._now()
        changed = self.resolution.put_all(
            (each for each in wanted.values() if self.resolution.account(each.account) != each), now
        )
        for gone in sorted(self._configured - wanted.keys()):
            changed |= self.resolution.remove(gone, now)
        self._configured = set(wanted)
        self._follow(changed, at_once=True)  # numbers of accounts that are gone may be given anew

    def account_changed(self, key: str, what: "AccountClaims | AccountSharing", *, place: str = "") -> None:
        """An account was loaded or replaced: its claims (or values), and where they were found. Its own imports and
        those of its importers follow, a turn of the loop after the other if they are many; live subscriptions get or
        lose what they see of other accounts."""
        sharing = what if isinstance(what, AccountSharing) else of_claims(what, place)
        self._decide(key, self.resolution.take((sharing,)))
        for wanted in self.resolution.missing(key):
            if self.missing is not None:
                self.missing(wanted)

    def account_gone(self, key: str) -> None:
        """An account was deleted: whatever it imports and exports ends."""
        self._decide(key, self.resolution.drop(key))

    def cluster_renamed(self, cluster_name: str) -> None:
        """The node's cluster has another name: mappings that name a cluster are looked at again."""
        self._cluster_name = cluster_name
        for name in list(self.resolution):
            self._follow_account(name, self.resolution.effective(name))

    def import_service(
        self, account: int, local: str, exporter: int, subject: str, *, share: bool = False, response: str = SINGLETON
    ) -> int:
        """An import that nobody wrote down: of the system account's services (spec auth section 23.4). ``account`` and
        ``exporter`` are numbers in the engine. Returns its number, for ``Engine.remove_import``. Raises
        TransformError."""
        transform = parse_import(subject, local)
        return self._engine.service_import(
            account,
            local=transform.pattern.encode(),
            exporter=exporter,
            program=transform.to_exporter.program(),
            response=_RESPONSES[response],
            share=share,
        )

    def stop(self) -> None:
        """The node ends: no further timer."""
        if self.ended is not None:
            self.ended()
        self._undecided.clear()
        self._waiting.clear()
        for timer in (self._timer, self._turn):
            if timer is not None:
                timer.cancel()
        self._timer = self._turn = None

    # --- being asked --------------------------------------------------------------------------------------------
    def of_number(self, service_import: int) -> EffectiveImport | None:
        """The import behind a number of the engine, if it is in force."""
        return self._by_number.get(service_import)

    def tells(self, account: str) -> bool:
        """Do requests of this account's clients reach a service that learns who asks, at once or by others?"""
        return account in self._telling

    # --- making it so -------------------------------------------------------------------------------------------
    def _now(self) -> float:
        return self._clock.wall_ns() / _SECOND_NS

    def _decide(self, key: str, touched: dict[str, None]) -> None:
        """The account's own imports now, those of its importers as far as this turn of the loop allows."""
        for name in touched:
            self._undecided.setdefault(name)
        self._undecided.pop(key, None)
        self._follow(self.resolution.decide((key,), self._now()))

    def _follow(self, changed: dict[str, Effective], *, at_once: bool = False) -> None:
        """The engine is told now of as many accounts as one turn of the loop allows, of the others right after it: ten
        thousand may import from one. ``at_once``: of all."""
        for name in changed:  # what was waiting for its turn keeps it
            self._waiting.setdefault(name)
        self._go_on(at_once=at_once)
        self._follow_telling(changed)
        self._arm()

    def _go_on(self, *, at_once: bool = False) -> None:
        end_ns = self._clock.monotonic_ns() + _TURN_NS
        while self._undecided:
            some = list(itertools.islice(self._undecided, _DECIDED_AT_ONCE))
            for name in some:
                del self._undecided[name]
            changed = self.resolution.decide(some, self._now())
            for name in changed:
                self._waiting.setdefault(name)
            self._follow_telling(changed)
            self._arm()
            if self._clock.monotonic_ns() >= end_ns:
                break
        for name in list(self._waiting):
            del self._waiting[name]
            effective = self.resolution.effective(name)  # as it is by now
            self._follow_account(name, effective)
            if self._log.debugging:
                for refused in effective.refusals:
                    self._log.debug(f"Account {name}: {refused.error}: {refused.reason}")
            if self._waiting and not at_once and self._clock.monotonic_ns() >= end_ns:
                break
        if self._turn is not None:
            self._turn.cancel()
            self._turn = None
        if self._waiting or self._undecided:
            self._turn = asyncio.get_running_loop().call_soon(self._go_on)

    def _follow_account(self, name: str, effective: Effective) -> None:
        """What was in force and is no more ends first, so that a change of one import is never both."""
        applied = self._applied.get(name)
        if applied is None:
            if effective == NOTHING or not (effective.services or effective.streams or effective.mappings):
                return
            applied = self._applied[name] = _Applied({}, {})
        number = self._number(name) if name in self.resolution else applied.account
        if number != applied.account:
            applied.mappings.clear()  # of an engine account that is no more
            applied.account = number
        wanted: dict[_Service | _Stream, EffectiveImport] = {}
        for each in effective.services:
            wanted.setdefault(self._service(number, each), each)
        for each in effective.streams:
            wanted.setdefault(self._stream(number, each), each)
        for arguments in [known for known in applied.imports if known not in wanted]:
            gone = applied.imports.pop(arguments)
            self._by_number.pop(gone, None)
            self._engine.remove_import(gone)
        self._map(number, applied, effective.mappings)
        for arguments, each in wanted.items():
            found = applied.imports.get(arguments)
            if found is None:
                found = applied.imports[arguments] = self._import(arguments)
            self._by_number[found] = each
        if not applied.imports and not applied.mappings:
            del self._applied[name]

    def _import(self, arguments: _Service | _Stream) -> int:
        if isinstance(arguments, _Stream):
            return self._engine.stream_import(
                arguments.account,
                exporter=arguments.exporter,
                subject=arguments.subject,
                program=arguments.program,
            )
        return self._engine.service_import(
            arguments.account,
            local=arguments.local,
            exporter=arguments.exporter,
            program=arguments.program,
            response=arguments.response,
            threshold_ns=arguments.threshold_ns,
            share=arguments.share,
            sampling=arguments.sampling,
        )

    def _map(self, account: int, applied: _Applied, mappings: Iterable[Mapping]) -> None:
        wanted: dict[bytes, tuple[Destination, ...]] = {}
        for mapping in mappings:
            try:
                found = destinations(mapping, self._cluster_name)
            except TransformError as error:
                self._log.warning(f'Mapping of "{mapping.source}" is left out: {error}; at {mapping.place}')
                continue
            if found:
                wanted[mapping.source.encode()] = found
        for source in [known for known in applied.mappings if known not in wanted]:
            del applied.mappings[source]
            self._engine.mapping(account, source, None)
        for source, found in wanted.items():
            if applied.mappings.get(source) != found:
                applied.mappings[source] = found
                self._engine.mapping(account, source, found)

    def _service(self, account: int, each: EffectiveImport) -> _Service:
        export, latency = each.export, each.export.latency
        measured = latency is not None and export.response == SINGLETON and self._accounts.system is not None
        return _Service(
            account,
            each.transform.pattern.encode(),
            self._number(each.entry.exporter),
            each.transform.to_exporter.program(),
            _RESPONSES.get(export.response, Response.SINGLETON),
            export.threshold_ns,
            each.entry.share,
            latency.sampling if latency is not None and measured else -1,
        )

    def _stream(self, account: int, each: EffectiveImport) -> _Stream:
        exporter = self._number(each.entry.exporter)
        return _Stream(account, exporter, each.entry.subject.encode(), each.transform.to_local.program())

    def _number(self, name: str) -> int:
        account = self._accounts.find(name)
        return (account or self._accounts.bring(name)).number

    # --- who tells who asks -------------------------------------------------------------------------------------
    def _follow_telling(self, changed: Iterable[str]) -> None:
        waiting = list(changed)
        while waiting:
            name = waiting.pop()
            tells = any(
                each.entry.share or each.entry.exporter in self._telling
                for each in self.resolution.effective(name).services
            )
            if tells == (name in self._telling):
                continue
            if tells:
                self._telling.add(name)
                if self.telling_began is not None:
                    self.telling_began(name)
            else:
                self._telling.discard(name)
            waiting.extend(self.resolution.importers(name))

    # --- time ---------------------------------------------------------------------------------------------------
    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        due = self.resolution.next_change
        if due:
            delay_s = min(max(0.0, due - self._now()) + _AFTER_S, _TIMER_MAX_S)
            self._timer = asyncio.get_running_loop().call_later(delay_s, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        self._follow(self.resolution.recheck(self._now()))
