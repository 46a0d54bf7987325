from libc.stdint cimport uint8_t

from gossamer.mesh.engine.types cimport CallMatch, Core, Entry, Message, Pending

cdef void gather(Core* core, Message* message) noexcept nogil
cdef Entry* mapped(Core* core, Message* message, Entry* entry) noexcept nogil
cdef Entry* request_begin(Core* core, Message* message, CallMatch* call, Message* asked,
                          Pending** waiting) noexcept nogil
cdef void request_end(Core* core, Message* message, CallMatch* call, Message* asked, Pending* waiting) noexcept nogil
cdef Entry* answer_begin(Core* core, Message* message, Message* answer, Pending** waiting) noexcept nogil
cdef void answer_end(Core* core, Message* message, Message* answer, Pending* waiting) noexcept nogil
