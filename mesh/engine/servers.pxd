# cython: language_level=3
from libc.stdint cimport uint8_t

from gossamer.mesh.engine.types cimport Core, Entry, Group, Link, MatchGroup, Message, Subscription

cdef void write_server(Core* core, Link* link, Message* message) noexcept nogil
cdef uint8_t goes_to(Subscription* one, Message* message, Entry* entry) noexcept nogil
cdef uint8_t pick_remote(Core* core, Subscription* member, Group* group, Message* message,
                         Entry* entry) noexcept nogil
cdef uint8_t pick_nearest(Core* core, MatchGroup* group, Message* message, Entry* entry) noexcept nogil
cdef void send_servers(Core* core, Message* message, Entry* entry, uint8_t plain) noexcept nogil
