# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from gossamer.mesh.engine.types cimport Account, Core, Group, Subscription, Terminal

cdef Account* account_make(Core* core, const char* name, uint32_t size) noexcept nogil
cdef void account_free(Core* core, Account* account) noexcept nogil
cdef uint8_t interest_add(Core* core, Account* account, Terminal* terminal, Subscription* subscription,
                          const char* queue, uint32_t queue_size) noexcept nogil
cdef void interest_remove(Core* core, Subscription* subscription) noexcept nogil
cdef Group* group_find(Terminal* terminal, const char* queue, uint32_t queue_size) noexcept nogil
cdef Terminal* terminal_reach(Core* core, Account* account, const char* subject, uint32_t size) noexcept nogil
cdef void terminal_drop(Core* core, Account* account, Terminal* terminal) noexcept nogil
cdef Terminal* terminal_find(Account* account, const char* subject, uint32_t size) noexcept nogil

cdef inline char* terminal_subject(Terminal* terminal) noexcept nogil:
    return <char*>(terminal + 1)

cdef inline char* group_name(Group* group) noexcept nogil:
    return <char*>(group + 1)
