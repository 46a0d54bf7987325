# cython: language_level=3
from gossamer.mesh.engine.types cimport Core, Link, Mail

cdef void mail_begin(Mail* mail, int kind) noexcept nogil
cdef char* mail_add(Core* core, Mail* mail, const void* t0, const void* t1, const void* t2,
                    const void* t3) noexcept nogil
cdef void mail_flush(Core* core) noexcept nogil
cdef void mail_denied(Core* core, Link* link, int action, const char* subject, size_t subject_size, const char* queue,
                      size_t queue_size) noexcept nogil
