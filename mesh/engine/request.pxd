from libc.stdint cimport uint8_t, uint32_t

from gossamer.mesh.engine.types cimport KIND_LEAF, CallMatch, Core, Entry, Link, Message, Pending

cdef inline uint32_t origin_carried(Message* message) noexcept nogil:
    """What a message has as origin in another account: none, so that a leaf node that asks itself through its hub's
    imports is answered. What came from a hub must not go back there by another account."""
    cdef Link* link = message.source
    return message.origin if link != NULL and link.kind == KIND_LEAF and link.route.spoke else 0


cdef void gather(Core* core, Message* message) noexcept nogil
cdef Entry* mapped(Core* core, Message* message, Entry* entry) noexcept nogil
cdef Entry* request_begin(Core* core, Message* message, CallMatch* call, Message* asked,
                          Pending** waiting) noexcept nogil
cdef void request_end(Core* core, Message* message, CallMatch* call, Message* asked, Pending* waiting) noexcept nogil
cdef Entry* answer_begin(Core* core, Message* message, Message* answer, Pending** waiting) noexcept nogil
cdef void answer_end(Core* core, Message* message, Message* answer, Pending* waiting) noexcept nogil
