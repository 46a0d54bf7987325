# cython: language_level=3
from libc.stdint cimport uint8_t, uint32_t

from gossamer.mesh.engine.types cimport Account, Core, Group, Link, Subscription, Terminal

cdef uint8_t refused_by(Core* core, Subscription* everything, const char* subject, uint32_t size) noexcept nogil
cdef void gateways_told(Core* core, Account* account, Terminal* terminal, Group* group, uint8_t added) noexcept nogil
cdef void gateway_joined(Core* core, Link* link) noexcept nogil
cdef void gateway_left(Core* core, Link* link) noexcept nogil
cdef void gateway_forget(Link* link) noexcept nogil
cdef void account_born(Core* core, Account* account) noexcept nogil
cdef void gateway_interest(Core* core, Link* link, char* line, uint32_t size, uint8_t add) noexcept nogil
cdef void gateway_account(Core* core, Link* link, char* line, uint32_t size, uint8_t add) noexcept nogil
cdef uint8_t gateway_command(Core* core, Link* link, char* line, uint32_t size) noexcept nogil
