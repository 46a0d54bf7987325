"""Pauses that grow with every failure: 1, 2, 4 ... 30 seconds (spec routes 13, gateways 5)."""

from typing import Final

from gossamer.mesh.peers.route_world import SECOND_NS

PAUSE_MAX_NS: Final = 30 * SECOND_NS
#: Failures are logged at the first and then at every so manieth.
REPORT_EVERY: Final = 3600


def growing_ns(count: int) -> int:
    """After so many failures in a row."""
    return min(SECOND_NS << min(max(count - 1, 0), 8), PAUSE_MAX_NS)
