# cython: language_level=3
"""Growable buffers, and the graveyard for what may still be read until the tick ends."""

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from gossamer.mesh.engine.types cimport Buffer, Core, SLACK

cdef inline char* buffer_room(Buffer* buffer, size_t size) noexcept nogil:
    """Room for ``size`` more bytes at the end (and SLACK behind); NULL when memory is out."""
    cdef size_t capacity
    cdef char* data
    if buffer.capacity < buffer.size + size + SLACK:
        capacity = buffer.capacity * 2
        if capacity < buffer.size + size + SLACK:
            capacity = buffer.size + size + SLACK
        if capacity < 256:
            capacity = 256
        data = <char*>realloc(buffer.data, capacity)
        if data == NULL:
            return NULL
        buffer.data = data
        buffer.capacity = capacity
    return buffer.data + buffer.size


cdef inline void buffer_add(Buffer* buffer, const void* data, size_t size) noexcept nogil:
    cdef char* to = buffer_room(buffer, size)
    if to != NULL and size:
        memcpy(to, data, size)
        buffer.size += size


cdef inline void buffer_pointer(Buffer* buffer, void* pointer) noexcept nogil:
    buffer_add(buffer, &pointer, sizeof(void*))


cdef inline void buffer_free(Buffer* buffer) noexcept nogil:
    free(buffer.data)
    buffer.data = NULL
    buffer.size = 0
    buffer.capacity = 0


cdef inline void bury(Core* core, void* memory) noexcept nogil:
    """Free at the end of the tick."""
    if memory != NULL:
        buffer_pointer(&core.grave_plain, memory)


cdef inline uint64_t next_random(Core* core) noexcept nogil:
    """xorshift64*: queue picks and jitter, nothing secret."""
    cdef uint64_t x = core.random
    x ^= x >> 12
    x ^= x << 25
    x ^= x >> 27
    core.random = x
    return x * <uint64_t>0x2545F4914F6CDD1D


cdef inline uint32_t pick(Core* core, uint64_t bound) noexcept nogil:
    """Uniform in 0 .. bound - 1."""
    return <uint32_t>(((next_random(core) >> 32) * bound) >> 32)
