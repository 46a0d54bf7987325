"""Who is told of whom, and what to do when told (spec routes 9). Pure decisions; the core carries them out."""

from enum import IntEnum

from msgspec import Struct


class GossipMode(IntEnum):
    """What travels with a gossiped INFO, and is repeated by whoever dials because of it."""

    DEFAULT = 0
    DISABLED = 1  # everybody has been told: the two that meet need not tell again
    OVERRIDE = 2  # two groups may be meeting: tell, although this connection came of gossip itself


class Meeting(Struct, frozen=True, gc=False):
    """A connection at the moment it is registered. ``own_mode``: what we were told when we dialled because of gossip.
    ``their_mode``: what the remote's INFO said."""

    solicited: bool
    explicit: bool
    own_mode: int
    their_mode: int


def is_worth_telling(meeting: Meeting) -> bool:
    """May the others be told about the remote just met?"""
    if meeting.solicited and not meeting.explicit and meeting.own_mode != GossipMode.OVERRIDE:
        return False
    return meeting.their_mode != GossipMode.DISABLED


def mode_for(meeting: Meeting, *, other_explicit: bool) -> GossipMode:
    """The mode that goes to one other remote; ``other_explicit``: our route to that one is a configured one."""
    if meeting.solicited:
        return GossipMode.OVERRIDE if meeting.explicit else GossipMode.DEFAULT
    return GossipMode.OVERRIDE if other_explicit else GossipMode.DISABLED
