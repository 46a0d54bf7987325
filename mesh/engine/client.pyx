# cython: language_level=3
"""The client protocol, inbound (client-protocol sections 2, 8): bytes to subscriptions and publishes.

``parse_client`` consumes as many whole operations as there are and returns where it stopped. A PUB in canonical form
(single blanks, CR LF) takes the short path: the subject is compared with the last one published on the link, which
finds its match entry without hashing, and the line itself becomes the receivers' MSG. Any other form goes the long way
and means the same.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t
from libc.stdlib cimport free
from libc.string cimport memchr, memcmp

from gossamer.mesh.engine.delivery cimport compose
from gossamer.mesh.engine.interest cimport terminal_subject
from gossamer.mesh.engine.links cimport link_pong
from gossamer.mesh.engine.mailbox cimport mail_add, mail_begin
from gossamer.mesh.engine.match cimport NO_SLOT, entry_valid, match_lookup
from gossamer.mesh.engine.output cimport link_doom, output_add, output_flush_all
from gossamer.mesh.engine.parsing cimport Text, letters, line_exceeded, split, unknown_operation, violation
from gossamer.mesh.engine.pending cimport requests_forgotten
from gossamer.mesh.engine.publish cimport publish_from_client
from gossamer.mesh.engine.subscriptions cimport client_subscribe, client_unsubscribe, sid_find
from gossamer.mesh.engine.text cimport is_blank, read_number
from gossamer.mesh.engine.types cimport (
    BIG_MESSAGE,
    CACHE_WAYS,
    EVENT_HELLO,
    EVENT_PEER_ERROR,
    EVENT_TRACE,
    FLUSH_BYTES,
    MAX_PAYLOAD_EXCEEDED,
    PARSE_ERROR,
    STATE_NEW,
    STATE_OPEN,
    STATE_PARKED,
    TURN_BYTES,
    Core,
    Entry,
    Link,
    Mail,
    Message,
    Subscription,
    Terminal,
)

cdef enum:
    SID_MAX = 65000


cdef void report_hello(Core* core, Link* link, char* connect, unsigned int size, bint given) noexcept nogil:
    """Park the link and let the control plane judge it."""
    cdef Mail mail
    mail_begin(&mail, EVENT_HELLO)
    mail.number[0] = <int64_t>link.id
    mail.number[1] = link.connect_seen
    mail.number[2] = given
    mail.size[0] = size
    mail.size[1] = 15 if link.has_nonce else 0
    mail_add(core, &mail, connect, link.nonce, NULL, NULL)
    if given:
        link.connect_seen = 1
    link.judged_connect = given
    link.auth_until_ns = 0              # the peer has done its part: how long judging takes is not its affair
    if link.state == STATE_NEW:
        link.rtt_ns = core.now_ns - link.ping_sent_ns
        if link.rtt_ns <= 0:
            link.rtt_ns = 1
    link.state = STATE_PARKED


cdef inline void trace(Core* core, Link* link, char* line, char* end) noexcept nogil:
    cdef Mail mail
    if not core.configuration.trace:
        return
    mail_begin(&mail, EVENT_TRACE)
    mail.number[0] = <int64_t>link.id
    mail.size[0] = <uint32_t>(end - line)
    mail_add(core, &mail, line, NULL, NULL, NULL)


# --- PUB and HPUB -----------------------------------------------------------------------------------------------------


cdef inline uint8_t wait_for_body(Link* link, char* at, char* end, char* body, int64_t total) noexcept nogil:
    """Is the payload still coming? A long message gets a buffer of its own size."""
    if end - body >= total + 2 or (end - body > total and body[total] != 13):
        return 0
    if (body - at) + total + 2 > BIG_MESSAGE:
        link.big_need = <uint32_t>((body - at) + total + 2)
    return 1


cdef char* publish_slow(Core* core, Link* link, char* at, char* end, uint8_t with_headers) noexcept nogil:
    """Any spelling of PUB or HPUB. Returns ``at`` when more bytes are needed or the link was doomed."""
    cdef char* line = at + (5 if with_headers else 4)
    cdef char* stop = <char*>memchr(line, 10, end - line)
    cdef Text parts[5]
    cdef int count
    cdef int64_t header = 0, total
    cdef uint32_t slot
    cdef Message message
    cdef Entry* entry
    cdef char* body
    cdef char* finish
    cdef int64_t limit = core.configuration.max_control_line
    while line < end and is_blank(line[0]):
        line += 1
    if stop == NULL:
        if end - line > limit + 1:
            line_exceeded(core, link)
        return at
    finish = stop
    if finish > line and (finish - 1)[0] == 13:
        finish -= 1
    if finish - line > limit:
        line_exceeded(core, link)
        return at
    body = stop + 1
    count = split(line, <uint32_t>(finish - line), parts, 4)
    message.source = link
    message.account = link.account
    message.reply = NULL
    message.reply_size = 0
    if with_headers:
        if not link.headers or count < 3 or count > 4:
            violation(core, link)
            return at
        header = read_number(parts[count - 2].at, parts[count - 2].size)
    elif count < 2 or count > 3:
        violation(core, link)
        return at
    total = read_number(parts[count - 1].at, parts[count - 1].size)
    if total < 0 or header < 0 or header > total:
        violation(core, link)
        return at
    if link.max_payload >= 0 and total > link.max_payload:
        link_doom(core, link, MAX_PAYLOAD_EXCEEDED, b"Maximum Payload Violation", 25, 1)
        return at
    if wait_for_body(link, at, end, body, total):
        return at
    if body[total] != 13 or body[total + 1] != 10:
        unknown_operation(core, link)
        return at
    trace(core, link, at, finish)
    message.subject = parts[0].at
    message.subject_size = parts[0].size
    if count == (4 if with_headers else 3):
        message.reply = parts[1].at
        message.reply_size = parts[1].size
    message.header_size = <uint32_t>header
    message.total_size = <uint32_t>total
    message.body = body
    message.last = body + total + 2 == end
    message.share = 0
    message.queues_size = 0
    message.front_size = 0
    message.apart = 0
    entry = match_lookup(core, link.account, message.subject, message.subject_size, &slot)
    if entry == NULL:
        return at
    compose(core, &message)
    publish_from_client(core, &message, entry)
    return body + total + 2


cdef inline char* token_stop(char* at, char* end) noexcept nogil:
    """The first byte that is not part of a token: a blank or any control character."""
    while at < end and <uint8_t>at[0] > 32:
        at += 1
    return at


cdef inline int64_t digits(char** at, char* end) noexcept nogil:
    """A number of one to nine digits that another byte follows; -1 if it is none."""
    cdef char* p = at[0]
    cdef int64_t number = 0
    cdef uint8_t digit
    while p < end:
        digit = <uint8_t>(<uint8_t>p[0] - 48)
        if digit > 9:
            break
        number = number * 10 + digit
        p += 1
    if p == end or p == at[0] or p - at[0] > 9:
        return -1
    at[0] = p
    return number


cdef char* publish_fast(Core* core, Link* link, char* at, char* end, uint8_t with_headers) noexcept nogil:
    """PUB or HPUB in canonical form with its payload here; everything else is left to ``publish_slow``."""
    cdef char* subject = at + (5 if with_headers else 4)
    cdef char* p
    cdef char* q
    cdef char* body
    cdef Entry* entry = core.cache[link.last_slot // CACHE_WAYS].entry[link.last_slot % CACHE_WAYS]
    cdef int64_t total, header = 0
    cdef uint32_t slot
    cdef uint32_t size
    cdef Message message
    message.reply_size = 0
    message.reply = NULL
    if (subject - 1)[0] != 32:
        return publish_slow(core, link, at, end, with_headers)
    if entry != NULL and entry.account == link.account and end - subject > entry.subject_size \
            and subject[entry.subject_size] == 32 and memcmp(subject, entry.subject, entry.subject_size) == 0 \
            and entry_valid(entry):
        size = entry.subject_size
    else:
        entry = NULL
        p = token_stop(subject, end)
        size = <uint32_t>(p - subject)
        if p == end or p[0] != 32 or size == 0:
            return publish_slow(core, link, at, end, with_headers)
    p = subject + size + 1
    q = p
    total = digits(&q, end)
    if total < 0 or q[0] != (32 if with_headers else 13):
        # Not a number in its place: a reply subject (which may begin with digits), or nothing we know.
        q = token_stop(p, end)
        if q == p or q == end or q[0] != 32:
            return publish_slow(core, link, at, end, with_headers)
        message.reply = p
        message.reply_size = <uint32_t>(q - p)
        q += 1
        total = digits(&q, end)
        if total < 0:
            return publish_slow(core, link, at, end, with_headers)
    if with_headers:
        if q[0] != 32 or total == 0:
            return publish_slow(core, link, at, end, with_headers)
        header = total
        q += 1
        total = digits(&q, end)
        if total < header:
            return publish_slow(core, link, at, end, with_headers)
    if end - q < total + 4 or q[0] != 13 or q[1] != 10 or not link.headers and with_headers:
        return publish_slow(core, link, at, end, with_headers)
    body = q + 2
    if (link.max_payload >= 0 and total > link.max_payload) or body[total] != 13 or body[total + 1] != 10 \
            or q - subject > core.configuration.max_control_line or core.configuration.trace:
        return publish_slow(core, link, at, end, with_headers)
    if entry == NULL:
        entry = match_lookup(core, link.account, subject, size, &slot)
        if entry == NULL:
            return at
        if slot != NO_SLOT:
            link.last_slot = slot
    else:
        core.cache_hits += 1
    if with_headers:
        at[1] = 77
        at[2] = 83
        at[3] = 71
    else:
        at[0] = 77
        at[1] = 83
        at[2] = 71
    message.source = link
    message.account = link.account
    message.subject = subject
    message.subject_size = size
    message.header_size = <uint32_t>header
    message.total_size = <uint32_t>total
    message.body = body
    message.last = body + total + 2 == end
    message.head = at
    message.head_size = <uint32_t>(subject - at) + size
    message.tail = subject + size
    message.tail_size = <uint32_t>(body - message.tail)
    message.joined = 1
    message.queues_size = 0
    message.front_size = 0
    message.apart = 0
    message.share = 0
    if with_headers:
        at[0] = 72
    publish_from_client(core, &message, entry)
    return body + total + 2


# --- the other verbs --------------------------------------------------------------------------------------------------


cdef char* control_line(Core* core, Link* link, char* at, char* end, uint32_t verb_size, char** line,
                        uint32_t* size) noexcept nogil:
    """The argument part of the line at ``at``; where the next operation begins, NULL when the line is not all here
    or is too long (then the link was doomed)."""
    cdef char* start = at + verb_size
    cdef char* stop = <char*>memchr(start, 10, end - start) if end > start else NULL
    cdef char* finish = stop if stop != NULL else end
    while start < finish and is_blank(start[0]):
        start += 1
    if stop == NULL:
        if finish - start > core.configuration.max_control_line + 1:
            line_exceeded(core, link)
        return NULL
    if finish > start and (finish - 1)[0] == 13:
        finish -= 1
    if finish - start > core.configuration.max_control_line:
        line_exceeded(core, link)
        return NULL
    line[0] = start
    size[0] = <uint32_t>(finish - start)
    trace(core, link, at, finish)
    return stop + 1


cdef void subscribe(Core* core, Link* link, char* line, uint32_t size) noexcept nogil:
    cdef Text parts[4]
    cdef int count = split(line, size, parts, 3)
    cdef Text sid
    if count < 2 or count > 3 or parts[count - 1].size > SID_MAX:
        violation(core, link)
        return
    sid = parts[count - 1]
    if client_subscribe(core, link, parts[0].at, parts[0].size, parts[1].at, parts[1].size if count == 3 else 0,
                        sid.at, sid.size) and link.verbose:
        output_add(core, link, b"+OK\r\n", 5)


cdef void unsubscribe(Core* core, Link* link, char* line, uint32_t size) noexcept nogil:
    cdef Text parts[3]
    cdef int count = split(line, size, parts, 2)
    cdef Subscription* one
    cdef Terminal* terminal = NULL
    if count < 1 or count > 2:
        violation(core, link)
        return
    if link.asked != NULL:              # is it to this one that answers would have come?
        one = sid_find(link, parts[0].at, parts[0].size)
        if one != NULL:
            terminal = one.terminal
    client_unsubscribe(core, link, parts[0].at, parts[0].size,
                       read_number(parts[1].at, parts[1].size) if count == 2 else -1)
    if terminal != NULL and one.closed:
        requests_forgotten(core, link, terminal_subject(terminal), terminal.subject_size)
    if link.verbose:
        output_add(core, link, b"+OK\r\n", 5)


cdef void answer_ping(Core* core, Link* link) noexcept nogil:
    """PONG, and after the first one the INFO that tells a client what it was admitted as."""
    link.last_data_ns = core.now_ns
    output_add(core, link, b"PONG\r\n", 6)
    link.first_pong = 1
    if link.info_after_pong != NULL:
        output_add(core, link, link.info_after_pong, link.info_after_pong_size)
        free(link.info_after_pong)
        link.info_after_pong = NULL
        link.info_sent = 1


cdef void peer_error(Core* core, Link* link, char* line, uint32_t size) noexcept nogil:
    cdef Mail mail
    mail_begin(&mail, EVENT_PEER_ERROR)
    mail.number[0] = <int64_t>link.id
    mail.size[0] = size
    mail_add(core, &mail, line, NULL, NULL, NULL)
    link_doom(core, link, PARSE_ERROR, NULL, 0, 1)


cdef char* parse_other(Core* core, Link* link, char* at, char* end) noexcept nogil:
    """Every verb but PUB and HPUB. Returns ``at`` when the line is not all here or the link was doomed."""
    cdef char* line = NULL
    cdef uint32_t size = 0
    cdef char* following
    cdef size_t have = end - at
    cdef char first = at[0] | 32
    if first == 115:                                    # SUB
        if have < 4:
            if letters(at, b"sub", <uint32_t>have):
                return at
        elif letters(at, b"sub", 3) and is_blank(at[3]):
            following = control_line(core, link, at, end, 4, &line, &size)
            if following == NULL:
                return at
            link.last_data_ns = core.now_ns
            subscribe(core, link, line, size)
            return following
    elif first == 117:                                  # UNSUB
        if have < 6:
            if letters(at, b"unsub", <uint32_t>have):
                return at
        elif letters(at, b"unsub", 5) and is_blank(at[5]):
            following = control_line(core, link, at, end, 6, &line, &size)
            if following == NULL:
                return at
            link.last_data_ns = core.now_ns
            unsubscribe(core, link, line, size)
            return following
    elif first == 112:                                  # PING, PONG; bytes behind them are ignored
        if have < 4:
            if letters(at, b"ping", <uint32_t>have) or letters(at, b"pong", <uint32_t>have) \
                    or letters(at, b"pub", <uint32_t>have):
                return at
        elif letters(at, b"ping", 4) or letters(at, b"pong", 4):
            following = control_line(core, link, at, end, 4, &line, &size)
            if following == NULL:
                return at
            if (at[1] | 32) == 105:
                answer_ping(core, link)
            else:
                link_pong(core, link)
            return following
    elif first == 99:                                   # CONNECT
        if have < 8:
            if letters(at, b"connect", <uint32_t>(have if have < 7 else 7)) and (have < 8):
                return at
        elif letters(at, b"connect", 7) and is_blank(at[7]):
            following = control_line(core, link, at, end, 8, &line, &size)
            if following == NULL:
                return at
            report_hello(core, link, line, size, True)
            return following
    elif first == 105:                                  # INFO: ignored
        if have < 5:
            if letters(at, b"info", <uint32_t>(have if have < 4 else 4)):
                return at
        elif letters(at, b"info", 4) and is_blank(at[4]):
            following = control_line(core, link, at, end, 5, &line, &size)
            if following == NULL:
                return at
            while size and is_blank(line[size - 1]):
                size -= 1
            if size < 2 or line[0] != 123 or line[size - 1] != 125:     # not an object
                violation(core, link)
                return at
            return following
    elif at[0] == 43:                                   # +OK: ignored
        if have < 3:
            if have == 1 or (at[1] | 32) == 111:
                return at
        elif (at[1] | 32) == 111 and (at[2] | 32) == 107:
            following = control_line(core, link, at, end, 3, &line, &size)
            return at if following == NULL else following
    elif at[0] == 45:                                   # -ERR
        if have < 5:
            if letters(at + 1, b"err", <uint32_t>(have - 1 if have < 4 else 3)):
                return at
        elif letters(at + 1, b"err", 3) and is_blank(at[4]):
            following = control_line(core, link, at, end, 5, &line, &size)
            if following == NULL:
                return at
            peer_error(core, link, line, size)
            return following
    unknown_operation(core, link)
    return at


cdef char* parse_client(Core* core, Link* link, char* at, char* end) noexcept nogil:
    """Consume whole operations; where it stopped. ``link.more`` is set if it stopped for the sake of others."""
    cdef char* following
    cdef char first
    link.more = 0
    if link.state == STATE_NEW:
        # Whatever comes first is judged: CONNECT with its options, any other verb as a client without a word.
        if (at[0] | 32) == 99:
            following = parse_other(core, link, at, end)
            return following
        report_hello(core, link, NULL, 0, False)
        return at
    while at < end and link.state == STATE_OPEN:
        first = at[0] | 32
        if first == 112 and end - at >= 4 and (at[1] | 32) == 117:
            if (at[2] | 32) != 98 or not is_blank(at[3]):
                unknown_operation(core, link)
                return at
            link.last_data_ns = core.now_ns
            following = publish_fast(core, link, at, end, 0)
        elif first == 104:
            if end - at < 5:
                if letters(at, b"hpub", <uint32_t>(end - at if end - at < 4 else 4)):
                    return at
                unknown_operation(core, link)
                return at
            if not letters(at, b"hpub", 4) or not is_blank(at[4]):
                unknown_operation(core, link)
                return at
            link.last_data_ns = core.now_ns
            following = publish_fast(core, link, at, end, 1)
        else:
            following = parse_other(core, link, at, end)
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
