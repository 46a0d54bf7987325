# cython: language_level=3
"""A message on its way into another account (auth section 18): mapped subjects, requests and their answers.

``delivery`` meets a service import among a message's receivers, has the request made here, delivers it like any message
of the exporting account, and says here how that went. Answers come the same way back. Everything a request adds is
composed in buffers of the core: no allocation but the pending reply.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.string cimport memchr, memcmp

from gossamer.mesh.engine.match cimport match_again, match_lookup
from gossamer.mesh.engine.memory cimport buffer_add, buffer_room, pick
from gossamer.mesh.engine.pending cimport (
    mail_latency,
    pending_add,
    pending_find,
    pending_name,
    pending_remove,
    pending_report,
    pending_touch,
)
from gossamer.mesh.engine.sampling cimport sampled_by_headers
from gossamer.mesh.engine.text cimport write_number
from gossamer.mesh.engine.transform cimport program_apply
from gossamer.mesh.engine.types cimport (
    CALLS_DEEP,
    ENTRY_MAPPED,
    KIND_CLIENT,
    KIND_LEAF,
    RESPONSE_SINGLETON,
    TO_ALL,
    Buffer,
    CallMatch,
    Core,
    Entry,
    Import,
    Link,
    MapMatch,
    Message,
    Pending,
)

cdef const char* REQUEST_INFO = b"Nats-Request-Info: "


# --- mapped subjects --------------------------------------------------------------------------------------------------


cdef Entry* mapped(Core* core, Message* message, Entry* entry) noexcept nogil:
    """The entry of the subject that the message's is mapped to, which the message then has; NULL: it is dropped."""
    cdef MapMatch* found = entry.extra.maps
    cdef uint32_t i = 0
    cdef uint32_t at
    cdef uint32_t slot
    if entry.extra.map_count > 1:
        at = pick(core, 100)
        while i + 1 < entry.extra.map_count and at >= found[i].until:
            i += 1
    found = &found[i]
    if found.keep:
        return entry
    if found.drop:
        return NULL
    if found.program != NULL:
        core.mapped.size = 0
        program_apply(core, found.program, message.subject, message.subject_size, &core.mapped)
        entry = match_lookup(core, message.account, core.mapped.data, <uint32_t>core.mapped.size, &slot)
    else:
        entry = match_again(core, message.account, found.subject, found.subject_size, &found.slot)
    if entry != NULL:
        message.subject = entry.subject
        message.subject_size = entry.subject_size
    return entry


# --- requests ---------------------------------------------------------------------------------------------------------


cdef uint32_t passed(Message* message) noexcept nogil:
    """How many messages the first one has become, itself included."""
    cdef uint32_t depth = 0
    while message != NULL:
        depth += 1
        message = message.asked_by
    return depth


cdef uint8_t passed_through(Message* message, Import* of) noexcept nogil:
    while message != NULL:
        if message.via == of:
            return 1
        message = message.asked_by
    return 0


cdef void copy_headers(Buffer* to, const char* headers, uint32_t size) noexcept nogil:
    """Append the header block without its last line end and without any Nats-Request-Info line."""
    cdef const char* at = headers
    cdef const char* end = headers + size - 2
    cdef const char* stop
    while at < end:
        stop = <const char*>memchr(at, 10, end - at)
        stop = end if stop == NULL else stop + 1
        if not (stop - at >= 18 and memcmp(at, REQUEST_INFO, 18) == 0):
            buffer_add(to, at, stop - at)
        at = stop


cdef void write_info(Buffer* to, Message* message, Import* of) noexcept nogil:
    """``{"acc":"A"[,"svc":"B"],"rtt":n}``, or what the requestor's link is described with where the import shares."""
    cdef Link* link = message.source
    cdef Message* first = message
    cdef uint8_t share = of.share
    cdef char number[24]
    while first.asked_by != NULL:
        share = first.via.share if first.via != NULL else 0
        first = first.asked_by
    if share and link.described != NULL:
        buffer_add(to, link.described, link.described_front)
    else:
        buffer_add(to, b"{\"acc\":", 7)
        buffer_add(to, first.account.quoted, first.account.quoted_size)
        if first != message:
            buffer_add(to, b",\"svc\":", 7)
            buffer_add(to, message.account.quoted, message.account.quoted_size)
        buffer_add(to, b",\"rtt\":", 7)
    buffer_add(to, number, write_number(number, <uint64_t>link.rtt_ns if link.rtt_ns > 0 else 0))
    if share and link.described != NULL:
        buffer_add(to, link.described + link.described_front, link.described_size - link.described_front)
    else:
        buffer_add(to, b"}", 1)


cdef void make_block(Buffer* to, Message* message, Import* of) noexcept nogil:
    """Append the header block that a request has: the message's own headers and the new one."""
    if message.header_size > 2:
        copy_headers(to, message.body, message.header_size)
    else:
        buffer_add(to, b"NATS/1.0\r\n", 10)
    buffer_add(to, REQUEST_INFO, 19)
    write_info(to, message, of)
    buffer_add(to, b"\r\n\r\n", 4)


cdef void add_info(Core* core, Message* message, Import* of, Message* asked, uint32_t depth) noexcept nogil:
    """Give the request its Nats-Request-Info header: as a front of its own where it is the only one and nothing stands
    between the requestor and the exporter, else headers and payload are put together anew."""
    cdef Buffer* to = &core.call_body[depth]
    cdef Link* link = message.source
    cdef uint32_t payload = message.total_size - message.header_size + 2
    cdef uint32_t header_size
    to.size = 0
    if message.header_size == 0 and depth == 0:
        # Mostly one requestor asks many times: its block is kept.
        if of.info_link != link.id or of.info_rtt_ns != link.rtt_ns or of.info_descriptions != core.descriptions:
            of.info.size = 0
            make_block(&of.info, message, of)
            buffer_room(&of.info, 0)
            of.info_link = link.id
            of.info_rtt_ns = link.rtt_ns
            of.info_descriptions = core.descriptions
        asked.front = of.info.data
        asked.front_size = <uint32_t>of.info.size
        asked.header_size = asked.front_size
        asked.total_size = asked.front_size + message.total_size
        asked.apart = 1
        return
    else:
        make_block(to, message, of)
        header_size = <uint32_t>to.size
        buffer_add(to, message.body + message.header_size, payload)
        if to.size != <size_t>header_size + payload:
            return
        buffer_room(to, 0)
    asked.body = to.data
    asked.header_size = header_size
    asked.total_size = header_size + payload - 2


cdef inline uint8_t acknowledgement(Message* message) noexcept nogil:
    return message.reply_size > 8 and message.reply[0] == 36 and memcmp(message.reply, b"$JS.ACK.", 8) == 0


cdef uint8_t sampled(Core* core, Message* message, Import* of, uint8_t* by_headers) noexcept nogil:
    by_headers[0] = 0
    if of.sampling < 0 or of.response != RESPONSE_SINGLETON:
        return 0
    if of.sampling >= 100 or (of.sampling > 0 and pick(core, 100) < <uint32_t>of.sampling):
        return 1
    if message.header_size and sampled_by_headers(message.body, message.header_size):
        by_headers[0] = 1
        return 1
    return 0


cdef void gather(Core* core, Message* message) noexcept nogil:
    """Put the message's front and its payload into one run of bytes, for those who take no less."""
    cdef Buffer* to = &core.call_body[0]
    to.size = 0
    buffer_add(to, message.front, message.front_size)
    buffer_add(to, message.body, message.total_size - message.header_size + 2)
    buffer_room(to, 0)
    message.body = to.data
    message.front_size = 0


cdef Entry* request_begin(Core* core, Message* message, CallMatch* call, Message* asked,
                          Pending** waiting) noexcept nogil:
    """Make ``asked``, the request in the exporting account, and find who gets it; NULL: it goes nowhere. What the line
    of a delivery begins with is left to ``compose``."""
    cdef Import* of = call.of
    cdef Entry* entry
    cdef Pending* one = NULL
    cdef uint32_t depth = passed(message)
    cdef uint8_t by_headers = 0
    cdef uint8_t sample
    waiting[0] = NULL
    if passed_through(message, of):
        return NULL
    if message.front_size:
        gather(core, message)
    if depth > CALLS_DEEP:
        core.calls_dropped += 1
        return NULL
    asked[0] = message[0]
    asked.wire_subject = NULL
    asked.account = of.exporter
    asked.subject = call.subject
    asked.subject_size = call.subject_size
    asked.asked_by = message
    asked.via = of
    asked.queues_size = 0
    asked.named = 0
    asked.origin = origin_carried(message)
    asked.fresh = 0
    asked.apart = 0
    asked.share = 0
    asked.run = NULL
    asked.delivered = 0
    entry = match_again(core, of.exporter, call.subject, call.subject_size, &call.slot)
    if entry == NULL:
        return NULL
    if entry.special & ENTRY_MAPPED:
        entry = mapped(core, asked, entry)
        if entry == NULL:
            return NULL
    sample = sampled(core, message, of, &by_headers)
    if sample and message.reply_size == 0:
        mail_latency(core, of, 400, message.source.id if message.source != NULL else 0,
                     message.source.rtt_ns if message.source != NULL else 0, NULL, core.now_ns, 0,
                     message.body, message.header_size if by_headers else 0, NULL, 0)
        sample = 0
    if message.reply_size and not acknowledgement(message):
        if message.mapped_reply_size:
            one = pending_add(core, of, of.exporter, message.account, message.mapped_reply, message.mapped_reply_size,
                              message.source, sample, message.body, message.header_size if by_headers else 0)
        else:
            one = pending_add(core, of, of.exporter, message.account, message.reply, message.reply_size,
                              message.source, sample, message.body, message.header_size if by_headers else 0)
        if one == NULL:
            core.calls_dropped += 1
            return NULL
        waiting[0] = one
        asked.reply = pending_name(one)
        asked.reply_size = one.name_size
        asked.mapped_reply_size = 0
        asked.noted = 0
    if message.source != NULL and (message.source.kind == KIND_CLIENT or message.source.kind == KIND_LEAF):
        add_info(core, message, of, asked, depth - 1)
    return entry


cdef void request_end(Core* core, Message* message, CallMatch* call, Message* asked, Pending* waiting) noexcept nogil:
    """It was delivered to ``asked.delivered``; nobody: nobody will answer. (It may have been answered meanwhile.)"""
    if asked.delivered or waiting == NULL:
        return
    if pending_find(core, asked.account, pending_name(waiting), waiting.name_size) != waiting:
        return
    if waiting.sampled:
        pending_report(core, waiting, 503, NULL)
    pending_remove(core, waiting)


# --- answers ----------------------------------------------------------------------------------------------------------


cdef Entry* answer_begin(Core* core, Message* message, Message* answer, Pending** waiting) noexcept nogil:
    """Make ``answer``, which goes back to the requestor's account, if somebody waits for it; else NULL."""
    cdef Pending* one = pending_find(core, message.account, message.subject, message.subject_size)
    cdef Pending* back
    cdef uint32_t slot
    waiting[0] = one
    if one == NULL:
        return NULL
    if passed(message) > CALLS_DEEP:
        core.calls_dropped += 1
        return NULL
    answer[0] = message[0]
    answer.wire_subject = NULL
    answer.account = one.to
    answer.subject = pending_name(one) + one.name_size
    answer.subject_size = one.reply_size
    answer.asked_by = message
    answer.via = NULL
    answer.queues_size = 0
    answer.named = 0
    answer.origin = origin_carried(message)
    answer.fresh = 0
    answer.audience = TO_ALL
    answer.apart = 0
    answer.share = 0
    answer.run = NULL
    answer.delivered = 0
    if message.reply_size and not acknowledgement(message):
        # An answer that asks back: its reply is to be found in the account it comes from.
        back = pending_add(core, one.of, one.to, message.account, message.reply, message.reply_size, message.source, 0,
                           NULL, 0)
        if back != NULL:
            answer.reply = pending_name(back)
            answer.reply_size = back.name_size
            answer.mapped_reply_size = 0
            answer.noted = 0
    if one.of.response == RESPONSE_SINGLETON:
        pending_remove(core, one)
    return match_lookup(core, one.to, answer.subject, answer.subject_size, &slot)


cdef void answer_end(Core* core, Message* message, Message* answer, Pending* waiting) noexcept nogil:
    """It was delivered to ``answer.delivered``. More may follow for a stream, until an empty one."""
    if waiting.sampled:
        waiting.sampled = 0
        pending_report(core, waiting, 200 if answer.delivered else 408, message)
    if pending_find(core, message.account, pending_name(waiting), waiting.name_size) != waiting:
        return
    if answer.delivered == 0 or message.total_size == 0:
        pending_remove(core, waiting)
    else:
        pending_touch(core, waiting)
