# cython: language_level=3
from gossamer.mesh.engine.types cimport Command, Core, Link

cdef void admit(Core* core, Link* link, Command* command) noexcept nogil
cdef void join_route(Core* core, Link* link, Command* command) noexcept nogil
cdef void set_gateway_identity(Core* core, Command* command) noexcept nogil
cdef void join_gateway(Core* core, Link* link, Command* command) noexcept nogil
cdef void join_leaf(Core* core, Link* link, Command* command) noexcept nogil
cdef void change(Core* core, Link* link, Command* command) noexcept nogil
