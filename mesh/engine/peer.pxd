# cython: language_level=3
from gossamer.mesh.engine.types cimport Core, Link

cdef char* parse_peer(Core* core, Link* link, char* at, char* end) noexcept nogil
