# cython: language_level=3
from libc.stdint cimport int64_t

from gossamer.mesh.engine.types cimport Core, Link

cdef int64_t link_due(Core* core, Link* link) noexcept nogil
cdef void wheel_schedule(Core* core, Link* link) noexcept nogil
cdef void wheel_remove(Core* core, Link* link) noexcept nogil
cdef Link* wheel_expired(Core* core) noexcept nogil
cdef int64_t wheel_next(Core* core) noexcept nogil
