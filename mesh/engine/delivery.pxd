# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from gossamer.mesh.engine.types cimport Core, Entry, MatchGroup, Message

cdef void compose(Core* core, Message* message) noexcept nogil
cdef void deliver_plain(Core* core, Message* message, Entry* entry) noexcept nogil
cdef void deliver_group(Core* core, MatchGroup* group, Message* message, Entry* entry) noexcept nogil
cdef void deliver_group_from_route(Core* core, MatchGroup* group, Message* message, Entry* entry) noexcept nogil
cdef uint8_t group_named(MatchGroup* group, char* names, uint32_t size) noexcept nogil
cdef void deliver_shadows(Core* core, Message* message, Entry* entry) noexcept nogil
cdef void deliver_leafs(Core* core, Message* message) noexcept nogil
cdef void deliver_answer(Core* core, Message* message) noexcept nogil
cdef void count_account(Core* core, Message* message) noexcept nogil
cdef void spread(Core* core, Message* message, Entry* entry) noexcept nogil
