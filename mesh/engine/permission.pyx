# cython: language_level=3
"""Compiled permissions: verdicts on publishing, subscribing and delivery, and the replies a link may answer.

Lists are short and verdicts are kept in match entries, so a list is walked once per subject and permission set, not
once per message. The rules are those of spec auth section 15, with the safe reading of 26.1: a subscription must be
contained in an allow entry (or as nats-server reads it, if so configured). Deny entries read the subscription's text as
a literal, as nats-server does; what they leave through is filtered at delivery.
"""

from libc.stdint cimport uint8_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcmp, memcpy

from gossamer.mesh.engine.subject cimport covers, matches, overlap, subject_wildcard
from gossamer.mesh.engine.text cimport hash_bytes
from gossamer.mesh.engine.types cimport Core, Link, Pattern, PatternList, Permission, Replies, Reply

cdef enum:
    PRUNE_ADDED = 4096
    PRUNE_NS = 1000000000
    REPLIES_MAX = 1048576       # a bound on what a peer can make us keep


cdef int pattern_list_set(PatternList* target, object entries) except -1:
    """Fill the list from ``None`` or a sequence of ``(subject, queue)`` pairs of bytes."""
    cdef Pattern* pattern
    cdef char* text
    target.count = 0
    target.entries = NULL
    target.present = entries is not None
    if entries is None or len(entries) == 0:
        return 0
    target.entries = <Pattern*>calloc(len(entries), sizeof(Pattern))
    if target.entries == NULL:
        raise MemoryError
    for subject, queue in entries:
        text = <char*>malloc(len(subject) + len(queue) + 1)
        if text == NULL:
            raise MemoryError
        memcpy(text, <char*>subject, len(subject))
        memcpy(text + len(subject), <char*>queue, len(queue))
        pattern = &target.entries[target.count]
        pattern.subject = text
        pattern.subject_size = len(subject)
        pattern.queue = text + len(subject)
        pattern.queue_size = len(queue)
        pattern.wildcard = subject_wildcard(text, pattern.subject_size)
        target.count += 1
    return 0


cdef void pattern_list_free(PatternList* target) noexcept nogil:
    cdef uint32_t i
    for i in range(target.count):
        free(target.entries[i].subject)
    free(target.entries)


cdef void permission_keep(Permission* permission) noexcept nogil:
    """One more that reads it: a link, or whoever compares it with the next."""
    if permission != NULL:
        permission.links += 1


cdef void permission_leave(Permission* permission) noexcept nogil:
    """One less; the last one frees a set that was removed."""
    if permission != NULL:
        permission.links -= 1
        if permission.links == 0 and permission.removed:
            permission_free(permission)


cdef void permission_free(Permission* permission) noexcept nogil:
    pattern_list_free(&permission.publish_allow)
    pattern_list_free(&permission.publish_deny)
    pattern_list_free(&permission.subscribe_allow)
    pattern_list_free(&permission.subscribe_deny)
    free(permission)


cdef inline uint8_t pattern_matches(Pattern* pattern, const char* subject, uint32_t size) noexcept nogil:
    if not pattern.wildcard:
        return pattern.subject_size == size and memcmp(pattern.subject, subject, size) == 0
    return matches(pattern.subject, pattern.subject_size, subject, size)


cdef inline uint8_t queue_matches(Pattern* pattern, const char* queue, uint32_t size) noexcept nogil:
    if pattern.queue_size == size and memcmp(pattern.queue, queue, size) == 0:
        return 1
    return matches(pattern.queue, pattern.queue_size, queue, size)


cdef inline uint8_t concerns(Pattern* pattern, const char* queue, uint32_t queue_size) noexcept nogil:
    """Does the entry speak of subscriptions of this queue (none: plain ones)?"""
    return pattern.queue_size == 0 or (queue_size and queue_matches(pattern, queue, queue_size))


cdef uint8_t list_lets_pass(PatternList* allow, PatternList* deny, const char* subject, uint32_t size,
                            const char* queue, uint32_t queue_size) noexcept nogil:
    """A literal subject: some allow entry matches it and no deny entry does."""
    cdef uint32_t i
    cdef uint8_t allowed = not allow.present
    for i in range(allow.count):
        if allowed:
            break
        allowed = concerns(&allow.entries[i], queue, queue_size) and pattern_matches(&allow.entries[i], subject, size)
    if not allowed:
        return 0
    for i in range(deny.count):
        if concerns(&deny.entries[i], queue, queue_size) and pattern_matches(&deny.entries[i], subject, size):
            return 0
    return 1


cdef uint8_t list_lets_some(PatternList* allow, PatternList* deny, const char* subject, uint32_t size,
                            const char* queue, uint32_t queue_size) noexcept nogil:
    """A subject with or without wildcards: something of it is allowed and not all of it denied."""
    cdef uint32_t i
    cdef Pattern* entry
    cdef uint8_t allowed = not allow.present
    for i in range(allow.count):
        if allowed:
            break
        entry = &allow.entries[i]
        allowed = concerns(entry, queue, queue_size) and overlap(entry.subject, entry.subject_size, subject, size)
    if not allowed:
        return 0
    for i in range(deny.count):
        entry = &deny.entries[i]
        if concerns(entry, queue, queue_size) and covers(entry.subject, entry.subject_size, subject, size):
            return 0
    return 1


cdef uint8_t may_publish(Permission* permission, const char* subject, uint32_t size) noexcept nogil:
    """Allow list, then deny list; replies a link may answer are not considered here."""
    return list_lets_pass(&permission.publish_allow, &permission.publish_deny, subject, size, NULL, 0)


cdef uint8_t may_hear(Permission* permission, const char* subject, uint32_t size) noexcept nogil:
    """The same for the other direction."""
    return list_lets_pass(&permission.subscribe_allow, &permission.subscribe_deny, subject, size, NULL, 0)


cdef uint8_t may_subscribe(Permission* permission, const char* subject, uint32_t size, const char* queue,
                           uint32_t queue_size, uint8_t literal_wildcards) noexcept nogil:
    """A queue subscription is allowed by a plain entry, unless matching entries name queues: then by one of those.
    An entry allows what it covers; with ``literal_wildcards`` what it matches with the subscription's wildcards taken
    as tokens, so that ``a.*`` lets through ``a.>``, as nats-server does (auth section 26)."""
    cdef uint32_t i
    cdef Pattern* entry
    cdef uint8_t plain = 0, queued = 0, queue_named = 0, contained
    cdef uint8_t allowed
    if permission.subscribe_allow.present:
        for i in range(permission.subscribe_allow.count):
            entry = &permission.subscribe_allow.entries[i]
            if literal_wildcards:
                contained = pattern_matches(entry, subject, size)
            else:
                contained = covers(entry.subject, entry.subject_size, subject, size)
            if entry.queue_size == 0:
                plain |= contained
            elif queue_size and (contained or pattern_matches(entry, subject, size)):
                # An entry that names queues restricts them even where it is too narrow to allow.
                queued = 1
                queue_named |= contained and queue_matches(entry, queue, queue_size)
        allowed = queue_named if queued else plain
        if not allowed:
            return 0
    return not delivery_denied(permission, subject, size, queue, queue_size)


cdef uint8_t delivery_denied(Permission* permission, const char* subject, uint32_t size, const char* queue,
                             uint32_t queue_size) noexcept nogil:
    """Does a deny entry of the subscribe direction match this subject, taken literally?"""
    cdef uint32_t i
    cdef Pattern* entry
    for i in range(permission.subscribe_deny.count):
        entry = &permission.subscribe_deny.entries[i]
        if entry.queue_size and (queue_size == 0 or not queue_matches(entry, queue, queue_size)):
            continue
        if pattern_matches(entry, subject, size):
            return 1
    return 0


# --- replies (allow_responses) ----------------------------------------------------------------------------------------


cdef void replies_prune(Core* core, Replies* replies) noexcept nogil:
    cdef uint32_t i
    cdef Reply** at
    cdef Reply* gone
    for i in range(replies.mask + 1):
        at = &replies.buckets[i]
        while at[0] != NULL:
            if (at[0].expires_ns and at[0].expires_ns <= core.now_ns) or at[0].left == 0 or replies.count > REPLIES_MAX:
                gone = at[0]
                at[0] = gone.next
                replies.count -= 1
                free(gone)
            else:
                at = &at[0].next
    replies.added = 0
    replies.pruned_ns = core.now_ns


cdef void replies_grow(Replies* replies) noexcept nogil:
    cdef uint32_t mask = replies.mask * 2 + 1
    cdef uint32_t i
    cdef Reply* reply
    cdef Reply* following
    cdef Reply** buckets = <Reply**>calloc(mask + 1, sizeof(Reply*))
    if buckets == NULL:
        return
    for i in range(replies.mask + 1):
        reply = replies.buckets[i]
        while reply != NULL:
            following = reply.next
            reply.next = buckets[reply.hash & mask]
            buckets[reply.hash & mask] = reply
            reply = following
    free(replies.buckets)
    replies.buckets = buckets
    replies.mask = mask


cdef Reply* reply_find(Replies* replies, uint64_t hash, const char* subject, uint32_t size) noexcept nogil:
    cdef Reply* reply = replies.buckets[hash & replies.mask]
    while reply != NULL:
        if reply.hash == hash and reply.size == size and memcmp(<char*>(reply + 1), subject, size) == 0:
            return reply
        reply = reply.next
    return NULL


cdef void reply_remember(Core* core, Link* link, const char* reply, uint32_t size) noexcept nogil:
    """The link was given a message with this reply subject: it may answer, as often and long as its permissions say."""
    cdef Permission* permission = link.permission
    cdef Replies* replies = link.replies
    cdef Reply* entry
    cdef uint64_t hash
    if may_publish(permission, reply, size):
        return
    if replies == NULL:
        replies = <Replies*>calloc(1, sizeof(Replies))
        if replies == NULL:
            return
        replies.buckets = <Reply**>calloc(16, sizeof(Reply*))
        if replies.buckets == NULL:
            free(replies)
            return
        replies.mask = 15
        replies.pruned_ns = core.now_ns
        link.replies = replies
    if replies.added >= PRUNE_ADDED or (replies.added and core.now_ns - replies.pruned_ns >= PRUNE_NS):
        replies_prune(core, replies)
    hash = hash_bytes(reply, size, 0)
    entry = reply_find(replies, hash, reply, size)
    if entry == NULL:
        entry = <Reply*>malloc(sizeof(Reply) + size)
        if entry == NULL:
            return
        memcpy(<char*>(entry + 1), reply, size)
        entry.size = size
        entry.hash = hash
        if replies.count > replies.mask:
            replies_grow(replies)
        entry.next = replies.buckets[hash & replies.mask]
        replies.buckets[hash & replies.mask] = entry
        replies.count += 1
        replies.added += 1
    entry.left = permission.response_max
    entry.expires_ns = 0 if permission.response_ttl_ns < 0 else core.now_ns + permission.response_ttl_ns


cdef uint8_t reply_allowed(Core* core, Link* link, const char* subject, uint32_t size) noexcept nogil:
    """May the link publish to this remembered reply subject? Uses up one of its messages."""
    cdef Reply* entry
    if link.replies == NULL:
        return 0
    entry = reply_find(link.replies, hash_bytes(subject, size, 0), subject, size)
    if entry == NULL or entry.left == 0 or (entry.expires_ns and entry.expires_ns <= core.now_ns):
        return 0
    if entry.left > 0:
        entry.left -= 1
    return 1


cdef void replies_free(Link* link) noexcept nogil:
    cdef uint32_t i
    cdef Reply* reply
    cdef Reply* following
    if link.replies == NULL:
        return
    for i in range(link.replies.mask + 1):
        reply = link.replies.buckets[i]
        while reply != NULL:
            following = reply.next
            free(reply)
            reply = following
    free(link.replies.buckets)
    free(link.replies)
    link.replies = NULL
