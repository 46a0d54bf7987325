# cython: language_level=3
from libc.stdint cimport uint32_t

from gossamer.mesh.engine.types cimport Core, Origin

cdef uint32_t origin_number(Core* core, const char* name, uint32_t size) noexcept nogil
cdef Origin* origin_by_number(Core* core, uint32_t number) noexcept nogil
cdef void origins_destroy(Core* core) noexcept nogil
