"""What the engine is told of what accounts share: the difference, and nothing else."""

import asyncio
import itertools

import pytest

from gossamer.auth.claims import AccountClaims, ActivationClaims
from gossamer.auth.claims import Export as ExportClaim
from gossamer.auth.claims import Import as ImportClaim
from gossamer.auth.jwt import encode
from gossamer.auth.keys import KeyKind, KeyPair
from gossamer.auth.settings import AuthSettings
from gossamer.auth.sharing.values import (
    CHUNKED,
    SERVICE,
    STREAM,
    AccountSharing,
    Export,
    Import,
    Latency,
    Mapping,
    Target,
)
from gossamer.auth.transforms import parse
from gossamer.mesh.accounts.mapping_programs import destinations
from gossamer.mesh.accounts.registry import Accounts
from gossamer.mesh.accounts.sharing import Sharing
from gossamer.mesh.engine.kinds import Part, Response
from gossamer.mesh.system.service_latency import triggers

NOW = 1_800_000_000


class RecordingEngine:
    """Remembers what it was told, and knows which imports stand."""

    def __init__(self):
        self.calls = []
        self.imports = {}
        self.removed = lambda: None
        self._numbers = itertools.count(1)

    def account(self, name, **flags):
        return next(self._numbers)

    def service_import(self, account, **arguments):
        number = next(self._numbers)
        self.imports[number] = ("service", account, arguments)
        self.calls.append("service_import")
        return number

    def stream_import(self, account, **arguments):
        number = next(self._numbers)
        self.imports[number] = ("stream", account, arguments)
        self.calls.append("stream_import")
        return number

    def remove_import(self, number):
        del self.imports[number]
        self.calls.append("remove_import")
        self.removed()

    def mapping(self, account, source, destinations):
        self.calls.append(("mapping", account, source, destinations))


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self):
        self.now = NOW

    def wall_ns(self):
        return int(self.now * 1_000_000_000)

    def monotonic_ns(self):
        return self.wall_ns()


class Lines:
    """A log that is a list."""

    debugging = True

    def __init__(self):
        self.lines = []

    def debug(self, text):
        self.lines.append(text)

    warning = debug


@pytest.fixture
def engine():
    return RecordingEngine()


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def log():
    return Lines()


@pytest.fixture
def sharing(engine, clock, log):
    made = Sharing(engine, Accounts(engine, AuthSettings()), clock=clock, log=log, cluster_name="east")
    yield made
    made.stop()


def exporter(*exports):
    return AccountSharing(account="A", exports=exports or (Q, EV))


def importer(*imports, **fields):
    return AccountSharing(account="B", imports=imports, **fields)


Q = Export(kind=SERVICE, subject="q.*")
EV = Export(kind=STREAM, subject="ev.>")
ASK = Import(kind=SERVICE, exporter="A", subject="q.*", local="ask.$1")
IN = Import(kind=STREAM, exporter="A", subject="ev.>", local="in.>")


def test_imports_as_the_engine_takes_them(sharing, engine):
    timed = Export(
        kind=SERVICE, subject="q.*", threshold_ns=5, latency=Latency(subject="lat", sampling=50), place="somewhere"
    )
    sharing.apply([exporter(timed, EV), importer(ASK, IN)])
    services = [made for made in engine.imports.values() if made[0] == "service"]
    streams = [made for made in engine.imports.values() if made[0] == "stream"]
    ((_, account, service),) = services
    assert service == {
        "local": b"ask.*",
        "exporter": service["exporter"],
        "program": ((Part.LITERAL, b"q", ()), (Part.WILDCARD, b"", (1,))),
        "response": Response.SINGLETON,
        "threshold_ns": 5,
        "share": False,
        "sampling": 50,
    }
    ((_, same, stream),) = streams
    assert same == account != service["exporter"]
    assert stream == {
        "exporter": service["exporter"],
        "subject": b"ev.>",
        "program": ((Part.LITERAL, b"in", ()), (Part.TAIL, b"", ())),
    }


def test_latency_only_of_single_answers_and_with_a_system_account(engine, clock, log):
    accounts = Accounts(engine, AuthSettings(), system="")
    made = Sharing(engine, accounts, clock=clock, log=log)
    latency = Latency(subject="lat", sampling=50)
    made.apply([exporter(Export(kind=SERVICE, subject="q.*", latency=latency)), importer(ASK)])
    accounts = Accounts(engine, AuthSettings())
    made = Sharing(engine, accounts, clock=clock, log=log)
    chunked = Export(kind=SERVICE, subject="q.*", latency=latency, response=CHUNKED)
    made.apply([exporter(chunked), importer(ASK)])
    assert [arguments["sampling"] for _, _, arguments in engine.imports.values()] == [-1, -1]


def test_the_same_again_is_no_call(sharing, engine):
    sharing.apply([exporter(), importer(ASK, IN)])
    before = list(engine.calls)
    sharing.apply([exporter(), importer(ASK, IN)])
    # Another place in the file changes nothing either.
    sharing.apply([exporter(), importer(Import(**{**fields(ASK), "place": "f.conf:9:9"}), IN)])
    assert engine.calls == before


def fields(value):
    return {name: getattr(value, name) for name in value.__struct_fields__}


def test_a_change_ends_the_old_import_first(sharing, engine):
    sharing.apply([exporter(), importer(ASK, IN)])
    engine.calls.clear()
    sharing.apply([exporter(Export(kind=SERVICE, subject="q.*", threshold_ns=7), EV), importer(ASK, IN)])
    assert engine.calls == ["remove_import", "service_import"]
    assert sorted(made[0] for made in engine.imports.values()) == ["service", "stream"]


def test_what_is_gone_is_taken_back(sharing, engine):
    sharing.apply([exporter(), importer(ASK, IN)])
    sharing.apply([exporter(), importer(IN)])
    assert [made[0] for made in engine.imports.values()] == ["stream"]
    sharing.apply([importer(IN)])
    assert engine.imports == {}
    sharing.apply([exporter(), importer(ASK, IN)])
    assert len(engine.imports) == 2
    sharing.apply([])
    assert engine.imports == {}


def test_a_number_leads_back_to_its_import(sharing, engine):
    sharing.apply([exporter(), importer(ASK, IN)])
    numbers = list(engine.imports)
    assert {sharing.of_number(number).entry for number in numbers} == {ASK, IN}
    sharing.apply([exporter(), importer(IN)])
    assert [number for number in numbers if sharing.of_number(number) is not None] == list(engine.imports)


def test_an_account_may_import_from_itself(sharing, engine, log):
    own = Import(kind=SERVICE, exporter="A", subject="q.*", local="other.*", place="f.conf:3:1")
    sharing.apply([AccountSharing(account="A", exports=(Q,), imports=(own,))])
    assert [made[0] for made in engine.imports.values()] == ["service"]
    assert not log.lines


# --- account by account -----------------------------------------------------------------------------------------------

FIRST, SECOND = (KeyPair.generate(KeyKind.ACCOUNT) for _ in range(2))


def test_accounts_that_become_known_one_by_one(sharing, engine, log):
    asked = []
    sharing.missing = asked.append
    imports = (ImportClaim(subject="q", account=FIRST.public, type=SERVICE),)
    sharing.account_changed(SECOND.public, AccountClaims(subject=SECOND.public, imports=imports), place="b.jwt")
    assert asked == [FIRST.public]
    assert engine.imports == {}
    assert any("is not known" in line and "b.jwt" in line for line in log.lines)
    exports = (ExportClaim(subject="q", type=SERVICE),)
    sharing.account_changed(FIRST.public, AccountClaims(subject=FIRST.public, exports=exports))
    assert len(engine.imports) == 1
    sharing.account_gone(FIRST.public)
    assert engine.imports == {}


def test_an_exporter_may_come_while_it_is_asked_for(sharing, engine):
    exports = (ExportClaim(subject="q", type=SERVICE),)
    claims = AccountClaims(subject=FIRST.public, exports=exports)
    sharing.missing = lambda key: sharing.account_changed(key, claims)
    imports = (ImportClaim(subject="q", account=FIRST.public, type=SERVICE),)
    sharing.account_changed(SECOND.public, AccountClaims(subject=SECOND.public, imports=imports))
    assert len(engine.imports) == 1


def test_a_configuration_leaves_other_accounts_alone(sharing, engine):
    sharing.account_changed("A", exporter())
    sharing.account_changed("B", importer(ASK))
    sharing.apply([])
    assert len(engine.imports) == 1


def test_an_activation_ends_by_itself(engine, clock, log):
    async def run():
        ended = asyncio.Event()
        engine.removed = ended.set
        sharing = Sharing(engine, Accounts(engine, AuthSettings()), clock=clock, log=log)
        claims = ActivationClaims(subject=SECOND.public, import_subject="q", kind=SERVICE, expires=NOW)
        token = encode(claims, FIRST, issued_at=NOW - 100)
        exports = (ExportClaim(subject="q", type=SERVICE, token_required=True),)
        sharing.account_changed(FIRST.public, AccountClaims(subject=FIRST.public, exports=exports))
        imports = (ImportClaim(subject="q", account=FIRST.public, type=SERVICE, token=token),)
        sharing.account_changed(SECOND.public, AccountClaims(subject=SECOND.public, imports=imports))
        assert len(engine.imports) == 1
        clock.now = NOW + 1
        await asyncio.wait_for(ended.wait(), 5)
        sharing.stop()

    asyncio.run(run())
    assert engine.imports == {}
    assert any("has expired" in line for line in log.lines)


# --- mappings ---------------------------------------------------------------------------------------------------------


def mapping(source, *targets):
    return Mapping(
        source=source,
        targets=tuple(Target(subject=subject, weight=weight, cluster=cluster) for subject, weight, cluster in targets),
    )


def program(subject):
    return parse("x", subject).program()


@pytest.mark.parametrize(
    ("made", "wanted"),
    [
        (mapping("x", ("a", 100, "")), [(100, program("a"))]),
        (mapping("x", ("a", 30, ""), ("b", 20, "")), [(30, program("a")), (20, program("b"))]),
        (mapping("x", ("x", 30, ""), ("b", 20, "")), [(30, program("x")), (20, program("b")), (50, ())]),
        (mapping("x", ("x", 100, "")), [(100, program("x"))]),
        (mapping("x", ("a", 100, ""), ("b", 60, "east"), ("c", 40, "west")), [(60, program("b"))]),
        (mapping("x", ("a", 100, ""), ("c", 40, "west")), [(100, program("a"))]),
        (mapping("x", ("c", 40, "west")), []),
    ],
)
def test_targets(made, wanted):
    assert list(destinations(made, "east")) == wanted


def test_no_cluster_is_no_cluster_of_the_name_nothing():
    assert list(destinations(mapping("x", ("a", 100, ""), ("b", 50, "east")), "")) == [(100, program("a"))]


def test_mappings_are_set_changed_and_removed(sharing, engine):
    def apply(*mappings):
        engine.calls.clear()
        sharing.apply([AccountSharing(account="A", mappings=mappings)])
        return [call[2:] for call in engine.calls]

    first = ((100, program("a")),)
    assert apply(mapping("x", ("a", 100, "")), mapping("y", ("a", 100, ""))) == [(b"x", first), (b"y", first)]
    assert apply(mapping("x", ("b", 100, "")), mapping("y", ("a", 100, ""))) == [(b"x", ((100, program("b")),))]
    assert apply(mapping("x", ("b", 100, ""))) == [(b"y", None)]
    assert apply() == [(b"x", None)]


def test_a_renamed_cluster_changes_what_is_scoped(sharing, engine):
    scoped = mapping("x", ("a", 100, ""), ("b", 100, "west"))
    sharing.apply([AccountSharing(account="A", mappings=(scoped,))])
    engine.calls.clear()
    sharing.cluster_renamed("west")
    assert [call[2:] for call in engine.calls] == [(b"x", ((100, program("b")),))]


def test_a_mapping_that_cannot_be_is_left_out(sharing, engine, log):
    sharing.apply(
        [AccountSharing(account="A", mappings=(mapping("x", ("a.$1", 100, "")), mapping("y", ("a", 100, ""))))]
    )
    assert [call[2] for call in engine.calls] == [b"y"]
    assert any("wildcard index out of range" in line for line in log.lines)


# --- who tells who asks -----------------------------------------------------------------------------------------------


def test_who_tells_who_asks(sharing):
    began = []
    sharing.telling_began = began.append
    told = Import(**{**fields(ASK), "share": True})
    middle = AccountSharing(account="B", imports=(told,), exports=(Export(kind=SERVICE, subject="ask.*"),))
    last = AccountSharing(account="C", imports=(Import(kind=SERVICE, exporter="B", subject="ask.*", local="chain.*"),))
    sharing.apply([exporter(), middle, last])
    assert sorted(began) == ["B", "C"]
    assert [sharing.tells(name) for name in "ABC"] == [False, True, True]
    began.clear()
    sharing.apply([exporter(), AccountSharing(account="B", imports=(ASK,), exports=middle.exports), last])
    assert (began, [sharing.tells(name) for name in "ABC"]) == ([], [False, False, False])


def test_an_import_that_nobody_wrote_down(sharing, engine):
    number = sharing.import_service(7, "$SYS.REQ.USER.INFO", 8, "$SYS.REQ.USER.B.INFO", share=True)
    kind, account, arguments = engine.imports[number]
    assert (kind, account, arguments["exporter"], arguments["local"]) == ("service", 7, 8, b"$SYS.REQ.USER.INFO")
    assert arguments["share"]


@pytest.mark.parametrize(
    ("headers", "shown"),
    [
        (b"", {}),
        (b"NATS/1.0\r\nA: b\r\n\r\n", {}),
        (b"NATS/1.0\r\nb3: 1\r\nB3: 2 \r\n\r\n", {"B3": ["1", "2"]}),
        (b"NATS/1.0\r\nX-B3-SpanId: s\r\nx-b3-traceid:t\r\n\r\n", {"X-B3-Spanid": ["s"], "X-B3-Traceid": ["t"]}),
        (b"NATS/1.0\r\nTracestate: z\r\n\r\n", {}),
    ],
)
def test_headers_of_a_record(headers, shown):
    assert triggers(headers) == shown


class RunningClock(Clock):
    """Each look takes three milliseconds."""

    def monotonic_ns(self):
        self.now += 0.003
        return self.wall_ns()


def test_many_importers_give_the_loop_its_turns(engine):
    """Everybody follows in the end, by what is so then; what is changed meanwhile is not done twice."""

    def exporter(*subjects):
        return AccountSharing(account="X", exports=tuple(Export(kind=SERVICE, subject=each) for each in subjects))

    def importer(number):
        entry = Import(kind=SERVICE, exporter="X", subject="svc", local="svc")
        return AccountSharing(account=f"A{number}", imports=(entry,))

    async def run():
        sharing = Sharing(engine, Accounts(engine, AuthSettings()), clock=RunningClock(), log=Lines())
        for number in range(20):
            sharing.account_changed(f"A{number}", importer(number))
        turns, loop = 0, asyncio.get_running_loop()
        sharing.account_changed("X", exporter("svc"))
        assert 0 < len(engine.imports) < 20
        while len(engine.imports) < 20:
            before = len(engine.imports)
            turn = loop.create_future()
            loop.call_soon(turn.set_result, None)
            await turn
            turns += 1
            assert before < len(engine.imports) <= before + 5
        assert turns > 3
        engine.calls.clear()
        sharing.account_changed("X", exporter())
        sharing.account_changed("X", exporter("svc"))  # most had not been told that it was away
        for _ in range(30):
            turn = loop.create_future()
            loop.call_soon(turn.set_result, None)
            await turn
        assert len(engine.imports) == 20
        assert engine.calls.count("remove_import") < 10
        sharing.account_changed("X", exporter())
        sharing.stop()
        sharing.stop()

    asyncio.run(run())
