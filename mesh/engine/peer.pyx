# cython: language_level=3
"""What other servers say: routes (spec routes sections 2, 11, 12), gateways and leaf nodes, whose lines differ little.

A routed message line ends like a MSG: its tail ("[reply] size CR LF") and payload serve the local receivers as they
lie, and "MSG " is written in front of the subject, over the account. Only lines that name queue groups together with a
reply are put together anew.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.string cimport memchr, memcmp

from gossamer.mesh.engine.accounts cimport account_from_route
from gossamer.mesh.engine.client cimport report_hello
from gossamer.mesh.engine.delivery cimport compose
from gossamer.mesh.engine.gateway cimport gateway_account, gateway_command, gateway_interest
from gossamer.mesh.engine.leaf cimport leaf_interest
from gossamer.mesh.engine.links cimport link_pong
from gossamer.mesh.engine.mailbox cimport mail_add, mail_begin
from gossamer.mesh.engine.match cimport NO_SLOT, entry_valid, match_lookup
from gossamer.mesh.engine.origins cimport origin_number
from gossamer.mesh.engine.output cimport link_doom, output_add, output_flush_all
from gossamer.mesh.engine.parsing cimport Text, letters, line_exceeded, split, unknown_operation, violation
from gossamer.mesh.engine.publish cimport publish_from_server
from gossamer.mesh.engine.rights cimport may_export
from gossamer.mesh.engine.subscriptions cimport ANY_ORIGIN, remote_subscribe, remote_unsubscribe
from gossamer.mesh.engine.text cimport is_blank, read_number
from gossamer.mesh.engine.types cimport (
    AUTHENTICATION_VIOLATION,
    BIG_MESSAGE,
    BY_ROUTE,
    CACHE_WAYS,
    EVENT_PEER_ERROR,
    EVENT_PEER_INFO,
    FLUSH_BYTES,
    KIND_GATEWAY,
    KIND_LEAF,
    KIND_ROUTE,
    MAX_PAYLOAD_EXCEEDED,
    PARSE_ERROR,
    STATE_AWAIT_INFO,
    STATE_NEW,
    STATE_OPEN,
    STATE_PARKED,
    TURN_BYTES,
    Account,
    Core,
    Entry,
    Link,
    Mail,
    Message,
)

cdef enum:
    LINE_FACTOR = 16            # server peers may send lines so many times longer than clients


# --- messages ---------------------------------------------------------------------------------------------------------


cdef void show_acknowledged_subject(Core* core, Message* message) noexcept nogil:
    """A reply ``$JS.ACK.<eight dots...>@<subject>`` carries the subject to show to clients (routes section 12.5); other
    servers are told what we were."""
    cdef uint32_t i
    cdef uint32_t dots = 0
    for i in range(message.reply_size):
        if message.reply[i] == 46:
            dots += 1
        elif message.reply[i] == 64 and dots >= 8:
            if i + 1 == message.reply_size:
                return
            message.wire_subject = message.subject
            message.wire_subject_size = message.subject_size
            message.wire_reply_size = message.reply_size
            message.subject = message.reply + i + 1
            message.subject_size = message.reply_size - i - 1
            message.reply_size = i
            compose(core, message)
            return


cdef char* message_line(Core* core, Link* link, char* at, char* end, uint8_t with_headers, uint8_t leaf) noexcept nogil:
    """RMSG, HMSG, LMSG; ``leaf``: the origin cluster stands first. Returns ``at`` when more bytes are needed or the
    link was doomed."""
    cdef char* line = at + 5
    cdef char* stop = <char*>memchr(line, 10, end - line)
    cdef char* finish
    cdef char* p
    cdef char* sizes
    cdef char* body
    cdef Account* account = NULL
    cdef Entry* entry
    cdef int64_t total, header = 0
    cdef int64_t limit = core.configuration.max_control_line * LINE_FACTOR
    cdef uint32_t slot
    cdef uint8_t canonical
    cdef Message message
    cdef Text parts[2]
    while line < end and is_blank(line[0]):
        line += 1
    if stop == NULL:
        if end - line > limit + 1:
            line_exceeded(core, link)
        return at
    finish = stop
    canonical = finish > line and (finish - 1)[0] == 13
    if canonical:
        finish -= 1
    if finish - line > limit:
        line_exceeded(core, link)
        return at
    body = stop + 1
    # The sizes stand at the end: read backwards.
    while finish > line and is_blank((finish - 1)[0]):
        finish -= 1
        canonical = 0
    sizes = finish
    while sizes > line and not is_blank((sizes - 1)[0]):
        sizes -= 1
    total = read_number(sizes, <uint32_t>(finish - sizes))
    if with_headers:
        p = sizes
        while p > line and is_blank((p - 1)[0]):
            p -= 1
        if sizes - p != 1:
            canonical = 0
        sizes = p
        while sizes > line and not is_blank((sizes - 1)[0]):
            sizes -= 1
        header = read_number(sizes, <uint32_t>(p - sizes))
    if total < 0 or header < 0 or header > total or sizes == line:
        violation(core, link)
        return at
    if link.kind == KIND_LEAF and total > link.max_payload >= 0:
        link_doom(core, link, MAX_PAYLOAD_EXCEEDED, b"Maximum Payload Violation", 25, 1)
        return at
    if end - body < total + 2 and not (end - body > total and body[total] != 13):
        if (body - at) + total + 2 > BIG_MESSAGE:
            link.big_need = <uint32_t>((body - at) + total + 2)
        return at
    if body[total] != 13 or body[total + 1] != 10:
        unknown_operation(core, link)
        return at
    p = line
    message.origin = 0
    if leaf:
        while p < sizes and not is_blank(p[0]):
            p += 1
        message.origin = origin_number(core, line, <uint32_t>(p - line))
        while p < sizes and is_blank(p[0]):
            p += 1
    if link.route.dedicated != NULL:
        account = link.route.dedicated
    else:
        account = link.route.last_account
        if account != NULL and sizes - p > account.name_size and p[account.name_size] == 32 \
                and memcmp(p, account.name, account.name_size) == 0:
            p += account.name_size + 1
            while p < sizes and is_blank(p[0]):
                p += 1
        else:
            parts[0].at = p
            while p < sizes and not is_blank(p[0]):
                p += 1
            account = account_from_route(core, link, parts[0].at, <uint32_t>(p - parts[0].at))
            link.route.last_account = account
            while p < sizes and is_blank(p[0]):
                p += 1
    if p >= sizes:
        violation(core, link)
        return at
    if account == NULL:
        return body + total + 2
    message.source = link
    message.account = account
    message.subject = p
    entry = core.cache[link.last_slot // CACHE_WAYS].entry[link.last_slot % CACHE_WAYS]
    if entry != NULL and entry.account == account and sizes - p > entry.subject_size \
            and p[entry.subject_size] == 32 and memcmp(p, entry.subject, entry.subject_size) == 0 \
            and entry_valid(entry):
        p += entry.subject_size
        core.cache_hits += 1
    else:
        entry = NULL
        while p < sizes and not is_blank(p[0]):
            p += 1
    message.subject_size = <uint32_t>(p - message.subject)
    message.tail = p
    message.reply = NULL
    message.reply_size = 0
    message.queues = NULL
    message.queues_size = 0
    message.front_size = 0
    message.apart = 0
    message.header_size = <uint32_t>header
    message.total_size = <uint32_t>total
    message.body = body
    message.last = body + total + 2 == end
    message.share = 0
    if p[0] != 32:
        canonical = 0
    p += 1
    while p < sizes and is_blank(p[0]):
        canonical = 0
        p += 1
    if sizes > p and (sizes - 1)[0] != 32:
        canonical = 0
    if sizes - p >= 2:                                  # something stands between the subject and the sizes
        if is_blank(p[1]) and (p[0] == 124 or p[0] == 43):
            if p[0] == 43:
                canonical = 0
                p += 2
                while p < sizes and is_blank(p[0]):
                    p += 1
                message.reply = p
                while p < sizes and not is_blank(p[0]):
                    p += 1
                message.reply_size = <uint32_t>(p - message.reply)
            message.queues = p + 1
            message.queues_size = <uint32_t>(sizes - 1 - message.queues) if sizes - 1 > message.queues else 0
            if message.queues_size == 0 or (message.reply != NULL and message.reply_size == 0):
                violation(core, link)
                return at
            message.tail = sizes - 1
        else:
            if split(p, <uint32_t>(sizes - p), parts, 1) != 1:
                violation(core, link)                   # a wrong indicator before queue names
                return at
            message.reply = parts[0].at
            message.reply_size = parts[0].size
            if message.reply != p or message.reply + message.reply_size + 1 != sizes:
                canonical = 0
    elif p != sizes:
        canonical = 0
    if entry == NULL:
        entry = match_lookup(core, account, message.subject, message.subject_size, &slot)
        if entry == NULL:
            return body + total + 2
        if slot != NO_SLOT:
            link.last_slot = slot
    if canonical and message.tail[0] == 32 and (header > 0) == with_headers:
        message.tail_size = <uint32_t>(body - message.tail)
        message.joined = 1
        if header:
            message.head = message.subject - 5
            message.head[0] = 72
        else:
            message.head = message.subject - 4
        p = message.subject - 4
        p[0] = 77
        p[1] = 83
        p[2] = 71
        p[3] = 32
        message.head_size = <uint32_t>(message.subject - message.head) + message.subject_size
    else:
        compose(core, &message)
    message.wire_subject = NULL
    if message.reply_size > 8 and message.reply[0] == 36 and memcmp(message.reply, b"$JS.ACK.", 8) == 0:
        show_acknowledged_subject(core, &message)
    link.last_data_ns = core.now_ns
    publish_from_server(core, &message, entry)
    return body + total + 2


# --- interest ---------------------------------------------------------------------------------------------------------


cdef void interest_line(Core* core, Link* link, char* line, uint32_t size, uint8_t leaf, uint8_t add) noexcept nogil:
    """RS+, RS-, LS+, LS- after the verb. Peers that know no origin in LS- leave it out (routes section 11)."""
    cdef Text parts[6]
    cdef int count = split(line, size, parts, 5)
    cdef int first = 0
    cdef Account* account = link.route.dedicated
    cdef int64_t weight = 1
    cdef Text queue
    cdef uint32_t origin = 0
    if leaf and (add or link.route.leaf_origin_unsubscribe):
        first = 1
    elif leaf:
        origin = ANY_ORIGIN
    if account == NULL:
        first += 1
    # Left are: subject, or subject and queue, with a weight when interest begins.
    queue.at = NULL
    queue.size = 0
    if count - first == 1:
        pass
    elif count - first == (3 if add else 2):
        queue = parts[first + 1]
        if add:
            weight = read_number(parts[first + 2].at, parts[first + 2].size)
    else:
        violation(core, link)
        return
    if weight < 0 or count > 5:
        violation(core, link)
        return
    if account == NULL:
        account = account_from_route(core, link, parts[first - 1].at, parts[first - 1].size)
        if account == NULL:
            return
    if leaf and origin == 0:
        origin = origin_number(core, parts[0].at, parts[0].size)
        if origin == 0:
            return
    if add and weight > 0:
        if not may_export(link, parts[first].at, parts[first].size):
            return
        remote_subscribe(core, link, account, parts[first].at, parts[first].size, queue.at, queue.size,
                         <uint32_t>weight, origin, BY_ROUTE)
    else:
        remote_unsubscribe(core, link, account, parts[first].at, parts[first].size, queue.at, queue.size, origin)


# --- lines ------------------------------------------------------------------------------------------------------------


cdef void report_line(Core* core, Link* link, int event, char* line, uint32_t size) noexcept nogil:
    cdef Mail mail
    mail_begin(&mail, event)
    mail.number[0] = <int64_t>link.id
    mail.size[0] = size
    mail.size[1] = 15 if link.has_nonce and event == EVENT_PEER_INFO else 0
    mail_add(core, &mail, line, link.nonce, NULL, NULL)


cdef uint32_t verb_size(char* at, size_t have) noexcept nogil:
    """Length of the known verb the bytes begin with; 0: they may still become one; 100: none."""
    cdef char first = at[0] | 32
    if have < 2:
        return 0
    if (first == 114 or first == 108) and (at[1] | 32) == 115:         # RS+ RS- LS+ LS-
        if have < 4:
            return 0
        return 3 if (at[2] == 43 or at[2] == 45) and is_blank(at[3]) else 100
    if first == 97 and (at[1] == 43 or at[1] == 45):                   # A+ A-
        return 2
    if at[0] == 43:                                                    # +OK
        if have < 3:
            return 0
        return 3 if letters(at + 1, b"ok", 2) else 100
    if have < 5:
        return 0
    if (first == 114 or first == 104 or first == 108) and letters(at + 1, b"msg", 3) and is_blank(at[4]):
        return 4
    if letters(at, b"ping", 4) or letters(at, b"pong", 4):
        return 4
    if letters(at, b"info", 4) and is_blank(at[4]):
        return 4
    if at[0] == 45 and letters(at + 1, b"err", 3):
        return 4
    if have < 8:
        return 0 if letters(at, b"connect", <uint32_t>(have if have < 7 else 7)) else 100
    if letters(at, b"connect", 7) and is_blank(at[7]):
        return 7
    return 100


cdef char* control(Core* core, Link* link, char* at, char* end, uint32_t verb) noexcept nogil:
    """A line without payload. Returns ``at`` when it is not all here or the link was doomed."""
    cdef char* line = at + verb
    cdef char* stop = <char*>memchr(line, 10, end - line)
    cdef char* finish
    cdef char first = at[0] | 32
    cdef uint32_t size
    if stop == NULL:
        if end - line > core.configuration.max_control_line * LINE_FACTOR + 1:
            line_exceeded(core, link)
        return at
    finish = stop
    if finish > line and (finish - 1)[0] == 13:
        finish -= 1
    while line < finish and is_blank(line[0]):
        line += 1
    size = <uint32_t>(finish - line)
    if size > core.configuration.max_control_line * LINE_FACTOR:
        line_exceeded(core, link)
        return at
    if verb == 3 and (first == 114 or first == 108):
        if link.kind != KIND_ROUTE and (first == 108) != (link.kind == KIND_LEAF):
            unknown_operation(core, link)
        elif link.state == STATE_OPEN:
            if link.kind == KIND_LEAF:
                leaf_interest(core, link, line, size, at[2] == 43)
            elif link.kind == KIND_GATEWAY:
                gateway_interest(core, link, line, size, at[2] == 43)
            else:
                interest_line(core, link, line, size, first == 108, at[2] == 43)
    elif verb == 2:
        if link.kind == KIND_GATEWAY and link.state == STATE_OPEN:
            gateway_account(core, link, line, size, at[1] == 43)
    elif first == 112:
        if (at[1] | 32) == 105:
            output_add(core, link, b"PONG\r\n", 6)
            link.first_pong = 1
        else:
            link_pong(core, link)
    elif first == 105:
        if link.kind == KIND_GATEWAY and link.state == STATE_OPEN and gateway_command(core, link, line, size):
            return stop + 1
        report_line(core, link, EVENT_PEER_INFO, line, size)
        link.resume_state = link.state
        link.state = STATE_PARKED
    elif at[0] == 45:
        report_line(core, link, EVENT_PEER_ERROR, line, size)
        if link.kind != KIND_LEAF:              # a leaf node's peer closes by itself where it means to
            link_doom(core, link, PARSE_ERROR, NULL, 0, 1)
    elif first == 99:
        report_hello(core, link, line, size, True)
    return stop + 1


cdef char* parse_peer(Core* core, Link* link, char* at, char* end) noexcept nogil:
    """Consume whole operations of a server peer; where it stopped."""
    cdef char* following
    cdef char first
    cdef uint32_t verb
    link.more = 0
    while at < end and (link.state == STATE_OPEN or link.state == STATE_AWAIT_INFO or link.state == STATE_NEW):
        first = at[0] | 32
        if link.state == STATE_NEW and first != 99 \
                and not (first == 105 and link.listener != NULL and link.listener.info_first):
            link_doom(core, link, AUTHENTICATION_VIOLATION, b"Authorization Violation", 23, 1)
            return at
        verb = verb_size(at, end - at)
        if verb == 0:
            return at
        if verb == 100:
            unknown_operation(core, link)
            return at
        if verb == 4 and first != 112 and first != 105 and at[0] != 45:
            if link.state != STATE_OPEN:
                violation(core, link)
                return at
            if link.kind == KIND_LEAF:
                if first == 114:
                    unknown_operation(core, link)
                    return at
                following = message_line(core, link, at, end, first == 104, 0)
            elif link.kind == KIND_GATEWAY:
                if first == 108:
                    unknown_operation(core, link)
                    return at
                if link.route.outbound:         # messages come the other way
                    violation(core, link)
                    return at
                following = message_line(core, link, at, end, first == 104, 0)
            else:
                following = message_line(core, link, at, end, first != 114, first == 108)
        else:
            following = control(core, link, at, end, verb)
        if following == at:
            return at
        at = following
        if core.unflushed >= FLUSH_BYTES:
            core.turn_delivered += core.unflushed
            output_flush_all(core)
        if core.turn_delivered > TURN_BYTES:
            link.more = at < end
            return at
    return at
