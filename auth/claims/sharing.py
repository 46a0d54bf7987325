"""What accounts share: exports, imports and mappings (spec auth sections 4.2.2, 4.2.3 and 21)."""

from typing import Any, ClassVar

from msgspec import field, structs

from gossamer.auth.claims.part import Integer, Part

STREAM = "stream"
SERVICE = "service"

SINGLETON = "Singleton"
STREAMED = "Stream"
CHUNKED = "Chunked"

#: ``sampling`` of a latency record that is taken when the request's headers ask for it.
SAMPLE_BY_HEADERS = 0


def _check_type(what: str, value: str) -> None:
    if value not in ("", STREAM, SERVICE):
        raise ValueError(f'unknown {what} type "{value}"')


class ServiceLatency(Part, frozen=True, kw_only=True):
    """How many requests (percent; 0: those whose headers ask for it) are measured, and where the records go."""

    sampling: Integer | str = SAMPLE_BY_HEADERS
    results: str = ""

    def __post_init__(self) -> None:
        """``headers`` is how 0 is written."""
        if isinstance(self.sampling, str):
            if self.sampling.lower() != "headers":
                raise ValueError(f'unknown sampling "{self.sampling}"')
            structs.force_setattr(self, "sampling", SAMPLE_BY_HEADERS)

    def members(self) -> dict[str, Any]:
        """Both members are always written."""
        return {"sampling": self.sampling or "headers", "results": self.results, **self.unknown}


class Export(Part, frozen=True, kw_only=True):
    """A subject that other accounts may import."""

    name: str = ""
    subject: str = ""
    type: str = ""
    token_required: bool = field(default=False, name="token_req")
    revocations: dict[str, Integer] = field(default_factory=dict)
    response_type: str = ""
    response_threshold_ns: Integer = field(default=0, name="response_threshold")
    service_latency: ServiceLatency | None = None
    account_token_position: Integer = 0
    advertise: bool = False
    allow_trace: bool = False
    description: str = ""
    info_url: str = ""

    def __post_init__(self) -> None:
        """An unknown type cannot be carried."""
        _check_type("export", self.type)


class Import(Part, frozen=True, kw_only=True):
    """A subject of another account, seen under a local name."""

    name: str = ""
    subject: str = ""
    account: str = ""
    token: str = ""
    to: str = ""
    local_subject: str = ""
    type: str = ""
    share: bool = False
    allow_trace: bool = False

    def __post_init__(self) -> None:
        """An unknown type cannot be carried."""
        _check_type("import", self.type)

    @property
    def local(self) -> str:
        """The subject under which the importer knows it."""
        if self.local_subject:
            return self.local_subject
        if not self.to:
            return self.subject
        # The deprecated field: a prefix for streams; for services ``subject`` is already the local name.
        return f"{self.to}.{self.subject}" if self.type == STREAM else self.subject


class MappingTarget(Part, frozen=True, kw_only=True):
    """One target of an account mapping; weight 0 means 100."""

    ALWAYS: ClassVar[frozenset[str]] = frozenset({"subject"})

    subject: str = ""
    weight: Integer = 0
    cluster: str = ""
