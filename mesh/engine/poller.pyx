# cython: language_level=3
"""The engine's loop: what is ready, in turns, and one flush at the end.

A tick: calls of the control plane, timers, then every link that has something gets one turn (one read of at most
READ_SIZE, or what it had left over), then everything written is sent, the dead are buried and the records handed over.
Descriptors are watched edge-triggered, both ways, from the start: a link that may not be read now is simply left out
of the ready queue, without a call to the kernel.
"""

from libc.errno cimport EAGAIN, ECONNABORTED, EINTR, errno
from libc.stdint cimport int32_t, int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memchr, memcmp, memcpy, memmove, strlen
from posix.unistd cimport close, read

from gossamer.mesh.engine.blocks cimport blocks_free_graves
from gossamer.mesh.engine.client cimport parse_client
from gossamer.mesh.engine.command cimport commands_run
from gossamer.mesh.engine.links cimport (
    link_limit,
    link_drained,
    link_greet,
    link_make,
    link_timers,
    links_finish,
    links_free_graves,
)
from gossamer.mesh.engine.mailbox cimport mail_flush
from gossamer.mesh.engine.match cimport match_free_graves
from gossamer.mesh.engine.memory cimport buffer_add, buffer_free, buffer_room
from gossamer.mesh.engine.output cimport (
    link_doom,
    link_ready,
    output_flush_all,
    output_writable,
)
from gossamer.mesh.engine.peer cimport parse_peer
from gossamer.mesh.engine.pending cimport pendings_expire
from gossamer.mesh.engine.s2 cimport s2_more, s2_unpack
from gossamer.mesh.engine.types cimport (
    CLIENT_CLOSED,
    HARD_STALL_NS,
    KIND_CLIENT,
    READ_ERROR,
    READ_SIZE,
    SLACK,
    SOFT_STALL_NS,
    SPECIAL_BACKLOG,
    STASH_INLINE,
    STATE_CLOSING,
    STATE_DEAD,
    STATE_LINGER,
    STATE_PARKED,
    Buffer,
    Core,
    Link,
    Listener,
    pthread_mutex_t,
)
from gossamer.mesh.engine.watch cimport LISTENER_BIT, listener_watch, unwatch, watch
from gossamer.mesh.engine.wheel cimport wheel_expired, wheel_next

cdef extern from "<pthread.h>" nogil:
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)

cdef extern from "<sched.h>" nogil:
    int sched_yield()

cdef extern from "<time.h>" nogil:
    cdef struct timespec:
        long tv_sec
        long tv_nsec
    int clock_gettime(int clock, timespec* at)
    int CLOCK_MONOTONIC

cdef extern from "<sys/epoll.h>" nogil:
    ctypedef union epoll_data_t:
        void* ptr
    cdef struct epoll_event:
        uint32_t events
        epoll_data_t data
    int epoll_wait(int epfd, epoll_event* events, int maxevents, int timeout)
    uint32_t EPOLLIN
    uint32_t EPOLLOUT
    uint32_t EPOLLRDHUP
    uint32_t EPOLLHUP
    uint32_t EPOLLERR

cdef extern from "<sys/socket.h>" nogil:
    cdef struct sockaddr:
        pass
    cdef struct sockaddr_storage:
        unsigned short ss_family
    ctypedef unsigned int socklen_t
    int accept4(int descriptor, sockaddr* address, socklen_t* size, int flags)
    ssize_t recv(int descriptor, void* buffer, size_t size, int flags)
    int setsockopt(int descriptor, int level, int option, const void* value, socklen_t size)
    int SOCK_NONBLOCK
    int SOCK_CLOEXEC
    int MSG_DONTWAIT
    int AF_INET
    int AF_INET6

cdef extern from "<netinet/tcp.h>" nogil:
    int TCP_NODELAY

cdef extern from "<netinet/in.h>" nogil:
    int IPPROTO_TCP
    cdef struct in_addr:
        pass
    cdef struct in6_addr:
        pass
    cdef struct sockaddr_in:
        uint16_t sin_port
        in_addr sin_addr
    cdef struct sockaddr_in6:
        uint16_t sin6_port
        in6_addr sin6_addr
    uint16_t ntohs(uint16_t value)

cdef extern from "<arpa/inet.h>" nogil:
    const char* inet_ntop(int family, const void* source, char* target, socklen_t size)

cdef extern from *:
    int32_t load "__sync_fetch_and_add"(int32_t* at, int32_t value) noexcept nogil
    uint64_t add_link "__sync_fetch_and_add"(uint64_t* at, uint64_t value) noexcept nogil

cdef enum:
    EVENTS = 512
    ACCEPTS_PER_TICK = 256
    ACCEPT_PAUSE_NS = 100000000
    STALL_POLL_MS = 1
    UNPACKED_KEPT = 16777216    # a larger buffer for what was compressed is not kept


cdef int64_t monotonic_ns() noexcept nogil:
    cdef timespec at
    clock_gettime(CLOCK_MONOTONIC, &at)
    return <int64_t>at.tv_sec * 1000000000 + at.tv_nsec


# --- accepting --------------------------------------------------------------------------------------------------------


cdef void accept_some(Core* core, Listener* listener) noexcept nogil:
    cdef sockaddr_storage address
    cdef socklen_t size
    cdef int descriptor
    cdef int one = 1
    cdef int _
    cdef uint16_t port
    cdef char host[64]
    cdef Link* link
    for _ in range(ACCEPTS_PER_TICK):
        if listener.descriptor < 0:
            return
        size = sizeof(address)
        descriptor = accept4(listener.descriptor, <sockaddr*>&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC)
        if descriptor < 0:
            if errno == EINTR or errno == ECONNABORTED:
                continue
            if errno != EAGAIN:
                # Out of descriptors: let some go first, and do not spin on what cannot be accepted.
                unwatch(core, listener.descriptor)
                listener.paused_until_ns = core.now_ns + ACCEPT_PAUSE_NS
                core.listeners_paused += 1
            return
        host[0] = 0
        port = 0
        if address.ss_family == AF_INET:
            inet_ntop(AF_INET, &(<sockaddr_in*>&address).sin_addr, host, 64)
            port = ntohs((<sockaddr_in*>&address).sin_port)
            setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))
        elif address.ss_family == AF_INET6:
            inet_ntop(AF_INET6, &(<sockaddr_in6*>&address).sin6_addr, host, 64)
            if memcmp(host, b"::ffff:", 7) == 0 and memchr(host, 46, strlen(host)) != NULL:
                memmove(host, host + 7, strlen(host) - 6)       # an IPv4 peer on a socket for both
            port = ntohs((<sockaddr_in6*>&address).sin6_port)
            setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))
        link = link_make(core, add_link(&core.next_link_id, 1), listener.kind, descriptor, listener, host,
                         <uint32_t>strlen(host), port)
        if link == NULL:
            close(descriptor)
            return
        watch(core, descriptor, link)
        link_greet(core, link, host, <uint32_t>strlen(host))
        link_limit(core, link)


# --- reading ----------------------------------------------------------------------------------------------------------


cdef inline char* parse(Core* core, Link* link, char* at, char* end) noexcept nogil:
    if link.kind == KIND_CLIENT:
        return parse_client(core, link, at, end)
    return parse_peer(core, link, at, end)


cdef void keep(Core* core, Link* link, char* at, char* end) noexcept nogil:
    """Keep what was not parsed: as the beginning of a long message, or in the stash."""
    cdef size_t size = end - at
    cdef char* stash
    if link.state >= STATE_CLOSING:
        return
    if link.big_need and not link.memory and link.unpacker == NULL and size <= link.big_need:
        link.big = <char*>malloc(<size_t>link.big_need + SLACK)
        if link.big != NULL:
            memcpy(link.big, at, size)
            link.big_size = <uint32_t>size
            return
        link_doom(core, link, READ_ERROR, NULL, 0, 0)
        return
    link.big_need = 0
    if size == 0:
        return
    stash = <char*>malloc(size + SLACK)
    if stash == NULL:
        link_doom(core, link, READ_ERROR, NULL, 0, 0)
        return
    memcpy(stash, at, size)
    free(link.stash)
    link.stash = stash
    link.stash_size = <uint32_t>size
    link.stash_ready = link.more or link.state == STATE_PARKED


cdef void parse_stash(Core* core, Link* link) noexcept nogil:
    """Parse what was kept, where it lies."""
    cdef char* stash = link.stash
    cdef char* end = stash + link.stash_size
    cdef char* at
    link.stash = NULL
    link.stash_size = 0
    at = parse(core, link, stash, end)
    if core.sharing:
        output_flush_all(core)
    keep(core, link, at, end)
    free(stash)


cdef void end_of_input(Core* core, Link* link, ssize_t got) noexcept nogil:
    if got == 0:
        link.end_of_file = 1
        link_doom(core, link, CLIENT_CLOSED, NULL, 0, 1)
    else:
        link_doom(core, link, READ_ERROR, NULL, 0, 0)


cdef void read_big(Core* core, Link* link) noexcept nogil:
    """The rest of a long message, straight into its own buffer."""
    cdef ssize_t got
    cdef char* big
    cdef char* at
    cdef char* end
    cdef uint32_t wanted = link.big_need - link.big_size
    got = recv(link.descriptor, link.big + link.big_size, wanted, MSG_DONTWAIT)
    if got <= 0:
        if got < 0 and errno == EINTR:
            return
        link.readable = 0
        if got == 0 or errno != EAGAIN:
            end_of_input(core, link, got)
        return
    link.last_activity_ns = core.now_ns
    link.big_size += <uint32_t>got
    if link.big_size < link.big_need:
        if not link.hang_up:
            link.readable = 0
        return
    big = link.big
    end = big + link.big_need
    link.big = NULL
    link.big_need = 0
    link.big_size = 0
    at = parse(core, link, big, end)
    if core.sharing:
        output_flush_all(core)
    keep(core, link, at, end)
    free(big)


cdef void read_some(Core* core, Link* link) noexcept nogil:
    """One read behind what is left over from the last one."""
    cdef char* buffer = core.read_buffer
    cdef uint32_t before = link.stash_size
    cdef ssize_t got
    cdef char* at
    cdef char* end
    cdef char* grown = NULL
    if before > STASH_INLINE:
        grown = <char*>malloc(<size_t>before + READ_SIZE + SLACK)
        if grown == NULL:
            link_doom(core, link, READ_ERROR, NULL, 0, 0)
            return
        buffer = grown
    got = recv(link.descriptor, buffer + before, READ_SIZE, MSG_DONTWAIT)
    if got <= 0:
        free(grown)
        if got < 0 and errno == EINTR:
            return
        link.readable = 0
        if got == 0 or errno != EAGAIN:
            end_of_input(core, link, got)
        return
    if got < READ_SIZE and not link.hang_up:
        link.readable = 0
    link.last_activity_ns = core.now_ns
    if before:
        memcpy(buffer, link.stash, before)
        free(link.stash)
        link.stash = NULL
        link.stash_size = 0
    end = buffer + before + got
    at = parse(core, link, buffer, end)
    if core.sharing:
        output_flush_all(core)
    keep(core, link, at, end)
    free(grown)


cdef void read_packed(Core* core, Link* link) noexcept nogil:
    """One read of a compressed stream; or, if it has more than was taken at once, the next portion without reading."""
    cdef ssize_t got = 0
    cdef char* at
    cdef char* end
    cdef Buffer* unpacked = &core.unpacked
    if not s2_more(link.unpacker):
        got = recv(link.descriptor, core.read_buffer, READ_SIZE, MSG_DONTWAIT)
        if got <= 0:
            if got < 0 and errno == EINTR:
                return
            link.readable = 0
            if got == 0 or errno != EAGAIN:
                end_of_input(core, link, got)
            return
        if got < READ_SIZE and not link.hang_up:
            link.readable = 0
        link.last_activity_ns = core.now_ns
    unpacked.size = 0
    if link.stash_size:
        buffer_add(unpacked, link.stash, link.stash_size)
        free(link.stash)
        link.stash = NULL
        link.stash_size = 0
    if s2_unpack(link.unpacker, core.read_buffer, got, unpacked) or buffer_room(unpacked, 0) == NULL:
        link_doom(core, link, READ_ERROR, NULL, 0, 0)
        return
    end = unpacked.data + unpacked.size
    at = parse(core, link, unpacked.data, end)
    if core.sharing:
        output_flush_all(core)
    keep(core, link, at, end)
    if unpacked.capacity > UNPACKED_KEPT:
        buffer_free(unpacked)


cdef void discard(Core* core, Link* link) noexcept nogil:
    """A lingering link: throw away what comes until the peer closes."""
    cdef ssize_t got
    cdef int _
    for _ in range(4):
        got = recv(link.descriptor, core.read_buffer, READ_SIZE, MSG_DONTWAIT)
        if got < 0 and errno == EAGAIN:
            link.readable = 0
            return
        if got <= 0:
            link.linger_until_ns = 1
            link_timers(core, link)
            return
    link_ready(core, link)


cdef void stall(Core* core, Link* link) noexcept nogil:
    """Its messages go to a receiver that holds too much: the producer waits until that drained, or a little while."""
    cdef Link* receiver = core.stall_receiver
    if not receiver.special & SPECIAL_BACKLOG or receiver.state >= STATE_CLOSING:
        return
    link.stalled = 1
    link.stalls += 1
    link.stalled_by = receiver
    link.stall_mark = receiver.written_total
    link.stall_until_ns = core.now_ns + SOFT_STALL_NS
    if receiver.pending * 4 > <uint64_t>core.configuration.max_pending * 3:
        link.stall_until_ns = core.now_ns + HARD_STALL_NS
    link.stall_next = core.stalled
    core.stalled = link
    core.stalled_clients += 1


cdef void serve(Core* core, Link* link) noexcept nogil:
    """One link's turn."""
    if link.state == STATE_LINGER:
        discard(core, link)
        return
    if link.state >= STATE_CLOSING or link.state == STATE_PARKED or link.stalled:
        return
    core.turn_delivered = 0
    core.stall_source = 0
    if link.stash_size and link.stash_ready:
        link.stash_ready = 0
        parse_stash(core, link)
    if not link.memory and link.state < STATE_CLOSING and link.state != STATE_PARKED and not link.more \
            and (link.readable or (link.unpacker != NULL and s2_more(link.unpacker))):
        if link.unpacker != NULL:
            read_packed(core, link)
        elif link.big != NULL:
            read_big(core, link)
        else:
            read_some(core, link)
    if link.memory and link.end_of_file and link.state < STATE_CLOSING and link.state != STATE_PARKED \
            and not link.more:
        link_doom(core, link, CLIENT_CLOSED, NULL, 0, 1)
    if link.state >= STATE_CLOSING or link.state == STATE_PARKED:
        return
    if core.stall_source and link.kind == KIND_CLIENT:
        stall(core, link)
        if link.stalled:
            return
    if link.more or (link.readable and not link.memory) or (link.unpacker != NULL and s2_more(link.unpacker)):
        link_ready(core, link)


# --- the tick ---------------------------------------------------------------------------------------------------------


cdef void release_stalled(Core* core) noexcept nogil:
    """Producers that waited long enough go on. A receiver that took nothing meanwhile is not waited for again before
    it comes near its limit."""
    cdef Link** at = &core.stalled
    cdef Link* link
    while at[0] != NULL:
        link = at[0]
        if link.stall_until_ns > core.now_ns:
            at = &link.stall_next
            continue
        at[0] = link.stall_next
        link.stalled = 0
        if link.stalled_by != NULL and link.stalled_by.written_total == link.stall_mark:
            link.stalled_by.soft_stall_off = 1
            if link.stalled_by.pending * 4 <= <uint64_t>core.configuration.max_pending * 3:
                link.stalled_by.special &= ~SPECIAL_BACKLOG
        link.stalled_by = NULL
        link_ready(core, link)


cdef void expire_timers(Core* core) noexcept nogil:
    cdef Link* link = wheel_expired(core)
    cdef Link* following
    while link != NULL:
        following = link.wheel_next
        link.wheel_next = NULL
        link_timers(core, link)
        link = following


cdef void resume_listeners(Core* core) noexcept nogil:
    cdef uint32_t i
    cdef Listener* listener
    for i in range(core.listeners_capacity):
        listener = core.listeners[i]
        if listener == NULL or listener.paused_until_ns == 0 or listener.paused_until_ns > core.now_ns:
            continue
        listener.paused_until_ns = 0
        core.listeners_paused -= 1
        if listener.descriptor >= 0:
            listener_watch(core, listener)


cdef void tick(Core* core) noexcept nogil:
    """Everything that is to be done at ``now_ns``."""
    cdef Link* link
    cdef Link* following
    cdef uint32_t i
    links_finish(core)
    commands_run(core)
    expire_timers(core)
    if core.pendings_due_ns and core.pendings_due_ns <= core.now_ns:
        pendings_expire(core)
    links_finish(core)
    if core.listeners_paused:
        resume_listeners(core)
    if core.stalled != NULL:
        release_stalled(core)
    link = core.ready_first
    core.ready_first = NULL
    core.ready_last = NULL
    while link != NULL:
        following = link.ready_next
        link.ready = 0
        if link.state != STATE_DEAD:
            serve(core, link)
            if core.doomed != NULL:
                links_finish(core)
        link = following
    links_finish(core)
    output_flush_all(core)
    while core.doomed != NULL:
        links_finish(core)
        output_flush_all(core)
    blocks_free_graves(core)
    for i in range(<uint32_t>(core.grave_plain.size // sizeof(void*))):
        free((<void**>core.grave_plain.data)[i])
    core.grave_plain.size = 0
    match_free_graves(core)
    if core.grave_links != NULL:
        links_free_graves(core)
    mail_flush(core)


cdef inline int64_t sooner(int64_t one, int64_t other) noexcept nogil:
    """The earlier of two times of which 0 is never."""
    if one == 0 or (other and other < one):
        return other
    return one


cdef int64_t next_due(Core* core) noexcept nogil:
    """When the next tick is wanted without any input: a time, or 0 for never."""
    cdef int64_t due = sooner(wheel_next(core), core.pendings_due_ns)
    cdef Link* link = core.stalled
    if core.ready_first != NULL:
        return core.now_ns
    while link != NULL:
        if due == 0 or link.stall_until_ns < due:
            due = link.stall_until_ns
        link = link.stall_next
    return due


cdef int wait_ms(Core* core) noexcept nogil:
    cdef int64_t due
    if core.ready_first != NULL:
        return 0
    if core.stalled != NULL:
        return STALL_POLL_MS
    due = sooner(wheel_next(core), core.pendings_due_ns)
    if core.listeners_paused:
        return 100
    if due == 0:
        return -1
    due = (due - monotonic_ns() + 999999) // 1000000
    if due < 0:
        return 0
    return <int>due if due < 60000 else 60000


cdef void run_loop(Core* core) noexcept nogil:
    """Drive sockets until told to stop. The state lock is held but for the wait, in which others may look inside."""
    cdef epoll_event events[EVENTS]
    cdef int count, i, timeout
    cdef uint64_t drained
    cdef size_t owner
    cdef Link* link
    cdef Listener* listener
    core.running = 1
    pthread_mutex_lock(&core.state_lock)
    core.now_ns = monotonic_ns()
    core.wheel_time = core.now_ns // 32000000
    while not core.stopping:
        timeout = wait_ms(core)
        pthread_mutex_unlock(&core.state_lock)
        while load(&core.lookers, 0) > 0:
            sched_yield()
        count = epoll_wait(core.poll_descriptor, events, EVENTS, timeout)
        pthread_mutex_lock(&core.state_lock)
        core.now_ns = monotonic_ns()
        for i in range(count):
            owner = <size_t>events[i].data.ptr
            if owner == 0:
                read(core.command_descriptor, &drained, 8)
                continue
            if owner & LISTENER_BIT:
                listener = <Listener*>(owner & ~LISTENER_BIT)
                accept_some(core, listener)
                continue
            link = <Link*>owner
            if events[i].events & EPOLLOUT and link.blocked:
                output_writable(core, link)
                if link.state == STATE_CLOSING and link.pending == 0:
                    link_drained(core, link)
            if events[i].events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR):
                link.readable = 1
                if events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR):
                    link.hang_up = 1
                link_ready(core, link)
        tick(core)
    tick(core)                          # what was asked for just before the stop
    pthread_mutex_unlock(&core.state_lock)
    core.running = 0
