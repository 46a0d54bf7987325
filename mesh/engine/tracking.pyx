# cython: language_level=3
"""Requests that another server samples and a client of this node answers (auth section 19).

The server of the requestor cannot know how long the service itself took, nor who served: it has put its own hash into
the name of the reply. So when a client is given such a reply that is remembered, and when it publishes there, the
control plane is told, which tells that server.
"""

from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from gossamer.mesh.engine.mailbox cimport mail_add, mail_begin
from gossamer.mesh.engine.text cimport hash_bytes
from gossamer.mesh.engine.types cimport (
    EVENT_SERVED,
    NOTE_TRACKED,
    TRACKED_SIZE,
    Core,
    Link,
    Mail,
    Message,
    Tracked,
)

cdef enum:
    BUCKETS = 16384
    TRACKED_MAX = 65536         # beyond it the oldest is forgotten: its sample lacks who served
    TRACKED_NS = 300000000000   # five minutes: nobody waits longer, unless an export's threshold is longer still


cdef inline uint64_t tracked_hash(Core* core, uint64_t link, const char* name) noexcept nogil:
    return hash_bytes(name, TRACKED_SIZE, core.hash_seed + link * <uint64_t>0x9E3779B97F4A7C15)


cdef void forget(Core* core, Tracked* one) noexcept nogil:
    cdef Tracked** at = &core.trackeds[one.hash & (BUCKETS - 1)]
    while at[0] != one:
        at = &at[0].next
    at[0] = one.next
    if one.older != NULL:
        one.older.newer = one.newer
    else:
        core.oldest_tracked = one.newer
    if one.newer != NULL:
        one.newer.older = one.older
    else:
        core.newest_tracked = one.older
    core.trackeds_count -= 1
    free(one)


cdef Tracked* tracked_find(Core* core, Link* link, const char* name) noexcept nogil:
    cdef uint64_t hash = tracked_hash(core, link.id, name)
    cdef Tracked* one = core.trackeds[hash & (BUCKETS - 1)]
    while one != NULL:
        if one.hash == hash and one.link == link.id and memcmp(one.name, name, TRACKED_SIZE) == 0:
            return one
        one = one.next
    return NULL


cdef void tracked_remember(Core* core, Link* link, Message* message) noexcept nogil:
    """The client is given a sampled request of another server."""
    cdef Tracked* one
    if core.trackeds == NULL:
        core.trackeds = <Tracked**>calloc(BUCKETS, sizeof(Tracked*))
        if core.trackeds == NULL:
            return
    while core.oldest_tracked != NULL and (core.oldest_tracked.given_ns + TRACKED_NS <= core.now_ns
                                           or core.trackeds_count >= TRACKED_MAX):
        forget(core, core.oldest_tracked)
    if link.returning & NOTE_TRACKED and tracked_find(core, link, message.reply) != NULL:
        return                                          # by another subscription of the same client
    one = <Tracked*>malloc(sizeof(Tracked))
    if one == NULL:
        return
    one.link = link.id
    one.given_ns = core.now_ns
    memcpy(one.name, message.reply, TRACKED_SIZE)
    one.hash = tracked_hash(core, link.id, one.name)
    one.next = core.trackeds[one.hash & (BUCKETS - 1)]
    core.trackeds[one.hash & (BUCKETS - 1)] = one
    one.newer = NULL
    one.older = core.newest_tracked
    if core.newest_tracked != NULL:
        core.newest_tracked.newer = one
    else:
        core.oldest_tracked = one
    core.newest_tracked = one
    core.trackeds_count += 1
    link.returning |= NOTE_TRACKED


cdef void tracked_answered(Core* core, Message* message) noexcept nogil:
    """The client publishes on a subject of the right shape: if it was given that as a reply, this is the answer."""
    cdef Link* link = message.source
    cdef Tracked* one
    cdef Mail mail
    if core.trackeds_count == 0:
        return
    one = tracked_find(core, link, message.subject)
    if one == NULL:
        return
    if one.given_ns + TRACKED_NS > core.now_ns:
        if <int64_t>(core.mail.size + core.mail_shared.size) > core.configuration.mailbox_limit:
            core.mailbox_dropped += 1
        else:
            mail_begin(&mail, EVENT_SERVED)
            mail.number[0] = <int64_t>link.id
            mail.number[1] = message.account.id
            mail.number[2] = one.given_ns
            mail.number[3] = link.rtt_ns
            mail.number[4] = core.now_ns - one.given_ns
            mail.size[0] = TRACKED_SIZE
            mail_add(core, &mail, one.name, NULL, NULL, NULL)
    forget(core, one)


cdef void trackeds_destroy(Core* core) noexcept nogil:
    while core.oldest_tracked != NULL:
        forget(core, core.oldest_tracked)
    free(core.trackeds)
