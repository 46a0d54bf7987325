# cython: language_level=3
"""Links: their beginning, their timers and their end.

The end has stages, so that the last words arrive. ``link_doom`` (output.pyx) stops traffic; ``links_finish`` takes the
link out of everything and tells the control plane; what is queued is written; then our side is shut down and the
peer's bytes are thrown away until it closes too (a close with unread input would be a reset that can destroy the -ERR
on its way).
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy, strlen
from posix.unistd cimport close

from gossamer.mesh.engine.accounts cimport account_settle
from gossamer.mesh.engine.announce cimport account_routes_rebuild
from gossamer.mesh.engine.gateway cimport gateway_forget, gateway_left
from gossamer.mesh.engine.leaf cimport leaf_left
from gossamer.mesh.engine.mailbox cimport mail_add, mail_begin
from gossamer.mesh.engine.memory cimport buffer_pointer, next_random, pick
from gossamer.mesh.engine.output cimport (
    link_doom,
    link_ready,
    link_unstall,
    output_add,
    output_drop,
    output_flush,
)
from gossamer.mesh.engine.pending cimport requests_forgotten
from gossamer.mesh.engine.permission cimport permission_leave, replies_free
from gossamer.mesh.engine.s2 cimport s2_forget
from gossamer.mesh.engine.subscriptions cimport subscriptions_end_all
from gossamer.mesh.engine.text cimport write_number
from gossamer.mesh.engine.types cimport (
    AUTHENTICATION_TIMEOUT,
    EVENT_CLOSED,
    EVENT_OPENED,
    EVENT_OUTPUT,
    EVENT_PONG,
    KIND_CLIENT,
    KIND_GATEWAY,
    KIND_LEAF,
    MAX_CONNECTIONS_EXCEEDED,
    READ_ERROR,
    SLOW_CONSUMER_PENDING_BYTES,
    SLOW_CONSUMER_WRITE_DEADLINE,
    STALE_CONNECTION,
    STATE_AWAIT_INFO,
    STATE_CLOSING,
    STATE_DEAD,
    STATE_LINGER,
    STATE_NEW,
    WRITE_ERROR,
    Core,
    Link,
    Listener,
    Mail,
)
from gossamer.mesh.engine.watch cimport unwatch
from gossamer.mesh.engine.wheel cimport wheel_remove, wheel_schedule

cdef extern from "<sys/socket.h>" nogil:
    int shutdown(int descriptor, int how)
    int SHUT_WR

cdef extern from "<sys/random.h>" nogil:
    ssize_t getrandom(void* buffer, size_t size, unsigned int flags)

cdef enum:
    LINGER_NS = 1000000000
    FIRST_PING_NS = 2000000000
    FIRST_PING_ROUTE_NS = 1000000000
    RTT_FRESH_NS = 3600000000000

cdef const char* BASE64 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


# --- table ------------------------------------------------------------------------------------------------------------


cdef Link* link_find(Core* core, uint64_t id) noexcept nogil:
    cdef Link* link = core.link_table[id & core.link_mask]
    while link != NULL:
        if link.id == id:
            return link
        link = link.id_next
    return NULL


cdef void table_grow(Core* core) noexcept nogil:
    cdef uint32_t mask = core.link_mask * 2 + 1
    cdef Link** table = <Link**>calloc(mask + 1, sizeof(Link*))
    cdef Link* link = core.all_links
    if table == NULL:
        return
    while link != NULL:
        link.id_next = table[link.id & mask]
        table[link.id & mask] = link
        link = link.all_next
    free(core.link_table)
    core.link_table = table
    core.link_mask = mask


cdef void table_remove(Core* core, Link* link) noexcept nogil:
    cdef Link** at = &core.link_table[link.id & core.link_mask]
    while at[0] != NULL:
        if at[0] == link:
            at[0] = link.id_next
            break
        at = &at[0].id_next
    if link.all_previous != NULL:
        link.all_previous.all_next = link.all_next
    else:
        core.all_links = link.all_next
    if link.all_next != NULL:
        link.all_next.all_previous = link.all_previous
    core.link_count -= 1


# --- beginning --------------------------------------------------------------------------------------------------------


cdef Link* link_make(Core* core, uint64_t id, int kind, int descriptor, Listener* listener, const char* host,
                     uint32_t host_size, uint16_t port) noexcept nogil:
    """A new link in the tables, reported as Opened; NULL when memory is out. ``descriptor`` -1: a memory link."""
    cdef Mail mail
    cdef Link* link = <Link*>calloc(1, sizeof(Link))
    if link == NULL:
        return NULL
    link.id = id
    link.kind = <uint8_t>kind
    link.descriptor = descriptor
    link.memory = descriptor < 0
    link.listener = listener
    link.port = port
    link.wheel_slot = -1
    link.echo = 1
    link.last_slot = 0
    link.max_payload = core.configuration.max_payload
    link.max_subscriptions = -1
    link.ping_sent_ns = core.now_ns
    link.last_activity_ns = core.now_ns
    link.state = STATE_NEW if listener != NULL else STATE_AWAIT_INFO
    if core.link_count > core.link_mask:
        table_grow(core)
    link.id_next = core.link_table[id & core.link_mask]
    core.link_table[id & core.link_mask] = link
    link.all_next = core.all_links
    if link.all_next != NULL:
        link.all_next.all_previous = link
    core.all_links = link
    core.link_count += 1
    if kind == KIND_CLIENT:
        link.counted = 1
        core.clients += 1
        if core.configuration.patience[kind].ping_interval_ns > 0:
            link.ping_at_ns = core.now_ns + core.configuration.patience[kind].ping_interval_ns
    if listener != NULL and listener.auth_timeout_ns > 0:
        link.auth_until_ns = core.now_ns + listener.auth_timeout_ns
    wheel_schedule(core, link)
    mail_begin(&mail, EVENT_OPENED)
    mail.number[0] = <int64_t>id
    mail.number[1] = listener.id if listener != NULL else 0
    mail.number[2] = kind
    mail.number[3] = port
    mail.size[0] = host_size
    mail_add(core, &mail, host, NULL, NULL, NULL)
    return link


cdef void make_nonce(Core* core, Link* link) noexcept nogil:
    """15 characters: eleven random bytes in unpadded base64url."""
    cdef uint8_t raw[12]
    cdef uint64_t word
    cdef uint32_t i, triple
    cdef char text[16]
    raw[11] = 0
    if core.deterministic or getrandom(raw, 11, 0) != 11:
        word = next_random(core)
        memcpy(raw, &word, 8)
        word = next_random(core)
        memcpy(raw + 8, &word, 3)
    for i in range(4):
        triple = (<uint32_t>raw[3 * i] << 16) | (<uint32_t>raw[3 * i + 1] << 8) | raw[3 * i + 2]
        text[4 * i] = BASE64[(triple >> 18) & 63]
        text[4 * i + 1] = BASE64[(triple >> 12) & 63]
        text[4 * i + 2] = BASE64[(triple >> 6) & 63]
        text[4 * i + 3] = BASE64[triple & 63]
    memcpy(link.nonce, text, 15)
    link.has_nonce = 1


cdef void link_greet(Core* core, Link* link, const char* host, uint32_t host_size) noexcept nogil:
    """Send the listener's INFO, its placeholders filled in."""
    cdef Listener* listener = link.listener
    cdef uint32_t at = 0
    cdef uint32_t size
    cdef char number[24]
    if listener == NULL or listener.info == NULL:
        return
    if listener.has_nonce:
        make_nonce(core, link)
    while at + 5 <= listener.info_size:
        memcpy(&size, listener.info + at + 1, 4)
        if listener.info[at] == 0:
            output_add(core, link, listener.info + at + 5, size)
        elif listener.info[at] == 1:
            size = write_number(number, link.id)
            output_add(core, link, number, size)
            size = 0
        elif listener.info[at] == 2:
            output_add(core, link, host, host_size)
            size = 0
        else:
            output_add(core, link, link.nonce, 15)
            size = 0
        at += 5 + size


cdef void link_limit(Core* core, Link* link) noexcept nogil:
    """One client too many is told so right after its INFO (client-protocol section 1)."""
    if link.kind == KIND_CLIENT and core.clients > core.configuration.max_connections:
        link_doom(core, link, MAX_CONNECTIONS_EXCEEDED, b"maximum connections exceeded", 28, 1)


cdef void link_admitted(Core* core, Link* link) noexcept nogil:
    """The link is in: the auth timer ends, the short first ping timer begins (client-protocol section 15)."""
    cdef int64_t first = FIRST_PING_NS if link.kind == KIND_CLIENT else FIRST_PING_ROUTE_NS
    cdef int64_t interval = core.configuration.patience[link.kind].ping_interval_ns
    link.auth_until_ns = 0
    if interval > 0:
        if interval < first:
            first = interval
        link.ping_at_ns = core.now_ns + first + <int64_t>pick(core, <uint64_t>(first // 5 + 1))
    wheel_schedule(core, link)


# --- liveness ---------------------------------------------------------------------------------------------------------


cdef void link_ping(Core* core, Link* link) noexcept nogil:
    link.ping_sent_ns = core.now_ns
    link.ping_pending = 1
    output_add(core, link, b"PING\r\n", 6)


cdef void link_pong(Core* core, Link* link) noexcept nogil:
    """A PONG came: nothing is outstanding; server peers' are reported."""
    cdef Mail mail
    cdef int64_t rtt = 0
    link.pings_out = 0
    if link.ping_pending:
        link.ping_pending = 0
        rtt = core.now_ns - link.ping_sent_ns
        if rtt <= 0:
            rtt = 1
        link.rtt_ns = rtt
        link.rtt_measured_ns = core.now_ns
    if link.kind != KIND_CLIENT:
        mail_begin(&mail, EVENT_PONG)
        mail.number[0] = <int64_t>link.id
        mail.number[1] = rtt
        mail_add(core, &mail, NULL, NULL, NULL, NULL)


cdef void ping_due(Core* core, Link* link) noexcept nogil:
    cdef int64_t interval = core.configuration.patience[link.kind].ping_interval_ns
    cdef uint8_t patient = link.kind == KIND_CLIENT or (link.kind == KIND_LEAF and not link.route.spoke)
    if interval <= 0:
        link.ping_at_ns = 0
        return
    link.ping_at_ns = core.now_ns + interval
    if patient and link.rtt_measured_ns and core.now_ns - link.last_data_ns < interval \
            and core.now_ns - link.rtt_measured_ns < RTT_FRESH_NS:
        return
    if link.pings_out + 1 > core.configuration.patience[link.kind].ping_max:
        link_doom(core, link, STALE_CONNECTION, b"Stale Connection", 16, 1)
        return
    link.pings_out += 1
    link_ping(core, link)


cdef void write_deadline(Core* core, Link* link) noexcept nogil:
    """A link that is retried stays if it takes any byte: the kernel tells of room only when a third of its buffer is
    free, so it is tried before it is judged."""
    cdef uint64_t before = link.written_total
    if link.state >= STATE_CLOSING:
        link_die(core, link)
        return
    if core.configuration.patience[link.kind].retry_writes:
        link.blocked = 0
        output_flush(core, link)
        if not link.blocked or link.written_total != before:
            return
    if link.state < STATE_CLOSING:
        link_doom(core, link, SLOW_CONSUMER_WRITE_DEADLINE, NULL, 0, 0)


cdef void link_timers(Core* core, Link* link) noexcept nogil:
    """Do what is due at ``now_ns`` and set the next timer."""
    cdef int64_t deadline
    if link.state == STATE_DEAD:
        return
    if link.auth_until_ns and link.auth_until_ns <= core.now_ns:
        link.auth_until_ns = 0
        link_doom(core, link, AUTHENTICATION_TIMEOUT, b"Authentication Timeout", 22, 1)
    if link.expire_at_ns and link.expire_at_ns <= core.now_ns:
        link.expire_at_ns = 0
        if link.expire_error != NULL:
            link_doom(core, link, link.expire_reason, link.expire_error, <uint32_t>strlen(link.expire_error), 1)
        else:
            link_doom(core, link, link.expire_reason, NULL, 0, 1)
    if link.ping_at_ns and link.ping_at_ns <= core.now_ns and link.state < STATE_CLOSING:
        ping_due(core, link)
    if link.linger_until_ns and link.linger_until_ns <= core.now_ns:
        link_die(core, link)
        return
    if link.blocked:
        deadline = core.configuration.patience[link.kind].write_deadline_ns
        if link.state >= STATE_CLOSING and (deadline <= 0 or deadline > 2000000000):
            deadline = 2000000000
        if deadline > 0 and link.blocked_since_ns + deadline <= core.now_ns:
            write_deadline(core, link)
    if link.state != STATE_DEAD:
        wheel_schedule(core, link)


# --- end --------------------------------------------------------------------------------------------------------------


cdef void routes_changed(Core* core) noexcept nogil:
    """Every account's list of links is found anew."""
    cdef uint32_t i
    for i in range(core.accounts_count):
        if core.accounts[i] != NULL:
            account_routes_rebuild(core, core.accounts[i])


cdef void route_joined(Core* core, Link* link) noexcept nogil:
    buffer_pointer(&core.routes, link)
    routes_changed(core)


cdef void route_left(Core* core, Link* link) noexcept nogil:
    cdef Link** routes = <Link**>core.routes.data
    cdef uint32_t count = <uint32_t>(core.routes.size // sizeof(void*))
    cdef uint32_t i
    for i in range(count):
        if routes[i] == link:
            routes[i] = routes[count - 1]
            core.routes.size -= sizeof(void*)
            break
    routes_changed(core)


cdef void report_closed(Core* core, Link* link) noexcept nogil:
    cdef Mail mail
    mail_begin(&mail, EVENT_CLOSED)
    mail.number[0] = <int64_t>link.id
    mail.number[1] = link.reason
    mail.number[2] = <int64_t>link.in_messages
    mail.number[3] = <int64_t>link.out_messages
    mail.number[4] = <int64_t>link.in_bytes
    mail.number[5] = <int64_t>link.out_bytes
    mail.number[6] = link.subscription_count
    mail.number[7] = link.rtt_ns
    mail.number[8] = <int64_t>link.pending
    mail.size[0] = <uint32_t>strlen(link.error_sent) if link.error_sent != NULL else 0
    mail_add(core, &mail, link.error_sent, NULL, NULL, NULL)


cdef void unstall_self(Core* core, Link* link) noexcept nogil:
    cdef Link** at = &core.stalled
    while at[0] != NULL:
        if at[0] == link:
            at[0] = link.stall_next
            break
        at = &at[0].stall_next
    link.stalled = 0


cdef void take_apart(Core* core, Link* link) noexcept nogil:
    """Out of every table of traffic; the output goes on."""
    cdef bint joined = link.route != NULL and link.route.joined
    report_closed(core, link)
    if link.reason == SLOW_CONSUMER_PENDING_BYTES or link.reason == SLOW_CONSUMER_WRITE_DEADLINE:
        core.slow_consumers[link.kind] += 1
        if link.account != NULL:
            link.account.slow_consumers += 1
    link.ping_at_ns = 0
    link.auth_until_ns = 0
    link.expire_at_ns = 0
    if link.stalled:
        unstall_self(core, link)
    link_unstall(core, link)
    if joined:
        link.route.joined = 0
        if link.kind == KIND_GATEWAY:
            gateway_left(core, link)
        elif link.kind == KIND_LEAF:
            leaf_left(core, link)
        else:
            route_left(core, link)
    subscriptions_end_all(core, link)
    if link.asked != NULL:
        requests_forgotten(core, link, NULL, 0)
    replies_free(link)
    permission_leave(link.permission)
    link.permission = NULL
    if link.account != NULL:
        link.account.links -= 1
        account_settle(core, link.account)
    if link.counted:
        core.clients -= 1
        link.counted = 0
    free(link.stash)
    link.stash = NULL
    link.stash_size = 0
    free(link.big)
    link.big = NULL
    link.big_need = 0


cdef void memory_end(Core* core, Link* link) noexcept nogil:
    cdef Mail mail
    mail_begin(&mail, EVENT_OUTPUT)
    mail.number[0] = <int64_t>link.id
    mail.number[1] = 1
    mail_add(core, &mail, NULL, NULL, NULL, NULL)


cdef void link_drained(Core* core, Link* link) noexcept nogil:
    """A closing link has written its last byte."""
    if link.state != STATE_CLOSING or link.pending:
        return
    if link.memory or link.end_of_file or link.reason == READ_ERROR or link.reason == WRITE_ERROR:
        link_die(core, link)
        return
    shutdown(link.descriptor, SHUT_WR)
    link.state = STATE_LINGER
    link.linger_until_ns = core.now_ns + LINGER_NS
    link.readable = 1
    link_ready(core, link)
    wheel_schedule(core, link)


cdef void link_die(Core* core, Link* link) noexcept nogil:
    """Close the descriptor; the struct is freed when the tick ends."""
    if link.state == STATE_DEAD:
        return
    if link.doomed:
        link.flush_on_close = 0                 # links_finish has yet to take it apart, and will do this then
        return
    if link.memory and link.state >= STATE_CLOSING:
        memory_end(core, link)
    link.state = STATE_DEAD
    link.linger_until_ns = 0
    link.blocked = 0
    wheel_remove(core, link)
    output_drop(core, link)
    if link.descriptor >= 0:
        unwatch(core, link.descriptor)          # a copy of the descriptor elsewhere would keep it reported
        close(link.descriptor)
        link.descriptor = -1
    table_remove(core, link)
    link.grave_next = core.grave_links
    core.grave_links = link


cdef void links_finish(Core* core) noexcept nogil:
    """Take apart the links doomed since the last call."""
    cdef Link* link
    while core.doomed != NULL:
        link = core.doomed
        core.doomed = link.doom_next
        link.doom_next = NULL
        link.doomed = 0
        take_apart(core, link)
        if not link.flush_on_close:
            link_die(core, link)
            continue
        link.held = 0
        if link.memory:
            link.blocked = 0
        if not link.blocked:
            output_flush(core, link)
        if link.pending == 0:
            link_drained(core, link)
        else:
            wheel_schedule(core, link)


cdef void link_free(Link* link) noexcept nogil:
    if link.route != NULL:
        gateway_forget(link)
        free(link.route.picked)
        free(link.route.remote_account)
        free(link.route)
    free(link.sid_table)
    free(link.info_after_pong)
    free(link.expire_error)
    free(link.described)
    if link.unpacker != NULL:
        s2_forget(link.unpacker)
        free(link.unpacker)
    free(link.error_sent)
    free(link.stash)
    free(link.big)
    free(link.slices)
    free(link)


cdef void links_free_graves(Core* core) noexcept nogil:
    """Free dead links that no queue holds any more."""
    cdef Link* link = core.grave_links
    cdef Link* following
    core.grave_links = NULL
    while link != NULL:
        following = link.grave_next
        if link.ready or link.dirty:
            link.grave_next = core.grave_links
            core.grave_links = link
        else:
            link_free(link)
        link = following


cdef void links_destroy(Core* core) noexcept nogil:
    """Close and free all; nothing is flushed, reported or announced."""
    cdef Link* link
    cdef uint32_t i
    core.routes.size = 0
    core.inbounds.size = 0
    core.outbounds.size = 0
    for i in range(core.accounts_count):
        if core.accounts[i] != NULL:
            core.accounts[i].routes_count = 0
            core.accounts[i].leafs_count = 0
    while core.all_links != NULL:
        link = core.all_links
        subscriptions_end_all(core, link)
        if link.asked != NULL:
            requests_forgotten(core, link, NULL, 0)
        replies_free(link)
        link.ready = 0
        link.dirty = 0
        link.doomed = 0
        link_die(core, link)
        if link.permission != NULL:
            link.permission.links -= 1
    core.doomed = NULL
    core.dirty_first = NULL
    core.dirty_last = NULL
    core.ready_first = NULL
    core.ready_last = NULL
    link = core.grave_links
    while link != NULL:
        link.ready = 0
        link.dirty = 0
        link = link.grave_next
    links_free_graves(core)
