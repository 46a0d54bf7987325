# cython: language_level=3
"""What may cross a leaf link (leafnodes section 10) and a route (routes section 15).

A leaf link's permission set is that of the leaf's user as of a client: *publish* is what the leaf sends to the hub,
*subscribe* what the hub sends to the leaf. Which of the two is ours to send and which ours to take depends on our role.

A route's set is the cluster's: *publish* is what may be imported, which is what the peer is told of; *subscribe* is
what may be exported, which is what the peer may want of us. Messages are not judged when they arrive.
"""

from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp

from gossamer.mesh.engine.match cimport match_may_pass
from gossamer.mesh.engine.permission cimport (
    list_lets_pass,
    list_lets_some,
    may_publish,
    may_subscribe,
    reply_allowed,
)
from gossamer.mesh.engine.subject cimport subject_wildcard
from gossamer.mesh.engine.types cimport Core, Entry, Link, Permission


cdef inline uint8_t begins(const char* text, uint32_t size, const char* prefix, uint32_t prefix_size) noexcept nogil:
    return size > prefix_size and memcmp(text, prefix, prefix_size) == 0


cdef inline uint8_t internal(const char* subject, uint32_t size) noexcept nogil:
    """Subjects of servers among themselves: never asked for."""
    return begins(subject, size, b"$LDS.", 5) or begins(subject, size, b"_GR_.", 5) or begins(subject, size, b"$GR.", 4)


cdef uint8_t may_announce(Link* link, Permission* permission, const char* subject, uint32_t size, const char* queue,
                          uint32_t queue_size) noexcept nogil:
    """Is the peer told that we want this? A wildcard is refused only if nothing of it is allowed, or all denied."""
    if permission == NULL or internal(subject, size):
        return 1
    if link.route.spoke:
        return list_lets_some(&permission.subscribe_allow, &permission.subscribe_deny, subject, size, queue, queue_size)
    return list_lets_some(&permission.publish_allow, &permission.publish_deny, subject, size, NULL, 0)


cdef uint8_t may_learn(Link* link, const char* subject, uint32_t size, const char* queue,
                       uint32_t queue_size) noexcept nogil:
    """May the leaf want this of us, its hub? What it asks for with wildcards is filtered message by message."""
    cdef Permission* permission = link.permission
    if permission == NULL or link.route.spoke or internal(subject, size) or subject_wildcard(subject, size):
        return 1
    return list_lets_pass(&permission.subscribe_allow, &permission.subscribe_deny, subject, size, queue, queue_size)


cdef uint8_t may_import(Permission* permission, const char* subject, uint32_t size) noexcept nogil:
    """Is the peer of a route told that we want this? Wildcards are compared as tokens: a wider pattern than is allowed
    is refused, one that a denied subject is part of is not."""
    return permission == NULL or may_publish(permission, subject, size)


cdef uint8_t may_export(Link* link, const char* subject, uint32_t size) noexcept nogil:
    """May the peer of a route want this of us?"""
    return link.permission == NULL or may_subscribe(link.permission, subject, size, NULL, 0, 1)


cdef uint8_t may_send(Link* link, Entry* entry, const char* subject, uint32_t size) noexcept nogil:
    """Does a message go over this link? ``entry``: the subject's, where the verdict is remembered; or NULL."""
    if link.permission == NULL or internal(subject, size):
        return 1
    return match_may_pass(entry, link.permission, link.route.spoke, subject, size)


cdef uint8_t may_take(Core* core, Link* link, Entry* entry, const char* subject, uint32_t size) noexcept nogil:
    """May the peer have sent this message?"""
    if link.permission == NULL or internal(subject, size) or begins(subject, size, b"_R_.", 4) \
            or begins(subject, size, b"$JS.ACK.", 8):
        return 1
    if match_may_pass(entry, link.permission, not link.route.spoke, subject, size):
        return 1
    return link.permission.response_max != 0 and reply_allowed(core, link, subject, size)
