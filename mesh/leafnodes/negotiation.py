"""Compression of a leaf link: which mode both sides come to, and its level at each round-trip time (spec 5.1)."""

from collections import deque

from gossamer.mesh.leafnodes import actions as do
from gossamer.mesh.leafnodes.table import Leaf
from gossamer.mesh.options.options import CompressionOptions
from gossamer.mesh.peers.compression import AUTO, LEVELS, chosen_mode, mode_for_rtt


def negotiate(leaf: Leaf, own: CompressionOptions, peer: str, now_ns: int) -> bool:
    """Note in the record what comes of our word and the peer's. True: the stream becomes S2.

    Raises UnknownMode."""
    mode = chosen_mode(own.mode, peer)
    leaf.negotiated = True
    leaf.auto_level = mode == AUTO
    if mode == AUTO:  # nothing else is known of the distance yet
        mode = mode_for_rtt(now_ns - leaf.opened_ns, own.rtt_thresholds_ns)
    leaf.compression = mode
    return mode in LEVELS


def follow_rtt(leaf: Leaf, own: CompressionOptions, actions: "deque[do.Action]") -> None:
    """At each PONG: only the writer changes, and the other side is told nothing."""
    if not leaf.auto_level or not leaf.rtt_ns:
        return
    mode = mode_for_rtt(leaf.rtt_ns, own.rtt_thresholds_ns)
    if mode != leaf.compression:
        leaf.compression = mode
        actions.append(do.Compress(leaf.link, LEVELS[mode], both=False))
