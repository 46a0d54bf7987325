from libc.stdint cimport uint8_t

from gossamer.mesh.engine.types cimport Buffer, Unpacker

cdef enum:  # how hard a writer tries
    S2_PLAIN = 1                # chunks that are not compressed
    S2_FAST = 2
    S2_BETTER = 3
    S2_BEST = 4

cdef enum:
    S2_CHUNK = 65536            # a writer's chunks hold so many bytes of data
    S2_PLAIN_CHUNK = 1048576    # where they are not compressed: so many
    S2_DATA_MAX = 4194304       # a reader's hold no more

cdef void s2_pack(const char* data, size_t size, int level, Buffer* to) noexcept nogil
cdef int s2_unpack(Unpacker* unpacker, const char* data, size_t size, Buffer* to) noexcept nogil
cdef uint8_t s2_more(Unpacker* unpacker) noexcept nogil
cdef void s2_forget(Unpacker* unpacker) noexcept nogil
