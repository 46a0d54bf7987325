"""What one account exports, imports and maps, wherever it was written down (spec auth sections 4.2.2, 4.2.3, 17, 21).

Configurations and account claims both end as ``AccountSharing``; nothing behind it knows the difference, except that
``token_required`` only exists in claims and ``accounts`` only in configurations.
"""

from msgspec import Struct

STREAM = "stream"
SERVICE = "service"

SINGLETON = "Singleton"
STREAMED = "Stream"
CHUNKED = "Chunked"


class Latency(Struct, frozen=True, kw_only=True):
    """Records of how long a service took go to ``subject`` of the exporting account, for ``sampling`` percent of the
    requests (0: those whose headers ask for it)."""

    subject: str
    sampling: int = 100


class Export(Struct, frozen=True, kw_only=True):
    """What others may import. ``kind`` is SERVICE or STREAM. Public if neither ``accounts`` (names) nor
    ``token_required`` nor ``token_position`` (1-based token that must be the importer) says otherwise.

    ``response`` is SINGLETON, STREAMED or CHUNKED; ``threshold_ns`` 0: two minutes. ``revocations``: account or ``*``,
    and the unix second up to which its activations are void.
    """

    kind: str
    subject: str
    accounts: tuple[str, ...] | None = None
    token_required: bool = False
    token_position: int = 0
    revocations: tuple[tuple[str, int], ...] = ()
    response: str = SINGLETON
    threshold_ns: int = 0
    latency: Latency | None = None
    allow_trace: bool = False
    place: str = ""


class Import(Struct, frozen=True, kw_only=True):
    """What is taken from ``exporter``: ``subject`` there, here seen as ``local`` (``$n`` or ``*`` for wildcards)."""

    kind: str
    exporter: str
    subject: str
    local: str
    token: str = ""
    share: bool = False
    allow_trace: bool = False
    place: str = ""


class Target(Struct, frozen=True, kw_only=True):
    """Where a share of the messages of a mapping goes: ``weight`` percent, in that cluster only unless it is empty."""

    subject: str
    weight: int = 100
    cluster: str = ""


class Mapping(Struct, frozen=True, kw_only=True):
    """What is published on ``source`` goes to the targets instead."""

    source: str
    targets: tuple[Target, ...]
    place: str = ""


class AccountSharing(Struct, frozen=True, kw_only=True):
    """All of one account. ``signer`` signed it, at ``issued_at`` (unix seconds); both empty in a configuration.
    ``keys`` may sign activations: the account's own and its signing keys. ``name`` is for people."""

    account: str
    name: str = ""
    exports: tuple[Export, ...] = ()
    imports: tuple[Import, ...] = ()
    mappings: tuple[Mapping, ...] = ()
    keys: frozenset[str] = frozenset()
    signer: str = ""
    issued_at: int = 0
    place: str = ""

    @property
    def label(self) -> str:
        """How reasons call it."""
        return f'"{self.name}" ({self.account})' if self.name and self.name != self.account else f'"{self.account}"'
