# cython: language_level=3
from libc.stdint cimport uint8_t

from gossamer.mesh.engine.types cimport Core, Entry, Message

cdef uint8_t publish_from_client(Core* core, Message* message, Entry* entry) noexcept nogil
cdef void publish_from_server(Core* core, Message* message, Entry* entry) noexcept nogil
cdef void publish_own(Core* core, Message* message, Entry* entry) noexcept nogil
