# cython: language_level=3
"""Subscriptions: made, found by sid, ended; of clients, of routes and of the control plane.

Every change goes through ``enter`` and ``subscription_end``, which keep the trie, the match cache and what other
servers have been told in step.
"""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, realloc
from libc.string cimport memcmp, memcpy, memset

from gossamer.mesh.engine.accounts cimport account_settle
from gossamer.mesh.engine.announce cimport routes_told
from gossamer.mesh.engine.blocks cimport block_bury, block_give, block_take
from gossamer.mesh.engine.gateway cimport gateways_told
from gossamer.mesh.engine.interest cimport (
    group_find,
    group_name,
    interest_add,
    interest_remove,
    terminal_drop,
    terminal_find,
    terminal_reach,
    terminal_subject,
)
from gossamer.mesh.engine.leaf cimport leafs_told
from gossamer.mesh.engine.mailbox cimport mail_denied
from gossamer.mesh.engine.match cimport match_invalidate, match_invalidate_all, match_prefetch
from gossamer.mesh.engine.memory cimport buffer_add
from gossamer.mesh.engine.output cimport output_error
from gossamer.mesh.engine.permission cimport may_subscribe
from gossamer.mesh.engine.quoting cimport buffer_quoted
from gossamer.mesh.engine.rights cimport may_export
from gossamer.mesh.engine.subject cimport subject_valid, token_count
from gossamer.mesh.engine.text cimport hash_bytes
from gossamer.mesh.engine.transform cimport program_narrow
from gossamer.mesh.engine.types cimport (
    ACTION_SUBSCRIBE,
    BY_HUB,
    BY_LEAF,
    HERE,
    RECEIVER_LINK,
    RECEIVER_MAILBOX,
    RECEIVER_NOBODY,
    RECEIVER_SERVICE,
    RECEIVER_SHADOW,
    UNTOLD,
    Account,
    Core,
    Group,
    Import,
    Link,
    Subscription,
    Terminal,
)

cdef enum:
    FEW = 8                     # so many are found by walking the link's list


cdef inline uint32_t sid_hash(const char* sid, uint32_t size) noexcept nogil:
    return <uint32_t>hash_bytes(sid, size, 0)


cdef Subscription* sid_find(Link* link, const char* sid, uint32_t size) noexcept nogil:
    cdef Subscription* one
    cdef uint32_t hash = sid_hash(sid, size)
    if link.sid_table != NULL:
        one = link.sid_table[hash & link.sid_mask]
    else:
        one = link.subscriptions
    while one != NULL:
        if one.sid_hash == hash and one.sid_size == size + 1 and memcmp(sid_text(one) + 1, sid, size) == 0:
            return one
        one = one.sid_next if link.sid_table != NULL else one.next
    return NULL


cdef void sid_table_grow(Link* link) noexcept nogil:
    cdef uint32_t mask = 31 if link.sid_table == NULL else link.sid_mask * 2 + 1
    cdef Subscription** table = <Subscription**>calloc(mask + 1, sizeof(Subscription*))
    cdef Subscription* one = link.subscriptions
    if table == NULL:
        return
    while one != NULL:
        one.sid_next = table[one.sid_hash & mask]
        table[one.sid_hash & mask] = one
        one = one.next
    free(link.sid_table)
    link.sid_table = table
    link.sid_mask = mask


cdef void list_add(Link* link, Subscription* one) noexcept nogil:
    one.next = link.subscriptions
    if one.next != NULL:
        one.next.previous = one
    link.subscriptions = one
    link.subscription_count += 1
    if one.sid_size == 0:
        return
    if link.sid_table != NULL:
        if link.subscription_count > link.sid_mask:
            sid_table_grow(link)
        else:
            one.sid_next = link.sid_table[one.sid_hash & link.sid_mask]
            link.sid_table[one.sid_hash & link.sid_mask] = one
    elif link.subscription_count > FEW:
        sid_table_grow(link)


cdef void list_remove(Link* link, Subscription* one) noexcept nogil:
    cdef Subscription** at
    if one.previous != NULL:
        one.previous.next = one.next
    else:
        link.subscriptions = one.next
    if one.next != NULL:
        one.next.previous = one.previous
    link.subscription_count -= 1
    if link.sid_table != NULL and one.sid_size:
        at = &link.sid_table[one.sid_hash & link.sid_mask]
        while at[0] != NULL:
            if at[0] == one:
                at[0] = one.sid_next
                break
            at = &at[0].sid_next
        if link.subscription_count == 0:
            free(link.sid_table)
            link.sid_table = NULL


cdef inline uint8_t counted(Subscription* one) noexcept nogil:
    """Is it somebody's? (A service import's place, or what only leaf nodes are told of, is nobody's.)"""
    return one.receiver != RECEIVER_SERVICE and one.receiver != RECEIVER_NOBODY


cdef Subscription* subscription_make(Core* core, uint8_t receiver, uint8_t remote, uint32_t sid_size) noexcept nogil:
    """One that is nowhere yet, with ``sid_size`` bytes for " sid"; NULL when memory is out."""
    cdef Subscription* one = <Subscription*>block_take(core, sizeof(Subscription) + sid_size)
    if one == NULL:
        return NULL
    one.receiver = receiver
    one.remote = remote
    one.sid_size = <uint16_t>sid_size
    one.weight = 1
    return one


cdef void subscription_discard(Core* core, Subscription* one) noexcept nogil:
    """Of one that came nowhere."""
    block_give(core, one, sizeof(Subscription) + one.sid_size)


cdef uint8_t enter(Core* core, Account* account, Subscription* one, const char* subject, uint32_t size,
                   const char* queue, uint32_t queue_size) noexcept nogil:
    """Into the trie; the cache and other servers learn of it, and stream imports take it up. 0: too many tokens, or
    memory is out, and the subscription is gone."""
    match_prefetch(core, account, subject, size)
    return enter_at(core, account, terminal_reach(core, account, subject, size), one, queue, queue_size)


cdef uint8_t enter_at(Core* core, Account* account, Terminal* terminal, Subscription* one, const char* queue,
                      uint32_t queue_size) noexcept nogil:
    if terminal == NULL or not interest_add(core, account, terminal, one, queue, queue_size):
        subscription_discard(core, one)
        return 0
    core.subscriptions += counted(one)
    match_invalidate(core, account, terminal_subject(terminal), terminal.subject_size)
    if one.remote == HERE or one.remote == BY_LEAF:
        one.made_ns = core.now_ns
        account.subscribed_ns = core.now_ns
    tell(core, account, one, terminal, one.group, 1)
    if account.streams != NULL:
        shadows_make(core, account, one)
    return 1


cdef void tell(Core* core, Account* account, Subscription* one, Terminal* terminal, Group* group,
               uint8_t added) noexcept nogil:
    """Other servers learn that it came or went."""
    if account.routes_count and (one.remote == HERE or one.remote == BY_LEAF):
        routes_told(core, account, one, terminal, group, added)
    if core.inbounds.size and one.remote <= BY_LEAF and one.remote != UNTOLD:
        gateways_told(core, account, terminal, group, added)
    if account.leafs_count:
        leafs_told(core, account, one, terminal, group, added)


# --- shadows in exporting accounts ------------------------------------------------------------------------------------


cdef void shadow_make(Core* core, Import* through, Subscription* of) noexcept nogil:
    """Interest in the exporting account for a subscription that wants something of what is imported."""
    cdef Subscription* one
    cdef char* queue = NULL
    cdef uint32_t queue_size = 0
    if of.receiver > RECEIVER_MAILBOX or of.terminal == NULL \
            or not (of.remote == HERE or of.remote == BY_LEAF or of.remote == BY_HUB):
        return
    core.scratch_text.size = 0
    if not program_narrow(through.program, through.subject, through.subject_size, terminal_subject(of.terminal),
                          of.terminal.subject_size, &core.scratch_text):
        return
    one = subscription_make(core, RECEIVER_SHADOW, HERE, 0)
    if one == NULL:
        return
    one.target = through
    one.shadow_of = of
    if of.group != NULL:
        queue = group_name(of.group)
        queue_size = of.group.name_size
    if not enter(core, through.exporter, one, core.scratch_text.data, <uint32_t>core.scratch_text.size, queue,
                 queue_size):
        return
    one.shadow_next = of.shadows
    of.shadows = one


cdef void shadows_make(Core* core, Account* account, Subscription* of) noexcept nogil:
    cdef Import* through = account.streams
    while through != NULL:
        shadow_make(core, through, of)
        through = through.stream_next


cdef void shadows_of_end(Core* core, Import* through, Subscription* of) noexcept nogil:
    """End the subscription's shadows for this import; NULL: all."""
    cdef Subscription** at = &of.shadows
    cdef Subscription* one
    while at[0] != NULL:
        one = at[0]
        if through != NULL and one.target != through:
            at = &one.shadow_next
            continue
        at[0] = one.shadow_next
        subscription_end(core, one)


cdef void subscription_end(Core* core, Subscription* one) noexcept nogil:
    """Take it out of everything; the struct stays readable until the tick ends."""
    cdef Terminal* terminal = one.terminal
    if one.closed:
        return
    one.closed = 1
    if terminal != NULL:
        match_invalidate(core, one.account, terminal_subject(terminal), terminal.subject_size)
        interest_remove(core, one)
        core.subscriptions -= counted(one)
        tell(core, one.account, one, terminal, one.group, 0)
    if one.shadows != NULL:
        shadows_of_end(core, NULL, one)
    if one.link != NULL:
        list_remove(one.link, one)
    elif one.handle:
        core.own[one.handle] = NULL
    block_bury(core, one, sizeof(Subscription) + one.sid_size)


cdef void subscriptions_end_all(Core* core, Link* link) noexcept nogil:
    while link.subscriptions != NULL:
        subscription_end(core, link.subscriptions)


# --- clients ----------------------------------------------------------------------------------------------------------


cdef void deny(Core* core, Link* link, char* subject, uint32_t size, char* queue, uint32_t queue_size,
               const char* ending, uint32_t ending_size) noexcept nogil:
    """``Permissions Violation for Subscription to "<subject>"[ using queue "<queue>"]<ending>``."""
    core.line.size = 0
    buffer_add(&core.line, b"Permissions Violation for Subscription to ", 42)
    buffer_quoted(&core.line, subject, size)
    if queue_size:
        buffer_add(&core.line, b" using queue ", 13)
        buffer_quoted(&core.line, queue, queue_size)
    buffer_add(&core.line, ending, ending_size)
    output_error(core, link, core.line.data, <uint32_t>core.line.size)
    mail_denied(core, link, ACTION_SUBSCRIBE, subject, size, queue, queue_size)


cdef uint8_t client_subscribe(Core* core, Link* link, char* subject, uint32_t size, char* queue, uint32_t queue_size,
                              char* sid, uint32_t sid_size) noexcept nogil:
    """SUB: the checks in nats-server's order (client-protocol section 8); 1 if ``+OK`` is due."""
    cdef Subscription* one
    cdef int64_t limit
    cdef char* text
    if link.permission != NULL and not may_subscribe(link.permission, subject, size, queue, queue_size,
                                                     core.configuration.literal_wildcards != 0):
        deny(core, link, subject, size, queue, queue_size, NULL, 0)
        return 0
    if queue_size == 5 and memcmp(queue, b"_sys_", 5) == 0:
        deny(core, link, subject, size, queue, queue_size, NULL, 0)
        return 0
    limit = core.configuration.max_subscription_tokens
    if limit > 0 and token_count(subject, size) > limit:
        deny(core, link, subject, size, NULL, 0, b", too many tokens", 17)
        return 0
    limit = core.configuration.max_subscriptions
    if limit <= 0:
        limit = -1
    if link.max_subscriptions >= 0 and (limit < 0 or link.max_subscriptions < limit):
        limit = link.max_subscriptions
    if limit >= 0 and link.subscription_count >= limit:
        output_error(core, link, b"maximum subscriptions exceeded", 30)
        return 0
    if sid_find(link, sid, sid_size) != NULL:
        return 1
    if not subject_valid(subject, size):
        output_error(core, link, b"Invalid Subject", 15)
        return 0
    one = subscription_make(core, RECEIVER_LINK, HERE, sid_size + 1)
    if one == NULL:
        return 0
    one.link = link
    one.sid_hash = sid_hash(sid, sid_size)
    text = sid_text(one)
    text[0] = 32
    memcpy(text + 1, sid, sid_size)
    if not enter(core, link.account, one, subject, size, queue, queue_size):
        output_error(core, link, b"Invalid Subject", 15)
        return 0
    list_add(link, one)
    return 1


cdef void client_unsubscribe(Core* core, Link* link, char* sid, uint32_t sid_size, int64_t max) noexcept nogil:
    """UNSUB: ``max`` -1 when absent or not a number."""
    cdef Subscription* one = sid_find(link, sid, sid_size)
    if one == NULL:
        return
    if max > 0 and <uint64_t>max > one.delivered:
        one.max = <uint64_t>max
        return
    subscription_end(core, one)


cdef void subscriptions_recheck(Core* core, Link* link) noexcept nogil:
    """The link's permissions changed: end what is no longer allowed, each with its -ERR (section 13)."""
    cdef Subscription* one = link.subscriptions
    cdef Subscription* following
    cdef char* queue
    cdef uint32_t queue_size
    match_invalidate_all(link.account)
    while one != NULL:
        following = one.next
        queue = NULL
        queue_size = 0
        if one.group != NULL:
            queue = group_name(one.group)
            queue_size = one.group.name_size
        if link.permission != NULL and one.terminal != NULL and not may_subscribe(
                link.permission, terminal_subject(one.terminal), one.terminal.subject_size, queue, queue_size,
                core.configuration.literal_wildcards != 0):
            core.line_other.size = 0
            buffer_add(&core.line_other, b" (sid ", 6)
            buffer_quoted(&core.line_other, sid_text(one) + 1, one.sid_size - 1)
            buffer_add(&core.line_other, b")", 1)
            deny(core, link, terminal_subject(one.terminal), one.terminal.subject_size, queue, queue_size,
                 core.line_other.data, <uint32_t>core.line_other.size)
            subscription_end(core, one)
        one = following


cdef void exports_recheck(Core* core, Link* link) noexcept nogil:
    """The route has other permissions: end what its peer may no longer want of us."""
    cdef Subscription* one = link.subscriptions
    cdef Subscription* following
    while one != NULL:
        following = one.next
        if one.terminal != NULL and not may_export(link, terminal_subject(one.terminal), one.terminal.subject_size):
            subscription_end(core, one)
        one = following


# --- the control plane's own ------------------------------------------------------------------------------------------


cdef void own_subscribe(Core* core, Account* account, char* subject, uint32_t size, char* queue, uint32_t queue_size,
                        uint64_t handle, uint8_t receiver) noexcept nogil:
    """``RECEIVER_MAILBOX``, or ``RECEIVER_NOBODY`` for one that only leaf nodes are told of."""
    cdef Subscription* one
    cdef Subscription** grown
    cdef uint32_t capacity
    if not subject_valid(subject, size):
        return
    if handle >= core.own_capacity:
        capacity = core.own_capacity * 2 if core.own_capacity else 64
        if capacity <= handle:
            capacity = <uint32_t>handle + 64
        grown = <Subscription**>realloc(core.own, capacity * sizeof(Subscription*))
        if grown == NULL:
            return
        memset(grown + core.own_capacity, 0, (capacity - core.own_capacity) * sizeof(Subscription*))
        core.own = grown
        core.own_capacity = capacity
    one = subscription_make(core, receiver, HERE if receiver == RECEIVER_MAILBOX else UNTOLD, 0)
    if one == NULL:
        return
    one.handle = handle
    if enter(core, account, one, subject, size, queue, queue_size):
        core.own[handle] = one


cdef void own_unsubscribe(Core* core, uint64_t handle) noexcept nogil:
    cdef Account* account
    if handle < core.own_capacity and core.own[handle] != NULL:
        account = core.own[handle].account
        subscription_end(core, core.own[handle])
        account_settle(core, account)


# --- learned from other servers ---------------------------------------------------------------------------------------


cdef inline uint8_t is_from(Subscription* one, Link* link, uint32_t origin) noexcept nogil:
    return one.link == link and (one.origin == origin or (origin == ANY_ORIGIN and one.origin != 0))


cdef Subscription* remote_at(Terminal* terminal, Link* link, char* queue, uint32_t queue_size,
                             uint32_t origin) noexcept nogil:
    cdef Group* group
    cdef uint32_t i
    if queue_size == 0:
        for i in range(terminal.plain_count):
            if is_from(terminal.plain[i], link, origin):
                return terminal.plain[i]
        return NULL
    group = group_find(terminal, queue, queue_size)
    if group != NULL:
        for i in range(group.count):
            if is_from(group.members[i], link, origin):
                return group.members[i]
    return NULL


cdef Subscription* remote_find(Link* link, Account* account, char* subject, uint32_t size, char* queue,
                               uint32_t queue_size, uint32_t origin) noexcept nogil:
    cdef Terminal* terminal = terminal_find(account, subject, size)
    return NULL if terminal == NULL else remote_at(terminal, link, queue, queue_size, origin)


cdef void remote_subscribe(Core* core, Link* link, Account* account, char* subject, uint32_t size, char* queue,
                           uint32_t queue_size, uint32_t weight, uint32_t origin, uint8_t remote) noexcept nogil:
    """RS+ or LS+: repeated ones are one; the newest weight counts (routes section 11)."""
    cdef Subscription* one
    cdef Terminal* terminal
    if not subject_valid(subject, size):
        return
    match_prefetch(core, account, subject, size)
    terminal = terminal_reach(core, account, subject, size)
    if terminal == NULL:
        return
    one = remote_at(terminal, link, queue, queue_size, origin)
    if one != NULL:
        if one.weight != weight:
            one.weight = weight
            match_invalidate(core, account, subject, size)
            if account.leafs_count and one.group != NULL:
                leafs_told(core, account, one, one.terminal, one.group, 1)
            if account.routes_count and one.group != NULL and remote == BY_LEAF:
                routes_told(core, account, one, one.terminal, one.group, 1)
        return
    one = subscription_make(core, RECEIVER_LINK, remote, 0)
    if one == NULL:
        terminal_drop(core, account, terminal)
        return
    one.link = link
    one.origin = origin
    one.weight = weight
    if enter_at(core, account, terminal, one, queue, queue_size):
        list_add(link, one)


cdef void remote_unsubscribe(Core* core, Link* link, Account* account, char* subject, uint32_t size, char* queue,
                             uint32_t queue_size, uint32_t origin) noexcept nogil:
    cdef Subscription* one = remote_find(link, account, subject, size, queue, queue_size, origin)
    if one != NULL:
        subscription_end(core, one)
