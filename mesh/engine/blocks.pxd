# cython: language_level=3
"""Blocks: memory of the many small things that interest is made of (subscriptions, subjects, trie nodes, groups).

They are cut from chunks that belong to the core, by classes of ``BLOCK_STEP`` bytes, and given back to their class. So
a subject costs what it needs, neighbours lie beside each other, and the kernel is asked for megabytes (in huge pages,
where it has them), not for a page at a time. Whoever gives a block back says its size again. ``SLACK`` bytes behind
every block may be read.

Under the address sanitizer each block is an allocation of its own, so that it sees what is used after it was given
back.
"""

from libc.stdint cimport uint32_t
from libc.stdlib cimport calloc, free
from libc.string cimport memset

from gossamer.mesh.engine.types cimport BLOCK_CLASSES, BLOCK_STEP, SLACK, Core

cdef extern from *:
    """
    #if defined(__SANITIZE_ADDRESS__)
    #define GOSSAMER_BLOCKS_APART 1
    #else
    #define GOSSAMER_BLOCKS_APART 0
    #endif
    """
    int BLOCKS_APART "GOSSAMER_BLOCKS_APART"

cdef void* block_carve(Core* core, uint32_t size) noexcept nogil
cdef void block_bury(Core* core, void* block, uint32_t size) noexcept nogil
cdef void blocks_free_graves(Core* core) noexcept nogil
cdef void blocks_destroy(Core* core) noexcept nogil


cdef inline uint32_t block_class(size_t size) noexcept nogil:
    return <uint32_t>((size + BLOCK_STEP - 1) // BLOCK_STEP)


cdef inline void* block_take(Core* core, size_t size) noexcept nogil:
    """``size`` bytes of zero, aligned to BLOCK_STEP; NULL when memory is out."""
    cdef uint32_t which = block_class(size)
    cdef void* block
    if BLOCKS_APART or which >= BLOCK_CLASSES:
        return calloc(1, size + SLACK)
    block = core.free_blocks[which]
    if block == NULL:
        return block_carve(core, which * BLOCK_STEP)
    core.free_blocks[which] = (<void**>block)[0]
    memset(block, 0, which * BLOCK_STEP)
    return block


cdef inline void block_give(Core* core, void* block, size_t size) noexcept nogil:
    """Back at once; ``size`` as it was taken."""
    cdef uint32_t which = block_class(size)
    if block == NULL:
        return
    if BLOCKS_APART or which >= BLOCK_CLASSES:
        free(block)
        return
    (<void**>block)[0] = core.free_blocks[which]
    core.free_blocks[which] = block
