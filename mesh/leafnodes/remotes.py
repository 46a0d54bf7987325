"""The hubs that this node dials: where each of them stands, and when it is dialled again (spec leafnodes 13)."""

from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from gossamer.mesh.leafnodes.settings import RemoteSettings
from gossamer.mesh.leafnodes.urls import LeafUrl, UrlList
from gossamer.mesh.options.options import LeafRemoteOptions
from gossamer.mesh.world import Randomness

#: Failures are logged at the first and then at every so manieth try.
REPORT_EVERY: Final = 3600


class Remote(Struct, eq=False):
    """``link`` 0: there is no connection now. ``url``: where the present one, or the present dial, leads."""

    number: int
    settings: RemoteSettings
    urls: UrlList
    link: int = 0
    url: LeafUrl | None = None
    failures: int = 0
    gone: bool = False  # not wanted any more

    @property
    def options(self) -> LeafRemoteOptions:
        return self.settings.options

    @property
    def label(self) -> str:
        return self.url.address if self.url is not None else self.options.label


class Remotes:
    """All of a node by number; a remote whose identity stays keeps its number and its connection."""

    __slots__ = ("_last", "_randomness", "_remotes")

    def __init__(self, randomness: Randomness) -> None:
        self._randomness = randomness
        self._remotes: dict[int, Remote] = {}
        self._last = 0

    def __iter__(self) -> Iterator[Remote]:
        return iter(list(self._remotes.values()))

    def find(self, number: int) -> Remote | None:
        return self._remotes.get(number)

    def of_identity(self, identity: tuple[object, ...]) -> Remote | None:
        return next((each for each in self._remotes.values() if each.settings.identity == identity), None)

    def add(self, settings: RemoteSettings) -> Remote:
        self._last += 1
        urls = UrlList(settings.urls, self._randomness, shuffled=not settings.options.no_randomize)
        remote = self._remotes[self._last] = Remote(self._last, settings, urls)
        return remote

    def remove(self, remote: Remote) -> None:
        remote.gone = True
        self._remotes.pop(remote.number, None)


def is_reported(failures: int) -> bool:
    """Is this failure, the n-th in a row, worth a line in the log?"""
    return failures == 1 or failures % REPORT_EVERY == 0
