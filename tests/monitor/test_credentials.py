"""Gauges about credentials: no more series than a family may have."""

from gossamer.mesh.monitor import credentials


def test_a_family_is_bounded() -> None:
    family = credentials._Family("things", "Things", ["name"])
    for number in range(credentials.SERIES_MAX + 7):
        family.add([str(number)], number)
    assert len(family.metric.samples) == credentials.SERIES_MAX
    assert family.left_out == 7
