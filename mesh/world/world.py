"""The three together, as they are handed to a node."""

from msgspec import Struct

from gossamer.mesh.world.clock import Clock, SystemClock
from gossamer.mesh.world.disk import Disk, SystemDisk
from gossamer.mesh.world.randomness import Randomness, SystemRandomness


class World(Struct, frozen=True):
    """Immutable: a node keeps the world it was born into."""

    clock: Clock
    randomness: Randomness
    disk: Disk


def real_world() -> World:
    """The machine this process runs on."""
    return World(SystemClock(), SystemRandomness(), SystemDisk())
