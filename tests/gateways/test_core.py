"""The core alone, on made-up time: what must hold whatever the network does (spec gateways 5, 6)."""

import heapq
import itertools
import json
import random
from collections.abc import Callable
from typing import Any

import pytest
from gateway_peer import connect_line, info_line

from gossamer.mesh.engine.kinds import CloseReason
from gossamer.mesh.gateways import actions as do
from gossamer.mesh.gateways.core import GatewayCore
from gossamer.mesh.gateways.settings import GatewayUrl, learned_url, parse_url, settings_from
from gossamer.mesh.gateways.surroundings import GatewayIdentity
from gossamer.mesh.gateways.table import IMPLICIT_MAX, LEARNED_MAX
from gossamer.mesh.options.options import GatewayOptions, RemoteGatewayOptions

SECOND = 1_000_000_000


class Chance:
    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def below(self, limit: int) -> int:
        return self._random.randrange(limit)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def engine_seed(self) -> int | None:
        return None


class World:
    """Carries out what a core wants. ``answers``: who is there at an address, as a function of the link it became;
    nobody: the connection is refused. ``dials``: when and where somebody was called."""

    def __init__(self, seed: int = 1, **options: Any) -> None:
        settings = settings_from(GatewayOptions(**({"name": "OWN", "host": "10.0.0.1", "port": 7222} | options)))
        identity = GatewayIdentity(server_id="NSELF", server_name="own1", version="2.15.1")
        self.core = GatewayCore(identity, settings, Chance(seed), lambda name: name in ("own1", "own2"))
        self.core.prepare("10.0.0.1", 7222)
        self.now = 0
        self.answers: dict[str, Callable[[int], None]] = {}
        self.dials: list[tuple[int, str]] = []
        self.joined: dict[int, do.Join] = {}
        self.sent: dict[int, list[str]] = {}
        self.told: list[str] = []  # to other nodes of the cluster
        self.announced: list[str] = []
        self.closing: dict[int, str] = {}
        self._later: list[tuple[int, int, Callable[[], None]]] = []
        self._waiting: dict[int, int] = {}  # attempt: the number of its timer
        self._number = 0
        self._link = 100

    def after(self, delay_ns: int, what: Callable[[], None]) -> int:
        self._number += 1
        heapq.heappush(self._later, (self.now + delay_ns, self._number, what))
        return self._number

    def run(self, seconds: float) -> None:
        end = self.now + int(seconds * SECOND)
        self.settle()
        while self._later and self._later[0][0] <= end:
            self.now, _, what = heapq.heappop(self._later)
            what()
            self.settle()
        self.now = end

    def settle(self) -> None:
        while self.core.actions:
            self._carry_out(self.core.actions.popleft())

    def _carry_out(self, action: do.Action) -> None:
        match action:
            case do.StartDial():
                self.dials.append((self.now, f"{action.host}:{action.port}"))
                self.after(1_000_000, lambda: self._connect(action))
            case do.WakeDial():
                assert action.attempt not in self._waiting
                self._waiting[action.attempt] = self.after(action.delay_ns, lambda: self._wake(action.attempt))
            case do.CancelDial():
                self._waiting.pop(action.attempt, None)
            case do.Join():
                self.joined[action.link] = action
            case do.Send():
                self.sent.setdefault(action.link, []).extend(action.data.decode().split("\r\n")[:-1])
            case do.TellNodes() | do.TellNode():
                self.told.append(action.line.decode())
            case do.Announce():
                self.announced.append(action.line.decode())
            case do.CloseLink():
                self.closing[action.link] = action.error
                self.after(1_000_000, lambda: self.core.closed(action.link, action.reason, self.now))
            case do.CheckPassword():
                self.core.password_checked(action.link, action.given == "gp")

    def _wake(self, attempt: int) -> None:
        if self._waiting.pop(attempt, None) is not None:
            self.core.dial_due(attempt)

    def _connect(self, action: do.StartDial) -> None:
        answer = self.answers.get(f"{action.host}:{action.port}")
        if answer is None:
            self.core.dial_failed(action.attempt, "refused")
            return
        self._link += 1
        link = self._link
        self.core.dialled(action.attempt, link, action.host, action.port, self.now)
        answer(link)

    def member(self, name: str, address: str, **more: Any) -> None:
        """A node of another cluster answers at that address."""
        self.answers[address] = lambda link: self.hear(link, info_line(name, address, **more))

    def hear(self, link: int, line: str) -> None:
        self.core.info(link, line.removeprefix("INFO ").encode(), self.now)

    def visit(self, name: str, *addresses: str, **more: Any) -> int:
        """Somebody comes in, and says where its cluster is."""
        self._link += 1
        link = self._link
        self.core.opened(link, "10.9.9.9", 1, self.now)
        self.core.hello(link, connect_line(name).removeprefix("CONNECT ").encode(), again=False)
        self.settle()
        if link not in self.closing:
            self.hear(link, info_line(name, addresses[0], gateway_urls=list(addresses), **more))
        self.settle()
        return link

    def lose(self, link: int) -> None:
        self.core.closed(link, CloseReason.CLIENT_CLOSED, self.now)
        self.settle()

    @property
    def outbounds(self) -> list[str]:
        return sorted(row.gateway for row in self.core.rows() if row.outbound)


def remote(name: str, *urls: str) -> RemoteGatewayOptions:
    return RemoteGatewayOptions(name=name, urls=urls)


@pytest.mark.parametrize("backoff", [False, True])
def test_configured_gateways_are_dialled_for_ever(backoff: bool) -> None:
    world = World(gateways=(remote("W", "nats://10.1.0.1:7222", "10.1.0.2:7222"),), connect_backoff=backoff)
    world.core.start()
    world.run(0.99)
    assert world.dials == []
    world.run(100)
    rounds = [moment for moment, _ in world.dials[::2]]
    gaps = [round((later - earlier) / SECOND) for earlier, later in itertools.pairwise(rounds)]
    assert gaps[:7] == ([1, 2, 4, 8, 16, 30, 30] if backoff else [1] * 7)
    for position in range(0, len(world.dials) - 1, 2):
        assert {where for _, where in world.dials[position : position + 2]} == {"10.1.0.1:7222", "10.1.0.2:7222"}
    if not backoff:
        assert {where for _, where in world.dials[::2]} == {"10.1.0.1:7222", "10.1.0.2:7222"}  # in random order
    world.member("W", "10.1.0.2:7222")
    world.run(31)
    assert world.outbounds == ["W"]


@pytest.mark.parametrize("retries", [0, 3])
def test_25_an_unreachable_cluster_is_given_up(retries: int) -> None:
    world = World(connect_retries=retries)
    world.core.heard_from_node(info_line("W", "10.1.0.1:7222", gateway_cmd=1).removeprefix("INFO ").encode())
    world.run(60)
    assert len(world.dials) == 1 + retries
    gaps = [later - earlier for (earlier, _), (later, _) in zip(world.dials, world.dials[1:], strict=False)]
    assert all(gap >= SECOND for gap in gaps)
    world.core.heard_from_node(info_line("W", "10.1.0.1:7222", gateway_cmd=1).removeprefix("INFO ").encode())
    world.run(60)
    assert len(world.dials) == 2 * (1 + retries)


def test_25_who_dials_in_but_cannot_be_reached_is_not_hammered() -> None:
    world = World()
    inbound = world.visit("W", "10.1.0.1:7222")
    world.run(60)
    assert 50 <= len(world.dials) <= 61
    world.lose(inbound)
    world.run(60)
    assert len(world.dials) <= 62


def test_25_nor_who_accepts_and_drops() -> None:
    world = World()
    world.answers["10.1.0.1:7222"] = lambda link: world.core.closed(link, CloseReason.CLIENT_CLOSED, world.now)
    world.visit("W", "10.1.0.1:7222")
    world.run(120)
    moments = [moment for moment, _ in world.dials]
    assert 5 <= len(moments) <= 9
    assert all(later - earlier >= SECOND for earlier, later in itertools.pairwise(moments))


def test_25_nor_who_lets_in_and_throws_out() -> None:
    world = World()

    def answer(link: int) -> None:
        world.hear(link, info_line("W", "10.1.0.1:7222"))
        world.after(5_000_000, lambda: world.core.closed(link, CloseReason.CLIENT_CLOSED, world.now))

    world.answers["10.1.0.1:7222"] = answer
    world.visit("W", "10.1.0.1:7222")
    world.run(120)
    assert 5 <= len(world.dials) <= 9


def test_23_one_that_was_good_is_dialled_again_at_once() -> None:
    world = World()
    world.member("W", "10.1.0.1:7222")
    world.visit("W", "10.1.0.1:7222")
    for _ in range(5):
        world.run(2)
        (row,) = [row for row in world.core.rows() if row.outbound]
        world.lose(row.link)
        world.run(0.15)
        assert world.outbounds == ["W"]


def test_16_there_is_never_a_second_outbound() -> None:
    for seed in range(40):
        chance = random.Random(seed)
        world = World(seed, gateways=(remote("W", "10.1.0.1:7222"),))
        addresses = [f"10.1.0.{number}:7222" for number in range(1, 4)]
        world.core.start()
        for _ in range(60):
            what = chance.randrange(6)
            if what == 0:
                world.member("W", chance.choice(addresses))
            elif what == 1:
                world.answers.pop(chance.choice(addresses), None)
            elif what == 2:
                world.visit("W", chance.choice(addresses))
            elif what == 3:
                line = info_line("W", chance.choice(addresses), gateway_cmd=1)
                world.core.heard_from_node(line.removeprefix("INFO ").encode())
            elif what == 4 and (rows := world.core.rows()):
                world.lose(chance.choice(rows).link)
            world.run(chance.choice((0.0, 0.0005, 0.05, 1.2)))
            assert world.outbounds in ([], ["W"])
        for address in addresses:
            world.member("W", address)
        world.run(35)
        assert world.outbounds == ["W"]


def test_addresses_of_the_cluster_are_counted() -> None:
    world = World()
    inbound = world.visit("W", "10.1.0.1:7222")
    world.core.node_joined("N2", "lb:7222")
    world.core.node_joined("N3", "lb:7222")
    world.core.node_joined("N4", "")
    world.core.node_left("N2")
    world.settle()
    assert len(world.announced) == 1
    world.core.node_left("N3")
    world.core.node_left("N3")
    world.settle()
    told = [json.loads(line[5:])["gateway_urls"] for line in world.sent[inbound] if '"gateway":"OWN"' in line]
    assert told == [["10.0.0.1:7222", "lb:7222"], ["10.0.0.1:7222"]]


def gossip_to(world: World, link: int) -> list[tuple[str, list[str]]]:
    """What a link was told of other clusters."""
    told = [json.loads(line[5:]) for line in world.sent.get(link, [])]
    return [(each["gateway"], each["gateway_urls"]) for each in told if each.get("gateway_cmd") == 1]


def test_those_who_came_in_before_hear_of_a_cluster_that_becomes_known() -> None:
    """Two clusters that know each other through a third only, and came to it in the same moment."""
    world = World()
    first = world.visit("E", "10.2.0.1:7222")
    line = info_line("S", "10.3.0.1:7222", gateway_cmd=1)
    world.core.heard_from_node(line.removeprefix("INFO ").encode())
    world.settle()
    assert gossip_to(world, first) == [("S", ["10.3.0.1:7222"])]
    world.core.heard_from_node(line.removeprefix("INFO ").encode())  # nothing new
    second = world.visit("S", "10.3.0.1:7222", "10.3.0.2:7222")
    assert gossip_to(world, first)[1:] == [("S", ["10.3.0.1:7222", "10.3.0.2:7222"])]
    assert gossip_to(world, second) == [("E", ["10.2.0.1:7222"])]


def test_those_who_came_in_before_hear_what_an_outbound_tells() -> None:
    world = World(gateways=(remote("W", "10.1.0.1:7222"),))
    world.member("W", "10.1.0.1:7222", gateway_urls=["10.1.0.1:7222", "10.1.0.2:7222"])
    world.core.start()
    inbound = world.visit("E", "10.2.0.1:7222")
    own = world.visit("W", "10.1.0.1:7222")
    world.run(2)
    both = ["10.1.0.1:7222", "10.1.0.2:7222"]
    assert gossip_to(world, inbound) == [("W", both[:1]), ("W", both)]
    assert gossip_to(world, own) == [("E", ["10.2.0.1:7222"])]
    (outbound,) = (link for link, join in world.joined.items() if join.outbound)
    world.hear(outbound, info_line("W", "10.1.0.1:7222", gateway_urls=["10.1.0.1:7222"]))
    world.settle()
    assert len(gossip_to(world, inbound)) == 2  # a cluster that shrinks is no news


def test_who_is_on_the_way_in_hears_of_a_change_too() -> None:
    world = World()
    world.core.opened(1, "10.9.9.9", 1, 0)
    world.core.node_joined("N2", "10.0.0.2:7222")
    world.settle()
    assert "10.0.0.2:7222" in world.sent[1][0]


def test_own_addresses_replace_and_gossip_adds() -> None:
    world = World(gateways=(remote("W", "nats://u:p@10.1.0.1:7222"),))
    world.member("W", "10.1.0.1:7222", gateway_urls=["10.1.0.1:7222", "10.1.0.2:7222"])
    world.core.start()
    world.run(2)
    (link,) = world.joined
    assert '"user":"u","pass":"p"' in world.sent[link][0]
    assert world.core.addresses() == {"W": ["10.1.0.1:7222", "10.1.0.2:7222"]}
    world.core.heard_from_node(info_line("W", "10.1.0.3:7222", gateway_cmd=1).removeprefix("INFO ").encode())
    assert world.core.addresses() == {"W": ["10.1.0.1:7222", "10.1.0.2:7222", "10.1.0.3:7222"]}
    world.hear(link, info_line("W", "10.1.0.4:7222"))
    assert world.core.addresses() == {"W": ["10.1.0.1:7222", "10.1.0.4:7222"]}
    world.settle()
    assert [json.loads(line[5:])["gateway_urls"] for line in world.told] == [
        ["10.1.0.1:7222", "10.1.0.2:7222"],
        ["10.1.0.4:7222"],
    ]


def test_reject_unknown_ignores_gossip_of_other_clusters_but_not_of_our_nodes() -> None:
    world = World(gateways=(remote("W", "10.1.0.1:7222"),), reject_unknown_cluster=True)
    world.member("W", "10.1.0.1:7222")
    world.core.start()
    world.run(2)
    (link,) = world.joined
    world.hear(link, info_line("S", "10.2.0.1:7222", gateway_cmd=1))
    world.run(1)
    assert world.closing == {}
    assert len(world.dials) == 1
    assert world.closing.get(world.visit("S", "10.2.0.1:7222")) == 'Connection to gateway "OWN" rejected'
    world.core.heard_from_node(info_line("S", "10.2.0.1:7222", gateway_cmd=1).removeprefix("INFO ").encode())
    world.run(1)
    assert world.dials[-1][1] == "10.2.0.1:7222"


def test_what_others_tell_has_a_bound() -> None:
    world = World()
    world.member("W", "10.1.0.1:7222")
    world.visit("W", "10.1.0.1:7222", *(f"10.3.{number // 250}.{number % 250}:1" for number in range(2000)))
    for number in range(IMPLICIT_MAX + 50):
        line = info_line(f"X{number}", "10.4.0.1:1", gateway_cmd=1)
        world.core.heard_from_node(line.removeprefix("INFO ").encode())
    world.settle()
    gateways = world.core._table.gateways
    assert len(gateways) == IMPLICIT_MAX
    assert len(gateways["W"].learned) == LEARNED_MAX


def test_nobody_is_dialled_or_let_in_when_we_leave() -> None:
    world = World(gateways=(remote("W", "10.1.0.1:7222"),))
    world.member("W", "10.1.0.1:7222")
    world.core.start()
    world.run(1.5)
    world.core.stop_dialling()
    (link,) = world.joined
    world.lose(link)
    late = world.visit("S", "10.2.0.1:7222")
    world.run(10)
    assert len(world.dials) == 1
    assert late in world.closing
    world.core.stop()
    world.run(1)
    assert world.core.rows() == []


def test_a_hashed_or_wrong_password_is_judged_elsewhere() -> None:
    world = World(user="g", password="gp")
    for said, error in (({"user": "g", "pass": "gp"}, None), ({"user": "g", "pass": "x"}, "Authorization Violation")):
        link = 1 if error is None else 2
        world.core.opened(link, "10.9.9.9", 1, 0)
        world.core.hello(link, connect_line("W", **said).removeprefix("CONNECT ").encode(), again=False)
        world.settle()
        assert world.closing.get(link) == error


@pytest.mark.parametrize("text", ["{", "[]", '{"gateway": 5}', '{"gateway_urls": "x"}', "\xff"])
def test_what_is_no_info_ends_the_connection(text: str) -> None:
    world = World(gateways=(remote("W", "10.1.0.1:7222"),))
    world.answers["10.1.0.1:7222"] = lambda link: world.core.info(link, text.encode("latin-1"), world.now)
    world.core.start()
    world.run(1.5)
    assert len(world.closing) == 1
    world.core.heard_from_node(text.encode("latin-1"))
    world.settle()


def test_addresses_as_they_are_read() -> None:
    assert parse_url("nats://u%40x:p@[::1]:5") == GatewayUrl("::1", 5, "u@x", "p")
    assert parse_url("host").port == 7222
    assert learned_url("[::1]:5") == GatewayUrl("::1", 5)
    for text in ("host", "host:0", "host:x", "a@host:1", "host:1/x", "", ":1", "host:99999"):
        assert learned_url(text) is None
    with pytest.raises(ValueError, match="no host"):
        parse_url("nats://:1")
