# cython: language_level=3
"""The seam: the ``Engine`` class, which turns calls into commands and records into events.

It has four storeys: ``Handle`` (the core's life, and the way in and out), ``Viewer`` (looking inside), ``Tenants``
(accounts and what is theirs), and ``Engine`` itself: limits, listeners and links of every kind.
"""

import os

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc
from libc.string cimport memset

from gossamer.mesh.engine.command cimport (
    ADMIT_ECHO,
    ADMIT_HEADERS,
    ADMIT_NO_RESPONDERS,
    ADMIT_PEDANTIC,
    ADMIT_RESET,
    ADMIT_VERBOSE,
    CHANGE_KEEP,
    COMMAND_ADMIT,
    COMMAND_ADMIT_ROUTE,
    COMMAND_ADOPT,
    COMMAND_CHANGE,
    COMMAND_CLOSE,
    COMMAND_CLOSE_LISTENER,
    COMMAND_COMPRESS,
    COMMAND_CONFIGURE,
    COMMAND_DESCRIBE,
    COMMAND_EXPIRE,
    COMMAND_FEED,
    COMMAND_GATEWAY_IDENTITY,
    COMMAND_HOLD,
    COMMAND_JOIN_GATEWAY,
    COMMAND_JOIN_LEAF,
    COMMAND_JOIN_ROUTE,
    COMMAND_LISTEN,
    COMMAND_PING,
    COMMAND_RESUME,
    COMMAND_SEND,
    COMMAND_SET_INFO,
    GATEWAY_HEADERS,
    GATEWAY_OPTIMISTIC_PEER,
    GATEWAY_OUTBOUND,
    LEAF_HEADERS,
    LEAF_ISOLATED,
    LEAF_SPOKE,
    ROUTE_HEADERS,
    ROUTE_LEAF_ORIGIN,
    ROUTE_LEAF_ORIGIN_UNSUBSCRIBE,
    ROUTE_POOLED,
)
from gossamer.mesh.engine.handle cimport text_of
from gossamer.mesh.engine.subject cimport covers, matches, overlap, subject_literal, subject_valid
from gossamer.mesh.engine.tenants cimport Tenants
from gossamer.mesh.engine.types cimport (
    KIND_CLIENT,
    KIND_GATEWAY,
    KIND_LEAF,
    KIND_ROUTE,
    Command,
    Configuration,
    Core,
    Listener,
)

cdef extern from *:
    uint64_t add_link "__sync_fetch_and_add"(uint64_t* at, uint64_t value) noexcept nogil

LINK_ID = 1
PEER_HOST = 2
NONCE = 3

cdef dict CONFIGURATION_DEFAULTS = {
    "max_connections": 65536,
    "max_control_line": 4096,
    "max_payload": 1048576,
    "max_pending": 67108864,
    "max_subscriptions": 0,
    "max_subscription_tokens": 0,
    "pending_budget": 1 << 30,
    "mailbox_limit": 64 << 20,
    "write_deadline_ns": 10_000_000_000,
    "retry_writes": False,
    "ping_interval_ns": 120_000_000_000,
    "ping_max": 2,
    "route_ping_interval_ns": 30_000_000_000,
    "route_ping_max": 2,
    "route_write_deadline_ns": 10_000_000_000,
    "route_retry_writes": True,
    "route_pool_size": 3,
    "gateway_ping_interval_ns": 15_000_000_000,
    "gateway_ping_max": 2,
    "gateway_write_deadline_ns": 10_000_000_000,
    "gateway_retry_writes": True,
    "leaf_ping_interval_ns": 120_000_000_000,
    "leaf_ping_max": 2,
    "leaf_write_deadline_ns": 10_000_000_000,
    "leaf_retry_writes": True,
    "fast_producer_stall": True,
    "placeholder_accounts": False,
    "literal_wildcards": False,
    "trace": False,
}


# What stands before the names of settings that each kind of link has its own of.
cdef dict PREFIXES = {KIND_CLIENT: "", KIND_ROUTE: "route_", KIND_GATEWAY: "gateway_", KIND_LEAF: "leaf_"}


cdef class Engine(Tenants):
    """The data plane; see ``core.pyi`` for the contract of every method."""

    cdef dict settings
    cdef uint32_t listener_count

    def __cinit__(self, *, seed=None):
        self.settings = dict(CONFIGURATION_DEFAULTS)
        self.configure()

    # --- limits -----------------------------------------------------------------------------------------------------

    def configure(self, **changes):
        cdef Command command
        cdef Configuration* wanted
        for name, value in changes.items():
            if name not in self.settings:
                raise TypeError(f"configure() got an unexpected keyword argument {name!r}")
            if value is not None:
                self.settings[name] = value
        wanted = <Configuration*>calloc(1, sizeof(Configuration))
        if wanted == NULL:
            raise MemoryError
        settings = self.settings
        for kind, prefix in PREFIXES.items():
            wanted.patience[kind].ping_interval_ns = settings[prefix + "ping_interval_ns"]
            wanted.patience[kind].ping_max = settings[prefix + "ping_max"]
            wanted.patience[kind].write_deadline_ns = settings[prefix + "write_deadline_ns"]
            wanted.patience[kind].retry_writes = settings[prefix + "retry_writes"]
        wanted.max_connections = settings["max_connections"]
        wanted.max_control_line = settings["max_control_line"]
        wanted.max_payload = settings["max_payload"]
        wanted.max_pending = settings["max_pending"]
        wanted.max_subscriptions = settings["max_subscriptions"]
        wanted.max_subscription_tokens = settings["max_subscription_tokens"]
        wanted.pending_budget = settings["pending_budget"]
        wanted.mailbox_limit = settings["mailbox_limit"]
        wanted.route_pool_size = settings["route_pool_size"]
        wanted.literal_wildcards = settings["literal_wildcards"]
        wanted.fast_producer_stall = settings["fast_producer_stall"]
        wanted.placeholder_accounts = settings["placeholder_accounts"]
        wanted.trace = settings["trace"]
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_CONFIGURE
        command.pointer = wanted
        self.push(&command, None)

    # --- links ------------------------------------------------------------------------------------------------------

    def listen(self, descriptor, *, int kind, info, int64_t auth_timeout_ns=0, bint info_first=False):
        cdef Command command
        cdef Listener* listener
        if descriptor is not None:
            os.set_blocking(descriptor, False)
        listener = <Listener*>calloc(1, sizeof(Listener))
        if listener == NULL:
            raise MemoryError
        self.listener_count += 1
        listener.id = self.listener_count
        listener.descriptor = -1 if descriptor is None else descriptor
        listener.kind = <uint8_t>kind
        listener.auth_timeout_ns = auth_timeout_ns
        listener.info_first = info_first
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_LISTEN
        command.pointer = listener
        self.push(&command, None)
        self.set_info(self.listener_count, info)
        return self.listener_count

    def set_info(self, uint32_t listener, info):
        cdef Command command
        cdef bytes packed = b""
        for piece in info:
            if isinstance(piece, int):
                packed += bytes([piece]) + (0).to_bytes(4, "little")
            else:
                packed += b"\0" + len(piece).to_bytes(4, "little") + piece
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_SET_INFO
        command.a = listener
        command.b = NONCE in [piece for piece in info if isinstance(piece, int)]
        command.size[0] = len(packed)
        self.push(&command, packed)

    def close_listener(self, uint32_t listener):
        self.simple(COMMAND_CLOSE_LISTENER, listener)

    cdef uint64_t new_link(self, int descriptor, int kind, uint32_t listener, greeting, host, int port) except 0:
        cdef Command command
        cdef Core* core = self.alive()
        cdef uint64_t link = add_link(&core.next_link_id, 1)
        cdef bytes name = text_of(host)
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_ADOPT
        command.a = link
        command.b = descriptor
        command.c = kind | (port << 8)
        command.d = listener
        command.size[0] = len(name)
        command.size[1] = len(greeting)
        self.push(&command, name + greeting)
        return link

    def adopt(self, int descriptor, *, int kind, uint32_t listener=0, bytes greeting=b"", host="", int port=0):
        os.set_blocking(descriptor, False)
        return self.new_link(descriptor, kind, listener, greeting, host, port)

    def open(self, *, int kind, uint32_t listener=0, bytes greeting=b"", host="", int port=0):
        return self.new_link(-1, kind, listener, greeting, host, port)

    def feed(self, uint64_t link, bytes data, *, bint end=False):
        cdef Command command
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_FEED
        command.a = link
        command.c = end
        command.size[0] = len(data)
        self.push(&command, data)

    def hold(self, uint64_t link, bint held):
        self.simple(COMMAND_HOLD, link, held)

    def admit(self, uint64_t link, *, uint32_t account, uint32_t permissions=0, bint verbose=False,
              bint pedantic=False, bint echo=True, bint headers=False, bint no_responders=False,
              int64_t max_payload=-1, int64_t max_subscriptions=-1, bytes info_after_pong=b"", bint reset=False):
        cdef Command command
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_ADMIT
        command.a = link
        command.b = account
        command.c = permissions
        command.d = (ADMIT_VERBOSE if verbose else 0) | (ADMIT_PEDANTIC if pedantic else 0) \
            | (ADMIT_ECHO if echo else 0) | (ADMIT_HEADERS if headers else 0) \
            | (ADMIT_NO_RESPONDERS if no_responders else 0) | (ADMIT_RESET if reset else 0)
        command.e = max_payload
        command.f = max_subscriptions
        command.size[0] = len(info_after_pong)
        self.push(&command, info_after_pong)

    def change(self, uint64_t link, *, uint32_t permissions, max_payload=None, max_subscriptions=None):
        cdef Command command
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_CHANGE
        command.a = link
        command.c = permissions
        command.e = CHANGE_KEEP if max_payload is None else max_payload
        command.f = CHANGE_KEEP if max_subscriptions is None else max_subscriptions
        self.push(&command, None)

    def send(self, uint64_t link, bytes data, *, bint after_pong=False):
        cdef Command command
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_SEND
        command.a = link
        command.c = after_pong
        command.size[0] = len(data)
        self.push(&command, data)

    def close(self, uint64_t link, *, int reason, bytes error=b"", bint flush=True):
        cdef Command command
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_CLOSE
        command.a = link
        command.b = reason
        command.c = flush
        command.size[0] = len(error)
        self.push(&command, error)

    def expire(self, uint64_t link, *, int64_t at_ns, int reason, bytes error):
        cdef Command command
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_EXPIRE
        command.a = link
        command.b = at_ns
        command.c = reason
        command.size[0] = len(error)
        self.push(&command, error)

    def ping(self, uint64_t link):
        self.simple(COMMAND_PING, link)

    def resume(self, uint64_t link):
        self.simple(COMMAND_RESUME, link)

    # --- routes -----------------------------------------------------------------------------------------------------

    def admit_route(self, uint64_t link):
        self.simple(COMMAND_ADMIT_ROUTE, link)

    def join_route(self, uint64_t link, *, int node, bint headers, bint leaf_origin=False,
                   bint leaf_origin_unsubscribe=False, int pool_index=0, bint pooled=True, uint32_t account=0,
                   bint leaf_origin_always=False, bytes server_hash=b"", uint32_t permissions=0):
        cdef Command command
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_JOIN_ROUTE
        command.a = link
        command.b = node
        command.c = pool_index
        leaf_origin |= leaf_origin_always           # every leaf cluster has a name: what ``_`` is for does not happen
        leaf_origin_unsubscribe |= leaf_origin_always
        command.d = (ROUTE_HEADERS if headers else 0) | (ROUTE_LEAF_ORIGIN if leaf_origin else 0) \
            | (ROUTE_LEAF_ORIGIN_UNSUBSCRIBE if leaf_origin_unsubscribe else 0) | (ROUTE_POOLED if pooled else 0)
        command.e = account
        command.f = permissions
        command.size[0] = len(server_hash)
        self.push(&command, server_hash)

    # --- gateways ---------------------------------------------------------------------------------------------------

    def gateway_identity(self, *, bytes name, bytes cluster_hash, bytes server_hash):
        cdef Command command
        if len(cluster_hash) != 6 or len(server_hash) != 6:
            raise ValueError("a hash of a cluster or server is six characters")
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_GATEWAY_IDENTITY
        command.size[0] = len(name) + 12
        self.push(&command, cluster_hash + server_hash + name)

    def join_gateway(self, uint64_t link, *, bint outbound, bytes name, bytes cluster_hash, bint headers=True,
                     bint interest_only=True):
        cdef Command command
        if len(cluster_hash) != 6:
            raise ValueError("the hash of a cluster is six characters")
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_JOIN_GATEWAY
        command.a = link
        command.d = (GATEWAY_OUTBOUND if outbound else 0) | (GATEWAY_HEADERS if headers else 0) \
            | (0 if interest_only else GATEWAY_OPTIMISTIC_PEER)
        command.size[0] = len(cluster_hash)
        self.push(&command, cluster_hash)

    # --- leaf nodes -------------------------------------------------------------------------------------------------

    def join_leaf(self, uint64_t link, *, uint32_t account, bint spoke, bytes cluster, bint headers=True,
                  uint32_t permissions=0, bint isolated=False, bytes remote_account=b"", int64_t max_payload=-1,
                  int64_t max_subscriptions=-1):
        cdef Command command
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_JOIN_LEAF
        command.a = link
        command.b = account
        command.c = permissions
        command.d = (LEAF_SPOKE if spoke else 0) | (LEAF_HEADERS if headers else 0) | (LEAF_ISOLATED if isolated else 0)
        command.e = max_payload
        command.f = max_subscriptions
        command.size[0] = len(cluster)
        command.size[1] = len(remote_account)
        self.push(&command, cluster + remote_account)

    def describe(self, uint64_t link, bytes front, bytes back):
        cdef Command command
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_DESCRIBE
        command.a = link
        command.size[0] = len(front)
        command.size[1] = len(back)
        self.push(&command, front + back)

    def compress(self, uint64_t link, int level, *, bint both=True):
        cdef Command command
        if not 1 <= level <= 4:
            raise ValueError(f"a level of compression is from 1 to 4, not {level}")
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_COMPRESS
        command.a = link
        command.b = level
        command.c = both
        self.push(&command, None)


def subject_is_valid(bytes subject):
    return bool(subject_valid(subject, len(subject)))


def subject_is_literal(bytes subject):
    return bool(subject_literal(subject, len(subject)))


def subject_matches(bytes pattern, bytes subject):
    return bool(matches(pattern, len(pattern), subject, len(subject)))


def subject_covers(bytes wide, bytes narrow):
    return bool(subject_valid(wide, len(wide)) and subject_valid(narrow, len(narrow))
                and covers(wide, len(wide), narrow, len(narrow)))


def subjects_overlap(bytes one, bytes other):
    return bool(subject_valid(one, len(one)) and subject_valid(other, len(other))
                and overlap(one, len(one), other, len(other)))
