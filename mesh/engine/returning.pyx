# cython: language_level=3
"""Answers between clusters (gateways section 9.4).

A requestor's interest in its reply subject may reach the responder's cluster later than the request does. So the node
that sends the request to another cluster writes before the reply subject which cluster and which server it is of; the
node that hands it to a client shows it without, and remembers it for two seconds; what the client publishes there goes
straight back.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from gossamer.mesh.engine.delivery cimport compose, spread
from gossamer.mesh.engine.match cimport match_lookup
from gossamer.mesh.engine.memory cimport buffer_add, buffer_room
from gossamer.mesh.engine.servers cimport send_servers, write_server
from gossamer.mesh.engine.text cimport hash_bytes
from gossamer.mesh.engine.types cimport (
    BY_LEAF,
    HERE,
    NOTE_MAPPED,
    RETURNING_NS,
    SPECIAL_CLOSING,
    TO_GATEWAYS,
    TO_HUBS,
    TO_LEAFS,
    Core,
    Entry,
    Link,
    Message,
    Returning,
    Subscription,
)

cdef enum:
    BUCKETS = 65536
    RETURNING_MAX = 262144      # beyond it the oldest is forgotten; its answer then goes by ordinary interest


# --- replies given to clients -----------------------------------------------------------------------------------------


cdef inline uint64_t returning_hash(Core* core, uint64_t link, const char* subject, uint32_t size) noexcept nogil:
    return hash_bytes(subject, size, core.hash_seed + link * <uint64_t>0x9E3779B97F4A7C15)


cdef inline char* returning_subject(Returning* one) noexcept nogil:
    return <char*>(one + 1)


cdef void forget_oldest(Core* core) noexcept nogil:
    cdef Returning* one = core.oldest_returning
    cdef Returning** at = &core.returnings[one.hash & (BUCKETS - 1)]
    while at[0] != one:
        at = &at[0].next
    at[0] = one.next
    core.oldest_returning = one.newer
    if one.newer == NULL:
        core.newest_returning = NULL
    core.returnings_count -= 1
    free(one)


cdef void returning_remember(Core* core, Link* link, Message* message) noexcept nogil:
    """The client is given a message whose reply subject was mapped."""
    cdef Returning* one
    if core.returnings == NULL:
        core.returnings = <Returning**>calloc(BUCKETS, sizeof(Returning*))
        if core.returnings == NULL:
            return
    while core.oldest_returning != NULL and (core.oldest_returning.until_ns <= core.now_ns
                                             or core.returnings_count >= RETURNING_MAX):
        forget_oldest(core)
    one = <Returning*>malloc(sizeof(Returning) + message.reply_size + message.mapped_reply_size)
    if one == NULL:
        return
    one.link = link.id
    one.size = message.reply_size
    one.mapped_size = message.mapped_reply_size
    one.until_ns = core.now_ns + RETURNING_NS
    memcpy(returning_subject(one), message.reply, one.size)
    memcpy(returning_subject(one) + one.size, message.mapped_reply, one.mapped_size)
    one.hash = returning_hash(core, link.id, message.reply, one.size)
    one.next = core.returnings[one.hash & (BUCKETS - 1)]
    core.returnings[one.hash & (BUCKETS - 1)] = one
    one.newer = NULL
    if core.newest_returning != NULL:
        core.newest_returning.newer = one
    else:
        core.oldest_returning = one
    core.newest_returning = one
    core.returnings_count += 1
    link.returning |= NOTE_MAPPED


cdef uint8_t returning_find(Core* core, Link* link, Message* message) noexcept nogil:
    """Does the client answer to a reply that was mapped? Then the message has the mapped one as its subject."""
    cdef uint64_t hash
    cdef Returning* one
    if core.returnings_count == 0:
        return 0
    hash = returning_hash(core, link.id, message.subject, message.subject_size)
    one = core.returnings[hash & (BUCKETS - 1)]
    while one != NULL:
        if one.hash == hash and one.link == link.id and one.size == message.subject_size \
                and memcmp(returning_subject(one), message.subject, one.size) == 0:
            break
        one = one.next
    if one == NULL or one.until_ns <= core.now_ns:
        return 0
    core.returned.size = 0
    buffer_add(&core.returned, returning_subject(one) + one.size, one.mapped_size)
    buffer_room(&core.returned, 0)
    if core.returned.size != one.mapped_size:
        return 0
    message.subject = core.returned.data
    message.subject_size = <uint32_t>core.returned.size
    compose(core, message)
    return 1


cdef void returnings_destroy(Core* core) noexcept nogil:
    while core.oldest_returning != NULL:
        forget_oldest(core)
    free(core.returnings)


# --- is the interest in a reply new? ----------------------------------------------------------------------------------


cdef inline uint8_t is_new(Core* core, Subscription* one) noexcept nogil:
    return (one.remote == HERE or one.remote == BY_LEAF) and core.now_ns - one.made_ns < RETURNING_NS


cdef uint8_t subscribed_just_now(Core* core, Message* message) noexcept nogil:
    """1 if somebody here, or a leaf node, subscribed to the message's reply subject within the last two seconds; else
    2."""
    cdef Entry* entry
    cdef uint32_t i, j
    cdef uint32_t slot
    if core.now_ns - message.account.subscribed_ns >= RETURNING_NS:
        return 2
    if message.account.answers != NULL and message.reply_size > 11 \
            and memcmp(message.reply, message.account.answer_prefix, 11) == 0:
        return 1 if is_new(core, message.account.answers) else 2
    entry = match_lookup(core, message.account, message.reply, message.reply_size, &slot)
    if entry == NULL:
        return 2
    for i in range(entry.plain_count):
        if is_new(core, entry.plain[i]):
            return 1
    for i in range(entry.remote_count):
        if is_new(core, entry.remote[i]):
            return 1
    for i in range(entry.group_count):
        for j in range(entry.groups[i].count):
            if is_new(core, entry.groups[i].members[j]):
                return 1
    return 2


# --- the way back -----------------------------------------------------------------------------------------------------


cdef uint8_t returning_ours(Core* core, Message* message) noexcept nogil:
    """Is the subject one of this cluster's?"""
    return core.has_gateways and memcmp(message.subject + 5, core.gateway_prefix + 5, 6) == 0


cdef Link* cluster_of(Core* core, Message* message) noexcept nogil:
    """The outbound toward the cluster that the subject names."""
    cdef Link** links = <Link**>core.outbounds.data
    cdef uint32_t i
    for i in range(<uint32_t>(core.outbounds.size // sizeof(void*))):
        if memcmp(links[i].route.peer_hash, message.subject + 5, 6) == 0 and not links[i].special & SPECIAL_CLOSING:
            return links[i]
    return NULL


cdef Link* node_of(Message* message) noexcept nogil:
    """The account's link to the node that the subject names."""
    cdef uint32_t i
    cdef Link* link
    for i in range(message.account.routes_count):
        link = message.account.routes[i]
        if memcmp(link.route.peer_hash, message.subject + 12, 6) == 0 and link != message.source \
                and not link.special & SPECIAL_CLOSING:
            return link
    return NULL


cdef void arrive(Core* core, Message* message) noexcept nogil:
    """The subject is what the requestor waits on: to everybody who wants it, wherever they are."""
    cdef Entry* entry
    cdef uint32_t slot
    message.subject += PREFIX_SIZE
    message.subject_size -= PREFIX_SIZE
    message.named = 0
    if message.subject_size > 4 and memcmp(message.subject, b"_R_.", 4) == 0:
        message.audience &= ~TO_GATEWAYS
    entry = match_lookup(core, message.account, message.subject, message.subject_size, &slot)
    if entry == NULL:
        return
    compose(core, message)
    spread(core, message, entry)


cdef void send_back(Core* core, Message* message) noexcept nogil:
    """A message whose subject begins with a gateway's prefix, on its way to the requestor."""
    cdef Link* link
    cdef Entry* entry
    cdef uint32_t slot
    message.delivered = 0
    if returning_ours(core, message):
        link = NULL
        if memcmp(message.subject + 12, core.gateway_prefix + 12, 6) != 0:
            link = node_of(message)
        if link == NULL:
            arrive(core, message)
            return
    else:
        link = cluster_of(core, message)
    if link != NULL:
        link.route.picked_count = 0
        write_server(core, link, message)
        message.delivered = 1
        return
    # Not ours to send: a hub or leaf node that asked for such subjects knows better. Nobody else is to see them.
    entry = match_lookup(core, message.account, message.subject, message.subject_size, &slot)
    if entry != NULL and entry.remote_count:
        message.audience &= TO_LEAFS | TO_HUBS
        core.message_sequence += 1
        core.scratch_remote.size = 0
        send_servers(core, message, entry, 1)
