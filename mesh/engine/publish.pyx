# cython: language_level=3
"""Where a message enters: what is asked of it there, and whom it may reach (client-protocol 7, 12; leafnodes 9.1).

A client's is mapped, judged and given to everybody; another node's goes to this node's clients and leaf nodes; another
cluster's to the whole cluster; a leaf node's is judged like a client's. Nobody hears of a request: 503.
"""

from libc.stdint cimport uint32_t, uint8_t
from libc.string cimport memcmp, memcpy

from gossamer.mesh.engine.delivery cimport (
    compose,
    count_account,
    deliver_answer,
    deliver_group,
    deliver_group_from_route,
    deliver_leafs,
    deliver_plain,
    deliver_shadows,
    group_named,
    spread,
)
from gossamer.mesh.engine.interest cimport terminal_subject
from gossamer.mesh.engine.mailbox cimport mail_denied
from gossamer.mesh.engine.match cimport match_lookup, match_may_publish
from gossamer.mesh.engine.memory cimport buffer_add
from gossamer.mesh.engine.output cimport commit, link_doom, output_add, output_error, reserve
from gossamer.mesh.engine.permission cimport reply_allowed
from gossamer.mesh.engine.quoting cimport buffer_quoted
from gossamer.mesh.engine.request cimport mapped
from gossamer.mesh.engine.returning cimport (
    PREFIX_SIZE,
    returning_find,
    returning_ours,
    returning_prefix,
    send_back,
)
from gossamer.mesh.engine.rights cimport may_take
from gossamer.mesh.engine.servers cimport send_servers
from gossamer.mesh.engine.subject cimport matches, subject_literal
from gossamer.mesh.engine.subscriptions cimport sid_text
from gossamer.mesh.engine.text cimport write_number
from gossamer.mesh.engine.tracking cimport tracked_answered, tracked_name
from gossamer.mesh.engine.types cimport (
    ACTION_PUBLISH,
    ACTION_REPLY,
    ENTRY_ANSWERS,
    ENTRY_MAPPED,
    ENTRY_SHADOWS,
    KIND_GATEWAY,
    KIND_ROUTE,
    NOTE_MAPPED,
    NOTE_TRACKED,
    PROTOCOL_VIOLATION,
    SHARE_BYTES,
    SHARE_RECEIVERS,
    SPECIAL_CLOSING,
    TO_ALL,
    TO_HUBS,
    TO_LEAFS,
    TO_ROUTES,
    Core,
    Entry,
    Link,
    Message,
    Subscription,
)


cdef void no_responders(Core* core, Message* message) noexcept nogil:
    """The 503 to a requester that is listening on its reply subject itself (client-protocol section 12)."""
    cdef Link* link = message.source
    cdef Subscription* one = link.subscriptions
    cdef uint32_t size = 32 + message.subject_size
    cdef uint32_t bound
    cdef uint32_t slot
    cdef uint32_t i
    cdef Entry* entry
    cdef char* start
    cdef char* to
    if link.subscription_count > 32:
        entry = match_lookup(core, link.account, message.reply, message.reply_size, &slot)
        one = NULL
        if entry != NULL:
            for i in range(entry.plain_count):
                if entry.plain[i].link == link:
                    one = entry.plain[i]
                    break
    else:
        while one != NULL:
            if one.group == NULL and one.terminal != NULL and matches(
                    terminal_subject(one.terminal), one.terminal.subject_size, message.reply, message.reply_size):
                break
            one = one.next
    if one == NULL:
        return
    bound = 64 + message.reply_size + one.sid_size + size + 4
    start = reserve(core, link, bound)
    if start == NULL:
        return
    to = start
    memcpy(to, b"HMSG ", 5)
    to += 5
    memcpy(to, message.reply, message.reply_size)
    to += message.reply_size
    memcpy(to, sid_text(one), one.sid_size)
    to += one.sid_size
    to[0] = 32
    to += 1
    i = write_number(to, size)
    memcpy(to + i, b" ", 1)
    memcpy(to + i + 1, to, i)
    to += 2 * i + 1
    memcpy(to, b"\r\nNATS/1.0 503\r\nNats-Subject: ", 30)
    to += 30
    memcpy(to, message.subject, message.subject_size)
    to += message.subject_size
    memcpy(to, b"\r\n\r\n\r\n", 6)
    to += 6
    commit(core, link, <uint32_t>(to - start))
    link.out_messages += 1
    link.out_bytes += size


cdef void refuse(Core* core, Link* link, int action, const char* words, uint32_t words_size, char* subject,
                 uint32_t size) noexcept nogil:
    """``Permissions Violation for Publish <words> "<subject>"``."""
    core.line_other.size = 0
    buffer_add(&core.line_other, b"Permissions Violation for Publish ", 34)
    buffer_add(&core.line_other, words, words_size)
    buffer_add(&core.line_other, b" ", 1)
    buffer_quoted(&core.line_other, subject, size)
    output_error(core, link, core.line_other.data, <uint32_t>core.line_other.size)
    mail_denied(core, link, action, subject, size, NULL, 0)


cdef inline uint8_t reserved_reply(Message* message) noexcept nogil:
    """Replies that only servers may use (client-protocol section 7)."""
    cdef char* reply = message.reply
    cdef uint32_t size = message.reply_size
    if reply[0] == 95:
        return (size >= 4 and memcmp(reply, b"_R_.", 4) == 0) or (size >= 5 and memcmp(reply, b"_GR_.", 5) == 0)
    if reply[0] == 36:
        return (size >= 8 and memcmp(reply, b"$JS.ACK.", 8) == 0) or (size >= 4 and memcmp(reply, b"$GR.", 4) == 0)
    return 0


cdef uint8_t publish_from_client(Core* core, Message* message, Entry* entry) noexcept nogil:
    """Mapping, verdicts, +OK, fan-out; 0 if the publisher had no right."""
    cdef Link* link = message.source
    link.in_messages += 1
    link.in_bytes += message.total_size
    message.asked_by = NULL
    message.via = NULL
    message.audience = TO_ALL
    message.named = 0
    message.fresh = 0
    message.origin = 0
    message.mapped_reply_size = 0
    message.wire_subject = NULL
    message.noted = 0
    if entry.special & ENTRY_MAPPED:
        entry = remap(core, message, entry)
        if entry == NULL:
            if link.verbose:
                output_add(core, link, b"+OK\r\n", 5)
            return 1
    if link.pedantic and not subject_literal(message.subject, message.subject_size):
        output_error(core, link, b"Invalid Publish Subject", 23)
    if entry.reserved or (link.permission != NULL and not match_may_publish(entry, link.permission)
                          and not (link.permission.response_max and reply_allowed(
                              core, link, message.subject, message.subject_size))):
        refuse(core, link, ACTION_PUBLISH, b"to", 2, message.subject, message.subject_size)
        return 0
    if message.reply_size and reserved_reply(message):
        refuse(core, link, ACTION_REPLY, b"with Reply of", 13, message.reply, message.reply_size)
        return 0
    if link.verbose:
        output_add(core, link, b"+OK\r\n", 5)
    if link.returning:
        if link.returning & NOTE_TRACKED and tracked_name(message.subject, message.subject_size):
            tracked_answered(core, message)
        if link.returning & NOTE_MAPPED and returning_find(core, link, message):
            send_back(core, message)
            return 1
    spread(core, message, entry)
    if message.delivered == 0 and message.reply_size and link.no_responders and not link.special & SPECIAL_CLOSING:
        no_responders(core, message)
    return 1


cdef Entry* remap(Core* core, Message* message, Entry* entry) noexcept nogil:
    """The account maps the subject: go on with what it is mapped to; NULL: the message is dropped."""
    cdef Entry* wanted = mapped(core, message, entry)
    if wanted != NULL and wanted != entry:
        if message.wire_subject != NULL:                # what is shown stands in the reply and stays
            message.wire_subject = message.subject
            message.wire_subject_size = message.subject_size
            message.subject = message.reply + message.reply_size + 1
            message.subject_size = message.wire_reply_size - message.reply_size - 1
        compose(core, message)
    return wanted


cdef void deliver_here(Core* core, Message* message, Entry* entry) noexcept nogil:
    """A message of another server's clients to those of this node: no import is looked at but for answers, whose
    requestor may be anywhere."""
    message.share = message.total_size >= SHARE_BYTES and entry.plain_count >= SHARE_RECEIVERS
    deliver_plain(core, message, entry)
    message.share = 0


cdef void deliver_extra(Core* core, Message* message, Entry* entry) noexcept nogil:
    if entry.special & ENTRY_SHADOWS:
        deliver_shadows(core, message, entry)
    if core.leaf_shadows.size:
        deliver_leafs(core, message)
    if entry.special & ENTRY_ANSWERS and core.pendings_count:
        message.audience = TO_ALL
        deliver_answer(core, message)
    count_account(core, message)


cdef void publish_from_route(Core* core, Message* message, Entry* entry) noexcept nogil:
    """Local receivers, leaf nodes, and the groups the line names; nothing goes on, but for a group without a member
    here, and answers to requests through imports."""
    cdef uint32_t i
    deliver_here(core, message, entry)
    message.audience = TO_LEAFS
    if entry.remote_count or (message.queues_size and entry.group_count):
        core.message_sequence += 1
        core.scratch_remote.size = 0
        if message.queues_size:
            for i in range(entry.group_count):
                if group_named(&entry.groups[i], message.queues, message.queues_size):
                    deliver_group_from_route(core, &entry.groups[i], message, entry)
        if entry.special & ENTRY_ANSWERS:
            message.audience = TO_LEAFS | TO_HUBS
        send_servers(core, message, entry, 1)
    deliver_extra(core, message, entry)


cdef void publish_from_gateway(Core* core, Message* message, Entry* entry) noexcept nogil:
    """The own cluster: every node with plain interest, and one member of each group that the line names."""
    cdef uint32_t i
    deliver_here(core, message, entry)
    message.audience = TO_ROUTES | TO_LEAFS
    if entry.remote_count or (message.queues_size and entry.group_count):
        core.message_sequence += 1
        core.scratch_remote.size = 0
        if message.queues_size:
            for i in range(entry.group_count):
                if group_named(&entry.groups[i], message.queues, message.queues_size):
                    deliver_group(core, &entry.groups[i], message, entry)
        send_servers(core, message, entry, 1)
    deliver_extra(core, message, entry)


cdef void refuse_leaf(Core* core, Message* message) noexcept nogil:
    """A message that the leaf's user may not send. A hub closes the link, a spoke is silent."""
    cdef Link* link = message.source
    if link.route.spoke:
        return
    core.line_other.size = 0
    buffer_add(&core.line_other, b"Permissions Violation for Publish to ", 37)
    buffer_quoted(&core.line_other, message.subject, message.subject_size)
    mail_denied(core, link, ACTION_PUBLISH, message.subject, message.subject_size, NULL, 0)
    link_doom(core, link, PROTOCOL_VIOLATION, core.line_other.data, <uint32_t>core.line_other.size, 1)


cdef void publish_from_leaf(Core* core, Message* message, Entry* entry) noexcept nogil:
    """Mapping and rights as for a client; then everybody whom a leaf's or hub's message may reach. Only the groups in
    the line are served, unless the subject was mapped here."""
    cdef Link* link = message.source
    cdef Entry* wanted = entry
    message.named = 1
    message.origin = link.route.origin
    message.audience = TO_LEAFS | TO_HUBS if link.route.spoke else TO_ALL
    if entry.special & ENTRY_MAPPED:
        wanted = remap(core, message, entry)
        if wanted == NULL:
            return
        message.named = wanted == entry
    if not may_take(core, link, wanted, message.subject, message.subject_size):
        refuse_leaf(core, message)
        return
    spread(core, message, wanted)


cdef void publish_from_server(Core* core, Message* message, Entry* entry) noexcept nogil:
    """From another server. A reply that a gateway mapped is shown to clients as it was."""
    cdef Link* link = message.source
    link.in_messages += 1
    link.in_bytes += message.total_size
    message.asked_by = NULL
    message.via = NULL
    message.delivered = 0
    message.named = 0
    message.fresh = 0
    message.mapped_reply_size = 0
    message.noted = 0
    if message.reply_size > PREFIX_SIZE and returning_prefix(message.reply):
        message.noted = NOTE_MAPPED
        message.mapped_reply = message.reply
        message.mapped_reply_size = message.reply_size
        message.reply += PREFIX_SIZE
        message.reply_size -= PREFIX_SIZE
        compose(core, message)
    if core.latency_suffix[0] and tracked_name(message.reply, message.reply_size):
        message.noted |= NOTE_TRACKED
    if message.subject_size > PREFIX_SIZE and returning_prefix(message.subject):
        if link.kind == KIND_GATEWAY and not returning_ours(core, message):
            return
        message.audience = TO_ALL
        send_back(core, message)
    elif link.kind == KIND_ROUTE:
        publish_from_route(core, message, entry)
    elif link.kind == KIND_GATEWAY:
        publish_from_gateway(core, message, entry)
    else:
        publish_from_leaf(core, message, entry)


cdef void publish_own(Core* core, Message* message, Entry* entry) noexcept nogil:
    """From the control plane: no verdicts."""
    message.audience = TO_ALL
    if message.subject_size > PREFIX_SIZE and returning_prefix(message.subject):
        send_back(core, message)
        return
    spread(core, message, entry)
