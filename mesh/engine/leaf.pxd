# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from gossamer.mesh.engine.types cimport Account, Core, Group, Link, Permission, Subscription, Terminal

cdef void leafs_told(Core* core, Account* account, Subscription* one, Terminal* terminal, Group* group,
                     uint8_t added) noexcept nogil
cdef void leaf_interest(Core* core, Link* link, char* line, uint32_t size, uint8_t add) noexcept nogil
cdef void leaf_joined(Core* core, Link* link) noexcept nogil
cdef void leaf_left(Core* core, Link* link) noexcept nogil
cdef void leaf_changed(Core* core, Link* link, Permission* before) noexcept nogil
