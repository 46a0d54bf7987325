"""The parts of the control plane without sockets: penalties, addresses, denies, negotiation, CONNECT (spec leafnodes
5, 7, 10, 13, 15; items 4, 9, 13, 15, 19 to 21, 40, 44, 47, 50, 51, 59)."""

import random
from collections import deque
from types import SimpleNamespace

import pytest

from gossamer.auth.permissions import Permissions, SubjectPermissions
from gossamer.mesh.leafnodes import actions as do
from gossamer.mesh.leafnodes import protocol
from gossamer.mesh.leafnodes.denies import CLIENT_DENIES, SYSTEM_DENIES, StreamDomain, link_permissions
from gossamer.mesh.leafnodes.loops import penalty_of
from gossamer.mesh.leafnodes.negotiation import follow_rtt, negotiate
from gossamer.mesh.leafnodes.settings import settings_from
from gossamer.mesh.leafnodes.solicitor import Solicitor
from gossamer.mesh.leafnodes.table import Leaf, LeafTable, Stage
from gossamer.mesh.leafnodes.urls import UrlList, parse_url
from gossamer.mesh.leafnodes.voice import LeafVoice
from gossamer.mesh.leafnodes.world import LeafIdentity
from gossamer.mesh.options.options import CompressionOptions, LeafNodeOptions, LeafRemoteOptions
from gossamer.mesh.peers.compression import UnknownMode, chosen_mode, mode_for_rtt

SECOND_NS = 1_000_000_000
MS = 1_000_000


class Chance:
    """Randomness with a seed."""

    def __init__(self) -> None:
        self._generator = random.Random(1)

    def below(self, limit):
        return self._generator.randrange(limit)

    def uniform(self, low, high):
        return self._generator.uniform(low, high)


class Side:
    """A solicitor with its actions; ``account`` is what is found for every remote."""

    def __init__(self, *remotes, **options):
        self.actions = deque()
        self.table = LeafTable()
        self.account = SimpleNamespace(name="A", leafnodes_full=False)
        identity = LeafIdentity(server_id="ID", server_name="me", version="2.15.1", cluster=lambda: "")
        self.settings = settings_from(LeafNodeOptions(remotes=remotes, **options))
        voice = LeafVoice(identity, self.settings, 1024)
        self.core = Solicitor(
            self.settings, voice, self.table, self.actions, Chance(), lambda *given: {},
            system_account="$SYS", headers=True, in_company=True,
        )  # fmt: skip

    def taken(self):
        found = [action for action in self.actions if not isinstance(action, do.Say)]
        self.actions.clear()
        return found

    def dial(self):
        """Up to a link that waits for INFO."""
        self.core.start()
        [find] = self.taken()
        self.core.account_found(find.remote, self.account)
        [dial] = self.taken()
        self.core.dialled(dial.remote, 7, dial.host, dial.port, now_ns=0, wall_ns=0)
        self.taken()
        return self.table.find(7)

    def wake_after(self, leaf, error=""):
        self.core.closed(leaf, error)
        [wake] = self.taken()
        assert isinstance(wake, do.Wake)
        return wake.delay_ns


HUB = LeafRemoteOptions(urls=("nats-leaf://h:1",), compression=CompressionOptions(mode="off"))


@pytest.mark.parametrize(
    ("error", "penalty_s"),
    [
        ("", 0),
        ('Loop detected for leafnode account="A". Delaying attempt to reconnect for 30s', 30),
        ('Permissions Violation for Subscription to "x"', 30),
        ("Stale Connection", 0),
    ],
)
def test_pause_after_a_link_that_we_ended(error, penalty_s):
    side = Side(HUB)
    assert side.wake_after(side.dial(), error) == (1 + penalty_s) * SECOND_NS


@pytest.mark.parametrize(
    ("error", "penalty_s"),
    [
        ("'remote leafnode has same cluster name'", 30),
        ("'Loop detected for leafnode account=\"A\". Delaying attempt to reconnect for 30s'", 30),
        ("'connection rejected since minimum version required is \"2.99.0\"'", 5),
        ("'Authorization Violation'", 0),
        ("'Permissions Violation for Publish to \"x\"'", 0),
    ],
)
def test_pause_after_what_the_hub_said(error, penalty_s):
    side = Side(HUB)
    leaf = side.dial()
    leaf.penalty_ns = penalty_of(error, said=False)
    assert side.wake_after(leaf) == (1 + penalty_s) * SECOND_NS


def test_pause_after_a_dial_that_failed():
    side = Side(HUB, reconnect_ns=3 * SECOND_NS)
    side.core.start()
    [find] = side.taken()
    for _ in range(5):
        side.core.account_found(find.remote, side.account)
        side.taken()
        side.core.dial_failed(find.remote, "refused")
        [wake] = side.taken()
        assert 3 * SECOND_NS <= wake.delay_ns <= 6 * SECOND_NS


def test_the_system_account_is_shared_a_little_later():
    side = Side(LeafRemoteOptions(urls=("h:1",), account="$SYS"))
    side.core.start()
    assert side.taken() == [do.Wake(1, 250 * MS)]


def test_no_account_no_dial():
    side = Side(HUB)
    side.core.start()
    [find] = side.taken()
    side.core.account_found(find.remote, None)
    assert [type(action) for action in side.taken()] == [do.Wake]


def test_a_remote_that_is_removed_is_not_dialled_again():
    side = Side(HUB)
    leaf = side.dial()
    side.core.change(settings_from(LeafNodeOptions()))
    assert [type(action) for action in side.taken()] == [do.GiveUp, do.Expect, do.CloseLink]
    side.core.closed(leaf, "")
    assert side.taken() == []


def test_a_late_confirmation_ends_nothing_twice():
    side = Side(HUB)
    leaf = side.dial()
    side.core.info(leaf, b'{"client_id":1,"leafnode_urls":[],"info_on_connect":true,"nonce":"n"}', 0)
    assert [type(action) for action in side.taken()] == [do.Send, do.Expect, do.Resume]
    side.core.overdue(7)
    assert side.taken()[-1].error == "Stale Leaf Node Connection - Closing"
    side.core.info(leaf, b'{"connect_info":true}', 0)
    assert side.taken() == [do.Resume(7)]
    assert leaf.stage is Stage.CLOSING


@pytest.mark.parametrize(
    ("own", "peer", "mode"),
    [
        ("off", "s2_auto", "off"), ("off", "", "not supported"), ("accept", "accept", "off"),
        ("accept", "s2_auto", "s2_fast"), ("accept", "s2_best", "s2_best"), ("accept", "off", "off"),
        ("s2_auto", "accept", "s2_auto"), ("s2_auto", "off", "off"), ("s2_auto", "not supported", "not supported"),
        ("s2_better", "s2_auto", "s2_better"), ("s2_fast", "accept", "s2_fast"),
    ],
)  # fmt: skip
def test_20_21_which_mode_is_chosen(own, peer, mode):
    assert chosen_mode(own, peer) == mode


def test_21_words_that_nobody_knows():
    with pytest.raises(UnknownMode, match="brotli"):
        chosen_mode("s2_auto", "brotli")


@pytest.mark.parametrize(
    ("rtt_ms", "thresholds_ms", "mode"),
    [
        (0, (), "s2_uncompressed"), (10, (), "s2_uncompressed"), (11, (), "s2_fast"), (100, (), "s2_better"),
        (101, (), "s2_best"), (1, (0, 5, 10), "s2_fast"), (50, (5,), "s2_uncompressed"), (50, (5, 20), "s2_fast"),
    ],
)  # fmt: skip
def test_19_levels_by_distance(rtt_ms, thresholds_ms, mode):
    assert mode_for_rtt(rtt_ms * MS, tuple(each * MS for each in thresholds_ms)) == mode


def test_19_the_level_follows():
    leaf, actions, own = Leaf(1, "h", 1, 0, 0, Stage.INFO), deque(), CompressionOptions()
    assert negotiate(leaf, own, "s2_auto", 0)
    for rtt_ms, expected in ((1, []), (60, [do.Compress(1, 3, False)]), (70, []), (2, [do.Compress(1, 1, False)])):
        leaf.rtt_ns = rtt_ms * MS
        follow_rtt(leaf, own, actions)
        assert list(actions) == expected
        actions.clear()


def test_50_51_addresses():
    urls = UrlList([parse_url("nats://u:p@a:1"), parse_url("b")], Chance(), shuffled=False)
    assert [urls.next().address for _ in range(3)] == ["a:1", "b:7422", "a:1"]
    urls.discovered(["c:3", "A:1", "bad:port", "[::1]:5"])
    assert [url.address for url in urls.candidates] == ["c:3", "[::1]:5", "a:1", "b:7422"]
    assert urls.login(urls.next()) == ("u", "p")
    urls.discovered([])
    assert [url.address for url in urls.candidates] == ["a:1", "b:7422"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("nats-leaf://token@h", ("h", 7422, "token", None)), ("tls://h:0x", None), ("//", None),
        ("leaf://a%3Ab:c%40d@[::1]:1", ("::1", 1, "a:b", "c@d")),
    ],
)  # fmt: skip
def test_urls(text, found):
    if found is None:
        with pytest.raises(ValueError, match=r".+"):
            parse_url(text)
    else:
        url = parse_url(text)
        assert (url.host, url.port, url.user, url.password) == found


def granted(publish=None, subscribe=None):
    return Permissions(publish=SubjectPermissions(allow=publish), subscribe=SubjectPermissions(allow=subscribe))


def folded(permissions, *, spoke, solicited, **more):
    given = {"domain": StreamDomain(), "account": "A", "peer_domain": "", "system": False} | more
    return link_permissions(permissions, spoke=spoke, solicited=solicited, **given)


def test_47_streams_never_cross():
    value = folded(None, spoke=True, solicited=True)
    assert value.publish.deny == value.subscribe.deny == CLIENT_DENIES
    value = folded(None, spoke=False, solicited=False, system=True)
    assert value.publish.deny == value.subscribe.deny == SYSTEM_DENIES
    assert folded(None, spoke=False, solicited=False, domain=StreamDomain(default_accounts=frozenset("A"))) == (
        Permissions()
    )


def test_44_the_lists_of_a_remote():
    value = folded(granted(("up",), ("down",)), spoke=True, solicited=True, deny_imports=("i",), deny_exports=("e",))
    assert value.publish == SubjectPermissions(allow=("up",), deny=("e", *CLIENT_DENIES))
    assert value.subscribe == SubjectPermissions(allow=("down",), deny=("i", *CLIENT_DENIES))


def test_59_turned_where_the_one_who_dials_is_the_hub():
    """What it may publish is what comes down to the leaf."""
    for spoke, solicited in ((False, True), (True, False)):
        value = folded(granted(("up",), ("down", "q queue")), spoke=spoke, solicited=solicited, deny_imports=("i",))
        assert value.publish == SubjectPermissions(allow=("down", "q"), deny=("i", *CLIENT_DENIES))
        assert value.subscribe == SubjectPermissions(allow=("up",), deny=CLIENT_DENIES)


@pytest.mark.parametrize(
    ("version", "wanted", "enough"),
    [
        ("2.9.0", "2.9.0", True), ("2.10.1", "v2.9.9", True), ("2.8.4", "2.9.0", False), ("", "2.8.0", False),
        ("2.9.0-beta.1", "2.9.0", True), ("v2.9.0", "2.9.0", False), ("2.9", "2.8.0", False),
    ],
)  # fmt: skip
def test_15_versions(version, wanted, enough):
    assert protocol.version_at_least(version, wanted) is enough


def test_04_a_connect_leaves_out_what_is_empty():
    identity = LeafIdentity(server_id="ID", server_name="me", version="2.15.1", cluster=lambda: "")
    voice = LeafVoice(identity, settings_from(LeafNodeOptions(remotes=(HUB,))), 1024)
    line = voice.connect(
        login={"user": "u"}, is_hub=False, headers=True, deny_pub=(), isolate=False, compression="off", account="A"
    )
    connect = protocol.decode_connect(line.removeprefix(b"CONNECT "))
    assert connect is not None
    assert (connect.cluster, connect.user, connect.remote_account) == ("me", "u", "A")
    assert b"deny_pub" not in line
    assert b"is_hub" not in line


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"client_id":"x"}', b"\xff"])
def test_what_is_no_info(text):
    assert protocol.decode_info(text) is None


def test_info_with_nulls_and_unknown_fields():
    info = protocol.decode_info(b'{"client_id":5,"leafnode_urls":null,"import":null,"new":{"a":1}}')
    assert info is not None
    assert (info.client_id, info.leafnode_urls, info.permissions) == (5, None, None)
