# cython: language_level=3
"""Chunks of blocks, and the blocks that may still be read until the tick ends (``blocks.pxd`` has the rest)."""

from libc.stdint cimport uint8_t, uint32_t
from libc.stdlib cimport free, malloc
from libc.string cimport memset

from gossamer.mesh.engine.memory cimport buffer_add, buffer_free
from gossamer.mesh.engine.types cimport SLACK, Core

cdef extern from "<stdlib.h>" nogil:
    int posix_memalign(void** at, size_t alignment, size_t size)

cdef extern from "<sys/mman.h>" nogil:
    int madvise(void* at, size_t size, int advice)
    int MADV_HUGEPAGE

cdef enum:
    CHUNK_HEAD = 64             # the chunk before it
    FIRST_CHUNK_BYTES = 65536   # a node with little interest stays small: each chunk is twice the one before
    HUGE_CHUNK_BYTES = 2097152  # a huge page, which is the largest

cdef struct Grave:
    void* block
    size_t size


cdef uint8_t chunk_add(Core* core) noexcept nogil:
    cdef size_t size = core.block_chunk_size * 2 if core.block_chunk_size else FIRST_CHUNK_BYTES
    cdef void* chunk = NULL
    if size >= HUGE_CHUNK_BYTES:
        size = HUGE_CHUNK_BYTES
        if posix_memalign(&chunk, HUGE_CHUNK_BYTES, HUGE_CHUNK_BYTES) != 0:
            return 0
        madvise(chunk, HUGE_CHUNK_BYTES, MADV_HUGEPAGE)     # a wish: one fault instead of 512
    else:
        chunk = malloc(size)
        if chunk == NULL:
            return 0
    (<void**>chunk)[0] = core.block_chunks
    core.block_chunks = chunk
    core.block_chunk_size = <uint32_t>size
    core.block_next = <char*>chunk + CHUNK_HEAD
    core.block_end = <char*>chunk + size - SLACK
    return 1


cdef void* block_carve(Core* core, uint32_t size) noexcept nogil:
    """A block from the last chunk, or from a new one; what was left of the last chunk is lost."""
    cdef char* block
    if core.block_chunks == NULL or core.block_next + size > core.block_end:
        if not chunk_add(core):
            return NULL
    block = core.block_next
    core.block_next += size
    memset(block, 0, size)
    return block


cdef void block_bury(Core* core, void* block, uint32_t size) noexcept nogil:
    """Back at the end of the tick."""
    cdef Grave grave
    grave.block = block
    grave.size = size
    buffer_add(&core.grave_blocks, &grave, sizeof(Grave))


cdef void blocks_free_graves(Core* core) noexcept nogil:
    cdef Grave* graves = <Grave*>core.grave_blocks.data
    cdef uint32_t i
    for i in range(<uint32_t>(core.grave_blocks.size // sizeof(Grave))):
        block_give(core, graves[i].block, graves[i].size)
    core.grave_blocks.size = 0


cdef void blocks_destroy(Core* core) noexcept nogil:
    """Every block is gone with its chunk, given back or not."""
    cdef void* chunk = core.block_chunks
    cdef void* before
    blocks_free_graves(core)
    buffer_free(&core.grave_blocks)
    while chunk != NULL:
        before = (<void**>chunk)[0]
        free(chunk)
        chunk = before
    core.block_chunks = NULL
