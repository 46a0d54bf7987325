# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from gossamer.mesh.engine.types cimport Account, Core, Group, Link, Permission, Subscription, Terminal

cdef uint8_t route_carries(Core* core, Link* link, Account* account) noexcept nogil
cdef void account_routes_rebuild(Core* core, Account* account) noexcept nogil
cdef void announce_one(Core* core, Link* link, const char* verb, Account* account, Terminal* terminal, Group* group,
                       uint32_t count, uint32_t origin) noexcept nogil
cdef void routes_told(Core* core, Account* account, Subscription* one, Terminal* terminal, Group* group,
                      uint8_t added) noexcept nogil
cdef void announce_all(Core* core, Link* link, Permission* before, uint8_t again) noexcept nogil
