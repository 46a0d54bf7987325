# cython: language_level=3
"""Delivery: from a parsed message to everybody's output.

Order of one message: plain local receivers, one member of each queue group, one copy to each server with interest
(which carries the groups whose pick fell there), subscribers in importing accounts, requests in exporting ones.

What a receiver gets is put together from pieces that lie ready: "MSG subject" (written over the publisher's own line in
the read buffer where that was canonical), the receiver's " sid", and the rest of the publisher's line with the payload.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t, uint8_t
from libc.stdlib cimport malloc
from libc.string cimport memcmp, memcpy

from gossamer.mesh.engine.interest cimport group_name
from gossamer.mesh.engine.mailbox cimport mail_add, mail_begin
from gossamer.mesh.engine.memory cimport buffer_add, buffer_room, pick
from gossamer.mesh.engine.output cimport commit, output_flush_all, output_share, reserve
from gossamer.mesh.engine.permission cimport reply_remember
from gossamer.mesh.engine.request cimport answer_begin, answer_end, gather, origin_carried, request_begin, request_end
from gossamer.mesh.engine.returning cimport (
    PREFIX_SIZE,
    returning_prefix,
    returning_remember,
    send_back,
    subscribed_just_now,
)
from gossamer.mesh.engine.servers cimport goes_to, pick_nearest, pick_remote, send_servers, write_server
from gossamer.mesh.engine.subscriptions cimport sid_text, subscription_end
from gossamer.mesh.engine.text cimport copy_over, write_number
from gossamer.mesh.engine.tracking cimport tracked_remember
from gossamer.mesh.engine.transform cimport program_apply
from gossamer.mesh.engine.types cimport (
    ENTRY_ANSWERS,
    ENTRY_CALLS,
    ENTRY_GATEWAYS,
    ENTRY_SHADOWS,
    EVENT_MESSAGE,
    FLUSH_BYTES,
    FLUSH_LINKS,
    KIND_CLIENT,
    NOTE_TRACKED,
    RECEIVER_SHADOW,
    RUN_BYTES,
    RUN_RECEIVERS,
    RUN_ROOM,
    SHARE_BYTES,
    SHARE_RECEIVERS,
    SLACK,
    SPECIAL_BACKLOG,
    SPECIAL_CLOSING,
    SPECIAL_NO_ECHO,
    SPECIAL_NO_HEADERS,
    SPECIAL_RESPONSES,
    TO_LEAFS,
    TO_ROUTES,
    Buffer,
    Core,
    Entry,
    LeafShadow,
    Link,
    Mail,
    MatchGroup,
    Message,
    Pending,
    ShadowMatch,
    Subscription,
)


# --- one receiver -----------------------------------------------------------------------------------------------------


cdef uint8_t write_apart(Core* core, Link* link, Subscription* one, Message* message) noexcept nogil:
    """The same for a message whose headers stand apart from its payload, or did."""
    cdef uint32_t at, size
    cdef char* to
    if message.head == NULL:
        compose(core, message)
    at = message.head_size + one.sid_size
    size = at + message.tail_size + message.total_size + 2
    to = reserve(core, link, size)
    if to == NULL:
        return 0
    copy_over(to, message.head, message.head_size)
    copy_over(to + message.head_size, sid_text(one), one.sid_size)
    copy_over(to + at, message.tail, message.tail_size)
    at += message.tail_size
    if message.front_size:
        copy_over(to + at, message.front, message.front_size)
        at += message.front_size
    copy_over(to + at, message.body, size - at)
    commit(core, link, size)
    return 1


cdef inline uint8_t write_message(Core* core, Link* link, Subscription* one, Message* message) noexcept nogil:
    """Queue the message for a link; 0 if it could not take it."""
    cdef uint32_t front = message.head_size + one.sid_size
    cdef uint32_t body_size = message.total_size + 2
    cdef uint32_t size
    cdef char* to
    if message.apart:
        return write_apart(core, link, one, message)
    if message.run != NULL and not link.blocked and one.sid_size == message.run_sid.sid_size \
            and memcmp(sid_text(one), sid_text(message.run_sid), one.sid_size) == 0:
        output_share(core, link, message.run, message.run_size)
        return 1
    if message.share and not link.blocked:
        size = front + message.tail_size
        to = reserve(core, link, size)
        if to == NULL:
            return 0
        copy_over(to, message.head, message.head_size)
        copy_over(to + message.head_size, sid_text(one), one.sid_size)
        copy_over(to + front, message.tail, message.tail_size)
        commit(core, link, size)
        output_share(core, link, message.body, body_size)
        return 1
    size = front + message.tail_size + body_size
    to = reserve(core, link, size)
    if to == NULL:
        return 0
    copy_over(to, message.head, message.head_size)
    copy_over(to + message.head_size, sid_text(one), one.sid_size)
    if message.joined:
        copy_over(to + front, message.tail, message.tail_size + body_size)
    else:
        copy_over(to + front, message.tail, message.tail_size)
        copy_over(to + front + message.tail_size, message.body, body_size)
    commit(core, link, size)
    return 1


cdef uint8_t write_stripped(Core* core, Link* link, Subscription* one, Message* message) noexcept nogil:
    """The same for a receiver that takes no headers: MSG, without the header block."""
    cdef uint32_t body_size = message.total_size - message.header_size + 2
    cdef uint32_t bound = 32 + message.subject_size + one.sid_size + message.reply_size + body_size
    cdef char* start = reserve(core, link, bound)
    cdef char* to = start
    cdef char* payload = message.body if message.front_size else message.body + message.header_size
    if start == NULL:
        return 0
    memcpy(to, b"MSG ", 4)
    to += 4
    copy_over(to, message.subject, message.subject_size)
    to += message.subject_size
    copy_over(to, sid_text(one), one.sid_size)
    to += one.sid_size
    to[0] = 32
    to += 1
    if message.reply_size:
        copy_over(to, message.reply, message.reply_size)
        to += message.reply_size
        to[0] = 32
        to += 1
    to += write_number(to, message.total_size - message.header_size)
    memcpy(to, b"\r\n", 2)
    to += 2
    copy_over(to, payload, body_size)
    commit(core, link, <uint32_t>(to - start) + body_size)
    return 1


cdef uint8_t mail_message(Core* core, Subscription* one, Message* message) noexcept nogil:
    """For the control plane. Its mailbox has a bound: beyond it messages are dropped and counted."""
    cdef Mail mail
    if message.front_size:
        gather(core, message)
    if <int64_t>(core.mail.size + core.mail_shared.size + message.total_size) > core.configuration.mailbox_limit:
        core.mailbox_dropped += 1
        return 1
    mail_begin(&mail, EVENT_MESSAGE)
    mail.number[0] = one.handle
    mail.number[1] = message.account.id
    mail.number[2] = message.header_size
    mail.number[3] = message.source.id if message.source != NULL else 0
    mail.size[0] = message.subject_size
    mail.size[1] = message.reply_size
    mail.size[2] = message.total_size
    if message.mapped_reply_size:           # what the control plane answers to is sent back by the prefix
        mail.size[1] = message.mapped_reply_size
        mail_add(core, &mail, message.subject, message.mapped_reply, message.body, NULL)
    else:
        mail_add(core, &mail, message.subject, message.reply, message.body, NULL)
    one.delivered += 1
    return 1


cdef inline void count(Core* core, Subscription* one, Message* message) noexcept nogil:
    one.link.out_messages += 1
    one.link.out_bytes += message.total_size
    one.delivered += 1
    if one.max and one.delivered >= one.max:
        subscription_end(core, one)


cdef uint8_t deliver_special(Core* core, Subscription* one, Message* message) noexcept nogil:
    """A receiver with something to look at: closing, own echo, no headers, replies to remember, backlog."""
    cdef Link* link = one.link
    cdef uint8_t special = link.special
    if special & SPECIAL_CLOSING or one.closed:
        return 0
    if special & SPECIAL_NO_ECHO and link == message.source:
        return 0
    if special & SPECIAL_BACKLOG and message.source != NULL and message.source.kind == KIND_CLIENT:
        if core.configuration.fast_producer_stall:
            core.stall_source = 1
            core.stall_receiver = link
        elif link.pending * 4 > <uint64_t>core.configuration.max_pending * 3:
            return 0
    if special & SPECIAL_NO_HEADERS and message.header_size:
        if not write_stripped(core, link, one, message):
            return 0
    elif not write_message(core, link, one, message):
        return 0
    if special & SPECIAL_RESPONSES and message.reply_size:
        reply_remember(core, link, message.reply, message.reply_size)
    if message.noted:
        if message.mapped_reply_size:
            returning_remember(core, link, message)
        if message.noted & NOTE_TRACKED:
            tracked_remember(core, link, message)
    count(core, one, message)
    return 1


cdef inline uint8_t deliver(Core* core, Subscription* one, Message* message) noexcept nogil:
    cdef Link* link = one.link
    if link == NULL:
        return mail_message(core, one, message)
    if link.special or message.noted:
        return deliver_special(core, one, message)
    if not write_message(core, link, one, message):
        return 0
    count(core, one, message)
    return 1


# --- queue groups -----------------------------------------------------------------------------------------------------


cdef uint32_t weighted_pick(Core* core, Subscription** members, uint32_t members_count, uint64_t weight) noexcept nogil:
    cdef uint64_t at
    cdef uint32_t i
    if weight == members_count:
        return pick(core, members_count)
    at = pick(core, weight)
    for i in range(members_count):
        if at < members[i].weight:
            return i
        at -= members[i].weight
    return 0


cdef uint8_t deliver_shadow(Core* core, Subscription* shadow, Message* message, char* subject,
                            uint32_t size) noexcept nogil:
    """To a subscriber in an importing account, under its own name for the subject."""
    cdef Message renamed = message[0]
    if shadow.closed or message.via != NULL:    # what came by a service import is not passed on as a stream
        return 0
    renamed.subject = subject
    renamed.subject_size = size
    renamed.wire_subject = NULL
    renamed.run = NULL
    renamed.account = shadow.shadow_of.account
    renamed.origin = origin_carried(message)
    if shadow.shadow_of.remote:
        return note_leaf(core, shadow.shadow_of, &renamed)
    compose_in(&core.shadow_line, &renamed)
    return deliver(core, shadow.shadow_of, &renamed)


cdef uint8_t note_leaf(Core* core, Subscription* one, Message* message) noexcept nogil:
    """A leaf node whose subscription a stream import feeds: it gets one line, when all its groups are known."""
    cdef LeafShadow noted
    if not goes_to(one, message, NULL):
        return 0
    noted.of = one
    noted.subject = <uint32_t>core.leaf_subjects.size
    noted.subject_size = message.subject_size
    buffer_add(&core.leaf_subjects, message.subject, message.subject_size)
    buffer_add(&core.leaf_shadows, &noted, sizeof(noted))
    return 1


cdef void deliver_leafs(Core* core, Message* message) noexcept nogil:
    """The leaf nodes noted: one line for each and each of its names for the subject."""
    cdef LeafShadow* noted = <LeafShadow*>core.leaf_shadows.data
    cdef uint32_t count = <uint32_t>(core.leaf_shadows.size // sizeof(LeafShadow))
    cdef Message renamed = message[0]
    cdef uint32_t i, j
    cdef Link* link
    renamed.origin = origin_carried(message)
    if message.wire_subject != NULL:
        renamed.wire_subject = NULL
        renamed.reply_size = message.wire_reply_size
    for i in range(count):
        if noted[i].of == NULL:
            continue
        link = noted[i].of.link
        renamed.subject = core.leaf_subjects.data + noted[i].subject
        renamed.subject_size = noted[i].subject_size
        renamed.account = noted[i].of.account
        link.route.picked_count = 0
        for j in range(i, count):
            if noted[j].of == NULL or noted[j].of.link != link or noted[j].subject_size != renamed.subject_size \
                    or memcmp(core.leaf_subjects.data + noted[j].subject, renamed.subject, renamed.subject_size) != 0:
                continue
            if noted[j].of.group != NULL:
                pick_remote(core, noted[j].of, noted[j].of.group, &renamed, NULL)
            if j > i:
                noted[j].of = NULL
        write_server(core, link, &renamed)
    core.leaf_shadows.size = 0
    core.leaf_subjects.size = 0


cdef inline uint8_t deliver_member(Core* core, Subscription* member, Message* message) noexcept nogil:
    if member.receiver == RECEIVER_SHADOW:
        core.mapped.size = 0
        program_apply(core, member.target.program, message.subject, message.subject_size, &core.mapped)
        return deliver_shadow(core, member, message, core.mapped.data, <uint32_t>core.mapped.size)
    return deliver(core, member, message)


cdef uint8_t deliver_one_of(Core* core, MatchGroup* group, uint32_t first, uint32_t end, uint64_t weight,
                            Message* message, Entry* entry) noexcept nogil:
    """To one of the members from ``first`` on, by their weights; one that cannot take it hands on to the next."""
    cdef uint32_t _
    cdef uint32_t at
    cdef Subscription* member
    if first == end:
        return 0
    at = first + weighted_pick(core, group.members + first, end - first, weight)
    for _ in range(end - first):
        member = group.members[at]
        if member.remote:
            if pick_remote(core, member, group.name_of, message, entry):
                return 1
        elif deliver_member(core, member, message):
            message.delivered += 1
            return 1
        at += 1
        if at == end:
            at = first
    return 0


cdef uint64_t weight_of(Subscription** members, uint32_t count) noexcept nogil:
    cdef uint64_t weight = 0
    cdef uint32_t i
    for i in range(count):
        weight += members[i].weight
    return weight


cdef void deliver_group(Core* core, MatchGroup* group, Message* message, Entry* entry) noexcept nogil:
    """One member of the cluster; without one a leaf node's; without one the nearest other cluster's."""
    if deliver_one_of(core, group, 0, group.near_count, group.weight, message, entry):
        return
    if group.near_count == group.count:
        return
    if group.near_count < group.own_count and deliver_one_of(
            core, group, group.near_count, group.own_count,
            weight_of(group.members + group.near_count, group.own_count - group.near_count), message, entry):
        return
    if group.own_count < group.count:
        pick_nearest(core, group, message, entry)


cdef uint8_t group_named(MatchGroup* group, char* names, uint32_t size) noexcept nogil:
    """Is the group among the names, which blanks separate?"""
    cdef char* name = group_name(group.name_of)
    cdef uint32_t name_size = group.name_of.name_size
    cdef uint32_t start = 0, end
    while start < size:
        end = start
        while end < size and names[end] != 32 and names[end] != 9:
            end += 1
        if end - start == name_size and memcmp(names + start, name, name_size) == 0:
            return 1
        start = end + 1
    return 0


cdef uint8_t wants_plain(Entry* entry, Link* link, uint32_t origin) noexcept nogil:
    """Does the server have plain interest in the subject, other than that of the leaf cluster the message is from?"""
    cdef uint32_t i
    for i in range(entry.remote_count):
        if entry.remote[i].link == link and not (origin and entry.remote[i].origin == origin):
            return 1
    return 0


cdef void deliver_group_from_route(Core* core, MatchGroup* group, Message* message, Entry* entry) noexcept nogil:
    """A local member, else a leaf node's; if none can take it, once more to another node that has one, or stands for
    leaf nodes that have (routes section 12.4, leafnodes 9.2)."""
    cdef uint32_t leafs = group.own_count - group.near_count
    if deliver_one_of(core, group, 0, group.local_count, group.local_count, message, entry):
        return
    if leafs and deliver_one_of(core, group, group.near_count, group.own_count,
                                weight_of(group.members + group.near_count, leafs), message, entry):
        return
    message.audience = TO_ROUTES
    if not hand_on(core, group, group.local_count, group.near_count, message, entry):
        hand_on(core, group, group.near_count, group.own_count, message, entry)
    message.audience = TO_LEAFS


cdef uint8_t hand_on(Core* core, MatchGroup* group, uint32_t first, uint32_t end, Message* message,
                     Entry* entry) noexcept nogil:
    """To another node, which must want nothing plain of the subject: it has its copy already, and the line for the
    group would be heard as another one."""
    cdef Subscription** members = group.members + first
    cdef uint32_t count = end - first
    cdef uint32_t at, _
    if count == 0:
        return 0
    at = weighted_pick(core, members, count, weight_of(members, count))
    for _ in range(count):
        if not wants_plain(entry, members[at].link, message.origin) and pick_remote(
            core, members[at], group.name_of, message, entry
        ):
            return 1
        at = at + 1 if at + 1 < count else 0
    return 0


# --- the whole message ------------------------------------------------------------------------------------------------


cdef void compose(Core* core, Message* message) noexcept nogil:
    """Put "MSG subject" and the rest of the line together for a message whose own line will not do."""
    compose_in(&core.line, message)


cdef void compose_in(Buffer* line, Message* message) noexcept nogil:
    cdef uint32_t bound = 64 + message.subject_size + message.reply_size
    cdef char* start
    cdef char* to
    line.size = 0
    start = buffer_room(line, bound)
    if start == NULL:
        return
    to = start
    memcpy(to, b"HMSG " if message.header_size else b"MSG ", 5 if message.header_size else 4)
    to += 5 if message.header_size else 4
    copy_over(to, message.subject, message.subject_size)
    to += message.subject_size
    message.head = start
    message.head_size = <uint32_t>(to - start)
    message.tail = to
    to[0] = 32
    to += 1
    if message.reply_size:
        copy_over(to, message.reply, message.reply_size)
        to += message.reply_size
        to[0] = 32
        to += 1
    if message.header_size:
        to += write_number(to, message.header_size)
        to[0] = 32
        to += 1
    to += write_number(to, message.total_size)
    memcpy(to, b"\r\n", 2)
    message.tail_size = <uint32_t>(to + 2 - message.tail)
    message.joined = 0


cdef void compose_run(Core* core, Message* message, Entry* entry) noexcept nogil:
    """Receivers with the same sid get the same bytes: put them together once, behind those of the message before, so
    that each such link holds one slice of many messages instead of a copy of each."""
    cdef Subscription* first = entry.plain[0]
    cdef uint32_t size
    cdef char* to
    message.run = NULL
    if first.link == NULL or first.link.memory or message.apart:
        return
    size = message.head_size + first.sid_size + message.tail_size + message.total_size + 2
    if size + SLACK > RUN_ROOM:
        return
    if core.run_used + size + SLACK > RUN_ROOM:
        core.turn_delivered += core.unflushed
        output_flush_all(core)
    if core.run_buffer == NULL:
        core.run_buffer = <char*>malloc(RUN_ROOM + SLACK)
        if core.run_buffer == NULL:
            return
    to = core.run_buffer + core.run_used
    copy_over(to, message.head, message.head_size)
    copy_over(to + message.head_size, sid_text(first), first.sid_size)
    copy_over(to + message.head_size + first.sid_size, message.tail, message.tail_size)
    memcpy(to + message.head_size + first.sid_size + message.tail_size, message.body, message.total_size + 2)
    core.run_used += size
    message.run = to
    message.run_size = size
    message.run_sid = first


cdef void deliver_plain(Core* core, Message* message, Entry* entry) noexcept nogil:
    cdef uint32_t i
    message.run = NULL
    if entry.plain_count >= RUN_RECEIVERS and message.total_size >= RUN_BYTES:
        compose_run(core, message, entry)
    for i in range(entry.plain_count):
        message.delivered += deliver(core, entry.plain[i], message)
        # Nothing more would join the output of a last message: let its first receivers have it while the others wait.
        if core.unflushed >= FLUSH_BYTES or (message.last and core.dirty_count >= FLUSH_LINKS):
            core.turn_delivered += core.unflushed
            output_flush_all(core)
            if message.run != NULL:
                compose_run(core, message, entry)       # the flush has taken its place
    message.run = NULL


cdef void count_account(Core* core, Message* message) noexcept nogil:
    if message.source != NULL and message.asked_by == NULL:     # it came in once, and here
        message.account.in_messages += 1
        message.account.in_bytes += message.total_size
    message.account.out_messages += message.delivered
    message.account.out_bytes += <uint64_t>message.delivered * message.total_size


cdef void deliver_shadows(Core* core, Message* message, Entry* entry) noexcept nogil:
    """Subscribers in importing accounts; those of one import share one composed line."""
    cdef ShadowMatch* shadows = entry.extra.shadows
    cdef Message renamed = message[0]
    cdef uint32_t i
    cdef char* subject = NULL
    cdef Subscription* one
    if message.via != NULL:
        return
    renamed.run = NULL
    renamed.share = 0
    for i in range(entry.extra.shadow_count):
        one = shadows[i].shadow
        if one.closed:
            continue
        if one.shadow_of.remote:
            message.delivered += deliver_shadow(core, one, message, shadows[i].subject, shadows[i].subject_size)
            continue
        if shadows[i].subject != subject:
            subject = shadows[i].subject
            renamed.subject = subject
            renamed.subject_size = shadows[i].subject_size
            renamed.account = one.shadow_of.account
            compose_in(&core.shadow_line, &renamed)
        message.delivered += deliver(core, one.shadow_of, &renamed)
        if core.unflushed >= FLUSH_BYTES:
            core.turn_delivered += core.unflushed
            output_flush_all(core)


cdef void deliver_calls(Core* core, Message* message, Entry* entry) noexcept nogil:
    """Service imports: the message becomes a request in each exporting account."""
    cdef uint32_t i
    cdef Entry* there
    cdef Message asked
    cdef Pending* waiting
    for i in range(entry.extra.call_count):
        if entry.extra.calls[i].of.removed:
            continue
        there = request_begin(core, message, &entry.extra.calls[i], &asked, &waiting)
        if there == NULL:
            continue
        if asked.apart:
            asked.head = NULL
        else:
            compose(core, &asked)
        spread(core, &asked, there)
        request_end(core, message, &entry.extra.calls[i], &asked, waiting)
        message.delivered += asked.delivered


cdef void deliver_answer(Core* core, Message* message) noexcept nogil:
    """An answer to a request through an import, if it is one."""
    cdef Message answer
    cdef Pending* waiting
    cdef Entry* there = answer_begin(core, message, &answer, &waiting)
    if there == NULL:
        return
    if answer.subject_size > PREFIX_SIZE and returning_prefix(answer.subject):
        send_back(core, &answer)
    else:
        compose(core, &answer)
        spread(core, &answer, there)
    answer_end(core, message, &answer, waiting)
    message.delivered += answer.delivered


cdef void spread(Core* core, Message* message, Entry* entry) noexcept nogil:
    """Everybody whom a message concerns that entered at this node, or came out of another account."""
    cdef uint32_t i
    message.delivered = 0
    if entry.special & ENTRY_GATEWAYS and message.reply_size and not message.fresh and core.has_gateways:
        message.fresh = subscribed_just_now(core, message)
    message.share = message.total_size >= SHARE_BYTES and entry.plain_count >= SHARE_RECEIVERS \
        and message.asked_by == NULL
    deliver_plain(core, message, entry)
    message.share = 0
    if entry.group_count or entry.remote_count:
        core.message_sequence += 1
        core.scratch_remote.size = 0
        for i in range(entry.group_count):
            if not message.named or group_named(&entry.groups[i], message.queues, message.queues_size):
                deliver_group(core, &entry.groups[i], message, entry)
        send_servers(core, message, entry, 1)
    if entry.special:
        # After the rest: what is composed from here on takes the place of the message's own line.
        if entry.special & ENTRY_SHADOWS:
            deliver_shadows(core, message, entry)
        if core.leaf_shadows.size:
            deliver_leafs(core, message)
        if entry.special & ENTRY_CALLS:
            deliver_calls(core, message, entry)
        if entry.special & ENTRY_ANSWERS and core.pendings_count:
            deliver_answer(core, message)
    elif core.leaf_shadows.size:
        deliver_leafs(core, message)
    count_account(core, message)
