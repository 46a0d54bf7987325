# cython: language_level=3
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

from gossamer.mesh.engine.types cimport Account, Core, Import, Link, Subscription

cdef enum:
    ANY_ORIGIN = 0xFFFFFFFE     # of a leaf cluster

cdef uint8_t client_subscribe(Core* core, Link* link, char* subject, uint32_t size, char* queue, uint32_t queue_size,
                              char* sid, uint32_t sid_size) noexcept nogil
cdef Subscription* sid_find(Link* link, const char* sid, uint32_t size) noexcept nogil
cdef void client_unsubscribe(Core* core, Link* link, char* sid, uint32_t sid_size, int64_t max) noexcept nogil
cdef void own_subscribe(Core* core, Account* account, char* subject, uint32_t size, char* queue, uint32_t queue_size,
                        uint64_t handle, uint8_t receiver) noexcept nogil
cdef void own_unsubscribe(Core* core, uint64_t handle) noexcept nogil
cdef void remote_subscribe(Core* core, Link* link, Account* account, char* subject, uint32_t size, char* queue,
                           uint32_t queue_size, uint32_t weight, uint32_t origin, uint8_t remote) noexcept nogil
cdef Subscription* remote_find(Link* link, Account* account, char* subject, uint32_t size, char* queue,
                               uint32_t queue_size, uint32_t origin) noexcept nogil
cdef void remote_unsubscribe(Core* core, Link* link, Account* account, char* subject, uint32_t size, char* queue,
                             uint32_t queue_size, uint32_t origin) noexcept nogil
cdef void subscription_end(Core* core, Subscription* subscription) noexcept nogil
cdef void subscriptions_end_all(Core* core, Link* link) noexcept nogil
cdef void exports_recheck(Core* core, Link* link) noexcept nogil
cdef void subscriptions_recheck(Core* core, Link* link) noexcept nogil
cdef Subscription* subscription_make(Core* core, uint8_t receiver, uint8_t remote, uint32_t sid_size) noexcept nogil
cdef uint8_t enter(Core* core, Account* account, Subscription* one, const char* subject, uint32_t size,
                   const char* queue, uint32_t queue_size) noexcept nogil
cdef void shadow_make(Core* core, Import* through, Subscription* of) noexcept nogil
cdef void shadows_of_end(Core* core, Import* through, Subscription* of) noexcept nogil
cdef void list_add(Link* link, Subscription* one) noexcept nogil


cdef inline char* sid_text(Subscription* subscription) noexcept nogil:
    """" sid", with the blank that stands before it in MSG."""
    return <char*>(subscription + 1)
