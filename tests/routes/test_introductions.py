"""Who is introduced to whom, and how often (``route_introductions.py``)."""

import pytest

from gossamer.mesh.peers.route_introductions import RouteIntroductions, _is_due
from gossamer.mesh.peers.route_protocol import RouteInfo
from gossamer.mesh.peers.route_settings import RouteUrl
from gossamer.mesh.peers.route_table import Connection, Remote, RouteTable


class Meeting:
    """We are ``me`` and know A, B and C."""

    def __init__(self, me: str = "M") -> None:
        self.table = RouteTable()
        self.told: list[tuple[str, str]] = []
        self.introductions = RouteIntroductions(self.table, me, self._tell)
        for number, name in enumerate("ABC"):
            info = RouteInfo(server_id=f"id{name}", server_name=name)
            remote = self.table.remote_for(info, RouteUrl(name, 6222), 3)
            self.table.register(Connection(number + 1, name, 6222, 0), remote, 0)

    def _tell(self, to: Remote, about: Remote) -> None:
        self.told.append((to.server_id, about.server_id))

    def heartbeats(self, **names: str) -> list[tuple[str, str]]:
        self.told.clear()
        for name, known in names.items():
            self.introductions.heard(f"id{name}", set(known))
        return self.told


def test_nobody_is_told_in_a_whole_mesh() -> None:
    meeting = Meeting()
    for _ in range(50):
        assert meeting.heartbeats(A="BCM", B="ACM", C="ABM") == []


def test_a_pair_that_lacks_each_other_is_told_at_the_second_heartbeat() -> None:
    meeting = Meeting()
    assert meeting.heartbeats(A="M", B="M") == []
    assert meeting.heartbeats(A="M", B="M") == [("idB", "idA")]  # at A's first one B had said nothing yet
    assert meeting.heartbeats(A="M", B="M") == [("idA", "idB"), ("idB", "idA")]  # and nothing of C, who is silent


def test_one_that_is_found_meanwhile_is_left_alone() -> None:
    meeting = Meeting()
    meeting.heartbeats(A="CM", B="CM", C="ABM")
    for _ in range(5):
        assert meeting.heartbeats(A="BCM", B="ACM", C="ABM") == []
    assert meeting.heartbeats(A="CM", B="ACM", C="ABM") == []  # the count begins anew


@pytest.mark.parametrize(("me", "late"), [("0", 0), ("M", 1)])
def test_the_lowest_name_comes_first(me: str, late: int) -> None:
    meeting = Meeting(me)
    told = [("idA", "idC") in meeting.heartbeats(A="B" + me, B="AC" + me, C="B" + me) for _ in range(4)]
    assert told.index(True) == 2 + late  # of A's first heartbeat nothing follows: C had not spoken yet


def test_ever_less_often() -> None:
    assert [count for count in range(-3, 130) if _is_due(count)] == [0, 1, 3, 7, 15, 31, 63, 95, 127]


def test_who_is_gone_is_forgotten() -> None:
    meeting = Meeting()
    meeting.heartbeats(A="M", B="M", C="ABM")
    meeting.table.remove(meeting.table.remotes["idB"].slots[0])
    for _ in range(5):
        assert meeting.heartbeats(A="CM", C="AM") == []
    meeting.introductions.heard("idB", {"M"})
    assert meeting.told == []
