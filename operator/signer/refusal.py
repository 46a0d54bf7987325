"""Why the service says no."""

from enum import Enum


class Grounds(Enum):
    """The kind of a refusal. The names of the values are those of gRPC's status codes."""

    UNAUTHENTICATED = "unauthenticated"
    DENIED = "permission_denied"
    INVALID = "invalid_argument"
    NOT_FOUND = "not_found"
    NEEDS_APPROVAL = "failed_precondition"
    CONFLICT = "already_exists"
    QUOTA = "resource_exhausted"
    UNAVAILABLE = "unavailable"


class Refused(Exception):
    """The service does not do it. ``faults`` are complete sentences for the caller; they hold no secret."""

    def __init__(self, grounds: Grounds, *faults: str) -> None:
        super().__init__("; ".join(faults))
        self.grounds = grounds
        self.faults = faults
