# cython: language_level=3
"""Timers: one timing wheel for all links.

A link lies in the slot of its earliest due time; a due time beyond the wheel's turn lies in the farthest slot and is
looked at again when that comes round. Setting a timer is a few pointer writes, and an idle engine sleeps until the
next slot that holds a link.
"""

from libc.stdint cimport int32_t, int64_t

from gossamer.mesh.engine.types cimport STATE_CLOSING, WHEEL_NS, WHEEL_SLOTS, Core, Link

cdef enum:
    CLOSING_WRITE_NS = 2000000000   # how long a closing link may take to be rid of its last bytes


cdef inline int64_t earlier(int64_t one, int64_t other) noexcept nogil:
    if other == 0:
        return one
    if one == 0 or other < one:
        return other
    return one


cdef int64_t link_due(Core* core, Link* link) noexcept nogil:
    """The earliest time at which the link wants to be looked at; 0: never."""
    cdef int64_t due = earlier(link.auth_until_ns, link.expire_at_ns)
    cdef int64_t deadline
    due = earlier(due, link.linger_until_ns)
    if link.state < STATE_CLOSING:
        due = earlier(due, link.ping_at_ns)
    if link.blocked:
        deadline = core.configuration.patience[link.kind].write_deadline_ns
        if link.state >= STATE_CLOSING and (deadline <= 0 or deadline > CLOSING_WRITE_NS):
            deadline = CLOSING_WRITE_NS
        if deadline > 0:
            due = earlier(due, link.blocked_since_ns + deadline)
    return due


cdef void wheel_remove(Core* core, Link* link) noexcept nogil:
    if link.wheel_slot < 0:
        return
    if link.wheel_previous != NULL:
        link.wheel_previous.wheel_next = link.wheel_next
    else:
        core.wheel[link.wheel_slot] = link.wheel_next
    if link.wheel_next != NULL:
        link.wheel_next.wheel_previous = link.wheel_previous
    link.wheel_next = NULL
    link.wheel_previous = NULL
    link.wheel_slot = -1
    core.wheel_count -= 1


cdef void wheel_schedule(Core* core, Link* link) noexcept nogil:
    """Put the link where its earliest due time is; call after any change of one."""
    cdef int64_t due = link_due(core, link)
    cdef int64_t steps
    cdef int32_t slot
    if due == 0:
        wheel_remove(core, link)
        return
    steps = (due + WHEEL_NS - 1) // WHEEL_NS
    if steps <= core.wheel_time:
        steps = core.wheel_time + 1
    elif steps >= core.wheel_time + WHEEL_SLOTS:
        steps = core.wheel_time + WHEEL_SLOTS - 1
    slot = <int32_t>(steps % WHEEL_SLOTS)
    if slot == link.wheel_slot:
        return
    wheel_remove(core, link)
    link.wheel_slot = slot
    link.wheel_next = core.wheel[slot]
    if link.wheel_next != NULL:
        link.wheel_next.wheel_previous = link
    core.wheel[slot] = link
    core.wheel_count += 1


cdef Link* wheel_expired(Core* core) noexcept nogil:
    """Advance to ``now_ns``; links whose slot has come, chained by ``wheel_next`` and out of the wheel. Each may or may
    not be due: ask ``link_due`` and schedule it again."""
    cdef int64_t target = core.now_ns // WHEEL_NS
    cdef Link* chain = NULL
    cdef Link* link
    cdef Link* following
    cdef int64_t turns = 0
    while core.wheel_time < target:
        if core.wheel_count == 0 or turns >= WHEEL_SLOTS:
            core.wheel_time = target
            break
        core.wheel_time += 1
        turns += 1
        link = core.wheel[core.wheel_time % WHEEL_SLOTS]
        core.wheel[core.wheel_time % WHEEL_SLOTS] = NULL
        while link != NULL:
            following = link.wheel_next
            link.wheel_slot = -1
            link.wheel_previous = NULL
            link.wheel_next = chain
            chain = link
            core.wheel_count -= 1
            link = following
    return chain


cdef int64_t wheel_next(Core* core) noexcept nogil:
    """When the next slot that holds a link comes; 0: none does."""
    cdef int64_t step
    if core.wheel_count == 0:
        return 0
    for step in range(core.wheel_time + 1, core.wheel_time + WHEEL_SLOTS + 1):
        if core.wheel[step % WHEEL_SLOTS] != NULL:
            return step * WHEEL_NS
    return 0
