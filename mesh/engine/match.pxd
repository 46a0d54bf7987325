# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from gossamer.mesh.engine.types cimport GENERATIONS, Account, Core, Entry, Permission

cdef enum:
    NO_SLOT = 0xFFFFFFFF

cdef Entry* match_lookup(Core* core, Account* account, const char* subject, uint32_t size,
                         uint32_t* slot) noexcept nogil
cdef Entry* match_again(Core* core, Account* account, const char* subject, uint32_t size,
                        uint32_t* slot) noexcept nogil
cdef void match_prefetch(Core* core, Account* account, const char* subject, uint32_t size) noexcept nogil
cdef void match_invalidate(Core* core, Account* account, const char* subject, uint32_t size) noexcept nogil
cdef void match_invalidate_all(Account* account) noexcept nogil
cdef uint8_t match_may_pass(Entry* entry, Permission* permission, uint8_t publish, const char* subject,
                            uint32_t size) noexcept nogil
cdef void match_free_graves(Core* core) noexcept nogil
cdef void match_destroy(Core* core) noexcept nogil

cdef inline uint8_t entry_valid(Entry* entry) noexcept nogil:
    return entry.generation == entry.account.generation and entry.invalid == 0 \
        and entry.slot_generation == entry.account.generations[entry.slot]


cdef inline uint8_t match_may_publish(Entry* entry, Permission* permission) noexcept nogil:
    return match_may_pass(entry, permission, 1, entry.subject, entry.subject_size)
