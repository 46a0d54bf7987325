# cython: language_level=3
"""The seam: the ``Engine`` class, which turns calls into commands and records into events.

Nothing in here runs on the engine's thread but ``run`` itself. A programming call appends a command under a short lock
and wakes the loop; a look inside waits for the end of a tick and copies plain numbers out before any Python object is
made, so that the engine waits for a memory copy and not for Python.
"""

import os
from struct import pack

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int32_t, int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset
from posix.unistd cimport close, read, write

from gossamer.mesh.engine.accounts cimport accounts_destroy, account_by_id
from gossamer.mesh.engine.blocks cimport blocks_destroy
from gossamer.mesh.engine.command cimport (
    ACCOUNT_DEDICATED,
    ACCOUNT_SYSTEM,
    ADMIT_ECHO,
    ADMIT_HEADERS,
    ADMIT_NO_RESPONDERS,
    ADMIT_PEDANTIC,
    ADMIT_RESET,
    ADMIT_VERBOSE,
    CHANGE_KEEP,
    COMMAND_ACCOUNT,
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
    COMMAND_IMPORT,
    COMMAND_JOIN_GATEWAY,
    COMMAND_JOIN_LEAF,
    COMMAND_JOIN_ROUTE,
    COMMAND_LATENCY_IDENTITY,
    COMMAND_LISTEN,
    COMMAND_MAPPING,
    COMMAND_PERMISSION,
    COMMAND_PING,
    COMMAND_PUBLISH,
    COMMAND_REMOVE_ACCOUNT,
    COMMAND_REMOVE_IMPORT,
    COMMAND_REMOVE_PERMISSION,
    COMMAND_RESUME,
    COMMAND_SEND,
    COMMAND_SET_INFO,
    COMMAND_SUBSCRIBE,
    COMMAND_UNSUBSCRIBE,
    GATEWAY_HEADERS,
    GATEWAY_OPTIMISTIC_PEER,
    GATEWAY_OUTBOUND,
    IMPORT_SERVICE,
    IMPORT_SHARE,
    LEAF_HEADERS,
    LEAF_ISOLATED,
    LEAF_SPOKE,
    ROUTE_HEADERS,
    ROUTE_LEAF_ORIGIN,
    ROUTE_LEAF_ORIGIN_UNSUBSCRIBE,
    ROUTE_POOLED,
    commands_run,
)
from gossamer.mesh.engine.inspection cimport (
    LinkView,
    gateway_details,
    link_statistics,
    subscription_details,
    view_gateway,
    view_link,
    view_subscription,
    view_terminal,
)
from gossamer.mesh.engine.links cimport link_find, links_destroy
from gossamer.mesh.engine.match cimport match_destroy
from gossamer.mesh.engine.memory cimport buffer_add, buffer_free
from gossamer.mesh.engine.origins cimport origins_destroy
from gossamer.mesh.engine.output cimport output_destroy
from gossamer.mesh.engine.permission cimport pattern_list_set, permission_free
from gossamer.mesh.engine.poller cimport monotonic_ns, next_due, run_loop, tick
from gossamer.mesh.engine.records cimport decode
from gossamer.mesh.engine.returning cimport returnings_destroy
from gossamer.mesh.engine.sharing cimport sharing_destroy
from gossamer.mesh.engine.subject cimport covers, matches, overlap, subject_literal, subject_valid, tokenize
from gossamer.mesh.engine.subscriptions cimport subscription_end
from gossamer.mesh.engine.tracking cimport trackeds_destroy
from gossamer.mesh.engine.trie cimport trie_match
from gossamer.mesh.engine.types cimport (
    CACHE_SETS,
    CALLS_DEEP,
    DOOR_BITS,
    KIND_GATEWAY,
    MAX_TOKENS,
    PART_LITERAL,
    PART_PARTITION,
    PART_RANDOM,
    PART_SPLIT,
    PART_SPLIT_FROM_LEFT,
    PART_TAIL,
    READ_SIZE,
    SLACK,
    STASH_INLINE,
    Account,
    Buffer,
    CacheSet,
    Command,
    Configuration,
    Core,
    Link,
    Listener,
    Permission,
    Subscription,
    Terminal,
    pthread_mutex_t,
)
from gossamer.mesh.engine.watch cimport watch

from gossamer.mesh.engine.views import AccountStatistics, LinkStatistics, SubscriptionDetail, Totals  # no-cython-lint

cdef extern from "<pthread.h>" nogil:
    int pthread_mutex_init(pthread_mutex_t* mutex, void* attributes)
    int pthread_mutex_destroy(pthread_mutex_t* mutex)
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)

cdef extern from "<sys/epoll.h>" nogil:
    int epoll_create1(int flags)
    int EPOLL_CLOEXEC

cdef extern from "<sys/eventfd.h>" nogil:
    int eventfd(unsigned int start, int flags)
    int EFD_NONBLOCK
    int EFD_CLOEXEC

cdef extern from "<sys/mman.h>" nogil:
    void* mmap(void* at, size_t size, int protection, int flags, int descriptor, long offset)
    int munmap(void* at, size_t size)
    int madvise(void* at, size_t size, int advice)
    int MADV_HUGEPAGE
    int PROT_READ
    int PROT_WRITE
    int MAP_PRIVATE
    int MAP_ANONYMOUS
    void* MAP_FAILED

cdef extern from *:
    int add_looker "__sync_fetch_and_add"(int32_t* at, int32_t value) noexcept nogil
    uint64_t add_link "__sync_fetch_and_add"(uint64_t* at, uint64_t value) noexcept nogil
    uint32_t add_account "__sync_fetch_and_add"(uint32_t* at, uint32_t value) noexcept nogil

ANSWER_THRESHOLD_NS = 120_000_000_000

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
    "leaf_ping_interval_ns": 120_000_000_000,
    "leaf_ping_max": 2,
    "leaf_write_deadline_ns": 10_000_000_000,
    "fast_producer_stall": True,
    "placeholder_accounts": False,
    "literal_wildcards": False,
    "trace": False,
}


cdef inline bytes text_of(object text):
    """Bytes as they are, str as UTF-8."""
    return text.encode() if isinstance(text, str) else bytes(text)


cdef bytes padded(bytes text):
    return text + bytes((8 - len(text) % 8) % 8)


cdef bytes packed_program(bytes source, program):
    """The form that ``transform.program_read`` reads. Raises ValueError for a part the source cannot feed."""
    cdef bytes parts = b""
    tokens = source.split(b".")
    stars = tokens.count(b"*")
    for kind, text, numbers in program:
        if not PART_LITERAL <= kind <= PART_TAIL:
            raise ValueError(f"no such part of a program: {kind}")
        indexes = numbers[1:] if kind == PART_PARTITION else numbers[:1]
        if kind in (PART_LITERAL, PART_TAIL, PART_RANDOM):
            indexes = ()
        elif not numbers or (kind >= PART_SPLIT_FROM_LEFT and len(numbers) < 2):
            raise ValueError(f"part {kind} of a program lacks numbers")
        if any(not 1 <= index <= stars for index in indexes):
            raise ValueError(f"{source!r} has no wildcard number {list(indexes)}")
        if kind == PART_TAIL and not source.endswith(b">"):
            raise ValueError(f"{source!r} has no >")
        if kind in (PART_PARTITION, PART_RANDOM) and (not numbers or not 0 <= numbers[0] < 1 << 31):
            raise ValueError("a number of buckets is from 0 to 2147483647")
        if kind == PART_SPLIT and not text:
            raise ValueError("a separator is at least one character")
        parts += pack(f"4I{len(numbers)}q", kind, len(text), len(numbers), 0, *numbers) + padded(text)
    return pack("2I", len(parts) + 8, len(program)) + parts


cdef class Engine:
    """The data plane; see ``core.pyi`` for the contract of every method."""

    cdef Core* core
    cdef dict settings
    cdef dict account_ids
    cdef uint32_t listener_count
    cdef uint32_t permission_count
    cdef uint64_t subscription_count
    cdef uint32_t import_count
    cdef readonly int wakeup_fd

    def __cinit__(self, *, seed=None):
        cdef Core* core = <Core*>calloc(1, sizeof(Core))
        if core == NULL:
            raise MemoryError
        self.core = core
        pthread_mutex_init(&core.state_lock, NULL)
        pthread_mutex_init(&core.command_lock, NULL)
        pthread_mutex_init(&core.mail_lock, NULL)
        core.deterministic = seed is not None
        core.random = <uint64_t>(int.from_bytes(os.urandom(8), "little") if seed is None else hash_seed(seed)) | 1
        core.hash_seed = core.random * <uint64_t>0x9E3779B97F4A7C15
        core.next_link_id = 1
        core.next_account_id = 1
        core.link_mask = 255
        core.link_table = <Link**>calloc(256, sizeof(Link*))
        core.read_buffer = <char*>malloc(STASH_INLINE + READ_SIZE + SLACK)
        core.doorkeeper = <uint64_t*>calloc(DOOR_BITS // 64, 8)
        core.cache = <CacheSet*>mmap(NULL, CACHE_SETS * sizeof(CacheSet), PROT_READ | PROT_WRITE,
                                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
        if core.link_table == NULL or core.read_buffer == NULL or core.doorkeeper == NULL \
                or core.cache == MAP_FAILED:
            raise MemoryError
        madvise(core.cache, CACHE_SETS * sizeof(CacheSet), MADV_HUGEPAGE)   # a wish: fewer address look-ups
        core.poll_descriptor = epoll_create1(EPOLL_CLOEXEC)
        core.command_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        core.event_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        if core.poll_descriptor < 0 or core.command_descriptor < 0 or core.event_descriptor < 0:
            raise OSError("the engine could not get its descriptors: raise the limit of open files (ulimit -n)")
        watch(core, core.command_descriptor, NULL)
        self.wakeup_fd = core.event_descriptor
        self.settings = dict(CONFIGURATION_DEFAULTS)
        self.account_ids = {}
        self.listener_count = 0
        self.permission_count = 0
        self.subscription_count = 0
        self.import_count = 0
        self.configure()

    def __dealloc__(self):
        self.release()

    cdef void release(self):
        cdef Core* core = self.core
        cdef uint32_t i
        if core == NULL:
            return
        self.core = NULL
        commands_run(core)
        links_destroy(core)
        for i in range(core.own_capacity):
            if core.own[i] != NULL:
                subscription_end(core, core.own[i])
        sharing_destroy(core)
        free(core.own)
        match_destroy(core)
        for i in range(core.permissions_capacity):
            if core.permissions[i] != NULL:
                permission_free(core.permissions[i])
        free(core.permissions)
        for i in range(core.listeners_capacity):
            if core.listeners[i] != NULL:
                if core.listeners[i].descriptor >= 0:
                    close(core.listeners[i].descriptor)
                free(core.listeners[i].info)
                free(core.listeners[i])
        free(core.listeners)
        for i in range(<uint32_t>(core.grave_plain.size // sizeof(void*))):
            free((<void**>core.grave_plain.data)[i])
        accounts_destroy(core)
        blocks_destroy(core)
        output_destroy(core)
        returnings_destroy(core)
        trackeds_destroy(core)
        origins_destroy(core)
        free(core.gateway_name)
        buffer_free(&core.routes)
        buffer_free(&core.inbounds)
        buffer_free(&core.outbounds)
        buffer_free(&core.returned)
        buffer_free(&core.mail)
        buffer_free(&core.mail_shared)
        buffer_free(&core.mail_spare)
        buffer_free(&core.scratch_terminals)
        buffer_free(&core.scratch_plain)
        buffer_free(&core.scratch_remote)
        buffer_free(&core.scratch_groups)
        buffer_free(&core.scratch_members)
        buffer_free(&core.scratch_shadows)
        buffer_free(&core.scratch_calls)
        buffer_free(&core.scratch_text)
        buffer_free(&core.line)
        buffer_free(&core.line_other)
        buffer_free(&core.shadow_line)
        buffer_free(&core.leaf_shadows)
        buffer_free(&core.leaf_subjects)
        buffer_free(&core.mapped)
        buffer_free(&core.raw)
        buffer_free(&core.packed)
        buffer_free(&core.unpacked)
        for i in range(CALLS_DEEP):
            buffer_free(&core.call_body[i])
        buffer_free(&core.grave_plain)
        free(core.commands)
        free(core.commands_taken)
        free(core.link_table)
        free(core.read_buffer)
        free(core.run_buffer)
        free(core.doorkeeper)
        munmap(core.cache, CACHE_SETS * sizeof(CacheSet))
        close(core.poll_descriptor)
        close(core.command_descriptor)
        close(core.event_descriptor)
        pthread_mutex_destroy(&core.state_lock)
        pthread_mutex_destroy(&core.command_lock)
        pthread_mutex_destroy(&core.mail_lock)
        free(core)

    cdef Core* alive(self) except NULL:
        if self.core == NULL:
            raise RuntimeError("the engine is destroyed")
        return self.core

    cdef int push(self, Command* command, bytes blob) except -1:
        """Queue the command with a copy of the blob; wake the engine for the first one in the queue."""
        cdef Core* core = self.alive()
        cdef uint64_t one = 1
        cdef uint32_t capacity
        cdef Command* grown
        cdef bint wake
        command.blob = NULL
        if blob is not None:
            command.blob = <char*>malloc(len(blob) + SLACK)
            if command.blob == NULL:
                raise MemoryError
            memcpy(command.blob, <char*>blob, len(blob))
        pthread_mutex_lock(&core.command_lock)
        if core.commands_count == core.commands_capacity:
            capacity = core.commands_capacity * 2 if core.commands_capacity else 256
            grown = <Command*>realloc(core.commands, capacity * sizeof(Command))
            if grown == NULL:
                pthread_mutex_unlock(&core.command_lock)
                free(command.blob)
                raise MemoryError
            core.commands = grown
            core.commands_capacity = capacity
        core.commands[core.commands_count] = command[0]
        core.commands_count += 1
        wake = core.commands_count == 1
        pthread_mutex_unlock(&core.command_lock)
        if wake:
            write(core.command_descriptor, &one, 8)
        return 0

    cdef void look(self) noexcept:
        """Get the state lock: the engine is between two ticks."""
        cdef Core* core = self.core
        with nogil:
            add_looker(&core.lookers, 1)
            pthread_mutex_lock(&core.state_lock)
            add_looker(&core.lookers, -1)

    # --- life -----------------------------------------------------------------------------------------------------

    def run(self):
        cdef Core* core = self.alive()
        with nogil:
            run_loop(core)

    def stop(self):
        cdef Core* core = self.alive()
        cdef uint64_t one = 1
        core.stopping = 1
        write(core.command_descriptor, &one, 8)

    def step(self, int64_t now_ns):
        cdef Core* core = self.alive()
        cdef int64_t due
        if core.running:
            raise RuntimeError("step() and run() exclude each other")
        self.look()
        if core.now_ns == 0:
            core.wheel_time = now_ns // 32000000
        if now_ns > core.now_ns:
            core.now_ns = now_ns
        with nogil:
            tick(core)
        due = next_due(core)
        pthread_mutex_unlock(&core.state_lock)
        if due == 0:
            return -1
        return max(0, due - core.now_ns)

    def drain(self):
        cdef Core* core = self.alive()
        cdef Buffer taken
        cdef uint64_t count
        read(core.event_descriptor, &count, 8)
        pthread_mutex_lock(&core.mail_lock)
        taken = core.mail_shared
        core.mail_shared = core.mail_spare
        core.mail_shared.size = 0
        memset(&core.mail_spare, 0, sizeof(Buffer))
        pthread_mutex_unlock(&core.mail_lock)
        try:
            return decode(&taken)
        finally:
            pthread_mutex_lock(&core.mail_lock)
            if core.mail_spare.data == NULL and taken.capacity <= 1 << 20:
                core.mail_spare = taken
                taken.data = NULL
            pthread_mutex_unlock(&core.mail_lock)
            free(taken.data)

    def destroy(self):
        if self.core != NULL and self.core.running:
            raise RuntimeError("stop() the engine and wait for run() to return before destroy()")
        self.release()

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
        wanted.max_connections = settings["max_connections"]
        wanted.max_control_line = settings["max_control_line"]
        wanted.max_payload = settings["max_payload"]
        wanted.max_pending = settings["max_pending"]
        wanted.max_subscriptions = settings["max_subscriptions"]
        wanted.max_subscription_tokens = settings["max_subscription_tokens"]
        wanted.pending_budget = settings["pending_budget"]
        wanted.mailbox_limit = settings["mailbox_limit"]
        wanted.write_deadline_ns = settings["write_deadline_ns"]
        wanted.ping_interval_ns = settings["ping_interval_ns"]
        wanted.ping_max = settings["ping_max"]
        wanted.route_ping_interval_ns = settings["route_ping_interval_ns"]
        wanted.route_ping_max = settings["route_ping_max"]
        wanted.route_write_deadline_ns = settings["route_write_deadline_ns"]
        wanted.route_retry_writes = settings["route_retry_writes"]
        wanted.route_pool_size = settings["route_pool_size"]
        wanted.gateway_ping_interval_ns = settings["gateway_ping_interval_ns"]
        wanted.gateway_ping_max = settings["gateway_ping_max"]
        wanted.gateway_write_deadline_ns = settings["gateway_write_deadline_ns"]
        wanted.leaf_ping_interval_ns = settings["leaf_ping_interval_ns"]
        wanted.leaf_ping_max = settings["leaf_ping_max"]
        wanted.leaf_write_deadline_ns = settings["leaf_write_deadline_ns"]
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

    cdef int simple(self, int op, uint64_t a, int64_t b=0) except -1:
        cdef Command command
        memset(&command, 0, sizeof(command))
        command.op = op
        command.a = a
        command.b = b
        self.push(&command, None)
        return 0

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

    def gateway_accounts(self, uint64_t link):
        cdef Core* core = self.alive()
        cdef Buffer views
        cdef Link* found
        memset(&views, 0, sizeof(views))
        self.look()
        with nogil:
            found = link_find(core, link)
            if found != NULL and found.kind == KIND_GATEWAY and found.route != NULL:
                view_gateway(core, found, &views)
        pthread_mutex_unlock(&core.state_lock)
        try:
            return gateway_details(&views)
        finally:
            buffer_free(&views)

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

    # --- accounts, permissions, own subscriptions -----------------------------------------------------------------

    def account(self, bytes name, *, bint dedicated_route=False, bint system=False):
        cdef Command command
        cdef Core* core = self.alive()
        number = self.account_ids.get(name)
        if number is None:
            number = self.account_ids[name] = add_account(&core.next_account_id, 1)
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_ACCOUNT
        command.a = number
        command.b = (ACCOUNT_DEDICATED if dedicated_route else 0) | (ACCOUNT_SYSTEM if system else 0)
        command.size[0] = len(name)
        self.push(&command, name)
        return number

    def remove_account(self, uint32_t account):
        for name, number in list(self.account_ids.items()):
            if number == account:
                del self.account_ids[name]
        self.simple(COMMAND_REMOVE_ACCOUNT, account)

    def permissions(self, *, publish_allow=None, publish_deny=(), subscribe_allow=None, subscribe_deny=(),
                    int64_t response_max=0, int64_t response_ttl_ns=0):
        cdef Command command
        cdef Permission* permission = <Permission*>calloc(1, sizeof(Permission))
        if permission == NULL:
            raise MemoryError
        try:
            if response_max and publish_allow is None:
                publish_allow = ()
            pattern_list_set(&permission.publish_allow,
                             None if publish_allow is None else [(text_of(one), b"") for one in publish_allow])
            pattern_list_set(&permission.publish_deny, [(text_of(one), b"") for one in publish_deny])
            pattern_list_set(
                &permission.subscribe_allow,
                None if subscribe_allow is None else [(text_of(one), text_of(two)) for one, two in subscribe_allow],
            )
            pattern_list_set(&permission.subscribe_deny, [(text_of(one), text_of(two)) for one, two in subscribe_deny])
        except BaseException:
            permission_free(permission)
            raise
        self.permission_count += 1
        permission.id = self.permission_count
        permission.response_max = response_max
        permission.response_ttl_ns = response_ttl_ns
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_PERMISSION
        command.pointer = permission
        self.push(&command, None)
        return self.permission_count

    def remove_permissions(self, uint32_t permissions):
        self.simple(COMMAND_REMOVE_PERMISSION, permissions)

    def subscribe(self, uint32_t account, bytes subject, bytes queue=b""):
        return self.new_subscription(account, subject, queue, False)

    def subscribe_loop_detection(self, uint32_t account, bytes subject):
        if not subject.startswith(b"$LDS."):
            raise ValueError(f"not a loop detection subject: {subject!r}")
        return self.new_subscription(account, subject, b"", True)

    cdef uint64_t new_subscription(self, uint32_t account, bytes subject, bytes queue, bint for_leafs) except 0:
        cdef Command command
        if not subject_valid(subject, len(subject)):
            raise ValueError(f"not a valid subject: {subject!r}")
        self.subscription_count += 1
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_SUBSCRIBE
        command.a = self.subscription_count
        command.b = account
        command.c = for_leafs
        command.size[0] = len(subject)
        command.size[1] = len(queue)
        self.push(&command, subject + queue)
        return self.subscription_count

    def unsubscribe(self, uint64_t subscription):
        self.simple(COMMAND_UNSUBSCRIBE, subscription)

    def publish(self, uint32_t account, bytes subject, bytes data=b"", *, bytes reply=b"", uint32_t header_size=0):
        cdef Command command
        if header_size > len(data):
            raise ValueError(f"header_size {header_size} is more than the {len(data)} bytes of data")
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_PUBLISH
        command.b = account
        command.c = header_size
        command.size[0] = len(subject)
        command.size[1] = len(reply)
        command.size[2] = len(data)
        self.push(&command, subject + reply + data + b"\r\n")

    # --- what accounts share, and mapped subjects -----------------------------------------------------------------

    def mapping(self, uint32_t account, bytes source, destinations):
        cdef Command command
        cdef int64_t until = 0
        cdef bytes packed = padded(source)
        if not subject_valid(source, len(source)):
            raise ValueError(f"not a valid subject: {source!r}")
        destinations = destinations or ()
        for weight, program in destinations:
            until += weight
            packed += pack("q", until) + packed_program(source, program)
        if until > 100:
            raise ValueError(f"the weights of {source!r} add up to {until}, more than 100")
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_MAPPING
        command.b = account
        command.c = len(destinations)
        command.size[0] = len(source)
        self.push(&command, packed)

    cdef uint32_t new_import(self, uint32_t account, uint32_t exporter, bytes source, program, int64_t flags,
                             int64_t threshold_ns, int sampling) except 0:
        cdef Command command
        if not subject_valid(source, len(source)):
            raise ValueError(f"not a valid subject: {source!r}")
        self.import_count += 1
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_IMPORT
        command.a = self.import_count
        command.b = account
        command.c = exporter
        command.d = flags
        command.e = threshold_ns if threshold_ns > 0 else ANSWER_THRESHOLD_NS
        command.f = sampling
        command.size[0] = len(source)
        self.push(&command, padded(source) + packed_program(source, program))
        return self.import_count

    def service_import(self, uint32_t account, *, bytes local, uint32_t exporter, program, int response=0,
                       int64_t threshold_ns=0, bint share=False, int sampling=-1):
        return self.new_import(account, exporter, local, program,
                               IMPORT_SERVICE | (IMPORT_SHARE if share else 0) | response << 8, threshold_ns, sampling)

    def stream_import(self, uint32_t account, *, uint32_t exporter, bytes subject, program):
        return self.new_import(account, exporter, subject, program, 0, 0, -1)

    def latency_identity(self, *, bytes server_hash):
        cdef Command command
        if len(server_hash) != 8 or b"." in server_hash:
            raise ValueError("the hash of a server that measures latency is eight characters")
        memset(&command, 0, sizeof(command))
        command.op = COMMAND_LATENCY_IDENTITY
        command.size[0] = len(server_hash)
        self.push(&command, server_hash)

    def remove_import(self, uint32_t import_id):
        self.simple(COMMAND_REMOVE_IMPORT, import_id)

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

    # --- looking inside -----------------------------------------------------------------------------------------------

    def totals(self):
        cdef Core* core = self.alive()
        cdef uint64_t in_messages = 0, out_messages = 0, in_bytes = 0, out_bytes = 0
        cdef uint32_t i
        cdef Account* account
        self.look()
        for i in range(core.accounts_count):
            account = core.accounts[i]
            if account != NULL:
                in_messages += account.in_messages
                out_messages += account.out_messages
                in_bytes += account.in_bytes
                out_bytes += account.out_bytes
        values = (
            in_messages, out_messages, in_bytes, out_bytes, core.link_count, core.subscriptions,
            (core.slow_consumers[0], core.slow_consumers[1], core.slow_consumers[2], core.slow_consumers[3],
             core.slow_consumers[4]),
            core.stalled_clients, core.backlog_total, core.mail_shared.size, core.mailbox_dropped,
            core.cache_entries, core.cache_hits, core.cache_misses, core.now_ns if not core.running else monotonic_ns(),
        )
        pthread_mutex_unlock(&core.state_lock)
        return Totals(*values)

    def links(self):
        cdef Core* core = self.alive()
        cdef Buffer views
        cdef LinkView view
        cdef Link* link
        cdef size_t i
        memset(&views, 0, sizeof(views))
        self.look()
        with nogil:
            link = core.all_links
            while link != NULL:
                view_link(link, &view)
                buffer_add(&views, &view, sizeof(view))
                link = link.all_next
        pthread_mutex_unlock(&core.state_lock)
        try:
            return [link_statistics(&(<LinkView*>views.data)[i]) for i in range(views.size // sizeof(view))]
        finally:
            buffer_free(&views)

    def link(self, uint64_t link):
        cdef Core* core = self.alive()
        cdef LinkView view
        cdef Link* found
        self.look()
        found = link_find(core, link)
        if found != NULL:
            view_link(found, &view)
        pthread_mutex_unlock(&core.state_lock)
        return None if found == NULL else link_statistics(&view)

    def accounts(self):
        cdef Core* core = self.alive()
        cdef uint32_t i
        cdef Account* account
        cdef list found = []
        self.look()
        for i in range(core.accounts_count):
            account = core.accounts[i]
            if account != NULL:
                found.append((
                    account.id, PyBytes_FromStringAndSize(account.name, account.name_size), account.in_messages,
                    account.out_messages, account.in_bytes, account.out_bytes, account.local_subscriptions,
                    account.remote_subscriptions, account.slow_consumers,
                ))
        pthread_mutex_unlock(&core.state_lock)
        return [AccountStatistics(*one) for one in found]

    def subscriptions(self, *, uint64_t link=0, uint32_t account=0, int64_t limit=1_000_000):
        cdef Core* core = self.alive()
        cdef Buffer views
        cdef Link* of_link
        cdef Subscription* one
        cdef Terminal* terminal
        cdef uint32_t i
        memset(&views, 0, sizeof(views))
        self.look()
        with nogil:
            if link:
                of_link = link_find(core, link)
                one = of_link.subscriptions if of_link != NULL else NULL
                while one != NULL and limit > 0:
                    view_subscription(&views, one)
                    limit -= 1
                    one = one.next
            else:
                for i in range(core.accounts_count):
                    if core.accounts[i] == NULL or (account and account != i):
                        continue
                    terminal = core.accounts[i].terminals
                    while terminal != NULL and limit > 0:
                        view_terminal(&views, terminal, &limit)
                        terminal = terminal.next
        pthread_mutex_unlock(&core.state_lock)
        try:
            return subscription_details(&views)
        finally:
            buffer_free(&views)

    def matches(self, uint32_t account, bytes subject):
        cdef Core* core = self.alive()
        cdef Buffer views
        cdef Buffer terminals
        cdef Account* found
        cdef uint32_t starts[MAX_TOKENS]
        cdef uint32_t tokens = tokenize(subject, len(subject), starts)
        cdef char* text = subject
        cdef uint32_t i
        cdef int64_t room = 1_000_000
        memset(&views, 0, sizeof(views))
        memset(&terminals, 0, sizeof(terminals))
        if tokens == 0:
            return []
        self.look()
        with nogil:
            found = account_by_id(core, account)
            if found != NULL:
                trie_match(found, text, starts, tokens, &terminals)
                for i in range(<uint32_t>(terminals.size // sizeof(void*))):
                    view_terminal(&views, (<Terminal**>terminals.data)[i], &room)
        pthread_mutex_unlock(&core.state_lock)
        try:
            return subscription_details(&views)
        finally:
            buffer_free(&views)
            buffer_free(&terminals)


cdef uint64_t hash_seed(object seed) except? 0:
    """Spread a small seed over 64 bits."""
    return <uint64_t>((int(seed) + 1) * 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF)


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
