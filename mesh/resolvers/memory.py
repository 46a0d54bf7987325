"""Accounts that stand in the configuration (spec auth section 22.1: MEMORY)."""

from collections.abc import Iterable


class MemoryResolver:
    """What ``resolver_preload`` holds; nothing is looked at until somebody asks."""

    asks_elsewhere = False

    def __init__(self, preload: Iterable[tuple[str, str]]) -> None:
        """``preload``: pairs of account key and JWT."""
        self._preload = dict(preload)

    def replace(self, preload: Iterable[tuple[str, str]]) -> None:
        """The configuration has changed."""
        self._preload = dict(preload)

    def stored(self, key: str) -> str | None:
        """See Resolver."""
        return self._preload.get(key)

    async def fetch(self, key: str) -> str | None:
        """There is no elsewhere."""
        return None

    def learned(self, key: str, token: str) -> str:
        """Nothing is learned."""
        return token

    def place(self, key: str) -> str:
        """See Resolver."""
        return f"resolver_preload of {key}"
