# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t
from libc.string cimport memcmp

from gossamer.mesh.engine.types cimport Core, Link, Message

cdef enum:
    PREFIX_SIZE = 19            # _GR_.cccccc.ssssss. (gateways section 9.4)

cdef inline uint8_t returning_prefix(const char* subject) noexcept nogil:
    """Does a subject longer than the prefix begin with one?"""
    return memcmp(subject, b"_GR_.", 5) == 0 and subject[11] == 46 and subject[18] == 46

cdef uint8_t returning_ours(Core* core, Message* message) noexcept nogil
cdef void returning_remember(Core* core, Link* link, Message* message) noexcept nogil
cdef uint8_t returning_find(Core* core, Link* link, Message* message) noexcept nogil
cdef uint8_t subscribed_just_now(Core* core, Message* message) noexcept nogil
cdef void send_back(Core* core, Message* message) noexcept nogil
cdef void returnings_destroy(Core* core) noexcept nogil
