"""Where a remote can be dialled: its configured URLs and those that the hub tells of (spec leafnodes 13)."""

from collections.abc import Iterable
from typing import Final
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from gossamer.mesh.world import Randomness
from gossamer.mesh.world.listening import join_address

#: Where a leaf node URL without a port leads.
DEFAULT_PORT: Final = 7422
#: No more addresses are taken from a hub.
DISCOVERED_MAX: Final = 1000


class LeafUrl(Struct, frozen=True):
    """The parts of ``nats-leaf://user:password@host:port``. ``password`` None: ``user`` is a token."""

    host: str
    port: int
    user: str = ""
    password: str | None = None

    @property
    def address(self) -> str:
        """``host:port``."""
        return join_address(self.host, self.port)

    @property
    def place(self) -> tuple[str, int]:
        return self.host.lower(), self.port


def parse_url(text: str) -> LeafUrl:
    """Any scheme, or none. Raises ValueError."""
    parts = urlsplit(text if "://" in text else f"nats-leaf://{text}")
    if not parts.hostname:
        raise ValueError(f"no host in leaf node URL {text!r}")
    port = parts.port  # raises ValueError itself when it is none
    return LeafUrl(
        parts.hostname,
        DEFAULT_PORT if port is None else port,
        unquote(parts.username or ""),
        None if parts.password is None else unquote(parts.password),
    )


class UrlList:
    """The candidates of one remote, walked in a circle: what was dialled last stands at the end."""

    __slots__ = ("_candidates", "_configured", "_current", "_shown")

    def __init__(self, configured: Iterable[LeafUrl], randomness: Randomness, *, shuffled: bool) -> None:
        """At least one."""
        urls = list(configured)
        if shuffled:
            for last in range(len(urls) - 1, 0, -1):
                other = randomness.below(last + 1)
                urls[last], urls[other] = urls[other], urls[last]
        self._configured = tuple(urls)
        self._candidates = urls
        self._current: LeafUrl | None = None
        self._shown = next((url for url in self._configured if url.user), None)

    @property
    def configured(self) -> tuple[LeafUrl, ...]:
        return self._configured

    @property
    def candidates(self) -> tuple[LeafUrl, ...]:
        """In the order in which they are dialled next."""
        return tuple(self._candidates)

    def next(self) -> LeafUrl:
        """The one to dial now."""
        candidates = self._candidates
        if len(candidates) > 1 and self._current == candidates[0]:
            candidates.append(candidates.pop(0))
        self._current = candidates[0]
        return self._current

    def login(self, url: LeafUrl) -> tuple[str, str | None]:
        """User and password for a URL: those of the first configured one that has some where it has none itself."""
        known = url if url.user or self._shown is None else self._shown
        return known.user, known.password

    def discovered(self, addresses: Iterable[str]) -> None:
        """The hub's present list: what is not in it any more is forgotten, what is configured always stays."""
        known = {url.place for url in self._configured}
        found = []
        for address in addresses:
            try:
                url = parse_url(address)
            except ValueError:
                continue
            if url.place not in known and 0 < url.port < 65536:
                known.add(url.place)
                found.append(url)
            if len(found) >= DISCOVERED_MAX:
                break
        self._candidates = [*found, *self._configured]
