# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t, uint64_t

from gossamer.mesh.engine.types cimport SPECIAL_CLOSING, STATE_CLOSING, Chunk, Core, Link

cdef char* reserve_slow(Core* core, Link* link, uint64_t size) noexcept nogil
cdef void output_add(Core* core, Link* link, const char* text, uint64_t size) noexcept nogil
cdef void output_error(Core* core, Link* link, const char* text, uint32_t size) noexcept nogil
cdef void output_share(Core* core, Link* link, char* text, uint32_t size) noexcept nogil
cdef void output_as_is(Core* core, Link* link) noexcept nogil
cdef void output_flush(Core* core, Link* link) noexcept nogil
cdef void output_flush_all(Core* core) noexcept nogil
cdef void output_writable(Core* core, Link* link) noexcept nogil
cdef void output_drop(Core* core, Link* link) noexcept nogil
cdef void output_destroy(Core* core) noexcept nogil
cdef void link_doom(Core* core, Link* link, int reason, const char* error, uint32_t error_size,
                    uint8_t flush) noexcept nogil
cdef void link_unstall(Core* core, Link* receiver) noexcept nogil
cdef void link_ready(Core* core, Link* link) noexcept nogil


cdef inline void mark_dirty(Core* core, Link* link) noexcept nogil:
    if not link.dirty:
        link.dirty = 1
        link.dirty_next = NULL
        if core.dirty_last == NULL:
            core.dirty_first = link
        else:
            core.dirty_last.dirty_next = link
        core.dirty_last = link
        core.dirty_count += 1


cdef inline char* reserve(Core* core, Link* link, uint64_t size) noexcept nogil:
    """Room for ``size`` output bytes in one run, with SLACK behind; NULL: the link was doomed instead."""
    cdef Chunk* chunk = link.out_tail
    if chunk != NULL and chunk.capacity - chunk.end >= size:
        return <char*>(chunk + 1) + chunk.end
    return reserve_slow(core, link, size)


cdef inline void commit(Core* core, Link* link, uint32_t size) noexcept nogil:
    """The reserved bytes are written."""
    link.out_tail.end += size
    link.pending += size
    core.unflushed += size
    mark_dirty(core, link)
