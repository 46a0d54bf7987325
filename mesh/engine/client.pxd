# cython: language_level=3
from gossamer.mesh.engine.types cimport Core, Link

cdef char* parse_client(Core* core, Link* link, char* at, char* end) noexcept nogil
cdef void report_hello(Core* core, Link* link, char* connect, unsigned int size, bint given) noexcept nogil
