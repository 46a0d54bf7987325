# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from gossamer.mesh.engine.types cimport TRACKED_SIZE, Core, Link, Message

cdef inline uint8_t tracked_name(const char* subject, uint32_t size) noexcept nogil:
    """Is it shaped like the reply of a sampled request: ``_R_.xxxxxx.yyyyyy.ssssssss.T``?"""
    return size == TRACKED_SIZE and subject[0] == 95 and subject[1] == 82 and subject[2] == 95 and subject[3] == 46 \
        and subject[17] == 46 and subject[26] == 46 and subject[27] == 84

cdef void tracked_remember(Core* core, Link* link, Message* message) noexcept nogil
cdef void tracked_answered(Core* core, Message* message) noexcept nogil
cdef void trackeds_destroy(Core* core) noexcept nogil
