# cython: language_level=3
from libc.stdint cimport uint32_t, uint64_t
from libc.string cimport memchr

from gossamer.mesh.engine.text cimport hash_bytes
from gossamer.mesh.engine.types cimport GENERATIONS, Account, Core, Entry

cdef Entry* entry_build(Core* core, Account* account, const char* subject, uint32_t size, uint64_t hash) noexcept nogil


cdef inline uint32_t first_token_slot(const char* subject, uint32_t size) noexcept nogil:
    cdef const char* dot = <const char*>memchr(subject, 46, size)
    if dot != NULL:
        size = <uint32_t>(dot - subject)
    return <uint32_t>(hash_bytes(subject, size, 0) & (GENERATIONS - 1))
