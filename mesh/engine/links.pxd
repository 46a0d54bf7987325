# cython: language_level=3
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from gossamer.mesh.engine.types cimport Core, Link, Listener

cdef Link* link_find(Core* core, uint64_t id) noexcept nogil
cdef Link* link_make(Core* core, uint64_t id, int kind, int descriptor, Listener* listener, const char* host,
                     uint32_t host_size, uint16_t port) noexcept nogil
cdef void link_greet(Core* core, Link* link, const char* host, uint32_t host_size) noexcept nogil
cdef void link_limit(Core* core, Link* link) noexcept nogil
cdef void link_admitted(Core* core, Link* link) noexcept nogil
cdef void link_pong(Core* core, Link* link) noexcept nogil
cdef void link_ping(Core* core, Link* link) noexcept nogil
cdef void link_timers(Core* core, Link* link) noexcept nogil
cdef void link_drained(Core* core, Link* link) noexcept nogil
cdef void link_die(Core* core, Link* link) noexcept nogil
cdef void links_finish(Core* core) noexcept nogil
cdef void links_free_graves(Core* core) noexcept nogil
cdef void links_destroy(Core* core) noexcept nogil
cdef void route_joined(Core* core, Link* link) noexcept nogil
