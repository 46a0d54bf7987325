"""The seam between the control plane and the engine, typed.

Every programming call is queued and takes effect in order at the engine's next tick; none of them blocks. Ids
(link, listener, account, permission set, subscription) are given out at the call, so that later calls can use them at
once. A call that names an id that is gone is silently without effect: the ``Closed`` event tells.
Text is bytes or ASCII str; times are nanoseconds.
"""

from collections.abc import Sequence
from typing import Final

from gossamer.mesh.engine.events import Event
from gossamer.mesh.engine.views import AccountStatistics as AccountStatistics
from gossamer.mesh.engine.views import GatewayAccount as GatewayAccount
from gossamer.mesh.engine.views import LinkStatistics as LinkStatistics
from gossamer.mesh.engine.views import SubscriptionDetail as SubscriptionDetail
from gossamer.mesh.engine.views import Totals as Totals

#: Placeholders in an INFO template: replaced for each link by its id, the peer's address, a fresh nonce.
LINK_ID: Final[int]
PEER_HOST: Final[int]
NONCE: Final[int]

#: A subject made from another: parts joined by dots. Each part is (kinds.Part, text, numbers): literal tokens with
#: their text, functions with their arguments as numbers (wildcards count from 1), SPLIT with the separator as text.
Program = Sequence[tuple[int, bytes, Sequence[int]]]
#: Weight in percent, and the subject. Weights add up to 100 or less; of the rest the message keeps its subject unless
#: the source is among the destinations, in which case the rest is dropped: the caller says so by a destination with
#: the remaining weight and an empty program.
Destination = tuple[int, Program]

class Engine:
    #: Readable when ``drain()`` has something (an eventfd; ``drain`` resets it).
    wakeup_fd: int

    def __init__(self, *, seed: int | None = None) -> None:
        """``seed`` given: deterministic (nonces, queue picks, jitter) for simulation; None: from the system."""

    # --- life ---------------------------------------------------------------------------------------------------
    def run(self) -> None:
        """Drive sockets until ``stop()``; blocks without the GIL, so call it in a thread of its own."""
    def stop(self) -> None:
        """End ``run()`` after the current tick; links are closed without ceremony. Safe from any thread."""
    def step(self, now_ns: int) -> int:
        """Instead of ``run``: one tick by hand at the given time: queued calls, fed bytes, timers, flush.
        Returns the number of nanoseconds until the next timer is due (-1: none)."""
    def drain(self) -> list[Event]:
        """All events since the last call, oldest first."""
    def destroy(self) -> None:
        """Free everything. After this no call is allowed. ``run`` must have returned."""

    # --- limits and timers, for all links --------------------------------------------------------------------------
    def configure(
        self,
        *,
        max_connections: int | None = None,  # clients; < 1 refuses all
        max_control_line: int | None = None,
        max_payload: int | None = None,
        max_pending: int | None = None,
        max_subscriptions: int | None = None,  # per client, 0 unlimited
        max_subscription_tokens: int | None = None,  # 0 unlimited
        pending_budget: int | None = None,  # output bytes over all links
        mailbox_limit: int | None = None,  # bytes of messages waiting for drain()
        write_deadline_ns: int | None = None,  # of clients; with route_, gateway_, leaf_ before it of others, and so on
        retry_writes: bool | None = None,  # True: who takes too little stays as long as any byte was taken
        ping_interval_ns: int | None = None,
        ping_max: int | None = None,
        route_ping_interval_ns: int | None = None,
        route_ping_max: int | None = None,
        route_write_deadline_ns: int | None = None,
        route_retry_writes: bool | None = None,
        route_pool_size: int | None = None,  # own pool size; <= 0: no pool
        fast_producer_stall: bool | None = None,
        placeholder_accounts: bool | None = None,  # keep interest of unknown accounts (JWT resolver)
        trace: bool | None = None,
        gateway_ping_interval_ns: int | None = None,
        gateway_ping_max: int | None = None,
        gateway_write_deadline_ns: int | None = None,
        gateway_retry_writes: bool | None = None,
        leaf_ping_interval_ns: int | None = None,
        leaf_ping_max: int | None = None,
        leaf_write_deadline_ns: int | None = None,
        leaf_retry_writes: bool | None = None,
        literal_wildcards: bool | None = None,  # True: an allow list's a.* lets through a subscription to a.> (auth 26)
    ) -> None: ...

    # --- links ---------------------------------------------------------------------------------------------------
    def listen(
        self,
        descriptor: int | None,
        *,
        kind: int,
        info: Sequence[bytes | int],
        auth_timeout_ns: int = 0,  # 0: none
        info_first: bool = False,  # leaf nodes: an INFO may come before CONNECT (it negotiates compression)
    ) -> int:
        """Accept on a listening socket, whose descriptor the engine takes over (None: for memory links only).
        ``info`` is what a new link is sent at once: pieces of bytes and placeholders, CR LF included."""
    def set_info(self, listener: int, info: Sequence[bytes | int]) -> None: ...
    def close_listener(self, listener: int) -> None: ...
    def adopt(
        self, descriptor: int, *, kind: int, listener: int = 0, greeting: bytes = b"", host: str = "", port: int = 0
    ) -> int:
        """Take over a connected socket. With ``listener`` it is treated as accepted there (INFO, auth timer); else it
        is a solicited link: ``greeting`` is sent at once and the peer's INFO is awaited."""
    def open(self, *, kind: int, listener: int = 0, greeting: bytes = b"", host: str = "", port: int = 0) -> int:
        """The same without a socket: a memory link. ``feed`` gives it bytes, ``Output`` events carry its answers."""
    def feed(self, link: int, data: bytes, *, end: bool = False) -> None:
        """Bytes received by a memory link; ``end``: the peer closed."""
    def hold(self, link: int, held: bool) -> None:
        """A memory link that is held takes no more output, like a socket whose peer does not read."""
    def admit(
        self,
        link: int,
        *,
        account: int,
        permissions: int = 0,  # 0: everything is allowed
        verbose: bool = False,
        pedantic: bool = False,
        echo: bool = True,
        headers: bool = False,
        no_responders: bool = False,
        max_payload: int = -1,  # -1: the server's
        max_subscriptions: int = -1,
        info_after_pong: bytes = b"",
        reset: bool = False,  # second CONNECT: drop the link's subscriptions first
    ) -> None:
        """The verdict on a ``Hello``: go on parsing as this. ``info_after_pong`` is sent once, after the first PONG.
        ``+OK`` is sent by the engine if ``verbose`` and the link was judged for a CONNECT."""
    def change(
        self, link: int, *, permissions: int, max_payload: int | None = None, max_subscriptions: int | None = None
    ) -> None:
        """New permissions and limits (None: as they are) on a live link, as in ``admit``: subscriptions no longer
        allowed are removed, each with its -ERR."""
    def send(self, link: int, data: bytes, *, after_pong: bool = False) -> None:
        """Queue bytes. ``after_pong``: only if the link has had its first PONG (asynchronous INFO to clients)."""
    def close(self, link: int, *, reason: int, error: bytes = b"", flush: bool = True) -> None:
        """``error`` is the text inside -ERR '...'. ``flush``: what is queued goes out first."""
    def expire(self, link: int, *, at_ns: int, reason: int, error: bytes) -> None:
        """Close the link at that time of the engine's clock (``Totals.now_ns``); 0 cancels an earlier call."""
    def ping(self, link: int) -> None: ...
    def resume(self, link: int) -> None:
        """Go on parsing after a ``PeerInfo``."""

    # --- routes --------------------------------------------------------------------------------------------------
    def admit_route(self, link: int) -> None:
        """CONNECT of an accepting route link was fine: un-park, the next thing awaited is the peer's INFO."""
    def join_route(
        self,
        link: int,
        *,
        node: int,  # number of the remote node, the same for all its links, given out by the control plane
        headers: bool,
        leaf_origin: bool = False,  # lnoc
        leaf_origin_unsubscribe: bool = False,  # lnocu
        pool_index: int = 0,
        pooled: bool = True,  # False: the remote or this node has no pool: all accounts on this link
        account: int = 0,  # dedicated to this account
        leaf_origin_always: bool = False,  # ln: leaf interest without a cluster is told with the origin ``_``
        server_hash: bytes = b"",  # six characters, for replies mapped by gateways (``gateway_identity``)
        permissions: int = 0,  # the cluster's: publish is import, subscribe is export (routes section 15)
    ) -> None:
        """Register: all interest of this link's accounts that may be imported is announced on it, the link is un-parked
        and counts. Interest of the peer that may not be exported is not kept. Called again for a link that has joined:
        all is announced once more (the peer exports something new), what other ``permissions`` no longer let be
        imported is withdrawn, and what they no longer let be exported is forgotten."""

    # --- gateways --------------------------------------------------------------------------------------------------
    def gateway_identity(self, *, name: bytes, cluster_hash: bytes, server_hash: bytes) -> None:
        """This node is a member of the gateway (cluster) ``name``. The hashes are six characters each (gateways section
        9.4). Without this call the node maps no replies."""
    def join_gateway(
        self,
        link: int,
        *,
        outbound: bool,
        name: bytes,  # of the remote cluster
        cluster_hash: bytes,  # of that name, six characters
        headers: bool = True,
        interest_only: bool = True,  # outbound: the remote announced gateway_iom
    ) -> None:
        """Register and un-park. Inbound (accepted): the interest of the whole cluster is announced, all queue interest
        first, then account by account between the commands 2 and 3; its messages are taken. Outbound (solicited): its
        interest is taken, messages go there. INFO lines with gateway_cmd 2 and 3 are the engine's own affair; others
        are ``PeerInfo`` events. An inbound's RS+ or RS- closes it, A+ and A- are ignored."""
    def gateway_accounts(self, link: int) -> list[GatewayAccount]:
        """What is known of each account on a gateway link; empty for other links and those that are gone."""

    # --- leaf nodes ------------------------------------------------------------------------------------------------
    def join_leaf(
        self,
        link: int,
        *,
        account: int,
        spoke: bool,  # our role on this link: the peer is our hub
        cluster: bytes,  # the peer's cluster, or its server name when it has none
        headers: bool = True,
        permissions: int = 0,  # of the leaf's user, as of a client's: publish is what the leaf sends to the hub
        isolated: bool = False,  # interest of other leafs is not announced to it
        remote_account: bytes = b"",
        max_payload: int = -1,  # -1: the server's
        max_subscriptions: int = -1,
    ) -> None:
        """Bind to the account, announce its interest, un-park. (Queue INFO before with ``send``.) ``change`` gives it
        other permissions later: what is announced follows. A loop is found by the engine when an own subscription of
        the account on the same ``$LDS.`` subject exists: the link is closed with the -ERR of leafnodes section 14."""
    def subscribe_loop_detection(self, account: int, subject: bytes) -> int:
        """The account's own ``$LDS.`` subject: told to leaf nodes alone (routes pass on only other nodes')."""

    # --- accounts, permissions, own subscriptions ----------------------------------------------------------------
    def account(self, name: bytes, *, dedicated_route: bool = False, system: bool = False) -> int:
        """The id of the account, which is made if needed; a second call changes its flags. ``dedicated_route``: bound
        to routes that joined with this account; ``system``: may use the reserved ``$NRG.`` subjects."""
    def remove_account(self, account: int) -> None:
        """Forget the account when its last link is gone; until then nothing changes."""
    def permissions(
        self,
        *,
        publish_allow: Sequence[bytes] | None = None,  # None: everything; (): nothing
        publish_deny: Sequence[bytes] = (),
        subscribe_allow: Sequence[tuple[bytes, bytes]] | None = None,  # (subject, queue); queue b"" plain
        subscribe_deny: Sequence[tuple[bytes, bytes]] = (),
        response_max: int = 0,  # 0: no allow_responses; < 0: unlimited
        response_ttl_ns: int = 0,
    ) -> int: ...
    def remove_permissions(self, permissions: int) -> None:
        """Forget the set when the last link that uses it is gone."""
    def subscribe(self, account: int, subject: bytes, queue: bytes = b"") -> int:
        """A subscription of the control plane: matches arrive as ``Message`` events. It counts as interest."""
    def unsubscribe(self, subscription: int) -> None: ...
    def publish(
        self, account: int, subject: bytes, data: bytes = b"", *, reply: bytes = b"", header_size: int = 0
    ) -> None: ...
    def compress(self, link: int, level: int, *, both: bool = True) -> None:
        """From here on the link's output is an S2 stream: what is queued goes out as it is. ``level``: 1 framed only,
        2 fast, 3 better, 4 best; a second call changes it. ``both``: its input is one too from now on (the link must be
        parked: what it sent behind the line that was reported is then taken as compressed)."""

    # --- what accounts share, and mapped subjects ------------------------------------------------------------------
    def mapping(self, account: int, source: bytes, destinations: Sequence[Destination] | None) -> None:
        """Map what is published on ``source`` (a pattern) by clients and leaf nodes of the account, and what comes in
        through its exported services, before permissions and matching; once, never again on the result. A literal
        source comes first, then patterns in the order in which their sources were first defined. A second call for the
        same source replaces its destinations; None or an empty sequence removes the mapping (auth section 21)."""
    def service_import(
        self,
        account: int,
        *,
        local: bytes,  # pattern in the importing account
        exporter: int,
        program: Program,  # of the exporter's subject; wildcards are those of ``local``, in order
        response: int = 0,  # kinds.Response
        threshold_ns: int = 0,  # 0: two minutes
        share: bool = False,
        sampling: int = -1,  # of latency: -1 none, 0 by headers, 1 to 100 percent
    ) -> int:
        """Messages that clients, leaf nodes, the control plane or another import publish on ``local`` also go to the
        exporter as requests (auth section 18); the id of the import."""
    def stream_import(
        self,
        account: int,
        *,
        exporter: int,
        subject: bytes,  # pattern in the exporting account
        program: Program,  # of the local subject; wildcards are those of ``subject``, in order
    ) -> int:
        """Subscriptions of ``account`` that overlap the local subject, those that exist and those to come, get a
        shadow in the exporting account, narrowed to the overlap (auth section 20); the id of the import."""
    def remove_import(self, import_id: int) -> None:
        """End it at once: shadows go; replies to requests on their way are dropped."""
    def latency_identity(self, *, server_hash: bytes) -> None:
        """Measure the latency of services together with other servers: the replies of sampled requests name this node
        by these eight characters, and ``Served`` events tell of answers to such replies of others (auth section 19).
        Raises ValueError for another length."""
    def describe(self, link: int, front: bytes, back: bytes) -> None:
        """What requests through imports that share say of this link's requestor: the JSON text before and after the
        number of ``rtt``: ``{"start":...,"rtt":`` and ``,"server":...}``. Without it they say as little as others."""

    # --- looking inside (waits for the end of the current tick) -------------------------------------------------------
    def totals(self) -> Totals: ...
    def links(self) -> list[LinkStatistics]: ...
    def link(self, link: int) -> LinkStatistics | None: ...
    def accounts(self) -> list[AccountStatistics]: ...
    def subscriptions(self, *, link: int = 0, account: int = 0, limit: int = 1_000_000) -> list[SubscriptionDetail]: ...
    def matches(self, account: int, subject: bytes) -> list[SubscriptionDetail]:
        """Who would receive a message on this literal subject."""

def subject_is_valid(subject: bytes) -> bool:
    """May be subscribed to: no empty token, ``>`` only last."""

def subject_is_literal(subject: bytes) -> bool:
    """Valid and without wildcards."""

def subject_matches(pattern: bytes, subject: bytes) -> bool:
    """Does the pattern match the literal subject?"""

def subject_covers(wide: bytes, narrow: bytes) -> bool:
    """Is every subject that ``narrow`` matches also matched by ``wide``? (set inclusion)"""

def subjects_overlap(one: bytes, other: bytes) -> bool:
    """Is there a literal subject that both patterns match?"""
