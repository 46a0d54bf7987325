# cython: language_level=3
from libc.stdint cimport int64_t

from gossamer.mesh.engine.types cimport Core

cdef int64_t monotonic_ns() noexcept nogil
cdef void tick(Core* core) noexcept nogil
cdef void run_loop(Core* core) noexcept nogil
cdef int64_t next_due(Core* core) noexcept nogil
