"""Chance: for keys and identifiers, and for spreading things in time."""

import os
import random
from typing import Protocol


class Randomness(Protocol):
    """In a simulation all of it comes from one seed; in a process keys and nonces must come from the system."""

    def token(self, size: int) -> bytes:
        """That many bytes which nobody can guess."""
        ...

    def uniform(self, low: float, high: float) -> float:
        """A number between ``low`` and ``high``; not for secrets."""
        ...

    def below(self, limit: int) -> int:
        """A whole number from 0 up to but not including ``limit``; not for secrets."""
        ...

    def engine_seed(self) -> int | None:
        """The seed of the engine's own generator; None: it asks the system."""
        ...


class SystemRandomness:
    """The kernel's generator for secrets, Python's for the rest."""

    __slots__ = ("_generator",)

    def __init__(self) -> None:
        self._generator = random.Random()

    def token(self, size: int) -> bytes:
        return os.urandom(size)

    def uniform(self, low: float, high: float) -> float:
        return self._generator.uniform(low, high)

    def below(self, limit: int) -> int:
        return self._generator.randrange(limit)

    def engine_seed(self) -> int | None:
        return None
