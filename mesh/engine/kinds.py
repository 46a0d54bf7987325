"""Numbers that the engine and the control plane share: link kinds, close reasons, what a denial was about.

The values stand again in ``types.pxd`` (C cannot read Python); ``tests/unit/engine/test_kinds.py`` holds them equal.
"""

from enum import IntEnum


class LinkKind(IntEnum):
    """What stands behind a link. The numbers are those of nats-server's trace events (client-protocol section 24)."""

    CLIENT = 0
    ROUTE = 1
    GATEWAY = 2
    SYSTEM = 3
    LEAF = 4


class Action(IntEnum):
    """What a permissions violation was about."""

    PUBLISH = 0
    REPLY = 1
    SUBSCRIBE = 2


class Part(IntEnum):
    """What a part of a subject's program does (client-protocol section 25). ``TAIL`` copies what ``>`` matched."""

    LITERAL = 0
    WILDCARD = 1
    PARTITION = 2  # numbers: buckets, wildcard indexes; none: the whole subject
    RANDOM = 3  # numbers: buckets
    SPLIT = 4  # text: separator; numbers: wildcard index
    SPLIT_FROM_LEFT = 5  # numbers: wildcard index, position; so the following
    SPLIT_FROM_RIGHT = 6
    SLICE_FROM_LEFT = 7
    SLICE_FROM_RIGHT = 8
    LEFT = 9
    RIGHT = 10
    TAIL = 11


class Response(IntEnum):
    """How many answers a service gives to one request (auth section 18)."""

    SINGLETON = 0
    STREAM = 1
    CHUNKED = 2


class CloseReason(IntEnum):
    """Why a link was closed (client-protocol section 20). ``text`` is what monitoring and events show."""

    CLIENT_CLOSED = 1
    AUTHENTICATION_TIMEOUT = 2
    AUTHENTICATION_VIOLATION = 3
    TLS_HANDSHAKE_ERROR = 4
    SLOW_CONSUMER_PENDING_BYTES = 5
    SLOW_CONSUMER_WRITE_DEADLINE = 6
    WRITE_ERROR = 7
    READ_ERROR = 8
    PARSE_ERROR = 9
    STALE_CONNECTION = 10
    PROTOCOL_VIOLATION = 11
    BAD_CLIENT_PROTOCOL_VERSION = 12
    WRONG_PORT = 13
    MAX_CONNECTIONS_EXCEEDED = 14
    MAX_ACCOUNT_CONNECTIONS_EXCEEDED = 15
    MAX_PAYLOAD_EXCEEDED = 16
    MAX_CONTROL_LINE_EXCEEDED = 17
    MAX_SUBSCRIPTIONS_EXCEEDED = 18
    DUPLICATE_ROUTE = 19
    ROUTE_REMOVED = 20
    SERVER_SHUTDOWN = 21
    AUTHENTICATION_EXPIRED = 22
    WRONG_GATEWAY = 23
    MISSING_ACCOUNT = 24
    REVOCATION = 25
    INTERNAL_CLIENT = 26
    MESSAGE_HEADER_VIOLATION = 27
    NO_RESPONDERS_REQUIRES_HEADERS = 28
    CLUSTER_NAME_CONFLICT = 29
    DUPLICATE_REMOTE_LEAFNODE = 30
    DUPLICATE_CLIENT_ID = 31
    DUPLICATE_SERVER_NAME = 32
    MINIMUM_VERSION_REQUIRED = 33
    CLUSTER_NAMES_IDENTICAL = 34
    KICKED = 35
    PROXY_NOT_TRUSTED = 36
    PROXY_REQUIRED = 37

    @property
    def text(self) -> str:
        """The words monitoring shows for this reason."""
        return _TEXTS[self]


_TEXTS = {
    CloseReason.CLIENT_CLOSED: "Client Closed",
    CloseReason.AUTHENTICATION_TIMEOUT: "Authentication Timeout",
    CloseReason.AUTHENTICATION_VIOLATION: "Authentication Failure",
    CloseReason.TLS_HANDSHAKE_ERROR: "TLS Handshake Failure",
    CloseReason.SLOW_CONSUMER_PENDING_BYTES: "Slow Consumer (Pending Bytes)",
    CloseReason.SLOW_CONSUMER_WRITE_DEADLINE: "Slow Consumer (Write Deadline)",
    CloseReason.WRITE_ERROR: "Write Error",
    CloseReason.READ_ERROR: "Read Error",
    CloseReason.PARSE_ERROR: "Parse Error",
    CloseReason.STALE_CONNECTION: "Stale Connection",
    CloseReason.PROTOCOL_VIOLATION: "Protocol Violation",
    CloseReason.BAD_CLIENT_PROTOCOL_VERSION: "Bad Client Protocol Version",
    CloseReason.WRONG_PORT: "Incorrect Port",
    CloseReason.MAX_CONNECTIONS_EXCEEDED: "Maximum Connections Exceeded",
    CloseReason.MAX_ACCOUNT_CONNECTIONS_EXCEEDED: "Maximum Account Connections Exceeded",
    CloseReason.MAX_PAYLOAD_EXCEEDED: "Maximum Message Payload Exceeded",
    CloseReason.MAX_CONTROL_LINE_EXCEEDED: "Maximum Control Line Exceeded",
    CloseReason.MAX_SUBSCRIPTIONS_EXCEEDED: "Maximum Subscriptions Exceeded",
    CloseReason.DUPLICATE_ROUTE: "Duplicate Route",
    CloseReason.ROUTE_REMOVED: "Route Removed",
    CloseReason.SERVER_SHUTDOWN: "Server Shutdown",
    CloseReason.AUTHENTICATION_EXPIRED: "Authentication Expired",
    CloseReason.WRONG_GATEWAY: "Wrong Gateway",
    CloseReason.MISSING_ACCOUNT: "Missing Account",
    CloseReason.REVOCATION: "Credentials Revoked",
    CloseReason.INTERNAL_CLIENT: "Internal Client",
    CloseReason.MESSAGE_HEADER_VIOLATION: "Message Header Violation",
    CloseReason.NO_RESPONDERS_REQUIRES_HEADERS: "No Responders Requires Headers",
    CloseReason.CLUSTER_NAME_CONFLICT: "Cluster Name Conflict",
    CloseReason.DUPLICATE_REMOTE_LEAFNODE: "Duplicate Remote LeafNode Connection",
    CloseReason.DUPLICATE_CLIENT_ID: "Duplicate Client ID",
    CloseReason.DUPLICATE_SERVER_NAME: "Duplicate Server Name",
    CloseReason.MINIMUM_VERSION_REQUIRED: "Minimum Version Required",
    CloseReason.CLUSTER_NAMES_IDENTICAL: "Cluster Names Identical",
    CloseReason.KICKED: "Kicked",
    CloseReason.PROXY_NOT_TRUSTED: "Proxy Not Trusted",
    CloseReason.PROXY_REQUIRED: "Proxy Required",
}
