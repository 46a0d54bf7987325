# cython: language_level=3
"""Records from the engine to the control plane.

A tick appends to a buffer of its own; at the tick's end the buffer changes hands under a lock and one eventfd wakes the
other side, once for however many records. The control plane decodes them in ``core.pyx``.
"""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset
from posix.unistd cimport write

from gossamer.mesh.engine.memory cimport buffer_add, buffer_room
from gossamer.mesh.engine.types cimport DENIED_PER_SECOND, EVENT_DENIED, Buffer, Core, Link, Mail, pthread_mutex_t

cdef extern from "<pthread.h>" nogil:
    int pthread_mutex_lock(pthread_mutex_t* mutex)
    int pthread_mutex_unlock(pthread_mutex_t* mutex)


cdef void mail_begin(Mail* mail, int kind) noexcept nogil:
    memset(mail, 0, sizeof(Mail))
    mail.kind = kind


cdef char* mail_add(Core* core, Mail* mail, const void* t0, const void* t1, const void* t2,
                    const void* t3) noexcept nogil:
    """Append the record and its texts (``mail.size`` says how long each is; NULL: the caller fills it in). Returns
    where the texts start, NULL when memory is out."""
    cdef size_t texts = <size_t>mail.size[0] + mail.size[1] + mail.size[2] + mail.size[3]
    cdef size_t total = sizeof(Mail) + ((texts + 7) & ~(<size_t>7))
    cdef char* to = buffer_room(&core.mail, total)
    cdef char* text
    if to == NULL:
        return NULL
    memcpy(to, mail, sizeof(Mail))
    text = to + sizeof(Mail)
    if t0 != NULL:
        memcpy(text, t0, mail.size[0])
    if t1 != NULL:
        memcpy(text + mail.size[0], t1, mail.size[1])
    if t2 != NULL:
        memcpy(text + mail.size[0] + mail.size[1], t2, mail.size[2])
    if t3 != NULL:
        memcpy(text + mail.size[0] + mail.size[1] + mail.size[2], t3, mail.size[3])
    core.mail.size += total
    return text


cdef void mail_flush(Core* core) noexcept nogil:
    """Hand the records over; at the end of a tick."""
    cdef Buffer handed
    cdef uint64_t one = 1
    cdef bint wake
    if core.mail.size == 0:
        return
    pthread_mutex_lock(&core.mail_lock)
    wake = core.mail_shared.size == 0
    if wake:
        handed = core.mail_shared
        core.mail_shared = core.mail
        core.mail = handed
    else:
        buffer_add(&core.mail_shared, core.mail.data, core.mail.size)
    pthread_mutex_unlock(&core.mail_lock)
    core.mail.size = 0
    if wake:
        write(core.event_descriptor, &one, 8)


cdef void mail_denied(Core* core, Link* link, int action, const char* subject, size_t subject_size, const char* queue,
                      size_t queue_size) noexcept nogil:
    """Report a permissions violation, at most DENIED_PER_SECOND of them."""
    cdef Mail mail
    cdef int64_t second = core.now_ns // 1000000000
    if second != core.denied_second:
        core.denied_second = second
        core.denied_in_second = 0
    if core.denied_in_second >= DENIED_PER_SECOND:
        core.denied_skipped += 1
        return
    core.denied_in_second += 1
    mail_begin(&mail, EVENT_DENIED)
    mail.number[0] = link.id
    mail.number[1] = action
    mail.number[2] = core.denied_skipped
    mail.size[0] = <uint32_t>subject_size
    mail.size[1] = <uint32_t>queue_size
    core.denied_skipped = 0
    mail_add(core, &mail, subject, queue, NULL, NULL)
