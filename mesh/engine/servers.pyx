# cython: language_level=3
"""Messages for other servers: other nodes of the cluster, other clusters, leaf nodes and hubs.

Whether one gets a message depends on where it came from (``Message.audience``, leafnodes section 9.1), on the leaf
cluster it came from, and for leaf links on what may cross them. Each server gets one line, which names the queue groups
that were picked for it.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport realloc
from libc.string cimport memcpy

from gossamer.mesh.engine.interest cimport group_name
from gossamer.mesh.engine.memory cimport buffer_pointer
from gossamer.mesh.engine.origins cimport origin_by_number
from gossamer.mesh.engine.output cimport commit, reserve
from gossamer.mesh.engine.permission cimport reply_remember
from gossamer.mesh.engine.request cimport gather
from gossamer.mesh.engine.rights cimport may_send
from gossamer.mesh.engine.text cimport copy_over, write_number
from gossamer.mesh.engine.types cimport (
    KIND_CLIENT,
    KIND_GATEWAY,
    KIND_LEAF,
    SPECIAL_BACKLOG,
    SPECIAL_CLOSING,
    SPECIAL_RESPONSES,
    Core,
    Entry,
    Group,
    Link,
    MatchGroup,
    Message,
    Origin,
    Subscription,
)

cdef enum:
    PREFIX_SIZE = 19            # _GR_.cccccc.ssssss.


cdef void write_server(Core* core, Link* link, Message* message) noexcept nogil:
    """One RMSG, LMSG or HMSG line, with the queue groups picked for this server (routes section 12.1, gateways 9.1,
    leafnodes 9)."""
    cdef uint8_t with_headers = message.header_size > 0 and link.route.headers
    cdef uint32_t skipped = 0 if with_headers else message.header_size
    cdef uint32_t body_size = message.total_size - skipped + 2
    cdef uint64_t bound = 128 + message.account.name_size + body_size
    cdef Origin* origin = NULL
    cdef char* subject = message.subject
    cdef uint32_t subject_size = message.subject_size
    cdef char* reply = message.reply
    cdef uint32_t reply_size = message.reply_size
    cdef uint8_t mapped = 0
    cdef uint32_t i
    cdef Group* group
    cdef char* start
    cdef char* to
    if message.front_size:
        gather(core, message)
    if message.wire_subject != NULL:
        subject = message.wire_subject
        subject_size = message.wire_subject_size
        reply_size = message.wire_reply_size
    if message.mapped_reply_size:
        reply = message.mapped_reply
        reply_size = message.mapped_reply_size
    elif link.kind == KIND_GATEWAY and message.fresh == 1:
        mapped = 1                                      # the answer may be faster than the interest in it
    if message.origin and link.route.leaf_origin and link.kind != KIND_LEAF:
        origin = origin_by_number(core, message.origin)
        bound += origin.size
    bound += subject_size + reply_size
    for i in range(link.route.picked_count):
        bound += link.route.picked[i].name_size + 1
    start = reserve(core, link, bound)
    if start == NULL:
        link.route.picked_count = 0
        return
    to = start
    if origin != NULL:
        memcpy(to, b"LMSG ", 5)
    elif with_headers:
        memcpy(to, b"HMSG ", 5)
    elif link.kind == KIND_LEAF:
        memcpy(to, b"LMSG ", 5)
    else:
        memcpy(to, b"RMSG ", 5)
    to += 5
    if origin != NULL:
        memcpy(to, <char*>(origin + 1), origin.size)
        to += origin.size
        to[0] = 32
        to += 1
    if link.route.dedicated == NULL:
        copy_over(to, message.account.name, message.account.name_size)
        to += message.account.name_size
        to[0] = 32
        to += 1
    memcpy(to, subject, subject_size)
    to += subject_size
    to[0] = 32
    to += 1
    if link.route.picked_count:
        to[0] = 43 if reply_size else 124
        to[1] = 32
        to += 2
    if reply_size:
        if mapped:
            memcpy(to, core.gateway_prefix, PREFIX_SIZE)
            to += PREFIX_SIZE
        memcpy(to, reply, reply_size)
        to += reply_size
        to[0] = 32
        to += 1
    for i in range(link.route.picked_count):
        group = link.route.picked[i]
        memcpy(to, group_name(group), group.name_size)
        to += group.name_size
        to[0] = 32
        to += 1
    if with_headers or origin != NULL:
        to += write_number(to, message.header_size - skipped)
        to[0] = 32
        to += 1
    to += write_number(to, message.total_size - skipped)
    to[0] = 13
    to[1] = 10
    to += 2
    memcpy(to, message.body + skipped, body_size)
    commit(core, link, <uint32_t>(to - start) + body_size)
    link.out_messages += 1
    link.out_bytes += message.total_size - skipped
    link.route.picked_count = 0
    if link.special == 0:
        return
    if link.special & SPECIAL_RESPONSES and message.reply_size:
        reply_remember(core, link, message.reply, message.reply_size)
    if link.special & SPECIAL_BACKLOG and message.source != NULL and message.source.kind == KIND_CLIENT \
            and core.configuration.fast_producer_stall:
        core.stall_source = 1
        core.stall_receiver = link


cdef uint8_t goes_to(Subscription* one, Message* message, Entry* entry) noexcept nogil:
    """Is the server behind this subscription one that the message may go to?"""
    cdef Link* link = one.link
    if not message.audience & (1 << one.remote) or link.special & SPECIAL_CLOSING or link == message.source:
        return 0
    if message.origin and one.origin == message.origin:
        return 0
    if message.origin and link.kind == KIND_LEAF and link.route.origin == message.origin:
        return 0
    if link.permission == NULL:
        return 1
    if message.wire_subject != NULL:
        return may_send(link, entry, message.wire_subject, message.wire_subject_size)
    return may_send(link, entry, message.subject, message.subject_size)


cdef uint8_t pick_remote(Core* core, Subscription* member, Group* group, Message* message,
                         Entry* entry) noexcept nogil:
    """The group's message goes to the member's server: note the name for that server's line."""
    cdef Link* link = member.link
    cdef Group** grown
    if not goes_to(member, message, entry):
        return 0
    if link.route.picked_count == link.route.picked_capacity:
        grown = <Group**>realloc(link.route.picked, (link.route.picked_capacity + 8) * sizeof(Group*))
        if grown == NULL:
            return 0
        link.route.picked = grown
        link.route.picked_capacity += 8
    link.route.picked[link.route.picked_count] = group
    link.route.picked_count += 1
    if link.mark != core.message_sequence:
        link.mark = core.message_sequence
        buffer_pointer(&core.scratch_remote, link)
    return 1


cdef uint8_t pick_nearest(Core* core, MatchGroup* group, Message* message, Entry* entry) noexcept nogil:
    """Nobody in the own cluster takes the group's message: the cluster with the lowest round-trip time does."""
    cdef uint32_t i
    cdef Subscription* best = NULL
    cdef Subscription* one
    for i in range(group.own_count, group.count):
        one = group.members[i]
        if goes_to(one, message, entry) and (best == NULL or one.link.rtt_ns < best.link.rtt_ns):
            best = one
    return best != NULL and pick_remote(core, best, group.name_of, message, entry)


cdef void send_servers(Core* core, Message* message, Entry* entry, uint8_t plain) noexcept nogil:
    """One line to each server: those with plain interest, and those that were picked for a group."""
    cdef uint32_t i
    cdef Link* link
    cdef Link** picked
    if plain:
        for i in range(entry.remote_count):
            link = entry.remote[i].link
            if link.route.sent == core.message_sequence or not goes_to(entry.remote[i], message, entry):
                continue
            link.route.sent = core.message_sequence
            write_server(core, link, message)
            message.delivered += 1
    picked = <Link**>core.scratch_remote.data
    for i in range(<uint32_t>(core.scratch_remote.size // sizeof(void*))):
        if picked[i].route.picked_count:
            write_server(core, picked[i], message)
            message.delivered += 1
