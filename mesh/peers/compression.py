"""Compression of server links as two peers agree on it: words, the table, levels (spec routes 7, leafnodes 5.1).

Each side computes its own mode from its configured word and the one its peer announced; levels may differ. ``s2_auto``
becomes a level by the round-trip time, again at each PONG. Nothing of that is announced: a reader takes every chunk.
"""

from collections.abc import Sequence
from typing import Final

NOT_SUPPORTED: Final = "not supported"
OFF: Final = "off"
ACCEPT: Final = "accept"
AUTO: Final = "s2_auto"
UNCOMPRESSED: Final = "s2_uncompressed"
FAST: Final = "s2_fast"

_MILLISECOND_NS: Final = 1_000_000
#: Round-trip times up to which ``s2_auto`` is uncompressed, fast, better; beyond the last: best.
RTT_THRESHOLDS_NS: Final = (10 * _MILLISECOND_NS, 50 * _MILLISECOND_NS, 100 * _MILLISECOND_NS)

#: The modes that compress, with the level of ``Engine.compress``; also the levels of ``s2_auto``, in order.
LEVELS: Final = {UNCOMPRESSED: 1, FAST: 2, "s2_better": 3, "s2_best": 4}


class UnknownMode(ValueError):
    """The peer announced a word that nobody knows. The text is for its -ERR."""


def negotiates(own: str) -> bool:
    """May a link with this configured word be compressed at all?"""
    return own not in (OFF, NOT_SUPPORTED, "")


def chosen_mode(own: str, peer: str) -> str:
    """What our side does: a mode of ``LEVELS``, ``s2_auto``, or one that does not compress (off, not supported).

    ``own`` is a configured word, ``peer`` what the other side said, empty for nothing. Raises UnknownMode."""
    if not negotiates(own):
        return NOT_SUPPORTED if own == NOT_SUPPORTED or not peer else OFF
    if peer in ("", NOT_SUPPORTED):
        return NOT_SUPPORTED
    if peer == OFF:
        return OFF
    if peer == ACCEPT:
        return OFF if own == ACCEPT else own
    if peer != AUTO and peer not in LEVELS:
        raise UnknownMode(f'unsupported compression mode "{peer}"')
    if own != ACCEPT:
        return own
    return FAST if peer == AUTO else peer


def compresses(mode: str) -> bool:
    """Is the stream S2 with that mode?"""
    return mode == AUTO or mode in LEVELS


def mode_for_rtt(rtt_ns: int, thresholds_ns: Sequence[int] = RTT_THRESHOLDS_NS) -> str:
    """What ``s2_auto`` means at that round-trip time. A threshold of 0 skips its level; a short list ends with the last
    level that it names."""
    thresholds_ns = thresholds_ns or RTT_THRESHOLDS_NS
    modes = list(LEVELS)
    for position, threshold_ns in enumerate(thresholds_ns[:3]):
        if threshold_ns > 0 and rtt_ns <= threshold_ns:
            return modes[position]
    return modes[3] if len(thresholds_ns) >= 3 else modes[len(thresholds_ns) - 1]


def announced_mode(own: str, mode: str) -> str:
    """What INFO says once a mode was chosen: the configured word if that is ``s2_auto``, else the mode."""
    return AUTO if own == AUTO else mode
