# cython: language_level=3
from libc.stdint cimport int64_t, uint8_t, uint32_t

from gossamer.mesh.engine.types cimport Core, Link, Message, PatternList, Permission, Subscription

cdef int pattern_list_set(PatternList* target, object entries) except -1
cdef void permission_keep(Permission* permission) noexcept nogil
cdef void permission_leave(Permission* permission) noexcept nogil
cdef void permission_free(Permission* permission) noexcept nogil
cdef uint8_t may_publish(Permission* permission, const char* subject, uint32_t size) noexcept nogil
cdef uint8_t may_hear(Permission* permission, const char* subject, uint32_t size) noexcept nogil
cdef uint8_t list_lets_pass(PatternList* allow, PatternList* deny, const char* subject, uint32_t size,
                            const char* queue, uint32_t queue_size) noexcept nogil
cdef uint8_t list_lets_some(PatternList* allow, PatternList* deny, const char* subject, uint32_t size,
                            const char* queue, uint32_t queue_size) noexcept nogil
cdef uint8_t may_subscribe(Permission* permission, const char* subject, uint32_t size, const char* queue,
                           uint32_t queue_size, uint8_t literal_wildcards) noexcept nogil
cdef uint8_t delivery_denied(Permission* permission, const char* subject, uint32_t size, const char* queue,
                             uint32_t queue_size) noexcept nogil
cdef void reply_remember(Core* core, Link* link, const char* reply, uint32_t size) noexcept nogil
cdef uint8_t reply_allowed(Core* core, Link* link, const char* subject, uint32_t size) noexcept nogil
cdef void replies_free(Link* link) noexcept nogil
