"""A clock that jumps forward does not empty the directory of account JWTs."""

from gossamer.mesh.logs.log import Log
from gossamer.mesh.resolvers.calendar import Calendar
from gossamer.mesh.resolvers.slices import Slices

SECOND_NS = 1_000_000_000


class Clock:
    def __init__(self):
        self.wall, self.monotonic = 1_700_000_000, 0

    def wall_ns(self):
        return self.wall * SECOND_NS

    def monotonic_ns(self):
        return self.monotonic * SECOND_NS

    def go(self, seconds, *, jump=0):
        self.monotonic += seconds
        self.wall += seconds + jump


class Lines:
    def __init__(self):
        self.text = ""

    def write(self, line):
        self.text += line.decode()


def test_a_jump_forward():
    clock, lines = Clock(), Lines()
    calendar = Calendar(clock, Log(clock, lines))
    clock.go(60, jump=200)  # set right by a little
    assert calendar.trusted()
    assert not lines.text
    clock.go(60, jump=10 * 365 * 86400)
    assert not calendar.trusted()
    assert "jumped 315360000 s forward" in lines.text
    clock.go(3599)
    assert not calendar.trusted()
    clock.go(1)
    assert calendar.trusted()


def test_it_is_set_back():
    clock, lines = Clock(), Lines()
    calendar = Calendar(clock, Log(clock, lines))
    clock.go(60, jump=86400)
    assert not calendar.trusted()
    clock.go(60, jump=-86400)
    assert calendar.trusted()


def test_nothing_is_begun_after_the_end():
    """And what is in the middle of a step when the end comes does not go on."""
    done = []
    slices = Slices(Clock(), done.append)

    def work():
        done.append(1)
        slices.stop()
        yield
        done.append(2)
        yield

    slices.begin(work(), lambda: done.append("end"))
    slices.begin(work())
    assert done == [1]
