# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from gossamer.mesh.engine.types cimport Account, Core, Link

cdef Account* account_find(Core* core, const char* name, uint32_t size) noexcept nogil
cdef Account* account_enter(Core* core, uint32_t id, const char* name, uint32_t size, uint8_t dedicated,
                            uint8_t system) noexcept nogil
cdef Account* account_by_id(Core* core, uint64_t id) noexcept nogil
cdef Account* account_from_route(Core* core, Link* link, const char* name, uint32_t size) noexcept nogil
cdef void account_settle(Core* core, Account* account) noexcept nogil
cdef void accounts_destroy(Core* core) noexcept nogil
