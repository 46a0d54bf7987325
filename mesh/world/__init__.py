"""Everything outside the process that a node touches: clock, chance and disk, as objects that are handed in.

A node takes one ``World``. The real one is made at the composition root; the simulator has its own. Nothing else in
``gossamer.mesh`` may ask the system for the time, for random numbers or for a file.
"""

from gossamer.mesh.world.clock import Clock, SystemClock
from gossamer.mesh.world.disk import AppendFile, Disk, SystemDisk
from gossamer.mesh.world.randomness import Randomness, SystemRandomness
from gossamer.mesh.world.world import World, real_world

__all__ = [
    "AppendFile",
    "Clock",
    "Disk",
    "Randomness",
    "SystemClock",
    "SystemDisk",
    "SystemRandomness",
    "World",
    "real_world",
]
