# cython: language_level=3
"""Output: what a link still has to send, and how it leaves.

Bytes are collected in chunks that grow with use (a request costs a small one, a flood large ones) and are written once
per tick, or when about FLUSH_BYTES have been collected over all links. Chunks go back to free lists and not to the
kernel, which would hand them out again page by page. For a large fan-out the payload is not copied: the link holds
*slices* into the read buffer, and must be flushed before that buffer is used again; what the socket did not take is
then copied.

A link that may not go on is doomed here and taken apart later (``links.pyx``), because nobody may vanish in the middle
of a delivery.
"""

from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy, memset


from gossamer.mesh.engine.mailbox cimport mail_add, mail_begin
from gossamer.mesh.engine.memory cimport buffer_add, buffer_free

from gossamer.mesh.engine.s2 cimport s2_pack
from gossamer.mesh.engine.types cimport (
    CHUNK_CLASSES,
    EVENT_OUTPUT,
    FREE_CHUNK_BYTES,
    KIND_CLIENT,
    SLACK,
    SLOW_CONSUMER_PENDING_BYTES,
    SOFT_RELEASE_BYTES,
    SOFT_STALL_BYTES,
    SPECIAL_BACKLOG,
    SPECIAL_CLOSING,
    STATE_CLOSING,
    STATE_LINGER,
    WRITE_ERROR,
    Chunk,
    Core,
    Link,
    Mail,
    iovec,
)
from gossamer.mesh.engine.wheel cimport wheel_schedule

cdef extern from "<sys/socket.h>" nogil:
    cdef struct msghdr:
        void* msg_name
        unsigned int msg_namelen
        iovec* msg_iov
        size_t msg_iovlen
        void* msg_control
        size_t msg_controllen
        int msg_flags
    ssize_t send(int descriptor, const void* data, size_t size, int flags)
    ssize_t sendmsg(int descriptor, const msghdr* message, int flags)
    int MSG_NOSIGNAL
    int MSG_DONTWAIT

cdef enum:
    PACK_KEPT = 16777216            # larger buffers for compressing are not kept
    SLICES_MAX = 1000               # below the kernel's limit of 1024 for one call

cdef uint32_t[CHUNK_CLASSES] CLASS_SIZE
CLASS_SIZE[0] = 448 - sizeof(Chunk) - SLACK
CLASS_SIZE[1] = 4096 - sizeof(Chunk) - SLACK
CLASS_SIZE[2] = 32768 - sizeof(Chunk) - SLACK
CLASS_SIZE[3] = 131072 - sizeof(Chunk) - SLACK
CLASS_SIZE[4] = 524288 - sizeof(Chunk) - SLACK


# --- chunks -----------------------------------------------------------------------------------------------------------


cdef inline void chunk_free(Core* core, Chunk* chunk) noexcept nogil:
    cdef uint32_t size_class = chunk.size_class
    if size_class >= CHUNK_CLASSES or core.free_counts[size_class] * CLASS_SIZE[size_class] > FREE_CHUNK_BYTES:
        free(chunk)
        return
    chunk.next = core.free_chunks[size_class]
    core.free_chunks[size_class] = chunk
    core.free_counts[size_class] += 1


cdef Chunk* chunk_make(Core* core, Link* link, uint64_t size) noexcept nogil:
    cdef uint32_t size_class = link.out_class
    cdef Chunk* chunk
    while size_class < CHUNK_CLASSES and CLASS_SIZE[size_class] < size:
        size_class += 1
    if size_class < CHUNK_CLASSES:
        link.out_class = <uint8_t>(size_class + 1 if size_class + 1 < CHUNK_CLASSES else size_class)
        chunk = core.free_chunks[size_class]
        if chunk != NULL:
            core.free_chunks[size_class] = chunk.next
            core.free_counts[size_class] -= 1
        else:
            chunk = <Chunk*>malloc(sizeof(Chunk) + CLASS_SIZE[size_class] + SLACK)
            if chunk == NULL:
                return NULL
        chunk.capacity = CLASS_SIZE[size_class]
    else:
        if size > 0x7FFFFFFF:
            return NULL
        chunk = <Chunk*>malloc(sizeof(Chunk) + size + SLACK)
        if chunk == NULL:
            return NULL
        chunk.capacity = <uint32_t>size
    chunk.size_class = size_class
    chunk.packed = 0
    chunk.start = 0
    chunk.end = 0
    chunk.next = NULL
    return chunk


cdef char* reserve_slow(Core* core, Link* link, uint64_t size) noexcept nogil:
    """A new chunk at the end. A link that is far over its limit is given to the socket first, so that a burst within
    one tick does not count as slowness."""
    cdef Chunk* chunk
    if link.kind == KIND_CLIENT and link.pending > <uint64_t>core.configuration.max_pending \
            and not link.special & SPECIAL_CLOSING:
        output_flush(core, link)
        if link.special & SPECIAL_CLOSING:
            return NULL
    chunk = chunk_make(core, link, size)
    if chunk == NULL:
        link_doom(core, link, SLOW_CONSUMER_PENDING_BYTES, NULL, 0, 0)
        return NULL
    if link.out_tail == NULL:
        link.out_head = chunk
    else:
        link.out_tail.next = chunk
    link.out_tail = chunk
    return <char*>(chunk + 1)


cdef void output_add(Core* core, Link* link, const char* text, uint64_t size) noexcept nogil:
    """Queue bytes, copied."""
    cdef char* to
    if link.state >= STATE_LINGER or size == 0:
        return
    to = reserve(core, link, size)
    if to != NULL:
        memcpy(to, text, size)
        commit(core, link, <uint32_t>size)


cdef void output_error(Core* core, Link* link, const char* text, uint32_t size) noexcept nogil:
    """Queue ``-ERR '<text>'``."""
    cdef char* to
    if link.state >= STATE_LINGER:
        return
    to = reserve(core, link, size + 9)
    if to != NULL:
        memcpy(to, b"-ERR '", 6)
        memcpy(to + 6, text, size)
        memcpy(to + 6 + size, b"'\r\n", 3)
        commit(core, link, size + 9)


# --- slices -----------------------------------------------------------------------------------------------------------


cdef uint8_t slice_add(Link* link, char* text, uint32_t size) noexcept nogil:
    cdef uint32_t capacity
    cdef iovec* grown
    if link.slices_count == link.slices_capacity:
        capacity = link.slices_capacity * 2 if link.slices_capacity else 32
        grown = <iovec*>realloc(link.slices, capacity * sizeof(iovec))
        if grown == NULL:
            return 0
        link.slices = grown
        link.slices_capacity = capacity
    link.slices[link.slices_count].iov_base = text
    link.slices[link.slices_count].iov_len = size
    link.slices_count += 1
    return 1


cdef uint8_t slices_sync(Link* link) noexcept nogil:
    """Let the slices cover what was written into chunks since the last one."""
    cdef Chunk* chunk = link.sliced_chunk
    cdef uint32_t start = link.sliced_end
    if chunk == NULL:
        chunk = link.out_head
        start = chunk.start if chunk != NULL else 0
    while chunk != NULL:
        if chunk.end > start:
            if not slice_add(link, <char*>(chunk + 1) + start, chunk.end - start):
                return 0
        link.sliced_chunk = chunk
        link.sliced_end = chunk.end
        chunk = chunk.next
        start = 0
    return 1


cdef void output_share(Core* core, Link* link, char* text, uint32_t size) noexcept nogil:
    """Queue bytes by reference: they stay where they are until the next flush of everything, which the caller makes
    before it touches them (``core.sharing``). A link that cannot write now gets a copy."""
    cdef iovec* latest
    if link.blocked or link.memory or link.pack_level or not slices_sync(link):
        output_add(core, link, text, size)
        return
    latest = &link.slices[link.slices_count - 1] if link.slices_count else NULL
    if latest != NULL and <char*>latest.iov_base + latest.iov_len == text:
        latest.iov_len += size                  # it follows what was shared before
    elif not slice_add(link, text, size):
        output_add(core, link, text, size)
        return
    link.sharing = 1
    core.sharing = 1
    link.pending += size
    core.unflushed += size
    mark_dirty(core, link)
    if link.slices_count >= SLICES_MAX - 2:
        output_flush(core, link)


cdef void slices_settle(Core* core, Link* link, uint64_t sent) noexcept nogil:
    """After a write: drop what went out, copy the rest into chunks of its own."""
    cdef Chunk* chunk = link.out_head
    cdef Chunk* following
    cdef uint32_t count = link.slices_count
    cdef uint32_t i
    cdef uint64_t skip = sent
    cdef uint64_t size
    cdef uint64_t rest = link.pending - sent
    link.out_head = NULL
    link.out_tail = NULL
    link.slices_count = 0
    link.sliced_chunk = NULL
    link.sliced_end = 0
    link.sharing = 0
    link.pending = 0
    if rest:
        for i in range(count):
            size = link.slices[i].iov_len
            if skip >= size:
                skip -= size
                continue
            output_add(core, link, <char*>link.slices[i].iov_base + skip, size - skip)
            skip = 0
    while chunk != NULL:
        following = chunk.next
        chunk_free(core, chunk)
        chunk = following
    if link.slices_capacity > 256:
        free(link.slices)
        link.slices = NULL
        link.slices_capacity = 0


cdef void chunks_settle(Core* core, Link* link, uint64_t sent) noexcept nogil:
    cdef Chunk* chunk
    cdef uint32_t size
    link.pending -= sent
    while sent:
        chunk = link.out_head
        size = chunk.end - chunk.start
        if sent < size:
            chunk.start += <uint32_t>sent
            return
        sent -= size
        link.out_head = chunk.next
        chunk_free(core, chunk)
    if link.pending == 0:
        while link.out_head != NULL:
            chunk = link.out_head
            link.out_head = chunk.next
            chunk_free(core, chunk)
    if link.out_head == NULL:
        link.out_tail = NULL


# --- writing ----------------------------------------------------------------------------------------------------------


cdef int64_t write_some(Core* core, Link* link, uint64_t* wanted) noexcept nogil:
    """One write of as much as one call takes: bytes written, -1 with errno on failure; ``wanted`` what was tried."""
    cdef iovec parts[64]
    cdef msghdr message
    cdef Chunk* chunk
    cdef uint32_t i
    wanted[0] = 0
    if not link.sharing and link.out_head.next == NULL:
        chunk = link.out_head
        wanted[0] = chunk.end - chunk.start
        return send(link.descriptor, <char*>(chunk + 1) + chunk.start, wanted[0], MSG_NOSIGNAL | MSG_DONTWAIT)
    memset(&message, 0, sizeof(message))
    if link.sharing:
        message.msg_iov = link.slices
        message.msg_iovlen = link.slices_count
        for i in range(link.slices_count):
            wanted[0] += link.slices[i].iov_len
    else:
        chunk = link.out_head
        while chunk != NULL and message.msg_iovlen < 64:
            parts[message.msg_iovlen].iov_base = <char*>(chunk + 1) + chunk.start
            parts[message.msg_iovlen].iov_len = chunk.end - chunk.start
            wanted[0] += chunk.end - chunk.start
            message.msg_iovlen += 1
            chunk = chunk.next
        message.msg_iov = parts
    return sendmsg(link.descriptor, &message, MSG_NOSIGNAL | MSG_DONTWAIT)


cdef void memory_flush(Core* core, Link* link) noexcept nogil:
    """A memory link's bytes become one Output record."""
    cdef Mail mail
    cdef Chunk* chunk = link.out_head
    cdef char* to
    if link.held:
        return
    mail_begin(&mail, EVENT_OUTPUT)
    mail.number[0] = link.id
    mail.size[0] = <uint32_t>link.pending
    to = mail_add(core, &mail, NULL, NULL, NULL, NULL)
    while chunk != NULL and to != NULL:
        memcpy(to, <char*>(chunk + 1) + chunk.start, chunk.end - chunk.start)
        to += chunk.end - chunk.start
        chunk = chunk.next
    chunks_settle(core, link, link.pending)


cdef void output_as_is(Core* core, Link* link) noexcept nogil:
    """What is queued now goes out as it is, whatever becomes of the rest."""
    cdef Chunk* chunk
    if link.sharing:
        slices_settle(core, link, 0)
    chunk = link.out_head
    while chunk != NULL:
        chunk.packed = 1
        chunk.capacity = chunk.end          # nothing is written behind it
        chunk = chunk.next


cdef void output_pack(Core* core, Link* link) noexcept nogil:
    """Compress what was queued since the last flush, into one chunk."""
    cdef Chunk** at = &link.out_head
    cdef Chunk* chunk
    cdef Chunk* tail = NULL
    while at[0] != NULL and at[0].packed:
        tail = at[0]
        at = &tail.next
    core.raw.size = 0
    core.packed.size = 0
    chunk = at[0]
    while chunk != NULL:
        buffer_add(&core.raw, <char*>(chunk + 1) + chunk.start, chunk.end - chunk.start)
        chunk = chunk.next
    if core.raw.size == 0:
        return
    s2_pack(core.raw.data, core.raw.size, link.pack_level, &core.packed)
    while at[0] != NULL:
        chunk = at[0]
        at[0] = chunk.next
        link.pending -= chunk.end - chunk.start
        chunk_free(core, chunk)
    link.out_tail = tail
    chunk = chunk_make(core, link, core.packed.size)
    if chunk == NULL:
        link_doom(core, link, SLOW_CONSUMER_PENDING_BYTES, NULL, 0, 0)
        return
    memcpy(<char*>(chunk + 1), core.packed.data, core.packed.size)
    chunk.end = <uint32_t>core.packed.size
    chunk.capacity = chunk.end
    chunk.packed = 1
    at[0] = chunk
    link.out_tail = chunk
    link.pending += core.packed.size
    if core.raw.capacity > PACK_KEPT:
        buffer_free(&core.raw)
        buffer_free(&core.packed)


cdef void output_flush(Core* core, Link* link) noexcept nogil:
    """Write what the socket takes, then judge the rest: limits, back-pressure, the deadline."""
    cdef uint64_t wanted = 0
    cdef int64_t sent
    if link.pending == 0 or link.out_head == NULL and not link.sharing:
        return
    if link.pack_level:
        output_pack(core, link)
        if link.state == STATE_CLOSING and link.pending == 0:
            return
    if link.memory:
        memory_flush(core, link)
        sent = 1
    elif link.sharing and not slices_sync(link):
        link_doom(core, link, SLOW_CONSUMER_PENDING_BYTES, NULL, 0, 0)
        return
    while link.pending and not link.blocked and not link.memory:
        sent = write_some(core, link, &wanted)
        if sent < 0:
            if errno == EINTR:
                continue
            if errno != EAGAIN:
                if link.state >= STATE_CLOSING:
                    output_drop(core, link)         # nobody is there any more to hear the last words
                    return
                if link.sharing:
                    slices_settle(core, link, 0)
                link_doom(core, link, WRITE_ERROR, NULL, 0, 0)
                return
            sent = 0
        link.written_total += sent
        if link.sharing:
            slices_settle(core, link, sent)
        else:
            chunks_settle(core, link, sent)
        if <uint64_t>sent < wanted:
            link.blocked = 1
            link.blocked_since_ns = core.now_ns
            wheel_schedule(core, link)
    if link.held and not link.blocked:
        link.blocked = 1
        link.blocked_since_ns = core.now_ns
        wheel_schedule(core, link)
    if link.out_class and link.pending == 0:
        link.out_class -= 1
    judge_backlog(core, link)


cdef void judge_backlog(Core* core, Link* link) noexcept nogil:
    """What is left unwritten counts against the link's limit and the budget of all links."""
    cdef Link* one
    cdef Link* worst = NULL
    if link.kind == KIND_CLIENT and not link.special & SPECIAL_CLOSING:     # the budget is the clients'
        core.backlog_total += link.pending - link.backlog
        link.backlog = link.pending
    if link.special & SPECIAL_CLOSING or link.kind != KIND_CLIENT:
        if link.pending * 4 > <uint64_t>core.configuration.max_pending * 3:
            link.special |= SPECIAL_BACKLOG
        elif link.special & SPECIAL_BACKLOG and link.pending < SOFT_RELEASE_BYTES:
            link.special &= ~SPECIAL_BACKLOG
            link_unstall(core, link)
        return
    if link.pending > <uint64_t>core.configuration.max_pending:
        link_doom(core, link, SLOW_CONSUMER_PENDING_BYTES, NULL, 0, 0)
        return
    if core.backlog_total > <uint64_t>core.configuration.pending_budget:
        one = core.all_links
        while one != NULL:
            if one.backlog and not one.special & SPECIAL_CLOSING and (worst == NULL or one.backlog > worst.backlog):
                worst = one
            one = one.all_next
        if worst != NULL:
            link_doom(core, worst, SLOW_CONSUMER_PENDING_BYTES, NULL, 0, 0)
        if worst == link:
            return
    if link.pending * 4 > <uint64_t>core.configuration.max_pending * 3 \
            or (link.pending > SOFT_STALL_BYTES and not link.soft_stall_off):
        link.special |= SPECIAL_BACKLOG
    elif link.pending < SOFT_RELEASE_BYTES or link.soft_stall_off:
        if link.pending < SOFT_RELEASE_BYTES:
            link.soft_stall_off = 0
        if link.special & SPECIAL_BACKLOG:
            link.special &= ~SPECIAL_BACKLOG
            link_unstall(core, link)


cdef void output_flush_all(Core* core) noexcept nogil:
    """Write for every link that has something new."""
    cdef Link* link
    while core.dirty_first != NULL:
        link = core.dirty_first
        core.dirty_first = link.dirty_next
        if core.dirty_first == NULL:
            core.dirty_last = NULL
        link.dirty = 0
        if link.blocked:
            judge_backlog(core, link)
        else:
            output_flush(core, link)
    core.unflushed = 0
    core.dirty_count = 0
    core.sharing = 0
    core.run_used = 0


cdef void output_writable(Core* core, Link* link) noexcept nogil:
    """The socket takes bytes again."""
    if not link.blocked:
        return
    link.blocked = 0
    output_flush(core, link)
    if not link.blocked:
        wheel_schedule(core, link)


cdef void output_drop(Core* core, Link* link) noexcept nogil:
    """Forget everything unsent."""
    cdef Chunk* chunk
    while link.out_head != NULL:
        chunk = link.out_head
        link.out_head = chunk.next
        chunk_free(core, chunk)
    link.out_tail = NULL
    free(link.slices)
    link.slices = NULL
    link.slices_count = 0
    link.slices_capacity = 0
    link.sliced_chunk = NULL
    link.sharing = 0
    core.backlog_total -= link.backlog
    link.backlog = 0
    link.pending = 0


cdef void output_destroy(Core* core) noexcept nogil:
    cdef uint32_t i
    cdef Chunk* chunk
    for i in range(CHUNK_CLASSES):
        while core.free_chunks[i] != NULL:
            chunk = core.free_chunks[i]
            core.free_chunks[i] = chunk.next
            free(chunk)
        core.free_counts[i] = 0


# --- ends and pauses --------------------------------------------------------------------------------------------------


cdef void link_doom(Core* core, Link* link, int reason, const char* error, uint32_t error_size,
                    uint8_t flush) noexcept nogil:
    """Close the link: no more is parsed or delivered. ``error`` goes out as -ERR, what is queued too if ``flush``."""
    if link.state >= STATE_CLOSING:
        return
    if error_size:
        output_error(core, link, error, error_size)
        free(link.error_sent)
        link.error_sent = <char*>malloc(error_size + 1)
        if link.error_sent != NULL:
            memcpy(link.error_sent, error, error_size)
            link.error_sent[error_size] = 0
    link.state = STATE_CLOSING
    link.special |= SPECIAL_CLOSING
    link.reason = <uint8_t>reason
    link.flush_on_close = flush
    core.backlog_total -= link.backlog          # it will be gone: nobody else need go for it
    link.backlog = 0
    link.doomed = 1
    link.doom_next = core.doomed
    core.doomed = link


cdef void link_ready(Core* core, Link* link) noexcept nogil:
    """Put the link into the queue of those that have something to parse or to read."""
    if link.ready or link.state >= STATE_LINGER and link.memory:
        return
    link.ready = 1
    link.ready_next = NULL
    if core.ready_last == NULL:
        core.ready_first = link
    else:
        core.ready_last.ready_next = link
    core.ready_last = link


cdef void link_unstall(Core* core, Link* receiver) noexcept nogil:
    """Producers that waited for this receiver go on."""
    cdef Link** at = &core.stalled
    cdef Link* link
    while at[0] != NULL:
        link = at[0]
        if link.stalled_by == receiver:
            at[0] = link.stall_next
            link.stalled = 0
            link.stalled_by = NULL
            link_ready(core, link)
        else:
            at = &link.stall_next
