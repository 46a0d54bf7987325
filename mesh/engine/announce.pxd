# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from gossamer.mesh.engine.types cimport Account, Core, Group, Link, Terminal

cdef uint8_t route_carries(Core* core, Link* link, Account* account) noexcept nogil
cdef void account_routes_rebuild(Core* core, Account* account) noexcept nogil
cdef void announce_change(Core* core, Account* account, Terminal* terminal, Group* group) noexcept nogil
cdef void announce_all(Core* core, Link* link) noexcept nogil
