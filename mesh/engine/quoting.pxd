# cython: language_level=3
from libc.stdint cimport uint32_t

from gossamer.mesh.engine.types cimport Buffer

cdef void buffer_quoted(Buffer* buffer, const char* text, uint32_t size) noexcept nogil
cdef void buffer_json(Buffer* buffer, const char* text, uint32_t size) noexcept nogil
