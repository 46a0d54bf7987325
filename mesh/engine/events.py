"""What the engine tells the control plane: one small immutable value for each thing that happened.

The engine makes them in ``Engine.drain()``, on the control plane's thread. ``link`` is the id of a link, never reused
while the process lives; for clients it is the ``client_id`` (cid). All texts from a peer are bytes, as they came.
"""

from typing import NamedTuple


class Opened(NamedTuple):
    """A link exists: accepted by a listener, or handed over by ``adopt`` or ``open``. Its INFO is already queued."""

    link: int
    listener: int
    kind: int
    host: str
    port: int


class Hello(NamedTuple):
    """The peer wants to be judged; the link is parked (nothing more of it is parsed) until ``admit`` or ``close``.

    ``connect`` is the JSON text of CONNECT, or None when a client sent another verb first. ``again`` is set for a
    CONNECT on a link that had sent one already. ``nonce`` is the nonce of this link's INFO, empty if it had none.
    """

    link: int
    connect: bytes | None
    again: bool
    nonce: bytes


class PeerInfo(NamedTuple):
    """An INFO line of a server peer (route, gateway, leaf): its JSON text. The link is parked until ``resume``,
    ``join_route``, ``join_gateway``, ``join_leaf`` or ``close``. On a listener with ``info_first`` one may come before
    CONNECT. ``nonce`` is that of the link's own INFO, empty if it had none."""

    link: int
    info: bytes
    nonce: bytes = b""


class PeerError(NamedTuple):
    """The peer sent -ERR; ``text`` as it came, quotes included. The engine closes the link afterwards, but for leaf
    nodes, whose peers close by themselves where they mean to."""

    link: int
    text: bytes


class Pong(NamedTuple):
    """A PONG of a server peer (not reported for clients); ``rtt_ns`` 0 when it answered no PING of ours."""

    link: int
    rtt_ns: int


class Closed(NamedTuple):
    """A link is gone, with its final counters; ``error`` is the -ERR text that went out, if any."""

    link: int
    reason: int
    error: bytes
    in_messages: int
    out_messages: int
    in_bytes: int
    out_bytes: int
    subscriptions: int
    rtt_ns: int
    pending_bytes: int


class Denied(NamedTuple):
    """A permissions violation. At most 100 a second are reported; ``skipped`` counts those left out before this one."""

    link: int
    action: int
    subject: bytes
    queue: bytes
    skipped: int


class Message(NamedTuple):
    """A message for a subscription of the control plane. ``data`` starts with ``header_size`` bytes of headers.
    ``link`` is where it entered this node (0: published by the control plane)."""

    subscription: int
    account: int
    subject: bytes
    reply: bytes
    header_size: int
    data: bytes
    link: int


class Output(NamedTuple):
    """Bytes that a memory link has to send. ``end`` is set with the last ones, when the engine closed the link."""

    link: int
    data: bytes
    end: bool


class Trace(NamedTuple):
    """A protocol line, in or out, of a link being traced (``configure(trace=True)``)."""

    link: int
    outbound: bool
    line: bytes


class AccountSeen(NamedTuple):
    """A route or gateway announced interest for an account nobody had programmed: ``kept`` says whether it was kept."""

    account: int
    name: bytes
    link: int
    kept: bool


class Latency(NamedTuple):
    """A sampled request through a service import is answered, or will not be (auth section 19).

    ``status`` 200, 400 (no reply subject), 408 (requestor's interest lost), 503 (nobody there), 504 (threshold).
    ``responder`` 0: none or on another node. Durations in ns: ``service_ns`` from the request's delivery to the answer.
    ``headers`` is the request's header block when headers triggered the sample, else empty. ``reply``: the answer came
    from another server on this subject, and that server was asked to tell its half; else empty."""

    service_import: int
    status: int
    requestor: int
    responder: int
    start_ns: int
    requestor_rtt_ns: int
    responder_rtt_ns: int
    service_ns: int
    headers: bytes
    reply: bytes


class Served(NamedTuple):
    """A client answered a request that another server samples, whose hash stands in the name of ``reply`` (auth section
    19). Durations in ns: ``service_ns`` from when the client was given the request to its answer."""

    link: int
    account: int
    reply: bytes
    start_ns: int
    rtt_ns: int
    service_ns: int


Event = (
    Opened
    | Hello
    | PeerInfo
    | PeerError
    | Pong
    | Closed
    | Denied
    | Message
    | Output
    | Trace
    | AccountSeen
    | Latency
    | Served
)
