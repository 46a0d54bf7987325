"""Chance from one seed, forked by name: what one part draws does not change what another gets."""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

_T = TypeVar("_T")


class Chance:
    """A ``gossamer.mesh.world.Randomness`` with a few more ways to choose."""

    def __init__(self, *path: object) -> None:
        """``path``: the seed, then the names that lead to this part."""
        self._path = path
        text = "/".join(map(str, path)).encode()
        self._random = random.Random(int.from_bytes(hashlib.blake2b(text, digest_size=16).digest(), "big"))

    def fork(self, *names: object) -> "Chance":
        return Chance(*self._path, *names)

    def token(self, size: int) -> bytes:
        return self._random.randbytes(size)

    def uniform(self, low: float, high: float) -> float:
        return self._random.uniform(low, high)

    def below(self, limit: int) -> int:
        return self._random.randrange(limit)

    def engine_seed(self) -> int | None:
        return self._random.randrange(1 << 32)

    def between(self, low: int, high: int) -> int:
        """A whole number, both ends included."""
        return self._random.randint(low, high)

    def choose(self, things: Sequence[_T]) -> _T:
        return things[self._random.randrange(len(things))]

    def sample(self, things: Sequence[_T], count: int) -> list[_T]:
        return self._random.sample(things, count)

    def happens(self, probability: float) -> bool:
        return self._random.random() < probability
