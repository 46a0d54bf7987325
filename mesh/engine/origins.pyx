# cython: language_level=3
"""The names of leaf clusters, numbered: interest and messages carry the number."""

from libc.stdint cimport uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcmp, memcpy

from gossamer.mesh.engine.memory cimport buffer_free, buffer_pointer
from gossamer.mesh.engine.text cimport hash_bytes
from gossamer.mesh.engine.types cimport ORIGIN_BUCKETS, Core, Origin

cdef enum:
    ORIGINS_MAX = 65536


cdef uint32_t origin_number(Core* core, const char* name, uint32_t size) noexcept nogil:
    """The number of the name, 0 when there are too many."""
    cdef Origin** bucket = &core.origin_buckets[hash_bytes(name, size, 0) & (ORIGIN_BUCKETS - 1)]
    cdef Origin* one = bucket[0]
    while one != NULL:
        if one.size == size and memcmp(<char*>(one + 1), name, size) == 0:
            return one.number
        one = one.next
    if core.origins.size // sizeof(void*) >= ORIGINS_MAX:
        return 0
    one = <Origin*>malloc(sizeof(Origin) + size)
    if one == NULL:
        return 0
    memcpy(<char*>(one + 1), name, size)
    one.size = size
    one.number = <uint32_t>(core.origins.size // sizeof(void*)) + 1
    buffer_pointer(&core.origins, one)
    one.next = bucket[0]
    bucket[0] = one
    return one.number


cdef Origin* origin_by_number(Core* core, uint32_t number) noexcept nogil:
    """``number`` is one that was given out."""
    return (<Origin**>core.origins.data)[number - 1]


cdef void origins_destroy(Core* core) noexcept nogil:
    cdef uint32_t i
    for i in range(<uint32_t>(core.origins.size // sizeof(void*))):
        free((<Origin**>core.origins.data)[i])
    buffer_free(&core.origins)
