"""Limits and timing (spec configuration section 4.2)."""

from gossamer.mesh.options.language.document import Node
from gossamer.mesh.options.processing import Processing
from gossamer.mesh.options.table import Reload, Row, Type, Wrong
from gossamer.mesh.options.types import (
    BOOLEAN,
    DURATION,
    INTEGER,
    SIZE,
    SIZE_31,
    WRITE_TIMEOUT,
    as_integer,
    duration_text,
)
from gossamer.mesh.options.units import format_duration

_LAME_DUCK_MIN_NS = 30 * 1_000_000_000


def _subject_tokens(processing: Processing, key: str, node: Node) -> int:
    value = as_integer(node)
    if value > 255:
        raise Wrong(f"{key.lower()} value is too big", suggestion="1 to 255")
    if value <= 0:
        raise Wrong(f"{key.lower()} value can not be negative", suggestion="1 to 255; leave it out for no limit")
    return value


def _lame_duck_duration(processing: Processing, key: str, node: Node) -> int:
    value = duration_text(processing, key, node)
    if value < _LAME_DUCK_MIN_NS:
        raise Wrong(f"invalid lame_duck_duration of {format_duration(value)}, minimum is 30 seconds")
    return value


def _lame_duck_grace_period(processing: Processing, key: str, node: Node) -> int:
    value = duration_text(processing, key, node)
    if value < 0:
        raise Wrong("invalid lame_duck_grace_period, needs to be positive")
    return value


TOP = (
    Row(
        keys=("max_connections", "max_conn"),
        type=INTEGER,
        fields=("limits.max_connections",),
        doc="Client connections at a time; below 1 every client is refused. Lowering it closes random clients.",
        reload=Reload.YES,
    ),
    Row(
        keys=("max_subscriptions", "max_subs"),
        type=INTEGER,
        fields=("limits.max_subscriptions",),
        doc="Subscriptions of a connection; 0 is unlimited.",
        name="MaxSubs",
    ),
    Row(
        keys=("max_sub_tokens", "max_subscription_tokens"),
        type=Type("integer 1 to 255", _subject_tokens),
        fields=("limits.max_sub_tokens",),
        doc="Tokens in the subject of a subscription; 0 is unlimited.",
        name="MaxSubTokens",
    ),
    Row(
        keys=("max_control_line",),
        type=SIZE_31,
        fields=("limits.max_control_line",),
        unit="bytes",
        doc="Length of a protocol line.",
        reload=Reload.YES,
    ),
    Row(
        keys=("max_payload",),
        type=SIZE_31,
        fields=("limits.max_payload",),
        unit="bytes",
        doc="Length of a message, headers included. Above 8 MiB is discouraged.",
        reload=Reload.YES,
    ),
    Row(
        keys=("max_pending",),
        type=SIZE,
        fields=("limits.max_pending",),
        unit="bytes",
        doc="Bytes waiting for a client before it counts as slow and is closed.",
        name="MaxPending",
    ),
    Row(
        keys=("max_closed_clients",),
        type=INTEGER,
        fields=("limits.max_closed_clients",),
        doc="Closed connections remembered for monitoring.",
        name="MaxClosedClients",
        since="2.11",
    ),
    Row(
        keys=("write_deadline",),
        type=DURATION,
        fields=("limits.write_deadline_ns",),
        doc="How long a write to a client may take. New connections follow a reload.",
        reload=Reload.YES,
    ),
    Row(
        keys=("write_timeout",),
        type=WRITE_TIMEOUT,
        fields=("limits.write_timeout",),
        default="default (close)",
        doc="What happens to a client that missed the write deadline; retry: it stays while it takes anything.",
        name="WriteTimeout",
        since="2.14",
    ),
    Row(
        keys=("ping_interval",),
        type=DURATION,
        fields=("limits.ping_interval_ns",),
        doc="Pause between PINGs to a client; zero or less is the default.",
        reload=Reload.YES,
    ),
    Row(
        keys=("ping_max",),
        type=INTEGER,
        fields=("limits.ping_max",),
        doc="Unanswered PINGs after which a connection is stale.",
        reload=Reload.YES,
    ),
    Row(
        keys=("no_fast_producer_stall",),
        type=BOOLEAN,
        fields=("limits.no_fast_producer_stall",),
        doc="Drop messages for a slow consumer instead of slowing the producer down.",
        reload=Reload.YES,
        since="2.11",
    ),
    Row(
        keys=("lame_duck_duration",),
        type=Type("duration string", _lame_duck_duration),
        fields=("lame_duck.duration_ns",),
        doc="Over how long a leaving node closes its clients; at least 30 s.",
        name="LameDuckDuration",
    ),
    Row(
        keys=("lame_duck_grace_period",),
        type=Type("duration string", _lame_duck_grace_period),
        fields=("lame_duck.grace_period_ns",),
        doc="How long a leaving node waits before it closes the first; less than the duration.",
        name="LameDuckGracePeriod",
    ),
    Row(
        keys=("connect_error_reports",),
        type=INTEGER,
        fields=("connect_error_reports",),
        doc="Every how many failed attempts the first connection to a peer is logged.",
        reload=Reload.YES,
    ),
    Row(
        keys=("reconnect_error_reports",),
        type=INTEGER,
        fields=("reconnect_error_reports",),
        doc="The same for a peer that was connected before.",
        reload=Reload.YES,
    ),
)
