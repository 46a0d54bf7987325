# cython: language_level=3
"""Requests through service imports that wait for an answer (auth section 18).

Each has a reply subject of its own in the exporting account, found by one hash look-up, and lies in its import's list
by last activity: the threshold is the same for all in one list, so what is due stands at its head. What is taken out
stays readable until the tick ends.
"""

from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy, memset

from gossamer.mesh.engine.mailbox cimport mail_add, mail_begin
from gossamer.mesh.engine.match cimport match_lookup
from gossamer.mesh.engine.memory cimport bury, next_random
from gossamer.mesh.engine.subject cimport matches
from gossamer.mesh.engine.subscriptions cimport enter, subscription_make
from gossamer.mesh.engine.text cimport hash_bytes
from gossamer.mesh.engine.types cimport (
    EVENT_LATENCY,
    HERE,
    KIND_CLIENT,
    PENDING_MAX,
    RECEIVER_ANSWERS,
    TRACKED_SIZE,
    Account,
    Core,
    Entry,
    Import,
    Link,
    Mail,
    Message,
    Pending,
    Subscription,
)

cdef enum:
    NAME_SIZE = 17              # _R_.xxxxxx.yyyyyy
    PREFIX_SIZE = 11
    EXPIRE_STEP_NS = 10000000

cdef const char* BASE62 = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


cdef void write_random(Core* core, char* to) noexcept nogil:
    """Six characters."""
    cdef uint64_t word = next_random(core)
    cdef int i
    for i in range(6):
        to[i] = BASE62[word % 62]
        word //= 62


cdef uint8_t answers_begin(Core* core, Account* account) noexcept nogil:
    """The account's replies get their prefix, and interest that brings those from other nodes here."""
    cdef Subscription* one = subscription_make(core, RECEIVER_ANSWERS, HERE, 0)
    if one == NULL:
        return 0
    memcpy(account.answer_prefix, b"_R_.", 4)
    write_random(core, account.answer_prefix + 4)
    memcpy(account.answer_prefix + 10, b".>", 2)
    if not enter(core, account, one, account.answer_prefix, 12, NULL, 0):
        return 0
    account.answers = one
    return 1


cdef inline uint64_t name_hash(Core* core, Account* account, const char* name, uint32_t size) noexcept nogil:
    return hash_bytes(name, size, core.hash_seed + <uint64_t>account.id * <uint64_t>0x9E3779B97F4A7C15)


cdef Pending* pending_find(Core* core, Account* account, const char* subject, uint32_t size) noexcept nogil:
    cdef Pending* one
    cdef uint64_t hash
    if core.pendings_count == 0 or (size != NAME_SIZE and size != TRACKED_SIZE):
        return NULL
    hash = name_hash(core, account, subject, size)
    one = core.pendings[hash & core.pendings_mask]
    while one != NULL:
        if one.hash == hash and one.account == account and one.name_size == size \
                and memcmp(pending_name(one), subject, size) == 0:
            return one
        one = one.next
    return NULL


cdef uint8_t table_grow(Core* core) noexcept nogil:
    cdef uint32_t mask = 1023 if core.pendings == NULL else core.pendings_mask * 2 + 1
    cdef Pending** table = <Pending**>calloc(<size_t>mask + 1, sizeof(Pending*))
    cdef Pending* one
    cdef Pending* following
    cdef uint32_t i
    if table == NULL:
        return core.pendings != NULL
    if core.pendings != NULL:
        for i in range(core.pendings_mask + 1):
            one = core.pendings[i]
            while one != NULL:
                following = one.next
                one.next = table[one.hash & mask]
                table[one.hash & mask] = one
                one = following
        free(core.pendings)
    core.pendings = table
    core.pendings_mask = mask
    return 1


cdef void list_remove(Pending* one) noexcept nogil:
    cdef Import* of = one.of
    if one.older != NULL:
        one.older.newer = one.newer
    else:
        of.oldest = one.newer
    if one.newer != NULL:
        one.newer.older = one.older
    else:
        of.newest = one.older


cdef void list_add(Core* core, Pending* one) noexcept nogil:
    cdef Import* of = one.of
    cdef int64_t due
    one.older = of.newest
    one.newer = NULL
    if of.newest != NULL:
        of.newest.newer = one
    else:
        of.oldest = one
    of.newest = one
    if not of.busy:
        of.busy = 1
        of.busy_next = core.busy
        core.busy = of
        due = core.now_ns + of.threshold_ns
        if core.pendings_due_ns == 0 or due < core.pendings_due_ns:
            core.pendings_due_ns = due


cdef Pending* pending_add(Core* core, Import* of, Account* account, Account* to, const char* reply,
                          uint32_t reply_size, Link* requestor, uint8_t sampled, const char* headers,
                          uint32_t headers_size) noexcept nogil:
    """A new reply subject in ``account`` whose answers go to ``reply`` in ``to``; NULL when memory is out. That of a
    ``sampled`` request names this node, for the server of the responder."""
    cdef Pending* one
    cdef char* name
    cdef uint32_t size = TRACKED_SIZE if sampled and core.latency_suffix[0] else NAME_SIZE
    if account.answers == NULL and not answers_begin(core, account):
        return NULL
    if core.pendings == NULL or core.pendings_count > core.pendings_mask:
        if not table_grow(core):
            return NULL
    if core.pendings_count >= PENDING_MAX and of.oldest != NULL:
        pending_remove(core, of.oldest)
    one = <Pending*>malloc(sizeof(Pending) + size + reply_size + headers_size + 64)
    if one == NULL:
        return NULL
    memset(one, 0, sizeof(Pending))
    name = pending_name(one)
    memcpy(name, account.answer_prefix, PREFIX_SIZE)
    memcpy(name + NAME_SIZE, core.latency_suffix, size - NAME_SIZE)
    while True:
        write_random(core, name + PREFIX_SIZE)
        if pending_find(core, account, name, size) == NULL:
            break
    memcpy(name + size, reply, reply_size)
    one.name_size = size
    one.sampled = sampled
    one.reply_size = reply_size
    if headers_size:
        memcpy(name + size + reply_size, headers, headers_size)
        one.headers_size = headers_size
    one.of = of
    one.account = account
    one.to = to
    one.active_ns = core.now_ns
    one.started_ns = core.now_ns
    if requestor != NULL:
        one.requestor = requestor.id
        one.requestor_rtt_ns = requestor.rtt_ns
        if requestor.account == to:
            one.link = requestor
            one.link_next = requestor.asked
            if requestor.asked != NULL:
                requestor.asked.link_previous = one
            requestor.asked = one
    one.hash = name_hash(core, account, name, size)
    one.next = core.pendings[one.hash & core.pendings_mask]
    core.pendings[one.hash & core.pendings_mask] = one
    core.pendings_count += 1
    list_add(core, one)
    return one


cdef void pending_touch(Core* core, Pending* one) noexcept nogil:
    """An answer came and more may follow: the threshold begins again."""
    one.active_ns = core.now_ns
    list_remove(one)
    list_add(core, one)


cdef void pending_remove(Core* core, Pending* one) noexcept nogil:
    cdef Pending** at = &core.pendings[one.hash & core.pendings_mask]
    while at[0] != NULL:
        if at[0] == one:
            at[0] = one.next
            break
        at = &at[0].next
    core.pendings_count -= 1
    list_remove(one)
    link_forget(one)
    bury(core, one)


cdef void link_forget(Pending* one) noexcept nogil:
    """Out of the list of the requestor's link."""
    if one.link == NULL:
        return
    if one.link_previous != NULL:
        one.link_previous.link_next = one.link_next
    else:
        one.link.asked = one.link_next
    if one.link_next != NULL:
        one.link_next.link_previous = one.link_previous
    one.link = NULL
    one.link_previous = NULL
    one.link_next = NULL


cdef void requests_forgotten(Core* core, Link* link, const char* subject, uint32_t size) noexcept nogil:
    """The link no longer listens on this subject (NULL: on any): requests whose answer nobody would hear end now."""
    cdef Pending* one = link.asked
    cdef Pending* following
    cdef Entry* entry
    cdef char* reply
    cdef uint32_t slot
    while one != NULL:
        following = one.link_next
        reply = pending_name(one) + one.name_size
        if subject == NULL or matches(subject, size, reply, one.reply_size):
            entry = match_lookup(core, one.to, reply, one.reply_size, &slot)
            if entry != NULL and entry.extra == NULL and not (
                    entry.plain_count or entry.remote_count or entry.group_count):
                if one.sampled:
                    pending_report(core, one, 408, NULL)
                pending_remove(core, one)
        if subject == NULL:
            link_forget(one)
        one = following


cdef void pendings_drop(Core* core, Import* of) noexcept nogil:
    """The import ends: nobody waits through it any more."""
    cdef Import** at = &core.busy
    while of.oldest != NULL:
        pending_remove(core, of.oldest)
    while at[0] != NULL:
        if at[0] == of:
            at[0] = of.busy_next
            break
        at = &at[0].busy_next
    of.busy = 0


cdef void pendings_expire(Core* core) noexcept nogil:
    """Take out what waited longer than its import's threshold, and find the next due time."""
    cdef Import** at = &core.busy
    cdef Import* of
    cdef Pending* one
    cdef int64_t due = 0
    while at[0] != NULL:
        of = at[0]
        while of.oldest != NULL and of.oldest.active_ns + of.threshold_ns <= core.now_ns:
            one = of.oldest
            if one.sampled:
                pending_report(core, one, 504, NULL)
            pending_remove(core, one)
        if of.oldest == NULL:
            at[0] = of.busy_next
            of.busy = 0
            continue
        if due == 0 or of.oldest.active_ns + of.threshold_ns < due:
            due = of.oldest.active_ns + of.threshold_ns
        at = &of.busy_next
    if due and due < core.now_ns + EXPIRE_STEP_NS:
        due = core.now_ns + EXPIRE_STEP_NS
    core.pendings_due_ns = due


cdef void pending_report(Core* core, Pending* one, int status, Message* answer) noexcept nogil:
    """What became of a sampled request. An ``answer`` straight from another server: that one tells its half."""
    cdef const char* name = pending_name(one)
    cdef Link* responder = NULL
    cdef uint32_t name_size = 0
    if answer != NULL:
        responder = answer.source
        if one.name_size == TRACKED_SIZE and answer.asked_by == NULL and responder != NULL \
                and responder.kind != KIND_CLIENT:
            name_size = one.name_size
    mail_latency(core, one.of, status, one.requestor, one.requestor_rtt_ns, responder, one.started_ns,
                 core.now_ns - one.started_ns, name + one.name_size + one.reply_size, one.headers_size, name,
                 name_size)


cdef void mail_latency(Core* core, Import* of, int status, uint64_t requestor, int64_t requestor_rtt_ns,
                       Link* responder, int64_t started_ns, int64_t service_ns, const char* headers,
                       uint32_t headers_size, const char* name, uint32_t name_size) noexcept nogil:
    """One sampled request, for the control plane to make a record of; within the mailbox's bound."""
    cdef Mail mail
    if <int64_t>(core.mail.size + core.mail_shared.size) > core.configuration.mailbox_limit:
        core.mailbox_dropped += 1
        return
    mail_begin(&mail, EVENT_LATENCY)
    mail.number[0] = of.id
    mail.number[1] = status
    mail.number[2] = <int64_t>requestor
    mail.number[4] = started_ns
    mail.number[5] = requestor_rtt_ns
    mail.number[7] = service_ns
    if responder != NULL and responder.kind == KIND_CLIENT:
        mail.number[3] = <int64_t>responder.id
        mail.number[6] = responder.rtt_ns
    mail.size[0] = headers_size
    mail.size[1] = name_size
    mail_add(core, &mail, headers, name, NULL, NULL)
