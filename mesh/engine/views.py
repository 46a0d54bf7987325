"""What a look inside the engine returns: counters and subscriptions at one moment between two ticks."""

from typing import NamedTuple


class LinkStatistics(NamedTuple):
    """A link's counters. Times are on the engine's clock (``Totals.now_ns``)."""

    link: int
    kind: int
    account: int
    in_messages: int
    out_messages: int
    in_bytes: int
    out_bytes: int
    pending_bytes: int
    subscriptions: int
    rtt_ns: int
    last_activity_ns: int
    pings_outstanding: int
    stalls: int


class SubscriptionDetail(NamedTuple):
    """A subscription; ``link`` 0: the control plane's own; ``weight``: members behind a route's queue interest."""

    link: int
    kind: int
    account: int
    subject: bytes
    queue: bytes
    sid: bytes
    messages: int
    max_messages: int
    weight: int


class AccountStatistics(NamedTuple):
    """An account's counters; ``subscriptions`` are this node's, ``remote_subscriptions`` what routes announced."""

    account: int
    name: bytes
    in_messages: int
    out_messages: int
    in_bytes: int
    out_bytes: int
    subscriptions: int
    remote_subscriptions: int
    slow_consumers: int


class Totals(NamedTuple):
    """The whole engine's counters; ``slow_consumers`` by LinkKind."""

    in_messages: int
    out_messages: int
    in_bytes: int
    out_bytes: int
    links: int
    subscriptions: int
    slow_consumers: tuple[int, int, int, int, int]
    stalled_clients: int
    pending_bytes: int
    mailbox_bytes: int
    mailbox_dropped: int
    cache_entries: int
    cache_hits: int
    cache_misses: int
    now_ns: int


class GatewayAccount(NamedTuple):
    """An account on a gateway link. Outbound: what the remote cluster wants of it; ``mode`` is "interest-only",
    "transitioning", "optimistic" or "none" (A-); ``refused``: subjects the remote does not want in optimistic mode.
    Inbound: what this cluster has announced, always interest-only."""

    account: bytes
    mode: str
    subscriptions: int
    queue_subscriptions: int
    refused: int
