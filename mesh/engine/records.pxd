# cython: language_level=3
from gossamer.mesh.engine.types cimport Buffer

cdef list decode(Buffer* taken)
